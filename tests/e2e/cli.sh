#!/bin/bash
# SPDX-License-Identifier: MIT
# The tool itself: statuses, quoting, signals, and one clear line for each thing
# that can be wrong.
. "$(dirname "$0")/lib.sh"

# ---- help ----
works "olio --help" "$OLIO" --help
says "names the commands" '^  olio pair'
works "olio help run" "$OLIO" help run
works "olio pair --help" "$OLIO" pair --help
says "explains --report" '--report FILE'
works "olio version" "$OLIO" version
says "prints a version" '^olio [0-9]+\.[0-9]+\.[0-9]+$'
refused "unknown command" 2 "no command 'rum'" "$OLIO" rum
refused "unknown option before the command" 2 "unknown option '--frob'" "$OLIO" --frob
refused "unknown option of run" 2 "unknown option '--frob'" "$OLIO" run --frob -- true
refused "unknown short option of run" 2 "unknown option '-z'" "$OLIO" run -z -- true
refused "option without its value" 2 "needs a value" "$OLIO" run --report
refused "no program" 2 "no program" "$OLIO" run --
refused "ls of an unknown kind" 2 "no 'cows'" "$OLIO" ls cows
refused "ls of what could be two kinds" 2 "several kinds" "$OLIO" ls ma
refused "ls of nothing" 2 "no ''" "$OLIO" ls ""

# ---- programs that cannot run ----
cp /bin/true "$tmp/true"
echo 'int main(void) { return 0; }' >"$tmp/m.c"
gcc -static -o "$tmp/static" "$tmp/m.c"
gcc -static-pie -o "$tmp/static-pie" "$tmp/m.c"
cp /bin/true "$tmp/noexec" && chmod 644 "$tmp/noexec"
cp /bin/true "$tmp/setuid" && chmod 4755 "$tmp/setuid"
cp /bin/true "$tmp/setgid" && chmod 2755 "$tmp/setgid"
cp /bin/true "$tmp/bits32" && printf '\001' | dd of="$tmp/bits32" bs=1 seek=4 conv=notrunc 2>/dev/null
printf '#!/no/such/interpreter\n' >"$tmp/script" && chmod 755 "$tmp/script"
printf '#!/usr/bin/env no-such-program\n' >"$tmp/envscript" && chmod 755 "$tmp/envscript"
printf '#!%s\n' "$tmp/static" >"$tmp/staticscript" && chmod 755 "$tmp/staticscript"
printf '#!/bin/sh\nexit 5\n' >"$tmp/goodscript" && chmod 755 "$tmp/goodscript"

refused "no such program in PATH" 127 "no such program: no-such-program" "$OLIO" run -- no-such-program
refused "no such file" 127 "no such program: /no/such" "$OLIO" run -- /no/such
refused "a directory" 126 "directory" "$OLIO" run -- /tmp
refused "not executable" 126 "not executable" "$OLIO" run -- "$tmp/noexec"
refused "a static program" 126 "static" "$OLIO" run -- "$tmp/static"
refused "a static-pie program" 126 "static" "$OLIO" run -- "$tmp/static-pie"
refused "a setuid program" 126 "setuid" "$OLIO" run -- "$tmp/setuid"
refused "a setgid program" 126 "setgid" "$OLIO" run -- "$tmp/setgid"
refused "a 32-bit program" 126 "32-bit" "$OLIO" run -- "$tmp/bits32"
refused "a script without its interpreter" 126 "interpreter /no/such/interpreter" "$OLIO" run -- "$tmp/script"
refused "an env script of a missing program" 127 "no such program: no-such-program" "$OLIO" run -- "$tmp/envscript"
refused "a script of a static interpreter" 126 "static" "$OLIO" run -- "$tmp/staticscript"
refused "pair checks too" 126 "static" "$OLIO" pair -- "$tmp/static"
refused "no preload library" 1 "preload library is missing" env OLIO_PRELOAD=/no/such.so "$OLIO" run -- true
refused "an unknown device" 2 "no device 'mlx5_0'" "$OLIO" run --device mlx5_0 -- true
refused "an unknown device of several" 2 "no device 'hca9'.*rxe0, hca0" "$OLIO" run --device rxe0,hca9 -- true
refused "an empty device name" 2 "no device ''" "$OLIO" run --device rxe0, -- true
refused "an unknown machine type" 2 "no machine type 'vax'" "$OLIO" run --machine-type vax -- true
refused "a missing description" 2 "/no/such.yaml" "$OLIO" run --machine-type /no/such.yaml -- true
refused "a report that cannot be written" 1 "cannot write the report" "$OLIO" run --report /no/such/dir/r -- true
if [ "$(id -u)" -eq 0 ]; then
	cp /bin/true "$tmp/setcap"
	if setcap cap_net_raw+ep "$tmp/setcap" 2>/dev/null; then
		refused "a program with capabilities" 126 "capabilities" "$OLIO" run -- "$tmp/setcap"
	fi
fi
# shellcheck disable=SC2016
hide='mount --bind "$1" /etc/libibverbs.d && shift && exec "$@"'
mkdir "$tmp/empty"
if unshare -rm true 2>/dev/null; then
	refused "rdma-core's provider is missing" 1 "rdma-core.*rxe.*ibverbs-providers" \
		unshare -rm sh -c "$hide" sh "$tmp/empty" "$OLIO" run -- true
else
	skip "rdma-core's provider is missing (needs a mount namespace)" "no user namespaces here"
fi

# ---- statuses, arguments, environment ----
status_is() { # NAME STATUS COMMAND…
	local name=$1 want=$2 status
	shift 2
	timeout -k 5 60 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	if [ $status -eq "$want" ]; then
		pass "$name"
	else
		echo "status $status, wanted $want: $*" >>"$tmp/err"
		fail "$name" "$tmp/out" "$tmp/err"
	fi
}
status_is "status 0" 0 "$OLIO" run -- true
status_is "the program's status" 7 "$OLIO" run -- sh -c 'exit 7'
status_is "128 + signal" 137 "$OLIO" run -- sh -c 'kill -9 $$'
status_is "a script's status" 5 "$OLIO" run -- "$tmp/goodscript"
status_is "without --" 3 "$OLIO" run sh -c 'exit 3'
# shellcheck disable=SC2016
odd=('a b' '' '--' '-x' '$HOME' '*' "it's" '"' $'two\nlines' '\')
printf '[%s]\n' "${odd[@]}" >"$tmp/want"
"$OLIO" run -- printf '[%s]\n' "${odd[@]}" >"$tmp/out" 2>"$tmp/err"
if cmp -s "$tmp/want" "$tmp/out"; then pass "arguments arrive as they were given"; else fail "arguments arrive as they were given" "$tmp/out" "$tmp/err"; fi
echo "from stdin" | "$OLIO" run -- cat >"$tmp/out" 2>"$tmp/err"
says "stdin is the program's" '^from stdin$'
works "an LD_PRELOAD that was there" env LD_PRELOAD=libm.so.6 "$OLIO" run -- sh -c 'echo "$LD_PRELOAD"'
says "is kept behind olio's" 'libolio-preload\.so:libm\.so\.6$'
works "a run inside a run" "$OLIO" run -- "$OLIO" run -- ibv_devices
works "all devices" "$OLIO" run --device all -- ibv_devices
says "are shown: rxe0" ' rxe0 '
says "are shown: hca0" ' hca0 '
works "one device" "$OLIO" run --device hca0 -- ibv_devices
if grep -q rxe0 "$tmp/out"; then fail "hides the others" "$tmp/out"; else pass "hides the others"; fi
works "a machine type" "$OLIO" run --machine-type no-iommu -- "$OLIO" ls machine
says "is what is made" ' no-iommu '
works "another type on the same machine" "$OLIO" run --machine-type no-iommu -- sh -c \
	'"$0" run --machine-type pc -- true; test $? -eq 1' "$OLIO"
says "is refused" "of type 'no-iommu', not 'pc'"
works "quiet success" "$OLIO" run -- true
if [ ! -s "$tmp/err" ]; then pass "nothing on stderr then"; else fail "nothing on stderr then" "$tmp/err"; fi

# ---- signals ----
signal_ends() { # NAME SIGNAL STATUS COMMAND…: the tool and its program end
	local name=$1 sig=$2 want=$3 pid status
	shift 3
	mkfifo "$tmp/up"
	"$@" >"$tmp/up" 2>"$tmp/err" &
	pid=$!
	read -r inner <"$tmp/up"
	kill -"$sig" $pid
	wait $pid
	status=$?
	rm "$tmp/up"
	if [ $status -eq "$want" ] && ! kill -0 "${inner##* }" 2>/dev/null; then
		pass "$name"
	else
		echo "status $status, wanted $want" >>"$tmp/err"
		fail "$name" "$tmp/err"
	fi
}
# shellcheck disable=SC2016
sleeper='echo $$; exec sleep 60'
signal_ends "SIGTERM is passed on" TERM 143 "$OLIO" run -- sh -c "$sleeper"
signal_ends "SIGHUP is passed on" HUP 129 "$OLIO" run -- sh -c "$sleeper"
# A shell without job control starts background programs with SIGINT ignored.
signal_ends "SIGINT is passed on" INT 130 env --default-signal=INT "$OLIO" run -- sh -c "$sleeper"
signal_ends "SIGINT ends a pair" INT 130 env --default-signal=INT "$OLIO" pair -- sh -c "$sleeper"
# shellcheck disable=SC2016
stubborn='trap "" INT TERM; echo $$; while :; do sleep 1; done'
signal_ends "SIGINT ends a stubborn pair" INT 130 env --default-signal=INT "$OLIO" pair -- sh -c "$stubborn"

# ---- pair ----
cat >"$tmp/peer.py" <<'EOF'
import socket, sys
if len(sys.argv) > 3:
    c = socket.create_connection((sys.argv[3], int(sys.argv[1])))
    print("I am the client of", sys.argv[3]); sys.exit(int(sys.argv[2]))
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen()
s.accept(); print("I am the server"); print("on stderr", file=sys.stderr)
EOF
port=$(free_port)
works "pair" "$OLIO" pair -- python3 "$tmp/peer.py" "$port" 0
says "labels the server" '^server \| I am the server$'
says "labels the client, which gets the address" '^client \| I am the client of 127\.0\.0\.1$'
grep -q '^server | on stderr$' "$tmp/err" && pass "stderr stays stderr" || fail "stderr stays stderr" "$tmp/err"
status_is "the worse status" 9 "$OLIO" pair -- python3 "$tmp/peer.py" "$port" 9
status_is "a server that fails at once" 4 "$OLIO" pair -- sh -c 'exit 4'
says "is reported" 'olio: the server ended with status 4 before it listened'
status_is "a server that ends at once" 1 "$OLIO" pair -- true
status_is "a server behind a shell" 0 "$OLIO" pair -- sh -c 'python3 "$0" "$@"; exit $?' "$tmp/peer.py" "$port" 0
mkfifo "$tmp/port"
python3 -c 'import socket, time
s = socket.socket(); s.bind(("", 0)); s.listen()
print(s.getsockname()[1], flush=True); time.sleep(60)' >"$tmp/port" &
holder=$!
read -r port <"$tmp/port"
timeout 60 "$OLIO" pair -- ib_write_bw -p "$port" >"$tmp/out" 2>"$tmp/err"
status=$?
kill $holder
wait $holder 2>/dev/null
if [ $status -ne 0 ] && [ $status -lt 124 ]; then pass "an address in use fails"; else fail "an address in use fails" "$tmp/out" "$tmp/err"; fi
says "and the server says so" "server \| .*(bind|listen|in use|Couldn't)"

# ---- machines ----
refused "ls without a machine" 1 "no.*machine" "$OLIO" ls -m "none-$$"
refused "explain without a machine" 1 "no.*machine" "$OLIO" explain -m "none-$$"
works "ls of a living machine" "$OLIO" run -- "$OLIO" ls
says "lists the device" '^rxe0 '
works "ls --json" "$OLIO" run -- sh -c '"$0" ls --json | python3 -c "
import json, sys
d = json.load(sys.stdin)
assert set(d) == {\"machine\", \"processes\", \"devices\", \"qps\", \"cqs\", \"mrs\",
                  \"maps\", \"faults\", \"misuse\"}, d.keys()
assert d[\"devices\"][0][\"device\"] == \"rxe0\"
assert isinstance(d[\"devices\"][0][\"mtu\"], int)
"' "$OLIO"
works "ls qps cqs --json" "$OLIO" run -- sh -c '"$0" ls qps cqs --json | python3 -m json.tool' "$OLIO"
works "explain" "$OLIO" run -- "$OLIO" explain
works "explain --json" "$OLIO" run -- sh -c '"$0" explain --json | python3 -m json.tool' "$OLIO"
refused "ls after the last process" 1 "no.*machine" "$OLIO" ls

# A copy of a living machine's file, to be spoilt.
dir=$tmp/machine
spoilt() { # NAME PATTERN COMMAND-ON-THE-FILE…
	local name=$1 pattern=$2
	shift 2
	rm -rf "$dir"
	mkdir -m 700 "$dir"
	cp "$tmp/good" "$dir/machine"
	chmod 600 "$dir/machine"
	"$@"
	refused "$name: run" 1 "$pattern" "$OLIO" run -m "$dir" -- true
	refused "$name: ls" 1 "$pattern" "$OLIO" ls -m "$dir"
}
# shellcheck disable=SC2016
works "a machine in a directory" "$OLIO" run -m "$tmp/d" -- sh -c 'cp "$OLIO_MACHINE/machine" "$1"' sh "$tmp/good"
spoilt "another version" "version" sh -c 'printf "\143" | dd of="$0" bs=1 seek=8 conv=notrunc 2>/dev/null' "$dir/machine"
spoilt "not a machine" "damaged|not a machine" sh -c 'printf "xxxx" | dd of="$0" bs=1 seek=0 conv=notrunc 2>/dev/null' "$dir/machine"
spoilt "a damaged head" "damaged" sh -c 'printf "\377\377\377" | dd of="$0" bs=1 seek=24 conv=notrunc 2>/dev/null' "$dir/machine"
spoilt "a truncated file" "damaged" truncate -s 5000 "$dir/machine"
spoilt "an empty file" "damaged|empty" truncate -s 0 "$dir/machine"
if [ "$(id -u)" -eq 0 ]; then
	spoilt "another owner" "another user|belongs|owner" chown nobody "$dir" "$dir/machine"
fi
plan

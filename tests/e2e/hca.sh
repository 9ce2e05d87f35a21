#!/bin/bash
# SPDX-License-Identifier: MIT
# hca0, the device behind the IOMMU: unmodified programs run on it as on rxe0, on every
# type of machine that can be honoured. What cannot is refused when memory is
# registered, with a reason that people find.
. "$(dirname "$0")/lib.sh"

on() { # TYPE: what follows runs on a machine of this type
	export OLIO_MACHINE="e2e-$$-$1" OLIO_MACHINE_TYPE=$1
	type=$1
}

pair() { # NAME PROGRAM ARGS…: works, on hca0
	local name="$type: $1"
	shift
	works "$name" "$OLIO" pair --device hca0 -- "$1" -d hca0 -p "$(free_port)" "${@:2}"
}

on pc
works "pc: ibv_devinfo" "$OLIO" run --device hca0 -- ibv_devinfo
says "pc: hca0 is there" 'hca_id:[[:space:]]+hca0'
if grep -q rxe0 "$tmp/out"; then fail "pc: and nothing else" "$tmp/out"; else pass "pc: and nothing else"; fi
works "pc: without --device" "$OLIO" run -- ibv_devices
if grep -q hca0 "$tmp/out"; then fail "pc: hca0 is not shown" "$tmp/out"; else pass "pc: hca0 is not shown"; fi
works "pc: every device" env OLIO_DEVICE=all "$OLIO" run -- ibv_devices
says "pc: rxe0 is listed" '^ *rxe0[[:space:]]'
says "pc: hca0 is listed" '^ *hca0[[:space:]]'
if [ "$(awk '/(rxe|hca)0/ {print $2}' "$tmp/out" | sort -u | wc -l)" = 2 ]; then
	pass "pc: their GUIDs differ"
else
	fail "pc: their GUIDs differ" "$tmp/out"
fi

for op in write read send; do
	pair "ib_${op}_bw" ib_${op}_bw -s 1048576 -n 50
	pair "ib_${op}_bw -q 4 -b" ib_${op}_bw -s 4096 -n 50 -q 4 -b
	pair "ib_${op}_lat" ib_${op}_lat -s 8 -n 50
done
pair "ib_send_bw -e" ib_send_bw -s 65536 -n 50 -e
pair "ib_write_bw -a" ib_write_bw -a -n 20
pair "ib_atomic_bw" ib_atomic_bw -A FETCH_AND_ADD -n 100
pair "ib_send_bw -c UD" ib_send_bw -c UD -s 1024 -n 100
pair "ib_send_bw --use-srq" ib_send_bw -s 4096 -n 100 --use-srq

# Two devices, one network.
port=$(free_port)
"$OLIO" run --device rxe0 -- ib_write_bw -d rxe0 -p "$port" -s 65536 -n 50 >"$tmp/server" 2>&1 </dev/null &
until_says Waiting "$tmp/server"
works "pc: from hca0 to rxe0" "$OLIO" run --device hca0 -- ib_write_bw -d hca0 -p "$port" -s 65536 -n 50 127.0.0.1
wait $!

for type in pc no-iommu p2p-acs hostile; do
	on $type
	pair "ibv_rc_pingpong, bytes compared" ibv_rc_pingpong -g 1 -s 300000 -n 100 -c
	pair "ib_read_bw" ib_read_bw -s 1048576 -n 20
done

refused_on() { # TYPE REASONS: registration fails there, and it is said why
	on "$1"
	# Somebody stays, so that the machine and its records do.
	"$OLIO" run -- sh -c 'ibv_devices >/dev/null; echo up; read x' >"$tmp/up" 2>/dev/null <"$tmp/fifo" &
	exec 9>"$tmp/fifo"
	until_says up "$tmp/up"
	timeout -k 5 60 "$OLIO" run --machine-type "$1" --device hca0 --report "$tmp/report" -- \
		ibv_rc_pingpong -d hca0 -g 1 -p "$(free_port)" >"$tmp/out" 2>"$tmp/err" </dev/null
	if [ $? -eq 1 ]; then pass "$1: the program fails"; else fail "$1: the program fails" "$tmp/err"; fi
	says "$1: at registration" "Couldn't register MR"
	says "$1: the reason is on stderr" "ibv_reg_mr on hca0 refused: ($2): "
	if grep -Eq "refused: ($2): " "$tmp/report"; then
		pass "$1: and in the report"
	else
		fail "$1: and in the report" "$tmp/report"
	fi
	works "$1: olio explain" "$OLIO" explain
	says "$1: tells it later" "ibv_reg_mr on hca0 refused: ($2): "
	works "$1: rxe0 works there" "$OLIO" pair -- ibv_rc_pingpong -d rxe0 -g 1 -p "$(free_port)" -n 50 -c
	exec 9>&-
	wait $!
}

mkfifo "$tmp/fifo"
refused_on arm-noncoherent non-coherent
refused_on cc-guest encrypted
plan

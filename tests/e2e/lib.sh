# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the end-to-end scripts share: TAP output and a machine of their own.
# $OLIO is the tool under test.

: "${OLIO:?path of the olio tool}"
export OLIO_MACHINE="e2e-$$"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tests=0

# pass NAME / fail NAME [FILE…]: one result; the files' ends explain a failure.
pass() {
	tests=$((tests + 1))
	echo "ok $tests - $1"
}

fail() {
	tests=$((tests + 1))
	echo "not ok $tests - $1"
	shift
	for f in "$@"; do
		tail -n 15 "$f" | sed 's/^/# /'
	done
}

skip() { # NAME REASON
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

plan() {
	echo "1..$tests"
}

# works NAME COMMAND…: status 0 within a minute. Its output is in $tmp/out and $tmp/err.
works() {
	local name=$1 status
	shift
	timeout -k 5 60 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	if [ $status -eq 0 ]; then
		pass "$name"
	else
		echo "status $status: $*" >>"$tmp/err"
		fail "$name" "$tmp/out" "$tmp/err"
		return 1
	fi
}

# says NAME PATTERN: the last output has a line that matches.
says() {
	if grep -Eq -- "$2" "$tmp/out" "$tmp/err"; then
		pass "$1"
	else
		fail "$1" "$tmp/out" "$tmp/err"
	fi
}

# refused NAME STATUS PATTERN COMMAND…: exactly this status, nothing on stdout,
# one line on stderr that begins with "olio: " and matches.
refused() {
	local name=$1 want=$2 pattern=$3 status
	shift 3
	timeout -k 5 60 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	if [ $status -eq "$want" ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] &&
		grep -Eq -- "^olio: .*$pattern" "$tmp/err"; then
		pass "$name"
	else
		echo "status $status, wanted $want and '$pattern': $*" >>"$tmp/err"
		fail "$name" "$tmp/out" "$tmp/err"
	fi
}

# until_says PATTERN FILE: poll for what another program writes, for some seconds at most.
until_says() {
	local i
	for i in $(seq 100); do
		grep -q "$1" "$2" && return
		sleep 0.05
	done
}

# A TCP port that nobody listens on.
free_port() {
	python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

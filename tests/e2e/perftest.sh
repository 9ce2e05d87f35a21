#!/bin/bash
# SPDX-License-Identifier: MIT
# perftest, unmodified, between two processes: every operation over every size,
# with completion events, several queue pairs and both directions.
. "$(dirname "$0")/lib.sh"

perf() { # PROGRAM LAST-SIZE ARGS…
	local program=$1 last=$2 name
	shift 2
	name="$program $*"
	works "$name" "$OLIO" pair -- "$program" -d rxe0 -p "$(free_port)" "$@" || return
	says "$name: result for $last bytes" "client \| +$last +[0-9]+ +[0-9.]+"
}

for op in write read send; do
	perf "ib_${op}_bw" 8388608 -a -n 100
	perf "ib_${op}_lat" 8388608 -a -n 20
	perf "ib_${op}_bw" 65536 -n 1000
	perf "ib_${op}_lat" 2 -s 2 -n 100
	perf "ib_${op}_bw" 8388608 -a -n 20 -b
	perf "ib_${op}_bw" 8388608 -a -n 20 -q 8
done
# perftest has no events on WRITE.
for op in read send; do
	perf "ib_${op}_bw" 8388608 -a -n 20 -e
	perf "ib_${op}_lat" 8388608 -a -n 20 -e
	perf "ib_${op}_bw" 4096 -s 4096 -n 200 -q 8 -b -e
done
perf ib_write_bw 4096 -s 4096 -n 200 -q 8 -b
perf ib_write_bw 65536 -x 1 -n 200
plan

#!/bin/bash
# SPDX-License-Identifier: MIT
# perftest, unmodified, between two processes: every operation over every size,
# with completion events, several queue pairs and both directions.
. "$(dirname "$0")/lib.sh"

# perftest gives up by itself when it cannot measure the processor's clock rate on a
# busy host ("Correlation coefficient"), which says nothing of ours: again then.
perf() { # PROGRAM LAST-SIZE ARGS…
	local program=$1 last=$2 name status try
	shift 2
	name="$program $*"
	for try in 1 2 3; do
		timeout -k 5 60 "$OLIO" pair -- "$program" -d "${DEVICE:-rxe0}" -p "$(free_port)" "$@" \
			>"$tmp/out" 2>"$tmp/err" </dev/null
		status=$?
		[ $status -ne 0 ] && [ "$try" -lt 3 ] || break
		grep -q 'Correlation coefficient' "$tmp/out" "$tmp/err" || break
	done
	if [ $status -ne 0 ]; then
		echo "status $status: $name" >>"$tmp/err"
		fail "$name" "$tmp/out" "$tmp/err"
		return
	fi
	pass "$name"
	says "$name: result for $last bytes" "client \| +$last +[0-9]+ +[0-9.]+"
}

# perftest measures the clock rate for nearly half a second beside each size, so
# all sizes go once through each program, and the variants at the ends only.
for op in write read send; do
	perf "ib_${op}_bw" 8388608 -a -n 100
	perf "ib_${op}_lat" 8388608 -a -n 20
	for size in 2 1048576; do
		perf "ib_${op}_bw" $size -s $size -n 200 -b
		perf "ib_${op}_bw" $size -s $size -n 100 -q 8
		perf "ib_${op}_bw" $size -s $size -n 100 -q 8 -b
	done
	perf "ib_${op}_bw" 8388608 -s 8388608 -n 20 -q 8 -b
done
# perftest has no events on WRITE.
for op in read send; do
	for size in 2 8388608; do
		perf "ib_${op}_bw" $size -s $size -n 100 -e
		perf "ib_${op}_lat" $size -s $size -n 50 -e
		perf "ib_${op}_bw" $size -s $size -n 20 -q 8 -e
		perf "ib_${op}_bw" $size -s $size -n 20 -b -e
	done
done
perf ib_write_bw 65536 -x 1 -n 200
# Shared receive queues, atomics, and the other transports.
perf ib_send_bw 65536 --use-srq -n 200 -q 4
perf ib_send_lat 2 --use-srq -n 200
perf ib_atomic_bw 8 -A FETCH_AND_ADD -n 200
perf ib_atomic_lat 8 -A CMP_AND_SWAP -n 200
perf ib_send_bw 1024 -c UD -s 1024 -n 200
perf ib_write_bw 65536 -c UC -n 200
plan

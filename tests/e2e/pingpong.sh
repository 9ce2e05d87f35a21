#!/bin/bash
# SPDX-License-Identifier: MIT
# rdma-core's own examples between two processes; -c compares the bytes received.
. "$(dirname "$0")/lib.sh"

pingpong() { # NAME ARGS…
	local name=$1
	shift
	works "ibv_rc_pingpong $name" "$OLIO" pair -- ibv_rc_pingpong -d "${DEVICE:-rxe0}" -g 1 -p "$(free_port)" "$@"
	says "$name: both sides finish" 'client \| [0-9]+ iters in'
}

pingpong "polling" -n 2000 -c
pingpong "with events" -n 2000 -e
pingpong "1 MiB messages" -n 100 -s 1048576 -c
pingpong "one byte" -n 500 -s 1
pingpong "one receive at a time" -n 500 -r 1
for kind in srq uc ud; do
	works "ibv_${kind}_pingpong" "$OLIO" pair -- ibv_${kind}_pingpong -d "${DEVICE:-rxe0}" -g 1 \
		-p "$(free_port)" -n 500 -s 1024
	says "ibv_${kind}_pingpong: both sides finish" 'client \| [0-9]+ iters in'
done
plan

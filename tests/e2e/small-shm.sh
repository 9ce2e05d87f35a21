#!/bin/bash
# SPDX-License-Identifier: MIT
# 64 MiB of shared memory, a container's default, is enough for the demo; less
# than a machine needs is an error with a name, never a crash.
. "$(dirname "$0")/lib.sh"
unset XDG_RUNTIME_DIR

# inside SIZE COMMAND…: with /dev/shm of that size.
inside() {
	local size=$1
	shift
	# shellcheck disable=SC2016
	unshare $userns -m sh -c 'mount -t tmpfs -o size=$1 tmpfs /dev/shm && shift && exec "$@"' sh "$size" "$@"
}

userns=-r
if ! unshare -r -m true 2>/dev/null; then
	userns=
	if ! unshare -m true 2>/dev/null; then
		skip "64 MiB of shared memory" "no mount namespaces here"
		plan
		exit 0
	fi
fi

export -f inside
export userns
run() { # SIZE ARGS…
	bash -c 'inside "$@"' bash "$@"
}
export -f run

# What the demo runs, at its largest size: the queues do not depend on it.
works "64 MiB: ib_write_bw" bash -c 'run 64m "$@"' bash "$OLIO" pair -- ib_write_bw -s 8388608 -n 50 -p "$(free_port)"
works "64 MiB: ib_send_bw -q 8" bash -c 'run 64m "$@"' bash "$OLIO" pair -- ib_send_bw -s 8388608 -n 20 -q 8 -p "$(free_port)"
refused "64 KiB: no machine" 1 'shared memory|[Nn]o space|full' bash -c 'run 64k "$@"' bash "$OLIO" run -- ibv_devices
for size in 1m 2m 4m 8m; do
	timeout 60 bash -c 'run "$@"' bash $size "$OLIO" pair -- ib_send_bw -s 65536 -n 20 -r 4096 -t 4096 -q 16 \
		-p "$(free_port)" >"$tmp/out" 2>"$tmp/err"
	status=$?
	if [ $status -lt 124 ] || [ $status -eq 126 ]; then
		pass "$size: works or fails by name, status $status"
	else
		echo "status $status" >>"$tmp/err"
		fail "$size: works or fails by name" "$tmp/out" "$tmp/err"
	fi
done
plan

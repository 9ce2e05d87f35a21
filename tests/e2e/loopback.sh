#!/bin/bash
# SPDX-License-Identifier: MIT
# A host whose only interface is lo.
. "$(dirname "$0")/lib.sh"

lonely() {
	# shellcheck disable=SC2016
	unshare $userns -n sh -c 'ip link set lo up && exec "$@"' sh "$@"
}

userns=-r
if ! unshare -r -n true 2>/dev/null; then
	userns=
	if ! unshare -n true 2>/dev/null; then
		skip "only loopback" "no network namespaces here"
		plan
		exit 0
	fi
fi
export -f lonely
export userns
in_lonely() {
	local name=$1
	shift
	works "$name" bash -c 'lonely "$@"' bash "$@"
}

in_lonely "ibv_devinfo -v" "$OLIO" run -- ibv_devinfo -v
says "127.0.0.1 has a GID" 'GID\[ *[0-9]+\]:[[:space:]]+::ffff:127\.0\.0\.1, RoCE v2'
in_lonely "ib_write_bw" "$OLIO" pair -- ib_write_bw -n 200
in_lonely "ib_send_lat" "$OLIO" pair -- ib_send_lat -n 200
in_lonely "ibv_rc_pingpong -g 1" "$OLIO" pair -- ibv_rc_pingpong -g 1 -n 200 -c
in_lonely "ibv_rc_pingpong -g 0" "$OLIO" pair -- ibv_rc_pingpong -g 0 -n 200 -c
plan

#!/bin/bash
# SPDX-License-Identifier: MIT
# An ordinary user: the same programs without root and without a runtime
# directory. Run by root this becomes "nobody", on a copy that nobody may read.
. "$(dirname "$0")/lib.sh"
unset XDG_RUNTIME_DIR

if [ "$(id -u)" -eq 0 ]; then
	build=$(dirname "$(dirname "$OLIO")")
	mkdir -p "$tmp/src/cli" "$tmp/src/preload" "$tmp/src/lib" "$tmp/home"
	cp "$OLIO" "$tmp/src/cli/"
	cp "$build"/preload/libolio-preload.so "$tmp/src/preload/"
	cp -P "$build"/lib/libolio.so* "$tmp/src/lib/"
	chmod -R a+rX "$tmp"
	chown nobody "$tmp/home"
	OLIO=$tmp/src/cli/olio
	set -- setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env HOME="$tmp/home"
else
	set -- env
fi
cd /

works "not root" "$@" sh -c 'test "$(id -u)" -ne 0'
works "ibv_devices" "$@" "$OLIO" run -- ibv_devices
says "rxe0 is there" '^ *rxe0'
works "ibv_devinfo -v" "$@" "$OLIO" run -- ibv_devinfo -v
works "ibv_rc_pingpong" "$@" "$OLIO" pair -- ibv_rc_pingpong -g 1 -c -p "$(free_port)"
works "ibv_rc_pingpong -e" "$@" "$OLIO" pair -- ibv_rc_pingpong -g 1 -e -p "$(free_port)"
for op in write read send; do
	works "ib_${op}_bw" "$@" "$OLIO" pair -- "ib_${op}_bw" -n 200 -p "$(free_port)"
	works "ib_${op}_lat" "$@" "$OLIO" pair -- "ib_${op}_lat" -n 200 -p "$(free_port)"
done
plan

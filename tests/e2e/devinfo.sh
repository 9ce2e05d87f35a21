#!/bin/bash
# SPDX-License-Identifier: MIT
# The device as rdma-core's own tools see it.
. "$(dirname "$0")/lib.sh"

works "ibv_devices" "$OLIO" run -- ibv_devices
says "ibv_devices lists rxe0" '^ *rxe0[[:space:]]+[0-9a-f]{16}$'
works "ibv_devinfo" "$OLIO" run -- ibv_devinfo
says "the port is active" 'PORT_ACTIVE'
says "the link layer is Ethernet" 'link_layer:[[:space:]]+Ethernet'
works "ibv_devinfo -v" "$OLIO" run -- ibv_devinfo -v
says "a GID is listed" 'GID\[ *[0-9]+\]:'
says "an IPv4 address is a RoCE v2 GID" 'GID\[ *[0-9]+\]:[[:space:]]+::ffff:[0-9.]+, RoCE v2'
works "ibv_devinfo -d rxe0" "$OLIO" run --device rxe0 -- ibv_devinfo -d rxe0
works "a program started by a program" "$OLIO" run -- sh -c 'cd / && env sh -c "ibv_devices"'
says "sees the device too" '^ *rxe0'
plan

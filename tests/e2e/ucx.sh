#!/bin/bash
# SPDX-License-Identifier: MIT
# UCX over datagrams and over reliable connections, unmodified, on both devices.
. "$(dirname "$0")/lib.sh"

export UCX_LOG_LEVEL=warn
works "ucx_info" "$OLIO" run -- ucx_info -d
says "ucx_info: reliable connections" 'Transport: rc_verbs'
says "ucx_info: datagrams" 'Transport: ud_verbs'

for dev in rxe0 hca0; do
	for tls in ud_verbs rc_verbs,ud_verbs; do
		for test in tag_lat tag_bw; do
			works "$dev: $test over $tls" env UCX_TLS=$tls UCX_NET_DEVICES=$dev:1 \
				"$OLIO" pair --device $dev -- \
				ucx_perftest -p "$(free_port)" -t $test -s 3000 -n 1000 -w 10
			says "$dev: $test over $tls: to the end" 'Final: +1000'
		done
	done
done
plan

#!/bin/bash
# SPDX-License-Identifier: MIT
# kill -9 while the device behind the IOMMU is at work.
exec env OLIO_DEVICE=hca0 "$(dirname "$0")/kill.py" "${1:-60}" ${2:+"$2"}

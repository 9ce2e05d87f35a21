#!/bin/bash
# SPDX-License-Identifier: MIT
# rdma-core's own tests on the device behind the IOMMU.
exec env OLIO_DEVICE=hca0 DEVICE=hca0 "$(dirname "$0")/pyverbs-tests.py"

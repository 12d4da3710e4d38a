# SPDX-License-Identifier: Apache-2.0
"""The test harness: nginx, Ceph RGW, ports and waiting."""

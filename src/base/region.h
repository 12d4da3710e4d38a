/* SPDX-License-Identifier: Apache-2.0
 *
 * A large mapping of anonymous shared memory: huge pages where they can be
 * had, spread over the NUMA nodes, populated at once so that no page is
 * missing later. Made by the master before it forks.
 */
#ifndef S3C_BASE_REGION_H
#define S3C_BASE_REGION_H

#include "base/slice.h"
#include "base/status.h"

typedef struct {
    void        *addr;
    size_t       bytes;
    const char  *pages;      /* "hugetlb", "thp" or "4k": for the log */
} s3c_region_t;

/* IO when it cannot be had; errno says why. */
s3c_status_t s3c_region_map(s3c_region_t *region, size_t bytes)
    S3C_MUST_CHECK;
void s3c_region_unmap(s3c_region_t *region);

#endif

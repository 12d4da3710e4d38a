/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies in shared memory of the fences and the generations.
 */
#ifndef S3C_SERVE_FENCE_INTERNAL_H
#define S3C_SERVE_FENCE_INTERNAL_H

#include <assert.h>

#include "base/robust_lock.h"
#include "serve/fence.h"
#include "serve/purge.h"

typedef struct {
    uint64_t  name;
    uint64_t  tag;             /* not 0: another node's, and in a chain */
    uint64_t  until_ms;        /* not 0: without an owner */
    uint32_t  owner;           /* 0 and until_ms 0: free */
    uint32_t  seq;
    uint32_t  next;            /* of the free ones, or of the chain */
    uint16_t  stranger;        /* of before the configuration in force */
    uint16_t  due;             /* s3c_fence_due_t */
} fence_place_sh_t;

struct s3c_fence_sh_s {
    s3c_robust_lock_sh_t  lock;
    uint32_t              free;
    _Atomic uint32_t      held;
    uint32_t              high;    /* places from here on were never used */
    _Atomic uint32_t      moved;
    _Atomic uint32_t      loaded;
    _Atomic uint64_t      config;
    _Atomic uint64_t      epoch;
    _Atomic uint32_t      strangers;
    _Atomic uint32_t      dues;
    _Atomic uint32_t      counts[S3C_FENCE_COUNTS];
    uint32_t              chains[S3C_FENCE_COUNTS];  /* + 1; 0: empty */
    _Atomic uint64_t      buckets[S3C_FENCE_BUCKETS];
    _Atomic uint64_t      versions[S3C_FENCE_VERSIONS];
    _Atomic uint32_t      lists[S3C_FENCE_LISTS];
    fence_place_sh_t      places[S3C_FENCE_PLACES];
    s3c_purge_sh_t        purge;
};

static_assert(sizeof(fence_place_sh_t) == 40, "a place");

#endif

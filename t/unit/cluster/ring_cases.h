/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the ring share: memberships from a seed, and their rings.
 */
#ifndef T_UNIT_CLUSTER_RING_CASES_H
#define T_UNIT_CLUSTER_RING_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/ring.h"

typedef struct {
    uint32_t           n;
    char               names[S3C_RING_MEMBERS_MAX + 1][S3C_RING_NAME_MAX];
    s3c_ring_member_t  members[S3C_RING_MEMBERS_MAX + 1];
} cast_t;

/* splitmix64 */
uint64_t draw(uint64_t *seed);

/* n members with names of any bytes and length, no zone; weights 1, or 1, 2, 4
 * in turn. One cast at a time: the same memory each time. */
cast_t *draw_cast(uint64_t seed, uint32_t n, bool weighted);
/* The same with names that people give: "cache-0.example"... */
cast_t *plain_cast(uint32_t n, bool weighted);
/* Members get the zones "z0", "z1".. in turn. */
void set_zones(cast_t *cast, uint32_t n_zones);

/* Of the cast's members; to be freed. */
s3c_ring_t *build_ring(const cast_t *cast);

#endif

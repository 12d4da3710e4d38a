/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node makes of Redis's answer: the roster that it publishes to its
 * workers. A roster is text, a line "name value\n" for each member, sorted by
 * the bytes of their names (see member.h).
 *
 * PURE     A function of the answer, the roster so far and one decision.
 * LIMITS   S3C_RING_MEMBERS_MAX members, in an answer and in a roster.
 */
#ifndef S3C_CLUSTER_ROSTER_H
#define S3C_CLUSTER_ROSTER_H

#include "cluster/member.h"

#define S3C_ROSTER_BYTES  (S3C_RING_MEMBERS_MAX * (size_t) S3C_MEMBER_LINE_MAX)

/* Foreign bytes. */
typedef struct {
    s3c_slice_t  name;
    s3c_slice_t  value;
} s3c_roster_item_t;

typedef struct {
    uint32_t  members;      /* in the new roster */
    uint32_t  held;         /* of these, who were not in the answer */
    uint32_t  refused;      /* of the answer: damaged, or of one address */
    bool      complete;     /* nobody had to be left out for lack of room */
} s3c_roster_sums_t;

/*
 * Writes the new roster. Members that are in the one before, but not in the
 * answer, stay unless `drop`, or they had said that they leave, or one of the
 * answer has their address. Of two with one address, the one with the greater
 * id stays, then the one with the lesser name: all nodes choose alike.
 *
 * BUSY: the answer has too many members. INVALID: it has none that is right,
 * and `before` had. FULL: no memory or no room. After these what was written
 * is of no use, and the roster before should stay.
 */
s3c_status_t s3c_roster_merge(s3c_writer_t *w, s3c_slice_t before,
    const s3c_roster_item_t *items, size_t n_items, bool drop,
    s3c_roster_sums_t *sums) S3C_MUST_CHECK;

#endif

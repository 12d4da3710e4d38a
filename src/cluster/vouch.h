/* SPDX-License-Identifier: Apache-2.0
 *
 * May what this node has been told be believed? Every node of a ring tells all
 * others of its writes before it asks the origin for them. One that cannot be
 * told goes on to read what is old; so each node asks each other, again and
 * again, whether it has been told of everything, and believes what it keeps
 * only while all of them say so:
 *
 *   holds    all others have answered not long ago, that they know this node
 *            and have told it of every write. What was validated since then
 *            (`since`) is as good as at its origin.
 *   lapsed   one of them has not. What is kept may be older than it by a write
 *            that nobody told.
 *   shunned  one of them has answered that it does not know this node, and so
 *            tells it of nothing. Then nothing that is kept is good for any
 *            time.
 *
 * It begins anew (`since` is now) when it had lapsed; when another node says
 * that it could not tell this one of something; when that node has begun a new
 * life, in which it does not know what it owes; and when one leaves the ring.
 *
 * The same idea as leases of Gray and Cheriton (SOSP 1989), but that a writer
 * waits for no lease: it is the readers who become careful.
 *
 * TIME     milliseconds of one clock of this node that never goes back.
 * NAMES    of nodes, by hash; 0 is none.
 * READERS  holds(): no lock. The others: one robust lock.
 */
#ifndef S3C_CLUSTER_VOUCH_H
#define S3C_CLUSTER_VOUCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/robust_lock.h"
#include "base/status.h"

#define S3C_VOUCH_ROWS  2048u

typedef struct {
    uint64_t              name;        /* 0: free */
    uint64_t              boot;        /* of its life; 0: has never answered */
    uint64_t              missed;      /* as it said last */
    uint64_t              heard_ms;    /* it was asked then, and answered */
    uint64_t              owed;        /* what it has not been told by this one */
    uint64_t              granted_ms;  /* it was last told how much that is */
    uint64_t              shuns_ms;    /* it did not know this one; 0: it does */
    uint64_t              round;       /* of the last judge() that named it */
    uint32_t              listed;
    uint32_t              unused;
} s3c_vouch_row_sh_t;

typedef struct {
    s3c_robust_lock_sh_t  lock;
    _Atomic uint64_t      since_ms;
    _Atomic uint64_t      until_ms;
    _Atomic uint64_t      shunned_ms;  /* until then; UINT64_MAX: it is */
    uint64_t              round;
    uint32_t              rows_used;
    s3c_vouch_row_sh_t    rows[S3C_VOUCH_ROWS];
} s3c_vouch_sh_t;

/* Over zeroed memory. IO: no robust lock to be had. */
s3c_status_t s3c_vouch_format(s3c_vouch_sh_t *v) S3C_MUST_CHECK;

/* Was what was validated at this time validated since? While it lapses: no. */
bool s3c_vouch_holds(const s3c_vouch_sh_t *v, uint64_t validated_ms,
    uint64_t now_ms);
/* Whether all do at the moment, whatever the age. */
bool s3c_vouch_stands(const s3c_vouch_sh_t *v, uint64_t now_ms);

/* Was this node known, when this was validated and since then, to all who have
 * answered? If not, even that which was validated lately is older than some
 * write that it will never be told of. */
bool s3c_vouch_was_known(const s3c_vouch_sh_t *v, uint64_t validated_ms);

/* Has it never stood yet? */
bool s3c_vouch_is_new(const s3c_vouch_sh_t *v);

/* The node of this name could not be told of something. */
void s3c_vouch_missed(s3c_vouch_sh_t *v, uint64_t name);
/* Nor could any other. */
void s3c_vouch_missed_all(s3c_vouch_sh_t *v);
/* It asks: of how much, ever? It believes what it has for a while now. */
uint64_t s3c_vouch_grant(s3c_vouch_sh_t *v, uint64_t name, uint64_t now_ms);
/* Does it still, so that it has to be told of a write if at all possible? */
bool s3c_vouch_is_granted(s3c_vouch_sh_t *v, uint64_t name, uint64_t life_ms,
    uint64_t now_ms);

/* It was asked at this time, and has answered that it is in this life (not 0)
 * and could not tell so much, ever. */
void s3c_vouch_heard(s3c_vouch_sh_t *v, uint64_t name, uint64_t boot,
    uint64_t missed, uint64_t asked_ms, uint64_t now_ms);
/* It has answered that it does not know this node. Counts until it is heard, has
 * left, or has been silent for `life_ms` of judge(). */
void s3c_vouch_shunned(s3c_vouch_sh_t *v, uint64_t name, uint64_t now_ms);
/* Now and then: these are the other nodes, each of which is believed for
 * `life_ms` after it was asked. Answers whether all of them are. */
bool s3c_vouch_judge(s3c_vouch_sh_t *v, const uint64_t *names, uint32_t n,
    uint64_t life_ms, uint64_t now_ms);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Which keys of other members are read here so often that they should be
 * mirrored, and how much of the memory that may take. Of all workers of a node:
 * three parts of shared memory without pointers and without a lock.
 *
 *   s3c_hot_sh_t         how often keys were read lately: a count-min sketch
 *   s3c_hot_budget_sh_t  bytes of the mirrors that may still live
 *   s3c_hot_due_sh_t     when mirrors are over, in order
 *
 * WRITERS  everybody, by relaxed atomics. Whoever dies in between leaves a
 *          count or a list a little wrong, for one lifetime at most; nothing
 *          here decides about right and wrong of an answer.
 * LIMITS   the constants below. Zeroed memory is empty.
 *
 * The rule. N members own keys, each node reads all of them alike, and what
 * a node does not own it asks the owner for. If no key has more than a share s
 * of the reads, then the questions that come to an owner are a sum of many
 * independent small parts, and the most loaded of N is above the mean by about
 * sqrt(2 ln N s N), whatever the popularities are. With
 *
 *     s = 1 / (32 N ln N)
 *
 * this is sqrt(2 / 32) = 0.25 of what a node's own clients ask. If all of that
 * is asked of others, it is half of a node's work, so the most loaded has 1.13
 * of the mean; if only some is, less. So a key is hot when its share of the
 * foreign reads of this node is s or more. For Zipf 1.0 these are the 2 N ln N
 * hottest of a million keys.
 */
#ifndef S3C_CLUSTER_HOT_H
#define S3C_CLUSTER_HOT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/hash.h"

#define S3C_HOT_SPREAD      32u
#define S3C_HOT_LINES       8192u       /* power of 2 */
#define S3C_HOT_ROWS        4u
#define S3C_HOT_COLUMNS     14u         /* of a row, in a line */
#define S3C_HOT_COUNT_MAX   255u
#define S3C_HOT_READS_MIN   4u          /* fewer say nothing */
#define S3C_HOT_WINDOW_MAX  (1u << 18)
#define S3C_HOT_PERIOD_MS   60000u
#define S3C_HOT_HEAT_MAX    15u

/* A key's counters lie in one cache line: no read costs more than one miss.
 * word[0] is the age that the others have been halved for. */
typedef struct {
    _Atomic uint64_t  word[8];
} s3c_hot_line_sh_t;

typedef struct {
    _Atomic uint64_t   age;             /* of all: so often halved */
    _Atomic uint64_t   began_ms;        /* this age */
    _Atomic uint64_t   recent;          /* reads in this age */
    _Atomic uint64_t   older;           /* and before, as far as they count */
    uint64_t           unused[4];
    s3c_hot_line_sh_t  line[S3C_HOT_LINES];
} s3c_hot_sh_t;

static_assert(sizeof(s3c_hot_line_sh_t) == 64, "a cache line");
static_assert(offsetof(s3c_hot_sh_t, line) == 64, "layout");
static_assert(S3C_HOT_ROWS * S3C_HOT_COLUMNS == 7 * 8, "layout");

typedef struct {
    uint32_t  share;        /* hot is one of so many reads, or more */
    uint32_t  window;       /* after so many reads all counts are halved */
} s3c_hot_rule_t;

/* n_owners: members that own keys; 1 is taken for 2. */
s3c_hot_rule_t s3c_hot_rule(uint32_t n_owners);
/* Counts a read of a key, which is a hash nobody can choose. Answers by how
 * many times it is hot: 0 is not at all, S3C_HOT_HEAT_MAX that or more. */
uint32_t s3c_hot_read(s3c_hot_sh_t *hot, s3c_hot_rule_t rule,
    s3c_hash128_t key, uint64_t now_ms);

/* --- the budget --------------------------------------------------------- */

#define S3C_HOT_WINDOWS  8u             /* of a lifetime */
#define S3C_HOT_SLOTS    16u

/* Each slot: 24 bits of a window's number, 40 bits of the bytes admitted. */
typedef struct {
    _Atomic uint64_t  slot[S3C_HOT_SLOTS];
} s3c_hot_budget_sh_t;

/*
 * May a mirror of so many bytes be made now, that lives for life_ms at most?
 * The bytes of all that live never exceed `limit`; they count for up to 1/8 of
 * life_ms longer than they live. What is hotter may use more of it: heat 1 a
 * half, 2 and 3 three quarters, 4 and more all.
 */
bool s3c_hot_spend(s3c_hot_budget_sh_t *budget, uint64_t bytes, uint64_t limit,
    uint32_t heat, uint32_t life_ms, uint64_t now_ms);
/* Bytes that count now. */
uint64_t s3c_hot_spent(const s3c_hot_budget_sh_t *budget, uint32_t life_ms,
    uint64_t now_ms);

/* --- when they are over ------------------------------------------------- */

#define S3C_HOT_DUE_MAX  8192u          /* power of 2 */

typedef struct {
    _Atomic uint64_t  head;             /* ever put */
    _Atomic uint64_t  tail;             /* ever taken or lost */
    struct {
        _Atomic uint64_t  lo;
        _Atomic uint64_t  hi;
        _Atomic uint64_t  due_ms;
    }                 slot[S3C_HOT_DUE_MAX];
} s3c_hot_due_sh_t;

/* The oldest is forgotten when there are too many. Times should not fall. */
void s3c_hot_due_put(s3c_hot_due_sh_t *due, s3c_hash128_t key,
    uint64_t due_ms);
/* One that is due. It is a hint: look whether it is so. */
bool s3c_hot_due_take(s3c_hot_due_sh_t *due, uint64_t now_ms,
    s3c_hash128_t *key);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of what is read most, in shared memory. A small table in which a
 * name can stand in two places: who finds it in neither wears down the weaker
 * of those that stand there and takes its place when nothing is left of it
 * (Misra and Gries). What is read far more often than the rest stays, whatever
 * else is read; counts are a little too low.
 *
 * A count is of the minute under way and of the one before, so that what is
 * over is forgotten.
 *
 * WRITERS  any worker, without a lock. Races cost a count or a name.
 * READERS  anybody: a name that was being written is known by its hash.
 * LIMITS   S3C_STATS_HOT_PLACES names of S3C_STATS_HOT_NAME bytes; names that
 *          agree in these and are cut are shown apart. Zeroed memory is empty.
 */
#ifndef S3C_STATS_STATS_HOT_H
#define S3C_STATS_STATS_HOT_H

#include <stdatomic.h>

#include "base/hash.h"
#include "base/slice.h"

#define S3C_STATS_HOT_PLACES  512u     /* power of 2 */
#define S3C_STATS_HOT_NAME    232u     /* bytes, a multiple of 8 */

typedef struct {
    _Atomic uint64_t  key;             /* 0: free */
    _Atomic uint64_t  check;           /* hash of the name as it is kept */
    _Atomic uint32_t  now;             /* reads in this minute */
    _Atomic uint32_t  before;          /* and in the last */
    _Atomic uint64_t  name[S3C_STATS_HOT_NAME / 8];
} s3c_stats_hot_place_sh_t;

typedef struct {
    _Atomic uint64_t          began_ms;       /* this minute */
    _Atomic uint64_t          lasted_ms;      /* the one before; 0: none */
    s3c_stats_hot_place_sh_t  place[S3C_STATS_HOT_PLACES];
} s3c_stats_hot_sh_t;

typedef struct {
    uint32_t  reads;
    uint8_t   name_len;
    uint8_t   name[S3C_STATS_HOT_NAME];
} s3c_stats_hot_t;

/* One read. key: a hash nobody can choose. The name is `bucket`, a slash and
 * the key, cut. */
void s3c_stats_hot_read(s3c_stats_hot_sh_t *hot, s3c_hash128_t key,
    s3c_slice_t bucket, s3c_slice_t name);
/* A minute is over. */
void s3c_stats_hot_turn(s3c_stats_hot_sh_t *hot, uint64_t now_ms);
/* The hottest, hottest first, at most max; and of how many ms they are. */
uint32_t s3c_stats_hot_top(const s3c_stats_hot_sh_t *hot, uint64_t now_ms,
    s3c_stats_hot_t *top, uint32_t max, uint64_t *ms);

#endif

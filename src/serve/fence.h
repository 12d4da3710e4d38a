/* SPDX-License-Identifier: Apache-2.0
 *
 * What is being written, for all workers of a zone. A name (an object, or a
 * whole bucket) that is fenced is not filled: its readers ask the origin, and
 * nothing of what they get is kept. The rule for a fill: begin it, then look
 * whether its name is fenced, and if so fail it. The rule for a write: fence,
 * then drop what is there, then ask the origin. So whatever is found under a
 * name while no fence holds it was asked for after the last write, or before
 * a write that is still to come.
 *
 * A write that its origin has yet to judge may be refused, and then nothing of
 * what is kept has to go. So what is to be dropped for it may be *due*: it is
 * kept, and no reader uses it (who finds something looks for dues, too), until
 * the write is over: refused, and the fence just goes; or not, and what is due
 * is dropped before the fence goes. Whoever owes it may die, or never hear the
 * end: lost() says what has to be dropped for them. Dues are dropped before
 * settle(), and forgotten by it.
 *
 * Beside it, generations: a counter for each bucket, and one for the versions
 * of each key, and for the lists of each directory, that the keys of the cache
 * are made with. To count one up is to drop all that was kept under it, at once.
 * All are tables by hash: names that share a place are dropped, or held back,
 * together.
 *
 * READERS  holds(), dues(), *_generation(): no lock.
 * WRITERS  all others: one robust lock; the counts are made anew from the
 *          places if a worker dies holding it.
 * LIMITS   S3C_FENCE_PLACES fences at a time: then begin(), keep() are FULL.
 */
#ifndef S3C_SERVE_FENCE_H
#define S3C_SERVE_FENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define S3C_FENCE_PLACES      65536u
#define S3C_FENCE_COUNTS      65536u      /* power of two */
#define S3C_FENCE_BUCKETS     4096u       /* power of two */
#define S3C_FENCE_VERSIONS    16384u      /* power of two */
#define S3C_FENCE_LISTS       16384u      /* power of two */

typedef struct s3c_fence_sh_s  s3c_fence_sh_t;

/* One fence: which place, and for the how-manieth time. 0 is none. */
typedef uint64_t  s3c_fence_id_t;

/* What has to be dropped before it goes; for dropping, more than a hash is
 * known to who took it, but may have to do. */
typedef enum {
    S3C_FENCE_DUE_NONE = 0,
    S3C_FENCE_DUE_KEY,
    S3C_FENCE_DUE_BUCKET,
    S3C_FENCE_DUE_LIST
} s3c_fence_due_t;

typedef struct {
    s3c_fence_id_t   id;
    uint64_t         name;
    s3c_fence_due_t  due;
} s3c_fence_lost_t;

size_t s3c_fence_bytes(void);
/* Over zeroed memory that nobody uses yet. IO: no robust lock to be had. */
s3c_status_t s3c_fence_format(s3c_fence_sh_t *f) S3C_MUST_CHECK;

bool s3c_fence_holds(const s3c_fence_sh_t *f, uint64_t name);
/* How many fences have something due. 0: what is found may be used. */
uint32_t s3c_fence_dues(const s3c_fence_sh_t *f);
/* `owner`: the pid of the caller. FULL: no place; BUSY: no lock. */
s3c_status_t s3c_fence_begin(s3c_fence_sh_t *f, uint64_t name,
    s3c_fence_due_t due, uint32_t owner, s3c_fence_id_t *id) S3C_MUST_CHECK;
/* until_ms 0: at once. Else it goes on to hold, without an owner, until that
 * time: nobody knows what became of the write. What was due has been dropped,
 * or need not be. */
void s3c_fence_end(s3c_fence_sh_t *f, s3c_fence_id_t id, uint64_t until_ms);
/* The same for a write of another node, which knows it by a tag of its own, not
 * 0: holds until `until_ms`, or until lift(). What is due is so until settle().
 * EXISTS: it has held all the time since, and does until `until_ms`, and
 * nothing is due. */
s3c_status_t s3c_fence_keep(s3c_fence_sh_t *f, uint64_t name, uint64_t tag,
    s3c_fence_due_t due, uint64_t until_ms) S3C_MUST_CHECK;
/* OK: held, nothing is due; AGAIN: something is; MISS: there is none. */
s3c_status_t s3c_fence_ask(s3c_fence_sh_t *f, uint64_t name, uint64_t tag)
    S3C_MUST_CHECK;
void s3c_fence_settle(s3c_fence_sh_t *f, uint64_t name, uint64_t tag);
/* `until_ms` as of end(), and what was due, too. MISS: there is none. */
s3c_status_t s3c_fence_lift(s3c_fence_sh_t *f, uint64_t name, uint64_t tag,
    uint64_t until_ms);
/* One that is over, since its time is or its owner is dead, and whose due
 * nobody will drop: drop it, then settle it. sweep() leaves such as they are.
 * `lost`: the one before, or zeroed. */
bool s3c_fence_lost(s3c_fence_sh_t *f, uint64_t now_ms,
    bool (*is_alive)(uint32_t owner), s3c_fence_lost_t *lost);
void s3c_fence_settle_lost(s3c_fence_sh_t *f, const s3c_fence_lost_t *lost);
/* Ends those whose time is over; those whose owner is dead go on to hold until
 * `until_ms`. Answers how many of the latter there were. */
uint32_t s3c_fence_sweep(s3c_fence_sh_t *f, uint64_t now_ms,
    uint64_t until_ms, bool (*is_alive)(uint32_t owner));
/* How many hold. */
uint32_t s3c_fence_held(const s3c_fence_sh_t *f);

/* How the objects are named by the configuration in force; RETIRED: this memory
 * is no more in use by any. */
#define S3C_FENCE_RETIRED  UINT64_MAX
uint64_t s3c_fence_config(const s3c_fence_sh_t *f);
void s3c_fence_set_config(s3c_fence_sh_t *f, uint64_t config);
/* How often it has changed. */
uint64_t s3c_fence_epoch(const s3c_fence_sh_t *f);
/* How many fences are of before it last changed: who took them may not have
 * known that lists are kept, and fenced none. */
uint32_t s3c_fence_strangers(const s3c_fence_sh_t *f);

/* Has any generation ever been counted up? While not, all are 0. */
bool s3c_fence_moved(const s3c_fence_sh_t *f);
void s3c_fence_move(s3c_fence_sh_t *f);            /* of those in purge.h */
uint64_t s3c_fence_bucket_generation(const s3c_fence_sh_t *f, uint64_t name);
void s3c_fence_bucket_drop(s3c_fence_sh_t *f, uint64_t name);
/* After a start: the generations of these places (of S3C_FENCE_BUCKETS) are
 * not known any more, and begin anew at a number that was never used. */
void s3c_fence_bucket_forget(s3c_fence_sh_t *f, uint32_t place,
    uint64_t generation);
/* Has that been done? It is for the caller to say. */
bool s3c_fence_is_loaded(const s3c_fence_sh_t *f);
void s3c_fence_loaded(s3c_fence_sh_t *f);
/* What flash has of an earlier life no mark covers: it is not found again. */
uint64_t s3c_fence_versions_generation(const s3c_fence_sh_t *f,
    uint64_t name);
void s3c_fence_versions_drop(s3c_fence_sh_t *f, uint64_t name);
uint64_t s3c_fence_lists_generation(const s3c_fence_sh_t *f, uint64_t name);
void s3c_fence_lists_drop(s3c_fence_sh_t *f, uint64_t name);

#endif

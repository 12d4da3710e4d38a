/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory tier: one region of shared memory, mapped at any address by any
 * number of worker processes, that keeps payloads under 128-bit keys, evicts
 * by a policy, and lets one leader fill an entry while followers in all
 * workers read what has arrived. It knows neither HTTP nor S3.
 *
 * READERS  find, span, unpin: take no lock. A pin is one word in the caller's
 *          own slot (a hazard pointer): the evictor looks for it there.
 * WRITERS  fill_*, drop: one robust lock; a worker that dies while it holds it
 *          is healed by the next one (the index is rebuilt from the entries).
 * LIMITS   every maximum is a field of s3c_ram_conf_t or a constant here;
 *          reaching one is S3C_BUSY or S3C_FULL, never a wait or an abort.
 * TIME     is an argument: milliseconds that never go back (monotonic).
 */
#ifndef S3C_RAM_RAM_H
#define S3C_RAM_RAM_H

#include <sys/uio.h>

#include "base/hash.h"
#include "base/slice.h"
#include "base/status.h"

#define S3C_RAM_MIN_BYTES      (4u << 20)   /* smallest region */
#define S3C_RAM_SLOTS_MAX      256          /* workers that share a region */
#define S3C_RAM_ENTRY_MAX      (64u << 20)  /* largest payload of one entry */
#define S3C_RAM_SPANS_MAX      128          /* pieces of one entry at most */
#define S3C_RAM_NO_SLOT        UINT32_MAX

typedef enum {
    S3C_RAM_S3FIFO = 0,      /* small queue, ghost, main queue: the default */
    S3C_RAM_LRU              /* strictly by the time of the last request */
} s3c_ram_policy_t;

typedef struct {
    s3c_ram_policy_t  policy;
    uint32_t          n_slots;         /* 1..S3C_RAM_SLOTS_MAX */
    uint32_t          n_fills;         /* fills in flight at most; power of 2 */
    uint64_t          fill_bytes_max;  /* bytes of all fills in flight */
    uint8_t           secret[S3C_HASH_SECRET_BYTES];  /* used by format only */
} s3c_ram_conf_t;

/* Process-local handle. Opaque; holds base address, own slot, free pins. */
typedef struct s3c_ram_s  s3c_ram_t;

/* A held entry. By value; zero-initialised means "holds nothing". */
typedef struct {
    uint32_t  entry;         /* index of the entry, 0 is none */
    uint32_t  place;         /* where in my slot's pin table */
} s3c_ram_pin_t;

typedef enum {
    S3C_FILL_ASKING = 1,     /* no memory yet: the leader waits for a head */
    S3C_FILL_BODY,           /* memory is there, `filled` bytes are readable */
    S3C_FILL_DONE,           /* live: all bytes are readable */
    S3C_FILL_FAILED          /* over: see `reason`; nothing more will come */
} s3c_fill_phase_t;

typedef struct {
    s3c_fill_phase_t  phase;
    uint64_t          filled;      /* readable bytes from the start */
    uint32_t          size;        /* whole payload; 0 while ASKING */
    uint32_t          reason;      /* the leader's word when FAILED, not 0 */
    uint32_t          mark;        /* the leader's word before that, or 0 */
} s3c_fill_view_t;

/* reason that the tier itself gives: the leader's worker died */
#define S3C_FILL_REASON_DIED  UINT32_MAX

typedef struct {
    uint64_t  region_bytes;        /* all of it */
    uint64_t  arena_bytes;         /* what payloads and entries may use */
    uint64_t  payload_bytes;       /* asked for by live and filling entries */
    uint64_t  allocated_bytes;     /* the same, rounded up to units */
    uint64_t  index_bytes;         /* heads, ghost, maps, entry pages, slots */
    uint64_t  fill_bytes;          /* of the fills in flight */
    uint64_t  entries;             /* live */
    uint64_t  fills;               /* in flight */
    uint64_t  limbo;               /* removed, still pinned */
    uint64_t  pins;                /* held now by all slots */
    uint64_t  slots;               /* taken by live workers */
    uint64_t  n_insert;            /* since format: */
    uint64_t  n_evict;
    uint64_t  evict_bytes;
    uint64_t  n_drop;
    uint64_t  n_ghost_hit;
    uint64_t  n_full;              /* S3C_FULL answers */
    uint64_t  n_busy;              /* S3C_BUSY answers */
    uint64_t  n_heal;              /* rebuilds after a worker died locked */
    uint64_t  n_dead_worker;       /* slots swept */
} s3c_ram_usage_t;

/* --- the region ------------------------------------------------------- */

/* Writes an empty cache into `bytes` of zeroed or arbitrary memory, which
 * must be page-aligned. INVALID when conf or size is impossible. Call before
 * any other process sees the region. */
s3c_status_t s3c_ram_format(void *region, size_t bytes,
    const s3c_ram_conf_t *conf) S3C_MUST_CHECK;
/* Is this a region of our layout and of this size and conf (policy, slots,
 * fills; not the secret)? CORRUPT if not. Touches only the header. */
s3c_status_t s3c_ram_check(const void *region, size_t bytes,
    const s3c_ram_conf_t *conf) S3C_MUST_CHECK;

/* Attaches the calling process. `wake(ctx, slot)` is called, also for the
 * own slot, when a fill that this slot watches has moved; it must be cheap
 * and must not call back into the tier. The handle is malloc'ed; destroyed
 * by s3c_ram_leave. The caller must be the thread that lives as long as the
 * worker does. Takes a free slot: BUSY when all are taken (the handle is then
 * NULL and the worker does without the tier). */
s3c_status_t s3c_ram_join(s3c_ram_t **ram, void *region, size_t bytes,
    void (*wake)(void *ctx, uint32_t slot), void *ctx, uint64_t now_ms)
    S3C_MUST_CHECK;
void s3c_ram_leave(s3c_ram_t *ram);
uint32_t s3c_ram_slot(const s3c_ram_t *ram);
const uint8_t *s3c_ram_secret(const s3c_ram_t *ram);
uint32_t s3c_ram_fills_max(const s3c_ram_t *ram);   /* n_fills of the conf */

/* Looks for slots whose worker died: clears their pins, fails their fills
 * with S3C_FILL_REASON_DIED and wakes the followers. Answers how many. Cheap:
 * call it every few hundred ms from every worker. Also frees limbo. */
uint32_t s3c_ram_sweep(s3c_ram_t *ram, uint64_t now_ms);

/* --- reading ---------------------------------------------------------- */

/* OK: live, pinned, its request is noted for the policy. AGAIN: a fill is in
 * flight, pinned. MISS. BUSY: my pin table is full. Takes no lock, so a MISS
 * may be a false one while others write: fill_begin looks again, locked. (The
 * one exception: the pin table grows under the lock, a few times in a life.) */
s3c_status_t s3c_ram_find(s3c_ram_t *ram, s3c_hash128_t key, uint64_t now_ms,
    s3c_ram_pin_t *pin) S3C_MUST_CHECK;
/* The same, but nothing is noted: who looks is no reader. */
s3c_status_t s3c_ram_peek(s3c_ram_t *ram, s3c_hash128_t key,
    s3c_ram_pin_t *pin) S3C_MUST_CHECK;
void s3c_ram_unpin(s3c_ram_t *ram, s3c_ram_pin_t *pin);   /* zeroes *pin */
/* A second pin on the same entry. BUSY as above. */
s3c_status_t s3c_ram_pin_again(s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    s3c_ram_pin_t *out) S3C_MUST_CHECK;

static inline bool
s3c_ram_pinned(const s3c_ram_pin_t *pin)
{
    return pin->entry != 0;
}

uint32_t s3c_ram_size(const s3c_ram_t *ram, const s3c_ram_pin_t *pin);
/* The contiguous head: at least min(head_bytes of the allocation, size). */
void *s3c_ram_head(const s3c_ram_t *ram, const s3c_ram_pin_t *pin);
/* The memory of [off, off + len) as up to *n spans; answers the bytes that
 * the spans cover (less than len when *n was too small) and sets *n. Valid
 * while pinned; written only by the leader of a fill. */
size_t s3c_ram_span(const s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    size_t off, size_t len, struct iovec *iov, int *n);

/* --- filling ---------------------------------------------------------- */

/* Under the lock. OK: I lead: an entry in ASKING, pinned (unpin it like any
 * other after commit or fail). AGAIN: another fill leads, pinned. EXISTS: it
 * became live, pinned. BUSY: n_fills or my pins reached. */
s3c_status_t s3c_ram_fill_begin(s3c_ram_t *ram, s3c_hash128_t key,
    uint64_t now_ms, s3c_ram_pin_t *pin) S3C_MUST_CHECK;
/* The same of what nobody asks for (a warm-up): it makes room only of free
 * memory and of what was never asked for after it came, not of its like, but
 * with `replaces` of its like, too; it enters where victims are looked for, and
 * no request is noted. S3C_FULL, then, is soon. */
s3c_status_t s3c_ram_fill_begin_cold(s3c_ram_t *ram, s3c_hash128_t key,
    bool replaces, uint64_t now_ms, s3c_ram_pin_t *pin) S3C_MUST_CHECK;
/* Leader, once, in ASKING: memory for `size` bytes of which the first
 * `head_bytes` are contiguous; evicts what it must. Phase stays ASKING until
 * the first publish. FULL: nothing can be evicted or it can never fit; BUSY:
 * fill_bytes_max. After FULL or BUSY the fill is still ASKING. */
s3c_status_t s3c_ram_fill_alloc(s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    uint32_t size, uint32_t head_bytes, uint64_t now_ms) S3C_MUST_CHECK;
/* Leader: the first `filled` bytes are written; phase BODY; wakes watchers. */
void s3c_ram_fill_publish(s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    uint32_t filled);
/* Leader: something that followers may want to know of a fill that goes on;
 * wakes watchers. */
void s3c_ram_fill_mark(s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    uint32_t mark);
/* Leader: all bytes are there: live from now on; wakes watchers. CHANGED:
 * the key was dropped meanwhile, so the bytes serve those who hold pins, and
 * nobody else will find them. */
s3c_status_t s3c_ram_fill_commit(s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    uint64_t now_ms);
/* Leader: over without a result; wakes watchers; frees the memory when the
 * last pin goes. `reason` is not 0. */
void s3c_ram_fill_fail(s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    uint32_t reason);

/* What a pinned entry looks like now, whoever fills it. */
void s3c_ram_view(const s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    s3c_fill_view_t *view);
/* Wake me whenever this fill moves. Look at the view after the call, since
 * what moved before it wakes nobody. Answers the fill's number, for
 * s3c_ram_woken, or UINT32_MAX when the fill is already over. */
uint32_t s3c_ram_watch(s3c_ram_t *ram, const s3c_ram_pin_t *pin);
/* After a wake: the numbers of the fills that moved since the last call, at
 * most `max` a call; call until it answers 0. Numbers are used again: a
 * false alarm is possible, a lost one is not. */
uint32_t s3c_ram_woken(s3c_ram_t *ram, uint32_t *fills, uint32_t max);

/* --- leaving ---------------------------------------------------------- */

/* Out of the index at once, whether live or filling. MISS if not there. */
s3c_status_t s3c_ram_drop(s3c_ram_t *ram, s3c_hash128_t key);
/* Only if it is still this very entry (a reader found it stale or wrong). */
s3c_status_t s3c_ram_drop_pinned(s3c_ram_t *ram, const s3c_ram_pin_t *pin);
void s3c_ram_drop_all(s3c_ram_t *ram);

/* --- checksums ---------------------------------------------------------- */

/* How many bytes at the front of a payload may change after its commit, told
 * from the bytes themselves (`avail` of them are contiguous). */
typedef uint32_t (*s3c_ram_skip_pt)(const void *head, size_t avail);

/* From now on what this process commits gets a sum (CRC32C of all but these
 * bytes); NULL: no more. Others in the region need not do the same: what has no
 * sum gets it when the walk first comes by. */
void s3c_ram_sums(s3c_ram_t *ram, s3c_ram_skip_pt skip);

typedef struct {
    uint64_t  entries;           /* looked at to their end */
    uint64_t  bytes;             /* of them */
    uint64_t  sealed;            /* of them, had no sum and have one now */
    uint64_t  bad;               /* another sum: dropped */
    uint64_t  passes;            /* the last entry was reached */
} s3c_ram_scrubbed_t;

/* The walk over all live entries is one worker's, until it ends the walk or
 * dies; the next one goes on where it was. BUSY: another has it, or there is no
 * memory. `bad`, if not NULL, is called before one is dropped. */
s3c_status_t s3c_ram_scrub_begin(s3c_ram_t *ram,
    void (*bad)(void *ctx, const s3c_ram_pin_t *pin), void *ctx)
    S3C_MUST_CHECK;
/* Some more of it, `bytes` and at most 64 KiB above; adds to *found. Never
 * waits; a large entry that it is at is pinned between two calls, too. After
 * s3c_ram_sums(). */
void s3c_ram_scrub(s3c_ram_t *ram, uint32_t bytes, s3c_ram_scrubbed_t *found);
void s3c_ram_scrub_end(s3c_ram_t *ram);
bool s3c_ram_scrubs(const s3c_ram_t *ram);

void s3c_ram_usage(const s3c_ram_t *ram, s3c_ram_usage_t *usage);
/* Full consistency check of index, queues, arena and accounting, under the
 * lock; for tests and the admin. CORRUPT names the first broken thing. */
s3c_status_t s3c_ram_audit(s3c_ram_t *ram, const char **what) S3C_MUST_CHECK;

#endif

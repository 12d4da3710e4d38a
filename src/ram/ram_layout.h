/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies in the memory region, byte for byte. Offsets and indices only: the
 * region may be mapped anywhere. In this order, each part cache-line aligned:
 *
 *   head     constants under a checksum, then the counters and list heads
 *   locks    one robust lock a slot (the writers' lock is in the head)
 *   slots    a worker's sign-in, where its pins lie, its wake-up bitmap
 *   fills    fills in flight
 *   lists    sentinels of the policy's queues
 *   heads    the hash table
 *   ghost    fingerprints of what the small queue threw out (s3fifo only)
 *   pages    where each page of entries lies in the arena
 *   map      one byte a unit: what begins there
 *   arena    units of 512 bytes: payloads, entry pages, pin tables
 *
 * GROUND TRUTH  After a crash of a writer only these are believed: the head's
 * constants, `slots`, `fills`, `pages`, the entries, the indirect units and
 * the map bytes where an entry says an extent begins. All else is derived and
 * is rebuilt by heal, see ram_heal.c.
 */
#ifndef S3C_RAM_RAM_LAYOUT_H
#define S3C_RAM_RAM_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/robust_lock.h"

#define S3C_RAM_MAGIC            0x4d41522d63337363ull
#define S3C_RAM_LAYOUT           2

#define S3C_RAM_LINE             64u
#define S3C_RAM_UNIT_SHIFT       9
#define S3C_RAM_UNIT             (1u << S3C_RAM_UNIT_SHIFT)
#define S3C_RAM_ORDERS           18          /* 512 B .. 64 MiB */
#define S3C_RAM_UNITS_MAX        (1u << 31)  /* 1 TiB of arena */
#define S3C_RAM_NIL              UINT32_MAX  /* no unit */

#define S3C_RAM_PAGE_ORDER       3           /* a page of entries: 4 KiB */
#define S3C_RAM_PAGE_ENTRIES     68
#define S3C_RAM_DIRECT           4           /* extents named in the entry */
#define S3C_RAM_INDIRECT         127         /* in a unit of its own */
static_assert(S3C_RAM_SPANS_MAX > 127, "spans of an entry");

#define S3C_RAM_LRU_LISTS        1024
#define S3C_RAM_FIFO_LISTS       2
#define S3C_RAM_LIST             0x80000000u /* a link that names a list */

#define S3C_RAM_PINS_CHUNK       1024        /* pins in one page: 4 KiB */
#define S3C_RAM_PINS_CHUNKS      16          /* chunks of a slot at most */
#define S3C_RAM_FILLS_MAX        65536

/* A map byte: what begins at this unit; 0 inside a block. */
#define S3C_RAM_MAP_USED         0x80
#define S3C_RAM_MAP_FREE         0x40
#define S3C_RAM_MAP_CLAIMED      0x20        /* scratch of heal and audit */
#define S3C_RAM_MAP_ORDER        0x1f

/* The life of an entry. A reader may pin FILLING and LIVE only. */
typedef enum {
    S3C_RAM_FREE = 0,
    S3C_RAM_FILLING,       /* in the index; `fill` says which */
    S3C_RAM_LIVE,          /* in the index and in a queue */
    S3C_RAM_CONDEMNED,     /* a victim while the pins are looked at: becomes
                              FREE, or LIVE again if somebody holds it */
    S3C_RAM_OUT,           /* filling, but dropped: no longer in the index */
    S3C_RAM_DEAD,          /* whole, dropped; in limbo until unpinned */
    S3C_RAM_FAILED,        /* a fill that failed; `tick` is the reason */
    S3C_RAM_STATES
} s3c_ram_state_t;

/* Upper bits of s3c_ram_entry_sh_t.size. */
#define S3C_RAM_SIZE_MASK        0x07ffffffu
#define S3C_RAM_F_MEM            0x08000000u /* ext[] is valid */
#define S3C_RAM_F_INDIRECT       0x10000000u /* ext[0] is a unit of extents */
#define S3C_RAM_F_MAIN           0x20000000u /* s3fifo: in the main queue */
#define S3C_RAM_F_AGED           0x40000000u /* limbo: not before `prev` */
#define S3C_RAM_F_SEEN           0x80000000u /* scratch of one scan */

/* hits of what nobody has asked for yet (fill_begin_cold); a request ends it */
#define S3C_RAM_COLD             0x80u
#define S3C_RAM_COLD_KEPT        0x81u       /* and flash has it, too */

typedef struct {
    uint64_t  key_lo;
    uint64_t  key_hi;
    uint32_t  chain;       /* next in the hash chain */
    uint32_t  prev;        /* queue; in limbo: when its age is over */
    uint32_t  next;        /* queue, limbo or free list */
    uint32_t  ext[S3C_RAM_DIRECT];
    uint32_t  size;        /* payload bytes and S3C_RAM_F_* */
    uint32_t  tick;        /* last request (lru) or insertion (s3fifo) */
    uint8_t   state;
    uint8_t   hits;        /* s3fifo: 0..3; or S3C_RAM_COLD.. */
    uint16_t  fill;        /* while FILLING or OUT */
} s3c_ram_entry_sh_t;

/* A page of entries. The sums stand behind them: a reader of an entry never
 * comes near. */
typedef struct {
    s3c_ram_entry_sh_t  entry[S3C_RAM_PAGE_ENTRIES];
    uint32_t            sum[S3C_RAM_PAGE_ENTRIES];   /* of the payload; 0: it
                                                        has none, ram_sum.c */
} s3c_ram_page_sh_t;

typedef struct {
    uint32_t  n;
    uint32_t  ext[S3C_RAM_INDIRECT];
} s3c_ram_indirect_sh_t;

typedef struct {
    uint32_t  prev;
    uint32_t  next;
} s3c_ram_list_sh_t;

typedef struct {
    uint32_t  entry;       /* 0: this number is free */
    uint32_t  leader;      /* slot */
    uint32_t  phase;       /* s3c_fill_phase_t: ASKING or BODY */
    uint32_t  filled;
    uint32_t  next;        /* free numbers; S3C_RAM_NIL ends */
    uint32_t  mark;        /* the leader's */
    uint64_t  watchers[];  /* a bit a slot */
} s3c_ram_fill_sh_t;

typedef struct {
    uint32_t  taken;
    uint32_t  pid;         /* for people; nothing depends on it */
    uint32_t  high;        /* pins at and above this place are all 0 */
    uint32_t  unused;
    uint32_t  pins[S3C_RAM_PINS_CHUNKS];   /* 1 + unit of a chunk; 0: none */
    uint32_t  unused1[12];
    /* written by other workers: a line of its own */
    uint32_t  kicked;
    uint32_t  unused2;
    uint64_t  dirty[];     /* a bit a fill that moved */
} s3c_ram_slot_sh_t;

/* Written by format and never again. */
typedef struct {
    uint64_t  magic;
    uint32_t  layout;
    uint32_t  policy;
    uint32_t  n_slots;
    uint32_t  n_fills;
    uint64_t  fill_bytes_max;
    uint64_t  region_bytes;

    uint64_t  locks_off;
    uint64_t  slots_off;
    uint64_t  fills_off;
    uint64_t  lists_off;
    uint64_t  heads_off;
    uint64_t  ghost_off;
    uint64_t  pages_off;
    uint64_t  map_off;
    uint64_t  arena_off;

    uint32_t  slot_bytes;
    uint32_t  fill_bytes;
    uint32_t  n_lists;
    uint32_t  n_heads;     /* power of two */
    uint32_t  n_ghost;     /* power of two, or 0 */
    uint32_t  n_pages;
    uint32_t  n_units;
    uint32_t  n_pins;      /* places in a slot's pin table when fully grown */

    uint8_t   secret[S3C_HASH_SECRET_BYTES];
    uint64_t  check;       /* s3c_hash64 of all the above */
} s3c_ram_const_sh_t;

/* Guarded by the lock, except where an atomic store says otherwise. */
typedef struct {
    uint64_t  now_ms;                        /* the latest that was told */

    uint32_t  free_head[S3C_RAM_ORDERS];     /* arena */
    uint32_t  n_free[S3C_RAM_ORDERS];
    uint64_t  free_units;

    uint32_t  free_entry;
    uint32_t  pages_used;
    uint32_t  free_fill;
    uint32_t  limbo;
    uint32_t  limbo_kept;                    /* left by the last collection */

    uint32_t  ring_base;                     /* lru: first tick of list ... */
    uint32_t  ring_first;                    /* ... this one */
    uint32_t  ring_shift;                    /* a list spans 1 << shift ticks */

    uint64_t  small_bytes;                   /* s3fifo */
    uint64_t  main_bytes;
    uint32_t  n_main;
    uint32_t  ghost_clock;

    uint64_t  payload_bytes;
    uint64_t  payload_units;                 /* of all entries, limbo too */
    uint64_t  fill_bytes;
    uint64_t  n_entries;
    uint64_t  n_filling;
    uint64_t  n_limbo;
    uint64_t  limbo_units;

    uint64_t  n_insert;
    uint64_t  n_evict;
    uint64_t  evict_bytes;
    uint64_t  n_drop;
    uint64_t  n_ghost_hit;
    uint64_t  n_full;                        /* these four by atomic adds */
    uint64_t  n_busy;
    uint64_t  n_heal;
    uint64_t  n_dead_worker;

    uint32_t  scrub_at;                      /* entry; any value will do */
} s3c_ram_state_sh_t;

typedef struct {
    s3c_ram_const_sh_t    c;
    s3c_robust_lock_sh_t  lock __attribute__((aligned(64)));
    s3c_ram_state_sh_t    s __attribute__((aligned(64)));
    s3c_robust_lock_sh_t  scrub __attribute__((aligned(64)));  /* whose walk */
} s3c_ram_head_sh_t;

static_assert(sizeof(s3c_ram_entry_sh_t) == 56, "56 bytes an entry");
static_assert(sizeof(s3c_ram_page_sh_t)
              <= (S3C_RAM_UNIT << S3C_RAM_PAGE_ORDER), "a page of entries");
static_assert(sizeof(s3c_ram_indirect_sh_t) == S3C_RAM_UNIT, "one unit");
static_assert(sizeof(s3c_ram_list_sh_t) == 8, "a sentinel");
static_assert(sizeof(s3c_ram_fill_sh_t) == 24, "watchers follow");
static_assert(offsetof(s3c_ram_slot_sh_t, kicked) == 128, "own line");
static_assert(offsetof(s3c_ram_slot_sh_t, dirty) == 136, "bitmap follows");
static_assert(offsetof(s3c_ram_const_sh_t, check) == 336, "checked bytes");
static_assert(sizeof(s3c_ram_const_sh_t) == 344, "constants");
static_assert(sizeof(s3c_robust_lock_sh_t) <= S3C_RAM_LINE, "a lock a line");

#endif

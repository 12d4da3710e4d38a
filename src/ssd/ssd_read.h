/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the reader share: buffers that the device reads into
 * (ssd_window), ops that fetch and check (ssd_fetch), reads (ssd_read).
 *
 * OPS      each read has one, from a fixed table. It outlives the read when
 *          that is cancelled or timed out while its I/O is in the kernel.
 * STATES   WAITING for a buffer or the queue (first come, first served);
 *          FLYING, in the kernel; DELIVERING, in on_data. An op without a
 *          read goes back to the table as soon as it is not FLYING.
 * SHARES   of what all stores have together (ops, buffers) one of several may
 *          hold as much as it leaves free: one that hangs never has all, and
 *          the next that hangs has half of the rest.
 */
#ifndef S3C_SSD_SSD_READ_H
#define S3C_SSD_SSD_READ_H

#include "ssd/ssd_internal.h"

/* Buffers of a worker, all together; reads that find none wait. What hangs in
 * the kernel is not counted, up to as much again. */
#define S3C_SSD_READ_MEMORY   (32u << 20)
#define S3C_SSD_READ_CLASSES  8
#define S3C_SSD_TRIM_US       1000000    /* how often spare ones are freed */

/* Room for the buffers, for those that hang, and for gaps. */
#define S3C_SSD_HEAP_BYTES     (4 * (size_t) S3C_SSD_READ_MEMORY)
#define S3C_SSD_HEAP_GRANULE   (8u << 10)
#define S3C_SSD_HEAP_GRANULES  (S3C_SSD_HEAP_BYTES / S3C_SSD_HEAP_GRANULE)
#define S3C_SSD_HEAP_PAGES     64        /* of 2 MiB: bits of `touched` */

static_assert(S3C_SSD_HEAP_BYTES == (size_t) S3C_SSD_HEAP_PAGES << 21,
              "a bit for each page");

typedef struct {
    uint8_t   *base;                           /* NULL: not yet */
    uint64_t   used[S3C_SSD_HEAP_GRANULES / 64];
    uint64_t   touched;                        /* pages given back from */
    uint32_t   n_used;                         /* granules */
} s3c_ssd_heap_t;

/* `bytes`: whole granules. NULL: there is no such piece. */
void *s3c_ssd_heap_take(s3c_ssd_heap_t *heap, size_t bytes);
void s3c_ssd_heap_give(s3c_ssd_heap_t *heap, void *p, size_t bytes);
/* Pages that nobody uses go back to the kernel. */
void s3c_ssd_heap_trim(s3c_ssd_heap_t *heap);
/* If anything is still lent (the kernel may write there), all of it stays. */
void s3c_ssd_heap_fini(s3c_ssd_heap_t *heap);

typedef struct {
    s3c_ssd_heap_t  heap;
    void      *free[S3C_SSD_READ_CLASSES];     /* each begins with the next */
    uint32_t   n_free[S3C_SSD_READ_CLASSES];
    uint32_t   n_spare[S3C_SSD_READ_CLASSES];  /* lowest n_free since a trim */
    size_t     bytes;                          /* of all, but for lost ones */
    size_t     lost_bytes;
    size_t     lent_bytes;                     /* of `bytes`; by store: */
    size_t     lent[S3C_SSD_STORES_MAX];
    bool       shared;                         /* by several stores */
} s3c_ssd_pool_t;

typedef struct {
    uint8_t   *data;                     /* NULL: none */
    uint8_t    size_class;
    uint8_t    store;                    /* that it is lent to */
    bool       lost;
} s3c_ssd_buffer_t;

/* Aligned to a block. BUSY: there is no more; AGAIN: not for this store, it
 * has its share. */
s3c_status_t s3c_ssd_pool_take(s3c_ssd_pool_t *pool, uint32_t store,
    uint32_t len, s3c_ssd_buffer_t *buffer) S3C_MUST_CHECK;
void s3c_ssd_pool_give(s3c_ssd_pool_t *pool, s3c_ssd_buffer_t *buffer);
/* It hangs in the kernel, perhaps for ever: others may take its share. It is
 * given back all the same should it return. */
void s3c_ssd_pool_lose(s3c_ssd_pool_t *pool, s3c_ssd_buffer_t *buffer);
/* Frees half of what nobody needed since the last time. */
void s3c_ssd_pool_trim(s3c_ssd_pool_t *pool);
/* Frees what is not lent. */
void s3c_ssd_pool_fini(s3c_ssd_pool_t *pool);

/* Frames [frame, end) of a record, and the aligned piece of its store that
 * covers them. */
typedef struct {
    uint64_t  off;                       /* in the store */
    uint32_t  len;
    uint32_t  frame, end;
} s3c_ssd_window_t;

/* As many of the frames from `frame` and before `end` as one I/O may have.
 * MISS: none of them can lie inside the place. */
s3c_status_t s3c_ssd_window_of(s3c_ssd_place_t place, uint32_t align,
    uint32_t frame, uint32_t end, s3c_ssd_window_t *window) S3C_MUST_CHECK;
/* Bytes of the window that must be there for all its frames. */
uint32_t s3c_ssd_window_need(s3c_ssd_place_t place,
    const s3c_ssd_window_t *window);
/* The longest payload a place of so many units can have. */
uint32_t s3c_ssd_units_size(uint32_t units);

/* --- ops ----------------------------------------------------------------- */

/* Those that hang, or are another store's, may be as many again. */
#define S3C_SSD_READ_OPS  (2 * S3C_SSD_READS_MAX)

typedef struct s3c_ssd_op_s  s3c_ssd_op_t;

typedef struct {
    s3c_ssd_op_t  *first, *last;
} s3c_ssd_op_list_t;

typedef enum {
    S3C_SSD_OP_FREE = 0,
    S3C_SSD_OP_WAITING,
    S3C_SSD_OP_FLYING,
    S3C_SSD_OP_DELIVERING
} s3c_ssd_op_state_t;

struct s3c_ssd_op_s {
    s3c_io_op_t         io;
    s3c_ssd_t          *ssd;             /* NULL: that is gone */
    s3c_ssd_read_t     *read;            /* NULL: cancelled, or given up */
    s3c_ssd_op_t       *prev, *next;
    s3c_hash128_t       key;
    s3c_ssd_place_t     place;
    uint64_t            segment_seq;     /* of the place, as it was found */
    uint64_t            begun_us;
    uint64_t            deadline_us;     /* of this I/O, or of the wait */
    uint64_t            ticket;          /* WAITING: lower ones go first */
    uint64_t            delivered;       /* payload bytes */
    s3c_ssd_expect_t    expect;
    s3c_ssd_record_t    record;          /* once `known` */
    s3c_ssd_window_t    window;
    s3c_ssd_buffer_t    buffer;
    uint32_t            got;             /* bytes of the window in it */
    uint32_t            store;
    uint32_t            end;             /* frame after the last wanted */
    uint32_t            crc;             /* of all frames so far.. */
    bool                whole;           /* ..if they began with the first */
    bool                known;
    bool                hung;            /* was reported as such */
    uint8_t             state;           /* s3c_ssd_op_state_t */
};

typedef struct {                         /* of one store */
    s3c_ssd_op_list_t   waiting;         /* by ticket */
    s3c_ssd_op_list_t   flying;          /* by deadline */
    uint32_t            n_reads;         /* on_end is to come */
    uint32_t            n_ops;           /* not free */
    uint64_t            ended_us;        /* when an I/O last did */
    bool                has_share;       /* those that wait, wait for its own
                                            buffers only */
} s3c_ssd_queue_t;

struct s3c_ssd_reader_s {
    s3c_ssd_pool_t      pool;
    s3c_ssd_queue_t     queues[S3C_SSD_STORES_MAX];
    s3c_ssd_op_t       *free;            /* by next */
    uint32_t            n_ops;           /* not free */
    uint32_t            n_used;          /* ops ever taken */
    uint64_t            ticket;          /* the last one */
    uint64_t            ended_us;        /* of all stores */
    uint64_t            trim_us;
    bool                is_full;         /* no buffer, or no room for an I/O:
                                            who comes now waits, too */
    bool                closing;
    s3c_ssd_op_t       *ops;
};

/* NULL: this store has all that it may have. */
s3c_ssd_op_t *s3c_ssd_op_take(s3c_ssd_t *ssd, uint32_t store);
void s3c_ssd_op_free(s3c_ssd_op_t *op);
/* Queues its window, or lets it wait. */
void s3c_ssd_op_go(s3c_ssd_op_t *op);
/* Those that wait, as far as there is room. MISS to those whose store is out
 * of service: nothing more is sent there, and their places stay. */
void s3c_ssd_op_pump(s3c_ssd_t *ssd);
/* on_end, if its read is still there. */
void s3c_ssd_op_tell(s3c_ssd_op_t *op, s3c_status_t st);
/* The same, and it is free. */
void s3c_ssd_op_end(s3c_ssd_op_t *op, s3c_status_t st);
/* The place leaves the index, which is counted (NULL: has been). False: it had
 * gone already, so whatever was read there is not the device's fault. */
bool s3c_ssd_op_drop_place(s3c_ssd_op_t *op, _Atomic uint64_t *counter);

static inline uint64_t
s3c_ssd_place_seq(const s3c_ssd_t *ssd, s3c_ssd_place_t place)
{
    return __atomic_load_n(&ssd->segments[s3c_ssd_place_segment(ssd,
                                                                place)].seq,
                           __ATOMIC_RELAXED);
}


static inline void
s3c_ssd_op_list_add(s3c_ssd_op_list_t *list, s3c_ssd_op_t *op)
{
    op->prev = list->last;
    op->next = NULL;

    if (list->last != NULL) {
        list->last->next = op;
    } else {
        list->first = op;
    }

    list->last = op;
}


static inline void
s3c_ssd_op_list_first(s3c_ssd_op_list_t *list, s3c_ssd_op_t *op)
{
    op->prev = NULL;
    op->next = list->first;

    if (list->first != NULL) {
        list->first->prev = op;
    } else {
        list->last = op;
    }

    list->first = op;
}


static inline void
s3c_ssd_op_list_remove(s3c_ssd_op_list_t *list, s3c_ssd_op_t *op)
{
    if (op->prev != NULL) {
        op->prev->next = op->next;
    } else {
        list->first = op->next;
    }

    if (op->next != NULL) {
        op->next->prev = op->prev;
    } else {
        list->last = op->prev;
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What this node's workers count of other nodes: a row for each, found by the
 * node's name, in memory that all of them share. Memory of zeros is an empty
 * table.
 *
 * WRITERS  rows are found and made under a lock of the caller's (`_locked`).
 *          Counters: any worker, by relaxed additions, without a lock.
 * READERS  as writers.
 * LIMITS   S3C_STATS_NODES_MAX rows; when all are taken, the node that has been
 *          asked for the longest time ago gives its row to the new one. Who
 *          still counts for the old one is heard no more: a handle knows by
 *          the row's generation that it is another's now.
 * CRASH    Whoever dies within the lock leaves a table that can be used, with
 *          one row less at worst.
 */
#ifndef S3C_STATS_STATS_NODE_H
#define S3C_STATS_STATS_NODE_H

#include <stdatomic.h>

#include "stats/stats_sh.h"

#define S3C_STATS_NODES_MAX   1024u
#define S3C_STATS_NODE_HEADS  1024u
#define S3C_STATS_NODE_NAME   255u     /* bytes, at least 1 */

typedef struct {
    _Atomic uint32_t  generation;      /* 0: never used */
    uint32_t          next;            /* in its chain: 1 + number, 0: none */
    uint64_t          hash;            /* of the name */
    _Atomic uint64_t  used_ms;
    _Atomic uint32_t  rests;           /* failed, has not answered since */
    uint8_t           linked;          /* it is in a chain */
    uint8_t           name_len;
    uint8_t           name[S3C_STATS_NODE_NAME];
    _Atomic uint8_t   links[S3C_RAM_SLOTS_MAX];   /* of each worker */
    _Atomic uint64_t  counter[S3C_NODE_STAT_N];
    s3c_hist_sh_t     first_byte;
} s3c_stats_node_sh_t;

typedef struct {
    int64_t              owner[S3C_RAM_SLOTS_MAX];   /* pids; 0: nobody */
    uint32_t             heads[S3C_STATS_NODE_HEADS];
    s3c_stats_node_sh_t  row[S3C_STATS_NODES_MAX];
} s3c_stats_nodes_sh_t;

/* Process-local; all zero it counts nothing. */
typedef struct {
    s3c_stats_node_sh_t  *row;
    uint32_t              generation;
} s3c_stats_node_t;


/* The row of this name, made if there is none. now_ms: monotonic. An empty or
 * too long name has no row: the handle is all zero. */
s3c_stats_node_t s3c_stats_node_get_locked(s3c_stats_nodes_sh_t *nodes,
    s3c_slice_t name, uint64_t now_ms);
/* What has been counted of it; zeros if it has no row. */
void s3c_stats_node_read_locked(const s3c_stats_nodes_sh_t *nodes,
    s3c_slice_t name, s3c_stats_node_counts_t *counts);
/* A worker begins, with this slot and without links; those of workers that
 * alive() says are gone are forgotten. */
void s3c_stats_node_worker_locked(s3c_stats_nodes_sh_t *nodes, uint32_t slot,
    int64_t pid, bool (*alive)(int64_t pid));

/* Is it still a row of the name that it was got for? */
static inline bool
s3c_stats_node_valid(const s3c_stats_node_t *node)
{
    return node->row != NULL
           && atomic_load_explicit(&node->row->generation,
                                   memory_order_relaxed)
              == node->generation;
}


static inline void
s3c_stats_node_add(const s3c_stats_node_t *node, s3c_node_stat_t stat,
    uint64_t n)
{
    if (s3c_stats_node_valid(node)) {
        atomic_fetch_add_explicit(&node->row->counter[stat], n,
                                  memory_order_relaxed);
    }
}

/* A question begins: the row is in use. */
void s3c_stats_node_use(const s3c_stats_node_t *node, uint64_t now_ms);
/* It has answered, so long after it was asked. */
void s3c_stats_node_answered(const s3c_stats_node_t *node, uint64_t usec);
void s3c_stats_node_rest(const s3c_stats_node_t *node, bool rests);
/* Has any worker a link to it? */
bool s3c_stats_node_linked(const s3c_stats_node_t *node);
/* Has it failed, and not answered since? */
bool s3c_stats_node_rests(const s3c_stats_node_t *node);
/* How many links the worker of this slot has to it. */
void s3c_stats_node_links(const s3c_stats_node_t *node, uint32_t slot,
    uint32_t n);

#endif

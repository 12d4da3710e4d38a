/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of stats_node.h: chains of rows by the hash of the name. A row is
 * linked by one store when it is whole, and unlinked by one store before it is
 * changed, so that a death in between breaks no chain. Walks are bounded all
 * the same.
 */
#include "stats/stats_node.h"

#include "base/hash.h"

static_assert(sizeof(s3c_stats_node_sh_t) % 8 == 0, "rows are aligned");


static uint32_t *
node_head(s3c_stats_nodes_sh_t *nodes, uint64_t hash)
{
    return &nodes->heads[hash % S3C_STATS_NODE_HEADS];
}


/* 1 + the row's number; 0: it has none. */
static uint32_t
node_find(const s3c_stats_nodes_sh_t *nodes, s3c_slice_t name, uint64_t hash)
{
    uint32_t  i = nodes->heads[hash % S3C_STATS_NODE_HEADS];

    for (uint32_t n = 0; n < S3C_STATS_NODES_MAX; n++) {
        const s3c_stats_node_sh_t  *row;

        if (i == 0 || i > S3C_STATS_NODES_MAX) {
            return 0;
        }

        row = &nodes->row[i - 1];

        if (row->hash == hash
            && s3c_slice_eq(s3c_slice(row->name, row->name_len), name))
        {
            return i;
        }

        i = row->next;
    }

    return 0;
}


static void
node_unlink(s3c_stats_nodes_sh_t *nodes, uint32_t i)
{
    uint32_t             *at = node_head(nodes, nodes->row[i - 1].hash);
    s3c_stats_node_sh_t  *row = &nodes->row[i - 1];

    for (uint32_t n = 0; n < S3C_STATS_NODES_MAX; n++) {
        if (*at == 0 || *at > S3C_STATS_NODES_MAX) {
            break;
        }

        if (*at == i) {
            *at = row->next;
            break;
        }

        at = &nodes->row[*at - 1].next;
    }

    row->linked = 0;
}


/* One that is not in a chain, else that which has been used the longest time
 * ago. */
static uint32_t
node_choose(const s3c_stats_nodes_sh_t *nodes)
{
    uint32_t  best = 1;
    uint64_t  used, oldest = UINT64_MAX;

    for (uint32_t i = 1; i <= S3C_STATS_NODES_MAX; i++) {
        const s3c_stats_node_sh_t  *row = &nodes->row[i - 1];

        if (!row->linked) {
            return i;
        }

        used = atomic_load_explicit(&row->used_ms, memory_order_relaxed);

        if (used < oldest) {
            oldest = used;
            best = i;
        }
    }

    return best;
}


static uint32_t
node_make(s3c_stats_nodes_sh_t *nodes, s3c_slice_t name, uint64_t hash)
{
    uint32_t              i = node_choose(nodes);
    uint32_t             *head = node_head(nodes, hash);
    uint32_t              generation;
    s3c_stats_node_sh_t  *row = &nodes->row[i - 1];

    /* whoever counts here for the old name stops */

    generation = atomic_load_explicit(&row->generation, memory_order_relaxed);
    generation = generation == UINT32_MAX ? 1 : generation + 1;
    atomic_store(&row->generation, generation);

    /* a row that nobody could unlink is in a chain still */
    node_unlink(nodes, i);

    memset((uint8_t *) row + offsetof(s3c_stats_node_sh_t, next), 0,
           sizeof(*row) - offsetof(s3c_stats_node_sh_t, next));
    memcpy(row->name, name.data, name.len);
    row->name_len = (uint8_t) name.len;
    row->hash = hash;
    row->next = *head;

    atomic_thread_fence(memory_order_release);
    *head = i;
    row->linked = 1;

    return i;
}


s3c_stats_node_t
s3c_stats_node_get_locked(s3c_stats_nodes_sh_t *nodes, s3c_slice_t name,
    uint64_t now_ms)
{
    uint32_t          i;
    uint64_t          hash;
    s3c_stats_node_t  node = { NULL, 0 };

    if (name.len == 0 || name.len > S3C_STATS_NODE_NAME) {
        return node;
    }

    hash = s3c_hash64(name.data, name.len);
    i = node_find(nodes, name, hash);

    if (i == 0) {
        i = node_make(nodes, name, hash);
    }

    node.row = &nodes->row[i - 1];
    node.row->linked = 1;
    node.generation = atomic_load_explicit(&node.row->generation,
                                           memory_order_relaxed);
    s3c_stats_node_use(&node, now_ms);

    return node;
}


void
s3c_stats_node_read_locked(const s3c_stats_nodes_sh_t *nodes,
    s3c_slice_t name, s3c_stats_node_counts_t *counts)
{
    uint32_t                    i = 0;
    s3c_hist_sums_t            *sums = &counts->first_byte;
    const s3c_stats_node_sh_t  *row;

    memset(counts, 0, sizeof(*counts));

    if (name.len > 0 && name.len <= S3C_STATS_NODE_NAME) {
        i = node_find(nodes, name, s3c_hash64(name.data, name.len));
    }

    if (i == 0) {
        return;
    }

    row = &nodes->row[i - 1];

    for (uint32_t k = 0; k < S3C_NODE_STAT_N; k++) {
        counts->counter[k] = atomic_load_explicit(&row->counter[k],
                                                  memory_order_relaxed);
    }

    for (uint32_t k = 0; k < S3C_RAM_SLOTS_MAX; k++) {
        counts->links += atomic_load_explicit(&row->links[k],
                                              memory_order_relaxed);
    }

    counts->rests = atomic_load_explicit(&row->rests, memory_order_relaxed)
                    != 0;
    sums->sum_usec = atomic_load_explicit(&row->first_byte.sum_usec,
                                          memory_order_relaxed);

    for (uint32_t k = 0; k <= S3C_HIST_BUCKETS; k++) {
        sums->place[k] = atomic_load_explicit(&row->first_byte.place[k],
                                              memory_order_relaxed);
        sums->count += sums->place[k];
    }
}


static void
node_slot_init(s3c_stats_nodes_sh_t *nodes, uint32_t slot, int64_t pid)
{
    nodes->owner[slot] = pid;

    for (uint32_t i = 0; i < S3C_STATS_NODES_MAX; i++) {
        atomic_store_explicit(&nodes->row[i].links[slot], 0,
                              memory_order_relaxed);
    }
}


void
s3c_stats_node_worker_locked(s3c_stats_nodes_sh_t *nodes, uint32_t slot,
    int64_t pid, bool (*alive)(int64_t pid))
{
    if (slot >= S3C_RAM_SLOTS_MAX) {
        return;
    }

    node_slot_init(nodes, slot, pid);

    for (uint32_t i = 0; i < S3C_RAM_SLOTS_MAX; i++) {
        if (nodes->owner[i] != 0 && nodes->owner[i] != pid
            && !alive(nodes->owner[i]))
        {
            node_slot_init(nodes, i, 0);
        }
    }
}


void
s3c_stats_node_use(const s3c_stats_node_t *node, uint64_t now_ms)
{
    if (s3c_stats_node_valid(node)) {
        atomic_store_explicit(&node->row->used_ms, now_ms,
                              memory_order_relaxed);
    }
}


void
s3c_stats_node_answered(const s3c_stats_node_t *node, uint64_t usec)
{
    s3c_hist_sh_t  *h;

    if (!s3c_stats_node_valid(node)) {
        return;
    }

    h = &node->row->first_byte;

    s3c_stats_node_add(node, S3C_NODE_STAT_ANSWERED, 1);
    atomic_fetch_add_explicit(&h->sum_usec, usec, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->place[s3c_hist_place(usec)], 1,
                              memory_order_relaxed);
    s3c_stats_node_rest(node, false);
}


void
s3c_stats_node_rest(const s3c_stats_node_t *node, bool rests)
{
    /* read first: it seldom changes, and others read it */

    if (s3c_stats_node_valid(node)
        && atomic_load_explicit(&node->row->rests, memory_order_relaxed)
           != rests)
    {
        atomic_store_explicit(&node->row->rests, rests, memory_order_relaxed);
    }
}


bool
s3c_stats_node_linked(const s3c_stats_node_t *node)
{
    if (!s3c_stats_node_valid(node)) {
        return false;
    }

    for (uint32_t i = 0; i < S3C_RAM_SLOTS_MAX; i++) {
        if (atomic_load_explicit(&node->row->links[i], memory_order_relaxed)
            > 0)
        {
            return true;
        }
    }

    return false;
}


bool
s3c_stats_node_rests(const s3c_stats_node_t *node)
{
    return s3c_stats_node_valid(node)
           && atomic_load_explicit(&node->row->rests, memory_order_relaxed)
              != 0;
}


void
s3c_stats_node_links(const s3c_stats_node_t *node, uint32_t slot, uint32_t n)
{
    if (s3c_stats_node_valid(node) && slot < S3C_RAM_SLOTS_MAX) {
        atomic_store_explicit(&node->row->links[slot], (uint8_t) n,
                              memory_order_relaxed);
    }
}

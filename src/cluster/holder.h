/* SPDX-License-Identifier: Apache-2.0
 *
 * Which other node has what was just written through it, as it said: where to
 * ask before the origin. Who is asked says what it has; but it may not have
 * been told of a later write that this node was told of. So its word counts
 * only for the write that was the last of this name here, and as long as it is:
 * every other that begins or ends drops it.
 *
 *   write   a write of this name, by its tag, has begun at another node
 *   put     that node has what was written
 *   end     a write has ended; another one: nobody knows which was the last
 *
 * A table by hash where the last who comes stays. A place that is half written,
 * by a worker that died or another at the same time, names no node.
 *
 * TIME     milliseconds of one clock of this node that never goes back.
 * NAMES    of objects and of nodes, by hash; 0 is none.
 * ALL      no lock.
 */
#ifndef S3C_CLUSTER_HOLDER_H
#define S3C_CLUSTER_HOLDER_H

#include <stdatomic.h>
#include <stdint.h>

#define S3C_HOLDER_PLACES  8192u            /* power of two */

typedef struct {
    _Atomic uint64_t  name;                 /* of the object; 0: free */
    _Atomic uint64_t  tag;                  /* of the write */
    _Atomic uint64_t  node;                 /* mixed with the tag; 0: none */
    _Atomic uint64_t  until_ms;
} s3c_holder_place_sh_t;

/* Zeroed: knows of none. */
typedef struct {
    s3c_holder_place_sh_t  places[S3C_HOLDER_PLACES];
} s3c_holder_sh_t;

void s3c_holder_write(s3c_holder_sh_t *h, uint64_t name, uint64_t tag);
void s3c_holder_put(s3c_holder_sh_t *h, uint64_t name, uint64_t tag,
    uint64_t node, uint64_t until_ms);
void s3c_holder_end(s3c_holder_sh_t *h, uint64_t name, uint64_t tag);
/* 0: none that is known; or a node that there is not. */
uint64_t s3c_holder_find(const s3c_holder_sh_t *h, uint64_t name,
    uint64_t now_ms);
/* A write of this node, or what the origin says of it is known. */
void s3c_holder_drop(s3c_holder_sh_t *h, uint64_t name);
/* Many names at once, nobody knows which. */
void s3c_holder_clear(s3c_holder_sh_t *h);

#endif

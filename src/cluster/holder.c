/* SPDX-License-Identifier: Apache-2.0
 *
 * The places. A node is kept under a mask made of its write's tag: who puts one
 * while another write takes the place leaves what unmasks to no node's name.
 */
#include "cluster/holder.h"

#include "base/hash.h"

#define LOAD(field)       atomic_load_explicit(&(field), memory_order_acquire)
#define STORE(field, to)  atomic_store_explicit(&(field), to,                 \
                                                memory_order_release)


static uint32_t
holder_place(uint64_t name)
{
    return (uint32_t) (name >> 20) & (S3C_HOLDER_PLACES - 1);
}


/* Never the name of a node for two tags. */
static uint64_t
holder_mask(uint64_t tag)
{
    return s3c_hash64(&tag, sizeof(tag));
}


void
s3c_holder_write(s3c_holder_sh_t *h, uint64_t name, uint64_t tag)
{
    s3c_holder_place_sh_t  *p = &h->places[holder_place(name)];

    if (LOAD(p->name) == name && LOAD(p->tag) == tag) {
        return;                        /* it goes on */
    }

    STORE(p->name, 0);
    STORE(p->node, 0);
    STORE(p->tag, tag);
    STORE(p->name, name);
}


void
s3c_holder_put(s3c_holder_sh_t *h, uint64_t name, uint64_t tag, uint64_t node,
    uint64_t until_ms)
{
    s3c_holder_place_sh_t  *p = &h->places[holder_place(name)];

    if (LOAD(p->name) == name && LOAD(p->tag) == tag) {
        STORE(p->until_ms, until_ms);
        STORE(p->node, node ^ holder_mask(tag));
    }
}


void
s3c_holder_end(s3c_holder_sh_t *h, uint64_t name, uint64_t tag)
{
    s3c_holder_place_sh_t  *p = &h->places[holder_place(name)];

    if (LOAD(p->name) == name && LOAD(p->tag) != tag) {
        STORE(p->name, 0);
    }
}


uint64_t
s3c_holder_find(const s3c_holder_sh_t *h, uint64_t name, uint64_t now_ms)
{
    uint64_t                      node, tag;
    const s3c_holder_place_sh_t  *p = &h->places[holder_place(name)];

    if (name == 0 || LOAD(p->name) != name) {
        return 0;
    }

    node = LOAD(p->node);
    tag = LOAD(p->tag);

    /* still of this name: what was read between is of it */
    return node != 0 && LOAD(p->until_ms) > now_ms && LOAD(p->name) == name
           ? node ^ holder_mask(tag) : 0;
}


void
s3c_holder_drop(s3c_holder_sh_t *h, uint64_t name)
{
    s3c_holder_place_sh_t  *p = &h->places[holder_place(name)];

    if (LOAD(p->name) == name) {
        STORE(p->name, 0);
    }
}


void
s3c_holder_clear(s3c_holder_sh_t *h)
{
    for (uint32_t i = 0; i < S3C_HOLDER_PLACES; i++) {
        STORE(h->places[i].name, 0);
    }
}

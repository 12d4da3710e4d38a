/* SPDX-License-Identifier: Apache-2.0
 *
 * The beginning of a ring: members are checked, sorted and written into the
 * image, zones are numbered, caps computed. What a member may own:
 *
 *   fair * (1 + 1/64 + n * 2.5/2^16), n: members with a weight
 *
 * rounded down or up by the member's dither, so that not all caps fall by one
 * at the same time when a member is added. Without a cap a member's load would
 * have a deviation of sqrt(fair / 2): the allowance grows with n as that does,
 * and smoothly, since a jump would move keys.
 */
#include "cluster/ring_build.h"

#include <stdlib.h>

#include "base/hash.h"

#define FRACTION  65536u     /* of caps: a dither has 16 bits */

typedef struct {
    const s3c_ring_member_t  *m;
    uint32_t                  zone;
} guest_t;


static int
by_zone(const void *a, const void *b)
{
    const guest_t  *x = a, *y = b;

    return s3c_ring_cmp(x->m->zone, y->m->zone);
}


static int
by_name(const void *a, const void *b)
{
    const guest_t  *x = a, *y = b;

    return s3c_ring_cmp(x->m->name, y->m->name);
}


/* Numbers the labels in their order, and answers in how many of these zones
 * there are members with a weight. */
static uint32_t
sort_zones(guest_t *guests, uint32_t n)
{
    uint32_t  zone = 0, n_zones = 0;
    bool      counted = false;

    qsort(guests, n, sizeof(guest_t), by_zone);

    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && by_zone(&guests[i - 1], &guests[i]) != 0) {
            zone++;
            counted = false;
        }

        guests[i].zone = zone;

        if (guests[i].m->weight > 0 && !counted) {
            counted = true;
            n_zones++;
        }
    }

    return n_zones;
}


/* Zones count only where members with a weight are in two or more; else each
 * member is given its own. Guests are in the order of members. */
static void
seat_zones(s3c_ring_builder_t *b, const guest_t *guests, uint32_t n_zones,
    uint32_t n_weighted)
{
    uint32_t  zone, heavy = 0, heavier = 0;
    uint32_t  weights[S3C_RING_MEMBERS_MAX] = { 0 };

    for (uint32_t i = 0; i < b->ring->n_members; i++) {
        zone = n_zones > 1 ? guests[i].zone : i;
        b->seats[i].zone = (uint16_t) zone;
        weights[zone] += guests[i].m->weight;
    }

    for (uint32_t i = 0; i < b->ring->n_members; i++) {
        if (weights[i] > heavier) {
            heavy = heavier;
            heavier = weights[i];

        } else if (weights[i] > heavy) {
            heavy = weights[i];
        }
    }

    b->n_zones = n_zones > 1 ? n_zones : n_weighted;
    b->heavy_weight = b->n_zones > 2 ? heavier + heavy : heavier;
}


static uint32_t
cap_of(const s3c_ring_builder_t *b, uint32_t weight, uint32_t dither,
    uint32_t n_weighted)
{
    uint64_t  cap;

    cap = (uint64_t) S3C_RING_SLOTS * weight
          * (FRACTION + FRACTION / 64 + n_weighted * 5 / 2) / b->ring->weight;
    cap = (cap + dither) / FRACTION;

    return cap > 0 ? (uint32_t) cap : 1;
}


/* A chain over the members; its words are little-endian wherever they are. */
static uint64_t
digest_add(uint64_t digest, uint64_t name, uint64_t zone, uint64_t weight)
{
    uint8_t         bytes[32];
    const uint64_t  words[4] = { digest, name, zone, weight };

    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t) (words[i / 8] >> (i % 8 * 8));
    }

    return s3c_hash64(bytes, sizeof(bytes));
}


static s3c_status_t
measure(const s3c_ring_member_t *members, uint32_t n, size_t *names_bytes)
{
    *names_bytes = 0;

    if (n > S3C_RING_MEMBERS_MAX) {
        return S3C_INVALID;
    }

    for (uint32_t i = 0; i < n; i++) {
        if (members[i].name.len == 0
            || members[i].name.len > S3C_RING_NAME_MAX
            || members[i].zone.len > S3C_RING_ZONE_MAX
            || members[i].weight > S3C_RING_WEIGHT_MAX)
        {
            return S3C_INVALID;
        }

        *names_bytes += members[i].name.len + members[i].zone.len;
    }

    return S3C_OK;
}


/* The head, the members and their names; INVALID for a name that is twice. */
static s3c_status_t
write_members(s3c_ring_builder_t *b, const guest_t *guests, uint32_t n)
{
    uint32_t                  off = b->ring->members_off;
    s3c_ring_t               *ring = b->ring;
    s3c_ring_member_sh_t     *to;
    const s3c_ring_member_t  *m;

    off += n * (uint32_t) sizeof(*to);

    for (uint32_t i = 0; i < n; i++) {
        m = guests[i].m;
        to = &b->members[i];

        if (i > 0 && by_name(&guests[i - 1], &guests[i]) == 0) {
            return S3C_INVALID;
        }

        *to = (s3c_ring_member_sh_t) {
            .name_off = off,
            .zone_off = off + (uint32_t) m->name.len,
            .weight = (uint16_t) m->weight,
            .name_len = (uint8_t) m->name.len,
            .zone_len = (uint8_t) m->zone.len,
        };

        memcpy((uint8_t *) ring + off, m->name.data, m->name.len);
        off += (uint32_t) m->name.len;

        if (m->zone.len > 0) {
            memcpy((uint8_t *) ring + off, m->zone.data, m->zone.len);
            off += (uint32_t) m->zone.len;
        }

        ring->weight += m->weight;
        ring->digest = digest_add(ring->digest,
                                  s3c_hash64(m->name.data, m->name.len),
                                  s3c_hash64(m->zone.data, m->zone.len),
                                  m->weight);
    }

    return S3C_OK;
}


static s3c_status_t
begin(s3c_ring_builder_t *b, guest_t *guests, uint32_t n)
{
    uint32_t          n_zones, weight, n_weighted = 0;
    s3c_status_t      st;
    s3c_ring_seat_t  *seat;

    n_zones = sort_zones(guests, n);
    qsort(guests, n, sizeof(guest_t), by_name);

    st = write_members(b, guests, n);
    if (st != S3C_OK) {
        return st;
    }

    for (uint32_t i = 0; i < n; i++) {
        n_weighted += guests[i].m->weight > 0;
    }

    for (uint32_t i = 0; i < n; i++) {
        weight = guests[i].m->weight;
        seat = &b->seats[i];

        if (weight > 0) {
            s3c_ring_rank_init(&seat->rank, i, guests[i].m->name, weight);
            seat->cap = cap_of(b, weight, seat->rank.dither, n_weighted);
        }
    }

    seat_zones(b, guests, n_zones, n_weighted);
    b->ring->n_owners = n_weighted < S3C_RING_OWNERS ? n_weighted
                                                     : S3C_RING_OWNERS;
    s3c_ring_log_init(b->log);

    return S3C_OK;
}


s3c_status_t
s3c_ring_builder_create(s3c_ring_builder_t **builder, void *mem,
    size_t bytes, const s3c_ring_member_t *members, uint32_t n_members)
{
    size_t               names_bytes, image_bytes;
    guest_t              guests[S3C_RING_MEMBERS_MAX];
    s3c_status_t         st;
    s3c_ring_builder_t  *b;

    *builder = NULL;
    assert((uintptr_t) mem % _Alignof(s3c_ring_t) == 0);

    st = measure(members, n_members, &names_bytes);
    if (st != S3C_OK) {
        return st;
    }

    image_bytes = s3c_ring_bytes(n_members, names_bytes);
    if (bytes < image_bytes) {
        return S3C_FULL;
    }

    b = malloc(sizeof(s3c_ring_builder_t));
    if (b == NULL) {
        return S3C_FULL;
    }

    /* All but the keys of the slots: these are cleared step by step. */
    memset(b, 0, offsetof(s3c_ring_builder_t, second));
    b->ring = mem;
    b->members = (s3c_ring_member_sh_t *) ((uint8_t *) mem
                                           + sizeof(s3c_ring_t));
    memset(b->ring, 0, offsetof(s3c_ring_t, owners));
    b->ring->layout = S3C_RING_LAYOUT;
    b->ring->mapping = S3C_RING_MAPPING;
    b->ring->digest = S3C_RING_MAPPING;
    b->ring->bytes = image_bytes;
    b->ring->n_members = n_members;
    b->ring->members_off = sizeof(s3c_ring_t);

    for (uint32_t i = 0; i < n_members; i++) {
        guests[i] = (guest_t) { .m = &members[i] };
    }

    st = begin(b, guests, n_members);
    if (st != S3C_OK) {
        free(b);
        return st;
    }

    *builder = b;

    return S3C_OK;
}


void
s3c_ring_builder_destroy(s3c_ring_builder_t *builder)
{
    free(builder);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Placement: which members of the cluster own a key, equal on every node that
 * knows the same members. A ring is one flat image without pointers: a table
 * of slots, each with its owners in order, and the sorted list of members. It
 * may lie on the heap or in shared memory, at any address.
 *
 * PURE     The image is a function of the set of members (name, weight, zone)
 *          and of S3C_RING_MAPPING: not of their order, the time, the machine
 *          or the compiler. Integers only. ring_rank.h states it.
 * READERS  any number, no lock: an image never changes once it is built.
 * WRITERS  one builder per image; the memory is nobody else's until it is OK.
 * LIMITS   the constants below; beyond them is S3C_INVALID.
 */
#ifndef S3C_CLUSTER_RING_H
#define S3C_CLUSTER_RING_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

/* Changes whenever any key would get another owner: nodes that differ in it
 * must not share a ring. A part of the digest. */
#define S3C_RING_MAPPING       1u
#define S3C_RING_LAYOUT        1u       /* of the image */
#define S3C_RING_MAGIC         0x474e49522d633373ull    /* "s3c-RING" */

#define S3C_RING_OWNERS        3
#define S3C_RING_SLOT_BITS     18
#define S3C_RING_SLOTS         (1u << S3C_RING_SLOT_BITS)
#define S3C_RING_MEMBERS_MAX   1024u
#define S3C_RING_WEIGHT_MAX    1000u
#define S3C_RING_NAME_MAX      255u     /* bytes, at least 1 */
#define S3C_RING_ZONE_MAX      63u      /* bytes; none is a zone like others */
#define S3C_RING_NONE          UINT16_MAX   /* no member */

/* What goes in. Weight 0: a member that owns nothing. */
typedef struct {
    s3c_slice_t  name;
    s3c_slice_t  zone;       /* failure domain: rack, room, site */
    uint32_t     weight;
} s3c_ring_member_t;

/* A member in the image; they are sorted by the bytes of their names. */
typedef struct {
    uint32_t  name_off;                    /* from the image's start */
    uint32_t  zone_off;
    uint32_t  slots[S3C_RING_OWNERS];      /* how many it owns as 1st, 2nd.. */
    uint16_t  weight;
    uint8_t   name_len;
    uint8_t   zone_len;
} s3c_ring_member_sh_t;

typedef struct {
    uint64_t  magic;                       /* written last */
    uint32_t  layout;
    uint32_t  mapping;
    uint64_t  digest;
    uint64_t  bytes;                       /* of the whole image */
    uint32_t  n_members;
    uint32_t  n_owners;                    /* of every slot alike */
    uint32_t  weight;                      /* of all members */
    uint32_t  members_off;
    uint64_t  unused[2];
    uint16_t  owners[S3C_RING_SLOTS][S3C_RING_OWNERS];
} s3c_ring_t;

static_assert(sizeof(s3c_ring_member_sh_t) == 24, "image");
static_assert(offsetof(s3c_ring_t, digest) == 16, "image");
static_assert(offsetof(s3c_ring_t, owners) == 64, "image");
static_assert(sizeof(s3c_ring_t) == 64 + S3C_RING_SLOTS * 6, "image");
static_assert(S3C_RING_MEMBERS_MAX < S3C_RING_NONE, "owners");
static_assert(S3C_RING_WEIGHT_MAX <= UINT16_MAX, "weight");

typedef struct s3c_ring_builder_s  s3c_ring_builder_t;

/* --- building ----------------------------------------------------------- */

/* Units of work of one step: up to 1 ms. */
#define S3C_RING_STEP  32768u

/* Bytes of an image; names_bytes: of all names and zones together. */
size_t s3c_ring_bytes(uint32_t n_members, size_t names_bytes);

/* Begins a ring in memory of the caller, aligned to 8; members are copied.
 * INVALID: a limit above, or two members of one name. FULL: `bytes` are too
 * few, or there is no memory for the builder. */
s3c_status_t s3c_ring_builder_create(s3c_ring_builder_t **builder, void *mem,
    size_t bytes, const s3c_ring_member_t *members, uint32_t n_members)
    S3C_MUST_CHECK;
/* At any time; NULL is allowed. Without an OK before, `mem` holds no ring. */
void s3c_ring_builder_destroy(s3c_ring_builder_t *builder);
/* AGAIN until OK: then `mem` is the ring. The budget has no influence on it;
 * S3C_RING_STEP is a good one, 0 does nothing. */
s3c_status_t s3c_ring_build_step(s3c_ring_builder_t *builder, uint32_t budget)
    S3C_MUST_CHECK;
/* All of the above at once: tens of milliseconds; 2 s at worst, where rare
 * members have a zone of their own among a thousand. */
s3c_status_t s3c_ring_build(void *mem, size_t bytes,
    const s3c_ring_member_t *members, uint32_t n_members) S3C_MUST_CHECK;

/* --- reading ------------------------------------------------------------ */

/* Is this a finished ring of our layout and mapping, within `bytes`? CORRUPT
 * if not. Looks at the head and the members, not at the slots. */
s3c_status_t s3c_ring_check(const void *mem, size_t bytes) S3C_MUST_CHECK;

/* The member of this name, or S3C_RING_NONE. */
uint16_t s3c_ring_member(const s3c_ring_t *ring, s3c_slice_t name);


/* How many owners every slot has: 0 where nobody has a weight. */
static inline uint32_t
s3c_ring_owners(const s3c_ring_t *ring)
{
    return ring->n_owners;
}


/* A point is 64 bits of a key's hash, equal on all nodes; its upper bits are
 * the slot. Answers s3c_ring_owners() members, the first owner first; the
 * places behind are S3C_RING_NONE. */
static inline const uint16_t *
s3c_ring_find(const s3c_ring_t *ring, uint64_t point)
{
    return ring->owners[point >> (64 - S3C_RING_SLOT_BITS)];
}


/* Equal on all nodes that know the same members by the same mapping. */
static inline uint64_t
s3c_ring_digest(const s3c_ring_t *ring)
{
    return ring->digest;
}


static inline uint32_t
s3c_ring_members(const s3c_ring_t *ring)
{
    return ring->n_members;
}


static inline const s3c_ring_member_sh_t *
s3c_ring_at(const s3c_ring_t *ring, uint16_t member)
{
    const uint8_t  *base = (const uint8_t *) ring;

    assert(member < ring->n_members);

    return (const s3c_ring_member_sh_t *) (base + ring->members_off) + member;
}


static inline s3c_slice_t
s3c_ring_name(const s3c_ring_t *ring, uint16_t member)
{
    const s3c_ring_member_sh_t  *m = s3c_ring_at(ring, member);

    return s3c_slice((const uint8_t *) ring + m->name_off, m->name_len);
}


static inline s3c_slice_t
s3c_ring_zone(const s3c_ring_t *ring, uint16_t member)
{
    const s3c_ring_member_sh_t  *m = s3c_ring_at(ring, member);

    return s3c_slice((const uint8_t *) ring + m->zone_off, m->zone_len);
}


static inline uint32_t
s3c_ring_weight(const s3c_ring_t *ring, uint16_t member)
{
    return s3c_ring_at(ring, member)->weight;
}


/* Of S3C_RING_SLOTS, how many it owns in this place (0: as the first). */
static inline uint32_t
s3c_ring_share(const s3c_ring_t *ring, uint16_t member, uint32_t place)
{
    assert(place < S3C_RING_OWNERS);

    return s3c_ring_at(ring, member)->slots[place];
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an image, as far as it is not inline: its size, its check, and the
 * member of a name.
 */
#include "cluster/ring_build.h"


size_t
s3c_ring_bytes(uint32_t n_members, size_t names_bytes)
{
    return sizeof(s3c_ring_t) + n_members * sizeof(s3c_ring_member_sh_t)
           + names_bytes;
}


static bool
inside(const s3c_ring_t *ring, uint64_t off, uint64_t len)
{
    return off >= sizeof(s3c_ring_t) && off <= ring->bytes
           && len <= ring->bytes - off;
}


s3c_status_t
s3c_ring_check(const void *mem, size_t bytes)
{
    const s3c_ring_t            *ring = mem;
    const s3c_ring_member_sh_t  *m;

    if (bytes < sizeof(s3c_ring_t)
        || ring->magic != S3C_RING_MAGIC
        || ring->layout != S3C_RING_LAYOUT
        || ring->mapping != S3C_RING_MAPPING
        || ring->bytes > bytes
        || ring->n_members > S3C_RING_MEMBERS_MAX
        || ring->n_owners > S3C_RING_OWNERS
        || ring->n_owners > ring->n_members
        || ring->members_off % _Alignof(s3c_ring_member_sh_t) != 0
        || !inside(ring, ring->members_off, ring->n_members * sizeof(*m)))
    {
        return S3C_CORRUPT;
    }

    for (uint32_t i = 0; i < ring->n_members; i++) {
        m = s3c_ring_at(ring, (uint16_t) i);

        if (!inside(ring, m->name_off, m->name_len)
            || !inside(ring, m->zone_off, m->zone_len))
        {
            return S3C_CORRUPT;
        }
    }

    return S3C_OK;
}


int
s3c_ring_cmp(s3c_slice_t a, s3c_slice_t b)
{
    int     rc = 0;
    size_t  len = a.len < b.len ? a.len : b.len;

    if (len > 0) {
        rc = memcmp(a.data, b.data, len);
    }

    return rc != 0 ? rc : (a.len > b.len) - (a.len < b.len);
}


uint16_t
s3c_ring_member(const s3c_ring_t *ring, s3c_slice_t name)
{
    int       rc;
    uint32_t  lo = 0, mid, hi = ring->n_members;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        rc = s3c_ring_cmp(name, s3c_ring_name(ring, (uint16_t) mid));

        if (rc == 0) {
            return (uint16_t) mid;
        }

        if (rc < 0) {
            hi = mid;

        } else {
            lo = mid + 1;
        }
    }

    return S3C_RING_NONE;
}

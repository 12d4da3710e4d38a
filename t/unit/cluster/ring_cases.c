/* SPDX-License-Identifier: Apache-2.0
 *
 * Memberships from a seed.
 */
#include "ring_cases.h"


uint64_t
draw(uint64_t *seed)
{
    uint64_t  z = *seed += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


static cast_t  cast;


static void
add_member(size_t len, bool weighted)
{
    cast.members[cast.n] = (s3c_ring_member_t) {
        .name = s3c_slice(cast.names[cast.n], len),
        .weight = weighted ? 1u << cast.n % 3 : 1,
    };
    cast.n++;
}


cast_t *
draw_cast(uint64_t seed, uint32_t n, bool weighted)
{
    size_t  len;

    cast.n = 0;

    for (uint32_t i = 0; i < n; i++) {
        len = 8 + draw(&seed) % (S3C_RING_NAME_MAX - 7);

        for (size_t k = 0; k < len; k++) {
            cast.names[i][k] = (char) draw(&seed);
        }

        add_member(len, weighted);
    }

    return &cast;
}


cast_t *
plain_cast(uint32_t n, bool weighted)
{
    int  len;

    cast.n = 0;

    for (uint32_t i = 0; i < n; i++) {
        len = snprintf(cast.names[i], sizeof(cast.names[i]),
                       "cache-%u.example", i);
        add_member((size_t) len, weighted);
    }

    return &cast;
}


void
set_zones(cast_t *c, uint32_t n_zones)
{
    static const char  labels[] = "z0z1z2z3z4z5z6z7z8z9";

    for (uint32_t i = 0; i < c->n; i++) {
        c->members[i].zone = s3c_slice(&labels[i % n_zones * 2], 2);
    }
}


s3c_ring_t *
build_ring(const cast_t *c)
{
    size_t       names_bytes = 0;
    s3c_ring_t  *ring;

    for (uint32_t i = 0; i < c->n; i++) {
        names_bytes += c->members[i].name.len + c->members[i].zone.len;
    }

    ring = malloc(s3c_ring_bytes(c->n, names_bytes));
    assert_non_null(ring);
    assert_int_equal(s3c_ring_build(ring, s3c_ring_bytes(c->n, names_bytes),
                                    c->members, c->n), S3C_OK);
    assert_int_equal(ring->bytes, s3c_ring_bytes(c->n, names_bytes));

    return ring;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring as its users see it: limits, members, look-up, digest, purity.
 */
#include "ring_cases.h"

#include "base/hash.h"


/* A change here is a change of the mapping: nodes of both kinds in one cluster
 * would disagree on owners. If it is meant, S3C_RING_MAPPING must change. */
static const struct {
    uint32_t  n, n_zones;
    bool      weighted;
    uint64_t  digest;        /* of the members */
    uint64_t  owners;        /* XXH3-64 of the table, little-endian */
} golden[] = {
    { 1, 0, false, 0x157b0f989ea64fbcull,
      0xeda6de7b50298612ull },
    { 2, 0, true, 0x0c597156b6699e9aull,
      0x6945d3b42cbd9d3dull },
    { 3, 0, false, 0x1743ecfe445bfae8ull,
      0x1ec1995105b6bdd1ull },
    { 10, 0, true, 0xac698305b0fbc582ull,
      0x5ed5b45c092577a2ull },
    { 10, 2, true, 0x4ffc1a8e60a300acull,
      0xd6f1cbaf442735f9ull },
    { 100, 0, false, 0xdb81de286b48608eull,
      0x5e52089fbcbe451bull },
    { 100, 3, true, 0x77296c9ca10bd3ebull,
      0xc0acfef35116f7c1ull },
    { 300, 10, true, 0x66d8587840a5dde0ull,
      0x2524dc90090ae0c5ull },
    { 1024, 0, true, 0x5c0bae8a02782b0eull,
      0xed2eb2541db39962ull },
};


static uint64_t
owners_hash(const s3c_ring_t *ring)
{
    return s3c_hash64(ring->owners, sizeof(ring->owners));
}


static void
the_mapping_is_the_one_that_was_shipped(void **state)
{
    bool         same = true;
    cast_t      *cast;
    s3c_ring_t  *ring;

    (void) state;
    assert_int_equal(S3C_RING_MAPPING, 1);

    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        cast = plain_cast(golden[i].n, golden[i].weighted);

        if (golden[i].n_zones > 0) {
            set_zones(cast, golden[i].n_zones);
        }

        ring = build_ring(cast);

        if (s3c_ring_digest(ring) != golden[i].digest
            || owners_hash(ring) != golden[i].owners)
        {
            print_message("{ %u, %u, %s, 0x%016llxull,\n  0x%016llxull },\n",
                          golden[i].n, golden[i].n_zones,
                          golden[i].weighted ? "true" : "false",
                          (unsigned long long) s3c_ring_digest(ring),
                          (unsigned long long) owners_hash(ring));
            same = false;
        }

        free(ring);
    }

    assert_true(same);
}


/* The first slots of three members, for other implementations. */
static void
some_owners_are_known_by_heart(void **state)
{
    s3c_ring_t            *ring = build_ring(plain_cast(3, false));
    static const uint8_t   first[16] = {
        1, 0, 2, 0, 2, 2, 1, 0, 2, 0, 0, 0, 0, 0, 2, 0
    };

    (void) state;

    for (uint64_t slot = 0; slot < 16; slot++) {
        assert_int_equal(s3c_ring_find(ring, slot << 46 | 0x3fffffffffffull)[0],
                         first[slot]);
    }

    free(ring);
}


static void
the_order_of_members_does_not_matter(void **state)
{
    cast_t             *cast = draw_cast(7, 50, true);
    uint64_t            seed = 1;
    uint32_t            k;
    s3c_ring_t         *ring, *other;
    s3c_ring_member_t   m;

    (void) state;
    set_zones(cast, 4);
    ring = build_ring(cast);

    for (int run = 0; run < 3; run++) {
        for (uint32_t i = cast->n - 1; i > 0; i--) {
            k = (uint32_t) (draw(&seed) % (i + 1));
            m = cast->members[i];
            cast->members[i] = cast->members[k];
            cast->members[k] = m;
        }

        other = build_ring(cast);
        assert_memory_equal(ring, other, ring->bytes);
        free(other);
    }

    free(ring);
}


static void
every_change_of_a_member_changes_the_digest(void **state)
{
    cast_t              *cast = plain_cast(5, false);
    s3c_ring_t          *ring = build_ring(cast), *other;
    s3c_ring_member_t    keep = cast->members[2];
    const s3c_slice_t    zone = S3C_SLICE("cache"), name = S3C_SLICE("cache-2");

    (void) state;

    for (int change = 0; change < 4; change++) {
        cast->members[2].weight = change == 0 ? 2 : change == 1 ? 0 : 1;
        cast->members[2].zone = change == 2 ? zone : S3C_SLICE_NONE;
        cast->members[2].name = change == 3 ? name : keep.name;
        other = build_ring(cast);
        assert_true(s3c_ring_digest(ring) != s3c_ring_digest(other));
        free(other);
    }

    cast->members[2] = keep;
    cast->n = 4;
    other = build_ring(cast);
    assert_true(s3c_ring_digest(ring) != s3c_ring_digest(other));
    free(other);
    free(ring);
}


static void
a_member_is_found_by_its_name(void **state)
{
    cast_t      *cast = draw_cast(3, 200, true);
    uint16_t     k;
    s3c_ring_t  *ring;

    (void) state;
    set_zones(cast, 3);
    ring = build_ring(cast);
    assert_int_equal(s3c_ring_members(ring), 200);

    for (uint32_t i = 0; i < cast->n; i++) {
        k = s3c_ring_member(ring, cast->members[i].name);
        assert_true(k < 200);
        assert_true(s3c_slice_eq(s3c_ring_name(ring, k),
                                 cast->members[i].name));
        assert_true(s3c_slice_eq(s3c_ring_zone(ring, k),
                                 cast->members[i].zone));
        assert_int_equal(s3c_ring_weight(ring, k), cast->members[i].weight);
    }

    assert_int_equal(s3c_ring_member(ring, S3C_SLICE_NONE), S3C_RING_NONE);
    assert_int_equal(s3c_ring_member(ring, S3C_SLICE("nobody")),
                     S3C_RING_NONE);
    cast->members[9].name.len--;
    assert_int_equal(s3c_ring_member(ring, cast->members[9].name),
                     S3C_RING_NONE);
    free(ring);
}


static void
shares_are_what_the_slots_say(void **state)
{
    uint32_t     n[5][S3C_RING_OWNERS] = { { 0 } };
    s3c_ring_t  *ring = build_ring(plain_cast(5, true));

    (void) state;

    for (uint32_t slot = 0; slot < S3C_RING_SLOTS; slot++) {
        for (uint32_t i = 0; i < s3c_ring_owners(ring); i++) {
            n[s3c_ring_find(ring, (uint64_t) slot << 46)[i]][i]++;
        }
    }

    for (uint16_t m = 0; m < 5; m++) {
        for (uint32_t i = 0; i < S3C_RING_OWNERS; i++) {
            assert_int_equal(s3c_ring_share(ring, m, i), n[m][i]);
        }
    }

    free(ring);
}


static void
fewer_members_are_fewer_owners(void **state)
{
    s3c_ring_t      *ring;
    const uint16_t  *owners;

    (void) state;

    for (uint32_t n = 0; n < 5; n++) {
        ring = build_ring(plain_cast(n, false));
        assert_int_equal(s3c_ring_owners(ring), n < 3 ? n : 3);
        assert_int_equal(s3c_ring_check(ring, ring->bytes), S3C_OK);

        for (uint64_t slot = 0; slot < S3C_RING_SLOTS; slot++) {
            owners = s3c_ring_find(ring, slot << 46);

            for (uint32_t i = 0; i < S3C_RING_OWNERS; i++) {
                assert_true(i < s3c_ring_owners(ring)
                            ? owners[i] < n : owners[i] == S3C_RING_NONE);
            }

            assert_true(n < 2 || owners[0] != owners[1]);
            assert_true(n < 3 || (owners[0] != owners[2]
                                  && owners[1] != owners[2]));
        }

        free(ring);
    }
}


static void
without_weights_nobody_owns(void **state)
{
    cast_t      *cast = plain_cast(3, false);
    s3c_ring_t  *ring;

    (void) state;

    for (uint32_t i = 0; i < cast->n; i++) {
        cast->members[i].weight = 0;
    }

    ring = build_ring(cast);
    assert_int_equal(s3c_ring_members(ring), 3);
    assert_int_equal(s3c_ring_owners(ring), 0);
    assert_int_equal(s3c_ring_find(ring, UINT64_MAX)[0], S3C_RING_NONE);
    assert_int_equal(s3c_ring_member(ring, cast->members[1].name), 1);
    assert_int_equal(s3c_ring_share(ring, 1, 0), 0);
    free(ring);
}


static void
what_breaks_a_limit_is_refused(void **state)
{
    char                 name[256] = { 0 };
    size_t               bytes = s3c_ring_bytes(1025, 4096);
    cast_t              *cast = plain_cast(1025, false);
    s3c_ring_t          *ring = malloc(bytes);
    s3c_ring_member_t   *m = cast->members;
    s3c_ring_builder_t  *builder;

    (void) state;
    assert_int_equal(s3c_ring_build(ring, SIZE_MAX, m, 1025), S3C_INVALID);

    m[1].name = m[0].name;
    assert_int_equal(s3c_ring_build(ring, bytes, m, 2), S3C_INVALID);
    m[1].name = s3c_slice(name, 256);
    assert_int_equal(s3c_ring_build(ring, bytes, m, 2), S3C_INVALID);
    m[1].name = S3C_SLICE_NONE;
    assert_int_equal(s3c_ring_build(ring, bytes, m, 2), S3C_INVALID);
    m[1].name = s3c_slice(name, 255);
    m[1].zone = s3c_slice(name, 64);
    assert_int_equal(s3c_ring_build(ring, bytes, m, 2), S3C_INVALID);
    m[1].zone = s3c_slice(name, 63);
    m[1].weight = 1001;
    assert_int_equal(s3c_ring_build(ring, bytes, m, 2), S3C_INVALID);
    m[1].weight = 1000;

    bytes = s3c_ring_bytes(2, m[0].name.len + 255 + 63);
    assert_int_equal(s3c_ring_builder_create(&builder, ring, bytes - 1, m, 2),
                     S3C_FULL);
    assert_null(builder);
    s3c_ring_builder_destroy(builder);
    assert_int_equal(s3c_ring_build(ring, bytes, m, 2), S3C_OK);
    assert_int_equal(s3c_ring_weight(ring, 0), 1000);
    free(ring);
}


static void
an_image_may_lie_anywhere(void **state)
{
    uint8_t     *copy;
    cast_t      *cast = draw_cast(5, 20, true);
    s3c_ring_t  *ring = build_ring(cast), *other;
    size_t       bytes = ring->bytes;

    (void) state;
    copy = malloc(bytes);
    memcpy(copy, ring, bytes);
    other = (s3c_ring_t *) copy;
    memset(ring, 0xff, bytes);
    free(ring);

    assert_int_equal(s3c_ring_check(other, bytes), S3C_OK);

    for (uint32_t i = 0; i < cast->n; i++) {
        assert_true(s3c_ring_member(other, cast->members[i].name) < 20);
    }

    assert_int_equal(s3c_ring_check(other, bytes - 1), S3C_CORRUPT);
    assert_int_equal(s3c_ring_check(other, 10), S3C_CORRUPT);
    other->mapping++;
    assert_int_equal(s3c_ring_check(other, bytes), S3C_CORRUPT);
    other->mapping--;
    other->members_off += 24;
    assert_int_equal(s3c_ring_check(other, bytes), S3C_CORRUPT);
    other->members_off -= 24;
    ((s3c_ring_member_sh_t *) (copy + other->members_off))[7].zone_off
        = UINT32_MAX;
    assert_int_equal(s3c_ring_check(other, bytes), S3C_CORRUPT);
    memset(copy, 0, bytes);
    assert_int_equal(s3c_ring_check(other, bytes), S3C_CORRUPT);
    free(copy);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_mapping_is_the_one_that_was_shipped),
        cmocka_unit_test(some_owners_are_known_by_heart),
        cmocka_unit_test(the_order_of_members_does_not_matter),
        cmocka_unit_test(every_change_of_a_member_changes_the_digest),
        cmocka_unit_test(a_member_is_found_by_its_name),
        cmocka_unit_test(shares_are_what_the_slots_say),
        cmocka_unit_test(fewer_members_are_fewer_owners),
        cmocka_unit_test(without_weights_nobody_owns),
        cmocka_unit_test(what_breaks_a_limit_is_refused),
        cmocka_unit_test(an_image_may_lie_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

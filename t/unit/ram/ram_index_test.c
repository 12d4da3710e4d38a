/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


/* All in one chain. */
static s3c_hash128_t
key_same(uint64_t n)
{
    return (s3c_hash128_t) { .lo = n << 40 | 5, .hi = n };
}


static void
keys_of_one_chain_are_told_apart(void **state)
{
    zone_t         z;
    s3c_ram_pin_t  pin;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(s3c_ram_fill_begin(z.ram, key_same(i), 1, &pin),
                         S3C_OK);
        assert_int_equal(s3c_ram_fill_alloc(z.ram, &pin, (uint32_t) i + 100,
                                            0, 1), S3C_OK);
        assert_int_equal(s3c_ram_fill_commit(z.ram, &pin, 1), S3C_OK);
        s3c_ram_unpin(z.ram, &pin);
    }

    for (uint64_t i = 1; i < 50; i += 2) {   /* first, last and in between */
        assert_int_equal(s3c_ram_drop(z.ram, key_same(i)), S3C_OK);
    }

    for (uint64_t i = 0; i < 51; i++) {
        s3c_status_t  want = i % 2 == 0 && i < 50 ? S3C_OK : S3C_MISS;

        assert_int_equal(s3c_ram_find(z.ram, key_same(i), 1, &pin), want);
        assert_int_equal(s3c_ram_pinned(&pin), want == S3C_OK);

        if (want == S3C_OK) {
            assert_int_equal(s3c_ram_size(z.ram, &pin), i + 100);
        }

        s3c_ram_unpin(z.ram, &pin);
    }

    zone_close(&z);
}


static void
a_chain_without_end_is_left(void **state)
{
    zone_t         z;
    s3c_ram_pin_t  pin;
    uint32_t       entry;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(object_put(z.ram, 1, 100, 1, true), S3C_OK);

    entry = z.ram->at.heads[key_of(1).lo & (z.ram->c.n_heads - 1)];
    s3c_ram_entry_at(z.ram, entry)->chain = entry;
    s3c_ram_entry_at(z.ram, entry)->key_hi ^= 1;

    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &pin), S3C_MISS);
    assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(1), 1, &pin), S3C_BUSY);
    assert_int_equal(z.ram->s->n_heal, 1);
    assert_int_equal(z.ram->s->n_entries, 0);

    /* A cache again. */
    assert_int_equal(object_put(z.ram, 1, 100, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &pin), S3C_OK);
    s3c_ram_unpin(z.ram, &pin);
    zone_close(&z);
}


static void
a_request_is_noted_as_the_policy_wants_it(void **state)
{
    zone_t               z;
    s3c_ram_pin_t        pin;
    s3c_ram_entry_sh_t  *e;

    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        zone_open(&z, policy, 4 * MIB);
        assert_int_equal(object_put(z.ram, 1, 100, 4000, true), S3C_OK);

        for (uint64_t i = 0; i < 5; i++) {
            assert_int_equal(s3c_ram_find(z.ram, key_of(1), 8000, &pin),
                             S3C_OK);
            e = s3c_ram_entry_at(z.ram, pin.entry);
            s3c_ram_unpin(z.ram, &pin);
        }

        assert_int_equal(e->hits, policy == S3C_RAM_LRU ? 0 : 3);
        assert_true((e->tick == 2000) == (policy == S3C_RAM_LRU));
        zone_close(&z);
    }
}


static void
who_only_looks_is_not_noted(void **state)
{
    zone_t               z;
    uint32_t             tick;
    s3c_ram_pin_t        pin;
    s3c_ram_entry_sh_t  *e;

    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        zone_open(&z, policy, 4 * MIB);
        assert_int_equal(s3c_ram_peek(z.ram, key_of(1), &pin), S3C_MISS);
        assert_false(s3c_ram_pinned(&pin));

        assert_int_equal(object_put(z.ram, 1, 100, 4000, true), S3C_OK);
        assert_int_equal(s3c_ram_peek(z.ram, key_of(1), &pin), S3C_OK);
        e = s3c_ram_entry_at(z.ram, pin.entry);
        assert_true(payload_is(z.ram, &pin, 1));
        s3c_ram_unpin(z.ram, &pin);
        tick = e->tick;

        assert_int_equal(s3c_ram_peek(z.ram, key_of(1), &pin), S3C_OK);
        s3c_ram_unpin(z.ram, &pin);
        assert_int_equal(e->hits, 0);
        assert_int_equal(e->tick, tick);
        zone_close(&z);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(keys_of_one_chain_are_told_apart),
        cmocka_unit_test(a_chain_without_end_is_left),
        cmocka_unit_test(a_request_is_noted_as_the_policy_wants_it),
        cmocka_unit_test(who_only_looks_is_not_noted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
index_costs_at_most_64_bytes_besides_the_key(void **state)
{
    zone_t           z;
    uint64_t         entries, key = 0;
    s3c_ram_usage_t  u;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);

    /* As many objects of 2 KiB as fit: entries with their keys and sums, page
     * slack and chain heads. */
    do {
        key++;
        assert_int_equal(object_put(z.ram, key, 2048, 4 * key, false), S3C_OK);
        s3c_ram_usage(z.ram, &u);
    } while (u.n_evict == 0);

    entries = (uint64_t) z.ram->s->pages_used * 4096 + z.ram->c.n_heads * 4ull;
    print_message("%.1f bytes an object, its key of 16 included\n",
                  (double) entries / (double) u.entries);
    assert_true(entries <= (64 + sizeof(s3c_hash128_t)) * u.entries);
    zone_close(&z);
}


static void
entries_are_used_again_and_pages_only_grow(void **state)
{
    zone_t    z;
    uint32_t  i, pages, entry[200];

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);

    assert_null(s3c_ram_entry_at(z.ram, 0));
    assert_null(s3c_ram_entry_at(z.ram, 68));
    assert_null(s3c_ram_entry_at(z.ram, UINT32_MAX));
    assert_non_null(s3c_ram_entry_at(z.ram, 67));
    assert_null(s3c_ram_entry_get(z.ram, 68));
    assert_true(z.ram->broken);
    z.ram->broken = false;

    for (int round = 0; round < 3; round++) {
        for (i = 0; i < 200; i++) {
            entry[i] = s3c_ram_entry_take_locked(z.ram);
            assert_int_not_equal(entry[i], 0);
        }

        pages = z.ram->s->pages_used;
        assert_int_equal(pages, 3);

        for (i = 0; i < 200; i++) {
            s3c_ram_entry_give_locked(z.ram, entry[i]);
        }
    }

    zone_close(&z);
}


static void
a_free_list_that_lies_breaks(void **state)
{
    zone_t    z;
    uint32_t  entry;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    entry = z.ram->s->free_entry;
    s3c_ram_entry_at(z.ram, entry)->state = S3C_RAM_LIVE;
    assert_int_equal(s3c_ram_entry_take_locked(z.ram), 0);
    assert_true(z.ram->broken);
    s3c_ram_heal_locked(z.ram, true);
    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(index_costs_at_most_64_bytes_besides_the_key),
        cmocka_unit_test(entries_are_used_again_and_pages_only_grow),
        cmocka_unit_test(a_free_list_that_lies_breaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

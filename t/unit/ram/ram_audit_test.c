/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static s3c_ram_entry_sh_t *
entry_of(zone_t *z, uint64_t n)
{
    return s3c_ram_entry_at(z->ram,
                            s3c_ram_index_find_locked(z->ram, key_of(n)));
}


static void
each_broken_thing_is_named(void **state)
{
    zone_t               z;
    const char          *what;
    s3c_ram_entry_sh_t  *e, *f;

    (void) state;

    for (int i = 0; i < 17; i++) {
        zone_open(&z, i % 2, 4 * MIB);

        for (uint64_t k = 0; k < 20; k++) {
            assert_int_equal(object_put(z.ram, k, 5000, k, true), S3C_OK);
        }

        zone_audit(&z);
        e = entry_of(&z, 3);
        f = entry_of(&z, 4);

        switch (i) {
        case 0:
            e->ext[0] = f->ext[0];
            break;
        case 1:
            e->ext[0] += 1;
            break;
        case 2:
            e->state = 77;
            break;
        case 3:
            e->size += 5000;
            break;
        case 4:
            e->key_lo ^= 1;
            break;
        case 5:
            e->chain = s3c_ram_index_find_locked(z.ram, key_of(3));
            break;
        case 6:
            e->next = e->prev;
            break;
        case 7:
            z.ram->s->payload_bytes++;
            break;
        case 8:
            z.ram->s->free_units--;
            break;
        case 9:
            z.ram->s->n_free[0]++;
            break;
        case 10:
            z.ram->at.map[z.ram->c.n_units - 1] = 0;
            break;
        case 11:
            z.ram->at.pages[0] = 9;
            break;
        case 12:
            z.ram->s->free_entry = 5;
            break;
        case 13:
            z.ram->s->free_fill = S3C_RAM_NIL;
            break;
        case 14:
            z.ram->s->limbo = 5;
            break;
        case 15:
            z.ram->s->n_filling = 1;
            break;
        default:
            memset(z.ram->at.heads, 0, 4 * (size_t) z.ram->c.n_heads);
            break;
        }

        assert_int_equal(s3c_ram_audit(z.ram, &what), S3C_CORRUPT);
        assert_non_null(what);

        assert_int_equal(s3c_ram_lock(z.ram), S3C_OK);
        s3c_ram_heal_locked(z.ram, false);
        s3c_ram_unlock(z.ram);
        zone_audit(&z);
        zone_close(&z);
    }
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(each_broken_thing_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

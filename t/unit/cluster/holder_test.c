/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has what was written, and when that does not count any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/holder.h"

#define NAME  0x123456789abcdefull

static s3c_holder_sh_t  *h;


static int
make(void **state)
{
    (void) state;

    h = calloc(1, sizeof(*h));
    assert_non_null(h);

    return 0;
}


static int
unmake(void **state)
{
    (void) state;
    free(h);

    return 0;
}


static void
who_wrote_it_is_asked(void **state)
{
    (void) state;

    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);
    assert_int_equal(s3c_holder_find(h, 0, 0), 0);

    s3c_holder_write(h, NAME, 1);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);
    s3c_holder_put(h, NAME, 1, 7, 100);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 7);
    assert_int_equal(s3c_holder_find(h, NAME + 1, 0), 0);

    s3c_holder_write(h, NAME, 1);          /* told again */
    assert_int_equal(s3c_holder_find(h, NAME, 0), 7);
    s3c_holder_end(h, NAME, 1);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 7);
}


static void
until_its_time_is_over(void **state)
{
    (void) state;

    s3c_holder_write(h, NAME, 1);
    s3c_holder_put(h, NAME, 1, 7, 100);
    assert_int_equal(s3c_holder_find(h, NAME, 99), 7);
    assert_int_equal(s3c_holder_find(h, NAME, 100), 0);
}


static void
only_of_the_last_write_that_is_known(void **state)
{
    (void) state;

    s3c_holder_put(h, NAME, 1, 7, 100);    /* never heard of */
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);

    s3c_holder_write(h, NAME, 1);
    s3c_holder_write(h, NAME, 2);
    s3c_holder_put(h, NAME, 1, 7, 100);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);
    s3c_holder_put(h, NAME, 2, 8, 100);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 8);

    s3c_holder_write(h, NAME, 3);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);
}


static void
not_if_another_ends_after_it(void **state)
{
    (void) state;

    s3c_holder_write(h, NAME, 1);
    s3c_holder_write(h, NAME, 2);
    s3c_holder_put(h, NAME, 2, 8, 100);
    s3c_holder_end(h, NAME, 1);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);

    s3c_holder_write(h, NAME, 1);
    s3c_holder_write(h, NAME, 2);
    s3c_holder_end(h, NAME, 1);
    s3c_holder_put(h, NAME, 2, 8, 100);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);
}


static void
nor_when_it_was_dropped(void **state)
{
    (void) state;

    s3c_holder_write(h, NAME, 1);
    s3c_holder_put(h, NAME, 1, 7, 100);
    s3c_holder_drop(h, NAME + 1);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 7);
    s3c_holder_drop(h, NAME);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);
    s3c_holder_put(h, NAME, 1, 7, 100);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);

    s3c_holder_write(h, NAME, 2);
    s3c_holder_put(h, NAME, 2, 7, 100);
    s3c_holder_clear(h);
    assert_int_equal(s3c_holder_find(h, NAME, 0), 0);
}


/* The worker that puts it stood still while another write took the place. */
static void
a_place_that_is_half_of_another_names_nobody(void **state)
{
    uint64_t               node;
    s3c_holder_place_sh_t  *p = &h->places[(NAME >> 20)
                                           & (S3C_HOLDER_PLACES - 1)];

    (void) state;

    s3c_holder_write(h, NAME, 1);
    s3c_holder_put(h, NAME, 1, 7, 100);
    node = atomic_load(&p->node);
    s3c_holder_write(h, NAME, 2);
    atomic_store(&p->node, node);
    assert_int_not_equal(s3c_holder_find(h, NAME, 0), 7);
}


static void
names_that_share_a_place_push_each_other_out(void **state)
{
    uint64_t  found = 0;

    (void) state;

    for (uint64_t i = 1; i <= 3 * S3C_HOLDER_PLACES; i++) {
        s3c_holder_write(h, i << 20, i);
        s3c_holder_put(h, i << 20, i, i, 100);
    }

    for (uint64_t i = 1; i <= 3 * S3C_HOLDER_PLACES; i++) {
        uint64_t  node = s3c_holder_find(h, i << 20, 0);

        assert_true(node == 0 || node == i);
        found += node != 0;
    }

    assert_int_equal(found, S3C_HOLDER_PLACES);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(who_wrote_it_is_asked, make, unmake),
        cmocka_unit_test_setup_teardown(until_its_time_is_over, make, unmake),
        cmocka_unit_test_setup_teardown(only_of_the_last_write_that_is_known,
                                        make, unmake),
        cmocka_unit_test_setup_teardown(not_if_another_ends_after_it, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(nor_when_it_was_dropped, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(
            a_place_that_is_half_of_another_names_nobody, make, unmake),
        cmocka_unit_test_setup_teardown(
            names_that_share_a_place_push_each_other_out, make, unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

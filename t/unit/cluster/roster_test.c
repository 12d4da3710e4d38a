/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/cluster/roster.c: which members a node believes in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/roster.h"

#define ITEMS_MAX  (2 * S3C_RING_MEMBERS_MAX)

typedef struct {
    s3c_roster_item_t  items[ITEMS_MAX];
    size_t             n;
    char               text[ITEMS_MAX * 64];    /* what the items point to */
    size_t             len;
    uint8_t            buf[S3C_ROSTER_BYTES];
    s3c_roster_sums_t  sums;
    s3c_slice_t        made;
} merge_t;

static merge_t  g;


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static void
add(const char *name, const char *value)
{
    g.items[g.n].name = text(name);
    g.items[g.n++].value = text(value);
}


/* A member n0, n1.. that is right. */
static void
add_number(unsigned i)
{
    char  *name = g.text + g.len, *value;

    g.len += (size_t) sprintf(name, "n%u", i) + 1;
    value = g.text + g.len;
    g.len += (size_t) sprintf(value, "s3c1 10.0.%u.%u:1 ready", i / 256,
                              i % 256) + 1;
    add(name, value);
}


static s3c_status_t
merge(const char *before, bool drop)
{
    s3c_status_t  st;
    s3c_writer_t  w;

    s3c_writer_init(&w, g.buf, sizeof(g.buf));
    st = s3c_roster_merge(&w, text(before), g.items, g.n, drop, &g.sums);
    g.made = s3c_writer_slice(&w);
    g.n = g.len = 0;

    return st;
}


static void
made(const char *expected)
{
    assert_int_equal(g.made.len, strlen(expected));
    assert_memory_equal(g.made.data, expected, g.made.len);
}


static void
an_answer_is_sorted_by_name(void **state)
{
    add("b", "s3c1 1.1.1.1:2 ready");
    add("a", "s3c1 1.1.1.1:1 joining");
    add("aa", "s3c1 1.1.1.1:3 leaving");
    assert_int_equal(merge("", false), S3C_OK);
    made("a s3c1 1.1.1.1:1 joining\naa s3c1 1.1.1.1:3 leaving\n"
         "b s3c1 1.1.1.1:2 ready\n");
    assert_int_equal(g.sums.members, 3);
    assert_int_equal(g.sums.held, 0);
    assert_int_equal(g.sums.refused, 0);
}


static void
who_is_missing_stays_until_he_is_dropped(void **state)
{
    static const char  before[] = "a s3c1 1.1.1.1:1 ready\n"
                                  "b s3c1 1.1.1.1:2 ready\n";

    add("a", "s3c1 1.1.1.1:1 ready");
    assert_int_equal(merge(before, false), S3C_OK);
    made(before);
    assert_int_equal(g.sums.held, 1);

    add("a", "s3c1 1.1.1.1:1 ready");
    assert_int_equal(merge(before, true), S3C_OK);
    made("a s3c1 1.1.1.1:1 ready\n");
    assert_int_equal(g.sums.held, 0);
}


static void
who_said_that_he_leaves_is_dropped_at_once(void **state)
{
    add("a", "s3c1 1.1.1.1:1 ready");
    assert_int_equal(merge("a s3c1 1.1.1.1:1 ready\n"
                           "b s3c1 1.1.1.1:2 leaving\n", false), S3C_OK);
    made("a s3c1 1.1.1.1:1 ready\n");
    assert_int_equal(g.sums.held, 0);
}


static void
the_answer_counts_and_not_what_was(void **state)
{
    add("a", "s3c1 1.1.1.1:9 leaving weight=2");
    assert_int_equal(merge("a s3c1 1.1.1.1:1 ready\n", false), S3C_OK);
    made("a s3c1 1.1.1.1:9 leaving weight=2\n");
    assert_int_equal(g.sums.held, 0);
}


static void
damaged_values_are_refused(void **state)
{
    add("a", "s3c1 1.1.1.1:1 ready");
    add("b", "garbage");
    add("", "s3c1 1.1.1.1:2 ready");
    add("c d", "s3c1 1.1.1.1:3 ready");
    assert_int_equal(merge("", true), S3C_OK);
    made("a s3c1 1.1.1.1:1 ready\n");
    assert_int_equal(g.sums.refused, 3);
}


static void
a_member_whose_value_is_damaged_stays_as_it_was(void **state)
{
    add("a", "s3c1 1.1.1.1:1 ready");
    add("b", "garbage");
    assert_int_equal(merge("b s3c1 1.1.1.1:2 ready\n", true), S3C_OK);
    made("a s3c1 1.1.1.1:1 ready\nb s3c1 1.1.1.1:2 ready\n");
    assert_int_equal(g.sums.refused, 1);
    assert_int_equal(g.sums.held, 1);
}


static void
an_answer_without_a_right_value_is_invalid(void **state)
{
    add("a", "garbage");
    assert_int_equal(merge("b s3c1 1.1.1.1:2 ready\n", true), S3C_INVALID);
    assert_int_equal(g.sums.refused, 1);

    assert_int_equal(merge("b s3c1 1.1.1.1:2 ready\n", true), S3C_INVALID);

    add("a", "garbage");
    assert_int_equal(merge("", true), S3C_OK);
    made("");
}


static void
of_two_with_one_address_the_later_run_stays(void **state)
{
    add("a", "s3c1 1.1.1.1:1 ready id=01");
    add("b", "s3c1 1.1.1.1:1 ready id=02");
    add("c", "s3c1 1.1.1.1:1 ready");
    assert_int_equal(merge("", false), S3C_OK);
    made("b s3c1 1.1.1.1:1 ready id=02\n");
    assert_int_equal(g.sums.refused, 2);
}


static void
and_without_that_the_lesser_name(void **state)
{
    add("b", "s3c1 1.1.1.1:1 ready");
    add("a", "s3c1 1.1.1.1:1 ready");
    assert_int_equal(merge("", false), S3C_OK);
    made("a s3c1 1.1.1.1:1 ready\n");
}


static void
one_of_the_answer_has_the_address_of_one_that_is_missing(void **state)
{
    add("b", "s3c1 1.1.1.1:1 ready id=01");
    assert_int_equal(merge("a s3c1 1.1.1.1:1 ready id=02\n", false), S3C_OK);
    made("b s3c1 1.1.1.1:1 ready id=01\n");
    assert_int_equal(g.sums.refused, 0);
    assert_int_equal(g.sums.held, 0);
}


static void
a_name_that_comes_twice_is_taken_once(void **state)
{
    add("a", "s3c1 1.1.1.1:1 ready");
    add("a", "s3c1 1.1.1.1:2 ready");
    assert_int_equal(merge("a s3c1 1.1.1.1:3 ready\n", false), S3C_OK);
    assert_int_equal(g.sums.members, 1);
    assert_int_equal(g.sums.refused, 1);
}


static void
more_than_there_may_be_are_refused_as_a_whole(void **state)
{
    unsigned  i;

    for (i = 0; i < S3C_RING_MEMBERS_MAX; i++) {
        add_number(i);
    }

    assert_int_equal(merge("", false), S3C_OK);
    assert_int_equal(g.sums.members, S3C_RING_MEMBERS_MAX);

    for (i = 0; i <= S3C_RING_MEMBERS_MAX; i++) {
        add_number(i);
    }

    assert_int_equal(merge("", false), S3C_BUSY);
}


static void
who_is_missing_has_only_what_place_is_left(void **state)
{
    unsigned  i;

    for (i = 1; i < S3C_RING_MEMBERS_MAX; i++) {
        add_number(i);
    }

    assert_int_equal(merge("x s3c1 1.1.1.1:1 ready\n"
                           "y s3c1 1.1.1.1:2 ready\n", false), S3C_OK);
    assert_int_equal(g.sums.members, S3C_RING_MEMBERS_MAX);
    assert_int_equal(g.sums.held, 1);
    assert_false(g.sums.complete);
}


static void
without_room_it_is_full(void **state)
{
    uint8_t            buf[16];
    s3c_writer_t       w;
    s3c_roster_item_t  item = { S3C_SLICE("a"),
                                S3C_SLICE("s3c1 1.1.1.1:1 ready") };

    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_roster_merge(&w, S3C_SLICE_NONE, &item, 1, false,
                                      &g.sums), S3C_FULL);
}


static void
a_damaged_roster_before_is_read_as_far_as_it_is_right(void **state)
{
    add("a", "s3c1 1.1.1.1:1 ready");
    assert_int_equal(merge("b s3c1 1.1.1.1:2 ready\ngarbage\n"
                           "c s3c1 1.1.1.1:3 ready\n", false), S3C_OK);
    made("a s3c1 1.1.1.1:1 ready\nb s3c1 1.1.1.1:2 ready\n");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(an_answer_is_sorted_by_name),
        cmocka_unit_test(who_is_missing_stays_until_he_is_dropped),
        cmocka_unit_test(who_said_that_he_leaves_is_dropped_at_once),
        cmocka_unit_test(the_answer_counts_and_not_what_was),
        cmocka_unit_test(damaged_values_are_refused),
        cmocka_unit_test(a_member_whose_value_is_damaged_stays_as_it_was),
        cmocka_unit_test(an_answer_without_a_right_value_is_invalid),
        cmocka_unit_test(of_two_with_one_address_the_later_run_stays),
        cmocka_unit_test(and_without_that_the_lesser_name),
        cmocka_unit_test(
            one_of_the_answer_has_the_address_of_one_that_is_missing),
        cmocka_unit_test(a_name_that_comes_twice_is_taken_once),
        cmocka_unit_test(more_than_there_may_be_are_refused_as_a_whole),
        cmocka_unit_test(who_is_missing_has_only_what_place_is_left),
        cmocka_unit_test(without_room_it_is_full),
        cmocka_unit_test(
            a_damaged_roster_before_is_read_as_far_as_it_is_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

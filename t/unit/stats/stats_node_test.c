/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of nodes: found by name, given to others when there are too many, and
 * not written to by those who had them before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "stats/stats_node.h"

static s3c_stats_nodes_sh_t  *nodes;


static int
setup(void **state)
{
    (void) state;
    nodes = calloc(1, sizeof(*nodes));

    return nodes ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;
    free(nodes);

    return 0;
}


static s3c_slice_t
name_of(unsigned i)
{
    static char  buf[32];

    return s3c_slice(buf, (size_t) snprintf(buf, sizeof(buf), "node%u", i));
}


static uint64_t
asked(unsigned i)
{
    s3c_stats_node_counts_t  counts;

    s3c_stats_node_read_locked(nodes, name_of(i), &counts);

    return counts.counter[S3C_NODE_STAT_ASKED];
}


static void
each_name_has_a_row_of_its_own(void **state)
{
    (void) state;

    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < S3C_STATS_NODES_MAX; i++) {
            s3c_stats_node_t  n = s3c_stats_node_get_locked(nodes, name_of(i),
                                                            1);

            assert_true(s3c_stats_node_valid(&n));
            s3c_stats_node_add(&n, S3C_NODE_STAT_ASKED, i + 1);
        }
    }

    for (unsigned i = 0; i < S3C_STATS_NODES_MAX; i++) {
        assert_int_equal(asked(i), 2 * (i + 1));
    }
}


static void
a_name_that_is_none_counts_nothing(void **state)
{
    static char              longest[S3C_STATS_NODE_NAME + 1];
    s3c_stats_node_t         n;
    s3c_stats_node_counts_t  counts;

    (void) state;
    memset(longest, 'x', sizeof(longest));

    n = s3c_stats_node_get_locked(nodes, S3C_SLICE_NONE, 1);
    assert_null(n.row);
    n = s3c_stats_node_get_locked(nodes, s3c_slice(longest, sizeof(longest)),
                                  1);
    assert_null(n.row);

    s3c_stats_node_add(&n, S3C_NODE_STAT_ASKED, 1);
    s3c_stats_node_use(&n, 1);
    s3c_stats_node_answered(&n, 1);
    s3c_stats_node_rest(&n, true);
    s3c_stats_node_links(&n, 0, 1);

    n = s3c_stats_node_get_locked(nodes,
                                  s3c_slice(longest, S3C_STATS_NODE_NAME), 1);
    assert_non_null(n.row);
    s3c_stats_node_add(&n, S3C_NODE_STAT_ASKED, 7);
    s3c_stats_node_read_locked(nodes, s3c_slice(longest, S3C_STATS_NODE_NAME),
                               &counts);
    assert_int_equal(counts.counter[S3C_NODE_STAT_ASKED], 7);
    s3c_stats_node_read_locked(nodes, s3c_slice(longest, sizeof(longest)),
                               &counts);
    assert_int_equal(counts.counter[S3C_NODE_STAT_ASKED], 0);
}


static void
the_row_used_the_longest_time_ago_is_given_away(void **state)
{
    s3c_stats_node_t  old, n;

    (void) state;

    for (unsigned i = 0; i < S3C_STATS_NODES_MAX; i++) {
        n = s3c_stats_node_get_locked(nodes, name_of(i), 1000 + i);
        s3c_stats_node_add(&n, S3C_NODE_STAT_ASKED, 1);
    }

    /* node0 is in use; node1 is the oldest now */
    n = s3c_stats_node_get_locked(nodes, name_of(0), 9000);
    old = s3c_stats_node_get_locked(nodes, name_of(1), 1);

    n = s3c_stats_node_get_locked(nodes, name_of(5000), 9001);
    assert_int_equal(asked(5000), 0);
    assert_int_equal(asked(0), 1);
    assert_int_equal(asked(1), 0);
    assert_int_equal(asked(2), 1);

    /* who had it is not heard */
    assert_false(s3c_stats_node_valid(&old));
    s3c_stats_node_add(&old, S3C_NODE_STAT_ASKED, 100);
    s3c_stats_node_answered(&old, 100);
    s3c_stats_node_rest(&old, true);
    s3c_stats_node_links(&old, 0, 3);
    assert_int_equal(asked(5000), 0);
    s3c_stats_node_add(&n, S3C_NODE_STAT_ASKED, 2);
    assert_int_equal(asked(5000), 2);

    /* nor is it lost: node1 takes the next one */
    old = s3c_stats_node_get_locked(nodes, name_of(1), 9002);
    assert_true(s3c_stats_node_valid(&old));
    assert_int_equal(asked(2), 0);
}


static void
an_answer_is_timed_and_ends_a_rest(void **state)
{
    uint64_t                 usec[] = { 1, 16, 17, 1000, UINT64_C(1) << 40 };
    s3c_stats_node_t         n;
    s3c_stats_node_counts_t  counts;

    (void) state;
    n = s3c_stats_node_get_locked(nodes, name_of(1), 1);

    s3c_stats_node_rest(&n, true);
    s3c_stats_node_read_locked(nodes, name_of(1), &counts);
    assert_true(counts.rests);

    for (size_t i = 0; i < 5; i++) {
        s3c_stats_node_answered(&n, usec[i]);
    }

    s3c_stats_node_read_locked(nodes, name_of(1), &counts);
    assert_false(counts.rests);
    assert_int_equal(counts.counter[S3C_NODE_STAT_ANSWERED], 5);
    assert_int_equal(counts.first_byte.count, 5);
    assert_int_equal(counts.first_byte.place[0], 2);
    assert_int_equal(counts.first_byte.place[S3C_HIST_BUCKETS], 1);
    assert_int_equal(counts.first_byte.sum_usec,
                     1034 + (UINT64_C(1) << 40));
}


static bool
is_not_seven(int64_t pid)
{
    return pid != 7;
}


static void
links_are_a_sum_over_workers(void **state)
{
    s3c_stats_node_t         n;
    s3c_stats_node_counts_t  counts;

    (void) state;
    n = s3c_stats_node_get_locked(nodes, name_of(1), 1);

    s3c_stats_node_worker_locked(nodes, 0, 6, is_not_seven);
    s3c_stats_node_worker_locked(nodes, 7, 7, is_not_seven);
    s3c_stats_node_links(&n, 0, 3);
    s3c_stats_node_links(&n, 7, 2);
    s3c_stats_node_links(&n, 7, 1);
    s3c_stats_node_links(&n, S3C_RAM_SLOTS_MAX, 9);
    s3c_stats_node_links(&n, S3C_RAM_NO_SLOT, 9);
    s3c_stats_node_read_locked(nodes, name_of(1), &counts);
    assert_int_equal(counts.links, 4);

    /* 7 died; another takes another slot, or the same one */
    s3c_stats_node_worker_locked(nodes, S3C_RAM_NO_SLOT, 8, is_not_seven);
    s3c_stats_node_worker_locked(nodes, 9, 8, is_not_seven);
    s3c_stats_node_read_locked(nodes, name_of(1), &counts);
    assert_int_equal(counts.links, 3);
    s3c_stats_node_worker_locked(nodes, 0, 10, is_not_seven);
    s3c_stats_node_read_locked(nodes, name_of(1), &counts);
    assert_int_equal(counts.links, 0);
}


/* Whoever died within the lock may have left a row without its mark, or a
 * chain that leads nowhere. */
static void
a_damaged_table_is_still_walked_to_an_end(void **state)
{
    s3c_stats_node_t  n;

    (void) state;
    n = s3c_stats_node_get_locked(nodes, name_of(1), 1);
    n.row->linked = 0;                     /* it is in its chain still */
    n = s3c_stats_node_get_locked(nodes, name_of(2), 1);
    assert_true(s3c_stats_node_valid(&n));
    s3c_stats_node_add(&n, S3C_NODE_STAT_ASKED, 1);
    assert_int_equal(asked(2), 1);
    assert_int_equal(asked(1), 0);

    n.row->next = 1 + (uint32_t) (n.row - nodes->row);      /* a circle */
    assert_int_equal(asked(3), 0);
    n.row->next = UINT32_MAX;
    assert_int_equal(asked(3), 0);

    for (unsigned i = 0; i < 2 * S3C_STATS_NODES_MAX; i++) {
        n = s3c_stats_node_get_locked(nodes, name_of(i), 10 + i);
        assert_true(s3c_stats_node_valid(&n));
    }
}


int
main(void)
{
#define T(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest  tests[] = {
        T(each_name_has_a_row_of_its_own),
        T(a_name_that_is_none_counts_nothing),
        T(the_row_used_the_longest_time_ago_is_given_away),
        T(an_answer_is_timed_and_ends_a_rest),
        T(links_are_a_sum_over_workers),
        T(a_damaged_table_is_still_walked_to_an_end)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

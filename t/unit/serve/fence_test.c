/* SPDX-License-Identifier: Apache-2.0
 *
 * Fences: held, ended, lingering, left behind by the dead; generations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve/fence.h"

#define ME     1000u
#define OTHER  2000u

#define NONE   S3C_FENCE_DUE_NONE

#define begin(name, owner, id)  s3c_fence_begin(f, name, NONE, owner, id)
#define keep(name, tag, until)  s3c_fence_keep(f, name, tag, NONE, until)

static s3c_fence_sh_t  *f;


static int
make(void **state)
{
    (void) state;

    f = mmap(NULL, s3c_fence_bytes(), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f != MAP_FAILED);
    assert_int_equal(s3c_fence_format(f), S3C_OK);

    return 0;
}


static int
unmake(void **state)
{
    (void) state;

    return munmap(f, s3c_fence_bytes());
}


static bool
only_me(uint32_t owner)
{
    return owner == ME;
}


static bool
nobody(uint32_t owner)
{
    (void) owner;

    return false;
}


static void
a_name_is_held_from_its_begin_to_its_end(void **state)
{
    s3c_fence_id_t  a, b;

    (void) state;

    assert_false(s3c_fence_holds(f, 7));
    assert_int_equal(begin(7, ME, &a), S3C_OK);
    assert_int_equal(begin(7, OTHER, &b), S3C_OK);
    assert_true(s3c_fence_holds(f, 7));
    assert_false(s3c_fence_holds(f, 8));
    s3c_fence_end(f, a, 0);
    assert_true(s3c_fence_holds(f, 7));
    s3c_fence_end(f, a, 0);                /* once is all it counts */
    assert_true(s3c_fence_holds(f, 7));
    s3c_fence_end(f, b, 0);
    assert_false(s3c_fence_holds(f, 7));
    assert_int_equal(s3c_fence_held(f), 0);
    s3c_fence_end(f, 0, 0);
}


static void
a_fence_of_another_node_is_known_by_its_tag(void **state)
{
    (void) state;

    /* 7 and 7 + S3C_FENCE_COUNTS share a chain */
    assert_int_equal(keep(7, 1, 500), S3C_OK);
    assert_int_equal(keep(7 + S3C_FENCE_COUNTS, 1, 500), S3C_OK);
    assert_int_equal(keep(7, 2, 500), S3C_OK);
    assert_int_equal(keep(7, 1, 600), S3C_EXISTS);
    assert_int_equal(s3c_fence_held(f), 3);
    assert_int_equal(s3c_fence_lift(f, 7, 3, 0), S3C_MISS);
    assert_int_equal(s3c_fence_lift(f, 8, 1, 0), S3C_MISS);
    assert_int_equal(s3c_fence_lift(f, 7, 2, 0), S3C_OK);
    assert_int_equal(s3c_fence_lift(f, 7, 2, 0), S3C_MISS);
    assert_true(s3c_fence_holds(f, 7));

    /* whose time is over goes by itself: the one that was renewed is not */
    assert_int_equal(s3c_fence_sweep(f, 500, 999, nobody), 0);
    assert_int_equal(s3c_fence_held(f), 1);
    assert_int_equal(s3c_fence_lift(f, 7, 1, 800), S3C_OK);
    assert_int_equal(s3c_fence_sweep(f, 799, 999, nobody), 0);
    assert_true(s3c_fence_holds(f, 7));
    assert_int_equal(s3c_fence_sweep(f, 800, 999, nobody), 0);
    assert_false(s3c_fence_holds(f, 7));
    assert_int_equal(s3c_fence_lift(f, 7, 1, 0), S3C_MISS);
}


static void
tags_and_owners_share_the_places(void **state)
{
    uint32_t        n;
    s3c_fence_id_t  id;

    (void) state;

    for (n = 0; n < S3C_FENCE_PLACES; n++) {
        if (n & 1) {
            assert_int_equal(begin(n, ME, &id), S3C_OK);

        } else {
            assert_int_equal(keep(n, n + 1, 500), S3C_OK);
        }
    }

    assert_int_equal(keep(n, 1, 500), S3C_FULL);
    assert_int_equal(s3c_fence_lift(f, 4, 5, 0), S3C_OK);
    assert_int_equal(keep(n, 1, 500), S3C_OK);
    assert_int_equal(s3c_fence_sweep(f, 500, 999, nobody),
                     S3C_FENCE_PLACES / 2);
    assert_int_equal(s3c_fence_held(f), S3C_FENCE_PLACES / 2);
}


static void
an_unknown_outcome_holds_for_a_while(void **state)
{
    s3c_fence_id_t  id;

    (void) state;

    assert_int_equal(begin(7, ME, &id), S3C_OK);
    s3c_fence_end(f, id, 500);
    assert_true(s3c_fence_holds(f, 7));
    assert_int_equal(s3c_fence_sweep(f, 499, 999, nobody), 0);
    assert_true(s3c_fence_holds(f, 7));
    s3c_fence_end(f, id, 0);               /* nor can it be ended twice */
    assert_true(s3c_fence_holds(f, 7));
    assert_int_equal(s3c_fence_sweep(f, 500, 999, nobody), 0);
    assert_false(s3c_fence_holds(f, 7));
}


static void
what_the_dead_held_holds_for_a_while(void **state)
{
    s3c_fence_id_t  a, b, c;

    (void) state;

    assert_int_equal(begin(7, OTHER, &a), S3C_OK);
    assert_int_equal(begin(8, ME, &b), S3C_OK);
    assert_int_equal(begin(9, OTHER, &c), S3C_OK);
    assert_int_equal(s3c_fence_sweep(f, 100, 600, only_me), 2);
    assert_int_equal(s3c_fence_sweep(f, 200, 700, only_me), 0);
    assert_true(s3c_fence_holds(f, 7) && s3c_fence_holds(f, 8)
                && s3c_fence_holds(f, 9));
    assert_int_equal(s3c_fence_sweep(f, 600, 999, only_me), 0);
    assert_false(s3c_fence_holds(f, 7));
    assert_true(s3c_fence_holds(f, 8));
    s3c_fence_end(f, b, 0);
    assert_int_equal(s3c_fence_held(f), 0);
}


static void
all_places_can_be_taken_and_no_more(void **state)
{
    s3c_fence_id_t         id;
    static s3c_fence_id_t  ids[S3C_FENCE_PLACES];

    (void) state;

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < S3C_FENCE_PLACES; i++) {
            assert_int_equal(begin(i * 3, ME, &ids[i]), S3C_OK);
        }

        assert_int_equal(begin(1, ME, &id), S3C_FULL);
        assert_int_equal(id, 0);

        for (unsigned i = 0; i < S3C_FENCE_PLACES; i++) {
            assert_true(s3c_fence_holds(f, i * 3));
            s3c_fence_end(f, ids[i], 0);
        }

        assert_int_equal(s3c_fence_held(f), 0);
    }

    for (unsigned i = 0; i < S3C_FENCE_PLACES; i++) {
        assert_false(s3c_fence_holds(f, i * 3));
    }
}


static void
many_processes_that_are_killed_leave_no_count_wrong(void **state)
{
    pid_t           pid;
    s3c_fence_id_t  id;

    (void) state;

    for (unsigned round = 0; round < 30; round++) {

        pid = fork();

        if (pid == 0) {
            for (unsigned i = 0; /* until killed */ ; i++) {
                if (begin(i % 5, OTHER, &id) == S3C_OK) {
                    s3c_fence_end(f, id, 0);
                }
            }
        }

        assert_true(pid > 0);

        for (unsigned i = 0; i < 2000; i++) {
            assert_int_equal(begin(100 + i % 5, ME, &id),
                             S3C_OK);
            assert_true(s3c_fence_holds(f, 100 + i % 5));
            s3c_fence_end(f, id, 0);
        }

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void) s3c_fence_sweep(f, 1, 2, nobody);
        (void) s3c_fence_sweep(f, 2, 3, nobody);
    }

    assert_int_equal(begin(1, ME, &id), S3C_OK);
    s3c_fence_end(f, id, 0);

    for (unsigned name = 0; name < 5; name++) {
        assert_false(s3c_fence_holds(f, name));
        assert_false(s3c_fence_holds(f, 100 + name));
    }

    assert_int_equal(s3c_fence_held(f), 0);
}


static void
what_is_due_is_so_until_it_was_dropped(void **state)
{
    s3c_fence_id_t    a, b;
    s3c_fence_lost_t  lost = { 0 };

    (void) state;

    assert_int_equal(s3c_fence_dues(f), 0);
    assert_int_equal(s3c_fence_begin(f, 7, S3C_FENCE_DUE_KEY, ME, &a), S3C_OK);
    assert_int_equal(begin(7, ME, &b), S3C_OK);
    assert_int_equal(s3c_fence_dues(f), 1);
    assert_true(s3c_fence_holds(f, 7));
    assert_false(s3c_fence_lost(f, 1, only_me, &lost));
    s3c_fence_end(f, b, 0);
    assert_int_equal(s3c_fence_dues(f), 1);

    /* nobody knows what became of it: it was dropped, and holds */
    s3c_fence_end(f, a, 500);
    assert_int_equal(s3c_fence_dues(f), 0);
    assert_true(s3c_fence_holds(f, 7));
    assert_false(s3c_fence_lost(f, 500, nobody, &lost));
    assert_int_equal(s3c_fence_sweep(f, 500, 999, nobody), 0);

    /* of another node */
    assert_int_equal(s3c_fence_ask(f, 7, 1), S3C_MISS);
    assert_int_equal(s3c_fence_keep(f, 7, 1, S3C_FENCE_DUE_KEY, 500), S3C_OK);
    assert_int_equal(s3c_fence_keep(f, 7, 1, S3C_FENCE_DUE_KEY, 600), S3C_OK);
    assert_int_equal(s3c_fence_ask(f, 7, 1), S3C_AGAIN);
    s3c_fence_settle(f, 7, 2);
    assert_int_equal(s3c_fence_dues(f), 1);
    s3c_fence_settle(f, 7, 1);
    assert_int_equal(s3c_fence_dues(f), 0);
    assert_int_equal(s3c_fence_ask(f, 7, 1), S3C_OK);
    assert_int_equal(s3c_fence_keep(f, 7, 1, S3C_FENCE_DUE_KEY, 600),
                     S3C_EXISTS);
    assert_int_equal(s3c_fence_lift(f, 7, 1, 0), S3C_OK);

    /* refused: it just goes */
    assert_int_equal(s3c_fence_keep(f, 7, 1, S3C_FENCE_DUE_LIST, 500), S3C_OK);
    assert_int_equal(s3c_fence_lift(f, 7, 1, 0), S3C_OK);
    assert_int_equal(s3c_fence_dues(f), 0);
    assert_int_equal(s3c_fence_held(f), 0);
}


static void
what_is_due_for_the_dead_and_the_forgotten_is_lost(void **state)
{
    unsigned          seen = 0;
    s3c_fence_id_t    id;
    s3c_fence_lost_t  lost = { 0 };

    (void) state;

    assert_int_equal(s3c_fence_begin(f, 1, S3C_FENCE_DUE_KEY, OTHER, &id),
                     S3C_OK);
    assert_int_equal(s3c_fence_begin(f, 2, S3C_FENCE_DUE_BUCKET, ME, &id),
                     S3C_OK);
    assert_int_equal(s3c_fence_keep(f, 3, 9, S3C_FENCE_DUE_LIST, 500), S3C_OK);
    assert_int_equal(s3c_fence_keep(f, 4, 9, S3C_FENCE_DUE_BUCKET, 501),
                     S3C_OK);

    /* nothing ends before that is dropped */
    assert_int_equal(s3c_fence_sweep(f, 500, 900, only_me), 0);
    assert_int_equal(s3c_fence_held(f), 4);

    while (s3c_fence_lost(f, 500, only_me, &lost)) {
        assert_int_equal(lost.due, lost.name == 1 ? S3C_FENCE_DUE_KEY
                                                  : S3C_FENCE_DUE_LIST);
        assert_true(s3c_fence_holds(f, lost.name));
        seen |= 1u << lost.name;
        s3c_fence_settle_lost(f, &lost);
    }

    assert_int_equal(seen, 1u << 1 | 1u << 3);
    assert_int_equal(s3c_fence_dues(f), 2);

    /* then the dead's holds for a while, and the other is over */
    assert_int_equal(s3c_fence_sweep(f, 500, 900, only_me), 1);
    assert_int_equal(s3c_fence_held(f), 3);
    assert_true(s3c_fence_holds(f, 1));

    /* a place that is another's by now is not settled */
    assert_int_equal(s3c_fence_lift(f, 4, 9, 0), S3C_OK);
    assert_int_equal(s3c_fence_begin(f, 5, S3C_FENCE_DUE_KEY, ME, &id),
                     S3C_OK);
    s3c_fence_settle_lost(f, &lost);
    assert_int_equal(s3c_fence_dues(f), 2);
}


static void
dues_are_counted_again_when_a_process_died_in_the_lock(void **state)
{
    pid_t             pid;
    s3c_fence_id_t    id, mine;
    s3c_fence_lost_t  lost = { 0 };

    (void) state;

    for (unsigned round = 0; round < 30; round++) {
        assert_int_equal(s3c_fence_begin(f, 100, S3C_FENCE_DUE_KEY, ME, &mine),
                         S3C_OK);
        pid = fork();

        if (pid == 0) {
            for (unsigned i = 0; /* until killed */ ; i++) {
                if (s3c_fence_begin(f, i % 5, S3C_FENCE_DUE_KEY, OTHER, &id)
                    == S3C_OK)
                {
                    s3c_fence_end(f, id, 0);
                }
            }
        }

        assert_true(pid > 0);

        while (s3c_fence_dues(f) < 2) {
            /* it has begun */
        }

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);

        memset(&lost, 0, sizeof(lost));

        while (s3c_fence_lost(f, 1, only_me, &lost)) {
            assert_true(lost.name < 5);
            s3c_fence_settle_lost(f, &lost);
        }

        assert_true(s3c_fence_sweep(f, 1, 2, only_me) <= 1);
        (void) s3c_fence_sweep(f, 2, 3, only_me);
        assert_int_equal(s3c_fence_dues(f), 1);
        s3c_fence_end(f, mine, 0);
        assert_int_equal(s3c_fence_dues(f), 0);
        assert_int_equal(s3c_fence_held(f), 0);
    }
}


static void
fences_of_before_another_configuration_are_strangers(void **state)
{
    s3c_fence_id_t  a, b, c;

    (void) state;

    assert_int_equal(s3c_fence_epoch(f), 0);
    s3c_fence_set_config(f, 5);
    assert_int_equal(s3c_fence_epoch(f), 1);
    assert_int_equal(begin(7, ME, &a), S3C_OK);
    assert_int_equal(begin(8, ME, &b), S3C_OK);
    assert_int_equal(keep(9, 1, 500), S3C_OK);

    /* a reload that changes nothing */
    s3c_fence_set_config(f, 5);
    assert_int_equal(s3c_fence_epoch(f), 1);
    assert_int_equal(s3c_fence_strangers(f), 0);

    s3c_fence_set_config(f, 6);
    assert_int_equal(s3c_fence_epoch(f), 2);
    assert_int_equal(s3c_fence_strangers(f), 3);
    assert_int_equal(begin(10, ME, &c), S3C_OK);
    assert_int_equal(s3c_fence_strangers(f), 3);

    /* as it was: those of between are strangers, too, and none twice */
    s3c_fence_set_config(f, 5);
    assert_int_equal(s3c_fence_epoch(f), 3);
    assert_int_equal(s3c_fence_strangers(f), 4);

    s3c_fence_end(f, a, 0);
    s3c_fence_end(f, b, 800);              /* nobody knows: it goes on */
    assert_int_equal(s3c_fence_strangers(f), 3);
    assert_int_equal(keep(9, 1, 500), S3C_EXISTS);
    assert_int_equal(s3c_fence_strangers(f), 3);
    assert_int_equal(s3c_fence_lift(f, 9, 1, 0), S3C_OK);
    s3c_fence_end(f, c, 0);
    assert_int_equal(s3c_fence_strangers(f), 1);
    assert_int_equal(s3c_fence_sweep(f, 800, 999, nobody), 0);
    assert_int_equal(s3c_fence_strangers(f), 0);

    /* a place that was a stranger's is none when it is taken again */
    assert_int_equal(begin(7, ME, &a), S3C_OK);
    assert_int_equal(s3c_fence_strangers(f), 0);
    s3c_fence_end(f, a, 0);

    s3c_fence_set_config(f, S3C_FENCE_RETIRED);
    assert_int_equal(s3c_fence_config(f), S3C_FENCE_RETIRED);
}


static void
strangers_are_counted_again_when_a_process_died_in_the_lock(void **state)
{
    pid_t           pid;
    uint32_t        n;
    s3c_fence_id_t  id, mine;

    (void) state;

    for (unsigned round = 0; round < 30; round++) {
        assert_int_equal(begin(100, ME, &mine), S3C_OK);
        pid = fork();

        if (pid == 0) {
            for (unsigned i = 1; /* until killed */ ; i++) {
                if (begin(i % 5, OTHER, &id) == S3C_OK) {
                    s3c_fence_set_config(f, i);
                    s3c_fence_end(f, id, 0);
                }
            }
        }

        assert_true(pid > 0);

        while (s3c_fence_strangers(f) == 0) {
            /* it has begun */
        }

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);

        /* its own may be left, and is the dead's */
        n = s3c_fence_sweep(f, 1, 2, only_me);
        assert_true(n <= 1);
        (void) s3c_fence_sweep(f, 2, 3, only_me);
        s3c_fence_set_config(f, UINT64_MAX - 1 - round);
        assert_int_equal(s3c_fence_strangers(f), 1);
        s3c_fence_end(f, mine, 0);
        assert_int_equal(s3c_fence_strangers(f), 0);
        assert_int_equal(s3c_fence_held(f), 0);
    }
}


static void
generations_only_grow(void **state)
{
    (void) state;

    assert_false(s3c_fence_moved(f));
    assert_int_equal(s3c_fence_bucket_generation(f, 5), 0);
    s3c_fence_bucket_drop(f, 5);
    assert_true(s3c_fence_moved(f));
    s3c_fence_bucket_drop(f, 5);
    assert_int_equal(s3c_fence_bucket_generation(f, 5), 2);
    assert_int_equal(s3c_fence_bucket_generation(f, 6), 0);
    assert_int_equal(s3c_fence_versions_generation(f, 5), 0);
    s3c_fence_versions_drop(f, 5);
    assert_int_equal(s3c_fence_versions_generation(f, 5), 1);
    assert_int_equal(s3c_fence_lists_generation(f, 5), 0);
    s3c_fence_lists_drop(f, 5 + S3C_FENCE_LISTS);
    assert_int_equal(s3c_fence_lists_generation(f, 5), 1);
    assert_int_equal(s3c_fence_lists_generation(f, 6), 0);
    s3c_fence_bucket_forget(f, 5, 1000);
    assert_int_equal(s3c_fence_bucket_generation(f, 5), 1002);
    s3c_fence_bucket_drop(f, 5);
    assert_int_equal(s3c_fence_bucket_generation(f, 5), 1003);
    assert_false(s3c_fence_is_loaded(f));
    s3c_fence_loaded(f);
    assert_true(s3c_fence_is_loaded(f));
    assert_int_equal(s3c_fence_bucket_generation(f, 5), 1003);
}


#define test(name)  cmocka_unit_test_setup_teardown(name, make, unmake)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(a_name_is_held_from_its_begin_to_its_end),
        test(a_fence_of_another_node_is_known_by_its_tag),
        test(tags_and_owners_share_the_places),
        test(an_unknown_outcome_holds_for_a_while),
        test(what_the_dead_held_holds_for_a_while),
        test(all_places_can_be_taken_and_no_more),
        test(many_processes_that_are_killed_leave_no_count_wrong),
        test(what_is_due_is_so_until_it_was_dropped),
        test(what_is_due_for_the_dead_and_the_forgotten_is_lost),
        test(dues_are_counted_again_when_a_process_died_in_the_lock),
        test(fences_of_before_another_configuration_are_strangers),
        test(strangers_are_counted_again_when_a_process_died_in_the_lock),
        test(generations_only_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

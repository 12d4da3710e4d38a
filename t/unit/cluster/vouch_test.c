/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node may believe, by what the others said and when they were asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/vouch.h"

#define LIFE  100u

static s3c_vouch_sh_t  *v;
static const uint64_t   both[] = { 1, 2 };


static int
make(void **state)
{
    (void) state;

    v = calloc(1, sizeof(*v));
    assert_non_null(v);
    assert_int_equal(s3c_vouch_format(v), S3C_OK);

    return 0;
}


static int
unmake(void **state)
{
    (void) state;
    free(v);

    return 0;
}


/* Nodes 1 and 2 are heard at this time, and all is well from then on. */
static void
settle(uint64_t now)
{
    (void) s3c_vouch_judge(v, both, 2, LIFE, now);
    s3c_vouch_heard(v, 1, 11, 0, now, now);
    s3c_vouch_heard(v, 2, 22, 0, now, now);
    assert_true(s3c_vouch_judge(v, both, 2, LIFE, now));
}


static void
nothing_is_believed_before_all_were_heard(void **state)
{
    (void) state;

    assert_false(s3c_vouch_judge(v, both, 2, LIFE, 1000));
    s3c_vouch_heard(v, 1, 11, 0, 1000, 1001);
    assert_false(s3c_vouch_judge(v, both, 2, LIFE, 1001));
    assert_false(s3c_vouch_stands(v, 1001));
    assert_true(s3c_vouch_is_new(v));
    s3c_vouch_heard(v, 2, 22, 0, 1000, 1002);
    assert_true(s3c_vouch_judge(v, both, 2, LIFE, 1002));
    assert_false(s3c_vouch_is_new(v));

    /* what was validated before may be older than a write of before */
    assert_false(s3c_vouch_holds(v, 1001, 1002));
    assert_true(s3c_vouch_holds(v, 1002, 1002));
    assert_true(s3c_vouch_holds(v, 1002, 1099));
    /* nor what has yet to be */
    assert_false(s3c_vouch_holds(v, 1050, 1049));
}


static void
a_node_alone_believes_itself(void **state)
{
    (void) state;

    assert_true(s3c_vouch_judge(v, NULL, 0, LIFE, 1000));
    assert_true(s3c_vouch_holds(v, 1000, 1050));
}


static void
a_word_counts_from_when_it_was_asked_for(void **state)
{
    (void) state;

    settle(1000);
    s3c_vouch_heard(v, 1, 11, 0, 1050, 1090);
    assert_true(s3c_vouch_judge(v, both, 2, LIFE, 1090));
    assert_true(s3c_vouch_stands(v, 1099));
    assert_false(s3c_vouch_stands(v, 1100));

    /* late ones do not set it back */
    s3c_vouch_heard(v, 2, 22, 0, 1080, 1090);
    s3c_vouch_heard(v, 1, 11, 0, 1020, 1090);
    assert_true(s3c_vouch_judge(v, both, 2, LIFE, 1090));
    assert_true(s3c_vouch_stands(v, 1149));
    assert_false(s3c_vouch_stands(v, 1150));
    /* all the time without a gap */
    assert_true(s3c_vouch_holds(v, 1000, 1149));
}


static void
after_a_gap_all_begins_anew(void **state)
{
    (void) state;

    settle(1000);
    assert_false(s3c_vouch_judge(v, both, 2, LIFE, 1100));
    assert_false(s3c_vouch_holds(v, 1000, 1100));
    s3c_vouch_heard(v, 1, 11, 0, 1150, 1150);
    s3c_vouch_heard(v, 2, 22, 0, 1150, 1150);
    assert_true(s3c_vouch_judge(v, both, 2, LIFE, 1151));
    assert_false(s3c_vouch_holds(v, 1150, 1160));
    assert_true(s3c_vouch_holds(v, 1151, 1160));
}


static void
who_could_not_tell_says_so(void **state)
{
    (void) state;

    settle(1000);
    assert_int_equal(s3c_vouch_grant(v, 1, 1000), 0);
    s3c_vouch_missed(v, 1);
    s3c_vouch_missed(v, 1);
    assert_int_equal(s3c_vouch_grant(v, 1, 1000), 2);
    assert_int_equal(s3c_vouch_grant(v, 2, 1000), 0);
    /* that is of what this node told, and says nothing of what it heard */
    assert_true(s3c_vouch_holds(v, 1000, 1010));

    s3c_vouch_heard(v, 2, 22, 1, 1020, 1021);
    assert_false(s3c_vouch_holds(v, 1020, 1021));
    assert_true(s3c_vouch_holds(v, 1021, 1021));
    s3c_vouch_heard(v, 2, 22, 1, 1030, 1031);
    assert_true(s3c_vouch_holds(v, 1021, 1031));
}


static void
who_was_told_that_all_is_well_believes_it_for_a_while(void **state)
{
    (void) state;

    settle(1000);
    assert_false(s3c_vouch_is_granted(v, 1, LIFE, 1000));
    assert_false(s3c_vouch_is_granted(v, 9, LIFE, 1000));
    (void) s3c_vouch_grant(v, 1, 1000);
    assert_true(s3c_vouch_is_granted(v, 1, LIFE, 1099));
    assert_false(s3c_vouch_is_granted(v, 1, LIFE, 1100));
    assert_false(s3c_vouch_is_granted(v, 2, LIFE, 1000));
}


static void
a_new_life_does_not_know_what_it_owes(void **state)
{
    (void) state;

    settle(1000);
    s3c_vouch_heard(v, 2, 23, 0, 1020, 1021);
    assert_false(s3c_vouch_holds(v, 1000, 1022));
    assert_true(s3c_vouch_holds(v, 1021, 1022));
}


static void
who_comes_has_time_to_be_heard_and_who_leaves_takes_its_debts(void **state)
{
    static const uint64_t  three[] = { 1, 2, 3 };

    (void) state;

    settle(1000);
    assert_true(s3c_vouch_judge(v, three, 3, LIFE, 1050));
    assert_true(s3c_vouch_holds(v, 1000, 1099));
    s3c_vouch_heard(v, 1, 11, 0, 1090, 1090);
    s3c_vouch_heard(v, 2, 22, 0, 1090, 1090);
    assert_true(s3c_vouch_judge(v, three, 3, LIFE, 1090));
    assert_true(s3c_vouch_holds(v, 1000, 1149));
    assert_false(s3c_vouch_stands(v, 1150));

    /* it was never heard, and leaves */
    assert_true(s3c_vouch_judge(v, both, 2, LIFE, 1100));
    assert_false(s3c_vouch_holds(v, 1099, 1101));
    assert_true(s3c_vouch_holds(v, 1100, 1101));
}


/* It reaches the others, and they tell it of nothing. */
static void
who_is_not_known_believes_nothing(void **state)
{
    (void) state;

    settle(1000);
    assert_true(s3c_vouch_was_known(v, 990));

    s3c_vouch_shunned(v, 2, 1010);
    assert_false(s3c_vouch_was_known(v, 1010));
    assert_false(s3c_vouch_was_known(v, 5000));
    /* its word of before is in force: for as long it is told */
    assert_true(s3c_vouch_holds(v, 1000, 1010));

    /* as long as that is its last word, and it says so again and again */
    assert_false(s3c_vouch_judge(v, both, 2, LIFE, 1105));
    assert_false(s3c_vouch_was_known(v, 1105));
    s3c_vouch_shunned(v, 2, 1106);
    assert_false(s3c_vouch_judge(v, both, 2, LIFE, 1190));
    assert_false(s3c_vouch_was_known(v, 1190));

    /* known again: what was validated meanwhile may be old, too */
    s3c_vouch_heard(v, 2, 22, 0, 1195, 1196);
    assert_false(s3c_vouch_was_known(v, 1196));
    assert_false(s3c_vouch_judge(v, both, 2, LIFE, 1197));
    assert_false(s3c_vouch_was_known(v, 1196));
    assert_true(s3c_vouch_was_known(v, 1197));
}


static void
who_shuns_is_forgotten_when_it_is_silent_or_gone(void **state)
{
    (void) state;

    settle(1000);
    s3c_vouch_shunned(v, 2, 1010);
    (void) s3c_vouch_judge(v, both, 2, LIFE, 1109);
    assert_false(s3c_vouch_was_known(v, 1109));
    (void) s3c_vouch_judge(v, both, 2, LIFE, 1110);
    assert_false(s3c_vouch_was_known(v, 1109));
    assert_true(s3c_vouch_was_known(v, 1110));

    s3c_vouch_shunned(v, 2, 1120);
    s3c_vouch_shunned(v, 1, 1120);
    (void) s3c_vouch_judge(v, both, 1, LIFE, 1121);
    assert_false(s3c_vouch_was_known(v, 1121));
    s3c_vouch_heard(v, 1, 11, 0, 1122, 1122);
    (void) s3c_vouch_judge(v, both, 1, LIFE, 1123);
    assert_true(s3c_vouch_was_known(v, 1123));
}


static void
there_is_room_for_names_that_come_and_go(void **state)
{
    uint64_t  name, many[S3C_VOUCH_ROWS + 1];

    (void) state;

    for (name = 10; name < 10 + 3 * S3C_VOUCH_ROWS; name++) {
        s3c_vouch_missed(v, name);
    }

    assert_int_equal(s3c_vouch_grant(v, name - 1, 1000), 1);
    settle(1000);

    /* more than there is room for: nobody can say of all that they were heard */
    for (name = 0; name < S3C_VOUCH_ROWS + 1; name++) {
        many[name] = name + 1;
    }

    assert_false(s3c_vouch_judge(v, many, S3C_VOUCH_ROWS + 1, LIFE, 1001));
}


int
main(void)
{
#define test(f)  cmocka_unit_test_setup_teardown(f, make, unmake)
    const struct CMUnitTest  tests[] = {
        test(nothing_is_believed_before_all_were_heard),
        test(a_node_alone_believes_itself),
        test(a_word_counts_from_when_it_was_asked_for),
        test(after_a_gap_all_begins_anew),
        test(who_could_not_tell_says_so),
        test(who_was_told_that_all_is_well_believes_it_for_a_while),
        test(a_new_life_does_not_know_what_it_owes),
        test(who_comes_has_time_to_be_heard_and_who_leaves_takes_its_debts),
        test(who_is_not_known_believes_nothing),
        test(who_shuns_is_forgotten_when_it_is_silent_or_gone),
        test(there_is_room_for_names_that_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

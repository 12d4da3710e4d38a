/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/cluster/member.c: what is printed is read again, and what
 * breaks a rule is neither.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cluster/member.h"

#define NAME  S3C_SLICE("node1")


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static void
parsed(const char *value, const char *address, s3c_member_state_t state,
    uint32_t weight, const char *zone, const char *id)
{
    s3c_member_t  m;

    assert_int_equal(s3c_member_parse(NAME, text(value), &m), S3C_OK);
    assert_true(s3c_slice_eq(m.name, NAME));
    assert_true(s3c_slice_eq(m.address, text(address)));
    assert_int_equal(m.state, state);
    assert_int_equal(m.weight, weight);
    assert_true(s3c_slice_eq(m.zone, text(zone)));
    assert_true(s3c_slice_eq(m.id, text(id)));
}


static void
a_value_says_what_it_says(void **state)
{
    parsed("s3c1 10.0.0.1:9100 ready", "10.0.0.1:9100", S3C_MEMBER_READY, 1,
           "", "");
    parsed("s3c1 [2001:db8::1]:65535 joining weight=0", "[2001:db8::1]:65535",
           S3C_MEMBER_JOINING, 0, "", "");
    parsed("s3c1 1.2.3.4:1 leaving weight=1000 zone=r1 id=00ffAB",
           "1.2.3.4:1", S3C_MEMBER_LEAVING, 1000, "r1", "00ffAB");
    parsed("s3c1 1.2.3.4:1 ready id=1 zone=x weight=7", "1.2.3.4:1",
           S3C_MEMBER_READY, 7, "x", "1");
}


static void
words_that_are_unknown_are_skipped(void **state)
{
    parsed("s3c1 1.2.3.4:1 ready new=thing flag weight=2 weights=3",
           "1.2.3.4:1", S3C_MEMBER_READY, 2, "", "");
}


static void
what_breaks_a_rule_is_invalid(void **state)
{
    s3c_member_t       m;
    static const char  *bad[] = {
        "", " ", "s3c1", "s3c1 ", "s3c2 1.2.3.4:1 ready",
        "s3c1 1.2.3.4:1", "s3c1 1.2.3.4:1 ", "s3c1 1.2.3.4:1 Ready",
        " s3c1 1.2.3.4:1 ready", "s3c1  1.2.3.4:1 ready",
        "s3c1 1.2.3.4:1 ready ", "s3c1 1.2.3.4:1 ready  id=1",
        "s3c1 1.2.3.4:1\tready", "s3c1 1.2.3.4:1 ready\n",
        "s3c1 1.2.3.4:1 ready x\x7f", "s3c1 1.2.3.4:1 ready \xc3\xa9",
        "s3c1 1.2.3.4 ready", "s3c1 1.2.3.4: ready", "s3c1 :1 ready",
        "s3c1 1.2.3.4:0 ready", "s3c1 1.2.3.4:01 ready",
        "s3c1 1.2.3.4:65536 ready", "s3c1 1.2.3.4:+1 ready",
        "s3c1 1.2.3:1 ready", "s3c1 0.0.0.0:1 ready", "s3c1 name:1 ready",
        "s3c1 1.2.3.4.5:1 ready", "s3c1 256.1.1.1:1 ready",
        "s3c1 ::1:1 ready", "s3c1 [::1]1 ready", "s3c1 []:1 ready",
        "s3c1 [::]:1 ready", "s3c1 [:1 ready", "s3c1 [1.2.3.4]:1 ready",
        "s3c1 [::1%lo]:1 ready", "s3c1 unix:/x ready",
        "s3c1 1.2.3.4:1 ready weight=", "s3c1 1.2.3.4:1 ready weight=1001",
        "s3c1 1.2.3.4:1 ready weight=-1", "s3c1 1.2.3.4:1 ready weight=01",
        "s3c1 1.2.3.4:1 ready weight=1 weight=1",
        "s3c1 1.2.3.4:1 ready weight=4294967297",
        "s3c1 1.2.3.4:1 ready zone=", "s3c1 1.2.3.4:1 ready zone=a zone=a",
        "s3c1 1.2.3.4:1 ready id=", "s3c1 1.2.3.4:1 ready id=g",
        "s3c1 1.2.3.4:1 ready id=1 id=2",
        "s3c1 1.2.3.4:1 ready id=000000000000000000000000000000000",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (s3c_member_parse(NAME, text(bad[i]), &m) != S3C_INVALID) {
            fail_msg("taken: \"%s\"", bad[i]);
        }
    }
}


static void
a_name_is_printable_and_not_long(void **state)
{
    char          name[S3C_RING_NAME_MAX + 1];
    s3c_slice_t   value = S3C_SLICE("s3c1 1.2.3.4:1 ready");
    s3c_member_t  m;

    memset(name, 'n', sizeof(name));

    assert_int_equal(s3c_member_parse(s3c_slice(name, 255), value, &m),
                     S3C_OK);
    assert_int_equal(s3c_member_parse(s3c_slice(name, 256), value, &m),
                     S3C_INVALID);
    assert_int_equal(s3c_member_parse(S3C_SLICE_NONE, value, &m),
                     S3C_INVALID);
    assert_int_equal(s3c_member_parse(S3C_SLICE("a b"), value, &m),
                     S3C_INVALID);
    assert_int_equal(s3c_member_parse(S3C_SLICE("a\n"), value, &m),
                     S3C_INVALID);
}


static void
a_value_that_is_too_long_is_invalid(void **state)
{
    char          value[S3C_MEMBER_VALUE_MAX + 2];
    int           n;
    s3c_member_t  m;

    n = snprintf(value, sizeof(value), "s3c1 1.2.3.4:1 ready ");
    memset(value + n, 'x', sizeof(value) - (size_t) n);

    assert_int_equal(s3c_member_parse(NAME, s3c_slice(value, 512), &m),
                     S3C_OK);
    assert_int_equal(s3c_member_parse(NAME, s3c_slice(value, 513), &m),
                     S3C_INVALID);
}


static s3c_member_t
largest(void)
{
    static char   zone[S3C_RING_ZONE_MAX], id[S3C_MEMBER_ID_MAX];

    memset(zone, 'z', sizeof(zone));
    memset(id, 'f', sizeof(id));

    return (s3c_member_t) {
        .name = NAME,
        .address = S3C_SLICE("[2001:0db8:1111:2222:3333:4444:5555:6666]:65535"),
        .zone = s3c_slice(zone, sizeof(zone)),
        .id = s3c_slice(id, sizeof(id)),
        .weight = S3C_RING_WEIGHT_MAX,
        .state = S3C_MEMBER_LEAVING,
    };
}


static void
what_is_printed_is_read_again(void **state)
{
    uint8_t       buf[S3C_MEMBER_VALUE_MAX];
    s3c_member_t  m = largest(), again;
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_member_print(&w, &m), S3C_OK);
    assert_int_equal(s3c_member_parse(NAME, s3c_writer_slice(&w), &again),
                     S3C_OK);
    assert_true(s3c_slice_eq(again.address, m.address));
    assert_true(s3c_slice_eq(again.zone, m.zone));
    assert_true(s3c_slice_eq(again.id, m.id));
    assert_int_equal(again.weight, m.weight);
    assert_int_equal(again.state, m.state);
}


static void
what_cannot_be_read_is_not_printed(void **state)
{
    uint8_t       buf[S3C_MEMBER_VALUE_MAX];
    s3c_member_t  m;
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));

    m = largest();
    m.address = S3C_SLICE("host:1");
    assert_int_equal(s3c_member_print(&w, &m), S3C_INVALID);

    m = largest();
    m.state = 0;
    assert_int_equal(s3c_member_print(&w, &m), S3C_INVALID);

    m = largest();
    m.weight = S3C_RING_WEIGHT_MAX + 1;
    assert_int_equal(s3c_member_print(&w, &m), S3C_INVALID);

    m = largest();
    m.zone = S3C_SLICE("a b");
    assert_int_equal(s3c_member_print(&w, &m), S3C_INVALID);

    m = largest();
    m.id = S3C_SLICE("xyz");
    assert_int_equal(s3c_member_print(&w, &m), S3C_INVALID);

    m = largest();
    m.name = S3C_SLICE_NONE;
    assert_int_equal(s3c_member_print(&w, &m), S3C_INVALID);

    assert_int_equal(s3c_writer_slice(&w).len, 0);
}


static void
without_room_nothing_is_printed(void **state)
{
    uint8_t       buf[32];
    s3c_member_t  m = largest();
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_member_print(&w, &m), S3C_FULL);
    assert_int_equal(s3c_writer_slice(&w).len, 0);
    assert_true(s3c_writer_ok(&w));
}


static void
lines_come_one_after_the_other(void **state)
{
    s3c_slice_t   rest = S3C_SLICE("a s3c1 1.2.3.4:1 ready\n"
                                   "b s3c1 1.2.3.4:2 joining weight=3\n");
    s3c_member_t  m;

    assert_int_equal(s3c_member_next(&rest, &m), S3C_OK);
    assert_true(s3c_slice_eq(m.name, S3C_SLICE("a")));
    assert_int_equal(s3c_member_next(&rest, &m), S3C_OK);
    assert_true(s3c_slice_eq(m.name, S3C_SLICE("b")));
    assert_int_equal(m.weight, 3);
    assert_int_equal(s3c_member_next(&rest, &m), S3C_MISS);
    assert_int_equal(s3c_member_next(&rest, &m), S3C_MISS);
}


static void
a_damaged_line_is_invalid(void **state)
{
    s3c_member_t       m;
    static const char  *bad[] = {
        "\n", "a\n", "a \n", " s3c1 1.2.3.4:1 ready\n",
        "a s3c1 1.2.3.4:1 ready", "a s3c1 1.2.3.4:1\n ready\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s3c_slice_t  rest = text(bad[i]);

        assert_int_equal(s3c_member_next(&rest, &m), S3C_INVALID);
    }
}


static void
states_have_names(void **state)
{
    assert_string_equal(s3c_member_state_name(S3C_MEMBER_JOINING), "joining");
    assert_string_equal(s3c_member_state_name(S3C_MEMBER_READY), "ready");
    assert_string_equal(s3c_member_state_name(S3C_MEMBER_LEAVING), "leaving");
    assert_string_equal(s3c_member_state_name(0), "unknown");
    assert_string_equal(s3c_member_state_name(9), "unknown");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_value_says_what_it_says),
        cmocka_unit_test(words_that_are_unknown_are_skipped),
        cmocka_unit_test(what_breaks_a_rule_is_invalid),
        cmocka_unit_test(a_name_is_printable_and_not_long),
        cmocka_unit_test(a_value_that_is_too_long_is_invalid),
        cmocka_unit_test(what_is_printed_is_read_again),
        cmocka_unit_test(what_cannot_be_read_is_not_printed),
        cmocka_unit_test(without_room_nothing_is_printed),
        cmocka_unit_test(lines_come_one_after_the_other),
        cmocka_unit_test(a_damaged_line_is_invalid),
        cmocka_unit_test(states_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said of an alert.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/stats_alert_view.h"


static void
assert_text(s3c_alert_which_t which, const s3c_alert_measure_t *m,
    const char *want)
{
    char          buf[S3C_ALERT_TEXT_MAX + 1];
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf) - 1);
    s3c_alert_write_text(&w, which, m, 60000);
    assert_true(s3c_writer_ok(&w));
    buf[s3c_writer_slice(&w).len] = '\0';
    assert_string_equal(buf, want);
}


static s3c_alert_measure_t
measure(uint64_t a, uint64_t b, uint64_t c, uint64_t d, const char *subject)
{
    s3c_alert_measure_t  m = { .number = { a, b, c, d } };

    m.subject_len = (uint8_t) strlen(subject);
    memcpy(m.subject, subject, m.subject_len);

    return m;
}


static void
each_is_told_with_its_numbers(void **state)
{
    s3c_alert_measure_t  m;

    (void) state;
    m = measure(412, 870, 350, 0, "");
    assert_text(S3C_ALERT_HIT_RATIO, &m, "41.2 % of 350 reads were hits in "
                "the last 60 s, usually 87.0 %");
    m = measure(7, 20, 0, 0, "5xx");
    assert_text(S3C_ALERT_ORIGIN_ERRORS, &m, "7 of 20 requests to the origin "
                "failed in the last 60 s, most of them: 5xx");
    m = measure(812499, 95500, 40, 0, "");
    assert_text(S3C_ALERT_ORIGIN_LATENCY, &m, "one in ten of 40 answers of "
                "the origin took over 812 ms to begin in the last 60 s, "
                "usually 96 ms");
    m = measure(1, 2, 0, 0, "node2");
    assert_text(S3C_ALERT_PEER_DOWN, &m,
                "1 of 2 other nodes do not answer: node2");
    m = measure(1, 2, 12, 0, "/dev/x");
    assert_text(S3C_ALERT_FLASH_FAILING, &m, "1 of 2 stores are out of "
                "service: /dev/x; 12 errors of the device in the last 60 s");
    m = measure(31, 100, 3ull << 29, 10ull << 40, "");
    assert_text(S3C_ALERT_ZONE_SMALL, &m, "31 of 100 new entries in the last "
                "60 s had been evicted shortly before; up to 1.5 GiB more "
                "than the 10.0 TiB that it has would have kept what came "
                "back");
    m = measure(1, 700, 30, 256, "/dev/x");
    assert_text(S3C_ALERT_RECOVERY_SLOW, &m, "1 stores are not in service "
                "yet, for 700 s: /dev/x; segments read: 30 of 256");
}


static void
whatever_a_name_holds_it_is_one_line_and_has_room(void **state)
{
    char                 buf[S3C_ALERT_TEXT_MAX];
    s3c_writer_t         w;
    s3c_alert_measure_t  m = measure(1, 2, 0, 0, "a\nb\xff\x7f" "c");

    (void) state;
    assert_text(S3C_ALERT_PEER_DOWN, &m,
                "1 of 2 other nodes do not answer: a?b\xef\xbf\xbd?c");

    memset(&m, 0xff, sizeof(m));

    for (int i = 0; i < S3C_ALERT_N; i++) {
        s3c_writer_init(&w, buf, sizeof(buf));
        s3c_alert_write_text(&w, (s3c_alert_which_t) i, &m, UINT32_MAX);
        assert_true(s3c_writer_ok(&w));
    }
}


static void
each_has_a_name_and_an_advice(void **state)
{
    (void) state;

    for (int i = 0; i < S3C_ALERT_N; i++) {
        s3c_alert_which_t  which = (s3c_alert_which_t) i;
        const char        *name = s3c_alert_name(which);

        assert_int_equal(s3c_alert_find(s3c_slice(name, strlen(name))), i);
        assert_true(strlen(s3c_alert_advice(which)) > 20);
        assert_true(strcmp(s3c_alert_severity(which), "warning") == 0
                    || strcmp(s3c_alert_severity(which), "critical") == 0);
    }

    assert_int_equal(s3c_alert_find(S3C_SLICE("hit_rati")), S3C_ALERT_N);
    assert_int_equal(s3c_alert_find(S3C_SLICE_NONE), S3C_ALERT_N);
}


/* Half of the smallest threshold is less than can be measured. */
static void
the_smallest_threshold_is_cleared_too(void **state)
{
    s3c_alert_conf_t   conf;
    s3c_alert_seen_t   seen = { .now_ms = 1, .n_nodes = 1, .n_down = 1 };
    s3c_alert_turn_t   turn[S3C_ALERT_N];
    s3c_alert_state_t  s = { 0 };

    (void) state;
    s3c_alert_conf_init(&conf);
    conf.threshold[S3C_ALERT_PEER_DOWN] = 1;

    for (unsigned i = 0; i < S3C_ALERT_RAISE; i++) {
        s3c_alert_judge(&s, &conf, &seen, turn);
    }

    assert_int_equal(turn[S3C_ALERT_PEER_DOWN], S3C_ALERT_RAISED);
    seen.n_down = 0;

    for (unsigned i = 0; i < S3C_ALERT_CLEAR; i++) {
        s3c_alert_judge(&s, &conf, &seen, turn);
    }

    assert_int_equal(turn[S3C_ALERT_PEER_DOWN], S3C_ALERT_CLEARED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(each_is_told_with_its_numbers),
        cmocka_unit_test(whatever_a_name_holds_it_is_one_line_and_has_room),
        cmocka_unit_test(each_has_a_name_and_an_advice),
        cmocka_unit_test(the_smallest_threshold_is_cleared_too)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

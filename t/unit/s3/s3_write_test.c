/* SPDX-License-Identifier: Apache-2.0
 *
 * What writes touch, sources of copies, and words for payloads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_write.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define S(text)  s3c_slice(text, strlen(text))


static void
writes_touch_what_they_name_unless_it_is_known_better(void **state)
{
    static const struct {
        const char    *method;
        const char    *path;
        const char    *query;
        s3c_touches_t  touches;
    } rows[] = {
        { "PUT", "/bkt/key", "", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "x-id=PutObject", S3C_TOUCHES_KEY },
        { "DELETE", "/bkt/key", "versionId=1", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "tagging", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "acl=", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "unheard-of", S3C_TOUCHES_KEY },
        { "PATCH", "/bkt/key", "", S3C_TOUCHES_KEY },
        { "POST", "/bkt/key", "uploads", S3C_TOUCHES_NOTHING },
        { "POST", "/bkt/key", "uploads=", S3C_TOUCHES_NOTHING },
        { "POST", "/bkt/key", "uploads&x=y", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=u",
          S3C_TOUCHES_NOTHING },
        { "PUT", "/bkt/key", "uploadId=u&partNumber=1&x-id=UploadPart",
          S3C_TOUCHES_NOTHING },
        { "PUT", "/bkt/key", "uploadId=u&partNumber=1&X-Amz-Signature=s"
          "&X-Amz-Expires=1&x-amz-meta-a=b", S3C_TOUCHES_NOTHING },
        { "PUT", "/bkt/key", "uploadId=u", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "partNumber=1", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=u&tagging",
          S3C_TOUCHES_KEY },
        { "POST", "/bkt/key", "uploadId=u", S3C_TOUCHES_KEY },
        { "DELETE", "/bkt/key", "uploadId=u", S3C_TOUCHES_NOTHING },
        { "DELETE", "/bkt/key", "uploadId=", S3C_TOUCHES_KEY },
        { "DELETE", "/bkt/key", "uploadId", S3C_TOUCHES_KEY },
        { "DELETE", "/bkt/key", "uploadId=u&uploadId=", S3C_TOUCHES_KEY },
        { "DELETE", "/bkt/key", "uploadId=&uploadId=u", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=u&uploadId=v",
          S3C_TOUCHES_KEY },
        { "DELETE", "/bkt/key", "uploads", S3C_TOUCHES_KEY },
        { "POST", "/bkt/key", "select&select-type=2", S3C_TOUCHES_NOTHING },
        { "POST", "/bkt/key", "restore", S3C_TOUCHES_KEY },
        { "POST", "/bkt?delete", "delete", S3C_TOUCHES_KEYS },
        { "POST", "/bkt/", "delete=", S3C_TOUCHES_KEYS },
        { "POST", "/bkt", "delete&x", S3C_TOUCHES_BUCKET },
        { "POST", "/bkt", "", S3C_TOUCHES_BUCKET },
        { "POST", "/bkt/key", "delete", S3C_TOUCHES_KEY },
        { "PUT", "/bkt", "", S3C_TOUCHES_BUCKET },
        { "PUT", "/bkt", "policy", S3C_TOUCHES_BUCKET },
        { "DELETE", "/bkt", "", S3C_TOUCHES_BUCKET },
        { "DELETE", "/bkt", "uploadId=u", S3C_TOUCHES_BUCKET },
        { "PUT", "/bkt/key", "%zz", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "x-id=#&partNumber=1&uploadId=u",
          S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=u#", S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=u;acl",
          S3C_TOUCHES_KEY },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=u%3Bacl%23",
          S3C_TOUCHES_NOTHING },
        { "POST", "/bkt", "delete&x-id=;tagging", S3C_TOUCHES_BUCKET },
        { "POST", "/", "", S3C_TOUCHES_NOTHING },
    };

    s3c_s3_error_t    err;
    s3c_s3_address_t  addr;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        s3c_slice_t  path = s3c_slice(rows[i].path,
                                      strcspn(rows[i].path, "?"));

        assert_int_equal(s3c_s3_address_parse(&addr, S3C_SLICE_NONE, path,
                                              NULL, 0, &err), S3C_OK);

        if (s3c_s3_write_touches(S(rows[i].method), &addr, S(rows[i].query),
                                 false)
            != rows[i].touches)
        {
            fail_msg("%s %s?%s", rows[i].method, rows[i].path,
                     rows[i].query);
        }

        if (addr.bucket.len > 0) {
            assert_int_equal(s3c_s3_write_touches(S(rows[i].method), &addr,
                                                  S(rows[i].query), true),
                             S3C_TOUCHES_BUCKET);
        }
    }
}


static void
bodies_are_told_apart(void **state)
{
    static const struct {
        const char  *method, *path, *query;
        s3c_body_t   body;
        unsigned     part;
        const char  *upload;
    } rows[] = {
        { "PUT", "/bkt/key", "", S3C_BODY_OBJECT, 0, "" },
        { "PUT", "/bkt/key", "x-id=PutObject", S3C_BODY_OBJECT, 0, "" },
        { "PUT", "/bkt/key", "X-Amz-Signature=a&x-amz-acl=private",
          S3C_BODY_OBJECT, 0, "" },
        { "PUT", "/bkt/key", "partNumber=12&uploadId=a%2Fb%20c",
          S3C_BODY_PART, 12, "a/b c" },
        { "PUT", "/bkt/key", "uploadId=u&partNumber=10000&x-id=UploadPart",
          S3C_BODY_PART, 10000, "u" },
        { "POST", "/bkt/key", "uploadId=u", S3C_BODY_COMPLETE, 0, "u" },
        { "DELETE", "/bkt/key", "uploadId=u", S3C_BODY_ABORT, 0, "u" },

        { "PUT", "/bkt", "", S3C_BODY_OTHER, 0, NULL },
        { "PUT", "/bkt/key", "acl", S3C_BODY_OTHER, 0, NULL },
        { "PUT", "/bkt/key", "append&position=0", S3C_BODY_OTHER, 0, NULL },
        { "PUT", "/bkt/key", "versionId=v", S3C_BODY_OTHER, 0, NULL },
        { "PUT", "/bkt/key", "uploads", S3C_BODY_OTHER, 0, NULL },
        { "PUT", "/bkt/key", "uploadId=u", S3C_BODY_OTHER, 0, NULL },
        { "PUT", "/bkt/key", "partNumber=1", S3C_BODY_OTHER, 0, NULL },
        { "PUT", "/bkt/key", "partNumber=0&uploadId=u", S3C_BODY_OTHER, 0,
          NULL },
        { "PUT", "/bkt/key", "partNumber=10001&uploadId=u", S3C_BODY_OTHER, 0,
          NULL },
        { "PUT", "/bkt/key", "partNumber=123456&uploadId=u", S3C_BODY_OTHER,
          0, NULL },
        { "PUT", "/bkt/key", "partNumber=1x&uploadId=u", S3C_BODY_OTHER, 0,
          NULL },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=", S3C_BODY_OTHER, 0,
          NULL },
        { "PUT", "/bkt/key", "partNumber=1&uploadId=%zz", S3C_BODY_OTHER, 0,
          NULL },
        { "PUT", "/bkt/key", "partNumber=1&partNumber=2&uploadId=u",
          S3C_BODY_OTHER, 0, NULL },
        { "POST", "/bkt/key", "uploadId=u&uploadId=v", S3C_BODY_OTHER, 0,
          NULL },
        { "POST", "/bkt/key", "uploads", S3C_BODY_OTHER, 0, NULL },
        { "POST", "/bkt/key", "", S3C_BODY_OTHER, 0, NULL },
        { "DELETE", "/bkt/key", "", S3C_BODY_OTHER, 0, NULL },
    };

    uint8_t           buf[S3C_S3_UPLOAD_ID_MAX];
    unsigned          part;
    s3c_slice_t       upload;
    s3c_s3_error_t    err;
    s3c_s3_address_t  addr;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_s3_address_parse(&addr, S3C_SLICE_NONE,
                                              S(rows[i].path), NULL, 0, &err),
                         S3C_OK);

        if (s3c_s3_write_body(S(rows[i].method), &addr, S(rows[i].query), buf,
                              &upload, &part)
            != rows[i].body)
        {
            fail_msg("%s %s?%s", rows[i].method, rows[i].path,
                     rows[i].query);
        }

        if (rows[i].upload != NULL) {
            assert_int_equal(part, rows[i].part);
            assert_true(s3c_slice_eq(upload, S(rows[i].upload)));
        }
    }
}


static void
sources_of_copies_are_a_bucket_and_a_key(void **state)
{
    static const char  *good[] = {
        "bkt/key", "/bkt/key", "bkt/a%20b", "/bkt/%C3%BC", "bkt/a/b//c",
        "bkt%2Fkey", "bkt/key?versionId=null", "bkt/key?versionId=a%2Bb",
        "bkt/a+b", "bkt/a%3Fb", "arn:aws:s3:r:1:accesspoint/p/object/k",
    };
    static const char  *bad[] = {
        "", "/", "//", "bkt", "bkt/", "/bkt/", "//key", "b/key", "bkt/%",
        "bkt/%zz", "bkt/a b", "bkt/key?", "bkt/key?versionId=",
        "bkt/key?versionId", "bkt/key?x=y", "bkt/key?versionId=a&b=c",
        "bkt/key?versionId=%zz", "bkt/a%00b", "bkt/\xff", "b%20t/key",
        "bkt/a\tb", "arn:%zz",
    };
    char                long_one[S3C_S3_KEY_BYTES_MAX + 10];

    (void) state;

    for (size_t i = 0; i < LEN(good); i++) {
        if (!s3c_s3_copy_source_is_valid(S(good[i]))) {
            fail_msg("good: %s", good[i]);
        }
    }

    for (size_t i = 0; i < LEN(bad); i++) {
        if (s3c_s3_copy_source_is_valid(S(bad[i]))) {
            fail_msg("bad: %s", bad[i]);
        }
    }

    memcpy(long_one, "bkt/", 4);
    memset(long_one + 4, 'k', sizeof(long_one) - 4);
    assert_true(s3c_s3_copy_source_is_valid(
                    s3c_slice(long_one, 4 + S3C_S3_KEY_BYTES_MAX)));
    assert_false(s3c_s3_copy_source_is_valid(
                     s3c_slice(long_one, 5 + S3C_S3_KEY_BYTES_MAX)));
}


static void
payloads_are_words_or_a_hash(void **state)
{
    static const struct {
        const char    *value;
        s3c_payload_t  payload;
    } rows[] = {
        { "", S3C_PAYLOAD_UNSIGNED },
        { "UNSIGNED-PAYLOAD", S3C_PAYLOAD_UNSIGNED },
        { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", S3C_PAYLOAD_SIGNED_CHUNKS },
        { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
          S3C_PAYLOAD_SIGNED_TRAILER },
        { "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
          S3C_PAYLOAD_UNSIGNED_TRAILER },
        { "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
          S3C_PAYLOAD_UNSUPPORTED },
        { "STREAMING-X", S3C_PAYLOAD_INVALID },
        { "unsigned-payload", S3C_PAYLOAD_INVALID },
        { "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          S3C_PAYLOAD_HASH },
        { "E3B0C44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          S3C_PAYLOAD_HASH },
        { "g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          S3C_PAYLOAD_INVALID },
        { "e3b0", S3C_PAYLOAD_INVALID },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_s3_payload(S(rows[i].value)), rows[i].payload);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(writes_touch_what_they_name_unless_it_is_known_better),
        cmocka_unit_test(bodies_are_told_apart),
        cmocka_unit_test(sources_of_copies_are_a_bucket_and_a_key),
        cmocka_unit_test(payloads_are_words_or_a_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting a query, and the names that are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_query.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static void
a_query_is_cut_into_its_segments(void **state)
{
    static const struct {
        const char  *name, *value;
    } rows[] = {
        { "a", "1" }, { "b", "" }, { "c", "" }, { "d", "x=y" }, { "", "z" },
    };
    s3c_slice_t  query = S3C_SLICE("&a=1&&b&c=&d=x=y&=z&"), name, value;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_true(s3c_s3_query_next(&query, &name, &value));
        assert_true(s3c_slice_eq(name, text(rows[i].name)));
        assert_true(s3c_slice_eq(value, text(rows[i].value)));
    }

    assert_false(s3c_s3_query_next(&query, &name, &value));
    assert_false(s3c_s3_query_next(&query, &name, &value));
}


static void
a_name_is_known_by_its_exact_spelling(void **state)
{
    static const struct {
        const char      *coded;
        s3c_s3_param_t   param;
    } rows[] = {
        { "versionId", S3C_PARAM_VERSION_ID },
        { "%76ersionId", S3C_PARAM_VERSION_ID },
        { "response-content-disposition", S3C_PARAM_CONTENT_DISPOSITION },
        { "X-Amz-SignedHeaders", S3C_PARAM_V4_SIGNED_HEADERS },
        { "x-amz-security-token", S3C_PARAM_V2_SECURITY_TOKEN },
        { "X-Amz-Security-Token", S3C_PARAM_V4_SECURITY_TOKEN },
        { "versionid", S3C_PARAM_N },
        { "versionId ", S3C_PARAM_N },
        { "", S3C_PARAM_N },
    };
    uint8_t         buf[S3C_S3_QUERY_NAME_BYTES_MAX];
    s3c_slice_t     decoded;
    s3c_s3_param_t  param;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_s3_query_param(text(rows[i].coded), buf,
                                            &decoded, &param), S3C_OK);
        assert_int_equal(param, rows[i].param);
    }

    assert_int_equal(s3c_s3_query_param(S3C_SLICE("%4"), buf, &decoded,
                                        &param), S3C_INVALID);
}


static void
a_name_too_long_for_its_buffer_is_unknown(void **state)
{
    char            name[S3C_S3_QUERY_NAME_BYTES_MAX + 16];
    uint8_t         buf[S3C_S3_QUERY_NAME_BYTES_MAX];
    s3c_slice_t     decoded;
    s3c_s3_param_t  param;

    (void) state;

    memset(name, 'x', sizeof(name));
    assert_int_equal(s3c_s3_query_param(s3c_slice(name, sizeof(name)), buf,
                                        &decoded, &param), S3C_OK);
    assert_int_equal(param, S3C_PARAM_N);
    assert_true(decoded.len <= sizeof(buf));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_query_is_cut_into_its_segments),
        cmocka_unit_test(a_name_is_known_by_its_exact_spelling),
        cmocka_unit_test(a_name_too_long_for_its_buffer_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

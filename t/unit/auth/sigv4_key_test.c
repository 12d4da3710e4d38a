/* SPDX-License-Identifier: Apache-2.0
 *
 * The signing key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/sigv4.h"

#include "base/digest.h"


static void
a_key_is_a_chain_of_four(void **state)
{
    uint8_t            key[32], a[32], b[32];
    const s3c_slice_t  steps[] = {
        S3C_SLICE("20130524"), S3C_SLICE("us-east-1"), S3C_SLICE("s3"),
        S3C_SLICE("aws4_request"),
    };

    (void) state;

    assert_int_equal(s3c_hmac_sha256(S3C_SLICE("AWS4secret"), steps[0], a),
                     S3C_OK);

    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(s3c_hmac_sha256(s3c_slice(a, 32), steps[i], b),
                         S3C_OK);
        memcpy(a, b, 32);
    }

    assert_int_equal(s3c_sigv4_key(S3C_SLICE("secret"), steps[0], steps[1],
                                   key), S3C_OK);
    assert_memory_equal(key, a, 32);
}


static void
a_secret_or_date_of_the_wrong_length_is_invalid(void **state)
{
    char     secret[300];
    uint8_t  key[32];

    (void) state;

    memset(secret, 's', sizeof(secret));
    assert_int_equal(s3c_sigv4_key(s3c_slice(secret, 256),
                                   S3C_SLICE("20130524"), S3C_SLICE("r"),
                                   key), S3C_OK);
    assert_int_equal(s3c_sigv4_key(s3c_slice(secret, 257),
                                   S3C_SLICE("20130524"), S3C_SLICE("r"),
                                   key), S3C_INVALID);
    assert_int_equal(s3c_sigv4_key(S3C_SLICE("s"), S3C_SLICE("2013052"),
                                   S3C_SLICE("r"), key), S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_key_is_a_chain_of_four),
        cmocka_unit_test(a_secret_or_date_of_the_wrong_length_is_invalid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

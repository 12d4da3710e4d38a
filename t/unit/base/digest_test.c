/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests against FIPS 180-4 and RFC 4231.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/writer.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


static void
check_hex(const uint8_t *digest, const char *want)
{
    uint8_t       hex[2 * S3C_DIGEST_SHA256_BYTES];
    s3c_writer_t  w;

    s3c_writer_init(&w, hex, sizeof(hex));
    s3c_write_hex(&w, digest, S3C_DIGEST_SHA256_BYTES);
    assert_memory_equal(hex, want, sizeof(hex));
}


static void
sha256_is_that_of_fips_180(void **state)
{
    static const struct {
        s3c_slice_t  in;
        const char  *hex;
    } rows[] = {
        { { NULL, 0 }, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca4959"
                       "91b7852b855" },
        { S3C_SLICE("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9c"
                            "b410ff61f20015ad" },
        { S3C_SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
                    ), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ece"
                       "dd419db06c1" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t  out[S3C_DIGEST_SHA256_BYTES];

        assert_int_equal(s3c_sha256(rows[i].in, out), S3C_OK);
        check_hex(out, rows[i].hex);
    }
}


static void
hmac_is_that_of_rfc_4231(void **state)
{
    static const struct {
        s3c_slice_t  key, in;
        const char  *hex;
    } rows[] = {
        { S3C_SLICE("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                    "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
          S3C_SLICE("Hi There"),
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { S3C_SLICE("Jefe"), S3C_SLICE("what do ya want for nothing?"),
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { { NULL, 0 }, { NULL, 0 },
          "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t  out[S3C_DIGEST_SHA256_BYTES];

        assert_int_equal(s3c_hmac_sha256(rows[i].key, rows[i].in, out),
                         S3C_OK);
        check_hex(out, rows[i].hex);
    }
}


static void
random_bytes_do_not_repeat(void **state)
{
    uint8_t  a[32], b[32];

    (void) state;

    assert_int_equal(s3c_random(a, sizeof(a)), S3C_OK);
    assert_int_equal(s3c_random(b, sizeof(b)), S3C_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(s3c_random(a, 0), S3C_OK);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(sha256_is_that_of_fips_180),
        cmocka_unit_test(hmac_is_that_of_rfc_4231),
        cmocka_unit_test(random_bytes_do_not_repeat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests against FIPS 180-4, RFC 2202, RFC 4231 and NIST's CAVP vectors of
 * GCM without plaintext (gcmEncryptExtIV128.rsp).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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
hmac_sha1_is_that_of_rfc_2202(void **state)
{
    static const struct {
        s3c_slice_t  key, in;
        const char  *hex;
    } rows[] = {
        { S3C_SLICE("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                    "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
          S3C_SLICE("Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00" },
        { S3C_SLICE("Jefe"), S3C_SLICE("what do ya want for nothing?"),
          "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
        { { NULL, 0 }, { NULL, 0 },
          "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t       out[S3C_DIGEST_SHA1_BYTES], hex[2 * sizeof(out)];
        s3c_writer_t  w;

        assert_int_equal(s3c_hmac_sha1(rows[i].key, rows[i].in, out), S3C_OK);
        s3c_writer_init(&w, hex, sizeof(hex));
        s3c_write_hex(&w, out, sizeof(out));
        assert_memory_equal(hex, rows[i].hex, sizeof(hex));
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


static size_t
unhex(const char *hex, uint8_t *out)
{
    size_t  n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        unsigned  v;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        out[i] = (uint8_t) v;
    }

    return n;
}


/* The tag over `in`, given in parts of `piece` bytes. */
static void
gmac(s3c_gmac_t *g, const uint8_t *nonce, s3c_slice_t in, size_t piece,
    uint8_t *tag)
{
    assert_int_equal(s3c_gmac_begin(g, nonce), S3C_OK);

    for (size_t at = 0; at < in.len; at += piece) {
        size_t  n = in.len - at < piece ? in.len - at : piece;

        assert_int_equal(s3c_gmac_add(g, s3c_slice(in.data + at, n)), S3C_OK);
        assert_int_equal(s3c_gmac_add(g, S3C_SLICE_NONE), S3C_OK);
    }

    assert_int_equal(s3c_gmac_end(g, tag), S3C_OK);
}


static void
gmac_is_that_of_nist(void **state)
{
    static const struct {
        const char  *key, *nonce, *in, *tag;
    } rows[] = {
        { "00000000000000000000000000000000", "000000000000000000000000", "",
          "58e2fccefa7e3061367f1d57a4e7455a" },
        { "11754cd72aec309bf52f7687212e8957", "3c819d9a9bed087615030b65", "",
          "250327c674aaf477aef2675748cf6971" },
        { "77be63708971c4e240d1cb79e8d77feb", "e0e00f19fed7ba0136a797f3",
          "7a43ec1d9c0a5a78a0b16533a6213cab",
          "209fcc8d3675ed938e9c7166709dd946" },
        { "2fb45e5b8f993a2bfebc4b15b533e0b4", "5b05755f984d2b90f94b8027",
          "e85491b2202caf1d7dce03b97e09331c32473941",
          "c75b7832b2a2d9bd827412b6ef5769db" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        size_t       n;
        uint8_t      key[16], nonce[12], in[64], want[16], tag[16];
        s3c_gmac_t   g;

        assert_int_equal(unhex(rows[i].key, key), sizeof(key));
        assert_int_equal(unhex(rows[i].nonce, nonce), sizeof(nonce));
        assert_int_equal(unhex(rows[i].tag, want), sizeof(want));
        n = unhex(rows[i].in, in);

        assert_int_equal(s3c_gmac_init(&g, key), S3C_OK);

        /* Again and again with one state, however it is cut. */
        for (size_t piece = 1; piece <= sizeof(in); piece++) {
            memset(tag, 0, sizeof(tag));
            gmac(&g, nonce, s3c_slice(in, n), piece, tag);
            assert_memory_equal(tag, want, sizeof(tag));
        }

        s3c_gmac_fini(&g);
        s3c_gmac_fini(&g);
    }
}


static void
a_tag_left_halfway_does_not_touch_the_next_one(void **state)
{
    uint8_t      key[16] = { 1 }, nonce[12] = { 2 }, want[16], tag[16];
    s3c_gmac_t   g;
    s3c_slice_t  in = S3C_SLICE("the next one, and more than a block");

    (void) state;

    assert_int_equal(s3c_gmac_init(&g, key), S3C_OK);
    gmac(&g, nonce, in, in.len, want);
    assert_int_equal(s3c_gmac_begin(&g, nonce), S3C_OK);
    assert_int_equal(s3c_gmac_add(&g, S3C_SLICE("left")), S3C_OK);
    gmac(&g, nonce, in, in.len, tag);
    assert_memory_equal(tag, want, sizeof(tag));
    s3c_gmac_fini(&g);
}


static void
equal_is_equal_in_every_bit(void **state)
{
    uint8_t  a[32], b[32];

    (void) state;

    memset(a, 0xa5, sizeof(a));
    memcpy(b, a, sizeof(b));
    assert_true(s3c_digest_eq(a, b, sizeof(a)));
    assert_true(s3c_digest_eq(a, b, 0));

    for (size_t bit = 0; bit < 8 * sizeof(b); bit++) {
        b[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_false(s3c_digest_eq(a, b, sizeof(a)));
        b[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }

    s3c_digest_wipe(a, sizeof(a));
    memset(b, 0, sizeof(b));
    assert_memory_equal(a, b, sizeof(a));
}


static void
md5_is_that_of_rfc_1321(void **state)
{
    static const uint8_t  abc[S3C_DIGEST_MD5_BYTES] = {
        0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0,
        0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72 };

    uint8_t    out[S3C_DIGEST_MD5_BYTES];
    s3c_sha_t  md5;

    (void) state;

    assert_int_equal(s3c_md5_init(&md5), S3C_OK);
    assert_int_equal(s3c_sha_add(&md5, S3C_SLICE("a")), S3C_OK);
    assert_int_equal(s3c_sha_add(&md5, S3C_SLICE("bc")), S3C_OK);
    assert_int_equal(s3c_sha_end(&md5, out), S3C_OK);
    s3c_sha_fini(&md5);

    assert_memory_equal(out, abc, sizeof(abc));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(sha256_is_that_of_fips_180),
        cmocka_unit_test(md5_is_that_of_rfc_1321),
        cmocka_unit_test(hmac_is_that_of_rfc_4231),
        cmocka_unit_test(hmac_sha1_is_that_of_rfc_2202),
        cmocka_unit_test(random_bytes_do_not_repeat),
        cmocka_unit_test(gmac_is_that_of_nist),
        cmocka_unit_test(a_tag_left_halfway_does_not_touch_the_next_one),
        cmocka_unit_test(equal_is_equal_in_every_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The only file that sees OpenSSL. Calls that are not deprecated in 1.1.1 nor
 * in 3.x: EVP_Digest(), HMAC(), RAND_bytes(), EVP_Encrypt*(). Owns the context
 * behind a s3c_gmac_t; any room may call it. A failure of the library is IO.
 */
#include "base/digest.h"

#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>


s3c_status_t
s3c_sha256(s3c_slice_t in, uint8_t out[S3C_DIGEST_SHA256_BYTES])
{
    const void  *data = in.len > 0 ? (const void *) in.data : "";

    if (EVP_Digest(data, in.len, out, NULL, EVP_sha256(), NULL) != 1) {
        return S3C_IO;
    }

    return S3C_OK;
}


s3c_status_t
s3c_hmac_sha256(s3c_slice_t key, s3c_slice_t in,
    uint8_t out[S3C_DIGEST_SHA256_BYTES])
{
    const void  *k = key.len > 0 ? (const void *) key.data : "";
    const void  *data = in.len > 0 ? in.data : (const uint8_t *) "";

    if (key.len > INT_MAX) {
        return S3C_INVALID;
    }

    if (HMAC(EVP_sha256(), k, (int) key.len, data, in.len, out, NULL)
        == NULL)
    {
        return S3C_IO;
    }

    return S3C_OK;
}


s3c_status_t
s3c_random(void *out, size_t len)
{
    uint8_t  *p = out;

    while (len > 0) {
        int  n = len > INT_MAX ? INT_MAX : (int) len;

        if (RAND_bytes(p, n) != 1) {
            return S3C_IO;
        }

        p += n;
        len -= (size_t) n;
    }

    return S3C_OK;
}

/* --- GMAC ---------------------------------------------------------------- */

s3c_status_t
s3c_gmac_init(s3c_gmac_t *g, const uint8_t key[S3C_GMAC_KEY_BYTES])
{
    EVP_CIPHER_CTX  *ctx;

    g->ctx = NULL;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return S3C_IO;
    }

    /* The length of the nonce is 12 if nobody says otherwise. */
    if (EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return S3C_IO;
    }

    g->ctx = ctx;

    return S3C_OK;
}


void
s3c_gmac_fini(s3c_gmac_t *g)
{
    EVP_CIPHER_CTX_free(g->ctx);         /* which wipes the key */
    g->ctx = NULL;
}


s3c_status_t
s3c_gmac_begin(s3c_gmac_t *g, const uint8_t nonce[S3C_GMAC_NONCE_BYTES])
{
    /* The cipher and the key stay. */
    return EVP_EncryptInit_ex(g->ctx, NULL, NULL, NULL, nonce) == 1 ? S3C_OK
                                                                    : S3C_IO;
}


s3c_status_t
s3c_gmac_add(s3c_gmac_t *g, s3c_slice_t part)
{
    int  n;

    if (part.len == 0) {
        return S3C_OK;
    }

    if (part.len > INT_MAX) {
        return S3C_INVALID;
    }

    /* No place for output: these are additional authenticated data. */
    return EVP_EncryptUpdate(g->ctx, NULL, &n, part.data, (int) part.len) == 1
           ? S3C_OK : S3C_IO;
}


s3c_status_t
s3c_gmac_end(s3c_gmac_t *g, uint8_t tag[S3C_GMAC_TAG_BYTES])
{
    int      n;
    uint8_t  none[EVP_MAX_BLOCK_LENGTH];

    if (EVP_EncryptFinal_ex(g->ctx, none, &n) != 1
        || EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_GET_TAG,
                               S3C_GMAC_TAG_BYTES, tag)
           != 1)
    {
        return S3C_IO;
    }

    return S3C_OK;
}

/* --- secrets ------------------------------------------------------------- */

bool
s3c_digest_eq(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}


void
s3c_digest_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}

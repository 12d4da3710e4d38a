/* SPDX-License-Identifier: Apache-2.0
 *
 * Third stage of SigV4: string to sign, signature, Authorization value. The
 * key cache belongs to one identity: the caller clears it when the secret or
 * the region changes.
 *
 * LIMITS: a canonical request of SIGN_CANONICAL_BYTES_MAX, else FULL.
 */
#include "auth/sigv4.h"

#include "base/digest.h"
#include "http/http_date.h"

#define SIGN_CANONICAL_BYTES_MAX  (48u << 10)
#define SIGN_ALGORITHM            "AWS4-HMAC-SHA256"


/* Days change, not secrets: one key is remembered. */
static s3c_status_t
sign_key(const s3c_sigv4_identity_t *id, s3c_slice_t date8,
    uint8_t key[S3C_SHA256_BYTES])
{
    s3c_status_t            st;
    s3c_sigv4_key_cache_t  *cache = id->cache;

    if (cache != NULL && cache->valid
        && memcmp(cache->date8, date8.data, sizeof(cache->date8)) == 0)
    {
        memcpy(key, cache->key, S3C_SHA256_BYTES);
        return S3C_OK;
    }

    st = s3c_sigv4_key(id->secret_key, date8, id->region, key);

    if (st == S3C_OK && cache != NULL) {
        memcpy(cache->key, key, S3C_SHA256_BYTES);
        memcpy(cache->date8, date8.data, sizeof(cache->date8));
        cache->valid = true;
    }

    return st;
}


/* The last line but one of a canonical request. The last is the payload
 * hash; neither can hold a newline. */
static s3c_slice_t
sign_signed_headers(s3c_slice_t canonical, s3c_slice_t payload_hash)
{
    size_t  end = canonical.len - payload_hash.len - 1, start = end;

    while (start > 0 && canonical.data[start - 1] != '\n') {
        start--;
    }

    return s3c_slice(canonical.data + start, end - start);
}


static void
sign_write_scope(s3c_writer_t *w, s3c_slice_t date8, s3c_slice_t region)
{
    s3c_write_slice(w, date8);
    s3c_write_byte(w, '/');
    s3c_write_slice(w, region);
    s3c_write_lit(w, "/s3/aws4_request");
}


static s3c_status_t
sign_signature(const s3c_sigv4_identity_t *id, s3c_slice_t canonical,
    s3c_slice_t date, uint8_t signature[S3C_SHA256_BYTES])
{
    uint8_t       hash[S3C_SHA256_BYTES], key[S3C_SHA256_BYTES], buf[512];
    s3c_slice_t   date8 = s3c_slice(date.data, 8);
    s3c_status_t  st;
    s3c_writer_t  w;

    st = s3c_sha256(canonical, hash);

    if (st != S3C_OK) {
        return st;
    }

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_write_lit(&w, SIGN_ALGORITHM "\n");
    s3c_write_slice(&w, date);
    s3c_write_byte(&w, '\n');
    sign_write_scope(&w, date8, id->region);
    s3c_write_byte(&w, '\n');
    s3c_write_hex(&w, hash, sizeof(hash));

    if (!s3c_writer_ok(&w)) {
        return S3C_FULL;
    }

    st = sign_key(id, date8, key);

    if (st != S3C_OK) {
        return st;
    }

    return s3c_hmac_sha256(s3c_slice(key, sizeof(key)), s3c_writer_slice(&w),
                           signature);
}


s3c_status_t
s3c_sigv4_sign(const s3c_sigv4_identity_t *id, const s3c_sigv4_request_t *req,
    const uint8_t amz_date[S3C_SIGV4_DATE_BYTES], s3c_writer_t *authorization)
{
    uint8_t        buf[SIGN_CANONICAL_BYTES_MAX];
    uint8_t        signature[S3C_SHA256_BYTES];
    s3c_slice_t    date = s3c_slice(amz_date, S3C_SIGV4_DATE_BYTES);
    s3c_slice_t    canonical;
    s3c_writer_t   w, *out = authorization;
    s3c_status_t   st;

    s3c_writer_init(&w, buf, sizeof(buf));
    st = s3c_sigv4_canonical(req, &w);

    if (st != S3C_OK) {
        return st;
    }

    canonical = s3c_writer_slice(&w);
    st = sign_signature(id, canonical, date, signature);

    if (st != S3C_OK) {
        return st;
    }

    s3c_write_lit(out, SIGN_ALGORITHM " Credential=");
    s3c_write_slice(out, id->access_key);
    s3c_write_byte(out, '/');
    sign_write_scope(out, s3c_slice(date.data, 8), id->region);
    s3c_write_lit(out, ", SignedHeaders=");
    s3c_write_slice(out, sign_signed_headers(canonical, req->payload_hash));
    s3c_write_lit(out, ", Signature=");
    s3c_write_hex(out, signature, sizeof(signature));

    return s3c_writer_ok(out) ? S3C_OK : S3C_FULL;
}


/* From "Fri, 24 May 2013 00:00:00 GMT", so that there is one calendar. */
void
s3c_sigv4_date_print(int64_t sec, uint8_t out[S3C_SIGV4_DATE_BYTES])
{
    static const char  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint8_t            http[S3C_HTTP_DATE_BYTES];
    unsigned           month = 0;

    s3c_http_date_print(sec, http);

    while (month < 11 && memcmp(months + month * 3, http + 8, 3) != 0) {
        month++;
    }

    month++;
    memcpy(out, http + 12, 4);                     /* year */
    out[4] = (uint8_t) ('0' + month / 10);
    out[5] = (uint8_t) ('0' + month % 10);
    memcpy(out + 6, http + 5, 2);                  /* day */
    out[8] = 'T';
    memcpy(out + 9, http + 17, 2);                 /* hour */
    memcpy(out + 11, http + 20, 2);
    memcpy(out + 13, http + 23, 2);
    out[15] = 'Z';
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Is the body the one that was signed? By its SHA-256 as a whole, or chunk by
 * chunk. It is on its way to the origin meanwhile, which never has the last
 * byte of one that is not.
 */

#include "ngx_http_s3_cache_auth.h"


static s3c_status_t body_chunk_begin(void *data, s3c_slice_t signature);
static s3c_status_t body_chunk_add(void *data, s3c_slice_t part);
static s3c_status_t body_chunk_end(void *data);
static s3c_status_t body_chunk_trailer(void *data, s3c_slice_t name,
    s3c_slice_t value, s3c_slice_t signature);


s3c_s3_error_t
ngx_http_s3_cache_auth_body_begin(ngx_http_s3_cache_auth_t *auth,
    s3c_s3_chunked_t *decoder)
{
    if (auth == NULL) {
        return S3C_ERR_NONE;
    }

    if (auth->payload == S3C_PAYLOAD_HASH) {
        return s3c_sha256_init(&auth->sha) == S3C_OK
               ? S3C_ERR_NONE : S3C_ERR_INTERNAL_ERROR;
    }

    if (auth->chunks == NULL) {
        return S3C_ERR_NONE;
    }

    if (decoder == NULL) {
        /* signed as one that comes in chunks, which it does not */
        return S3C_ERR_INVALID_REQUEST;
    }

    decoder->verifier.data = auth->chunks;
    decoder->verifier.begin = body_chunk_begin;
    decoder->verifier.add = body_chunk_add;
    decoder->verifier.end = body_chunk_end;
    decoder->verifier.trailer = body_chunk_trailer;

    return S3C_ERR_NONE;
}


s3c_s3_error_t
ngx_http_s3_cache_auth_body_part(ngx_http_s3_cache_auth_t *auth,
    s3c_slice_t part)
{
    if (auth == NULL || auth->sha.ctx == NULL) {
        return S3C_ERR_NONE;
    }

    return s3c_sha_add(&auth->sha, part) == S3C_OK ? S3C_ERR_NONE
                                                   : S3C_ERR_INTERNAL_ERROR;
}


s3c_s3_error_t
ngx_http_s3_cache_auth_body_end(ngx_http_s3_cache_auth_t *auth)
{
    uint8_t  sha[S3C_SHA256_BYTES];

    if (auth == NULL) {
        return S3C_ERR_NONE;
    }

    if (auth->chunks != NULL && !s3c_sigv4_chunks_complete(auth->chunks)) {
        return S3C_ERR_SIGNATURE_DOES_NOT_MATCH;
    }

    if (auth->payload != S3C_PAYLOAD_HASH) {
        return S3C_ERR_NONE;
    }

    if (s3c_sha_end(&auth->sha, sha) != S3C_OK) {
        return S3C_ERR_INTERNAL_ERROR;
    }

    return s3c_digest_eq(sha, auth->body_sha256, sizeof(sha))
           ? S3C_ERR_NONE : S3C_ERR_CONTENT_SHA256_MISMATCH;
}


/* CORRUPT is what a decoder says of a checksum. */

static s3c_status_t
body_chunk(s3c_status_t st)
{
    return st == S3C_CORRUPT ? S3C_DENIED : st;
}


static s3c_status_t
body_chunk_begin(void *data, s3c_slice_t signature)
{
    return body_chunk(s3c_sigv4_chunk_begin(data, signature));
}


static s3c_status_t
body_chunk_add(void *data, s3c_slice_t part)
{
    return body_chunk(s3c_sigv4_chunk_add(data, part));
}


static s3c_status_t
body_chunk_end(void *data)
{
    return body_chunk(s3c_sigv4_chunk_end(data));
}


static s3c_status_t
body_chunk_trailer(void *data, s3c_slice_t name, s3c_slice_t value,
    s3c_slice_t signature)
{
    s3c_http_header_t  line;

    line.name = name;
    line.value = value;

    return body_chunk(s3c_sigv4_chunk_trailer(data, &line, name.len > 0,
                                              signature));
}

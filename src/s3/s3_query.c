/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting of query strings and the table of known names. Pure; names are
 * compared byte by byte, as S3 does: "versionid" is not "versionId".
 */
#include "s3/s3_query.h"

#include "s3/s3_uri.h"


static const s3c_slice_t  query_params[S3C_PARAM_N] = {
    [S3C_PARAM_CACHE_CONTROL] = S3C_SLICE("response-cache-control"),
    [S3C_PARAM_CONTENT_DISPOSITION] =
        S3C_SLICE("response-content-disposition"),
    [S3C_PARAM_CONTENT_ENCODING] = S3C_SLICE("response-content-encoding"),
    [S3C_PARAM_CONTENT_LANGUAGE] = S3C_SLICE("response-content-language"),
    [S3C_PARAM_CONTENT_TYPE] = S3C_SLICE("response-content-type"),
    [S3C_PARAM_EXPIRES] = S3C_SLICE("response-expires"),
    [S3C_PARAM_VERSION_ID] = S3C_SLICE("versionId"),
    [S3C_PARAM_PART_NUMBER] = S3C_SLICE("partNumber"),
    [S3C_PARAM_CHECKSUM_MODE] = S3C_SLICE("x-amz-checksum-mode"),
    [S3C_PARAM_X_ID] = S3C_SLICE("x-id"),
    [S3C_PARAM_V4_ALGORITHM] = S3C_SLICE("X-Amz-Algorithm"),
    [S3C_PARAM_V4_CREDENTIAL] = S3C_SLICE("X-Amz-Credential"),
    [S3C_PARAM_V4_DATE] = S3C_SLICE("X-Amz-Date"),
    [S3C_PARAM_V4_EXPIRES] = S3C_SLICE("X-Amz-Expires"),
    [S3C_PARAM_V4_SIGNED_HEADERS] = S3C_SLICE("X-Amz-SignedHeaders"),
    [S3C_PARAM_V4_SIGNATURE] = S3C_SLICE("X-Amz-Signature"),
    [S3C_PARAM_V4_SECURITY_TOKEN] = S3C_SLICE("X-Amz-Security-Token"),
    [S3C_PARAM_V4_CONTENT_SHA256] = S3C_SLICE("X-Amz-Content-Sha256"),
    [S3C_PARAM_V2_ACCESS_KEY] = S3C_SLICE("AWSAccessKeyId"),
    [S3C_PARAM_V2_SIGNATURE] = S3C_SLICE("Signature"),
    [S3C_PARAM_V2_EXPIRES] = S3C_SLICE("Expires"),
    [S3C_PARAM_V2_SECURITY_TOKEN] = S3C_SLICE("x-amz-security-token"),
};


bool
s3c_s3_query_next(s3c_slice_t *query, s3c_slice_t *name, s3c_slice_t *value)
{
    while (query->len > 0) {
        const uint8_t  *cut = memchr(query->data, '&', query->len);
        s3c_slice_t     segment = *query;

        segment.len = cut ? (size_t) (cut - query->data) : query->len;
        query->data += segment.len + (cut ? 1 : 0);
        query->len -= segment.len + (cut ? 1 : 0);

        if (segment.len == 0) {
            continue;
        }

        cut = memchr(segment.data, '=', segment.len);
        *name = segment;
        *value = S3C_SLICE_NONE;

        if (cut != NULL) {
            name->len = (size_t) (cut - segment.data);
            *value = s3c_slice(cut + 1, segment.len - name->len - 1);
        }

        return true;
    }

    return false;
}


bool
s3c_s3_query_is_valid(s3c_slice_t text)
{
    uint8_t       none[1];
    s3c_writer_t  w;

    s3c_writer_init(&w, none, 0);

    return s3c_uri_decode(&w, text, true) == S3C_OK;
}


s3c_status_t
s3c_s3_query_param(s3c_slice_t coded,
    uint8_t buf[S3C_S3_QUERY_NAME_BYTES_MAX], s3c_slice_t *decoded,
    s3c_s3_param_t *param)
{
    unsigned      i;
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, S3C_S3_QUERY_NAME_BYTES_MAX);

    if (s3c_uri_decode(&w, coded, true) != S3C_OK) {
        return S3C_INVALID;
    }

    *decoded = s3c_writer_slice(&w);

    for (i = 0; i < S3C_PARAM_N && s3c_writer_ok(&w); i++) {
        if (s3c_slice_eq(*decoded, query_params[i])) {
            break;
        }
    }

    *param = s3c_writer_ok(&w) ? (s3c_s3_param_t) i : S3C_PARAM_N;

    return S3C_OK;
}

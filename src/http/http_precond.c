/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditional requests: pure functions over header values. The order is
 * RFC 9110 13.2.2; a field that is present but empty counts as absent, as
 * S3 front ends take it.
 */
#include "http/http_precond.h"

#include "http/http_date.h"


typedef struct {
    s3c_slice_t  opaque;     /* without quotes */
    bool         weak;
} precond_etag_t;


static bool
precond_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}


/* Splits one entity tag: W/ and quotes are off, both are optional (S3). */
static precond_etag_t
precond_etag(s3c_slice_t s)
{
    precond_etag_t  tag = { s3c_slice_trim(s), false };

    if (tag.opaque.len >= 2 && memcmp(tag.opaque.data, "W/", 2) == 0) {
        tag.weak = true;
        tag.opaque.data += 2;
        tag.opaque.len -= 2;
    }

    if (tag.opaque.len >= 2 && tag.opaque.data[0] == '"'
        && tag.opaque.data[tag.opaque.len - 1] == '"')
    {
        tag.opaque.data++;
        tag.opaque.len -= 2;
    }

    return tag;
}


static bool
precond_etag_eq(precond_etag_t a, precond_etag_t b, bool strong)
{
    if (strong && (a.weak || b.weak)) {
        return false;
    }

    return a.opaque.len > 0 && s3c_slice_eq(a.opaque, b.opaque);
}


/* The next element of a list; commas inside quotes do not part it. */
static bool
precond_next(s3c_slice_t list, size_t *pos, s3c_slice_t *element)
{
    bool    quoted = false;
    size_t  i = *pos, start;

    while (i < list.len
           && (precond_is_blank(list.data[i]) || list.data[i] == ','))
    {
        i++;
    }

    if (i == list.len) {
        return false;
    }

    for (start = i; i < list.len; i++) {
        if (list.data[i] == '"') {
            quoted = !quoted;

        } else if (list.data[i] == ',' && !quoted) {
            break;
        }
    }

    *element = s3c_slice(list.data + start, i - start);
    *pos = i;

    return true;
}


static bool
precond_list_has(s3c_slice_t list, s3c_slice_t etag, bool strong)
{
    size_t          pos = 0;
    s3c_slice_t     element;
    precond_etag_t  stored = precond_etag(etag);

    if (s3c_slice_eq(s3c_slice_trim(list), S3C_SLICE("*"))) {
        return true;                       /* the object exists */
    }

    while (precond_next(list, &pos, &element)) {
        if (precond_etag_eq(precond_etag(element), stored, strong)) {
            return true;
        }
    }

    return false;
}


static bool
precond_has(s3c_slice_t value)
{
    return s3c_slice_trim(value).len > 0;
}


/* False too when there is nothing that can be compared. */
static bool
precond_date(s3c_slice_t value, int64_t last_modified, int64_t *sec)
{
    return last_modified >= 0
           && s3c_http_date_parse(s3c_slice_trim(value), sec) == S3C_OK;
}


s3c_precond_result_t
s3c_http_precond_check(const s3c_precond_t *cond, s3c_slice_t etag,
    int64_t last_modified)
{
    int64_t  sec;

    if (cond->if_match.len + cond->if_none_match.len
        + cond->if_modified_since.len + cond->if_unmodified_since.len == 0)
    {
        return S3C_PRECOND_PASS;
    }

    if (precond_has(cond->if_match)) {
        if (!precond_list_has(cond->if_match, etag, true)) {
            return S3C_PRECOND_FAILED_MATCH;
        }

    } else if (precond_date(cond->if_unmodified_since, last_modified, &sec)
               && last_modified > sec)
    {
        return S3C_PRECOND_FAILED_UNMODIFIED_SINCE;
    }

    if (precond_has(cond->if_none_match)) {
        if (precond_list_has(cond->if_none_match, etag, false)) {
            return S3C_PRECOND_NOT_MODIFIED;
        }

    } else if (precond_date(cond->if_modified_since, last_modified, &sec)
               && last_modified <= sec)
    {
        return S3C_PRECOND_NOT_MODIFIED;
    }

    return S3C_PRECOND_PASS;
}


bool
s3c_http_if_range_passes(s3c_slice_t if_range, s3c_slice_t etag,
    int64_t last_modified)
{
    int64_t  sec;

    if (!precond_has(if_range)) {
        return true;
    }

    if (s3c_http_date_parse(s3c_slice_trim(if_range), &sec) == S3C_OK) {
        return last_modified >= 0 && last_modified == sec;
    }

    return precond_etag_eq(precond_etag(if_range), precond_etag(etag), true);
}

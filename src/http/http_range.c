/* SPDX-License-Identifier: Apache-2.0
 *
 * Range and Content-Range. A client's Range is read with latitude (what AWS
 * does not understand, it ignores); an origin's Content-Range is read
 * strictly, because bytes are stored under it.
 */
#include "http/http_range.h"


/* Reads 1*DIGIT at *pos; false when there is none. *overflow is set, and the
 * number clamped, when it passes 64 bits. */
static bool
range_read_number(s3c_slice_t s, size_t *pos, uint64_t *v, bool *overflow)
{
    size_t  start = *pos;

    *v = 0;

    while (*pos < s.len && s.data[*pos] >= '0' && s.data[*pos] <= '9') {
        unsigned  digit = (unsigned) (s.data[*pos] - '0');

        if (*v > (UINT64_MAX - digit) / 10) {
            *overflow = true;
        }

        *v = *overflow ? UINT64_MAX : *v * 10 + digit;
        (*pos)++;
    }

    return *pos > start;
}


static bool
range_read_byte(s3c_slice_t s, size_t *pos, uint8_t c)
{
    if (*pos >= s.len || s.data[*pos] != c) {
        return false;
    }

    (*pos)++;
    return true;
}


s3c_range_spec_t
s3c_http_range_parse(s3c_slice_t value)
{
    bool              has_first, has_last, overflow = false;
    size_t            pos;
    s3c_slice_t       unit = S3C_SLICE("bytes=");
    s3c_range_spec_t  spec = { S3C_RANGE_NONE, 0, 0, 0 };
    uint64_t          first, last;

    value = s3c_slice_trim(value);

    /* the unit is case-insensitive: RFC 9110 14.1 */
    if (!s3c_slice_starts_nocase(value, unit)) {
        return spec;
    }

    pos = unit.len;
    has_first = range_read_number(value, &pos, &first, &overflow);

    if (!range_read_byte(value, &pos, '-')) {
        return spec;
    }

    overflow = false;
    has_last = range_read_number(value, &pos, &last, &overflow);

    if (pos != value.len) {                /* also every list of ranges */
        return spec;
    }

    if (has_first && has_last) {
        if (first <= last) {
            spec.kind = S3C_RANGE_FROM_TO;
            spec.first = first;
            spec.last = last;
        }

    } else if (has_first) {
        spec.kind = S3C_RANGE_FROM;
        spec.first = first;

    } else if (has_last) {
        spec.kind = S3C_RANGE_SUFFIX;
        spec.suffix = last;
    }

    return spec;
}


s3c_range_result_t
s3c_http_range_resolve(const s3c_range_spec_t *spec, uint64_t total,
    uint64_t *first, uint64_t *last)
{
    uint64_t  from = 0, to = total - 1;

    switch (spec->kind) {

    case S3C_RANGE_NONE:
        if (total > 0) {
            *first = 0;
            *last = total - 1;
        }
        return S3C_RANGE_WHOLE;

    case S3C_RANGE_SUFFIX:
        if (spec->suffix == 0) {
            return S3C_RANGE_UNSATISFIABLE;
        }

        if (total == 0) {
            return S3C_RANGE_WHOLE;
        }

        from = spec->suffix < total ? total - spec->suffix : 0;
        break;

    case S3C_RANGE_FROM:
        from = spec->first;
        break;

    case S3C_RANGE_FROM_TO:
        from = spec->first;
        to = spec->last < to ? spec->last : to;
        break;
    }

    if (from >= total) {
        return S3C_RANGE_UNSATISFIABLE;
    }

    *first = from;
    *last = to;

    return S3C_RANGE_PART;
}


s3c_status_t
s3c_http_content_range_parse(s3c_slice_t value, uint64_t *first,
    uint64_t *last, uint64_t *total)
{
    bool         overflow = false;
    size_t       pos;
    uint64_t     a = 1, b = 0, n;
    s3c_slice_t  unit = S3C_SLICE("bytes ");

    value = s3c_slice_trim(value);

    if (!s3c_slice_starts_nocase(value, unit)) {
        return S3C_INVALID;
    }

    pos = unit.len;

    if (!range_read_byte(value, &pos, '*')) {
        if (!range_read_number(value, &pos, &a, &overflow)
            || !range_read_byte(value, &pos, '-')
            || !range_read_number(value, &pos, &b, &overflow)
            || a > b)
        {
            return S3C_INVALID;
        }
    }

    /* an unknown total ("0-3" "/" "*") is of no use to a cache */
    if (!range_read_byte(value, &pos, '/')
        || !range_read_number(value, &pos, &n, &overflow)
        || pos != value.len
        || overflow
        || (a <= b && b >= n))
    {
        return S3C_INVALID;
    }

    *first = a;
    *last = b;
    *total = n;

    return S3C_OK;
}

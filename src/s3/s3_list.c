/* SPDX-License-Identifier: Apache-2.0
 *
 * By a table of all parameters that a list knows. What is not in it makes the
 * request another one (?versions, ?uploads), or one of an origin's own kind.
 */
#include "s3/s3_list.h"

#include "s3/s3_query.h"
#include "s3/s3_uri.h"

#define LIST_BIT(p)  (1u << (p))

/* in the order in which a page has them */
typedef enum {
    LIST_CONTINUATION_TOKEN,
    LIST_DELIMITER,
    LIST_ENCODING_TYPE,
    LIST_FETCH_OWNER,
    LIST_LIST_TYPE,
    LIST_MARKER,
    LIST_MAX_KEYS,
    LIST_PREFIX,
    LIST_START_AFTER,
    LIST_N
} list_param_t;

static const s3c_slice_t  list_params[LIST_N] = {
    [LIST_CONTINUATION_TOKEN] = S3C_SLICE("continuation-token"),
    [LIST_DELIMITER] = S3C_SLICE("delimiter"),
    [LIST_ENCODING_TYPE] = S3C_SLICE("encoding-type"),
    [LIST_FETCH_OWNER] = S3C_SLICE("fetch-owner"),
    [LIST_LIST_TYPE] = S3C_SLICE("list-type"),
    [LIST_MARKER] = S3C_SLICE("marker"),
    [LIST_MAX_KEYS] = S3C_SLICE("max-keys"),
    [LIST_PREFIX] = S3C_SLICE("prefix"),
    [LIST_START_AFTER] = S3C_SLICE("start-after"),
};

/* What a parse has found: raw values, and which names. */
typedef struct {
    s3c_slice_t  values[LIST_N];
    uint32_t     given;              /* LIST_BIT()s */
    uint32_t     aside;              /* of what says nothing of the list */
} list_query_t;


static s3c_status_t
list_take(list_query_t *found, s3c_slice_t coded, s3c_slice_t value)
{
    unsigned        i;
    uint8_t         buf[S3C_S3_QUERY_NAME_BYTES_MAX];
    s3c_slice_t     name;
    s3c_s3_param_t  param;

    if (s3c_s3_query_param(coded, buf, &name, &param) != S3C_OK) {
        return S3C_MISS;
    }

    if (param < S3C_PARAM_N) {
        if (param < S3C_PARAM_X_ID || (found->aside & LIST_BIT(param))) {
            return S3C_MISS;
        }

        found->aside |= LIST_BIT(param);

        return S3C_OK;
    }

    for (i = 0; i < LIST_N && !s3c_slice_eq(name, list_params[i]); i++) {
        /* void */
    }

    if (i == LIST_N || (found->given & LIST_BIT(i))) {
        return S3C_MISS;
    }

    found->given |= LIST_BIT(i);
    found->values[i] = value;

    return S3C_OK;
}


static s3c_status_t
list_decode(s3c_writer_t *w, s3c_slice_t *value)
{
    const uint8_t  *start = w->pos;

    if (s3c_uri_decode(w, *value, true) != S3C_OK || !s3c_writer_ok(w)) {
        return S3C_MISS;
    }

    *value = s3c_slice(start, (size_t) (w->pos - start));

    return S3C_OK;
}


s3c_status_t
s3c_s3_list_parse(s3c_writer_t *w, s3c_slice_t query, s3c_slice_t *page,
    s3c_slice_t *prefix)
{
    s3c_slice_t     coded, value;
    list_query_t    found = { .given = 0 };
    const uint8_t  *start;

    while (s3c_s3_query_next(&query, &coded, &value)) {
        if (list_take(&found, coded, value) != S3C_OK) {
            return S3C_MISS;
        }
    }

    for (unsigned i = 0; i < LIST_N; i++) {
        if ((found.given & LIST_BIT(i))
            && list_decode(w, &found.values[i]) != S3C_OK)
        {
            return S3C_MISS;
        }
    }

    if ((found.given & LIST_BIT(LIST_LIST_TYPE))
        && !s3c_slice_eq(found.values[LIST_LIST_TYPE], S3C_SLICE("2")))
    {
        return S3C_MISS;
    }

    start = w->pos;

    for (unsigned i = 0; i < LIST_N; i++) {
        if (!(found.given & LIST_BIT(i))) {
            continue;
        }

        if (w->pos > start) {
            s3c_write_byte(w, '&');
        }

        s3c_write_slice(w, list_params[i]);
        s3c_write_byte(w, '=');
        s3c_uri_encode(w, found.values[i], false);
    }

    if (!s3c_writer_ok(w)) {
        return S3C_MISS;
    }

    *page = s3c_slice(start, (size_t) (w->pos - start));
    *prefix = found.values[LIST_PREFIX];

    return S3C_OK;
}


unsigned
s3c_s3_list_dirs(s3c_slice_t key, s3c_slice_t dirs[S3C_S3_LIST_DIRS])
{
    unsigned  n = 0;

    dirs[n++] = S3C_SLICE_NONE;

    for (size_t i = 0; i < key.len && i < S3C_S3_LIST_DIR_BYTES; i++) {
        if (key.data[i] != '/') {
            continue;
        }

        dirs[n++] = s3c_slice(key.data, i + 1);

        if (n == S3C_S3_LIST_DIRS) {
            break;
        }
    }

    return n;
}


static bool
list_is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}


static s3c_slice_t
list_trim(s3c_slice_t s)
{
    while (s.len > 0 && list_is_space(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len > 0 && list_is_space(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


static bool
list_skip(s3c_slice_t *s, s3c_slice_t lit)
{
    if (s->len < lit.len || memcmp(s->data, lit.data, lit.len) != 0) {
        return false;
    }

    s->data += lit.len;
    s->len -= lit.len;

    return true;
}


bool
s3c_s3_list_is_whole(s3c_slice_t document)
{
    s3c_slice_t     s, end = S3C_SLICE("</ListBucketResult>");
    const uint8_t  *cut;

    (void) list_skip(&document, S3C_SLICE("\xef\xbb\xbf"));
    s = list_trim(document);

    if (list_skip(&s, S3C_SLICE("<?xml"))) {
        cut = memchr(s.data, '>', s.len);

        if (cut == NULL) {
            return false;
        }

        s.len -= (size_t) (cut + 1 - s.data);
        s.data = cut + 1;
        s = list_trim(s);
    }

    return list_skip(&s, S3C_SLICE("<ListBucketResult"))
           && s.len > end.len
           && (s.data[0] == '>' || list_is_space(s.data[0]))
           && memcmp(s.data + s.len - end.len, end.data, end.len) == 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables over methods and sub-resources. A sub-resource counts by its name
 * alone, with or without a value, as origins take it; but for uploadId.
 */
#include "s3/s3_write.h"

#include "s3/s3_query.h"
#include "s3/s3_uri.h"

#define WRITE_BIT(sub)  (1u << (sub))

/* sub-resources that make a write something that no read can see */
typedef enum {
    WRITE_UPLOAD_ID,
    WRITE_UPLOADS,
    WRITE_PART_NUMBER,
    WRITE_SELECT,
    WRITE_DELETE
} write_sub_t;

static const s3c_slice_t  write_subs[] = {
    [WRITE_UPLOAD_ID] = S3C_SLICE("uploadId"),
    [WRITE_UPLOADS] = S3C_SLICE("uploads"),
    [WRITE_PART_NUMBER] = S3C_SLICE("partNumber"),
    [WRITE_SELECT] = S3C_SLICE("select"),
    [WRITE_DELETE] = S3C_SLICE("delete"),
};

/* of a request that holds these and no other sub-resource */
static const struct {
    s3c_slice_t  method;
    bool         has_key;
    unsigned     subs;
    s3c_touches_t touches;
} write_table[] = {
    { S3C_SLICE("POST"), true, WRITE_BIT(WRITE_UPLOADS),
      S3C_TOUCHES_NOTHING },
    { S3C_SLICE("PUT"), true,
      WRITE_BIT(WRITE_UPLOAD_ID) | WRITE_BIT(WRITE_PART_NUMBER),
      S3C_TOUCHES_NOTHING },
    { S3C_SLICE("DELETE"), true, WRITE_BIT(WRITE_UPLOAD_ID),
      S3C_TOUCHES_NOTHING },
    { S3C_SLICE("POST"), true, WRITE_BIT(WRITE_SELECT),
      S3C_TOUCHES_NOTHING },
    { S3C_SLICE("POST"), false, WRITE_BIT(WRITE_DELETE),
      S3C_TOUCHES_KEYS },
};


/* PARAM names that say nothing of what is written. */
static bool
write_is_aside(s3c_s3_param_t param)
{
    return param >= S3C_PARAM_X_ID && param < S3C_PARAM_N;
}


static unsigned
write_subs_of(s3c_slice_t query, bool *others)
{
    unsigned        seen = 0;
    uint8_t         buf[S3C_S3_QUERY_NAME_BYTES_MAX];
    s3c_slice_t     coded, name, value;
    s3c_s3_param_t  param;

    /* where one side ends the query or cuts it, the other may read on */
    *others = query.len > 0 && (memchr(query.data, '#', query.len) != NULL
                                || memchr(query.data, ';', query.len) != NULL);

    while (s3c_s3_query_next(&query, &coded, &value)) {
        size_t  i, n = sizeof(write_subs) / sizeof(write_subs[0]);

        if (s3c_s3_query_param(coded, buf, &name, &param) != S3C_OK) {
            *others = true;
            continue;
        }

        for (i = 0; i < n; i++) {
            if (s3c_slice_eq(name, write_subs[i])) {
                break;
            }
        }

        if (i < n) {
            /* an RGW takes an empty uploadId for none, of two the last */
            *others |= (seen & WRITE_BIT(i)) != 0
                       || (i == WRITE_UPLOAD_ID && value.len == 0);
            seen |= WRITE_BIT(i);

        } else if (!write_is_aside(param)
                   && !s3c_slice_eq(name, S3C_SLICE("select-type"))
                   && !s3c_slice_starts_nocase(name, S3C_SLICE("x-amz-")))
        {
            *others = true;
        }
    }

    return seen;
}


bool
s3c_s3_write_is_wide(s3c_slice_t name)
{
    return s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-rename-source"))
           || s3c_slice_eq_nocase(name,
                                  S3C_SLICE("x-amz-meta-snowball-auto-extract"));
}


s3c_touches_t
s3c_s3_write_touches(s3c_slice_t method, const s3c_s3_address_t *addr,
    s3c_slice_t query, bool wide)
{
    bool      others, has_key = addr->key.len > 0;
    unsigned  subs = write_subs_of(query, &others);

    if (addr->bucket.len == 0) {
        return S3C_TOUCHES_NOTHING;
    }

    if (wide) {
        return S3C_TOUCHES_BUCKET;
    }

    for (size_t i = 0; i < sizeof(write_table) / sizeof(write_table[0]); i++) {
        if (!others && subs == write_table[i].subs
            && has_key == write_table[i].has_key
            && s3c_slice_eq(method, write_table[i].method))
        {
            return write_table[i].touches;
        }
    }

    return has_key ? S3C_TOUCHES_KEY : S3C_TOUCHES_BUCKET;
}


/* 1..10000; 0: it is none. */
static unsigned
write_part_number(s3c_slice_t value)
{
    unsigned  n = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9' || i == 5) {
            return 0;
        }

        n = 10 * n + (unsigned) (value.data[i] - '0');
    }

    return n <= 10000 ? n : 0;
}


/* Each of them once and with a value. */
static bool
write_upload(s3c_slice_t query, unsigned subs,
    uint8_t buf[S3C_S3_UPLOAD_ID_MAX], s3c_slice_t *upload, unsigned *part)
{
    unsigned        seen = 0, bit;
    uint8_t         space[S3C_S3_QUERY_NAME_BYTES_MAX];
    s3c_slice_t     coded, name, value;
    s3c_writer_t    w;
    s3c_s3_param_t  param;

    while (s3c_s3_query_next(&query, &coded, &value)) {
        if (s3c_s3_query_param(coded, space, &name, &param) != S3C_OK) {
            return false;
        }

        bit = s3c_slice_eq(name, write_subs[WRITE_UPLOAD_ID])
              ? WRITE_BIT(WRITE_UPLOAD_ID)
              : s3c_slice_eq(name, write_subs[WRITE_PART_NUMBER])
              ? WRITE_BIT(WRITE_PART_NUMBER) : 0;

        if (bit & seen) {
            return false;
        }

        seen |= bit;

        if (bit == WRITE_BIT(WRITE_PART_NUMBER)) {
            *part = write_part_number(value);

        } else if (bit != 0) {
            s3c_writer_init(&w, buf, S3C_S3_UPLOAD_ID_MAX);

            if (s3c_uri_decode(&w, value, true) != S3C_OK || !s3c_writer_ok(&w))
            {
                return false;
            }

            *upload = s3c_writer_slice(&w);
        }
    }

    return seen == subs && upload->len > 0
           && (*part != 0 || !(subs & WRITE_BIT(WRITE_PART_NUMBER)));
}


s3c_body_t
s3c_s3_write_body(s3c_slice_t method, const s3c_s3_address_t *addr,
    s3c_slice_t query, uint8_t buf[S3C_S3_UPLOAD_ID_MAX], s3c_slice_t *upload,
    unsigned *part)
{
    static const struct {
        s3c_slice_t  method;
        unsigned     subs;
        s3c_body_t   body;
    } table[] = {
        { S3C_SLICE("PUT"), 0, S3C_BODY_OBJECT },
        { S3C_SLICE("PUT"),
          WRITE_BIT(WRITE_UPLOAD_ID) | WRITE_BIT(WRITE_PART_NUMBER),
          S3C_BODY_PART },
        { S3C_SLICE("POST"), WRITE_BIT(WRITE_UPLOAD_ID), S3C_BODY_COMPLETE },
        { S3C_SLICE("DELETE"), WRITE_BIT(WRITE_UPLOAD_ID), S3C_BODY_ABORT },
    };

    bool      others;
    unsigned  subs = write_subs_of(query, &others);

    *upload = S3C_SLICE_NONE;
    *part = 0;

    if (others || addr->bucket.len == 0 || addr->key.len == 0) {
        return S3C_BODY_OTHER;
    }

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (subs == table[i].subs && s3c_slice_eq(method, table[i].method)) {
            return subs == 0 || write_upload(query, subs, buf, upload, part)
                   ? table[i].body : S3C_BODY_OTHER;
        }
    }

    return S3C_BODY_OTHER;
}


bool
s3c_s3_copy_source_is_valid(s3c_slice_t value)
{
    s3c_s3_address_t  addr;

    return s3c_s3_copy_source_parse(value, &addr);
}


bool
s3c_s3_copy_source_parse(s3c_slice_t value, s3c_s3_address_t *addr)
{
    bool              slash = false;
    size_t            at;
    uint8_t           buf[S3C_S3_BUCKET_BYTES_MAX + 1 + S3C_S3_KEY_BYTES_MAX
                          + 16];
    s3c_slice_t       path = value, query = S3C_SLICE_NONE, rest;
    s3c_writer_t      w;
    s3c_s3_error_t    err;

    addr->bucket = S3C_SLICE_NONE;
    addr->key = S3C_SLICE_NONE;

    if (path.len > 0 && path.data[0] == '/') {
        path = s3c_slice(path.data + 1, path.len - 1);
    }

    for (at = 0; at < path.len; at++) {
        if (path.data[at] <= ' ' || path.data[at] == 0x7f) {
            return false;
        }

        if (path.data[at] == '?') {
            query = s3c_slice(path.data + at + 1, path.len - at - 1);
            path.len = at;
            break;
        }
    }

    if (s3c_slice_starts_nocase(path, S3C_SLICE("arn:"))) {
        return s3c_s3_query_is_valid(path);      /* of an access point */
    }

    /* "%2F" between bucket and key is a slash to origins */
    s3c_writer_init(&w, buf, sizeof(buf));

    if (s3c_uri_decode(&w, path, false) != S3C_OK || !s3c_writer_ok(&w)) {
        return false;
    }

    rest = s3c_writer_slice(&w);

    for (at = 0; at < rest.len; at++) {
        if (rest.data[at] == 0) {
            return false;
        }

        if (rest.data[at] == '/' && !slash) {
            slash = true;

            /* an escape in front of it: the bucket is not what it seems */
            if (at < 3 || at == rest.len - 1) {
                return false;
            }
        }
    }

    if (!slash || rest.len == 0) {
        return false;
    }

    if (query.data != NULL) {
        s3c_slice_t  name = S3C_SLICE("versionId=");

        if (query.len <= name.len
            || memcmp(query.data, name.data, name.len) != 0
            || !s3c_s3_query_is_valid(query)
            || memchr(query.data, '&', query.len) != NULL)
        {
            return false;
        }
    }

    /* the bucket and key rules are those of any address */
    {
        uint8_t  coded[3 * sizeof(buf) + 1];

        s3c_writer_init(&w, coded, sizeof(coded));
        s3c_write_byte(&w, '/');
        s3c_uri_encode(&w, rest, true);

        return s3c_writer_ok(&w)
               && s3c_s3_address_parse(addr, S3C_SLICE_NONE,
                                       s3c_writer_slice(&w), NULL, 0, &err)
                  == S3C_OK
               && addr->key.len > 0;
    }
}


s3c_payload_t
s3c_s3_payload(s3c_slice_t value)
{
    uint8_t  others = 0;                 /* than hex digits */

    static const struct {
        s3c_slice_t    word;
        s3c_payload_t  payload;
    } words[] = {
        { S3C_SLICE("UNSIGNED-PAYLOAD"), S3C_PAYLOAD_UNSIGNED },
        { S3C_SLICE("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
          S3C_PAYLOAD_SIGNED_CHUNKS },
        { S3C_SLICE("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
          S3C_PAYLOAD_SIGNED_TRAILER },
        { S3C_SLICE("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
          S3C_PAYLOAD_UNSIGNED_TRAILER },
        { S3C_SLICE("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),
          S3C_PAYLOAD_UNSUPPORTED },
        { S3C_SLICE("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"),
          S3C_PAYLOAD_UNSUPPORTED },
    };

    if (value.len == 0) {
        return S3C_PAYLOAD_UNSIGNED;
    }

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (s3c_slice_eq(value, words[i].word)) {
            return words[i].payload;
        }
    }

    if (value.len != 64) {
        return S3C_PAYLOAD_INVALID;
    }

    for (size_t i = 0; i < 64; i++) {
        uint8_t  c = value.data[i], letter = c | 0x20;

        others |= (uint8_t) (c - '0') > 9 && (uint8_t) (letter - 'a') > 5;
    }

    return others ? S3C_PAYLOAD_INVALID : S3C_PAYLOAD_HASH;
}

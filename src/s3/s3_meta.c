/* SPDX-License-Identifier: Apache-2.0
 *
 * From an origin's head to what is kept of it. The facts are read strictly,
 * since bodies are stored under them; the header block is everything but the
 * rows of the table, because S3 grows new headers every year.
 *
 * Of an empty object first and last are 0, as its total.
 *
 * A 206 may carry the checksum of its part instead of the object's: of a 206
 * x-amz-checksum-* is not kept (AWS GetObject, "partNumber").
 */
#include "s3/s3_meta.h"

#include "base/hash.h"
#include "http/http_date.h"
#include "http/http_range.h"
#include "http/http_text.h"


typedef struct {
    s3c_slice_t  name;
    bool         prefix;
    bool         in_error;   /* kept of an error answer */
} meta_row_t;

#define META_DROP(lit)         { S3C_SLICE(lit), false, false }
#define META_DROP_PREFIX(lit)  { S3C_SLICE(lit), true, false }

static const meta_row_t  meta_dropped[] = {

    /* hop by hop, RFC 9110 7.6.1 */
    META_DROP("connection"),
    META_DROP("keep-alive"),
    META_DROP("proxy-authenticate"),
    META_DROP("proxy-connection"),
    META_DROP("te"),
    META_DROP("trailer"),
    META_DROP("transfer-encoding"),
    META_DROP("upgrade"),

    /* made anew for each answer */
    META_DROP("content-length"),
    META_DROP("content-range"),
    META_DROP("date"),
    META_DROP("server"),
    META_DROP("age"),
    META_DROP("via"),
    META_DROP_PREFIX("x-cache"),
    { S3C_SLICE("x-amz-request-id"), false, true },
    { S3C_SLICE("x-amz-id-2"), false, true },
    META_DROP_PREFIX("x-amz-cf-"),
    META_DROP("x-amz-request-charged"),
    META_DROP("x-amz-mp-parts-count"),

    /* of one client, or of the origin's own site */
    META_DROP("set-cookie"),
    META_DROP_PREFIX("access-control-"),
    META_DROP("vary"),
    META_DROP("alt-svc"),
    META_DROP("strict-transport-security"),
};


static bool
meta_name_is(s3c_slice_t name, const meta_row_t *row)
{
    return row->prefix ? s3c_slice_starts_nocase(name, row->name)
                       : s3c_slice_eq_nocase(name, row->name);
}


static bool
meta_is_dropped(s3c_slice_t name, bool error)
{
    size_t  n = sizeof(meta_dropped) / sizeof(meta_dropped[0]);

    for (size_t i = 0; i < n; i++) {
        /* the table is in lower case, and few names begin alike */
        if ((name.data[0] | 0x20) == meta_dropped[i].name.data[0]
            && meta_name_is(name, &meta_dropped[i]))
        {
            return !(error && meta_dropped[i].in_error);
        }
    }

    return false;
}


/* Does a Connection header of the head name this one (RFC 9110 7.6.1)? */
static bool
meta_is_connection_option(const s3c_http_head_t *head, s3c_slice_t name)
{
    for (unsigned i = 0; i < head->n_headers; i++) {
        s3c_slice_t  option, list = head->headers[i].value;

        if (!s3c_slice_eq_nocase(head->headers[i].name,
                                 S3C_SLICE("connection")))
        {
            continue;
        }

        while (s3c_http_list_next(&list, &option)) {
            if (s3c_slice_eq_nocase(option, name)) {
                return true;
            }
        }
    }

    return false;
}


/* MISS when it is not there, INVALID when it is there twice. */
static s3c_status_t
meta_find_one(const s3c_http_head_t *head, s3c_slice_t name,
    s3c_slice_t *value)
{
    s3c_status_t  st = S3C_MISS;

    for (unsigned i = 0; i < head->n_headers; i++) {
        if (s3c_slice_eq_nocase(head->headers[i].name, name)) {
            if (st == S3C_OK) {
                return S3C_INVALID;
            }

            *value = head->headers[i].value;
            st = S3C_OK;
        }
    }

    return st;
}


/* [W/] and a quoted string, or (some origins) the bare characters: in both
 * no quote, comma or blank that would make a list of it in If-Match. */
static bool
meta_etag_is_valid(s3c_slice_t etag)
{
    size_t  i = 0, end = etag.len;
    bool    quoted;

    if (etag.len >= 2 && memcmp(etag.data, "W/", 2) == 0) {
        i = 2;
    }

    quoted = end - i >= 2 && etag.data[i] == '"' && etag.data[end - 1] == '"';

    if (quoted) {
        i++;
        end--;

    } else if (i > 0 || etag.len == 0) {
        return false;
    }

    for ( ; i < end; i++) {
        uint8_t  c = etag.data[i];

        if (c == '"' || c <= ' ' || c == 0x7f || (!quoted && c == ',')) {
            return false;
        }
    }

    return true;
}


/* Which bytes of how many come. */
static s3c_status_t
meta_parse_extent(const s3c_http_head_t *head, s3c_s3_meta_t *meta)
{
    s3c_slice_t   range;
    s3c_status_t  st;

    if (!head->has_length || head->chunked) {
        return S3C_INVALID;
    }

    st = meta_find_one(head, S3C_SLICE("content-range"), &range);

    if (head->status == 200) {
        /* RGW makes one of a malformed Range: whose bytes are these? */
        if (st != S3C_MISS) {
            return S3C_INVALID;
        }

        meta->total = head->length;
        meta->first = 0;
        meta->last = head->length > 0 ? head->length - 1 : 0;

        return S3C_OK;
    }

    if (head->status != 206 || st != S3C_OK) {
        return S3C_INVALID;
    }

    st = s3c_http_content_range_parse(range, &meta->first, &meta->last,
                                      &meta->total);

    if (st != S3C_OK
        || meta->first > meta->last
        || meta->total > INT64_MAX
        || head->length != meta->last - meta->first + 1)
    {
        return S3C_INVALID;
    }

    return S3C_OK;
}


static uint64_t
meta_generation(const s3c_s3_meta_t *meta)
{
    uint64_t  parts[4], generation;

    parts[0] = s3c_hash64(meta->etag.data, meta->etag.len);
    parts[1] = s3c_hash64(meta->last_modified_text.data,
                          meta->last_modified_text.len);
    parts[2] = meta->total;
    parts[3] = s3c_hash64(meta->version_id.data, meta->version_id.len);

    generation = s3c_hash64(parts, sizeof(parts));

    return generation != 0 ? generation : 1;
}


s3c_status_t
s3c_s3_meta_parse(const s3c_http_head_t *head, bool is_head,
    s3c_s3_meta_t *meta)
{
    (void) is_head;          /* the length rules are the same for both */

    memset(meta, 0, sizeof(*meta));
    meta->last_modified = -1;

    if (meta_parse_extent(head, meta) != S3C_OK
        || meta_find_one(head, S3C_SLICE("etag"), &meta->etag) == S3C_INVALID
        || meta_find_one(head, S3C_SLICE("last-modified"),
                         &meta->last_modified_text) == S3C_INVALID
        || meta_find_one(head, S3C_SLICE("x-amz-version-id"),
                         &meta->version_id) == S3C_INVALID
        || (meta->etag.len > 0 && !meta_etag_is_valid(meta->etag)))
    {
        return S3C_INVALID;
    }

    if (s3c_http_date_parse(meta->last_modified_text, &meta->last_modified)
        != S3C_OK
        || meta->last_modified < 0)
    {
        meta->last_modified = -1;
    }

    for (unsigned i = 0; i < head->n_headers; i++) {
        s3c_slice_t  name = head->headers[i].name;

        if (s3c_slice_starts_nocase(name,
                S3C_SLICE("x-amz-server-side-encryption-customer-")))
        {
            meta->sse_customer = true;

        } else if (s3c_slice_eq_nocase(name,
                                       S3C_SLICE("x-amz-mp-parts-count")))
        {
            meta->parts_count = true;
        }
    }

    meta->generation = meta_generation(meta);

    return S3C_OK;
}


static void
meta_render(s3c_writer_t *w, const s3c_http_head_t *head, bool error)
{
    bool  has_options;

    has_options = s3c_http_head_find(head, S3C_SLICE("connection")) != NULL;

    for (unsigned i = 0; i < head->n_headers; i++) {
        const s3c_http_header_t  *h = &head->headers[i];

        if (meta_is_dropped(h->name, error)
            || (head->status == 206 && s3c_s3_meta_is_checksum(h->name))
            || (has_options && meta_is_connection_option(head, h->name)))
        {
            continue;
        }

        s3c_write_slice(w, h->name);
        s3c_write_lit(w, ": ");
        s3c_write_slice(w, h->value);
        s3c_write_lit(w, "\r\n");
    }
}


void
s3c_s3_meta_render(s3c_writer_t *w, const s3c_http_head_t *head)
{
    meta_render(w, head, false);
}


void
s3c_s3_meta_render_error(s3c_writer_t *w, const s3c_http_head_t *head)
{
    meta_render(w, head, true);
}


bool
s3c_s3_meta_next(s3c_slice_t block, size_t *pos, s3c_http_header_t *header)
{
    size_t          n;
    s3c_slice_t     line;
    const uint8_t  *cr;

    if (*pos >= block.len) {
        return false;
    }

    line = s3c_slice(block.data + *pos, block.len - *pos);
    cr = memchr(line.data, '\r', line.len);

    if (cr == NULL || cr + 1 == line.data + line.len || cr[1] != '\n') {
        return false;
    }

    line.len = (size_t) (cr - line.data);

    for (n = 0; n < line.len && s3c_http_is_token(line.data[n]); n++) {
        /* void */
    }

    if (n == 0 || line.len - n < 2 || memcmp(line.data + n, ": ", 2) != 0) {
        return false;
    }

    header->name = s3c_slice(line.data, n);
    header->value = s3c_slice(line.data + n + 2, line.len - n - 2);

    if (!s3c_http_text_is_valid(header->value)) {
        return false;
    }

    *pos += line.len + 2;

    return true;
}


bool
s3c_s3_meta_is_checksum(s3c_slice_t name)
{
    return s3c_slice_starts_nocase(name, S3C_SLICE("x-amz-checksum-"));
}


bool
s3c_s3_meta_in_304(s3c_slice_t name)
{
    static const s3c_slice_t  names[] = {
        S3C_SLICE("etag"),
        S3C_SLICE("last-modified"),
        S3C_SLICE("cache-control"),
        S3C_SLICE("expires"),
        S3C_SLICE("content-location"),
        S3C_SLICE("x-amz-version-id"),
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (s3c_slice_eq_nocase(name, names[i])) {
            return true;
        }
    }

    return false;
}

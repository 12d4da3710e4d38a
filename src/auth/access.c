/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of the operations that need less than ADMIN, by method, target and
 * names of the query. Whatever is not plainly one of them needs ADMIN: origins
 * differ in what they take of a query that holds two operations, and in those
 * that they know.
 */
#include "auth/access.h"

#include "s3/s3_query.h"
#include "s3/s3_uri.h"
#include "s3/s3_write.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

/* what a query holds, and a body says */
enum {
    HAS_UPLOADS = 1 << 0,
    HAS_UPLOAD_ID = 1 << 1,
    HAS_PART = 1 << 2,
    HAS_SELECT = 1 << 3,
    HAS_SELECT_TYPE = 1 << 4,
    HAS_DELETE = 1 << 5,
    HAS_TAGGING = 1 << 6,
    HAS_DETAIL = 1 << 7,         /* what a read shows anyway, or near to it */
    HAS_VERSIONS = 1 << 8,
    HAS_LOCATION = 1 << 9,
    HAS_VERSION = 1 << 10,
    HAS_LIST = 1 << 11,          /* a parameter of lists */
    HAS_PARTS = 1 << 12,         /* ... of lists of parts */
    HAS_FORM = 1 << 13,
    HAS_OTHER = 1 << 14
};

/* any number of times: they cannot make it another operation */
#define HAS_MANY  (HAS_LIST | HAS_PARTS)

static const struct {
    s3c_slice_t  name;
    unsigned     has;
} access_params[] = {
    { S3C_SLICE("versionId"), HAS_VERSION },
    { S3C_SLICE("partNumber"), HAS_PART },
    { S3C_SLICE("uploadId"), HAS_UPLOAD_ID },
    { S3C_SLICE("uploads"), HAS_UPLOADS },
    { S3C_SLICE("tagging"), HAS_TAGGING },
    { S3C_SLICE("attributes"), HAS_DETAIL },
    { S3C_SLICE("torrent"), HAS_DETAIL },
    { S3C_SLICE("retention"), HAS_DETAIL },
    { S3C_SLICE("legal-hold"), HAS_DETAIL },
    { S3C_SLICE("delete"), HAS_DELETE },
    { S3C_SLICE("select"), HAS_SELECT },
    { S3C_SLICE("select-type"), HAS_SELECT_TYPE },
    { S3C_SLICE("versions"), HAS_VERSIONS },
    { S3C_SLICE("location"), HAS_LOCATION },
    { S3C_SLICE("list-type"), HAS_LIST },
    { S3C_SLICE("prefix"), HAS_LIST },
    { S3C_SLICE("delimiter"), HAS_LIST },
    { S3C_SLICE("marker"), HAS_LIST },
    { S3C_SLICE("max-keys"), HAS_LIST },
    { S3C_SLICE("encoding-type"), HAS_LIST },
    { S3C_SLICE("continuation-token"), HAS_LIST },
    { S3C_SLICE("start-after"), HAS_LIST },
    { S3C_SLICE("fetch-owner"), HAS_LIST },
    { S3C_SLICE("key-marker"), HAS_LIST },
    { S3C_SLICE("version-id-marker"), HAS_LIST },
    { S3C_SLICE("upload-id-marker"), HAS_LIST },
    { S3C_SLICE("max-uploads"), HAS_LIST },
    { S3C_SLICE("max-buckets"), HAS_LIST },
    { S3C_SLICE("bucket-region"), HAS_LIST },
    { S3C_SLICE("allow-unordered"), HAS_LIST },
    { S3C_SLICE("max-parts"), HAS_PARTS },
    { S3C_SLICE("part-number-marker"), HAS_PARTS },
};

typedef enum {
    ACCESS_SERVICE,
    ACCESS_BUCKET,
    ACCESS_KEY
} access_target_t;

typedef struct {
    s3c_slice_t      method;
    access_target_t  target;
    unsigned         must;       /* what it has, ... */
    unsigned         may;        /* and what else it can have */
    s3c_action_t     action;
    s3c_scope_t      scope;
} access_row_t;

#define GET    S3C_SLICE("GET")
#define HEAD   S3C_SLICE("HEAD")
#define PUT    S3C_SLICE("PUT")
#define POST   S3C_SLICE("POST")
#define DELETE S3C_SLICE("DELETE")

static const access_row_t  access_rows[] = {
    { GET, ACCESS_KEY, 0, HAS_PART | HAS_VERSION,
      S3C_ACTION_READ, S3C_SCOPE_KEY },
    { HEAD, ACCESS_KEY, 0, HAS_PART | HAS_VERSION,
      S3C_ACTION_READ, S3C_SCOPE_KEY },
    { GET, ACCESS_KEY, HAS_TAGGING, HAS_VERSION,
      S3C_ACTION_READ, S3C_SCOPE_KEY },
    { GET, ACCESS_KEY, HAS_DETAIL, HAS_VERSION | HAS_PARTS,
      S3C_ACTION_READ, S3C_SCOPE_KEY },
    { POST, ACCESS_KEY, HAS_SELECT | HAS_SELECT_TYPE, HAS_VERSION,
      S3C_ACTION_READ, S3C_SCOPE_KEY },

    { GET, ACCESS_BUCKET, 0, HAS_LIST, S3C_ACTION_LIST, S3C_SCOPE_PREFIX },
    { GET, ACCESS_BUCKET, HAS_VERSIONS, HAS_LIST,
      S3C_ACTION_LIST, S3C_SCOPE_PREFIX },
    { GET, ACCESS_BUCKET, HAS_UPLOADS, HAS_LIST,
      S3C_ACTION_LIST, S3C_SCOPE_PREFIX },
    { HEAD, ACCESS_BUCKET, 0, 0, S3C_ACTION_LIST, S3C_SCOPE_BUCKET },
    { GET, ACCESS_BUCKET, HAS_LOCATION, 0,
      S3C_ACTION_LIST, S3C_SCOPE_BUCKET },
    { GET, ACCESS_SERVICE, 0, HAS_LIST, S3C_ACTION_LIST, S3C_SCOPE_BUCKET },

    { PUT, ACCESS_KEY, 0, 0, S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    { DELETE, ACCESS_KEY, 0, HAS_VERSION, S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    { PUT, ACCESS_KEY, HAS_TAGGING, HAS_VERSION,
      S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    { DELETE, ACCESS_KEY, HAS_TAGGING, HAS_VERSION,
      S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    { POST, ACCESS_KEY, HAS_UPLOADS, 0, S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    { PUT, ACCESS_KEY, HAS_UPLOAD_ID | HAS_PART, 0,
      S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    { POST, ACCESS_KEY, HAS_UPLOAD_ID, 0, S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    { DELETE, ACCESS_KEY, HAS_UPLOAD_ID, 0,
      S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    /* the parts: who uploads asks for them, and need not be able to read */
    { GET, ACCESS_KEY, HAS_UPLOAD_ID, HAS_PARTS,
      S3C_ACTION_WRITE, S3C_SCOPE_KEY },
    { POST, ACCESS_BUCKET, HAS_DELETE, 0,
      S3C_ACTION_WRITE, S3C_SCOPE_PREFIX },
    /* a form; origins take its key from it also when the path has one */
    { POST, ACCESS_BUCKET, 0, HAS_FORM, S3C_ACTION_WRITE, S3C_SCOPE_PREFIX },
    { POST, ACCESS_KEY, 0, HAS_FORM, S3C_ACTION_WRITE, S3C_SCOPE_PREFIX },
};

/* Headers, and names of a query that stand for them, that make a write more
 * than one of its key. */
typedef enum {
    ACCESS_PLAIN,
    ACCESS_ACL,                  /* unless it says what is so anyway */
    ACCESS_LOCK,
    ACCESS_MOVE,                 /* its source, too, is not there any more */
    ACCESS_EXTRACT,              /* MinIO: of an archive, keys that it names */
    ACCESS_SOURCE
} access_header_t;

static const struct {
    s3c_slice_t      name;
    bool             prefix;
    access_header_t  kind;
} access_headers[] = {
    { S3C_SLICE("x-amz-acl"), false, ACCESS_ACL },
    { S3C_SLICE("x-amz-grant-"), true, ACCESS_LOCK },
    { S3C_SLICE("x-amz-object-lock-"), true, ACCESS_LOCK },
    { S3C_SLICE("x-amz-bypass-governance-retention"), false, ACCESS_LOCK },
    { S3C_SLICE("x-amz-rename-source"), false, ACCESS_MOVE },
    { S3C_SLICE("x-amz-meta-snowball-auto-extract"), false, ACCESS_EXTRACT },
    { S3C_SLICE("x-amz-copy-source"), false, ACCESS_SOURCE },
};

/* What the steps of one plan share. */
typedef struct {
    unsigned      has;           /* HAS_* */
    bool          admin;
    bool          moves;
    bool          extracts;
    unsigned      n_sources;
    unsigned      n_prefixes;
    s3c_slice_t   source;
    s3c_slice_t   prefix;        /* coded */
    s3c_writer_t  w;             /* a source that the query holds */
    uint8_t       buf[3 * S3C_S3_KEY_BYTES_MAX + S3C_S3_BUCKET_BYTES_MAX + 256];
} access_seen_t;


s3c_slice_t
s3c_action_name(s3c_action_t action)
{
    static const s3c_slice_t  names[S3C_ACTIONS] = {
        [S3C_ACTION_READ] = S3C_SLICE("read"),
        [S3C_ACTION_LIST] = S3C_SLICE("list"),
        [S3C_ACTION_WRITE] = S3C_SLICE("write"),
        [S3C_ACTION_ADMIN] = S3C_SLICE("admin"),
    };

    return names[action];
}


static bool
access_has_byte(s3c_slice_t s, int c)
{
    return s.len > 0 && memchr(s.data, c, s.len) != NULL;
}


static access_header_t
access_header(s3c_slice_t name)
{
    if (!s3c_slice_starts_nocase(name, S3C_SLICE("x-amz-"))) {
        return ACCESS_PLAIN;
    }

    for (size_t i = 0; i < LEN(access_headers); i++) {
        if (access_headers[i].prefix
            ? s3c_slice_starts_nocase(name, access_headers[i].name)
            : s3c_slice_eq_nocase(name, access_headers[i].name))
        {
            return access_headers[i].kind;
        }
    }

    return ACCESS_PLAIN;
}


static void
access_take_header(access_seen_t *seen, s3c_slice_t name, s3c_slice_t value)
{
    switch (access_header(name)) {

    case ACCESS_PLAIN:
        break;

    case ACCESS_ACL:
        seen->admin |= !s3c_slice_eq(value, S3C_SLICE("private"));
        break;

    case ACCESS_LOCK:
        seen->admin = true;
        break;

    case ACCESS_MOVE:
        seen->moves = true;
        break;

    case ACCESS_EXTRACT:
        seen->extracts = true;
        break;

    case ACCESS_SOURCE:
        seen->source = value;
        seen->n_sources++;
        break;
    }
}


/* An origin takes it for the header of that name. */
static void
access_take_hoisted(access_seen_t *seen, s3c_slice_t name, s3c_slice_t coded)
{
    if (access_header(name) == ACCESS_SOURCE) {
        s3c_writer_init(&seen->w, seen->buf, sizeof(seen->buf));

        if (s3c_uri_decode(&seen->w, coded, true) != S3C_OK
            || !s3c_writer_ok(&seen->w))
        {
            s3c_writer_init(&seen->w, seen->buf, 0);     /* empty: refused */
        }

        coded = s3c_writer_slice(&seen->w);
    }

    access_take_header(seen, name, coded);
}


static void
access_take_param(access_seen_t *seen, s3c_slice_t name, s3c_slice_t value)
{
    unsigned  has = HAS_OTHER;

    for (size_t i = 0; i < LEN(access_params); i++) {
        if (s3c_slice_eq(name, access_params[i].name)) {
            has = access_params[i].has;
            break;
        }
    }

    /* an RGW takes an empty uploadId for none: that would be a read; at a ';'
       some origins begin another parameter, and some drop this one */
    if ((has & seen->has & ~(unsigned) HAS_MANY)
        || (has == HAS_UPLOAD_ID && value.len == 0)
        || access_has_byte(value, ';'))
    {
        has = HAS_OTHER;
    }

    seen->has |= has;

    if (s3c_slice_eq(name, S3C_SLICE("prefix"))) {
        seen->prefix = value;
        seen->n_prefixes++;
    }
}


static void
access_take_query(access_seen_t *seen, s3c_slice_t query)
{
    uint8_t         buf[S3C_S3_QUERY_NAME_BYTES_MAX];
    s3c_slice_t     coded, name, value;
    s3c_s3_param_t  param;

    while (s3c_s3_query_next(&query, &coded, &value)) {

        if (s3c_s3_query_param(coded, buf, &name, &param) != S3C_OK) {
            seen->has |= HAS_OTHER;

        } else if (s3c_slice_starts_nocase(name, S3C_SLICE("x-amz-"))) {
            access_take_hoisted(seen, name, value);

        } else if (param == S3C_PARAM_N || param == S3C_PARAM_VERSION_ID
                   || param == S3C_PARAM_PART_NUMBER)
        {
            access_take_param(seen, name, value);
        }

        /* else an override, or credentials */
    }
}


static void
access_take_headers(access_seen_t *seen, const s3c_http_header_t *headers,
    unsigned n_headers)
{
    for (unsigned i = 0; i < n_headers; i++) {
        s3c_slice_t  value = s3c_slice_trim(headers[i].value);

        if (s3c_slice_starts_nocase(headers[i].name, S3C_SLICE("x-amz-"))) {
            access_take_header(seen, headers[i].name, value);

        } else if (s3c_slice_eq_nocase(headers[i].name,
                                       S3C_SLICE("content-type"))
                   && s3c_slice_starts_nocase(value, S3C_SLICE("multipart/")))
        {
            seen->has |= HAS_FORM;
        }
    }
}


static const access_row_t *
access_row(s3c_slice_t method, access_target_t target, unsigned has)
{
    for (size_t i = 0; i < LEN(access_rows); i++) {
        const access_row_t  *row = &access_rows[i];

        if (row->target == target && (has & row->must) == row->must
            && (has & ~(row->must | row->may)) == 0
            && s3c_slice_eq(method, row->method))
        {
            return row;
        }
    }

    return NULL;
}


static void
access_need(s3c_needs_t *needs, s3c_action_t action, s3c_scope_t scope,
    s3c_slice_t bucket, s3c_slice_t key)
{
    needs->all[needs->n++] = (s3c_access_t) { action, scope, bucket, key };
}


/* Of a list. Given twice, or not to be read: that of all keys, as nobody knows
 * which one the origin takes. */
static s3c_slice_t
access_prefix(s3c_needs_t *needs, const access_seen_t *seen)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, needs->prefix, sizeof(needs->prefix));

    if (seen->n_prefixes != 1
        || s3c_uri_decode(&w, seen->prefix, true) != S3C_OK
        || !s3c_writer_ok(&w))
    {
        return S3C_SLICE_NONE;
    }

    return s3c_writer_slice(&w);
}


static s3c_status_t
access_need_source(s3c_needs_t *needs, s3c_slice_t value,
    s3c_s3_address_t *addr)
{
    if (!s3c_s3_copy_source_parse(value, addr)) {
        return S3C_INVALID;
    }

    if (addr->bucket.len == 0) {
        /* an ARN: which bucket that is, is not known */
        access_need(needs, S3C_ACTION_ADMIN, S3C_SCOPE_UNKNOWN,
                    S3C_SLICE_NONE, S3C_SLICE_NONE);
        access_need(needs, S3C_ACTION_READ, S3C_SCOPE_UNKNOWN, S3C_SLICE_NONE,
                    S3C_SLICE_NONE);

    } else {
        access_need(needs, S3C_ACTION_READ, S3C_SCOPE_KEY, addr->bucket,
                    addr->key);
    }

    return S3C_OK;
}


/* S3 takes '+' for a space, others do not: both must be allowed. Who means a
 * key with '#' or '\' in it codes them: some origins (MinIO, all that read it
 * as a URL) end the key at the one, and some take the other for a slash. */
static s3c_status_t
access_need_sources(s3c_needs_t *needs, const access_seen_t *seen)
{
    uint8_t       buf[2 * sizeof(seen->buf)];
    s3c_slice_t   value = seen->source;
    s3c_writer_t  w;

    if (seen->n_sources == 0) {
        return S3C_OK;
    }

    if (seen->n_sources > 1
        || access_has_byte(value, '#') || access_has_byte(value, '\\')
        || access_need_source(needs, value, &needs->source) != S3C_OK)
    {
        return S3C_INVALID;
    }

    if (!access_has_byte(value, '+')) {
        return S3C_OK;
    }

    s3c_writer_init(&w, buf, sizeof(buf));

    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '+') {
            s3c_write_lit(&w, "%20");

        } else {
            s3c_write_byte(&w, value.data[i]);
        }
    }

    return s3c_writer_ok(&w)
           ? access_need_source(needs, s3c_writer_slice(&w),
                                &needs->source_form)
           : S3C_INVALID;
}


/* What it is for its own address: all[0]. */
static void
access_need_own(s3c_needs_t *needs, s3c_slice_t method,
    const s3c_s3_address_t *addr, access_seen_t *seen)
{
    s3c_slice_t          key = addr->key;
    access_target_t      target;
    const access_row_t  *row;

    target = key.len > 0 ? ACCESS_KEY
             : addr->bucket.len > 0 ? ACCESS_BUCKET : ACCESS_SERVICE;
    row = access_row(method, target, seen->has);

    if (row == NULL) {
        access_need(needs, S3C_ACTION_ADMIN,
                    key.len > 0 ? S3C_SCOPE_KEY : S3C_SCOPE_BUCKET,
                    addr->bucket, key);
        return;
    }

    if (row->scope != S3C_SCOPE_KEY) {
        key = row->action == S3C_ACTION_LIST && row->scope == S3C_SCOPE_PREFIX
              ? access_prefix(needs, seen) : S3C_SLICE_NONE;
    }

    if (row->action == S3C_ACTION_WRITE && row->scope == S3C_SCOPE_PREFIX) {
        needs->keys_in_body = row->must == HAS_DELETE;
        seen->admin |= !needs->keys_in_body;
    }

    access_need(needs, row->action, row->scope, addr->bucket, key);
}


s3c_status_t
s3c_access_plan(s3c_needs_t *needs, s3c_slice_t method,
    const s3c_s3_address_t *addr, s3c_slice_t query,
    const s3c_http_header_t *headers, unsigned n_headers)
{
    access_seen_t  seen;
    s3c_access_t  *own = &needs->all[0];

    needs->n = 0;
    needs->keys_in_body = false;
    memset(&seen, 0, offsetof(access_seen_t, buf));

    if (s3c_slice_eq(method, S3C_SLICE("OPTIONS"))) {
        return S3C_OK;
    }

    access_take_query(&seen, query);
    access_take_headers(&seen, headers, n_headers);

    if (!s3c_slice_eq(method, POST)) {
        seen.has &= ~(unsigned) HAS_FORM;
    }

    access_need_own(needs, method, addr, &seen);

    if (seen.admin && own->action != S3C_ACTION_ADMIN) {
        access_need(needs, S3C_ACTION_ADMIN, own->scope, own->bucket,
                    own->key);
    }

    if (seen.extracts) {
        access_need(needs, S3C_ACTION_WRITE, S3C_SCOPE_PREFIX, addr->bucket,
                    S3C_SLICE_NONE);
    }

    if (seen.moves) {
        access_need(needs, S3C_ACTION_ADMIN, S3C_SCOPE_PREFIX, addr->bucket,
                    S3C_SLICE_NONE);
    }

    return access_need_sources(needs, &seen);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request is. A GET or HEAD of an object may be answered from the
 * cache only when every name of its query is known (s3_query) and no
 * header changes its meaning: what is not known is passed on, never taken
 * for a plain object.
 *
 * Two points beside the contract in s3_operation.h:
 * - For a GET or HEAD of an object a malformed query is INVALID even when it
 *   would pass. All other requests go to the origin with whatever they hold.
 * - An incomplete set of credentials in the query (a signature without its
 *   credential, a lone X-Amz-Date...) is not "anonymous": it passes, and the
 *   origin answers its error.
 */
#include "s3/s3_operation.h"

#include <assert.h>

#include "s3/s3_list.h"
#include "s3/s3_query.h"
#include "s3/s3_uri.h"

#define OPERATION_PART_MAX  10000


static_assert(S3C_PARAM_CACHE_CONTROL == (int) S3C_OVERRIDE_CACHE_CONTROL
              && S3C_PARAM_EXPIRES == (int) S3C_OVERRIDE_EXPIRES
              && S3C_PARAM_EXPIRES == S3C_S3_OVERRIDES - 1,
              "the overrides are the first parameters, in the same order");

#define PARAM_BIT(p)     (1u << (p))
#define PARAM_V4_SIGNED                                                      \
    (PARAM_BIT(S3C_PARAM_V4_SIGNATURE) | PARAM_BIT(S3C_PARAM_V4_CREDENTIAL))
#define PARAM_V2_SIGNED                                                      \
    (PARAM_BIT(S3C_PARAM_V2_SIGNATURE) | PARAM_BIT(S3C_PARAM_V2_ACCESS_KEY))
/* every bit from V4_ALGORITHM to the last */
#define PARAM_AUTH_ANY                                                       \
    (PARAM_BIT(S3C_PARAM_N) - PARAM_BIT(S3C_PARAM_V4_ALGORITHM))


/* Headers, and x-amz-* headers hoisted into the query, that make a read of
 * an object something else. */
static const struct {
    s3c_slice_t    name;
    bool           prefix;
    s3c_s3_pass_t  pass;
} operation_headers[] = {
    { S3C_SLICE("x-amz-server-side-encryption"), true, S3C_PASS_SSE },
    { S3C_SLICE("x-amz-request-payer"), false, S3C_PASS_REQUEST_PAYER },
    { S3C_SLICE("x-amz-expected-bucket-owner"), false,
      S3C_PASS_EXPECTED_OWNER },
    { S3C_SLICE("x-amz-s3session-token"), false, S3C_PASS_SESSION },
};


static const struct {
    s3c_slice_t       name;
    s3c_s3_op_kind_t  kind;
} operation_methods[] = {
    { S3C_SLICE("GET"), S3C_OP_GET_OBJECT },
    { S3C_SLICE("HEAD"), S3C_OP_GET_OBJECT },
    { S3C_SLICE("PUT"), S3C_OP_WRITE },
    { S3C_SLICE("POST"), S3C_OP_WRITE },
    { S3C_SLICE("DELETE"), S3C_OP_WRITE },
    { S3C_SLICE("PATCH"), S3C_OP_WRITE },
    { S3C_SLICE("OPTIONS"), S3C_OP_OPTIONS },
};


/* What the steps of one parse share. */
typedef struct {
    s3c_s3_operation_t  *op;
    s3c_writer_t         w;             /* into op->buf */
    uint32_t             seen;          /* PARAM_BIT()s */
    bool                 range;         /* a Range header */
    bool                 authorization;
    s3c_s3_error_t       err;
    const char          *message;
} operation_parse_t;


static s3c_status_t
operation_fail(operation_parse_t *parse, s3c_s3_error_t err,
    const char *message)
{
    parse->err = err;
    parse->message = message;

    return S3C_INVALID;
}


/* The first reason stays. */
static void
operation_pass(s3c_s3_operation_t *op, s3c_s3_pass_t pass)
{
    if (op->pass == S3C_PASS_NOT) {
        op->pass = pass;
    }
}


static s3c_s3_op_kind_t
operation_kind(s3c_slice_t method)
{
    size_t  n = sizeof(operation_methods) / sizeof(operation_methods[0]);

    for (size_t i = 0; i < n; i++) {
        if (s3c_slice_eq(method, operation_methods[i].name)) {
            return operation_methods[i].kind;
        }
    }

    return S3C_OP_UNKNOWN_METHOD;
}


/* PASS_NOT when the name changes nothing. */
static s3c_s3_pass_t
operation_pass_of_name(s3c_slice_t name)
{
    size_t  n = sizeof(operation_headers) / sizeof(operation_headers[0]);

    for (size_t i = 0; i < n; i++) {
        s3c_slice_t  known = operation_headers[i].name;

        if (operation_headers[i].prefix
            ? s3c_slice_starts_nocase(name, known)
            : s3c_slice_eq_nocase(name, known))
        {
            return operation_headers[i].pass;
        }
    }

    return S3C_PASS_NOT;
}


/* Decodes into op->buf, where the operation's slices live. */
static s3c_status_t
operation_decode(operation_parse_t *parse, s3c_slice_t text,
    s3c_slice_t *value)
{
    const uint8_t  *start = parse->w.pos;

    if (s3c_uri_decode(&parse->w, text, true) != S3C_OK) {
        return operation_fail(parse, S3C_ERR_INVALID_URI, NULL);
    }

    if (!s3c_writer_ok(&parse->w)) {
        return operation_fail(parse, S3C_ERR_INVALID_ARGUMENT,
                              "The query parameters are too long.");
    }

    *value = s3c_slice(start, (size_t) (parse->w.pos - start));

    /* RGW answers CR LF in an override with a second status line */
    for (size_t i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20 || value->data[i] == 0x7f) {
            return operation_fail(parse, S3C_ERR_INVALID_ARGUMENT,
                                  "Header value cannot be represented using "
                                  "ISO-8859-1.");
        }
    }

    return S3C_OK;
}


static s3c_status_t
operation_part_number(operation_parse_t *parse, s3c_slice_t value)
{
    unsigned  v = 0;

    for (size_t i = 0; i < value.len && v <= OPERATION_PART_MAX; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            v = 0;
            break;
        }

        v = v * 10 + (unsigned) (value.data[i] - '0');
    }

    if (v < 1 || v > OPERATION_PART_MAX) {
        return operation_fail(parse, S3C_ERR_INVALID_ARGUMENT,
                              "Part number must be an integer between 1 and "
                              "10000, inclusive");
    }

    parse->op->part_number = v;

    return S3C_OK;
}


static s3c_status_t
operation_take_param(operation_parse_t *parse, s3c_s3_param_t param,
    s3c_slice_t text)
{
    s3c_slice_t          value;
    s3c_s3_operation_t  *op = parse->op;

    if (parse->seen & PARAM_BIT(param)) {
        return operation_fail(parse, S3C_ERR_INVALID_ARGUMENT,
                              "A query parameter is given more than once.");
    }

    parse->seen |= PARAM_BIT(param);

    if (param >= S3C_PARAM_X_ID) {         /* being there is all they say */
        return S3C_OK;
    }

    if (operation_decode(parse, text, &value) != S3C_OK) {
        return S3C_INVALID;
    }

    switch (param) {

    case S3C_PARAM_VERSION_ID:
        if (value.len == 0) {
            return operation_fail(parse, S3C_ERR_INVALID_ARGUMENT,
                                  "Version id cannot be the empty string");
        }

        op->version_id = value;
        return S3C_OK;

    case S3C_PARAM_PART_NUMBER:
        return operation_part_number(parse, value);

    case S3C_PARAM_CHECKSUM_MODE:
        op->checksum_mode |= s3c_slice_eq_nocase(value, S3C_SLICE("ENABLED"));
        return S3C_OK;

    default:
        op->overrides[param] = value;
        op->has_overrides = true;
        return S3C_OK;
    }
}


static s3c_status_t
operation_take_query(operation_parse_t *parse, s3c_slice_t query)
{
    s3c_slice_t     coded, name, value;
    s3c_s3_pass_t   pass;
    s3c_s3_param_t  param;
    uint8_t         buf[S3C_S3_QUERY_NAME_BYTES_MAX];

    while (s3c_s3_query_next(&query, &coded, &value)) {
        if (s3c_s3_query_param(coded, buf, &name, &param) != S3C_OK
            || !s3c_s3_query_is_valid(value))
        {
            return operation_fail(parse, S3C_ERR_INVALID_URI, NULL);
        }

        if (param == S3C_PARAM_N) {
            pass = operation_pass_of_name(name);
            operation_pass(parse->op, pass == S3C_PASS_NOT
                                      ? S3C_PASS_SUBRESOURCE : pass);
            continue;
        }

        if (operation_take_param(parse, param, value) != S3C_OK) {
            return S3C_INVALID;
        }
    }

    return S3C_OK;
}


/* For requests that pass: only who asks, and whether it is S3 Express. A bad
 * escape is the origin's to refuse. */
static void
operation_skim_query(operation_parse_t *parse, s3c_slice_t query)
{
    s3c_slice_t     coded, name, value;
    s3c_s3_param_t  param;
    uint8_t         buf[S3C_S3_QUERY_NAME_BYTES_MAX];

    while (s3c_s3_query_next(&query, &coded, &value)) {
        if (s3c_s3_query_param(coded, buf, &name, &param) != S3C_OK) {
            continue;
        }

        if (param < S3C_PARAM_N) {
            parse->seen |= PARAM_BIT(param);

        } else if (s3c_slice_eq(name, S3C_SLICE("session"))) {
            operation_pass(parse->op, S3C_PASS_SESSION);
        }
    }
}


/* Of most headers the length alone tells that they are none of ours. */
static inline bool
operation_may_know(s3c_slice_t name)
{
    switch (name.len) {
    case sizeof("authorization") - 1:
    case sizeof("range") - 1:
    case sizeof("origin") - 1:
    case sizeof("x-amz-checksum-mode") - 1:      /* and x-amz-request-payer */
    case sizeof("x-amz-expected-bucket-owner") - 1:
    case sizeof("x-amz-s3session-token") - 1:
        return true;

    default:
        return name.len >= sizeof("x-amz-server-side-encryption") - 1;
    }
}


static void
operation_take_headers(operation_parse_t *parse,
    const s3c_http_header_t *headers, unsigned n_headers)
{
    for (unsigned i = 0; i < n_headers; i++) {
        s3c_slice_t  name = headers[i].name;
        s3c_slice_t  value;

        if (!operation_may_know(name)) {
            continue;
        }

        value = s3c_slice_trim(headers[i].value);

        if (s3c_slice_eq_nocase(name, S3C_SLICE("authorization"))) {
            /* RGW: an empty one is anonymous */
            parse->authorization |= value.len > 0;

        } else if (s3c_slice_eq_nocase(name, S3C_SLICE("range"))) {
            parse->range |= value.len > 0;

        } else if (s3c_slice_eq_nocase(name, S3C_SLICE("origin"))) {
            operation_pass(parse->op, S3C_PASS_ORIGIN_HEADER);

        } else if (s3c_slice_eq_nocase(name,
                                       S3C_SLICE("x-amz-checksum-mode")))
        {
            parse->op->checksum_mode |=
                s3c_slice_eq_nocase(value, S3C_SLICE("ENABLED"));

        } else {
            operation_pass(parse->op, operation_pass_of_name(name));
        }
    }
}


/* Of a list: x-amz-* headers that say nothing of what it shows. Any other makes
 * it one that is not kept (x-amz-optional-object-attributes...). */
static bool
operation_lists_plainly(const s3c_http_header_t *headers, unsigned n_headers)
{
    static const s3c_slice_t  aside[] = {
        S3C_SLICE("x-amz-date"), S3C_SLICE("x-amz-content-sha256"),
        S3C_SLICE("x-amz-security-token"), S3C_SLICE("x-amz-user-agent"),
        S3C_SLICE("x-amz-checksum-mode"),
    };

    for (unsigned i = 0; i < n_headers; i++) {
        size_t  k, n = sizeof(aside) / sizeof(aside[0]);

        if (s3c_slice_starts_nocase(headers[i].name,
                                    S3C_SLICE("access-control-request-")))
        {
            return false;
        }

        if (!s3c_slice_starts_nocase(headers[i].name, S3C_SLICE("x-amz-"))) {
            continue;
        }

        for (k = 0; k < n; k++) {
            if (s3c_slice_eq_nocase(headers[i].name, aside[k])) {
                break;
            }
        }

        if (k == n) {
            return false;
        }
    }

    return true;
}


static bool
operation_has(uint32_t seen, uint32_t all)
{
    return (seen & all) == all;
}


static void
operation_take_credentials(operation_parse_t *parse)
{
    parse->op->has_credentials = parse->authorization
                                 || operation_has(parse->seen, PARAM_V4_SIGNED)
                                 || operation_has(parse->seen,
                                                  PARAM_V2_SIGNED);

    if (!parse->op->has_credentials && (parse->seen & PARAM_AUTH_ANY)) {
        operation_pass(parse->op, S3C_PASS_OTHER);
    }
}


/* Rules that need more than one part of the request. */
static s3c_status_t
operation_check_object(operation_parse_t *parse)
{
    const s3c_s3_operation_t  *op = parse->op;

    if (op->part_number > 0 && parse->range) {
        return operation_fail(parse, S3C_ERR_INVALID_REQUEST,
                              "Cannot specify both Range header and "
                              "partNumber query parameter");
    }

    if (op->has_overrides && !op->has_credentials) {
        return operation_fail(parse, S3C_ERR_INVALID_REQUEST,
                              "Request specific response headers cannot be "
                              "used for anonymous GET requests.");
    }

    return S3C_OK;
}


static bool
operation_bucket_is_express(s3c_slice_t bucket)
{
    s3c_slice_t  end = S3C_SLICE("--x-s3");

    return bucket.len > end.len
           && s3c_slice_eq_nocase(s3c_slice(bucket.data + bucket.len - end.len,
                                            end.len), end);
}


/* No key. It passes, whatever it is; a list may be kept, if it is wanted. */
static void
operation_take_bucket(operation_parse_t *parse, s3c_slice_t query,
    const s3c_s3_address_t *addr, const s3c_http_header_t *headers,
    unsigned n_headers)
{
    s3c_s3_operation_t  *op = parse->op;

    op->is_list = op->pass == S3C_PASS_NOT && !op->head
                  && addr->bucket.len > 0
                  && operation_lists_plainly(headers, n_headers)
                  && s3c_s3_list_parse(&parse->w, query, &op->page,
                                       &op->prefix)
                     == S3C_OK;

    operation_skim_query(parse, query);
    operation_pass(op, S3C_PASS_LIST);
    operation_take_credentials(parse);

    if (!op->has_credentials && (parse->seen & PARAM_AUTH_ANY)) {
        op->is_list = false;         /* the origin answers its error */
    }
}


static s3c_status_t
operation_take_read(operation_parse_t *parse, s3c_slice_t query,
    const s3c_s3_address_t *addr, const s3c_http_header_t *headers,
    unsigned n_headers)
{
    s3c_status_t         st = S3C_OK;
    s3c_s3_operation_t  *op = parse->op;

    if (operation_bucket_is_express(addr->bucket)) {
        operation_pass(op, S3C_PASS_SESSION);
    }

    if (addr->key.len == 0) {
        operation_take_bucket(parse, query, addr, headers, n_headers);

    } else {
        st = operation_take_query(parse, query);

        if (st == S3C_OK) {
            operation_take_credentials(parse);
            st = operation_check_object(parse);
        }
    }

    if (op->pass != S3C_PASS_NOT) {
        op->kind = S3C_OP_PASS_READ;
    }

    return st;
}


s3c_status_t
s3c_s3_operation_parse(s3c_s3_operation_t *op, s3c_slice_t method,
    s3c_slice_t query, const s3c_s3_address_t *addr,
    const s3c_http_header_t *headers, unsigned n_headers, s3c_s3_error_t *err,
    const char **message)
{
    s3c_status_t       st = S3C_OK;
    operation_parse_t  parse = { .op = op, .err = S3C_ERR_NONE };

    memset(op, 0, offsetof(s3c_s3_operation_t, buf));
    s3c_writer_init(&parse.w, op->buf, sizeof(op->buf));

    op->kind = operation_kind(method);
    op->head = s3c_slice_eq(method, S3C_SLICE("HEAD"));

    if (op->kind == S3C_OP_GET_OBJECT) {
        operation_take_headers(&parse, headers, n_headers);
        st = operation_take_read(&parse, query, addr, headers, n_headers);

    } else {
        /* not a read: only has_credentials is asked of it */
        operation_take_headers(&parse, headers, n_headers);
        operation_skim_query(&parse, query);
        operation_take_credentials(&parse);
        op->pass = S3C_PASS_NOT;
    }

    *err = parse.err;
    *message = parse.message;

    return st;
}


s3c_slice_t
s3c_s3_override_header(s3c_s3_override_t i)
{
    static const s3c_slice_t  names[S3C_S3_OVERRIDES] = {
        [S3C_OVERRIDE_CACHE_CONTROL] = S3C_SLICE("Cache-Control"),
        [S3C_OVERRIDE_CONTENT_DISPOSITION] = S3C_SLICE("Content-Disposition"),
        [S3C_OVERRIDE_CONTENT_ENCODING] = S3C_SLICE("Content-Encoding"),
        [S3C_OVERRIDE_CONTENT_LANGUAGE] = S3C_SLICE("Content-Language"),
        [S3C_OVERRIDE_CONTENT_TYPE] = S3C_SLICE("Content-Type"),
        [S3C_OVERRIDE_EXPIRES] = S3C_SLICE("Expires"),
    };

    return (unsigned) i < S3C_S3_OVERRIDES ? names[i] : S3C_SLICE_NONE;
}


const char *
s3c_s3_pass_name(s3c_s3_pass_t pass)
{
    switch (pass) {
    case S3C_PASS_NOT:             return "";
    case S3C_PASS_LIST:            return "list";
    case S3C_PASS_SUBRESOURCE:     return "subresource";
    case S3C_PASS_SSE:             return "sse";
    case S3C_PASS_REQUEST_PAYER:   return "request_payer";
    case S3C_PASS_EXPECTED_OWNER:  return "expected_owner";
    case S3C_PASS_SESSION:         return "session";
    case S3C_PASS_ORIGIN_HEADER:   return "origin_header";
    case S3C_PASS_OTHER:           return "other";
    }

    return "unknown";
}

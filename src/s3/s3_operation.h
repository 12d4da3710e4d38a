/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request asks for, from its method, query and the headers that
 * change its meaning; whether it may be answered from the cache.
 */
#ifndef S3C_S3_OPERATION_H
#define S3C_S3_OPERATION_H

#include "base/slice.h"
#include "base/status.h"
#include "http/http_head.h"
#include "s3/s3_address.h"
#include "s3/s3_error.h"

#define S3C_S3_OVERRIDES  6

typedef enum {
    S3C_OP_GET_OBJECT,       /* GET or HEAD of an object: may be cached */
    S3C_OP_PASS_READ,        /* any other read: goes to the origin untouched */
    S3C_OP_OPTIONS,          /* CORS preflight: goes to the origin */
    S3C_OP_WRITE,            /* anything that changes something */
    S3C_OP_UNKNOWN_METHOD
} s3c_s3_op_kind_t;

/* Why a GET/HEAD of an object passes (for logs and $s3_cache_bypass). */
typedef enum {
    S3C_PASS_NOT = 0,
    S3C_PASS_LIST,               /* no key */
    S3C_PASS_SUBRESOURCE,        /* acl, tagging, uploadId... or unknown */
    S3C_PASS_SSE,                /* x-amz-server-side-encryption* */
    S3C_PASS_REQUEST_PAYER,
    S3C_PASS_EXPECTED_OWNER,
    S3C_PASS_SESSION,            /* S3 Express */
    S3C_PASS_ORIGIN_HEADER,      /* CORS: Origin header present */
    S3C_PASS_OTHER
} s3c_s3_pass_t;

/* index into overrides[] */
typedef enum {
    S3C_OVERRIDE_CACHE_CONTROL,
    S3C_OVERRIDE_CONTENT_DISPOSITION,
    S3C_OVERRIDE_CONTENT_ENCODING,
    S3C_OVERRIDE_CONTENT_LANGUAGE,
    S3C_OVERRIDE_CONTENT_TYPE,
    S3C_OVERRIDE_EXPIRES
} s3c_s3_override_t;

typedef struct {
    s3c_s3_op_kind_t  kind;
    s3c_s3_pass_t     pass;
    bool              head;              /* HEAD */
    bool              checksum_mode;     /* x-amz-checksum-mode: ENABLED */
    bool              has_credentials;   /* Authorization header or presigned
                                            query: not anonymous */
    bool              has_overrides;
    unsigned          part_number;       /* 0: not given; 1..10000 */
    s3c_slice_t       version_id;        /* decoded; empty: not given */
    s3c_slice_t       overrides[S3C_S3_OVERRIDES];  /* decoded; data NULL:
                                            not given */
    bool              is_list;           /* of objects, passed as LIST: but it
                                            may be kept, see s3_list.h */
    s3c_slice_t       page;              /* of it: its canonical query */
    s3c_slice_t       prefix;            /* decoded */
    uint8_t           buf[4096];         /* what the slices point into */
} s3c_s3_operation_t;

/* query: raw, without '?', may be empty. headers: all of the request's.
 * INVALID sets *err (and *message when the table's text is not AWS's): a
 * CR/LF/NUL/control byte in an override, overrides without credentials
 * ("Request specific response headers cannot be used for anonymous GET
 * requests."), bad partNumber, partNumber with Range, bad escapes, an empty
 * versionId. A repeated parameter is INVALID when it is one we interpret. */
s3c_status_t s3c_s3_operation_parse(s3c_s3_operation_t *op,
    s3c_slice_t method, s3c_slice_t query, const s3c_s3_address_t *addr,
    const s3c_http_header_t *headers, unsigned n_headers, s3c_s3_error_t *err,
    const char **message) S3C_MUST_CHECK;

/* Response header that override i replaces, e.g. "Content-Type". */
s3c_slice_t s3c_s3_override_header(s3c_s3_override_t i);
const char *s3c_s3_pass_name(s3c_s3_pass_t pass);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request needs to be allowed: from its method, address, query and
 * headers. What is not known needs the most.
 */
#ifndef S3C_AUTH_ACCESS_H
#define S3C_AUTH_ACCESS_H

#include "base/slice.h"
#include "base/status.h"
#include "s3/s3_address.h"
#include "s3/s3_operation.h"

typedef enum {
    S3C_ACTION_READ,         /* an object: its body, head, tags, old versions */
    S3C_ACTION_LIST,         /* names of objects, uploads, versions, buckets */
    S3C_ACTION_WRITE,        /* put, delete, copy to, upload, tag */
    S3C_ACTION_ADMIN,        /* all the rest: ACLs, policies, buckets... */
    S3C_ACTIONS
} s3c_action_t;

typedef enum {
    S3C_SCOPE_KEY,           /* this key */
    S3C_SCOPE_PREFIX,        /* all keys that begin with it, also with none */
    S3C_SCOPE_BUCKET,        /* the bucket; without one, the service. LIST: it
                                is there; ADMIN: it and what holds for its
                                keys */
    S3C_SCOPE_UNKNOWN        /* a key, nobody knows of which bucket */
} s3c_scope_t;

typedef struct {
    s3c_action_t  action;
    s3c_scope_t   scope;
    s3c_slice_t   bucket;
    s3c_slice_t   key;
} s3c_access_t;

#define S3C_NEEDS_MAX  8

/* All of them; none: CORS preflights, which nobody can sign. */
typedef struct {
    unsigned          n;
    s3c_access_t      all[S3C_NEEDS_MAX];
    bool              keys_in_body;  /* DeleteObjects: all[0] is for any keys;
                                        instead WRITE with SCOPE_KEY for each
                                        in the body will do, before any of it
                                        goes to the origin */
    s3c_s3_address_t  source;        /* what the slices point into, ... */
    s3c_s3_address_t  source_form;
    uint8_t           prefix[S3C_S3_KEY_BYTES_MAX];
} s3c_needs_t;

/* query: raw; headers: all of them. *addr must outlive *needs. A form that is
 * posted holds its key, its ACL and more in its body: it needs WRITE and ADMIN
 * for all keys. INVALID: the source of a copy cannot be read, or is given
 * twice: no origin must see it. */
s3c_status_t s3c_access_plan(s3c_needs_t *needs, s3c_slice_t method,
    const s3c_s3_address_t *addr, s3c_slice_t query,
    const s3c_http_header_t *headers, unsigned n_headers) S3C_MUST_CHECK;

/* "read", "list", "write", "admin" */
s3c_slice_t s3c_action_name(s3c_action_t action);

#endif

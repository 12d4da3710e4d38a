/* SPDX-License-Identifier: Apache-2.0
 *
 * A request that a test can change, sign and have verified.
 */
#ifndef SIGV4_REQUEST_H
#define SIGV4_REQUEST_H

#include "auth/sigv4_verify.h"

#include "sigv4_signed.h"

#define REQUEST_HEADERS_MAX  24

typedef struct {
    char               method[16];
    char               path[2048];
    char               query[4096];
    char               vhost_bucket[64];
    unsigned           n;
    struct {
        char           name[64];
        char           value[1024];
    } headers[REQUEST_HEADERS_MAX];
    bool               may_stream;
    int64_t            now_sec;
    s3c_sigv4_rules_t  rules;
    const char        *secret;         /* of SIGNED_ACCESS_KEY, no other */
    s3c_sigv4_keys_t  *keys;
    s3c_sigv4_claim_t  claim;          /* after request_verify() */
    char               host[64];       /* ... of which it was good */
} request_t;

/* All that is allowed by rules is. */
void request_from(request_t *r, const signed_request_t *from);
/* By its name in signed_requests[]. */
void request_named(request_t *r, const char *name);

void request_add(request_t *r, const char *name, const char *value);
void request_drop(request_t *r, const char *name);
/* NULL: there is none. */
char *request_value(request_t *r, const char *name);
void request_set(request_t *r, const char *name, const char *value);
/* Once, in the query, which must hold it. */
void request_edit_query(request_t *r, const char *from, const char *to);

/* Each header that it has, by SIGNED_SECRET and the x-amz-date that it has. */
void request_sign(request_t *r);
/* From exact copies, so that no byte behind them can be read; the slices of
 * the claim that point into them are dead then. S3C_ERR_NONE: it is good. */
s3c_s3_error_t request_verify(request_t *r);
/* Fails the test when the answer is another one; message NULL: any. */
void request_check(request_t *r, const char *what, s3c_s3_error_t err,
    const char *message);

#endif

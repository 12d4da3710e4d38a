/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP request and its answer, by libcurl; signed by the signer that the
 * gateway itself uses towards stores. The only file that sees libcurl is
 * ctl_http.c.
 *
 * LIMITS: an answer that is kept is cut off by an error at ask->max bytes.
 * Redirects are not followed: a signature is for one host.
 */
#ifndef S3C_CTL_CTL_HTTP_H
#define S3C_CTL_CTL_HTTP_H

#include <signal.h>

#include "ctl/ctl.h"

#define CTL_QUERY_MAX      8192u
#define CTL_ETAG_MAX       255u
#define CTL_WORD_MAX       31u
#define CTL_ERROR_BODY_MAX (64u << 10)

typedef struct {
    const char            *method;
    const ctl_endpoint_t  *at;
    const ctl_keys_t      *keys;
    s3c_slice_t            path;         /* bytes as they are: '/' first */
    s3c_slice_t            query;        /* coded; may be empty */
    FILE                  *body;         /* of a POST; NULL: it has none */
    uint64_t               body_bytes;
    const uint8_t         *body_sha;     /* its SHA-256 */
    size_t                 max;
    /* Of a 200: takes its body in parts instead of keeping it; false ends
     * it. It may last as long as bytes come. */
    bool                 (*take)(void *data, s3c_slice_t part);
    void                  *data;
} ctl_ask_t;

/* Foreign, all of it. */
typedef struct {
    long      status;
    uint8_t  *body;                      /* kept; NUL behind it */
    size_t    len;
    int64_t   length;                    /* that it announced, or -1 */
    char      etag[CTL_ETAG_MAX + 1];
    char      x_cache[CTL_WORD_MAX + 1];
    char      type[CTL_WORD_MAX + 1];    /* "application/json", without more */
    bool      has_request_id;            /* x-amz-request-id */
} ctl_answer_t;

ctl_http_t *ctl_http_create(const ctl_conf_t *conf);
void ctl_http_destroy(ctl_http_t *http);
/* While *stop is not zero, requests end at once. */
void ctl_http_stop(ctl_http_t *http, volatile sig_atomic_t *stop);

/* OK: there is an answer, of any status; its caller ends it. */
ctl_exit_t ctl_http_ask(ctl_t *ctl, const ctl_ask_t *ask,
    ctl_answer_t *answer);
void ctl_answer_fini(ctl_answer_t *answer);

#endif

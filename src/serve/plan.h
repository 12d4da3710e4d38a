/* SPDX-License-Identifier: Apache-2.0
 *
 * The request's brain, pure: what to do with a record that was found, and
 * what the answer made of it looks like. Event in, action out; no I/O.
 */
#ifndef S3C_SERVE_PLAN_H
#define S3C_SERVE_PLAN_H

#include "http/http_precond.h"
#include "http/http_range.h"
#include "s3/s3_error.h"
#include "serve/record.h"

/* --- freshness -------------------------------------------------------- */

typedef enum {
    S3C_FRESHNESS_TTL = 0,     /* fresh until it expires */
    S3C_FRESHNESS_STRICT,      /* validated on every read */
    S3C_FRESHNESS_IMMUTABLE    /* never looked at again */
} s3c_freshness_t;

typedef struct {
    s3c_freshness_t  mode;
    uint64_t         while_revalidate_ms;   /* stale may be served while a
                                               revalidation runs */
    uint64_t         if_error_ms;           /* stale may be served when the
                                               origin fails */
    bool             client_revalidates;    /* honour the client's no-cache */
} s3c_fresh_rules_t;

typedef enum {
    S3C_USE_FRESH,             /* serve it */
    S3C_USE_AND_REVALIDATE,    /* serve it, revalidate in the background */
    S3C_REVALIDATE_FIRST,      /* ask the origin before serving it */
    S3C_REFETCH                /* as if it were not there */
} s3c_use_t;

/* no_cache: the client said so. needs_full: it asked for checksums, which
 * this record may not know. */
s3c_use_t s3c_plan_use(const s3c_fresh_rules_t *rules,
    const s3c_record_view_t *view, uint64_t now_ms, bool no_cache,
    bool needs_full);
/* The revalidation failed: may the stale record be served? */
bool s3c_plan_stale_on_error(const s3c_fresh_rules_t *rules,
    const s3c_record_view_t *view, uint64_t now_ms);
/* Seconds since the origin last vouched for it. */
uint64_t s3c_plan_age(const s3c_record_view_t *view, uint64_t now_ms);

/* --- the answer ------------------------------------------------------- */

typedef struct {
    s3c_range_spec_t  range;
    s3c_precond_t     cond;
    bool              checksum_mode;
} s3c_ask_t;

typedef struct {
    unsigned         status;
    s3c_s3_error_t   error;          /* NONE, or an error document of ours */
    const char      *condition;      /* of PreconditionFailed */
    uint64_t         first, last;    /* body bytes; first > last: no body */
    bool             checksums;      /* show x-amz-checksum-* */
    bool             stored_body;    /* the record's own body is sent */
} s3c_reply_t;

void s3c_plan_reply(const s3c_ask_t *ask, const s3c_record_view_t *view,
    s3c_reply_t *reply);

#endif

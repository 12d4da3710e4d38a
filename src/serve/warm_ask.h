/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator asks of warm-ups, by the arguments of a request: foreign
 * bytes, of which nothing is guessed.
 *
 *   warmup=                              which jobs there are
 *   warmup=<id>                          one of them
 *   warmup=prefix&bucket=B[&prefix=P]    a job
 *   warmup=list                          the same of the body
 *   warmup=stop&id=<id>
 *
 * A job: mode=warm|check|evict, concurrency=, rate=, origin=. All: zone=.
 */
#ifndef S3C_SERVE_WARM_ASK_H
#define S3C_SERVE_WARM_ASK_H

#include "serve/warm_job.h"

typedef enum {
    S3C_WARM_ASK_ALL = 0,
    S3C_WARM_ASK_ONE,
    S3C_WARM_ASK_PREFIX,
    S3C_WARM_ASK_LIST,
    S3C_WARM_ASK_STOP
} s3c_warm_ask_kind_t;

#define S3C_WARM_ASK_ARGS  9u

typedef struct {
    s3c_warm_ask_kind_t  kind;
    s3c_slice_t          id;
    s3c_slice_t          zone;             /* empty: not given */
    s3c_slice_t          origin;
    s3c_slice_t          bucket;
    s3c_slice_t          prefix;
    s3c_warm_mode_t      mode;
    uint64_t             concurrency;      /* of a job at least 1 */
    uint64_t             rate;
    uint8_t              buf[S3C_WARM_ASK_ARGS * S3C_WARM_KEY_MAX];
} s3c_warm_ask_t;

/* Slices lie in *ask. INVALID: *why says it, in words that need no escapes. */
s3c_status_t s3c_warm_ask_parse(s3c_warm_ask_t *ask, s3c_slice_t query,
    const char **why) S3C_MUST_CHECK;

#endif

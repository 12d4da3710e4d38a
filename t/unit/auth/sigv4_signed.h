/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that others signed, as they go over the wire.
 */
#ifndef SIGV4_SIGNED_H
#define SIGV4_SIGNED_H

#include <stdbool.h>
#include <stddef.h>

#define SIGNED_HEADERS_MAX  16
#define SIGNED_ACCESS_KEY   "AKIAIOSFODNN7EXAMPLE"
#define SIGNED_SECRET       "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SIGNED_NOW          1768471872     /* 2026-01-15 10:11:12 */
#define SIGNED_LIVES_SEC    600            /* those that are presigned */
#define SIGNED_OTHER_HOST   "s3.allowed.example"

typedef struct {
    const char  *name;
    const char  *method;
    const char  *path;
    const char  *query;                    /* may be NULL */
    const char  *vhost_bucket;             /* may be NULL */
    bool         is_v2;
    struct {
        const char  *name;
        const char  *value;
    } headers[SIGNED_HEADERS_MAX];         /* ends with a NULL */
} signed_request_t;

extern const signed_request_t  signed_requests[];
extern const size_t            n_signed_requests;

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Names on a command line: an object or a prefix as s3://bucket/key, and where
 * a node or a store listens. Pure.
 */
#ifndef S3C_CTL_CTL_TARGET_H
#define S3C_CTL_CTL_TARGET_H

#include "base/slice.h"
#include "base/status.h"

#define CTL_BUCKET_MAX    255u
#define CTL_KEY_MAX       1024u
#define CTL_HOST_MAX      255u
#define CTL_SOCKET_MAX    107u           /* of sockaddr_un, without its NUL */

typedef struct {
    s3c_slice_t  bucket;
    s3c_slice_t  key;                    /* bytes as they are; may be empty */
} ctl_target_t;

typedef struct {
    bool         tls;
    char         host[CTL_HOST_MAX + 1]; /* with its port unless it is that of
                                            the scheme: what Host says */
    char         socket[CTL_SOCKET_MAX + 1];     /* path; "": TCP */
} ctl_endpoint_t;

/* "s3://bucket[/[key]]". INVALID: *why says it. Slices point into text. */
s3c_status_t ctl_target_parse(ctl_target_t *target, s3c_slice_t text,
    const char **why) S3C_MUST_CHECK;

/* "http[s]://host[:port][/]" or "unix:/path". INVALID: *why says it. */
s3c_status_t ctl_endpoint_parse(ctl_endpoint_t *at, s3c_slice_t text,
    const char **why) S3C_MUST_CHECK;

/* For people: its socket, or its host. */
const char *ctl_endpoint_name(const ctl_endpoint_t *at);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The one status type of the core. A function that can fail answers it and is
 * S3C_MUST_CHECK. Expected outcomes (MISS, AGAIN, BUSY...) are values here, a
 * programmer's error is an assert, wrong foreign bytes are INVALID or CORRUPT.
 */
#ifndef S3C_BASE_STATUS_H
#define S3C_BASE_STATUS_H

#define S3C_MUST_CHECK  __attribute__((warn_unused_result))

typedef enum {
    S3C_OK = 0,
    S3C_MISS,          /* not there */
    S3C_AGAIN,         /* under way: more bytes or more time are needed */
    S3C_EXISTS,        /* already there */
    S3C_BUSY,          /* a named maximum is reached: do without */
    S3C_FULL,          /* no memory can be freed for it */
    S3C_INVALID,       /* foreign bytes break their grammar */
    S3C_CORRUPT,       /* our own stored bytes fail their check */
    S3C_CHANGED,       /* another version than the one asked for */
    S3C_DENIED,        /* not allowed */
    S3C_UNSUPPORTED,   /* understood, not offered */
    S3C_IO,            /* the medium or the network failed */
    S3C_TIMEOUT
} s3c_status_t;

/* A constant lower-case word for logs and metrics; never NULL. */
const char *s3c_status_name(s3c_status_t st);

#endif

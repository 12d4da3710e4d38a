/* SPDX-License-Identifier: Apache-2.0
 *
 * What a write changes, so that it can be fenced and dropped before it goes to
 * the origin; and what of a write must be understood here: how its body is
 * signed, and whether the source of a copy is well-formed.
 */
#ifndef S3C_S3_WRITE_H
#define S3C_S3_WRITE_H

#include "base/slice.h"
#include "base/status.h"
#include "s3/s3_address.h"

typedef enum {
    S3C_TOUCHES_NOTHING,     /* that a read of an object could see */
    S3C_TOUCHES_KEY,         /* the key, with all its versions */
    S3C_TOUCHES_KEYS,        /* those that the body names (DeleteObjects) */
    S3C_TOUCHES_BUCKET       /* the bucket, or nobody knows what in it */
} s3c_touches_t;

/* Whatever is not known touches its key, or without a key its bucket. query:
 * raw. wide: see below. */
s3c_touches_t s3c_s3_write_touches(s3c_slice_t method,
    const s3c_s3_address_t *addr, s3c_slice_t query, bool wide);
/* Does a header, or a parameter, of this name make a write one of other keys in
 * its bucket, too? x-amz-rename-source (S3 Express), and MinIO's
 * x-amz-meta-snowball-auto-extract: the keys are in the archive. */
bool s3c_s3_write_is_wide(s3c_slice_t name);

/* Whose bytes, or which upload, a write is about. */
typedef enum {
    S3C_BODY_OTHER,
    S3C_BODY_OBJECT,         /* PutObject: the body is the object */
    S3C_BODY_PART,           /* UploadPart: ... a part of it */
    S3C_BODY_COMPLETE,       /* CompleteMultipartUpload: ... names its parts */
    S3C_BODY_ABORT           /* AbortMultipartUpload */
} s3c_body_t;

#define S3C_S3_UPLOAD_ID_MAX  1024

/* query: raw. *part and *upload, decoded into buf, are of those that have one.
 * What is not plainly one of them is OTHER. Copies are not looked for. */
s3c_body_t s3c_s3_write_body(s3c_slice_t method, const s3c_s3_address_t *addr,
    s3c_slice_t query, uint8_t buf[S3C_S3_UPLOAD_ID_MAX], s3c_slice_t *upload,
    unsigned *part);

/* x-amz-copy-source: "/"? bucket "/" key ("?versionId=" id)?, percent-coded.
 * An older RGW does not survive every other. */
bool s3c_s3_copy_source_is_valid(s3c_slice_t value);
/* The same, and what it names; an empty bucket: the ARN of an access point. */
bool s3c_s3_copy_source_parse(s3c_slice_t value, s3c_s3_address_t *addr);

typedef enum {
    S3C_PAYLOAD_UNSIGNED,        /* or nothing is said of it */
    S3C_PAYLOAD_HASH,            /* the SHA-256 of the whole, in hex */
    S3C_PAYLOAD_SIGNED_CHUNKS,   /* aws-chunked, ... */
    S3C_PAYLOAD_SIGNED_TRAILER,
    S3C_PAYLOAD_UNSIGNED_TRAILER,
    S3C_PAYLOAD_UNSUPPORTED,     /* SigV4A */
    S3C_PAYLOAD_INVALID
} s3c_payload_t;

/* The value of x-amz-content-sha256; empty: there is none. */
s3c_payload_t s3c_s3_payload(s3c_slice_t value);

static inline bool
s3c_s3_payload_is_chunked(s3c_payload_t payload)
{
    return payload == S3C_PAYLOAD_SIGNED_CHUNKS
           || payload == S3C_PAYLOAD_SIGNED_TRAILER
           || payload == S3C_PAYLOAD_UNSIGNED_TRAILER;
}

#endif

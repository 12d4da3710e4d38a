/* SPDX-License-Identifier: Apache-2.0
 *
 * S3 error answers: one table of code, HTTP status and message (AWS "List of
 * error codes"), and the XML body.
 */
#ifndef S3C_S3_ERROR_H
#define S3C_S3_ERROR_H

#include "base/slice.h"
#include "base/writer.h"

typedef enum {
    S3C_ERR_NONE = 0,
    S3C_ERR_ACCESS_DENIED,             /* 403 */
    S3C_ERR_AUTH_HEADER_MALFORMED,     /* 400 AuthorizationHeaderMalformed */
    S3C_ERR_AUTH_QUERY_PARAMETERS,     /* 400 ...QueryParametersError */
    S3C_ERR_BAD_DIGEST,                /* 400: a checksum of other bytes */
    S3C_ERR_BAD_GATEWAY,               /* 502 "BadGateway": origin broken */
    S3C_ERR_EXPIRED_TOKEN,             /* 400 */
    S3C_ERR_INCOMPLETE_BODY,           /* 400 */
    S3C_ERR_INTERNAL_ERROR,            /* 500 */
    S3C_ERR_INVALID_ACCESS_KEY_ID,     /* 403 */
    S3C_ERR_INVALID_ARGUMENT,          /* 400 */
    S3C_ERR_INVALID_BUCKET_NAME,       /* 400 */
    S3C_ERR_INVALID_PART_NUMBER,       /* 416 InvalidPartNumber */
    S3C_ERR_INVALID_RANGE,             /* 416 */
    S3C_ERR_INVALID_REQUEST,           /* 400 */
    S3C_ERR_INVALID_TOKEN,             /* 400 */
    S3C_ERR_INVALID_URI,               /* 400 */
    S3C_ERR_KEY_TOO_LONG,              /* 400 KeyTooLongError */
    S3C_ERR_METHOD_NOT_ALLOWED,        /* 405 */
    S3C_ERR_MISSING_CONTENT_LENGTH,    /* 411 */
    S3C_ERR_NO_SUCH_BUCKET,            /* 404 */
    S3C_ERR_NO_SUCH_KEY,               /* 404 */
    S3C_ERR_NOT_IMPLEMENTED,           /* 501 */
    S3C_ERR_PRECONDITION_FAILED,       /* 412 */
    S3C_ERR_REQUEST_TIME_TOO_SKEWED,   /* 403 */
    S3C_ERR_SERVICE_UNAVAILABLE,       /* 503 */
    S3C_ERR_SIGNATURE_DOES_NOT_MATCH,  /* 403 */
    S3C_ERR_SLOW_DOWN,                 /* 503 */
    S3C_ERR_UNAUTHORIZED,              /* 401 "Unauthorized": of events */
    S3C_ERR_GATEWAY_TIMEOUT,           /* 504 "GatewayTimeout" */
    S3C_ERR_CONTENT_SHA256_MISMATCH,   /* 400 XAmzContentSHA256Mismatch */
    S3C_ERR_N
} s3c_s3_error_t;

/* Optional extra elements: <name>value</name>, value is XML-escaped. */
typedef struct {
    const char   *name;
    s3c_slice_t   value;
} s3c_s3_error_extra_t;

unsigned s3c_s3_error_status(s3c_s3_error_t err);
const char *s3c_s3_error_code(s3c_s3_error_t err);
const char *s3c_s3_error_message(s3c_s3_error_t err);
/* The whole XML document. message NULL takes the table's. Bytes that XML 1.0
 * cannot hold are written as U+FFFD; & < > " ' are escaped. */
void s3c_s3_error_print(s3c_writer_t *w, s3c_s3_error_t err,
    const char *message, const s3c_s3_error_extra_t *extra, unsigned n_extra,
    s3c_slice_t resource, s3c_slice_t request_id, s3c_slice_t host_id);

/* Is this error document (of an origin) about the signature or the keys of
 * whoever asked? What a gateway signed is not its client's business: such a
 * document may hold the canonical request and a session token. */
bool s3c_s3_error_is_about_keys(s3c_slice_t document);

#endif

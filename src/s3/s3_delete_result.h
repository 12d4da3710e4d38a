/* SPDX-License-Identifier: Apache-2.0
 *
 * What the answer to a DeleteObjects says, read as it streams by: was any of
 * the keys deleted? It is answered 200 also if none was (AWS "DeleteObjects",
 * DeleteResult). What is not understood counts as a key that was deleted.
 */
#ifndef S3C_S3_DELETE_RESULT_H
#define S3C_S3_DELETE_RESULT_H

#include "base/slice.h"

#define S3C_S3_DELETE_RESULT_TAG_MAX  24

/* Zeros: nothing has been read. */
typedef struct {
    uint64_t  denied;        /* keys, with the code AccessDenied */
    bool      others;        /* keys of which something else is said */
    unsigned  len;
    uint8_t   tag[S3C_S3_DELETE_RESULT_TAG_MAX];  /* and the text behind it */
} s3c_s3_delete_result_t;

void s3c_s3_delete_result_take(s3c_s3_delete_result_t *r, s3c_slice_t in);

/* At its end: was each of the `n` keys of the request denied, and nothing else
 * said? Of a quiet one those that were deleted are not named. */
bool s3c_s3_delete_result_is_denied(const s3c_s3_delete_result_t *r,
    uint64_t n);

#endif

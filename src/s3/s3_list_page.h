/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages of ListObjectsV2: which keys there are. Foreign bytes, read strictly:
 * what is not plain is INVALID, never guessed. Pure.
 */
#ifndef S3C_S3_S3_LIST_PAGE_H
#define S3C_S3_S3_LIST_PAGE_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"

#define S3C_S3_PAGE_KEY_MAX  1024u
#define S3C_S3_PAGE_MAX      (8u << 20)

typedef struct {
    s3c_slice_t  rest;
    unsigned     depth;                  /* of what is open at `rest` */
    bool         coded;                  /* its keys are percent-coded */
    bool         truncated;              /* there is a page after it */
    uint8_t      key[S3C_S3_PAGE_KEY_MAX];
} s3c_s3_page_t;

/* document: a whole answer, that outlives *list. */
s3c_status_t s3c_s3_page_open(s3c_s3_page_t *list, s3c_slice_t document)
    S3C_MUST_CHECK;
/* The next key, which lies in *list until the next call. MISS: no more. */
s3c_status_t s3c_s3_page_next(s3c_s3_page_t *list, s3c_slice_t *key)
    S3C_MUST_CHECK;
/* The query for the page of what begins with `prefix` and comes after
 * `after`. */
void s3c_s3_page_query(s3c_writer_t *w, s3c_slice_t prefix, s3c_slice_t after);

#endif

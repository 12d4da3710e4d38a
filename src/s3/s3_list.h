/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of a bucket's objects (ListObjects, ListObjectsV2): which of them may
 * be kept, under what name, and which writes change them. Pure.
 *
 * A list shows nothing but keys that begin with its prefix. So it changes only
 * by a write of a key that lies in the directory of that prefix (what of it
 * ends with its last '/'), at any depth: the directory is one of the key's.
 */
#ifndef S3C_S3_LIST_H
#define S3C_S3_LIST_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"

/* How deep directories are told apart; what lies deeper counts as there. */
#define S3C_S3_LIST_LEVELS     8
#define S3C_S3_LIST_DIR_BYTES  1024
#define S3C_S3_LIST_DIRS       (S3C_S3_LIST_LEVELS + 1)

/* query: raw, of a GET of a bucket. *page: its parameters in one order and one
 * spelling, as they are asked of the origin; *prefix: decoded. Both are written
 * by `w`. MISS: it asks for something else, or in a way that is the origin's to
 * judge (a parameter given twice, a bad escape, too long). */
s3c_status_t s3c_s3_list_parse(s3c_writer_t *w, s3c_slice_t query,
    s3c_slice_t *page, s3c_slice_t *prefix) S3C_MUST_CHECK;

/* The directories that a key lies in, from the root ("") down; how many. The
 * last one, of a prefix, is that which its list looks into. */
unsigned s3c_s3_list_dirs(s3c_slice_t key,
    s3c_slice_t dirs[S3C_S3_LIST_DIRS]);

/* Is it the document of a list, from its first tag to its last? */
bool s3c_s3_list_is_whole(s3c_slice_t document);

#endif

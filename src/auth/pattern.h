/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of buckets and keys: '*' is any run of bytes, also none and also
 * with '/' in it, '?' is one character of UTF-8, the rest is itself. Steps are
 * at most the length of the pattern times that of the text.
 */
#ifndef S3C_AUTH_PATTERN_H
#define S3C_AUTH_PATTERN_H

#include "base/slice.h"

bool s3c_pattern_matches(s3c_slice_t pattern, s3c_slice_t text);
/* Does it match everything that begins with prefix? */
bool s3c_pattern_covers(s3c_slice_t pattern, s3c_slice_t prefix);
/* ... anything that does? */
bool s3c_pattern_touches(s3c_slice_t pattern, s3c_slice_t prefix);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Values in what a node says, by the path on which they stand: "memory.fills".
 * What is not there, or is of another kind, is nothing, zero or empty: nodes
 * may be older or newer than this program, or lie. The only file that sees
 * jansson's parser and printer is ctl_json.c.
 */
#ifndef S3C_CTL_CTL_JSON_H
#define S3C_CTL_CTL_JSON_H

#include <jansson.h>
#include <stdio.h>

#include "base/slice.h"
#include "base/status.h"

/* INVALID: it is no JSON object of UTF-8, or says a thing twice. *json is the
 * caller's (json_decref). */
s3c_status_t ctl_json_parse(json_t **json, s3c_slice_t text) S3C_MUST_CHECK;

const json_t *ctl_json_at(const json_t *json, const char *path);
uint64_t ctl_json_u64(const json_t *json, const char *path);
/* of a number; else `none` */
double ctl_json_real(const json_t *json, const char *path, double none);
bool ctl_json_is(const json_t *json, const char *path);  /* true */
s3c_slice_t ctl_json_text(const json_t *json, const char *path);
bool ctl_json_says(const json_t *json, const char *path, const char *word);

/* One line, of ASCII without control characters. */
void ctl_json_print(FILE *out, const json_t *json);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What may be shown: foreign text with all that a terminal would act upon
 * escaped, and numbers with units.
 */
#ifndef S3C_CTL_CTL_TEXT_H
#define S3C_CTL_CTL_TEXT_H

#include <stdio.h>

#include "base/slice.h"

#define CTL_TEXT_CHAR_MAX  16

/* Whether characters beyond ASCII may be shown as they are; not, at first. */
void ctl_text_utf8(bool may);

/* The next character of *text, which is not empty, in the form in which it may
 * be shown: so many bytes of out. Controls, what changes the direction of text
 * or has no width, and what is no UTF-8 become "\xNN" by byte; a backslash is
 * doubled. */
size_t ctl_text_next(s3c_slice_t *text, char out[CTL_TEXT_CHAR_MAX]);
/* All of it. */
void ctl_text_put(FILE *out, s3c_slice_t text);
/* Of what ctl_text_next() has made: columns of a terminal. */
unsigned ctl_text_width(const char *shown);
/* The bytes of it that fit into so many columns. */
size_t ctl_text_fit(const char *shown, unsigned columns);

/* Numbers. What they answer is good for the next 15 calls of any of them. */
const char *ctl_count(uint64_t n);             /* "1,234,567" */
const char *ctl_bytes(uint64_t n);             /* "1.50 GiB" */
const char *ctl_rate(double per_s);            /* "12.3k" */
const char *ctl_byte_rate(double per_s);       /* "1.50 MiB/s" */
const char *ctl_share(double part, double of); /* "98.2 %", or "-" */
const char *ctl_seconds(double s);             /* "1.25 ms"; negative: "-" */
const char *ctl_span(uint64_t s);              /* "2h 05m" */

/* "1.5GiB", "500k", "7": powers of 1024. False: it is no such number. */
bool ctl_size_parse(const char *text, uint64_t *n);
/* "10", "1.5", "500ms", "2m", "1h": seconds. */
bool ctl_time_parse(const char *text, double *s);
bool ctl_number_parse(const char *text, uint64_t *n);

#endif

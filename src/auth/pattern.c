/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns, without recursion: of all stars only the last one that was met is
 * ever tried with a longer run. If an earlier one could do with more, the last
 * one can do with less, so nothing is missed.
 */
#include "auth/pattern.h"


/* Behind the character at s[k]; a stray byte is one. */
static size_t
pattern_step(s3c_slice_t s, size_t k)
{
    for (k++; k < s.len && (s.data[k] & 0xc0) == 0x80; k++) { /* void */ }

    return k;
}


bool
s3c_pattern_matches(s3c_slice_t pattern, s3c_slice_t text)
{
    bool    star = false;
    size_t  i = 0, k = 0, after = 0, from = 0;

    while (k < text.len) {

        if (i < pattern.len && pattern.data[i] == '*') {
            after = ++i;
            from = k;
            star = true;

            if (i == pattern.len) {
                return true;
            }

        } else if (i < pattern.len && pattern.data[i] == '?') {
            k = pattern_step(text, k);
            i++;

        } else if (i < pattern.len && pattern.data[i] == text.data[k]) {
            k++;
            i++;

        } else if (star) {
            k = ++from;
            i = after;

        } else {
            return false;
        }
    }

    while (i < pattern.len && pattern.data[i] == '*') {
        i++;
    }

    return i == pattern.len;
}


bool
s3c_pattern_covers(s3c_slice_t pattern, s3c_slice_t prefix)
{
    return pattern.len > 0 && pattern.data[pattern.len - 1] == '*'
           && s3c_pattern_matches(pattern, prefix);
}


/* Up to the first star; from there on anything can follow. */
bool
s3c_pattern_touches(s3c_slice_t pattern, s3c_slice_t prefix)
{
    size_t  i = 0, k = 0;

    for ( /* void */ ; k < prefix.len; i++) {

        if (i == pattern.len) {
            return false;
        }

        if (pattern.data[i] == '*') {
            return true;
        }

        if (pattern.data[i] == '?') {
            k = pattern_step(prefix, k);

        } else if (pattern.data[i] == prefix.data[k]) {
            k++;

        } else {
            return false;
        }
    }

    return true;
}

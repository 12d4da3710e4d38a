/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict reader of JSON (RFC 8259), for tests: a text becomes a flat list of
 * paths and values.
 */
#ifndef T_UNIT_STATS_JSON_READER_H
#define T_UNIT_STATS_JSON_READER_H

#include "stats/stats_rows.h"

#define JSON_LEAVES_MAX  4096

typedef struct {
    char         path[128];
    s3c_slice_t  value;        /* as it stands, strings with their quotes */
} json_leaf_t;

typedef struct {
    const uint8_t  *pos;
    const uint8_t  *end;
    json_leaf_t     leaf[JSON_LEAVES_MAX];
    size_t          n;
    int             depth;
} json_reader_t;


/* The whole text is one value, and a line feed behind it. */
bool json_read(json_reader_t *r, s3c_slice_t text);

#endif /* T_UNIT_STATS_JSON_READER_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * How a set of identities lies in memory: for identity_parse.c, which fills
 * it, and identity_set.c.
 */
#ifndef S3C_AUTH_IDENTITY_SET_H
#define S3C_AUTH_IDENTITY_SET_H

#include "auth/identity.h"

/* Of slices that are the first member of what is to be found. There are at
 * least twice as many slots as slices. */
typedef struct {
    size_t               n_slots;        /* a power of two */
    const s3c_slice_t  **slots;
} s3c_identity_table_t;

struct s3c_identities_s {
    size_t                 n_bytes;      /* of all of it */
    size_t                 max_identities;
    size_t                 max_keys;
    size_t                 max_statements;
    size_t                 max_resources;
    size_t                 n_identities;
    size_t                 n_keys;
    size_t                 n_statements;
    size_t                 n_resources;
    const s3c_identity_t  *anonymous;
    s3c_identity_table_t   by_name;
    s3c_identity_table_t   by_access_key;
    s3c_identity_t        *identities;
    s3c_identity_key_t    *keys;
    s3c_statement_t       *statements;
    s3c_resource_t        *resources;
    uint8_t               *text;         /* what all slices point into */
};

/* With room for what a document of so many objects and strings can hold, up to
 * the limits of identity.h. NULL: no memory. */
s3c_identities_t *s3c_identities_create(size_t n_objects, size_t n_strings,
    size_t n_text);
const s3c_slice_t *s3c_identity_table_find(const s3c_identity_table_t *table,
    s3c_slice_t what);
/* EXISTS: there is an equal one. */
s3c_status_t s3c_identity_table_put(s3c_identity_table_t *table,
    const s3c_slice_t *what) S3C_MUST_CHECK;

#endif

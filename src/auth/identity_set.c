/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory of a set of identities, and what is asked of it.
 */
#include "auth/identity_set.h"

#include <assert.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/hash.h"

static_assert(offsetof(s3c_identity_t, name) == 0
              && offsetof(s3c_identity_key_t, access_key) == 0,
              "what is found by a slice begins with it");


static size_t
identity_min(size_t a, size_t b)
{
    return a < b ? a : b;
}


static size_t
identity_slots(size_t n)
{
    size_t  slots = 2;

    while (slots < 2 * n) {
        slots *= 2;
    }

    return slots;
}


s3c_identities_t *
s3c_identities_create(size_t n_objects, size_t n_strings, size_t n_text)
{
    size_t             n_identities, n_keys, n_statements, n_resources;
    size_t             n_names, n_access_keys, n_bytes;
    uint8_t           *p;
    s3c_identities_t  *set;

    n_identities = identity_min(n_objects, S3C_IDENTITIES_MAX);
    n_keys = identity_min(n_objects, S3C_IDENTITY_KEYS_MAX);
    n_statements = identity_min(n_objects, S3C_IDENTITY_STATEMENTS_MAX);
    n_resources = identity_min(n_strings, S3C_IDENTITY_RESOURCES_MAX);
    n_names = identity_slots(n_identities);
    n_access_keys = identity_slots(n_keys);

    n_bytes = sizeof(*set) + n_identities * sizeof(*set->identities)
              + n_keys * sizeof(*set->keys)
              + n_statements * sizeof(*set->statements)
              + n_resources * sizeof(*set->resources)
              + (n_names + n_access_keys) * sizeof(s3c_slice_t *) + n_text;

    set = calloc(1, n_bytes);

    if (set == NULL) {
        return NULL;
    }

    set->n_bytes = n_bytes;
    set->max_identities = n_identities;
    set->max_keys = n_keys;
    set->max_statements = n_statements;
    set->max_resources = n_resources;
    set->by_name.n_slots = n_names;
    set->by_access_key.n_slots = n_access_keys;

    /* all of them have the alignment of a pointer, but the text */
    p = (uint8_t *) (set + 1);
    set->identities = (s3c_identity_t *) p;
    p += n_identities * sizeof(*set->identities);
    set->keys = (s3c_identity_key_t *) p;
    p += n_keys * sizeof(*set->keys);
    set->statements = (s3c_statement_t *) p;
    p += n_statements * sizeof(*set->statements);
    set->resources = (s3c_resource_t *) p;
    p += n_resources * sizeof(*set->resources);
    set->by_name.slots = (const s3c_slice_t **) p;
    p += n_names * sizeof(s3c_slice_t *);
    set->by_access_key.slots = (const s3c_slice_t **) p;
    p += n_access_keys * sizeof(s3c_slice_t *);
    set->text = p;

    return set;
}


void
s3c_identities_destroy(s3c_identities_t *set)
{
    if (set != NULL) {
        s3c_digest_wipe(set, set->n_bytes);
        free(set);
    }
}


/* That of an equal one, or the free one where it would be. */
static size_t
identity_slot(const s3c_identity_table_t *table, s3c_slice_t what)
{
    size_t  i = s3c_hash64(what.data, what.len) & (table->n_slots - 1);

    while (table->slots[i] != NULL && !s3c_slice_eq(*table->slots[i], what)) {
        i = (i + 1) & (table->n_slots - 1);
    }

    return i;
}


const s3c_slice_t *
s3c_identity_table_find(const s3c_identity_table_t *table, s3c_slice_t what)
{
    return table->slots[identity_slot(table, what)];
}


s3c_status_t
s3c_identity_table_put(s3c_identity_table_t *table, const s3c_slice_t *what)
{
    size_t  i = identity_slot(table, *what);

    if (table->slots[i] != NULL) {
        return S3C_EXISTS;
    }

    table->slots[i] = what;

    return S3C_OK;
}


const s3c_identity_key_t *
s3c_identities_find(const s3c_identities_t *set, s3c_slice_t access_key)
{
    if (access_key.len > S3C_IDENTITY_ACCESS_KEY_MAX) {
        return NULL;
    }

    return (const s3c_identity_key_t *)
           s3c_identity_table_find(&set->by_access_key, access_key);
}


const s3c_identity_t *
s3c_identities_anonymous(const s3c_identities_t *set)
{
    return set->anonymous;
}


unsigned
s3c_identities_count(const s3c_identities_t *set)
{
    return (unsigned) set->n_identities;
}


bool
s3c_identity_may(const s3c_identity_t *identity, const s3c_access_t *access)
{
    return identity != NULL && s3c_policy_may(&identity->policy, access);
}


bool
s3c_identity_may_all(const s3c_identity_t *identity, const s3c_needs_t *needs)
{
    for (unsigned i = 0; i < needs->n; i++) {
        if (!s3c_identity_may(identity, &needs->all[i])) {
            return false;
        }
    }

    return true;
}

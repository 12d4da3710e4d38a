/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents of identities: each error has its line, whoever is in a set is
 * found in it, and what is said of all keys under a prefix holds for each.
 */
#include <stdlib.h>

#include "auth/identity_set.h"
#include "auth/pattern.h"


static void
require(bool truth)
{
    if (!truth) {
        abort();
    }
}


/* Who may write all keys of a bucket may write each; who may list without a
 * prefix may list with any. */
static void
check_may(const s3c_identity_t *identity, s3c_slice_t bucket, s3c_slice_t key)
{
    for (s3c_action_t action = 0; action < S3C_ACTIONS; action++) {
        s3c_access_t  all = { action, S3C_SCOPE_PREFIX, bucket,
                              S3C_SLICE_NONE };
        s3c_access_t  some = { action, S3C_SCOPE_PREFIX, bucket, key };
        s3c_access_t  one = { action, S3C_SCOPE_KEY, bucket, key };

        if (s3c_identity_may(identity, &all)) {
            require(s3c_identity_may(identity, &some));
        }

        if (action != S3C_ACTION_LIST && s3c_identity_may(identity, &some)) {
            require(s3c_identity_may(identity, &one));
        }
    }
}


static void
check_patterns(s3c_slice_t pattern, s3c_slice_t key)
{
    for (size_t n = 0; n <= key.len; n++) {
        s3c_slice_t  prefix = s3c_slice(key.data, n);

        require(!s3c_pattern_covers(pattern, prefix)
                || s3c_pattern_matches(pattern, key));
        require(!s3c_pattern_matches(pattern, key)
                || s3c_pattern_touches(pattern, prefix));
    }
}


static void
check_set(const s3c_identities_t *set)
{
    const s3c_resource_t  *r = set->resources;

    require(set->n_identities > 0
            && s3c_identities_count(set) == set->n_identities);

    for (size_t i = 0; i < set->n_keys; i++) {
        const s3c_identity_key_t  *key = &set->keys[i];

        require(s3c_identities_find(set, key->access_key) == key);
        require(key->access_key.len > 0 && key->secret_key.len > 0
                && key->identity != s3c_identities_anonymous(set));
    }

    for (size_t i = 0; i < set->n_identities && i < 16; i++) {
        const s3c_identity_t  *identity = &set->identities[i];

        require(identity->name.len > 0);

        for (size_t k = 0; k + 1 < set->n_resources && k < 16; k++) {
            check_may(identity, r[k].bucket, r[k + 1].keys);
            check_may(identity, r[k + 1].bucket, r[k].keys);

            if (r[k].keys.len < 64 && r[k + 1].keys.len < 64) {
                check_patterns(r[k].keys, r[k + 1].keys);
            }
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    unsigned                 lines = 1;
    s3c_status_t             st;
    s3c_identities_t        *set;
    s3c_identities_error_t   error;

    st = s3c_identities_parse(s3c_slice(in, len), &set, &error);

    for (size_t i = 0; i < len; i++) {
        lines += in[i] == '\n';
    }

    if (st == S3C_OK) {
        require(set != NULL && error.line == 0 && error.message == NULL);
        check_set(set);
        s3c_identities_destroy(set);

    } else {
        require(st == S3C_INVALID && set == NULL && error.message != NULL
                && (error.line > 0 || len > S3C_IDENTITY_FILE_MAX)
                && error.line <= lines);
    }

    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements, one by one; what fits an allow and what fits a deny are not the
 * same where many keys are asked for at once.
 */
#include "auth/policy.h"

#include "auth/pattern.h"

/* Where MinIO, RustFS and Ceph RGW have an interface of their own, which takes
 * the gateway's signature like that of any request: who may read or write all
 * buckets would get or set the keys of all users there. */
static const s3c_slice_t  policy_apis[] = {
    S3C_SLICE("minio"), S3C_SLICE("rustfs"), S3C_SLICE("admin"),
};

/* What is asked for by one bucket and key or prefix, and what origins take it
 * for that begins with a slash. */
typedef struct {
    bool         api;
    unsigned     n;
    s3c_slice_t  all[3];         /* the first as it stands */
    bool         dots;           /* only the last is without "." and ".." */
    uint8_t      buf[S3C_S3_KEY_BYTES_MAX];
} policy_names_t;


/* "/a//b/../c/" -> "a/c/" */
static s3c_slice_t
policy_clean(s3c_slice_t key, policy_names_t *names)
{
    size_t  n = 0, end;

    for (size_t i = 0; i < key.len; i = end + 1) {
        s3c_slice_t  part;

        for (end = i; end < key.len && key.data[end] != '/'; end++) {
            /* void */
        }

        part = s3c_slice(key.data + i, end - i);

        if (part.len == 0) {
            continue;
        }

        if (s3c_slice_eq(part, S3C_SLICE("."))) {
            names->dots = true;
            continue;
        }

        if (s3c_slice_eq(part, S3C_SLICE(".."))) {
            names->dots = true;

            while (n > 0 && names->buf[--n] != '/') { /* void */ }

            continue;
        }

        if (n > 0) {
            names->buf[n++] = '/';
        }

        memcpy(names->buf + n, part.data, part.len);
        n += part.len;
    }

    if (n > 0 && key.data[key.len - 1] == '/') {
        names->buf[n++] = '/';
    }

    return s3c_slice(names->buf, n);
}


static bool
policy_is_api(s3c_slice_t bucket)
{
    for (size_t i = 0; i < sizeof(policy_apis) / sizeof(policy_apis[0]); i++) {
        if (s3c_slice_eq(bucket, policy_apis[i])) {
            return true;
        }
    }

    return false;
}


/* Some origins take "/k" for the key "k". MinIO also cleans such a key like a
 * path, and refuses dots in URLs only: not in the source of a copy, nor in
 * what DeleteObjects names. */
static void
policy_names(policy_names_t *names, s3c_slice_t bucket, s3c_slice_t key)
{
    names->api = policy_is_api(bucket);
    names->n = 1;
    names->all[0] = key;
    names->dots = false;

    if (key.len == 0 || key.data[0] != '/' || key.len > sizeof(names->buf)) {
        return;
    }

    names->all[2] = policy_clean(key, names);

    while (key.len > 0 && key.data[0] == '/') {
        key.data++;
        key.len--;
    }

    names->all[1] = key;
    names->n = 3;
}


static bool
policy_allow_fits(const s3c_statement_t *s, const s3c_resource_t *r,
    const s3c_access_t *a, const policy_names_t *names)
{
    /* a bucket of that name is meant by who names it */
    if (names->api && !(s->actions & 1u << S3C_ACTION_ADMIN)
        && !s3c_slice_eq(r->bucket, a->bucket))
    {
        return false;
    }

    if (r->bucket.len == 0) {
        return true;
    }

    if (a->scope == S3C_SCOPE_UNKNOWN
        || !s3c_pattern_matches(r->bucket, a->bucket))
    {
        return false;
    }

    switch (a->scope) {

    /* dots behind a slash: whatever it is taken for must fit */

    case S3C_SCOPE_KEY:
        return r->keys.len > 0 && s3c_pattern_matches(r->keys, a->key)
               && (!names->dots
                   || s3c_pattern_matches(r->keys, names->all[2]));

    case S3C_SCOPE_PREFIX:
        if (r->keys.len == 0) {
            return a->action == S3C_ACTION_LIST;
        }

        return s3c_pattern_covers(r->keys, a->key)
               && (!names->dots
                   || s3c_pattern_covers(r->keys, names->all[2]));

    case S3C_SCOPE_BUCKET:
        return r->keys.len == 0 || a->action == S3C_ACTION_LIST;

    case S3C_SCOPE_UNKNOWN:
        break;
    }

    return false;
}


static bool
policy_deny_fits_name(const s3c_resource_t *r, s3c_scope_t scope,
    const policy_names_t *names)
{
    for (unsigned i = 0; i < names->n; i++) {
        if (scope == S3C_SCOPE_KEY
            ? s3c_pattern_matches(r->keys, names->all[i])
            : s3c_pattern_touches(r->keys, names->all[i]))
        {
            return true;
        }
    }

    return false;
}


static bool
policy_deny_fits(const s3c_resource_t *r, const s3c_access_t *a,
    const policy_names_t *names)
{
    if (r->bucket.len == 0 || a->scope == S3C_SCOPE_UNKNOWN) {
        return true;
    }

    if (!s3c_pattern_matches(r->bucket, a->bucket)) {
        return false;
    }

    if (r->keys.len == 0) {
        return true;
    }

    switch (a->scope) {

    case S3C_SCOPE_KEY:
    case S3C_SCOPE_PREFIX:
        return policy_deny_fits_name(r, a->scope, names);

    case S3C_SCOPE_BUCKET:
        return a->action != S3C_ACTION_LIST;

    case S3C_SCOPE_UNKNOWN:
        break;
    }

    return true;
}


bool
s3c_policy_may(const s3c_policy_t *policy, const s3c_access_t *access)
{
    bool            allowed = false;
    policy_names_t  names;

    policy_names(&names, access->bucket, access->key);

    for (uint32_t i = 0; i < policy->n_statements; i++) {
        const s3c_statement_t  *s = &policy->statements[i];

        if (!(s->actions & 1u << access->action) || (allowed && !s->deny)) {
            continue;
        }

        for (uint32_t k = 0; k < s->n_resources; k++) {
            if (s->deny ? policy_deny_fits(&s->resources[k], access, &names)
                        : policy_allow_fits(s, &s->resources[k], access,
                                            &names))
            {
                if (s->deny) {
                    return false;
                }

                allowed = true;
                break;
            }
        }
    }

    return allowed;
}


bool
s3c_policy_may_some(const s3c_policy_t *policy, s3c_action_t action,
    s3c_slice_t bucket)
{
    for (uint32_t i = 0; i < policy->n_statements; i++) {
        const s3c_statement_t  *s = &policy->statements[i];

        for (uint32_t k = 0; k < s->n_resources && !s->deny
                             && (s->actions & 1u << action); k++)
        {
            const s3c_resource_t  *r = &s->resources[k];

            if (r->bucket.len == 0
                || (r->keys.len > 0 && s3c_pattern_matches(r->bucket, bucket)))
            {
                return true;
            }
        }
    }

    return false;
}

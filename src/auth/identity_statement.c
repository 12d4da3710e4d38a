/* SPDX-License-Identifier: Apache-2.0
 *
 * One statement of a policy: its effect, actions and resources.
 */
#include "auth/identity_parse.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


static s3c_status_t
identity_take_effect(s3c_identity_parse_t *p)
{
    if (p->token.kind == S3C_JSON_STRING) {
        p->statement->deny = s3c_slice_eq(p->token.text, S3C_SLICE("deny"));

        if (p->statement->deny
            || s3c_slice_eq(p->token.text, S3C_SLICE("allow")))
        {
            return S3C_OK;
        }
    }

    return s3c_identity_fail(p, "an effect is \"allow\" or \"deny\"");
}


static s3c_status_t
identity_take_action(s3c_identity_parse_t *p)
{
    if (p->token.kind == S3C_JSON_STRING) {

        if (s3c_slice_eq(p->token.text, S3C_SLICE("*"))) {
            p->statement->actions = (1u << S3C_ACTIONS) - 1;
            return S3C_OK;
        }

        for (s3c_action_t a = 0; a < S3C_ACTIONS; a++) {
            if (s3c_slice_eq(p->token.text, s3c_action_name(a))) {
                p->statement->actions |= (uint8_t) (1u << a);
                return S3C_OK;
            }
        }
    }

    return s3c_identity_fail(p, "an action is \"read\", \"list\", \"write\", "
                             "\"admin\" or \"*\"");
}


static s3c_status_t
identity_take_actions(s3c_identity_parse_t *p)
{
    return s3c_identity_take_array(p, identity_take_action,
                                   "a statement names no actions");
}


/* "*", "bucket", "bucket/keys" */
static s3c_status_t
identity_take_resource(s3c_identity_parse_t *p)
{
    s3c_slice_t      all;
    s3c_resource_t  *r = &p->resources[p->statement->n_resources];
    const uint8_t   *slash;

    if (p->set->n_resources == p->set->max_resources) {
        return s3c_identity_fail(p, "more than 65536 resources");
    }

    if (s3c_identity_take_string(p, &all) != S3C_OK) {
        return S3C_INVALID;
    }

    p->set->n_resources++;
    p->statement->n_resources++;

    if (s3c_slice_eq(all, S3C_SLICE("*"))) {
        return S3C_OK;
    }

    slash = memchr(all.data, '/', all.len);
    r->bucket = all;

    if (slash != NULL) {
        r->bucket.len = (size_t) (slash - all.data);
        r->keys = s3c_slice(slash + 1, all.len - r->bucket.len - 1);
    }

    for (size_t i = 0; i < r->bucket.len; i++) {
        uint8_t  c = r->bucket.data[i];

        if (!s3c_identity_is_alnum(c) && strchr(".-_*?", c) == NULL) {
            r->bucket.len = 0;
        }
    }

    if (r->bucket.len == 0 || r->bucket.len > S3C_S3_BUCKET_BYTES_MAX) {
        return s3c_identity_fail(p, "a resource is \"bucket\", "
                                 "\"bucket/keys\" or \"*\", without arn: or "
                                 "s3: before it");
    }

    if (slash != NULL
        && (r->keys.len == 0 || r->keys.len > S3C_S3_KEY_BYTES_MAX))
    {
        return s3c_identity_fail(p, "the keys of a resource are a pattern of 1 "
                                 "to 1024 bytes: \"bucket/*\" for all");
    }

    return S3C_OK;
}


static s3c_status_t
identity_take_resources(s3c_identity_parse_t *p)
{
    return s3c_identity_take_array(p, identity_take_resource,
                                   "a statement names no resources");
}


/* An allowed read or write that names no keys is a mistake. */
static bool
identity_statement_names_keys(const s3c_statement_t *s)
{
    unsigned  of_keys = 1u << S3C_ACTION_READ | 1u << S3C_ACTION_WRITE;

    if (s->deny || !(s->actions & of_keys)) {
        return true;
    }

    for (uint32_t i = 0; i < s->n_resources; i++) {
        if (s->resources[i].keys.len > 0 || s->resources[i].bucket.len == 0) {
            return true;
        }
    }

    return false;
}


s3c_status_t
s3c_identity_take_statement(s3c_identity_parse_t *p)
{
    static const s3c_identity_member_t  members[] = {
        { S3C_SLICE("effect"), identity_take_effect,
          "a statement has no \"effect\"" },
        { S3C_SLICE("actions"), identity_take_actions,
          "a statement has no \"actions\"" },
        { S3C_SLICE("resources"), identity_take_resources,
          "a statement has no \"resources\"" },
    };
    size_t  start = p->json.pos;

    if (p->set->n_statements == p->set->max_statements) {
        return s3c_identity_fail(p, "more than 16384 statements");
    }

    p->statement = &p->set->statements[p->set->n_statements++];
    p->identity->policy.n_statements++;
    p->resources = &p->set->resources[p->set->n_resources];
    p->statement->resources = p->resources;

    if (s3c_identity_take_object(p, members, LEN(members)) != S3C_OK) {
        return S3C_INVALID;
    }

    return identity_statement_names_keys(p->statement)
           ? S3C_OK
           : s3c_identity_fail_at(p, start, "\"read\" and \"write\" are of "
                                  "keys: name them, \"bucket/*\" for all");
}

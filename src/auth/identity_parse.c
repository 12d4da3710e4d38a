/* SPDX-License-Identifier: Apache-2.0
 *
 * Identities and their keys. It goes over the text twice: to count, so that the
 * set is one piece of memory, and to fill.
 */
#include "auth/identity_parse.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


/* Visible ASCII, 1..max bytes, none of those in `without`. */
static bool
identity_is_visible(s3c_slice_t s, size_t max, const char *without)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] <= 0x20 || s.data[i] >= 0x7f
            || strchr(without, s.data[i]) != NULL)
        {
            return false;
        }
    }

    return s.len > 0 && s.len <= max;
}


static s3c_status_t
identity_take_access_key(s3c_identity_parse_t *p)
{
    s3c_slice_t  *access_key = &p->key->access_key;

    if (s3c_identity_take_string(p, access_key) != S3C_OK) {
        return S3C_INVALID;
    }

    /* they part it from its scope, and it from what follows */
    if (!identity_is_visible(*access_key, S3C_IDENTITY_ACCESS_KEY_MAX, "/,")) {
        return s3c_identity_fail(p, "an access key is 1 to 128 visible ASCII "
                                 "characters without / and ,");
    }

    if (s3c_identity_table_put(&p->set->by_access_key, access_key) != S3C_OK) {
        return s3c_identity_fail(p, "this access key is given twice");
    }

    return S3C_OK;
}


static s3c_status_t
identity_take_secret_key(s3c_identity_parse_t *p)
{
    s3c_slice_t  *secret_key = &p->key->secret_key;

    if (s3c_identity_take_string(p, secret_key) != S3C_OK) {
        return S3C_INVALID;
    }

    return identity_is_visible(*secret_key, S3C_IDENTITY_SECRET_MAX, "")
           ? S3C_OK
           : s3c_identity_fail(p, "a secret key is 1 to 256 visible ASCII "
                               "characters");
}


static s3c_status_t
identity_take_session_token(s3c_identity_parse_t *p)
{
    s3c_slice_t  *token = &p->key->session_token;

    if (s3c_identity_take_string(p, token) != S3C_OK) {
        return S3C_INVALID;
    }

    return identity_is_visible(*token, S3C_IDENTITY_TOKEN_MAX, "")
           ? S3C_OK
           : s3c_identity_fail(p, "a session token is 1 to 8192 visible ASCII "
                               "characters; leave it out if there is none");
}


static s3c_status_t
identity_take_key(s3c_identity_parse_t *p)
{
    static const s3c_identity_member_t  members[] = {
        { S3C_SLICE("access_key"), identity_take_access_key,
          "a key has no \"access_key\"" },
        { S3C_SLICE("secret_key"), identity_take_secret_key,
          "a key has no \"secret_key\"" },
        { S3C_SLICE("session_token"), identity_take_session_token, NULL },
    };

    if (p->set->n_keys == p->set->max_keys) {
        return s3c_identity_fail(p, "more than 16384 keys");
    }

    p->key = &p->set->keys[p->set->n_keys++];
    p->key->identity = p->identity;

    return s3c_identity_take_object(p, members, LEN(members));
}


/* --- identities ---------------------------------------------------------- */

static s3c_status_t
identity_take_name(s3c_identity_parse_t *p)
{
    s3c_slice_t  *name = &p->identity->name;
    bool          valid;

    if (s3c_identity_take_string(p, name) != S3C_OK) {
        return S3C_INVALID;
    }

    valid = name->len > 0 && name->len <= S3C_IDENTITY_NAME_MAX;

    for (size_t i = 0; i < name->len; i++) {
        valid = valid && (s3c_identity_is_alnum(name->data[i])
                          || strchr("+=,.@_-", name->data[i]) != NULL);
    }

    if (!valid) {
        return s3c_identity_fail(p, "a name is 1 to 64 letters, digits and "
                                 "+=,.@_-");
    }

    if (s3c_identity_table_put(&p->set->by_name, name) != S3C_OK) {
        return s3c_identity_fail(p, "this name is given twice");
    }

    return S3C_OK;
}


static s3c_status_t
identity_take_keys(s3c_identity_parse_t *p)
{
    return s3c_identity_take_array(p, identity_take_key, "\"keys\" is empty");
}


static s3c_status_t
identity_take_anonymous(s3c_identity_parse_t *p)
{
    if (p->token.kind != S3C_JSON_WORD
        || s3c_slice_eq(p->token.text, S3C_SLICE("null")))
    {
        return s3c_identity_fail(p, "\"anonymous\" is true or false");
    }

    p->anonymous = s3c_slice_eq(p->token.text, S3C_SLICE("true"));

    return S3C_OK;
}


static s3c_status_t
identity_take_policy(s3c_identity_parse_t *p)
{
    s3c_policy_t  *policy = &p->identity->policy;

    policy->statements = &p->set->statements[p->set->n_statements];

    return s3c_identity_take_array(p, s3c_identity_take_statement, NULL);
}


static s3c_status_t
identity_take_identity(s3c_identity_parse_t *p)
{
    static const s3c_identity_member_t  members[] = {
        { S3C_SLICE("name"), identity_take_name,
          "an identity has no \"name\"" },
        { S3C_SLICE("keys"), identity_take_keys, NULL },
        { S3C_SLICE("anonymous"), identity_take_anonymous, NULL },
        { S3C_SLICE("policy"), identity_take_policy,
          "an identity has no \"policy\"; [] if it may nothing" },
    };
    size_t  start = p->json.pos, n_keys = p->set->n_keys;

    if (p->set->n_identities == p->set->max_identities) {
        return s3c_identity_fail(p, "more than 4096 identities");
    }

    p->identity = &p->set->identities[p->set->n_identities++];
    p->anonymous = false;

    if (s3c_identity_take_object(p, members, LEN(members)) != S3C_OK) {
        return S3C_INVALID;
    }

    if (p->anonymous == (p->set->n_keys > n_keys)) {
        return s3c_identity_fail_at(p, start, "an identity has either "
                                    "\"keys\" or \"anonymous\": true");
    }

    if (p->anonymous) {
        if (p->set->anonymous != NULL) {
            return s3c_identity_fail_at(p, start,
                                        "two identities are anonymous");
        }

        p->set->anonymous = p->identity;
    }

    return S3C_OK;
}


static s3c_status_t
identity_take_identities(s3c_identity_parse_t *p)
{
    return s3c_identity_take_array(p, identity_take_identity, "no identities");
}


static s3c_status_t
identity_fill(s3c_identity_parse_t *p)
{
    static const s3c_identity_member_t  members[] = {
        { S3C_SLICE("identities"), identity_take_identities,
          "there is no \"identities\"" },
    };

    if (s3c_identity_next(p) != S3C_OK) {
        return S3C_INVALID;
    }

    return s3c_identity_take_object(p, members, LEN(members));
}


/* What the set needs room for; all of it is JSON then. */
static s3c_status_t
identity_count(s3c_identity_parse_t *p, size_t *n_objects, size_t *n_strings,
    size_t *n_text)
{
    do {
        if (s3c_identity_next(p) != S3C_OK) {
            return S3C_INVALID;
        }

        if (p->token.kind == S3C_JSON_OBJECT) {
            (*n_objects)++;

        } else if (p->token.kind == S3C_JSON_STRING) {
            (*n_strings)++;
            *n_text += p->token.text.len;
        }

    } while (p->token.kind != S3C_JSON_END);

    return S3C_OK;
}


s3c_status_t
s3c_identities_parse(s3c_slice_t text, s3c_identities_t **set,
    s3c_identities_error_t *error)
{
    size_t            n_objects = 0, n_strings = 0, n_text = 0;
    s3c_identity_parse_t  p = { .error = error };

    *set = NULL;
    *error = (s3c_identities_error_t) { 0, "the file is larger than 1 MiB" };

    if (text.len > S3C_IDENTITY_FILE_MAX) {
        return S3C_INVALID;
    }

    s3c_s3_json_init(&p.json, text);

    if (identity_count(&p, &n_objects, &n_strings, &n_text) != S3C_OK) {
        return S3C_INVALID;
    }

    p.set = s3c_identities_create(n_objects, n_strings, n_text);

    if (p.set == NULL) {
        *error = (s3c_identities_error_t) { 0, "no memory" };
        return S3C_FULL;
    }

    s3c_writer_init(&p.text, p.set->text, n_text);
    s3c_s3_json_init(&p.json, text);

    if (identity_fill(&p) != S3C_OK) {
        s3c_identities_destroy(p.set);
        return S3C_INVALID;
    }

    *error = (s3c_identities_error_t) { 0, NULL };
    *set = p.set;

    return S3C_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of the arguments: how long each may be, and which kinds of purges
 * need it or may have it.
 */
#include "serve/purge_ask.h"

#include "base/writer.h"
#include "s3/s3_query.h"
#include "s3/s3_uri.h"

#define BIT(kind)  (1u << (kind))
#define ANY        (BIT(S3C_PURGE_KINDS) - 1)

typedef enum {
    ARG_PURGE,
    ARG_ZONE,
    ARG_BUCKET,
    ARG_KEY,
    ARG_PREFIX,
    ARG_VERSION,
    ARGS
} arg_t;

typedef struct {
    s3c_slice_t  name;
    unsigned     needed;               /* by these kinds */
    unsigned     allowed;
    size_t       max;
    const char  *absent;
    const char  *strange;
    const char  *lengthy;
    const char  *empty;                /* NULL: it may be */
} arg_rule_t;

#define WORDS(name)                                                            \
    "argument " name " is missing",                                           \
    "argument " name " does not go with this kind of purge",                  \
    "argument " name " is too long"

#define IN_BUCKET  (BIT(S3C_PURGE_KEY) | BIT(S3C_PURGE_PREFIX)                \
                    | BIT(S3C_PURGE_BUCKET))

static const arg_rule_t  arg_rules[ARGS] = {
    [ARG_PURGE]   = { S3C_SLICE("purge"), ANY, ANY,
                      S3C_PURGE_WORD_MAX, WORDS("purge"),
                      "argument purge is empty" },
    [ARG_ZONE]    = { S3C_SLICE("zone"), 0, ANY,
                      S3C_PURGE_ZONE_MAX, WORDS("zone"),
                      "argument zone is empty" },
    [ARG_BUCKET]  = { S3C_SLICE("bucket"), IN_BUCKET, IN_BUCKET,
                      S3C_PURGE_BUCKET_MAX, WORDS("bucket"),
                      "argument bucket is empty" },
    [ARG_KEY]     = { S3C_SLICE("key"), BIT(S3C_PURGE_KEY), BIT(S3C_PURGE_KEY),
                      S3C_PURGE_KEY_MAX, WORDS("key"),
                      "argument key is empty" },
    [ARG_PREFIX]  = { S3C_SLICE("prefix"), BIT(S3C_PURGE_PREFIX),
                      BIT(S3C_PURGE_PREFIX),
                      S3C_PURGE_KEY_MAX, WORDS("prefix"), NULL },
    [ARG_VERSION] = { S3C_SLICE("versionId"), 0, BIT(S3C_PURGE_KEY),
                      S3C_PURGE_VERSION_MAX, WORDS("versionId"),
                      "argument versionId is empty" }
};

static const char *const  kind_names[S3C_PURGE_KINDS] = {
    [S3C_PURGE_NONE] = "none",
    [S3C_PURGE_KEY] = "key",
    [S3C_PURGE_PREFIX] = "prefix",
    [S3C_PURGE_BUCKET] = "bucket",
    [S3C_PURGE_ALL] = "all"
};


const char *
s3c_purge_kind_name(s3c_purge_kind_t kind)
{
    return kind_names[kind];
}


static unsigned
arg_find(s3c_slice_t name)
{
    unsigned  i;

    for (i = 0; i < ARGS; i++) {
        if (s3c_slice_eq(name, arg_rules[i].name)) {
            break;
        }
    }

    return i;
}


/* `w` has room for all of them. */
static const char *
arg_decode(s3c_writer_t *w, const arg_rule_t *rule, s3c_slice_t *value)
{
    s3c_writer_t  one;

    if (value->len > 0 && memchr(value->data, '+', value->len) != NULL) {
        return "a plus sign: write a plus as %2B, a space as %20";
    }

    s3c_writer_init(&one, w->pos, rule->max);

    if (s3c_uri_decode(&one, *value, false) != S3C_OK) {
        return "a percent sign without two hex digits";
    }

    if (!s3c_writer_ok(&one)) {
        return rule->lengthy;
    }

    *value = s3c_writer_slice(&one);
    w->pos = one.pos;

    return value->len == 0 ? rule->empty : NULL;
}


static s3c_purge_kind_t
kind_of(s3c_slice_t value)
{
    unsigned  i;

    for (i = S3C_PURGE_KEY; i < S3C_PURGE_KINDS; i++) {
        if (s3c_slice_eq(value, s3c_slice(kind_names[i],
                                          strlen(kind_names[i]))))
        {
            return (s3c_purge_kind_t) i;
        }
    }

    return S3C_PURGE_NONE;
}


/* Has it all that its kind needs, and nothing else? */
static const char *
args_check(s3c_purge_kind_t kind, unsigned given)
{
    for (unsigned i = 0; i < ARGS; i++) {

        if ((given & BIT(i)) && !(arg_rules[i].allowed & BIT(kind))) {
            return arg_rules[i].strange;
        }

        if (!(given & BIT(i)) && (arg_rules[i].needed & BIT(kind))) {
            return arg_rules[i].absent;
        }
    }

    return NULL;
}


static const char *
args_read(s3c_writer_t *w, s3c_slice_t query, s3c_slice_t values[ARGS],
    unsigned *given)
{
    unsigned      i;
    const char   *why;
    s3c_slice_t   name, value;

    while (s3c_s3_query_next(&query, &name, &value)) {
        i = arg_find(name);

        if (i == ARGS) {
            return "an argument that is not known";
        }

        if (*given & BIT(i)) {
            return "an argument that is given twice";
        }

        why = arg_decode(w, &arg_rules[i], &value);

        if (why != NULL) {
            return why;
        }

        *given |= BIT(i);
        values[i] = value;
    }

    return NULL;
}


s3c_status_t
s3c_purge_ask_parse(s3c_purge_ask_t *ask, s3c_slice_t query, const char **why)
{
    unsigned      given = 0;
    s3c_slice_t   values[ARGS] = { S3C_SLICE_NONE };
    s3c_writer_t  w;

    s3c_writer_init(&w, ask->buf, sizeof(ask->buf));
    ask->kind = S3C_PURGE_NONE;

    *why = args_read(&w, query, values, &given);

    if (*why == NULL && (given & BIT(ARG_PURGE))) {
        ask->kind = kind_of(values[ARG_PURGE]);

        if (ask->kind == S3C_PURGE_NONE) {
            *why = "purge: key, prefix, bucket or all is needed";
        }
    }

    if (*why == NULL) {
        *why = args_check(ask->kind, given);
    }

    ask->zone = values[ARG_ZONE];
    ask->bucket = values[ARG_BUCKET];
    ask->key = values[ask->kind == S3C_PURGE_PREFIX ? ARG_PREFIX : ARG_KEY];
    ask->version = values[ARG_VERSION];

    return *why == NULL ? S3C_OK : S3C_INVALID;
}

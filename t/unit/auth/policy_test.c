/* SPDX-License-Identifier: Apache-2.0
 *
 * What policies allow and deny: tables of statements and of what is asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/policy.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

#define R    (1u << S3C_ACTION_READ)
#define L    (1u << S3C_ACTION_LIST)
#define W    (1u << S3C_ACTION_WRITE)
#define A    (1u << S3C_ACTION_ADMIN)
#define ALL  (R | L | W | A)

#define MAX  4

typedef struct {
    bool         deny;
    unsigned     actions;
    const char  *resources[MAX];
} said_t;

typedef struct {
    s3c_action_t  action;
    s3c_scope_t   scope;
    const char   *bucket, *key;
    bool          may;
} asked_t;


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static s3c_resource_t
resource(const char *s)
{
    const char  *slash = strchr(s, '/');

    if (strcmp(s, "*") == 0) {
        return (s3c_resource_t) { S3C_SLICE_NONE, S3C_SLICE_NONE };
    }

    if (slash == NULL) {
        return (s3c_resource_t) { text(s), S3C_SLICE_NONE };
    }

    return (s3c_resource_t) { s3c_slice(s, (size_t) (slash - s)),
                              text(slash + 1) };
}


/* Until the next one is made. */
static s3c_policy_t
make(const said_t *said, unsigned n_said)
{
    static s3c_resource_t   resources[MAX][MAX];
    static s3c_statement_t  statements[MAX];

    assert_true(n_said <= MAX);
    memset(statements, 0, sizeof(statements));

    for (unsigned i = 0; i < n_said; i++) {
        s3c_statement_t  *s = &statements[i];

        s->deny = said[i].deny;
        s->actions = (uint8_t) said[i].actions;
        s->resources = resources[i];

        for (unsigned k = 0; k < MAX && said[i].resources[k] != NULL; k++) {
            resources[i][k] = resource(said[i].resources[k]);
            s->n_resources++;
        }
    }

    return (s3c_policy_t) { n_said, statements };
}


static void
check(const said_t *said, unsigned n_said, const asked_t *asked,
    unsigned n_asked)
{
    s3c_policy_t  policy = make(said, n_said);

    for (unsigned i = 0; i < n_asked; i++) {
        s3c_access_t  a = { asked[i].action, asked[i].scope,
                            text(asked[i].bucket), text(asked[i].key) };

        if (s3c_policy_may(&policy, &a) != asked[i].may) {
            fail_msg("row %u: action %u scope %u %s/%s is %s", i,
                     asked[i].action, asked[i].scope, asked[i].bucket,
                     asked[i].key, asked[i].may ? "denied" : "allowed");
        }
    }
}

#define READ    S3C_ACTION_READ, S3C_SCOPE_KEY
#define WRITE   S3C_ACTION_WRITE, S3C_SCOPE_KEY
#define ACL     S3C_ACTION_ADMIN, S3C_SCOPE_KEY
#define LIST    S3C_ACTION_LIST, S3C_SCOPE_PREFIX
#define THERE   S3C_ACTION_LIST, S3C_SCOPE_BUCKET
#define ANY_W   S3C_ACTION_WRITE, S3C_SCOPE_PREFIX
#define ANY_A   S3C_ACTION_ADMIN, S3C_SCOPE_PREFIX
#define BUCKET  S3C_ACTION_ADMIN, S3C_SCOPE_BUCKET
#define SOME_R  S3C_ACTION_READ, S3C_SCOPE_UNKNOWN
#define SOME_A  S3C_ACTION_ADMIN, S3C_SCOPE_UNKNOWN


static void
without_an_allow_nothing_is_allowed(void **state)
{
    static const said_t   only_deny[] = { { true, R, { "other/*" } } };
    static const asked_t  asked[] = {
        { READ, "data", "k", false },
        { WRITE, "data", "k", false },
        { LIST, "data", "", false },
        { THERE, "data", "", false },
        { THERE, "", "", false },
        { BUCKET, "data", "", false },
    };

    (void) state;

    check(NULL, 0, asked, LEN(asked));
    check(only_deny, 1, asked, LEN(asked));
}


static void
an_allow_reaches_what_it_names(void **state)
{
    static const said_t   said[] = {
        { false, R | L, { "data/pub/*", "team-?/*", "mid//x/*" } },
        { false, W, { "data/up/*.bin", "mid/*up/*.bin" } },
        { false, L, { "names" } },
        { false, A, { "config" } },
    };
    static const asked_t  asked[] = {
        { READ, "data", "pub/k", true },
        { READ, "data", "pub/", true },
        { READ, "data", "pub", false },
        { READ, "data", "k", false },
        { READ, "Data", "pub/k", false },
        { READ, "data2", "pub/k", false },
        { READ, "dat", "pub/k", false },
        { WRITE, "data", "pub/k", false },
        { ACL, "data", "pub/k", false },
        { LIST, "data", "pub/", true },
        { LIST, "data", "pub/x", true },
        { LIST, "data", "pub", false },
        { LIST, "data", "", false },
        { LIST, "data", "up/", false },
        { THERE, "data", "", true },
        { THERE, "", "", false },
        { BUCKET, "data", "", false },
        { READ, "team-a", "k", true },
        { LIST, "team-a", "", true },
        { READ, "team-ab", "k", false },
        { READ, "team-", "k", false },
        { WRITE, "data", "up/a.bin", true },
        { WRITE, "data", "up/a.txt", false },
        { ANY_W, "data", "", false },
        { ANY_W, "data", "up/", false },
        /* the bucket itself, and no key of it */
        { LIST, "names", "", true },
        { LIST, "names", "any/", true },
        { THERE, "names", "", true },
        { READ, "names", "k", false },
        { BUCKET, "config", "", true },
        { ACL, "config", "k", false },
        { ANY_A, "config", "", false },
        { LIST, "config", "", false },
        /* for MinIO /x.bin is x.bin, and the second is no key of these */
        { WRITE, "mid", "/up/a.bin", true },
        { WRITE, "mid", "/up/../a.bin", false },
        { WRITE, "mid", "up/../a.bin", true },
        { LIST, "mid", "/x/", true },
        { LIST, "mid", "/x/../", false },
    };

    (void) state;

    check(said, LEN(said), asked, LEN(asked));
}


static void
of_a_bucket_that_nobody_knows_any_deny_holds(void **state)
{
    static const said_t   all[] = { { false, ALL, { "*" } } };
    static const said_t   keys[] = { { false, ALL, { "*/*", "data" } } };
    static const said_t   deny[] = {
        { false, ALL, { "*" } }, { true, R, { "data/private/*" } },
    };
    static const asked_t  may[] = {
        { SOME_R, "", "", true }, { SOME_A, "", "", true },
    };
    static const asked_t  may_not[] = {
        { SOME_R, "", "", false }, { SOME_A, "", "", false },
    };
    static const asked_t  half[] = {
        { SOME_R, "", "", false }, { SOME_A, "", "", true },
    };

    (void) state;

    check(all, 1, may, LEN(may));
    check(keys, 1, may_not, LEN(may_not));
    check(deny, 2, half, LEN(half));
}


static void
some_keys_are_those_of_any_allow(void **state)
{
    static const said_t  said[] = {
        { false, W, { "up/*", "team-?/a/b*" } }, { false, R, { "read/*" } },
        { false, W, { "bare" } }, { true, W, { "*" } },
    };
    static const struct {
        const char  *bucket;
        bool         may;
    } rows[] = {
        { "up", true }, { "team-x", true }, { "read", false },
        { "bare", false }, { "other", false }, { "", false },
    };
    s3c_policy_t  policy = make(said, LEN(said));

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_policy_may_some(&policy, S3C_ACTION_WRITE,
                                             text(rows[i].bucket)),
                         rows[i].may);
    }
}


static void
everything_is_everything(void **state)
{
    static const said_t   said[] = { { false, ALL, { "*" } } };
    static const said_t   keys[] = { { false, ALL, { "*/*" } } };
    static const asked_t  asked[] = {
        { READ, "data", "k", true },
        { LIST, "data", "", true },
        { THERE, "", "", true },
        { BUCKET, "", "", true },
        { BUCKET, "data", "", true },
        { ANY_W, "data", "", true },
        { ANY_A, "data", "", true },
    };
    static const asked_t  of_keys[] = {
        { READ, "data", "k", true },
        { LIST, "data", "", true },
        { THERE, "", "", true },
        { ANY_W, "data", "", true },
        { BUCKET, "", "", false },
        { BUCKET, "data", "", false },
    };

    (void) state;

    check(said, 1, asked, LEN(asked));
    check(keys, 1, of_keys, LEN(of_keys));
}


static void
interfaces_of_stores_are_for_who_names_them_or_may_all(void **state)
{
    static const said_t   patterns[] = {
        { false, R | L | W, { "*", "*/*", "min*/*", "admi?" } },
    };
    static const said_t   named[] = {
        { false, R | L | W, { "minio/*", "admin", "admin/*" } },
    };
    static const said_t   apart[] = {
        { false, R, { "*" } }, { false, A, { "*" } },
    };
    static const said_t   all[] = { { false, ALL, { "*" } } };
    static const asked_t  may_not[] = {
        { READ, "minio", "admin/v3/export-iam", false },
        { WRITE, "minio", "admin/v3/import-iam", false },
        { READ, "rustfs", "admin/v3/list-users", false },
        { READ, "admin", "metadata/user", false },
        { LIST, "admin", "", false },
        { THERE, "minio", "", false },
        { READ, "minion", "k", true },
        { READ, "mini", "k", true },
        { READ, "data", "minio/k", true },
    };
    static const asked_t  may[] = {
        { READ, "minio", "k", true },
        { WRITE, "minio", "k", true },
        { LIST, "admin", "", true },
        { READ, "admin", "k", true },
    };
    static const asked_t  reads[] = { { READ, "minio", "k", false } };

    (void) state;

    check(patterns, 1, may_not, LEN(may_not));
    check(named, 1, may, LEN(may));
    check(all, 1, may, LEN(may));
    check(apart, 2, reads, LEN(reads));
}


static void
a_deny_wins_wherever_it_stands(void **state)
{
    static const said_t   last[] = {
        { false, ALL, { "*" } }, { true, R | W, { "data/private/*" } },
    };
    static const said_t   first[] = {
        { true, R | W, { "data/private/*" } }, { false, ALL, { "*" } },
    };
    static const asked_t  asked[] = {
        { READ, "data", "private/k", false },
        { WRITE, "data", "private/k", false },
        { READ, "data", "private/", false },
        { READ, "data", "private", true },
        { READ, "data", "Private/k", true },
        { READ, "other", "private/k", true },
        { ACL, "data", "private/k", true },
        /* names may be seen */
        { LIST, "data", "private/", true },
        /* a write of any keys is one of those, too */
        { ANY_W, "data", "", false },
        { ANY_W, "other", "", true },
        /* MinIO takes these for private/k */
        { READ, "data", "/private/k", false },
        { READ, "data", "///private/k", false },
        { READ, "data", "x/private/k", true },
        /* and these, as the source of a copy or in a DeleteObjects */
        { READ, "data", "/x/../private/k", false },
        { WRITE, "data", "/./private/k", false },
        { WRITE, "data", "/x//y/../.././private/k", false },
        { READ, "data", "/../private/k", false },
        { READ, "data", "/x/..private/k", true },
        { READ, "data", "/private/../k", false },
        /* no slash in front: refused there, a key of its own elsewhere */
        { READ, "data", "x/../private/k", true },
    };

    (void) state;

    check(last, LEN(last), asked, LEN(asked));
    check(first, LEN(first), asked, LEN(asked));
}


static void
a_deny_reaches_all_that_it_names_a_part_of(void **state)
{
    static const said_t   said[] = {
        { false, ALL, { "*" } },
        { true, ALL, { "data/private/*" } },
        { true, ALL, { "secret" } },
        { true, ALL, { "end/*.key", "slash//a/*", "deep/a/private/*",
                         "deep/end/" } },
    };
    static const asked_t  asked[] = {
        { READ, "data", "private/k", false },
        { READ, "data", "k", true },
        { LIST, "data", "private/", false },
        { LIST, "data", "private/x", false },
        { LIST, "data", "/private/", false },
        { LIST, "data", "/", false },
        { LIST, "data", "pri", false },
        { LIST, "data", "", false },
        { LIST, "data", "public/", true },
        { THERE, "data", "", true },
        { ANY_A, "data", "", false },
        { BUCKET, "data", "", false },
        { BUCKET, "other", "", true },
        /* a bucket alone: with all its keys */
        { READ, "secret", "k", false },
        { LIST, "secret", "", false },
        { LIST, "secret", "x/", false },
        { THERE, "secret", "", false },
        { BUCKET, "secret", "", false },
        { ACL, "secret", "k", false },
        { THERE, "", "", true },
        { READ, "end", "a/b.key", false },
        { READ, "end", "a/b.txt", true },
        { LIST, "end", "a/", false },
        { LIST, "slash", "/a/", false },
        { READ, "slash", "/a/k", false },
        { READ, "slash", "a/k", true },
        { READ, "deep", "a/private/k", false },
        { READ, "deep", "a//private/k", true },
        { READ, "deep", "/a//private/k", false },
        { LIST, "deep", "/a//private/", false },
        { LIST, "deep", "//a//", false },
        { LIST, "deep", "/b//", true },
        { READ, "deep", "/end/", false },
        { READ, "deep", "/", true },
    };
    static const said_t   all[] = {
        { false, ALL, { "*" } }, { true, W | A, { "*" } },
    };
    static const asked_t  reads[] = {
        { READ, "data", "k", true },
        { LIST, "data", "", true },
        { THERE, "", "", true },
        { WRITE, "data", "k", false },
        { ANY_W, "data", "", false },
        { ACL, "data", "k", false },
        { BUCKET, "data", "", false },
        { BUCKET, "", "", false },
    };

    (void) state;

    check(said, LEN(said), asked, LEN(asked));
    check(all, LEN(all), reads, LEN(reads));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(without_an_allow_nothing_is_allowed),
        cmocka_unit_test(an_allow_reaches_what_it_names),
        cmocka_unit_test(of_a_bucket_that_nobody_knows_any_deny_holds),
        cmocka_unit_test(some_keys_are_those_of_any_allow),
        cmocka_unit_test(everything_is_everything),
        cmocka_unit_test(
            interfaces_of_stores_are_for_who_names_them_or_may_all),
        cmocka_unit_test(a_deny_wins_wherever_it_stands),
        cmocka_unit_test(a_deny_reaches_all_that_it_names_a_part_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

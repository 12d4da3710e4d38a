/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents of identities: what is taken, and the line and reason of what is
 * not. In the documents here ' stands for ".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/identity.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

#define KEYS    "'keys': [{'access_key': 'AK', 'secret_key': 'hush-hush'}]"
#define POLICY  "'policy': []"
#define ONE(more)  "{'identities': [{'name': 'a', " more "}]}"
#define SAYS(s)    ONE(KEYS ",\n'policy': [" s "]")


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


/* From memory of just that size, so that ASan sees a byte too far. */
static s3c_status_t
parse_bytes(const char *doc, size_t len, s3c_identities_t **set,
    s3c_identities_error_t *error)
{
    char          *copy = malloc(len + 1);
    s3c_status_t   st;

    assert_non_null(copy);
    memcpy(copy, doc, len);
    st = s3c_identities_parse(s3c_slice(copy, len), set, error);
    memset(copy, 'x', len);              /* the set has its own */
    free(copy);

    return st;
}


static s3c_status_t
parse(const char *doc, s3c_identities_t **set, s3c_identities_error_t *error)
{
    char          *copy = strdup(doc);
    s3c_status_t   st;

    assert_non_null(copy);

    for (char *c = copy; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }

    st = parse_bytes(copy, strlen(copy), set, error);
    free(copy);

    return st;
}


static bool
may(const s3c_identity_t *identity, s3c_action_t action, const char *bucket,
    const char *key)
{
    s3c_access_t  a = { action, S3C_SCOPE_KEY, text(bucket), text(key) };

    return s3c_identity_may(identity, &a);
}


static void
identities_have_keys_and_a_policy(void **state)
{
    s3c_identities_t          *set;
    const s3c_identity_t      *anonymous;
    const s3c_identity_key_t  *old, *new;
    s3c_identities_error_t     error;

    (void) state;

    assert_int_equal(parse(
        "{'identities': [\n"
        "  {'policy': [\n"
        "     {'resources': ['data/*', 'data'], 'effect': 'allow',\n"
        "      'actions': ['read', 'list']},\n"
        "     {'effect': 'deny', 'actions': ['*'],\n"
        "      'resources': ['data/pri\\u0076ate/*']}],\n"
        "   'keys': [{'access_key': 'OLD', 'secret_key': 's/e+c='},\n"
        "            {'secret_key': 'new', 'session_token': 'tok==',\n"
        "             'access_key': 'NEW:1'}],\n"
        "   'anonymous': false, 'name': 'trainer@x'},\n"
        "  {'name': 'anonymous', 'anonymous': true, 'policy': [\n"
        "     {'effect': 'allow', 'actions': ['read'],\n"
        "      'resources': ['pub/*']}]},\n"
        "  {'name': 'idle', 'keys': [{'access_key': 'I',\n"
        "   'secret_key': 'i'}], 'policy': []}]}", &set, &error), S3C_OK);
    assert_int_equal(error.line, 0);
    assert_null(error.message);
    assert_int_equal(s3c_identities_count(set), 3);

    old = s3c_identities_find(set, S3C_SLICE("OLD"));
    new = s3c_identities_find(set, S3C_SLICE("NEW:1"));
    assert_non_null(old);
    assert_non_null(new);
    assert_ptr_equal(old->identity, new->identity);
    assert_true(s3c_slice_eq(old->access_key, S3C_SLICE("OLD")));
    assert_true(s3c_slice_eq(old->secret_key, S3C_SLICE("s/e+c=")));
    assert_int_equal(old->session_token.len, 0);
    assert_true(s3c_slice_eq(new->secret_key, S3C_SLICE("new")));
    assert_true(s3c_slice_eq(new->session_token, S3C_SLICE("tok==")));
    assert_true(s3c_slice_eq(old->identity->name, S3C_SLICE("trainer@x")));

    assert_true(may(old->identity, S3C_ACTION_READ, "data", "k"));
    assert_false(may(old->identity, S3C_ACTION_READ, "data", "private/k"));
    assert_false(may(old->identity, S3C_ACTION_WRITE, "data", "k"));
    assert_false(may(old->identity, S3C_ACTION_READ, "pub", "k"));

    anonymous = s3c_identities_anonymous(set);
    assert_non_null(anonymous);
    assert_true(s3c_slice_eq(anonymous->name, S3C_SLICE("anonymous")));
    assert_true(may(anonymous, S3C_ACTION_READ, "pub", "k"));
    assert_false(may(anonymous, S3C_ACTION_READ, "data", "k"));

    old = s3c_identities_find(set, S3C_SLICE("I"));
    assert_non_null(old);
    assert_int_equal(old->identity->policy.n_statements, 0);
    assert_null(s3c_identities_find(set, S3C_SLICE("old")));
    assert_null(s3c_identities_find(set, S3C_SLICE("OLD ")));
    assert_null(s3c_identities_find(set, S3C_SLICE_NONE));

    s3c_identities_destroy(set);
}


typedef struct {
    const char  *doc;
    unsigned     line;
    const char  *message;        /* a part of it */
} wrong_t;


static void
check_wrong(const wrong_t *rows, size_t n)
{
    s3c_identities_t        *set;
    s3c_identities_error_t   error;

    for (size_t i = 0; i < n; i++) {
        s3c_status_t  st = parse(rows[i].doc, &set, &error);

        if (st != S3C_INVALID || set != NULL || error.line != rows[i].line
            || strstr(error.message, rows[i].message) == NULL)
        {
            fail_msg("%s: %s, line %u: %s", rows[i].doc, s3c_status_name(st),
                     error.line, error.message ? error.message : "");
        }

        assert_null(strstr(error.message, "hush"));
    }
}


static void
what_is_not_json_is_refused(void **state)
{
    static const wrong_t  rows[] = {
        { "", 1, "not JSON" },
        { "\n\n", 3, "not JSON" },
        { "{'identities': [\n}", 2, "not JSON" },
        { "{'identities': []\n", 2, "not JSON" },
        { "{'identities': []}\n}", 2, "not JSON" },
        { "{'identities':\n[{'name': 'a\n'}]}", 2, "not JSON" },
        { "{'identities': [],\n}", 2, "not JSON" },
        { "# comment\n{'identities': []}", 1, "not JSON" },
        { "\xef\xbb\xbf{'identities': []}", 1, "not JSON" },
    };

    (void) state;

    check_wrong(rows, LEN(rows));
}


static void
a_document_is_an_object_with_identities(void **state)
{
    static const wrong_t  rows[] = {
        { "[]", 1, "an object is expected" },
        { "\n'x'", 2, "an object is expected" },
        { "\n{}", 2, "no \"identities\"" },
        { "{'identities': {}}", 1, "an array is expected" },
        { "{'identities': null}", 1, "an array is expected" },
        { "{'identities': []}", 1, "no identities" },
        { "{'identities': [\n1]}", 2, "an object is expected" },
        { "{\n'Identities': []}", 2, "unknown member" },
        { "{\n'identit\\u0069es': []}", 2, "unknown member" },
        { "{'identities': [{'name': 'a', " KEYS ", " POLICY "}],\n"
          "'identities': []}", 2, "given twice" },
        { "{'identities': [{'name': 'a', " KEYS ", " POLICY "}],\n"
          "'version': 1}", 2, "unknown member" },
    };

    (void) state;

    check_wrong(rows, LEN(rows));
}


static void
an_identity_is_whole_and_there_once(void **state)
{
    static const wrong_t  rows[] = {
        { "{'identities': [\n{" KEYS ",\n" POLICY "}]}", 2, "no \"name\"" },
        { ONE(KEYS), 1, "no \"policy\"" },
        { ONE(POLICY), 1, "either" },
        { ONE(POLICY ", 'anonymous': false"), 1, "either" },
        { ONE(POLICY ", 'anonymous': true, " KEYS), 1, "either" },
        { ONE(POLICY ", \n'anonymous': 'true'"), 2, "true or false" },
        { ONE(POLICY ", \n'anonymous': null"), 2, "true or false" },
        { ONE(POLICY ", \n'anonymous': 1"), 2, "true or false" },
        { ONE(POLICY ",\n'keys': []"), 2, "\"keys\" is empty" },
        { ONE(POLICY ",\n'keys': {}"), 2, "an array is expected" },
        { ONE(KEYS ", " POLICY ",\n'polici': []"), 2, "unknown member" },
        { ONE(KEYS ", " POLICY ",\n'policy': []"), 2, "given twice" },
        { ONE(KEYS ", " POLICY ",\n'name': 'b'"), 2, "given twice" },
        { "{'identities': [{'name':\n''}]}", 2, "a name is" },
        { "{'identities': [{'name':\n'a b'}]}", 2, "a name is" },
        { "{'identities': [{'name':\n'a\\n'}]}", 2, "a name is" },
        { "{'identities': [{'name':\n'\xc3\xa9'}]}", 2, "a name is" },
        { "{'identities': [{'name':\n'\xc3'}]}", 2, "not UTF-8" },
        { "{'identities': [{'name':\n'a\\u0000'}]}", 2, "a NUL" },
        { "{'identities': [{'name':\n7}]}", 2, "a string is expected" },
        { "{'identities': [{'name':\n'a23456789012345678901234567890123456789"
          "01234567890123456789012345'}]}", 2, "a name is" },
        { "{'identities': [{'name': 'a', " KEYS ", " POLICY "},\n{'name': 'a',"
          " 'keys': [{'access_key': 'B', 'secret_key': 'b'}], " POLICY "}]}",
          2, "this name is given twice" },
        { "{'identities': [{'name': 'a', 'anonymous': true, " POLICY "},\n"
          "{'name': 'b',\n 'anonymous': true, " POLICY "}]}", 2,
          "two identities are anonymous" },
    };

    (void) state;

    check_wrong(rows, LEN(rows));
}


static void
a_key_is_whole_and_there_once(void **state)
{
    static const wrong_t  rows[] = {
        { ONE("'keys': [\n{'access_key': 'A'}]"), 2, "no \"secret_key\"" },
        { ONE("'keys': [\n{'secret_key': 'hush'}]"), 2, "no \"access_key\"" },
        { ONE("'keys': [{'access_key': 'A',\n'secret_key': ''}]"), 2,
          "a secret key is" },
        { ONE("'keys': [{'access_key': 'A',\n'secret_key': 'hush '}]"), 2,
          "a secret key is" },
        { ONE("'keys': [{'access_key': 'A',\n'secret_key': null}]"), 2,
          "a string is expected" },
        { ONE("'keys': [{'access_key': 'A',\n'secret_key': 'hush\xff'}]"), 2,
          "not UTF-8" },
        { ONE("'keys': [{'access_key': 'A',\n'secret_key': 'hush\n'}]"), 2,
          "not JSON" },
        { ONE("'keys': [{'access_key': 'A', 'secret_key': 'hush',\n"
              "'session_token': ''}]"), 2, "a session token is" },
        { ONE("'keys': [{'access_key': 'A', 'secret_key': 'hush',\n"
              "'secret_key': 'hush'}]"), 2, "given twice" },
        { ONE("'keys': [{'access_key': 'A', 'secret_key': 'hush',\n"
              "'hush': 1}]"), 2, "unknown member" },
        { ONE("'keys': [{'access_key':\n''}]"), 2, "an access key is" },
        { ONE("'keys': [{'access_key':\n'A/B'}]"), 2, "an access key is" },
        { ONE("'keys': [{'access_key':\n'A,B'}]"), 2, "an access key is" },
        { ONE("'keys': [{'access_key':\n'A B'}]"), 2, "an access key is" },
        { ONE("'keys': [{'access_key': 'A', 'secret_key': 'hush'},\n"
              "{'access_key': 'A', 'secret_key': 'hush2'}]"), 2,
          "this access key is given twice" },
        { "{'identities': [{'name': 'a', " KEYS ", " POLICY "},\n"
          "{'name': 'b', " KEYS ", " POLICY "}]}", 2,
          "this access key is given twice" },
    };

    (void) state;

    check_wrong(rows, LEN(rows));
}


static void
a_statement_says_all_of_it(void **state)
{
    static const wrong_t  rows[] = {
        { SAYS("\n{'actions': ['read'], 'resources': ['*']}"), 3,
          "no \"effect\"" },
        { SAYS("\n{'effect': 'deny', 'resources': ['*']}"), 3,
          "no \"actions\"" },
        { SAYS("\n{'effect': 'deny', 'actions': ['read']}"), 3,
          "no \"resources\"" },
        { SAYS("{'effect':\n'Deny'}"), 3, "an effect is" },
        { SAYS("{'effect':\n'denied'}"), 3, "an effect is" },
        { SAYS("{'effect':\n''}"), 3, "an effect is" },
        { SAYS("{'effect':\ntrue}"), 3, "an effect is" },
        { SAYS("{'effect': 'allow',\n'effect': 'deny'}"), 3, "given twice" },
        { SAYS("{'effect': 'allow',\n'condition': {}}"), 3,
          "unknown member" },
        { SAYS("{'effect': 'allow',\n'not_actions': []}"), 3,
          "unknown member" },
        { SAYS("{'actions':\n'read'}"), 3, "an array is expected" },
        { SAYS("{'actions':\n[]}"), 3, "names no actions" },
        { SAYS("{'actions': ['read',\n'reed']}"), 3, "an action is" },
        { SAYS("{'actions': ['read',\n's3:GetObject']}"), 3, "an action is" },
        { SAYS("{'actions': ['read',\n'read*']}"), 3, "an action is" },
        { SAYS("{'actions': ['read',\n1]}"), 3, "an action is" },
        { SAYS("{'resources':\n[]}"), 3, "names no resources" },
        { SAYS("{'resources':\n'*'}"), 3, "an array is expected" },
        { SAYS("{'resources': [\n'']}"), 3, "a resource is" },
        { SAYS("{'resources': [\n'/data/*']}"), 3, "a resource is" },
        { SAYS("{'resources': [\n'arn:aws:s3:::data/*']}"), 3,
          "a resource is" },
        { SAYS("{'resources': [\n's3://data/*']}"), 3, "a resource is" },
        { SAYS("{'resources': [\n'da ta/*']}"), 3, "a resource is" },
        { SAYS("{'resources': [\n'data/']}"), 3, "the keys of a resource" },
        { SAYS("{'resources': [\n5]}"), 3, "a string is expected" },
        { SAYS("{'resources': [\n'data/\xc3']}"), 3, "not UTF-8" },
        /* what could never fit */
        { SAYS("\n{'effect': 'allow', 'actions': ['read'],\n"
               "'resources': ['data']}"), 3, "are of keys" },
        { SAYS("\n{'effect': 'allow', 'actions': ['list', 'write'],\n"
               "'resources': ['data', 'models']}"), 3, "are of keys" },
        { SAYS("\n{'effect': 'allow', 'actions': ['*'],\n"
               "'resources': ['data']}"), 3, "are of keys" },
        { SAYS("1"), 2, "an object is expected" },
    };
    static const char *const  good[] = {
        SAYS("{'effect': 'allow', 'actions': ['list'], 'resources': ['a']}"),
        SAYS("{'effect': 'allow', 'actions': ['read'], 'resources': ['*']}"),
        SAYS("{'effect': 'allow', 'actions': ['read', 'list'],"
             "'resources': ['a', 'a/b/*']}"),
        SAYS("{'effect': 'deny', 'actions': ['*'], 'resources': ['a']}"),
        SAYS("{'effect': 'deny', 'actions': ['read', 'read'],"
             "'resources': ['a-*._?/\xc3\xa9 //..']}"),
    };

    (void) state;

    check_wrong(rows, LEN(rows));

    for (size_t i = 0; i < LEN(good); i++) {
        s3c_identities_t        *set;
        s3c_identities_error_t   error;

        if (parse(good[i], &set, &error) != S3C_OK) {
            fail_msg("%s: %s", good[i], error.message);
        }

        s3c_identities_destroy(set);
    }
}


/* `n` times one, with commas between them, in front and behind. */
static char *
many(const char *front, const char *one, size_t n, const char *behind)
{
    char    *doc = malloc(2 * S3C_IDENTITY_FILE_MAX);
    size_t   used;

    assert_non_null(doc);
    used = (size_t) sprintf(doc, "%s", front);

    for (size_t i = 0; i < n; i++) {
        assert_true(used + 1000 < 2 * S3C_IDENTITY_FILE_MAX);
        used += (size_t) sprintf(doc + used, i ? "," : "");
        used += (size_t) sprintf(doc + used, one, i, i);
    }

    sprintf(doc + used, "%s", behind);

    return doc;
}


static void
limits_are_reached_and_not_passed(void **state)
{
#define STATEMENT  "{'effect':'deny','actions':['*'],'resources':['*']}"
    static const struct {
        const char  *front, *one, *behind;
        size_t       max;
        const char  *message;
    } rows[] = {
        { "{'identities': [",
          "{'name':'n%zu','keys':[{'access_key':'%zu','secret_key':'s'}],"
          "'policy':[]}", "]}", S3C_IDENTITIES_MAX, "4096 identities" },
        { "{'identities': [{'name': 'a', 'policy': [], 'keys': [",
          "{'access_key':'%zx','secret_key':'s'}", "]}]}",
          S3C_IDENTITY_KEYS_MAX, "16384 keys" },
        { "{'identities': [{'name': 'a', " KEYS ", 'policy': [", STATEMENT,
          "]}]}", S3C_IDENTITY_STATEMENTS_MAX, "16384 statements" },
        { "{'identities': [{'name': 'a', " KEYS ", 'policy': [{'effect': "
          "'allow', 'actions': ['read'], 'resources': [", "'*'", "]}]}]}",
          S3C_IDENTITY_RESOURCES_MAX, "65536 resources" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        char                    *doc;
        s3c_identities_t        *set;
        s3c_identities_error_t   error;

        doc = many(rows[i].front, rows[i].one, rows[i].max, rows[i].behind);

        if (parse(doc, &set, &error) != S3C_OK) {
            fail_msg("row %zu: line %u: %s", i, error.line, error.message);
        }

        s3c_identities_destroy(set);
        free(doc);

        doc = many(rows[i].front, rows[i].one, rows[i].max + 1,
                   rows[i].behind);
        assert_int_equal(parse(doc, &set, &error), S3C_INVALID);
        assert_non_null(strstr(error.message, rows[i].message));
        free(doc);
    }
}


static void
a_file_of_a_mebibyte_is_taken_and_not_a_larger_one(void **state)
{
    char                    *doc = malloc(S3C_IDENTITY_FILE_MAX + 1);
    const char              *one;
    s3c_identities_t        *set;
    s3c_identities_error_t   error;

    (void) state;

    one = "{\"identities\": [{\"name\": \"a\", \"anonymous\": true, "
          "\"policy\": []}]}";
    assert_non_null(doc);
    memset(doc, ' ', S3C_IDENTITY_FILE_MAX + 1);
    memcpy(doc, one, strlen(one));

    assert_int_equal(parse_bytes(doc, S3C_IDENTITY_FILE_MAX, &set, &error),
                     S3C_OK);
    s3c_identities_destroy(set);

    assert_int_equal(parse_bytes(doc, S3C_IDENTITY_FILE_MAX + 1, &set, &error),
                     S3C_INVALID);
    assert_int_equal(error.line, 0);
    assert_non_null(strstr(error.message, "1 MiB"));
    free(doc);
}


/* Each beginning of a document is wrong, and read not a byte too far. */
static void
a_document_that_is_cut_is_refused(void **state)
{
    const char  *doc = "{\"identities\":[{\"name\":\"a\",\"keys\":[{"
                       "\"access_key\":\"A\",\"secret_key\":\"\\u0041\"}],"
                       "\"policy\":[{\"effect\":\"deny\",\"actions\":[\"*\"],"
                       "\"resources\":[\"*\",\"b/*\"]}]}]}";

    s3c_identities_t        *set;
    s3c_identities_error_t   error;

    (void) state;

    for (size_t n = 0; n < strlen(doc); n++) {
        assert_int_equal(parse_bytes(doc, n, &set, &error), S3C_INVALID);
        assert_null(set);
    }

    assert_int_equal(parse_bytes(doc, strlen(doc), &set, &error), S3C_OK);
    s3c_identities_destroy(set);
}


static void
the_example_is_taken(void **state)
{
    char                       doc[8192];
    FILE                      *f = fopen("t/fuzz/seeds/identity_fuzz/example", "r");
    size_t                     n;
    s3c_identities_t          *set;
    s3c_identities_error_t     error;
    const s3c_identity_key_t  *key;

    (void) state;

    assert_non_null(f);
    n = fread(doc, 1, sizeof(doc), f);
    fclose(f);

    assert_int_equal(parse_bytes(doc, n, &set, &error), S3C_OK);
    key = s3c_identities_find(set, S3C_SLICE("AKIAIOSFODNN7EXAMPLE"));
    assert_non_null(key);
    assert_true(may(key->identity, S3C_ACTION_READ, "datasets", "a"));
    assert_false(may(key->identity, S3C_ACTION_READ, "datasets", "private/a"));
    assert_true(may(key->identity, S3C_ACTION_WRITE, "checkpoints",
                    "trainer/a"));
    assert_false(may(key->identity, S3C_ACTION_WRITE, "checkpoints", "a"));
    assert_true(may(s3c_identities_anonymous(set), S3C_ACTION_READ, "models",
                    "public/a"));
    s3c_identities_destroy(set);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(identities_have_keys_and_a_policy),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(a_document_is_an_object_with_identities),
        cmocka_unit_test(an_identity_is_whole_and_there_once),
        cmocka_unit_test(a_key_is_whole_and_there_once),
        cmocka_unit_test(a_statement_says_all_of_it),
        cmocka_unit_test(limits_are_reached_and_not_passed),
        cmocka_unit_test(a_file_of_a_mebibyte_is_taken_and_not_a_larger_one),
        cmocka_unit_test(a_document_that_is_cut_is_refused),
        cmocka_unit_test(the_example_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

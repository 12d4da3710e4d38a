/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared-credentials file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/credentials.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define PAIR    "aws_access_key_id = AK\naws_secret_access_key = s/e+c=\n"


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static void
a_profile_is_found(void **state)
{
    static const struct {
        const char  *file, *profile, *access_key, *secret, *token;
    } rows[] = {
        { "[default]\n" PAIR, "default", "AK", "s/e+c=", "" },
        { "[default]\r\naws_access_key_id=AK\r\naws_secret_access_key=S\r\n",
          "default", "AK", "S", "" },
        { "[default]\naws_access_key_id=AK\naws_secret_access_key=S",
          "default", "AK", "S", "" },
        { "[a]\n" PAIR "[b]\naws_access_key_id = BK\n"
          "aws_secret_access_key = T\naws_session_token = tok==\n",
          "b", "BK", "T", "tok==" },
        { "# comment\n; comment\n\n[ default ] # comment\n  \t\n" PAIR
          "# aws_session_token = no\n", "default", "AK", "s/e+c=", "" },
        { "[default]\nAWS_Access_Key_Id : AK\nAWS_Secret_Access_Key\t=\tS \n",
          "default", "AK", "S", "" },
        { "  [default]\n  aws_access_key_id = AK\n"
          "  aws_secret_access_key = S\n", "default", "AK", "S", "" },
        { "[default]\n" PAIR "region = eu-west-1\noutput=json\n"
          "s3 =\n    max_concurrent_requests = 10\n    x\n",
          "default", "AK", "s/e+c=", "" },
        { "[default]\n" PAIR "aws_session_token =\n", "default", "AK",
          "s/e+c=", "" },
        /* '#' and ';' inside a value belong to it */
        { "[default]\naws_access_key_id = AK\naws_secret_access_key = a#b;c\n",
          "default", "AK", "a#b;c", "" },
        /* another profile may be as odd as botocore lets it be */
        { "[o]\naws_access_key_id = a b\naws_access_key_id = c\n[default]\n"
          PAIR, "default", "AK", "s/e+c=", "" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        s3c_status_t       st;
        s3c_credentials_t  c;

        st = s3c_credentials_parse(text(rows[i].file), text(rows[i].profile),
                                   &c);

        if (st != S3C_OK
            || !s3c_slice_eq(c.access_key, text(rows[i].access_key))
            || !s3c_slice_eq(c.secret_key, text(rows[i].secret))
            || !s3c_slice_eq(c.session_token, text(rows[i].token)))
        {
            fail_msg("row %zu: %s, line %u", i, s3c_status_name(st),
                     c.error_line);
        }
    }
}


static void
a_profile_that_is_not_there_is_a_miss(void **state)
{
    static const char *const  files[] = {
        "", "\n", "# [default]\n", "[Default]\n" PAIR, "[defaul]\n" PAIR,
        "[profile default]\n" PAIR,
    };
    s3c_credentials_t         c;

    (void) state;

    for (size_t i = 0; i < LEN(files); i++) {
        assert_int_equal(s3c_credentials_parse(text(files[i]),
                                               S3C_SLICE("default"), &c),
                         S3C_MISS);
    }
}


static void
a_broken_file_names_its_line(void **state)
{
    static const struct {
        const char  *file;
        unsigned     line;
    } rows[] = {
        { PAIR, 1 },                              /* no section */
        { "\n\n[default\n" PAIR, 3 },
        { "[]\n", 1 },
        { "[  ]\n", 1 },
        { "[default] x\n", 1 },
        { "[default]\ngarbage\n", 2 },
        { "[default]\n= x\n", 2 },
        { "[default]\naws_access_key_id\n", 2 },
        { "[default]\naws_access_key_id =\n", 2 },
        { "[default]\naws_access_key_id = A K\n", 2 },
        { "[default]\naws_access_key_id = A\tK\n", 2 },
        { "[default]\naws_access_key_id = A\xc3\xa9\n", 2 },
        { "[default]\naws_access_key_id = A\x01K\n", 2 },
        { "[default]\naws_access_key_id = A\rK\n", 2 },
        { "[default]\n" PAIR "x = \x7f\n", 4 },
        /* twice: botocore refuses it too */
        { "[default]\n" PAIR "aws_access_key_id = B\n", 4 },
        { "[default]\n" PAIR "[default]\n", 4 },
        { "[default]\n" PAIR "[a]\nx=y\n[default]\n" PAIR, 6 },
        /* continued on the next line */
        { "[default]\n" PAIR "  more\n", 4 },
        { "[default]\n" PAIR "\n# comment\n\t[x]\n", 6 },
        { "[default]\naws_access_key_id = A\n aws_secret_access_key = S\n",
          3 },
        /* one without the other, or none: the line of the profile */
        { "[default]\naws_access_key_id = A\n", 1 },
        { "\n[default]\naws_secret_access_key = S\n", 2 },
        { "[default]\nregion = x\n", 1 },
        { "[default]\n", 1 },
        { "[default]\n[a]\n" PAIR, 1 },
        /* a broken line of another profile breaks the file */
        { "[default]\n" PAIR "[a]\nbroken\n", 5 },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        s3c_status_t       st;
        s3c_credentials_t  c;

        st = s3c_credentials_parse(text(rows[i].file), S3C_SLICE("default"),
                                   &c);

        if (st != S3C_INVALID || c.error_line != rows[i].line) {
            fail_msg("row %zu: %s, line %u", i, s3c_status_name(st),
                     c.error_line);
        }

        assert_int_equal(c.secret_key.len, 0);
    }
}


static void
a_nul_is_refused(void **state)
{
    s3c_credentials_t  c;

    (void) state;

    assert_int_equal(s3c_credentials_parse(
                         S3C_SLICE("[default]\naws_access_key_id = A\0K\n"),
                         S3C_SLICE("default"), &c), S3C_INVALID);
    assert_int_equal(c.error_line, 2);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_profile_is_found),
        cmocka_unit_test(a_profile_that_is_not_there_is_a_miss),
        cmocka_unit_test(a_broken_file_names_its_line),
        cmocka_unit_test(a_nul_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

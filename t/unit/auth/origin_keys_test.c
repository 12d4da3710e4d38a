/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys by value: what may be one, when they end, when to ask again, and the
 * answers that they come in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "auth/origin_keys.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

#define KEYS  "\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\\/e+c=\","
#define END   "\"Expiration\":\"2026-01-31T23:59:59Z\""

#define OPEN  "<AssumeRoleWithWebIdentityResponse xmlns=\"https://x/\">"      \
              "<AssumeRoleWithWebIdentityResult><Credentials>"
#define PAIR  "<AccessKeyId>AK</AccessKeyId>"                                 \
              "<SecretAccessKey>s/e+c=</SecretAccessKey>"
#define WHEN  "<Expiration>2026-01-31T23:59:59Z</Expiration>"
#define CLOSE "</Credentials></AssumeRoleWithWebIdentityResult>"              \
              "</AssumeRoleWithWebIdentityResponse>"

#define EXPIRES  1769903999

typedef s3c_status_t (*parse_t)(uint8_t *text, size_t len,
    s3c_origin_keys_t *keys);


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


/* In memory of its own, that ends where the text does. */
static s3c_status_t
parse(parse_t read, const char *s, s3c_origin_keys_t *keys)
{
    size_t        len = strlen(s);
    uint8_t      *copy = malloc(len > 0 ? len : 1);
    s3c_status_t  st;

    assert_non_null(copy);
    memcpy(copy, s, len);
    memset(keys, 0x55, sizeof(*keys));
    st = read(copy, len, keys);
    free(copy);

    return st;
}


static void
assert_wiped(const s3c_origin_keys_t *keys)
{
    const uint8_t  *p = (const uint8_t *) keys;

    for (size_t i = 0; i < sizeof(*keys); i++) {
        assert_int_equal(p[i], 0);
    }
}


static void
assert_keys(const s3c_origin_keys_t *k, const char *token)
{
    assert_true(s3c_slice_eq(s3c_origin_keys_access(k), text("AK")));
    assert_true(s3c_slice_eq(s3c_origin_keys_secret(k), text("s/e+c=")));
    assert_true(s3c_slice_eq(s3c_origin_keys_token(k), text(token)));
    assert_int_equal(k->expires, EXPIRES);
}


static void
times_are_read(void **state)
{
    static const struct {
        const char  *text;
        int64_t      sec;
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-03-01T00:00:01Z", 59 * 86400 + 1 },
        { "1972-02-29T00:00:00Z", 68169600 },
        { "2000-02-29T12:00:00Z", 951825600 },
        { "2026-01-31T23:59:59Z", EXPIRES },
        { "2026-01-31T23:59:59.999Z", EXPIRES },
        { "2026-01-31T23:59:60Z", EXPIRES + 1 },
        { "2100-03-01T00:00:00Z", 4107542400 },
        { "9999-12-31T23:59:59Z", 253402300799 },
    };
    static const char  *bad[] = {
        "", "2026-01-31T23:59:59", "2026-01-31 23:59:59Z",
        "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00.1",
        "-026-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z", "2026-1-01T00:00:00ZZ",
    };
    int64_t  sec;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_origin_keys_time(text(rows[i].text), &sec),
                         S3C_OK);
        assert_int_equal(sec, rows[i].sec);
    }

    for (size_t i = 0; i < LEN(bad); i++) {
        if (s3c_origin_keys_time(text(bad[i]), &sec) != S3C_INVALID) {
            fail_msg("\"%s\" is a time", bad[i]);
        }
    }
}


static void
keys_must_fit_into_headers(void **state)
{
    char                long_one[S3C_ORIGIN_KEYS_TOKEN_MAX + 2];
    s3c_origin_keys_t   a, b;

    (void) state;

    memset(long_one, 'x', sizeof(long_one));

#define set(access, secret, token)                                            \
    s3c_origin_keys_set(&a, access, secret, token, 7)

    assert_int_equal(set(text("AK"), text("S"), text("T")), S3C_OK);
    assert_int_equal(s3c_origin_keys_set(&b, text("AK"), text("S"), text("T"),
                                         7), S3C_OK);
    assert_true(s3c_origin_keys_eq(&a, &b));

    assert_int_equal(set(text("AK"), text("S"), text("U")), S3C_OK);
    assert_false(s3c_origin_keys_eq(&a, &b));
    assert_int_equal(set(text("AK"), text("R"), text("T")), S3C_OK);
    assert_false(s3c_origin_keys_eq(&a, &b));
    assert_int_equal(set(text("AL"), text("S"), text("T")), S3C_OK);
    assert_false(s3c_origin_keys_eq(&a, &b));
    assert_int_equal(s3c_origin_keys_set(&a, text("AK"), text("S"), text("T"),
                                         8), S3C_OK);
    assert_false(s3c_origin_keys_eq(&a, &b));

    assert_int_equal(set(s3c_slice(long_one, S3C_ORIGIN_KEYS_ACCESS_MAX),
                         s3c_slice(long_one, S3C_ORIGIN_KEYS_SECRET_MAX),
                         s3c_slice(long_one, S3C_ORIGIN_KEYS_TOKEN_MAX)),
                     S3C_OK);
    assert_int_equal(set(s3c_slice(long_one, S3C_ORIGIN_KEYS_ACCESS_MAX + 1),
                         text("S"), text("")), S3C_INVALID);
    assert_wiped(&a);
    assert_int_equal(set(text("AK"),
                         s3c_slice(long_one, S3C_ORIGIN_KEYS_SECRET_MAX + 1),
                         text("")), S3C_INVALID);
    assert_int_equal(set(text("AK"), text("S"),
                         s3c_slice(long_one, S3C_ORIGIN_KEYS_TOKEN_MAX + 1)),
                     S3C_INVALID);
    assert_int_equal(set(text(""), text("S"), text("")), S3C_INVALID);
    assert_int_equal(set(S3C_SLICE_NONE, S3C_SLICE_NONE, S3C_SLICE_NONE),
                     S3C_INVALID);
    assert_int_equal(set(text("AK"), text(""), text("")), S3C_INVALID);
    assert_int_equal(set(text("A/K"), text("S"), text("")), S3C_INVALID);
    assert_int_equal(set(text("A K"), text("S"), text("")), S3C_INVALID);
    assert_int_equal(set(text("AK"), text("S\n"), text("")), S3C_INVALID);
    assert_int_equal(set(text("AK"), text("S"), text("\x7f")), S3C_INVALID);
    assert_wiped(&a);
#undef set
}


static void
an_answer_in_json_is_read(void **state)
{
    static const struct {
        const char  *text, *token;
    } rows[] = {
        { "{" KEYS END "}", "" },
        { " {\n" KEYS "\"Token\" : \"t\\u002bk\\/==\"," END "}\r\n", "t+k/==" },
        { "{\"Code\":\"Success\",\"LastUpdated\":null,\"Type\":\"AWS-HMAC\","
          KEYS "\"Token\":\"T\"," END ",\"More\":{\"Token\":[\"U\",{}]}}",
          "T" },
        { "{" KEYS "\"Token\":\"\"," END "}", "" },
    };
    static const char  *bad[] = {
        "", "{}", "null", "[]", "{" KEYS "}", "{" END "}", "{" KEYS END,
        "{" KEYS END "} x", "{" KEYS KEYS END "}", "{" KEYS END "," END "}",
        "{" KEYS "\"Token\":null," END "}", "{" KEYS "\"Token\":1," END "}",
        "{" KEYS "\"Token\":\"\\ud800\"," END "}",
        "{" KEYS "\"Token\":\"a b\"," END "}",
        "{" KEYS "\"Token\":\"\\n\"," END "}",
        "{" KEYS "\"Token\":{}," END "}",
        "{" KEYS "\"Expiration\":\"soon\"}",
        "{" KEYS "\"Expiration\":1769903999}",
        "{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"S\"," END "}",
        "{\"AccessKeyId\":\"AK\"," END "}",
        "{\"accesskeyid\":\"AK\",\"SecretAccessKey\":\"S\"," END "}",
        "<html>",
    };
    s3c_origin_keys_t  k;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(parse(s3c_origin_keys_parse_json, rows[i].text, &k),
                         S3C_OK);
        assert_keys(&k, rows[i].token);
    }

    for (size_t i = 0; i < LEN(bad); i++) {
        if (parse(s3c_origin_keys_parse_json, bad[i], &k) != S3C_INVALID) {
            fail_msg("taken: %s", bad[i]);
        }

        assert_wiped(&k);
    }

    assert_int_equal(parse(s3c_origin_keys_parse_json,
                           "{\"Code\":\"AssumeRoleUnauthorizedAccess\","
                           "\"Message\":\"EC2 cannot assume the role\"}", &k),
                     S3C_DENIED);
    assert_wiped(&k);
}


static void
an_answer_of_an_sts_is_read(void **state)
{
    static const struct {
        const char  *text, *token;
    } rows[] = {
        { OPEN PAIR WHEN CLOSE, "" },
        { "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" OPEN "\n  " WHEN "\n"
          "<SessionToken>\n t&#x2B;&amp;&#47;== \n</SessionToken>" PAIR CLOSE
          "\n", "t+&/==" },
        /* elsewhere it is something else */
        { "<AssumeRoleWithWebIdentityResponse>"
          "<AccessKeyId>NO</AccessKeyId><Credentials><SessionToken>NO"
          "</SessionToken></Credentials>"
          "<AssumeRoleWithWebIdentityResult><Provider/><More a='>' ><b>"
          "<SessionToken>NO</SessionToken></b></More>"
          "<Credentials><Other/>" PAIR "<SessionToken >T</SessionToken >"
          WHEN CLOSE, "T" },
    };
    static const char  *bad[] = {
        "", " ", "x", "<", "<?xml", "<?xml ?>", OPEN, OPEN PAIR CLOSE,
        OPEN WHEN CLOSE, OPEN PAIR WHEN "</Credentials>",
        OPEN PAIR PAIR WHEN CLOSE, OPEN PAIR WHEN WHEN CLOSE,
        OPEN PAIR WHEN CLOSE "x", OPEN PAIR WHEN CLOSE "<a></a>",
        OPEN PAIR WHEN "<!-- c -->" CLOSE, OPEN PAIR WHEN "<![CDATA[x]]>" CLOSE,
        "<!DOCTYPE x>" OPEN PAIR WHEN CLOSE,
        OPEN PAIR WHEN "<a></b>" CLOSE, OPEN PAIR WHEN "<a b=\"></a>" CLOSE,
        OPEN PAIR WHEN "</a/>" CLOSE, OPEN PAIR WHEN "<a<b>" CLOSE,
        OPEN PAIR WHEN "<SessionToken>a<b/>c</SessionToken>" CLOSE,
        OPEN PAIR WHEN "<SessionToken>a b</SessionToken>" CLOSE,
        OPEN PAIR WHEN "<SessionToken>&unknown;</SessionToken>" CLOSE,
        OPEN PAIR WHEN "<SessionToken>&#233;</SessionToken>" CLOSE,
        OPEN PAIR WHEN "<SessionToken>&#0;</SessionToken>" CLOSE,
        OPEN PAIR WHEN "<SessionToken>&#10;a</SessionToken>" CLOSE,
        OPEN PAIR WHEN "<SessionToken>&amp</SessionToken>" CLOSE,
        OPEN PAIR WHEN "<SessionToken>&;</SessionToken>" CLOSE,
        OPEN PAIR WHEN "<a><b><c><d><e><f></f></e></d></c></b></a>" CLOSE,
        OPEN PAIR "<Expiration></Expiration>" CLOSE,
        OPEN PAIR "<Expiration/>" CLOSE,
        "<AssumeRoleResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        PAIR WHEN "</Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleResponse>",
        "<ErrorResponse><Error><Code>ExpiredTokenException</Code></Error>"
        "</ErrorResponse>",
        "{" KEYS END "}",
    };
    s3c_origin_keys_t  k;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (parse(s3c_origin_keys_parse_sts, rows[i].text, &k) != S3C_OK) {
            fail_msg("refused: %s", rows[i].text);
        }

        assert_keys(&k, rows[i].token);
    }

    for (size_t i = 0; i < LEN(bad); i++) {
        if (parse(s3c_origin_keys_parse_sts, bad[i], &k) != S3C_INVALID) {
            fail_msg("taken: %s", bad[i]);
        }

        assert_wiped(&k);
    }
}


static void
they_are_asked_for_ahead_of_their_end(void **state)
{
    static const struct {
        int64_t   left;
        uint32_t  chance;
        uint64_t  ms;
    } rows[] = {
        { 3600, 0, 3300000 }, { 3600, UINT32_MAX, 3240001 },
        { 43200, 0, 42900000 }, { 600, 0, 300000 }, { 300, 0, 150000 },
        { 10, 0, 5000 }, { 10, UINT32_MAX, 4001 }, { 2, 0, 1000 },
        { 1, 0, 1000 }, { 0, 0, 1000 }, { -100, UINT32_MAX, 1000 },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(s3c_origin_keys_refresh_ms(EXPIRES - rows[i].left,
                                                    EXPIRES, rows[i].chance),
                         rows[i].ms);
    }
}


static void
attempts_that_fail_come_less_often(void **state)
{
    static const uint64_t  ms[] = {
        1000, 1000, 2000, 4000, 8000, 16000, 30000, 30000
    };

    (void) state;

    for (unsigned i = 0; i < LEN(ms); i++) {
        assert_int_equal(s3c_origin_keys_retry_ms(i, 0), ms[i]);
        assert_in_range(s3c_origin_keys_retry_ms(i, UINT32_MAX),
                        ms[i] * 3 / 4, ms[i] * 3 / 4 + 1);
    }

    assert_int_equal(s3c_origin_keys_retry_ms(UINT32_MAX, 0), 30000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(keys_must_fit_into_headers),
        cmocka_unit_test(an_answer_in_json_is_read),
        cmocka_unit_test(an_answer_of_an_sts_is_read),
        cmocka_unit_test(they_are_asked_for_ahead_of_their_end),
        cmocka_unit_test(attempts_that_fail_come_less_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

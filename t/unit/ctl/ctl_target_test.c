/* SPDX-License-Identifier: Apache-2.0
 *
 * Names on a command line: what is taken, and what could be meant in two ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/ctl_target.h"

static const char  *why;


static s3c_status_t
target(const char *text, ctl_target_t *out)
{
    return ctl_target_parse(out, s3c_slice(text, strlen(text)), &why);
}


static void
is_target(const char *text, const char *bucket, const char *key)
{
    ctl_target_t  out;

    assert_int_equal(target(text, &out), S3C_OK);
    assert_null(why);
    assert_true(s3c_slice_eq(out.bucket, s3c_slice(bucket, strlen(bucket))));
    assert_true(s3c_slice_eq(out.key, s3c_slice(key, strlen(key))));
}


static void
keys_are_taken_byte_for_byte(void **state)
{
    (void) state;
    is_target("s3://b", "b", "");
    is_target("s3://b/", "b", "");
    is_target("S3://b/k", "b", "k");
    is_target("s3://b/a/b//c/", "b", "a/b//c/");
    is_target("s3://b//k", "b", "/k");
    is_target("s3://b/a%20b+c?d#e", "b", "a%20b+c?d#e");
    is_target("s3://b/\x01\xff", "b", "\x01\xff");
}


static void
what_is_no_name_of_an_object_is_refused(void **state)
{
    char          text[2048] = "s3://b/";
    ctl_target_t  out;
    static const char *const  wrong[] = {
        "", "b/k", "s3:/b/k", "s3://", "s3:///k", "http://b/k", "s3://b c/k",
        "s3://b%2Fc/k", "s3://b?x", "s3://b\x7f", "s3://b\n/k"
    };

    (void) state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(target(wrong[i], &out), S3C_INVALID);
        assert_non_null(why);
    }

    memset(text + 7, 'k', 1024);
    assert_int_equal(target(text, &out), S3C_OK);
    text[7 + 1024] = 'k';
    assert_int_equal(target(text, &out), S3C_INVALID);
    memset(text + 5, 'b', 256);
    text[5 + 255] = '/';
    text[5 + 256] = '\0';
    assert_int_equal(target(text, &out), S3C_OK);
    text[5 + 255] = 'b';
    assert_int_equal(target(text, &out), S3C_INVALID);
}


static void
is_at(const char *text, bool tls, const char *host, const char *socket)
{
    ctl_endpoint_t  at;

    assert_int_equal(ctl_endpoint_parse(&at, s3c_slice(text, strlen(text)),
                                        &why), S3C_OK);
    assert_null(why);
    assert_int_equal(at.tls, tls);
    assert_string_equal(at.host, host);
    assert_string_equal(at.socket, socket);
    assert_string_equal(ctl_endpoint_name(&at), *socket ? socket : host);
}


static void
places_are_taken_as_they_are_signed(void **state)
{
    (void) state;
    is_at("http://a", false, "a", "");
    is_at("http://a/", false, "a", "");
    is_at("http://a:80", false, "a", "");
    is_at("https://a:443/", true, "a", "");
    is_at("https://a:80", true, "a:80", "");
    is_at("HTTP://node-1.example.com:8080", false,
          "node-1.example.com:8080", "");
    is_at("http://[::1]", false, "[::1]", "");
    is_at("http://[fe80::1]:8080", false, "[fe80::1]:8080", "");
    is_at("unix:/run/s3 cache.sock", false, "localhost",
          "/run/s3 cache.sock");
}


static void
other_places_are_refused(void **state)
{
    char            text[400];
    ctl_endpoint_t  at;
    static const char *const  wrong[] = {
        "", "a:80", "ftp://a", "file:///etc/passwd", "http://", "http://:80",
        "http:///", "http://a/b", "http://u@a", "http://u:p@a", "http://a:0",
        "http://a:65536", "http://a:", "http://a:8x", "http://a?x",
        "http://a#x", "http://a b", "http://a\r\nX: y", "http://[::1",
        "http://::1", "http://[]", "http://a:80:80", "unix:", "unix:a",
        "unix:s/a", "http://a//", "http://\x80"
    };

    (void) state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (ctl_endpoint_parse(&at, s3c_slice(wrong[i], strlen(wrong[i])),
                               &why) != S3C_INVALID || why == NULL)
        {
            fail_msg("\"%s\" was taken", wrong[i]);
        }
    }

    memcpy(text, "unix:/", 6);
    memset(text + 6, 'x', 107);
    assert_int_equal(ctl_endpoint_parse(&at, s3c_slice(text, 6 + 106), &why),
                     S3C_OK);
    assert_int_equal(strlen(at.socket), 107);
    assert_int_equal(ctl_endpoint_parse(&at, s3c_slice(text, 6 + 107), &why),
                     S3C_INVALID);

    memcpy(text, "http://", 7);
    memset(text + 7, 'x', 256);
    assert_int_equal(ctl_endpoint_parse(&at, s3c_slice(text, 7 + 255), &why),
                     S3C_OK);
    assert_int_equal(strlen(at.host), 255);
    assert_int_equal(ctl_endpoint_parse(&at, s3c_slice(text, 7 + 256), &why),
                     S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(keys_are_taken_byte_for_byte),
        cmocka_unit_test(what_is_no_name_of_an_object_is_refused),
        cmocka_unit_test(places_are_taken_as_they_are_signed),
        cmocka_unit_test(other_places_are_refused)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

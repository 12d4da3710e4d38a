/* SPDX-License-Identifier: Apache-2.0
 *
 * Host and path to bucket and key, among them the aliases by which gateways
 * let one object be reached under two names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_address.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

static const s3c_slice_t  domains[] = {
    S3C_SLICE("s3.example.com"),
    S3C_SLICE("example.com"),
    S3C_SLICE("localhost"),
};


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static s3c_status_t
parse(s3c_s3_address_t *addr, const char *host, const char *path,
    s3c_s3_error_t *err)
{
    return s3c_s3_address_parse(addr, text(host), text(path), domains,
                                LEN(domains), err);
}


static void
bucket_and_key_are_found_in_both_styles(void **state)
{
    static const struct {
        const char  *host, *path, *bucket, *key;
        bool         vhost;
    } rows[] = {
        { "s3.example.com", "/", "", "", false },
        { "s3.example.com", "/bucket", "bucket", "", false },
        { "s3.example.com", "/bucket/", "bucket", "", false },
        { "s3.example.com", "/bucket/key", "bucket", "key", false },
        { "", "/bucket/key", "bucket", "key", false },
        { "10.0.0.1:8080", "/bucket/key", "bucket", "key", false },
        { "[::1]:8080", "/bucket/key", "bucket", "key", false },
        { "other.org", "/bucket/key", "bucket", "key", false },
        { "bucket.s3.example.com", "/key", "bucket", "key", true },
        { "bucket.s3.example.com", "/", "bucket", "", true },
        { "bucket.s3.example.com:8080", "/k", "bucket", "k", true },
        { "bucket.s3.example.com.", "/k", "bucket", "k", true },
        { "bucket.s3.example.com.:80", "/k", "bucket", "k", true },
        { "BucKet.S3.EXAMPLE.com", "/Key", "bucket", "Key", true },
        { "a.b.c.s3.example.com", "/k", "a.b.c", "k", true },
        /* the longest domain wins: never a bucket named "x.s3" or "s3" */
        { "buc.example.com", "/k", "buc", "k", true },
        { "example.com", "/bucket/k", "bucket", "k", false },
        { "xlocalhost", "/bucket/k", "bucket", "k", false },
        { ".localhost", "/bucket/k", "bucket", "k", false },
        { "buc.localhost", "/k", "buc", "k", true },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        s3c_s3_error_t    err = S3C_ERR_NONE;
        s3c_s3_address_t  addr;

        if (parse(&addr, rows[i].host, rows[i].path, &err) != S3C_OK
            || err != S3C_ERR_NONE
            || addr.vhost != rows[i].vhost
            || !s3c_slice_eq(addr.bucket, text(rows[i].bucket))
            || !s3c_slice_eq(addr.key, text(rows[i].key)))
        {
            fail_msg("%s %s: %d", rows[i].host, rows[i].path, err);
        }
    }
}


static void
keys_are_bytes(void **state)
{
    static const struct {
        const char  *path, *key;
    } rows[] = {
        { "/bucket//", "/" },
        { "/bucket//a", "/a" },
        { "/bucket/a//b", "a//b" },
        { "/bucket/a/", "a/" },
        { "/bucket/..", ".." },
        { "/bucket/../other/k", "../other/k" },
        { "/bucket/./a", "./a" },
        { "/bucket/%2e%2e/a", "../a" },
        { "/bucket/a%2Fb", "a/b" },
        { "/bucket/a%252Fb", "a%2Fb" },
        { "/bucket/a+b", "a+b" },
        { "/bucket/a%2Bb", "a+b" },
        { "/bucket/a%20b", "a b" },
        { "/bucket/%7E~", "~~" },
        { "/bucket/a%3Fb%23c;d", "a?b#c;d" },
        { "/bucket/%0d%0a", "\r\n" },
        { "/bucket/%C3%A9", "\xc3\xa9" },          /* NFC */
        { "/bucket/e%CC%81", "e\xcc\x81" },        /* NFD: another key */
        { "/bucket/\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
        { "/%62ucket/a", "a" },                    /* RGW: the same bucket */
        { "/bucket/%F4%8F%BF%BF", "\xf4\x8f\xbf\xbf" },
        { "/bucket/%EE%80%80", "\xee\x80\x80" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        s3c_s3_error_t    err;
        s3c_s3_address_t  addr;

        if (parse(&addr, "s3.example.com", rows[i].path, &err) != S3C_OK
            || !s3c_slice_eq(addr.bucket, S3C_SLICE("bucket"))
            || !s3c_slice_eq(addr.key, text(rows[i].key)))
        {
            fail_msg("%s", rows[i].path);
        }
    }
}


static void
a_leading_slash_belongs_to_the_key_of_a_virtual_host(void **state)
{
    s3c_s3_error_t    err;
    s3c_s3_address_t  addr;

    (void) state;

    assert_int_equal(parse(&addr, "bucket.localhost", "//a", &err), S3C_OK);
    assert_true(s3c_slice_eq(addr.key, S3C_SLICE("/a")));
}


static void
bad_addresses_have_their_s3_error(void **state)
{
    static const struct {
        const char      *host, *path;
        s3c_s3_error_t   err;
    } rows[] = {
        { "", "", S3C_ERR_INVALID_URI },
        { "", "bucket", S3C_ERR_INVALID_URI },
        { "", "*", S3C_ERR_INVALID_URI },
        { "", "http://h/bucket/k", S3C_ERR_INVALID_URI },
        { "", "/bucket/%", S3C_ERR_INVALID_URI },
        { "", "/bucket/%zz", S3C_ERR_INVALID_URI },
        { "", "/buck%zt/k", S3C_ERR_INVALID_URI },
        { "", "/bucket/a%00b", S3C_ERR_INVALID_URI },
        /* not UTF-8: stray, short, overlong, surrogate, too large */
        { "", "/bucket/%80", S3C_ERR_INVALID_URI },
        { "", "/bucket/%FF", S3C_ERR_INVALID_URI },
        { "", "/bucket/\xc3", S3C_ERR_INVALID_URI },
        { "", "/bucket/%C3/", S3C_ERR_INVALID_URI },
        { "", "/bucket/%E2%82", S3C_ERR_INVALID_URI },
        { "", "/bucket/%C0%AF", S3C_ERR_INVALID_URI },
        { "", "/bucket/%C1%81", S3C_ERR_INVALID_URI },
        { "", "/bucket/%E0%80%AF", S3C_ERR_INVALID_URI },
        { "", "/bucket/%F0%80%80%AF", S3C_ERR_INVALID_URI },
        { "", "/bucket/%ED%A0%80", S3C_ERR_INVALID_URI },
        { "", "/bucket/%F4%90%80%80", S3C_ERR_INVALID_URI },
        { "", "/bucket/%F5%80%80%80", S3C_ERR_INVALID_URI },
        { "", "//", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "//bucket/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/ab/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/../k", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/bucket%2Fkey", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/buc%00ket/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/buc+ket/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/buc%20ket/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/tenant:bucket/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/tenant$bucket/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "", "/b\xc3\xa9" "cket/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "ab.s3.example.com", "/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "a/b.s3.example.com", "/k", S3C_ERR_INVALID_BUCKET_NAME },
        { "a%62c.s3.example.com", "/k", S3C_ERR_INVALID_BUCKET_NAME },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        s3c_s3_error_t    err = S3C_ERR_NONE;
        s3c_s3_address_t  addr;

        if (parse(&addr, rows[i].host, rows[i].path, &err) != S3C_INVALID
            || err != rows[i].err)
        {
            fail_msg("%s %s: %d", rows[i].host, rows[i].path, err);
        }
    }
}


static void
the_lengths_are_those_of_s3(void **state)
{
    char              path[4096], host[512];
    s3c_s3_error_t    err;
    s3c_s3_address_t  addr;

    (void) state;

    for (unsigned extra = 0; extra <= 1; extra++) {
        memset(path, 'k', sizeof(path));
        memcpy(path, "/bucket/", 8);
        path[8 + 1024 + extra] = '\0';
        assert_int_equal(parse(&addr, "", path, &err),
                         extra ? S3C_INVALID : S3C_OK);
        assert_int_equal(err, extra ? S3C_ERR_KEY_TOO_LONG : S3C_ERR_NONE);
        assert_int_equal(addr.key.len, extra ? 0 : 1024);

        memset(path, 'b', sizeof(path));
        path[0] = '/';
        memcpy(path + 1 + 255 + extra, "/k", 3);
        assert_int_equal(parse(&addr, "", path, &err),
                         extra ? S3C_INVALID : S3C_OK);
        assert_int_equal(err, extra ? S3C_ERR_INVALID_BUCKET_NAME
                                    : S3C_ERR_NONE);

        memset(host, 'b', sizeof(host));
        memcpy(host + 255 + extra, ".localhost", 11);
        assert_int_equal(parse(&addr, host, "/k", &err),
                         extra ? S3C_INVALID : S3C_OK);
    }

    /* it is the decoded key that counts */
    memcpy(path, "/bucket/", 8);

    for (unsigned i = 0; i < 1024; i++) {
        memcpy(path + 8 + i * 3, "%41", 4);
    }

    assert_int_equal(parse(&addr, "", path, &err), S3C_OK);
    assert_int_equal(addr.key.len, 1024);
}


static void
without_domains_every_host_is_path_style(void **state)
{
    s3c_s3_error_t    err;
    s3c_s3_address_t  addr;

    (void) state;

    assert_int_equal(s3c_s3_address_parse(&addr,
                         S3C_SLICE("bucket.s3.example.com"),
                         S3C_SLICE("/other/k"), NULL, 0, &err), S3C_OK);
    assert_false(addr.vhost);
    assert_true(s3c_slice_eq(addr.bucket, S3C_SLICE("other")));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bucket_and_key_are_found_in_both_styles),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(a_leading_slash_belongs_to_the_key_of_a_virtual_host),
        cmocka_unit_test(bad_addresses_have_their_s3_error),
        cmocka_unit_test(the_lengths_are_those_of_s3),
        cmocka_unit_test(without_domains_every_host_is_path_style),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

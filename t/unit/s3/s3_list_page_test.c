/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages of lists as stores write them, and as nobody should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_list_page.h"

#define PAGE(inner)                                                           \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                            \
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"    \
    inner "</ListBucketResult>"

static s3c_s3_page_t  list;


static s3c_status_t
opened(const char *text)
{
    return s3c_s3_page_open(&list, s3c_slice(text, strlen(text)));
}


static void
next_is(const char *expected)
{
    s3c_slice_t  key;

    assert_int_equal(s3c_s3_page_next(&list, &key), S3C_OK);
    assert_true(s3c_slice_eq(key, s3c_slice(expected, strlen(expected))));
}


static void
over(void)
{
    s3c_slice_t  key;

    assert_int_equal(s3c_s3_page_next(&list, &key), S3C_MISS);
}


static void
keys_of_a_page_are_found(void **state)
{
    (void) state;
    assert_int_equal(opened(PAGE(
        "<Name>b</Name><Prefix>Key</Prefix><IsTruncated>true</IsTruncated>"
        "<EncodingType>url</EncodingType>\n"
        "<Contents><Key>a%20b+c%2Fd</Key><Size>1</Size>"
        "<Owner><ID>x</ID><Key>no</Key></Owner></Contents>\n"
        "<Contents>\n <ETag>&quot;x&quot;</ETag> <Key a='>'>%e4</Key>"
        "</Contents><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
        "<Empty/><Key>no</Key>")), S3C_OK);
    assert_true(list.truncated);
    next_is("a b c/d");
    next_is("\xe4");
    over();
    over();
}


static void
keys_that_are_not_coded_have_entities(void **state)
{
    (void) state;
    assert_int_equal(opened(PAGE(
        "<IsTruncated>false</IsTruncated><Contents><Key>a+b%20&amp;&lt;&gt;"
        "&quot;&apos;&#65;&#xe4;&#x20AC;&#x1F600;</Key></Contents>")),
        S3C_OK);
    assert_false(list.truncated);
    next_is("a+b%20&<>\"'A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    over();
}


static void
a_page_may_be_empty(void **state)
{
    (void) state;
    assert_int_equal(opened(PAGE("<KeyCount>0</KeyCount>")), S3C_OK);
    over();
}


static void
what_is_no_page_is_refused(void **state)
{
    static const char *const  wrong[] = {
        "", "{}", "<html></html>", "<Error><Code>x</Code></Error>",
        "<ListBucketResult><a></ListBucketResult>",
        "<ListBucketResult></a></ListBucketResult>",
        PAGE("<!-- -->"), PAGE("<![CDATA[x]]>"), PAGE("<a b='>"),
        PAGE("<>"), PAGE("<a<b>"), PAGE("<IsTruncated><a/></IsTruncated>"),
        PAGE("</ListBucketResult><ListBucketResult>") "x</a>"
    };

    (void) state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (opened(wrong[i]) != S3C_INVALID) {
            fail_msg("%s was taken", wrong[i]);
        }
    }
}


static void
a_key_that_cannot_be_read_ends_it(void **state)
{
    size_t       i;
    s3c_slice_t  key;
    static char  text[8192];
    static const char *const  wrong[] = {
        "", "%", "%2", "%zz", "&", "&x;", "&#;", "&#x;", "&#0;", "&#xd800;",
        "&#x110000;", "&#xg;", "&#99999999999;", "&lt", "<a/>"
    };

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        (void) snprintf(text, sizeof(text),
                        PAGE("<EncodingType>url</EncodingType>"
                             "<Contents><Key>%s</Key></Contents>"), wrong[i]);
        assert_int_equal(opened(text), S3C_OK);

        if (s3c_s3_page_next(&list, &key) != S3C_INVALID) {
            fail_msg("key \"%s\" was taken", wrong[i]);
        }
    }

    for (i = 1024; i <= 1025; i++) {
        (void) snprintf(text, sizeof(text),
                        PAGE("<Contents><Key>%0*d</Key></Contents>"), (int) i,
                        0);
        assert_int_equal(opened(text), S3C_OK);
        assert_int_equal(s3c_s3_page_next(&list, &key),
                         i == 1024 ? S3C_OK : S3C_INVALID);
    }
}


static void
the_next_page_is_asked_for_by_a_key(void **state)
{
    char          text[256];
    s3c_writer_t  w;

    (void) state;
    s3c_writer_init(&w, text, sizeof(text));
    s3c_s3_page_query(&w, S3C_SLICE("a b/"), S3C_SLICE_NONE);
    s3c_write_byte(&w, '\0');
    assert_string_equal(text, "list-type=2&encoding-type=url&prefix=a%20b%2F");
    s3c_writer_init(&w, text, sizeof(text));
    s3c_s3_page_query(&w, S3C_SLICE_NONE, S3C_SLICE("+\xff"));
    s3c_write_byte(&w, '\0');
    assert_string_equal(text, "list-type=2&encoding-type=url&prefix="
                              "&start-after=%2B%FF");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(keys_of_a_page_are_found),
        cmocka_unit_test(keys_that_are_not_coded_have_entities),
        cmocka_unit_test(a_page_may_be_empty),
        cmocka_unit_test(what_is_no_page_is_refused),
        cmocka_unit_test(a_key_that_cannot_be_read_ends_it),
        cmocka_unit_test(the_next_page_is_asked_for_by_a_key)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of DeleteObjects bodies, in pieces of every size, and what makes the
 * reader doubt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_delete.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


/* The keys, each with a '|' behind it; or "doubt". */
static const char *
keys_of(const char *text, size_t len, size_t piece)
{
    static char      out[4096];
    size_t           used, n;
    s3c_slice_t      key, in;
    s3c_status_t     st;
    s3c_s3_delete_t  d = { 0 };

    out[0] = '\0';

    while (len > 0) {
        n = len < piece ? len : piece;
        in = s3c_slice(text, n);
        text += n;
        len -= n;

        do {
            st = s3c_s3_delete_step(&d, in, &key, &used);
            assert_true(used <= in.len);
            in = s3c_slice(in.data + used, in.len - used);

            if (st == S3C_INVALID) {
                return "doubt";
            }

            if (st == S3C_EXISTS) {
                strncat(out, (const char *) key.data, key.len);
                strcat(out, "|");
            }
        } while (st == S3C_EXISTS);

        assert_int_equal(in.len, 0);
    }

    return s3c_s3_delete_is_done(&d) ? out : "doubt";
}


static void
keys_are_read_in_pieces_of_every_size(void **state)
{
    static const struct {
        const char  *text;
        const char  *keys;
    } rows[] = {
        { "<Delete><Object><Key>a</Key></Object></Delete>", "a|" },
        { "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\"http:"
          "//s3.amazonaws.com/doc/2006-03-01/\">\n <Object>\n  <Key>a/b c"
          "</Key><VersionId>v</VersionId></Object><Quiet>true</Quiet>\n"
          "<Object><Key>&amp;&lt;&gt;&quot;&apos;&#65;&#x42;&#xfc;&#x20ac;"
          "&#x1f600;</Key></Object></Delete>\n",
          "a/b c|&<>\"'AB\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80|" },
        { "<n:Delete xmlns:n='>'><n:Object ><n:Key >k</n:Key ></n:Object>"
          "</n:Delete>", "k|" },
        { "<Delete><Quiet/><Object><ETag>x</ETag><Key>\xc3\xbc</Key>"
          "</Object></Delete>", "\xc3\xbc|" },
        { "<Delete></Delete>", "" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (size_t piece = 1; piece <= strlen(rows[i].text); piece++) {
            assert_string_equal(keys_of(rows[i].text, strlen(rows[i].text),
                                        piece), rows[i].keys);
        }
    }
}


static void
what_another_reader_may_read_otherwise_is_doubt(void **state)
{
    static const char  *rows[] = {
        "", "x", "<", "<Delete>", "<Delete/>", "<Delete><Object><Key>a</Key>",
        "<Other><Object><Key>a</Key></Object></Other>",
        "<Delete><Object><Key>a</Key></Object></Delete>x",
        "<Delete><Object><Key>a</Key></Object></Delete><Delete></Delete>",
        "<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>",
        "<!DOCTYPE x><Delete></Delete>", "<!-- --><Delete></Delete>",
        "<Delete><!-- --></Delete>", "<Delete><?x?></Delete>",
        "<?xml version='1.0' encoding='utf-16'?><Delete></Delete>",
        "<?other?><Delete></Delete>",
        "<Delete><Object><Key>a<b/></Key></Object></Delete>",
        "<Delete><Object><Key/></Object></Delete>",
        "<Delete><Object><Key></Key></Object></Delete>",
        "<Delete><Object><Key> a</Key></Object></Delete>",
        "<Delete><Object><Key>a </Key></Object></Delete>",
        "<Delete><Object><Key>a\nb</Key></Object></Delete>",
        "<Delete><Object><Key>&nbsp;</Key></Object></Delete>",
        "<Delete><Object><Key>&#0;</Key></Object></Delete>",
        "<Delete><Object><Key>&#10;</Key></Object></Delete>",
        "<Delete><Object><Key>&#xd800;</Key></Object></Delete>",
        "<Delete><Object><Key>&#x110000;</Key></Object></Delete>",
        "<Delete><Object><Key>&#;</Key></Object></Delete>",
        "<Delete><Object><Key>&#x;</Key></Object></Delete>",
        "<Delete><Object><Key>&#zz;</Key></Object></Delete>",
        "<Delete><Key>a</Key></Delete>",
        "<Delete><Other><Key>a</Key></Other></Delete>",
        "<Delete><Object><Key>a</Object></Key></Delete>",
        "<Delete>&amp;</Delete>", "<Delete></Delete/>", "</Delete>",
        "\xff\xfe<\0D\0", "<Delete><Object><a><b><c></c></b></a></Object>"
        "</Delete>",
    };
    char  body[2 * S3C_S3_KEY_BYTES_MAX];

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (size_t piece = 1; piece < 4; piece++) {
            if (strcmp(keys_of(rows[i], strlen(rows[i]), piece), "doubt")
                != 0)
            {
                fail_msg("no doubt: %s", rows[i]);
            }
        }
    }

    for (int over = 0; over < 2; over++) {
        snprintf(body, sizeof(body), "<Delete><Object><Key>%0*d</Key>"
                 "</Object></Delete>", S3C_S3_KEY_BYTES_MAX + over, 1);
        assert_int_equal(strcmp(keys_of(body, strlen(body), 100), "doubt")
                         == 0, over);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(keys_are_read_in_pieces_of_every_size),
        cmocka_unit_test(what_another_reader_may_read_otherwise_is_doubt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

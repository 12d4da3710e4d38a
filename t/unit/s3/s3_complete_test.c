/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of CompleteMultipartUpload bodies, in pieces of every size, and what
 * makes the reader doubt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_complete.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define A       "00112233445566778899aabbccddeeff"
#define B       "ffeeddccbbaa99887766554433221100"
#define DOC(x)  "<CompleteMultipartUpload>" x "</CompleteMultipartUpload>"
#define PART(n, etag)                                                         \
    "<Part><PartNumber>" n "</PartNumber><ETag>" etag "</ETag></Part>"


/* "number:first and last byte|" of each part; or "doubt". */
static const char *
parts_of(const char *text, size_t piece)
{
    static char        out[4096];
    char               one[32];
    size_t             used, n, len = strlen(text);
    s3c_slice_t        in;
    s3c_status_t       st;
    s3c_s3_part_t      part;
    s3c_s3_complete_t  c = { 0 };

    out[0] = '\0';

    while (len > 0) {
        n = len < piece ? len : piece;
        in = s3c_slice(text, n);
        text += n;
        len -= n;

        do {
            st = s3c_s3_complete_step(&c, in, &part, &used);
            assert_true(used <= in.len);
            in = s3c_slice(in.data + used, in.len - used);

            if (st == S3C_INVALID) {
                assert_int_equal(s3c_s3_complete_step(&c, in, &part, &used),
                                 S3C_INVALID);
                return "doubt";
            }

            if (st == S3C_EXISTS) {
                snprintf(one, sizeof(one), "%u:%02x%02x|", part.number,
                         part.md5[0], part.md5[15]);
                strcat(out, one);
            }
        } while (st == S3C_EXISTS);

        assert_int_equal(in.len, 0);
    }

    return s3c_s3_complete_is_done(&c) ? out : "doubt";
}


static void
parts_are_read_in_pieces_of_every_size(void **state)
{
    static const struct {
        const char  *text;
        const char  *parts;
    } rows[] = {
        { DOC(PART("1", "\"" A "\"")), "1:00ff|" },
        { DOC(PART("1", A) PART("2", "&quot;" B "&quot;")),
          "1:00ff|2:ff00|" },
        { DOC(PART("7", "&#34;" A "&#34;") PART("10000", "&#x22;" B "&#x22;")),
          "7:00ff|10000:ff00|" },
        { "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/>/\">\n"
          "  <Part>\n    <ETag> \"" A "\" </ETag>\n"
          "    <ChecksumCRC32>AAAA==</ChecksumCRC32><ChecksumSHA1/>\n"
          "    <PartNumber>3</PartNumber>\n  </Part>\n"
          "</CompleteMultipartUpload>\n", "3:00ff|" },
        { DOC(""), "" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (size_t piece = 1; piece <= strlen(rows[i].text); piece++) {
            assert_string_equal(parts_of(rows[i].text, piece), rows[i].parts);
        }
    }
}


static void
what_is_not_plain_is_doubt(void **state)
{
    static const char  *rows[] = {
        "x", "<CompleteMultipartUpload>", "<CompleteMultipartUpload/>",
        "<Complete>" PART("1", A) "</Complete>",
        DOC("text"), DOC("<Other/>"), DOC("<Part/>"), DOC("<Part></Part>"),
        DOC("<!-- -->"), DOC("<![CDATA[x]]>"), DOC("<?pi?>"),
        DOC("<Part><PartNumber>1</PartNumber></Part>"),
        DOC("<Part><ETag>" A "</ETag></Part>"),
        DOC(PART("0", A)), DOC(PART("10001", A)), DOC(PART("", A)),
        DOC(PART("1x", A)), DOC(PART("123456", A)), DOC(PART("-1", A)),
        DOC(PART("2", A) PART("2", A)), DOC(PART("2", A) PART("1", A)),
        DOC(PART("1", "")), DOC(PART("1", "\"" A)), DOC(PART("1", A "-2")),
        DOC(PART("1", "00112233445566778899AABBCCDDEEFF")),
        DOC(PART("1", "&quot;" A "\"")), DOC(PART("1", "&amp;" A)),
        DOC("<Part><PartNumber>1</PartNumber><PartNumber>1</PartNumber>"
            "<ETag>" A "</ETag></Part>"),
        DOC("<Part><PartNumber>1</PartNumber><ETag>" A "</ETag><ETag>" A
            "</ETag></Part>"),
        DOC("<Part><PartNumber>1</PartNumber><ETag/></Part>"),
        DOC("<Part><PartNumber><b>1</b></PartNumber><ETag>" A "</ETag></Part>"),
        DOC(PART("1", A)) DOC(PART("1", A)), DOC(PART("1", A)) "x",
        DOC(PART("1", A) "</Part>"), DOC("< Part>"), DOC("<Part<"),
        DOC("<Part></Part/>"),
        DOC("<Part><PartNumber>"
            "1                                                              "
            "  </PartNumber><ETag>" A "</ETag></Part>"),
        "<CompleteMultipartUploadCompleteMultipartUploadCompleteMultipart"
        "Upload>",
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (size_t piece = 1; piece < 4; piece++) {
            if (strcmp(parts_of(rows[i], piece), "doubt") != 0) {
                fail_msg("no doubt: %s", rows[i]);
            }
        }
    }
}


static void
an_etag_is_an_md5_or_it_is_not(void **state)
{
    uint8_t  md5[S3C_DIGEST_MD5_BYTES];

    (void) state;

    assert_int_equal(s3c_s3_etag_md5(S3C_SLICE(A), md5), S3C_OK);
    assert_int_equal(md5[1], 0x11);
    assert_int_equal(s3c_s3_etag_md5(S3C_SLICE("\"" B "\""), md5), S3C_OK);
    assert_int_equal(md5[1], 0xee);

    assert_int_equal(s3c_s3_etag_md5(S3C_SLICE(""), md5), S3C_INVALID);
    assert_int_equal(s3c_s3_etag_md5(S3C_SLICE("\"\""), md5), S3C_INVALID);
    assert_int_equal(s3c_s3_etag_md5(S3C_SLICE("\"" A), md5), S3C_INVALID);
    assert_int_equal(s3c_s3_etag_md5(S3C_SLICE("W/\"" A "\""), md5),
                     S3C_INVALID);
    assert_int_equal(s3c_s3_etag_md5(S3C_SLICE("\"" A "-1\""), md5),
                     S3C_INVALID);
    assert_int_equal(s3c_s3_etag_md5(S3C_SLICE("'" A "'"), md5), S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(parts_are_read_in_pieces_of_every_size),
        cmocka_unit_test(what_is_not_plain_is_doubt),
        cmocka_unit_test(an_etag_is_an_md5_or_it_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

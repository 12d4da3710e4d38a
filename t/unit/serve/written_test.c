/* SPDX-License-Identifier: Apache-2.0
 *
 * Captured bodies: where their bytes are, how parts lie in the object, and what
 * proves that they are it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/written.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

static const uint8_t  secret[S3C_HASH_SECRET_BYTES] = { 7 };


static s3c_written_t
body_of(uint64_t length, uint32_t chunk_bytes, uint64_t nonce)
{
    return (s3c_written_t) {
        .name = s3c_written_name(secret, 1, nonce, 2), .length = length,
        .chunk_bytes = chunk_bytes
    };
}


static bool
same(s3c_hash128_t a, s3c_hash128_t b)
{
    return a.lo == b.lo && a.hi == b.hi;
}


static void
names_differ_in_everything(void **state)
{
    s3c_ident_t    a, b;
    s3c_hash128_t  n = s3c_written_name(secret, 1, 2, 3);

    (void) state;

    assert_false(same(n, s3c_written_name(secret, 2, 2, 3)));
    assert_false(same(n, s3c_written_name(secret, 1, 3, 3)));
    assert_false(same(n, s3c_written_name(secret, 1, 2, 4)));
    assert_false(same(s3c_key_chunk(secret, n, 0),
                      s3c_key_chunk(secret, n, 1)));

    assert_int_equal(s3c_ident_make(&a, 1, S3C_SLICE("b"), S3C_SLICE("k"),
                                    S3C_SLICE("u")), S3C_OK);
    assert_int_equal(s3c_ident_make(&b, 1, S3C_SLICE("b"), S3C_SLICE("ku"),
                                    S3C_SLICE("")), S3C_OK);
    assert_false(same(s3c_key_part(secret, &a, 1),
                      s3c_key_part(secret, &a, 2)));
    assert_false(same(s3c_key_part(secret, &a, 1),
                      s3c_key_part(secret, &b, 1)));
}


static void
chunks_are_of_one_size_but_the_last(void **state)
{
    static const struct {
        uint64_t  length, chunks, last;
    } rows[] = {
        { 0, 0, 0 }, { 1, 1, 1 }, { 9, 1, 9 }, { 10, 1, 10 }, { 11, 2, 1 },
        { 30, 3, 10 }, { 1ull << 40, (1ull << 40) / 10 + 1, 6 },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        s3c_written_t  body = body_of(rows[i].length, 10, 1);

        assert_int_equal(s3c_written_chunks(&body), rows[i].chunks);

        if (rows[i].chunks > 0) {
            assert_int_equal(s3c_written_chunk_size(&body,
                                                    rows[i].chunks - 1),
                             rows[i].last);
        }

        if (rows[i].chunks > 1) {
            assert_int_equal(s3c_written_chunk_size(&body, 0), 10);
        }
    }
}


static void
a_part_is_read_as_it_was_sealed(void **state)
{
    s3c_written_t     in = body_of(12345, 100, 1), out;
    s3c_written_sh_t  sh;

    (void) state;

    memset(in.md5, 9, sizeof(in.md5));
    s3c_written_seal(&sh, &in);

    assert_int_equal(s3c_written_open(&sh, sizeof(sh), &out), S3C_OK);
    assert_true(same(in.name, out.name));
    assert_int_equal(out.length, 12345);
    assert_int_equal(out.chunk_bytes, 100);
    assert_memory_equal(in.md5, out.md5, sizeof(in.md5));

    assert_int_equal(s3c_written_open(&sh, sizeof(sh) - 1, &out),
                     S3C_CORRUPT);
    sh.chunk_bytes = 0;
    assert_int_equal(s3c_written_open(&sh, sizeof(sh), &out), S3C_CORRUPT);
    s3c_written_seal(&sh, &in);
    sh.magic++;
    assert_int_equal(s3c_written_open(&sh, sizeof(sh), &out), S3C_CORRUPT);
}


/* Every byte of an object of parts, read from where find() says it is. */
static void
every_byte_is_found_in_its_chunk(void **state)
{
    static const uint64_t  lengths[] = { 25, 0, 1, 10, 7, 33 };

    size_t               piece, n = LEN(lengths);
    uint64_t             off, total = 0;
    s3c_written_span_t   span;
    s3c_written_piece_t  pieces[LEN(lengths)];

    (void) state;

    for (size_t i = 0; i < n; i++) {
        pieces[i].body = body_of(lengths[i], i % 2 ? 10 : 8, i);
        pieces[i].first = total;
        total += lengths[i];
    }

    for (uint64_t end = 1; end <= total; end++) {
        piece = 0;

        for (off = 0; off < end; off += span.len) {
            assert_int_equal(s3c_written_find(pieces, n, off, end, &piece,
                                              &span), S3C_OK);
            assert_true(span.len > 0 && off + span.len <= end);
            assert_true(same(span.name, pieces[piece].body.name));
            assert_int_equal(span.chunk * pieces[piece].body.chunk_bytes
                             + span.off, off - pieces[piece].first);
            assert_true(span.off + span.len
                        <= s3c_written_chunk_size(&pieces[piece].body,
                                                  span.chunk));
        }

        assert_true(s3c_written_covers(pieces, n, 0, end, 0));
    }

    piece = 0;
    assert_int_equal(s3c_written_find(pieces, n, total, total + 1, &piece,
                                      &span), S3C_MISS);
    assert_false(s3c_written_covers(pieces, n, 0, total + 1, 0));
}


static void
gaps_are_not_covered(void **state)
{
    size_t                     piece = 0;
    s3c_written_span_t         span;
    const s3c_written_piece_t  pieces[] = {
        { body_of(10, 4, 1), 5 }, { body_of(10, 4, 2), 15 },
        { body_of(10, 4, 3), 30 },
    };

    (void) state;

    assert_int_equal(s3c_written_find(pieces, 3, 0, 40, &piece, &span),
                     S3C_MISS);
    assert_int_equal(s3c_written_find(pieces, 3, 24, 40, &piece, &span),
                     S3C_OK);
    assert_int_equal(span.len, 1);
    assert_int_equal(s3c_written_find(pieces, 3, 25, 40, &piece, &span),
                     S3C_MISS);

    assert_true(s3c_written_covers(pieces, 3, 5, 25, 0));
    assert_false(s3c_written_covers(pieces, 3, 4, 25, 0));
    assert_false(s3c_written_covers(pieces, 3, 5, 26, 0));
    assert_false(s3c_written_covers(pieces, 3, 24, 31, 0));
    assert_true(s3c_written_covers(pieces, 3, 30, 40, 0));
    assert_false(s3c_written_covers(pieces, 3, 30, 41, 0));
}


/* Parts as text: a digit is a length, '?' one that is not known. The pieces as
 * "first+length " each. */
static void
lay(const char *parts, uint64_t total, const char *expected)
{
    char                 out[256] = "", one[64];
    size_t               n = strlen(parts), n_pieces;
    s3c_written_part_t   in[16] = { 0 };
    s3c_written_piece_t  pieces[16];

    for (size_t i = 0; i < n; i++) {
        if (parts[i] != '?') {
            in[i].known = true;
            in[i].body = body_of((uint64_t) (parts[i] - '0'), 4, i);
        }
    }

    if (s3c_written_lay(in, n, total, pieces, &n_pieces) != S3C_OK) {
        assert_string_equal("invalid", expected);
        return;
    }

    assert_true(n_pieces <= n);

    for (size_t i = 0; i < n_pieces; i++) {
        snprintf(one, sizeof(one), "%d+%d ", (int) pieces[i].first,
                 (int) pieces[i].body.length);
        strcat(out, one);
    }

    assert_string_equal(out, expected);
}


static void
parts_are_laid_out_as_far_as_it_is_known_where_they_begin(void **state)
{
    (void) state;

    lay("5", 5, "0+5 ");
    lay("555", 15, "0+5 5+5 10+5 ");
    lay("?", 5, "");
    lay("5?", 12, "0+5 ");
    lay("?5", 12, "7+5 ");
    lay("3?5", 12, "0+3 7+5 ");
    lay("3?4?5", 22, "0+3 17+5 ");
    lay("12?34", 20, "0+1 1+2 13+3 16+4 ");
    lay("??", 9, "");
    lay("5?", 5, "0+5 ");

    lay("5", 6, "invalid");
    lay("5", 4, "invalid");
    lay("555", 14, "invalid");
    lay("9?9", 17, "invalid");
    lay("", 1, "invalid");
}


static void
an_object_is_proved_by_its_etag(void **state)
{
    static const uint8_t  md5[S3C_DIGEST_MD5_BYTES] = { 0xab };
    static const struct {
        const char  *etag, *answered, *encryption;
        bool         is;
    } rows[] = {
        { "\"ab000000000000000000000000000000\"",
          "\"ab000000000000000000000000000000\"", "", true },
        { "\"ab000000000000000000000000000000\"",
          "\"ab000000000000000000000000000000\"", "AES256", true },
        { "\"ab000000000000000000000000000001\"",
          "\"ab000000000000000000000000000001\"", "", false },
        { "\"ab000000000000000000000000000001\"",
          "\"ab000000000000000000000000000001\"", "AES256", false },
        { "\"ab000000000000000000000000000001\"",
          "\"ab000000000000000000000000000001\"", "aws:kms", true },
        { "\"ab000000000000000000000000000001\"",
          "\"ab000000000000000000000000000001\"", "aws:kms:dsse", true },
        { "\"ab000000000000000000000000000000\"",
          "\"ab000000000000000000000000000001\"", "", false },
        { "\"ab000000000000000000000000000000\"", "", "aws:kms", false },
        { "\"opaque\"", "\"opaque\"", "", true },
        { "\"opaque\"", "\"opaquf\"", "", false },
        { "W/\"opaque\"", "W/\"opaque\"", "", false },
        { "", "", "", false }, { "\"\"", "\"\"", "", false },
        { "ab000000000000000000000000000000",
          "ab000000000000000000000000000000", "", false },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        if (s3c_written_is_object(
                s3c_slice(rows[i].etag, strlen(rows[i].etag)),
                s3c_slice(rows[i].answered, strlen(rows[i].answered)),
                s3c_slice(rows[i].encryption, strlen(rows[i].encryption)),
                md5)
            != rows[i].is)
        {
            fail_msg("%s %s", rows[i].etag, rows[i].encryption);
        }
    }
}


static void
headers_say_how_it_is_stored(void **state)
{
    static const struct {
        const char  *name, *value;
        bool         archived;
    } rows[] = {
        { "x-amz-storage-class", "GLACIER", true },
        { "X-Amz-Storage-Class", "DEEP_ARCHIVE", true },
        { "x-amz-archive-status", "DEEP_ARCHIVE_ACCESS", true },
        { "x-amz-storage-class", "GLACIER_IR", false },
        { "x-amz-storage-class", "STANDARD_IA", false },
        { "x-amz-meta-a", "GLACIER", false },
    };

    s3c_http_head_t  head = { .n_headers = 0 };

    (void) state;

    assert_false(s3c_written_is_archived(&head));
    assert_int_equal(s3c_written_encryption(&head).len, 0);

    head.n_headers = 1;

    for (size_t i = 0; i < LEN(rows); i++) {
        head.headers[0].name = s3c_slice(rows[i].name, strlen(rows[i].name));
        head.headers[0].value = s3c_slice(rows[i].value,
                                          strlen(rows[i].value));
        assert_int_equal(s3c_written_is_archived(&head), rows[i].archived);
    }

    head.headers[0].name = S3C_SLICE("X-Amz-Server-Side-Encryption");
    head.headers[0].value = S3C_SLICE("aws:kms");
    assert_int_equal(s3c_written_encryption(&head).len, 7);
}


static void
an_upload_is_proved_by_those_of_its_parts(void **state)
{
    static const uint8_t  md5[S3C_DIGEST_MD5_BYTES] = { 0xab, [15] = 0x01 };

    (void) state;

    assert_true(s3c_written_is_upload(
        S3C_SLICE("\"ab000000000000000000000000000001-12\""), md5, 12));
    assert_false(s3c_written_is_upload(
        S3C_SLICE("\"ab000000000000000000000000000001-12\""), md5, 11));
    assert_false(s3c_written_is_upload(
        S3C_SLICE("\"ab000000000000000000000000000002-12\""), md5, 12));
    assert_false(s3c_written_is_upload(
        S3C_SLICE("\"ab000000000000000000000000000001\""), md5, 1));
    assert_false(s3c_written_is_upload(S3C_SLICE(""), md5, 1));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(names_differ_in_everything),
        cmocka_unit_test(chunks_are_of_one_size_but_the_last),
        cmocka_unit_test(a_part_is_read_as_it_was_sealed),
        cmocka_unit_test(every_byte_is_found_in_its_chunk),
        cmocka_unit_test(gaps_are_not_covered),
        cmocka_unit_test(
            parts_are_laid_out_as_far_as_it_is_known_where_they_begin),
        cmocka_unit_test(an_object_is_proved_by_its_etag),
        cmocka_unit_test(headers_say_how_it_is_stored),
        cmocka_unit_test(an_upload_is_proved_by_those_of_its_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures of chunks and trailers: AWS's examples of 66,560 bytes of 'a', in
 * a chunk of 64 KiB, one of 1 KiB and the empty one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/sigv4_chunk.h"
#include "sigv4_signed.h"

#define LEN(a)     (sizeof(a) / sizeof((a)[0]))
#define BIG_BYTES  65536
#define N_CHUNKS   3

static const size_t  sizes[N_CHUNKS] = { BIG_BYTES, 1024, 0 };
static uint8_t       data[BIG_BYTES];

typedef struct {
    s3c_payload_t  payload;
    const char    *seed;
    const char    *chunks[N_CHUNKS];
    const char    *trailer;
} example_t;

static const example_t  plain = {
    S3C_PAYLOAD_SIGNED_CHUNKS,
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    { "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
      "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
      "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9" },
    NULL
};

static const example_t  trailed = {
    S3C_PAYLOAD_SIGNED_TRAILER,
    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    { "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
      "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
      "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992" },
    "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
};


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static s3c_status_t
start(s3c_sigv4_chunks_t *c, const example_t *e, const char *secret)
{
    static s3c_sigv4_claim_t  claim;

    memset(data, 'a', sizeof(data));
    memset(&claim, 0, sizeof(claim));
    claim.payload = e->payload;
    claim.access_key = text(SIGNED_ACCESS_KEY);
    claim.region = S3C_SLICE("us-east-1");
    claim.scope = S3C_SLICE("20130524/us-east-1/s3/aws4_request");
    memcpy(claim.date, "20130524T000000Z", sizeof(claim.date));

    for (unsigned i = 0; i < sizeof(claim.signature); i++) {
        const char  *digits = "0123456789abcdef";

        claim.signature[i] = (uint8_t)
            ((strchr(digits, e->seed[2 * i]) - digits) << 4
             | (strchr(digits, e->seed[2 * i + 1]) - digits));
    }

    return s3c_sigv4_chunks_init(c, &claim, text(secret), NULL);
}


/* In pieces of that size. */
static s3c_status_t
chunk(s3c_sigv4_chunks_t *c, const char *signature, size_t size, size_t piece)
{
    s3c_status_t  st = s3c_sigv4_chunk_begin(c, text(signature));

    for (size_t at = 0; at < size && st == S3C_OK; at += piece) {
        size_t  n = size - at < piece ? size - at : piece;

        st = s3c_sigv4_chunk_add(c, s3c_slice(data + at, n));
    }

    return st == S3C_OK ? s3c_sigv4_chunk_end(c) : st;
}


static s3c_status_t
trail(s3c_sigv4_chunks_t *c, const char *name, const char *value,
    const char *signature)
{
    const s3c_http_header_t  line = { text(name), text(value) };

    return s3c_sigv4_chunk_trailer(c, &line, 1, text(signature));
}


static s3c_status_t
all_chunks(s3c_sigv4_chunks_t *c, const example_t *e, size_t piece)
{
    s3c_status_t  st = start(c, e, SIGNED_SECRET);

    for (unsigned i = 0; i < N_CHUNKS && st == S3C_OK; i++) {
        assert_false(s3c_sigv4_chunks_complete(c));
        st = chunk(c, e->chunks[i], sizes[i], piece);
    }

    return st;
}


static void
the_examples_of_aws_are_good_in_any_pieces(void **state)
{
    static const size_t  pieces[] = { BIG_BYTES, 1000, 17 };
    s3c_sigv4_chunks_t   c;

    (void) state;

    for (size_t i = 0; i < LEN(pieces); i++) {
        assert_int_equal(all_chunks(&c, &plain, pieces[i]), S3C_OK);
        assert_true(s3c_sigv4_chunks_complete(&c));
        s3c_sigv4_chunks_fini(&c);
        assert_false(s3c_sigv4_chunks_complete(&c));

        assert_int_equal(all_chunks(&c, &trailed, pieces[i]), S3C_OK);
        assert_false(s3c_sigv4_chunks_complete(&c));
        assert_int_equal(trail(&c, "X-Amz-Checksum-Crc32c", " sOO8/Q==\t",
                               trailed.trailer), S3C_OK);
        assert_true(s3c_sigv4_chunks_complete(&c));
        s3c_sigv4_chunks_fini(&c);
    }
}


/* Another byte, another order, a chunk less, a chunk twice, another cut. */
static void
another_body_is_corrupt(void **state)
{
    s3c_sigv4_chunks_t  c;

    (void) state;

    for (unsigned i = 0; i < N_CHUNKS; i++) {
        assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);

        for (unsigned k = 0; k < i; k++) {
            assert_int_equal(chunk(&c, plain.chunks[k], sizes[k], 999),
                             S3C_OK);
        }

        data[sizes[i] / 2] ^= 1;
        assert_int_equal(chunk(&c, plain.chunks[i],
                               sizes[i] > 0 ? sizes[i] : 1, 999),
                         S3C_CORRUPT);

        /* and nothing more is good */
        data[sizes[i] / 2] ^= 1;
        assert_int_equal(chunk(&c, plain.chunks[i], sizes[i], 999),
                         S3C_INVALID);
        assert_false(s3c_sigv4_chunks_complete(&c));
        s3c_sigv4_chunks_fini(&c);
    }

    /* the second one first; the first one twice; the end at once */
    assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
    assert_int_equal(chunk(&c, plain.chunks[1], 1024, 999), S3C_CORRUPT);
    s3c_sigv4_chunks_fini(&c);

    assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
    assert_int_equal(chunk(&c, plain.chunks[0], BIG_BYTES, 999), S3C_OK);
    assert_int_equal(chunk(&c, plain.chunks[0], BIG_BYTES, 999), S3C_CORRUPT);
    s3c_sigv4_chunks_fini(&c);

    assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
    assert_int_equal(chunk(&c, plain.chunks[2], 0, 999), S3C_CORRUPT);
    s3c_sigv4_chunks_fini(&c);

    assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
    assert_int_equal(chunk(&c, plain.chunks[0], BIG_BYTES - 1, 999),
                     S3C_CORRUPT);
    s3c_sigv4_chunks_fini(&c);
}


static void
another_seed_or_secret_is_corrupt(void **state)
{
    s3c_sigv4_chunks_t  c;
    example_t           e = plain;

    (void) state;

    assert_int_equal(start(&c, &plain, SIGNED_SECRET "x"), S3C_OK);
    assert_int_equal(chunk(&c, plain.chunks[0], BIG_BYTES, BIG_BYTES),
                     S3C_CORRUPT);
    s3c_sigv4_chunks_fini(&c);

    e.seed = trailed.seed;
    assert_int_equal(start(&c, &e, SIGNED_SECRET), S3C_OK);
    assert_int_equal(chunk(&c, plain.chunks[0], BIG_BYTES, BIG_BYTES),
                     S3C_CORRUPT);
    s3c_sigv4_chunks_fini(&c);
}


static void
each_digit_of_a_signature_counts(void **state)
{
    char                signature[65];
    s3c_sigv4_chunks_t  c;

    (void) state;

    for (unsigned i = 0; i < 64; i++) {
        strcpy(signature, plain.chunks[0]);
        signature[i] = signature[i] == '0' ? '1' : '0';
        assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
        assert_int_equal(chunk(&c, signature, BIG_BYTES, BIG_BYTES),
                         S3C_CORRUPT);
        s3c_sigv4_chunks_fini(&c);
    }

    for (unsigned i = 0; i < 4; i++) {
        static const char *const  bad[] = {
            "", "ad80",
            "AD80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
            "0",
        };

        assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
        assert_int_equal(s3c_sigv4_chunk_begin(&c, text(bad[i])),
                         S3C_INVALID);
        assert_int_equal(s3c_sigv4_chunk_begin(&c, text(plain.chunks[0])),
                         S3C_INVALID);
        s3c_sigv4_chunks_fini(&c);
    }
}


static void
another_trailer_is_corrupt(void **state)
{
    static const struct {
        const char  *name, *value;
    } rows[] = {
        { "x-amz-checksum-crc32c", "sOO8/Q=" },
        { "x-amz-checksum-crc32", "sOO8/Q==" },
        { "x-amz-checksum-crc32c", "" },
        { "", "" },
    };
    s3c_sigv4_chunks_t  c;

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        assert_int_equal(all_chunks(&c, &trailed, 4096), S3C_OK);
        assert_int_equal(trail(&c, rows[i].name, rows[i].value,
                               trailed.trailer), S3C_CORRUPT);
        assert_false(s3c_sigv4_chunks_complete(&c));
        s3c_sigv4_chunks_fini(&c);
    }

    assert_int_equal(all_chunks(&c, &trailed, 4096), S3C_OK);
    assert_int_equal(s3c_sigv4_chunk_trailer(&c, NULL, 0,
                                             text(trailed.trailer)),
                     S3C_CORRUPT);
    s3c_sigv4_chunks_fini(&c);

    /* the signature of a chunk is none of a trailer */
    assert_int_equal(all_chunks(&c, &trailed, 4096), S3C_OK);
    assert_int_equal(trail(&c, "x-amz-checksum-crc32c", "sOO8/Q==",
                           trailed.chunks[2]), S3C_CORRUPT);
    s3c_sigv4_chunks_fini(&c);
}


static void
what_comes_out_of_turn_is_invalid(void **state)
{
    s3c_sigv4_chunks_t  c;

    (void) state;

    assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
    assert_int_equal(s3c_sigv4_chunk_add(&c, S3C_SLICE("a")), S3C_INVALID);
    s3c_sigv4_chunks_fini(&c);

    assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
    assert_int_equal(s3c_sigv4_chunk_end(&c), S3C_INVALID);
    s3c_sigv4_chunks_fini(&c);

    assert_int_equal(start(&c, &plain, SIGNED_SECRET), S3C_OK);
    assert_int_equal(s3c_sigv4_chunk_begin(&c, text(plain.chunks[0])), S3C_OK);
    assert_int_equal(s3c_sigv4_chunk_add(&c, S3C_SLICE_NONE), S3C_OK);
    assert_int_equal(s3c_sigv4_chunk_begin(&c, text(plain.chunks[0])),
                     S3C_INVALID);
    s3c_sigv4_chunks_fini(&c);

    /* after the end; a trailer that was not announced; one too early */
    assert_int_equal(all_chunks(&c, &plain, 4096), S3C_OK);
    assert_int_equal(s3c_sigv4_chunk_begin(&c, text(plain.chunks[2])),
                     S3C_INVALID);
    assert_false(s3c_sigv4_chunks_complete(&c));
    s3c_sigv4_chunks_fini(&c);

    assert_int_equal(all_chunks(&c, &plain, 4096), S3C_OK);
    assert_int_equal(trail(&c, "a", "b", trailed.trailer), S3C_INVALID);
    s3c_sigv4_chunks_fini(&c);

    assert_int_equal(start(&c, &trailed, SIGNED_SECRET), S3C_OK);
    assert_int_equal(trail(&c, "a", "b", trailed.trailer), S3C_INVALID);
    s3c_sigv4_chunks_fini(&c);

    assert_int_equal(all_chunks(&c, &trailed, 4096), S3C_OK);
    assert_int_equal(s3c_sigv4_chunk_begin(&c, text(trailed.chunks[2])),
                     S3C_INVALID);
    s3c_sigv4_chunks_fini(&c);
}


static void
only_signed_chunks_have_a_chain(void **state)
{
    static const s3c_payload_t  others[] = {
        S3C_PAYLOAD_UNSIGNED, S3C_PAYLOAD_HASH, S3C_PAYLOAD_UNSIGNED_TRAILER,
        S3C_PAYLOAD_UNSUPPORTED, S3C_PAYLOAD_INVALID
    };
    example_t                   e = plain;
    s3c_sigv4_chunks_t          c;

    (void) state;

    for (size_t i = 0; i < LEN(others); i++) {
        e.payload = others[i];
        assert_int_equal(start(&c, &e, SIGNED_SECRET), S3C_INVALID);
        assert_int_equal(s3c_sigv4_chunk_begin(&c, text(e.chunks[0])),
                         S3C_INVALID);
        assert_false(s3c_sigv4_chunks_complete(&c));
        s3c_sigv4_chunks_fini(&c);
    }

    assert_int_equal(start(&c, &plain, ""), S3C_INVALID);
    s3c_sigv4_chunks_fini(&c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_examples_of_aws_are_good_in_any_pieces),
        cmocka_unit_test(another_body_is_corrupt),
        cmocka_unit_test(another_seed_or_secret_is_corrupt),
        cmocka_unit_test(each_digit_of_a_signature_counts),
        cmocka_unit_test(another_trailer_is_corrupt),
        cmocka_unit_test(what_comes_out_of_turn_is_invalid),
        cmocka_unit_test(only_signed_chunks_have_a_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

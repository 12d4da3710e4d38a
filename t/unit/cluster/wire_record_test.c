/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/cluster/wire_record.c: what was sealed opens, once, whole, in
 * its order and direction; nothing else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/wire.h"

static const uint8_t  key[16] = "one direction..";
static const uint8_t  other_key[16] = "the other one..";


static s3c_wire_sealer_t
sealer(void)
{
    s3c_wire_sealer_t  s;

    assert_int_equal(s3c_wire_sealer_init(&s, key), S3C_OK);

    return s;
}


static s3c_wire_opener_t
opener(const uint8_t *k)
{
    s3c_wire_opener_t  o;

    assert_int_equal(s3c_wire_opener_init(&o, k), S3C_OK);

    return o;
}


/* A record whose payload is `n` bytes `c`; its bytes in all. */
static size_t
put(s3c_wire_sealer_t *s, uint8_t *out, uint8_t c, size_t n)
{
    s3c_slice_t  part = s3c_slice(out + 4, n);

    memset(out + 4, c, n);
    assert_int_equal(s3c_wire_record_seal(s, &part, 1, out, out + 4 + n),
                     S3C_OK);

    return 4 + n + 16;
}


/* Of bytes that end where they end: ASan looks at every read behind them. */
static s3c_status_t
look(s3c_wire_opener_t *o, const uint8_t *in, size_t len,
    s3c_slice_t *payload, size_t *bytes)
{
    uint8_t       *copy = malloc(len + 1);
    s3c_slice_t    got;
    s3c_status_t   st;

    assert_non_null(copy);
    memcpy(copy + 1, in, len);
    st = s3c_wire_record_open(o, s3c_slice(copy + 1, len), &got, bytes);

    if (st == S3C_OK) {
        *payload = s3c_slice(in + (got.data - (copy + 1)), got.len);
    }

    free(copy);

    return st;
}


static void
records_of_all_sizes_open_in_order(void **state)
{
    static const size_t  sizes[] = { 1, 2, 11, 12, 13, 15, 16, 17, 100, 4096,
                                     32768, 65536, S3C_WIRE_RECORD_MAX - 1,
                                     S3C_WIRE_RECORD_MAX };

    size_t             n, bytes;
    uint8_t           *buf = malloc(S3C_WIRE_RECORD_BYTES + 1);
    s3c_slice_t        payload;
    s3c_wire_sealer_t  s = sealer();
    s3c_wire_opener_t  o = opener(key);

    (void) state;
    assert_non_null(buf);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        n = put(&s, buf, (uint8_t) i, sizes[i]);
        assert_true(n <= S3C_WIRE_RECORD_BYTES);
        buf[n] = 0x77;                   /* the next one's first byte */
        assert_int_equal(look(&o, buf, n + 1, &payload, &bytes), S3C_OK);
        assert_int_equal(bytes, n);
        assert_ptr_equal(payload.data, buf + 4);
        assert_int_equal(payload.len, sizes[i]);
        assert_int_equal(o.n_records, i + 1);
        assert_int_equal(s.n_records, i + 1);
    }

    free(buf);
    s3c_wire_sealer_fini(&s);
    s3c_wire_opener_fini(&o);
}


static void
parts_are_sealed_as_if_they_lay_in_a_row(void **state)
{
    uint8_t            row[4 + 300 + 16], head[4], tag[16];
    s3c_slice_t        parts[302];
    s3c_wire_sealer_t  s, t;

    (void) state;

    for (size_t piece = 1; piece <= 300; piece++) {
        size_t  n = 0;

        s = sealer();
        t = sealer();
        put(&s, row, 0x3c, 300);
        parts[n++] = S3C_SLICE_NONE;

        for (size_t at = 0; at < 300; at += piece) {
            parts[n++] = s3c_slice(row + 4 + at,
                                   300 - at < piece ? 300 - at : piece);
        }

        assert_int_equal(s3c_wire_record_seal(&t, parts, n, head, tag),
                         S3C_OK);
        assert_memory_equal(head, row, 4);
        assert_memory_equal(tag, row + 304, 16);
        s3c_wire_sealer_fini(&s);
        s3c_wire_sealer_fini(&t);
    }
}


static void
a_tag_is_the_gmac_of_length_and_payload(void **state)
{
    uint8_t            row[4 + 5 + 16], tag[16];
    uint8_t            nonce[12] = { 1 };
    s3c_gmac_t         g;
    s3c_wire_sealer_t  s = sealer();

    (void) state;
    put(&s, row, 1, 5);
    put(&s, row, 1, 5);                  /* record number 1 */
    assert_memory_equal(row, "\5\0\0\0\1\1\1\1\1", 9);

    assert_int_equal(s3c_gmac_init(&g, key), S3C_OK);
    assert_int_equal(s3c_gmac_begin(&g, nonce), S3C_OK);
    assert_int_equal(s3c_gmac_add(&g, s3c_slice(row, 9)), S3C_OK);
    assert_int_equal(s3c_gmac_end(&g, tag), S3C_OK);
    assert_memory_equal(row + 9, tag, 16);

    s3c_gmac_fini(&g);
    s3c_wire_sealer_fini(&s);
}


static void
a_part_of_a_record_is_again_and_says_what_is_missing(void **state)
{
    size_t             n, bytes;
    uint8_t            buf[256];
    s3c_slice_t        payload;
    s3c_wire_sealer_t  s = sealer();
    s3c_wire_opener_t  o = opener(key);

    (void) state;
    n = put(&s, buf, 9, 100);

    for (size_t len = 0; len < n; len++) {
        assert_int_equal(look(&o, buf, len, &payload, &bytes), S3C_AGAIN);
        assert_int_equal(bytes, len < 4 ? 4 : n);
    }

    assert_int_equal(look(&o, buf, n, &payload, &bytes), S3C_OK);
    s3c_wire_sealer_fini(&s);
    s3c_wire_opener_fini(&o);
}


static void
a_length_that_cannot_be_is_invalid(void **state)
{
    static const uint32_t  lengths[] = { 0, S3C_WIRE_RECORD_MAX + 1, 1u << 24,
                                         1u << 31, UINT32_MAX,
                                         UINT32_MAX - 19 };

    size_t             n, bytes;
    uint8_t            buf[256];
    s3c_slice_t        payload;
    s3c_wire_sealer_t  s = sealer();
    s3c_wire_opener_t  o;

    (void) state;
    n = put(&s, buf, 9, 100);

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint8_t  bad[256];

        memcpy(bad, buf, n);
        memcpy(bad, &lengths[i], 4);
        o = opener(key);
        assert_int_equal(look(&o, bad, 4, &payload, &bytes), S3C_INVALID);
        /* And then the link is over. */
        assert_int_equal(look(&o, buf, n, &payload, &bytes), S3C_DENIED);
        s3c_wire_opener_fini(&o);
    }

    s3c_wire_sealer_fini(&s);
}


static void
nothing_or_too_much_is_not_sealed(void **state)
{
    uint8_t            head[4], tag[16];
    uint8_t           *big = calloc(1, S3C_WIRE_RECORD_MAX + 1);
    s3c_slice_t        parts[2];
    s3c_wire_sealer_t  s = sealer();

    (void) state;
    assert_non_null(big);

    assert_int_equal(s3c_wire_record_seal(&s, parts, 0, head, tag),
                     S3C_INVALID);
    parts[0] = parts[1] = S3C_SLICE_NONE;
    assert_int_equal(s3c_wire_record_seal(&s, parts, 2, head, tag),
                     S3C_INVALID);
    parts[0] = s3c_slice(big, S3C_WIRE_RECORD_MAX + 1);
    assert_int_equal(s3c_wire_record_seal(&s, parts, 1, head, tag),
                     S3C_INVALID);
    parts[0] = s3c_slice(big, S3C_WIRE_RECORD_MAX);
    parts[1] = s3c_slice(big, 1);
    assert_int_equal(s3c_wire_record_seal(&s, parts, 2, head, tag),
                     S3C_INVALID);
    parts[1] = s3c_slice(big, SIZE_MAX);
    assert_int_equal(s3c_wire_record_seal(&s, parts, 2, head, tag),
                     S3C_INVALID);
    assert_int_equal(s.n_records, 0);
    assert_int_equal(s3c_wire_record_seal(&s, parts, 1, head, tag), S3C_OK);

    free(big);
    s3c_wire_sealer_fini(&s);
}


/* A bit of the length may ask for more bytes first: those come, too. */
static void
every_flipped_bit_of_a_record_is_refused(void **state)
{
    size_t             n, bytes;
    uint8_t           *buf = calloc(1, 2 * S3C_WIRE_RECORD_BYTES);
    s3c_slice_t        payload;
    s3c_status_t       st;
    s3c_wire_sealer_t  s = sealer();
    s3c_wire_opener_t  o;

    (void) state;
    assert_non_null(buf);
    n = put(&s, buf, 9, 70);

    for (size_t bit = 0; bit < 8 * n; bit++) {
        buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
        o = opener(key);
        st = s3c_wire_record_open(&o, s3c_slice(buf,
                                                2 * S3C_WIRE_RECORD_BYTES),
                                  &payload, &bytes);
        assert_true(st == S3C_DENIED || (st == S3C_INVALID && bit < 32));
        buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_int_equal(look(&o, buf, n, &payload, &bytes), S3C_DENIED);
        s3c_wire_opener_fini(&o);
    }

    o = opener(key);
    assert_int_equal(look(&o, buf, n, &payload, &bytes), S3C_OK);
    s3c_wire_opener_fini(&o);
    s3c_wire_sealer_fini(&s);
    free(buf);
}


/* Bytes that are left out, wherever: what follows moves up. */
static void
a_record_with_bytes_left_out_is_refused(void **state)
{
    size_t             n, m, bytes;
    uint8_t            buf[512], cut[512];
    s3c_slice_t        payload;
    s3c_status_t       st;
    s3c_wire_sealer_t  s = sealer();
    s3c_wire_opener_t  o;

    (void) state;
    n = put(&s, buf, 9, 70);
    m = n + put(&s, buf + n, 10, 70);

    for (size_t at = 0; at < n; at++) {
        memcpy(cut, buf, at);
        memcpy(cut + at, buf + at + 1, m - at - 1);
        o = opener(key);
        st = look(&o, cut, m - 1, &payload, &bytes);
        /* Into a length that lacks one comes the payload's first, a 9. */
        assert_true(st == S3C_DENIED || (st == S3C_INVALID && at < 4));
        s3c_wire_opener_fini(&o);
    }

    s3c_wire_sealer_fini(&s);
}


static void
replayed_reordered_and_dropped_records_are_refused(void **state)
{
    size_t             n = 0, bytes;
    uint8_t            r[3][128];
    s3c_slice_t        payload;
    s3c_wire_sealer_t  s = sealer();
    s3c_wire_opener_t  o;

    (void) state;

    for (size_t i = 0; i < 3; i++) {
        n = put(&s, r[i], 7, 50);        /* equal but for their numbers */
    }

    assert_memory_not_equal(r[0] + 54, r[1] + 54, 16);

    for (size_t first = 0; first < 3; first++) {
        for (size_t next = 0; next < 3; next++) {
            o = opener(key);
            assert_int_equal(look(&o, r[first], n, &payload, &bytes),
                             first == 0 ? S3C_OK : S3C_DENIED);
            assert_int_equal(look(&o, r[next], n, &payload, &bytes),
                             first == 0 && next == 1 ? S3C_OK : S3C_DENIED);
            s3c_wire_opener_fini(&o);
        }
    }

    s3c_wire_sealer_fini(&s);
}


static void
records_of_the_other_direction_are_refused(void **state)
{
    size_t             n, bytes;
    uint8_t            buf[128];
    s3c_slice_t        payload;
    s3c_wire_sealer_t  s = sealer();
    s3c_wire_opener_t  o = opener(other_key);

    (void) state;
    n = put(&s, buf, 7, 50);
    assert_int_equal(look(&o, buf, n, &payload, &bytes), S3C_DENIED);
    s3c_wire_sealer_fini(&s);
    s3c_wire_opener_fini(&o);
}


/* Hellos and records together: who heard a hello and replays it to the server
 * has recorded records, too, and none of them opens. */
static void
who_replays_a_hello_has_no_record_that_opens(void **state)
{
    size_t             n = 0, bytes;
    uint8_t            ask[S3C_WIRE_HELLO_TEXT_MAX];
    uint8_t            answer[2][S3C_WIRE_HELLO_TEXT_MAX], rec[128];
    s3c_slice_t        client, payload, secret = S3C_SLICE("x");
    s3c_slice_t        a = S3C_SLICE("a"), b = S3C_SLICE("b");
    s3c_writer_t       w, v;
    s3c_wire_keys_t    keys;
    s3c_wire_hello_t   at_client, at_server;
    s3c_wire_sealer_t  s;
    s3c_wire_opener_t  o;

    (void) state;
    s3c_writer_init(&w, ask, sizeof(ask));
    assert_int_equal(s3c_wire_hello_client_make(&at_client, secret, a, b, 5,
                                                &w), S3C_OK);

    for (int round = 0; round < 2; round++) {
        assert_int_equal(s3c_wire_hello_client_check(&at_server, secret, b, 9,
                                                     s3c_writer_slice(&w),
                                                     &client), S3C_OK);
        s3c_writer_init(&v, answer[round], sizeof(answer[round]));
        assert_int_equal(s3c_wire_hello_server_make(&at_server, secret, b,
                                                    &v), S3C_OK);

        if (round == 0) {
            assert_int_equal(s3c_wire_hello_server_check(&at_client, secret,
                                                         s3c_writer_slice(&v)),
                             S3C_OK);
            assert_int_equal(s3c_wire_hello_keys(&at_client, secret, &keys),
                             S3C_OK);
            assert_int_equal(s3c_wire_sealer_init(&s, keys.client), S3C_OK);
            n = put(&s, rec, 1, 40);
            s3c_wire_sealer_fini(&s);
        }

        assert_int_equal(s3c_wire_hello_keys(&at_server, secret, &keys),
                         S3C_OK);
        assert_int_equal(s3c_wire_opener_init(&o, keys.client), S3C_OK);
        assert_int_equal(look(&o, rec, n, &payload, &bytes),
                         round == 0 ? S3C_OK : S3C_DENIED);
        s3c_wire_opener_fini(&o);

        assert_int_equal(s3c_wire_opener_init(&o, keys.server), S3C_OK);
        assert_int_equal(look(&o, rec, n, &payload, &bytes), S3C_DENIED);
        s3c_wire_opener_fini(&o);
    }
}


static void
a_link_ends_before_its_numbers_do(void **state)
{
    size_t             n, bytes;
    uint8_t            buf[128], head[4], tag[16];
    s3c_slice_t        payload, part = S3C_SLICE("x");
    s3c_wire_sealer_t  s = sealer();
    s3c_wire_opener_t  o = opener(key);

    (void) state;
    s.n_records = o.n_records = S3C_WIRE_RECORDS_MAX - 1;
    n = put(&s, buf, 7, 50);
    assert_int_equal(look(&o, buf, n, &payload, &bytes), S3C_OK);
    assert_int_equal(s3c_wire_record_seal(&s, &part, 1, head, tag), S3C_BUSY);
    assert_int_equal(look(&o, buf, n, &payload, &bytes), S3C_BUSY);
    s3c_wire_sealer_fini(&s);
    s3c_wire_opener_fini(&o);
    s3c_wire_sealer_fini(&s);
    s3c_wire_opener_fini(&o);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(records_of_all_sizes_open_in_order),
        cmocka_unit_test(parts_are_sealed_as_if_they_lay_in_a_row),
        cmocka_unit_test(a_tag_is_the_gmac_of_length_and_payload),
        cmocka_unit_test(a_part_of_a_record_is_again_and_says_what_is_missing),
        cmocka_unit_test(a_length_that_cannot_be_is_invalid),
        cmocka_unit_test(nothing_or_too_much_is_not_sealed),
        cmocka_unit_test(every_flipped_bit_of_a_record_is_refused),
        cmocka_unit_test(a_record_with_bytes_left_out_is_refused),
        cmocka_unit_test(replayed_reordered_and_dropped_records_are_refused),
        cmocka_unit_test(records_of_the_other_direction_are_refused),
        cmocka_unit_test(who_replays_a_hello_has_no_record_that_opens),
        cmocka_unit_test(a_link_ends_before_its_numbers_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

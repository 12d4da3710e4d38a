/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/ssd/ssd_media.c: what is written reads back, and nothing else
 * does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "ssd/ssd_media.h"

#define STORE    0x1234567890abcdefull
#define USE      ((7ull << 40) + 11)
#define SEGMENT  (1u << 20)


static void
flip(void *at, size_t bit)
{
    ((uint8_t *) at)[bit / 8] ^= (uint8_t) (1u << bit % 8);
}

/* --- segment header ------------------------------------------------------ */

static void
a_segment_header_is_found_where_it_belongs(void **state)
{
    uint8_t                buf[1 + sizeof(s3c_ssd_segment_rec_t)];
    uint32_t               version = S3C_SSD_VERSION + 1, crc;
    s3c_ssd_segment_rec_t  rec;

    (void) state;

    for (int odd = 0; odd < 2; odd++) {
        s3c_ssd_segment_encode(buf + odd, STORE, 5, USE, 99);
        assert_int_equal(s3c_ssd_segment_decode(buf + odd, STORE, 5, &rec),
                         S3C_OK);
        assert_int_equal(rec.segment_seq, USE);
        assert_int_equal(rec.floor, 99);
        assert_int_equal(s3c_ssd_segment_decode(buf + odd, STORE + 1, 5,
                                                &rec), S3C_MISS);
        assert_int_equal(s3c_ssd_segment_decode(buf + odd, STORE, 6, &rec),
                         S3C_MISS);

        for (size_t bit = 0; bit < 8 * sizeof(rec); bit++) {
            flip(buf + odd, bit);
            assert_int_equal(s3c_ssd_segment_decode(buf + odd, STORE, 5,
                                                    &rec),
                             bit < 32 ? S3C_MISS : S3C_CORRUPT);
            flip(buf + odd, bit);
        }
    }

    s3c_ssd_segment_encode(buf, STORE, 5, USE, 99);
    memcpy(buf + offsetof(s3c_ssd_segment_rec_t, version), &version, 4);
    crc = s3c_crc32c(0, buf + 8, sizeof(rec) - 8);
    memcpy(buf + 4, &crc, 4);
    assert_int_equal(s3c_ssd_segment_decode(buf, STORE, 5, &rec),
                     S3C_UNSUPPORTED);

    memset(buf, 0, sizeof(buf));
    assert_int_equal(s3c_ssd_segment_decode(buf, STORE, 5, &rec), S3C_MISS);
}

/* --- frames -------------------------------------------------------------- */

static s3c_ssd_frame_rec_t
head_of(uint32_t size, uint32_t frame, const uint8_t *payload)
{
    uint32_t             len = s3c_ssd_frame_len(size, frame);
    s3c_ssd_frame_rec_t  h = {
        .key_lo = 1, .key_hi = 2, .store_id = STORE, .segment_seq = USE,
        .record_seq = USE + 1, .tag = { 3, 4 }, .size = size,
        .frame = (uint16_t) frame, .kind = S3C_SSD_KIND_RECORD,
        .payload_crc = s3c_crc32c(0, payload, len),
    };

    if (frame + 1 == s3c_ssd_n_frames(size)) {
        h.whole_crc = 0xabcd;            /* the reader's to compare */
    }

    return h;
}


static s3c_ssd_expect_t
expect_of(uint32_t frame)
{
    return (s3c_ssd_expect_t) {
        .key = { 1, 2 }, .store_id = STORE, .segment_seq = USE,
        .record_seq = USE + 1, .frame = frame
    };
}


/* In memory of exactly this length, at an odd address. */
static s3c_status_t
frame_look(const uint8_t *frame, size_t avail, const s3c_ssd_expect_t *e,
    bool check_payload, s3c_ssd_frame_rec_t *out)
{
    uint8_t       *copy = malloc(avail + 1);
    s3c_status_t   st;

    assert_non_null(copy);
    memcpy(copy + 1, frame, avail);
    st = s3c_ssd_frame_decode(copy + 1, avail, e, check_payload, out);
    free(copy);

    return st;
}


static size_t
frame_put(uint8_t *buf, uint32_t size, uint32_t frame)
{
    uint32_t             len = s3c_ssd_frame_len(size, frame);
    s3c_ssd_frame_rec_t  h;

    for (uint32_t i = 0; i < len; i++) {
        buf[sizeof(h) + i] = (uint8_t) (i * 31 + frame);
    }

    h = head_of(size, frame, buf + sizeof(h));
    s3c_ssd_frame_encode(&h);
    memcpy(buf, &h, sizeof(h));

    return sizeof(h) + len;
}


static void
frames_of_all_sizes_read_back(void **state)
{
    size_t                 n;
    static uint8_t         buf[S3C_SSD_HEAD_BYTES + S3C_SSD_FRAME_BYTES];
    s3c_ssd_expect_t       e;
    s3c_ssd_frame_rec_t    out;
    static const uint32_t  sizes[] = {
        0, 1, 431, 432, 433, 32767, 32768, 32769, 65536, 100000
    };

    (void) state;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (uint32_t f = 0; f < s3c_ssd_n_frames(sizes[i]); f++) {
            n = frame_put(buf, sizes[i], f);
            e = expect_of(f);
            assert_int_equal(frame_look(buf, n, &e, true, &out), S3C_OK);
            assert_memory_equal(&out, buf, sizeof(out));
            assert_int_equal(frame_look(buf, 80, &e, false, &out), S3C_OK);
            assert_int_equal(frame_look(buf, n - 1, &e, true, &out),
                             S3C_AGAIN);
            assert_int_equal(frame_look(buf, 79, &e, false, &out),
                             S3C_AGAIN);
            assert_int_equal(frame_look(buf, 0, &e, false, &out), S3C_AGAIN);
        }
    }
}


static void
every_flipped_bit_of_a_frame_is_noticed(void **state)
{
    size_t               n;
    uint8_t              buf[1024];
    s3c_ssd_expect_t     any = { .any_key = true };
    s3c_ssd_frame_rec_t  out;

    (void) state;
    n = frame_put(buf, 700, 0);

    for (size_t bit = 0; bit < 8 * n; bit++) {
        flip(buf, bit);
        assert_int_equal(s3c_ssd_frame_decode(buf, n, &any, true, &out),
                         bit < 32 ? S3C_MISS : S3C_CORRUPT);
        flip(buf, bit);
    }

    assert_int_equal(s3c_ssd_frame_decode(buf, n, &any, true, &out), S3C_OK);
}


static void
a_frame_of_somebody_else_is_a_miss(void **state)
{
    size_t               n;
    uint8_t              buf[1024];
    s3c_ssd_expect_t     e;
    s3c_ssd_frame_rec_t  out;

    (void) state;
    n = frame_put(buf, 700, 0);

#define look(field, value, expected)                                          \
    e = expect_of(0);                                                         \
    e.field = value;                                                          \
    assert_int_equal(frame_look(buf, n, &e, true, &out), expected)

    look(key.lo, 7, S3C_MISS);
    look(key.hi, 7, S3C_MISS);
    look(store_id, 7, S3C_MISS);
    look(segment_seq, 7, S3C_MISS);
    look(record_seq, 7, S3C_MISS);
    look(frame, 1, S3C_MISS);
    look(store_id, 0, S3C_OK);
    look(segment_seq, 0, S3C_OK);
    look(record_seq, 0, S3C_OK);

#undef look

    e = expect_of(0);
    e.key.lo = 7;
    e.any_key = true;
    assert_int_equal(frame_look(buf, n, &e, true, &out), S3C_OK);

    memset(buf, 0, sizeof(buf));
    assert_int_equal(frame_look(buf, n, &e, true, &out), S3C_MISS);
}


static void
a_frame_that_cannot_be_is_corrupt(void **state)
{
    uint8_t              payload[1] = { 0 };
    s3c_ssd_expect_t     e;
    s3c_ssd_frame_rec_t  h, out;

    (void) state;

#define look(size_, frame_, change, expected)                                 \
    h = head_of(0, 0, payload);                                               \
    h.size = size_;                                                           \
    h.frame = frame_;                                                         \
    change;                                                                   \
    s3c_ssd_frame_encode(&h);                                                 \
    e = expect_of(frame_);                                                    \
    assert_int_equal(frame_look((uint8_t *) &h, 80, &e, false, &out),         \
                     expected)

    look(0, 0, (void) 0, S3C_OK);
    look(0, 0, h.kind = 0, S3C_CORRUPT);
    look(0, 0, h.kind = 3, S3C_CORRUPT);
    look(0, 0, h.zero = 1, S3C_CORRUPT);
    look(0, 0, h.kind = S3C_SSD_KIND_TOMBSTONE, S3C_OK);
    look(1, 0, h.kind = S3C_SSD_KIND_TOMBSTONE, S3C_CORRUPT);
    look(0, 1, (void) 0, S3C_CORRUPT);
    look(32768, 1, (void) 0, S3C_CORRUPT);
    look(32769, 1, (void) 0, S3C_OK);
    look(32769, 0, (void) 0, S3C_CORRUPT);         /* whole_crc too early */
    look(32769, 0, h.whole_crc = 0, S3C_OK);
    look(32769, 2, (void) 0, S3C_CORRUPT);
    look(S3C_SSD_SEGMENT_MAX / 2, 1023, (void) 0, S3C_OK);
    look(S3C_SSD_SEGMENT_MAX / 2 + 1, 1024, (void) 0, S3C_CORRUPT);
    look(UINT32_MAX, 65535, (void) 0, S3C_CORRUPT);

#undef look

    e = (s3c_ssd_expect_t) { .any_key = true };
    h = head_of(0, 0, payload);
    h.record_seq = 0;
    s3c_ssd_frame_encode(&h);
    assert_int_equal(frame_look((uint8_t *) &h, 80, &e, true, &out),
                     S3C_CORRUPT);
    h.record_seq = USE + 1;
    h.segment_seq = 0;
    s3c_ssd_frame_encode(&h);
    assert_int_equal(frame_look((uint8_t *) &h, 80, &e, true, &out),
                     S3C_CORRUPT);
}

/* --- footer -------------------------------------------------------------- */

#define ENTRIES  250                     /* three blocks of them */

typedef struct {
    s3c_ssd_footer_rec_t   entries[ENTRIES];
    uint8_t               *out;
    uint8_t               *trailer;      /* its block */
    uint32_t               bytes, n;
} footer_t;


static void
footer_put(footer_t *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        f->entries[i] = (s3c_ssd_footer_rec_t) {
            .key_lo = i, .key_hi = ~i, .record_seq = USE + 1 + i,
            .unit = 8 + i * 2, .size = i % 5 == 4 ? 0 : 800,
            .kind = i % 5 == 4 ? S3C_SSD_KIND_TOMBSTONE : S3C_SSD_KIND_RECORD
        };
    }

    f->n = n;
    f->bytes = s3c_ssd_footer_bytes(n);
    f->out = malloc(f->bytes);
    assert_non_null(f->out);
    memset(f->out, 0xee, f->bytes);
    f->trailer = f->out + f->bytes - S3C_SSD_BLOCK;
    s3c_ssd_footer_encode(f->out, STORE, USE, USE + n, f->entries, n,
                          SEGMENT);
}


static s3c_status_t
footer_look(const footer_t *f)
{
    s3c_status_t           st;
    s3c_ssd_trailer_rec_t  t;

    st = s3c_ssd_trailer_decode(f->trailer, STORE, USE, SEGMENT, &t);

    return st != S3C_OK ? st : s3c_ssd_footer_decode(f->out, &t, SEGMENT);
}


static void
a_footer_reads_back(void **state)
{
    uint8_t                zero[S3C_SSD_BLOCK] = { 0 };
    footer_t               f;
    s3c_ssd_footer_rec_t   e;
    s3c_ssd_trailer_rec_t  t;

    (void) state;

    for (uint32_t n = 0; n <= ENTRIES; n += n < 3 || n > 200 ? 1 : 99) {
        footer_put(&f, n);
        assert_int_equal(footer_look(&f), S3C_OK);
        assert_int_equal(s3c_ssd_trailer_decode(f.trailer, STORE, USE,
                                                SEGMENT, &t), S3C_OK);
        assert_int_equal(t.n_records, n);
        assert_int_equal(t.last_seq, USE + n);
        assert_int_equal(t.footer_off, SEGMENT - f.bytes);

        for (uint32_t i = 0; i < n; i++) {
            e = s3c_ssd_footer_entry(f.out, i);
            assert_memory_equal(&e, &f.entries[i], sizeof(e));
        }

        assert_memory_equal(f.out + n * sizeof(e), zero,
                            f.bytes - S3C_SSD_BLOCK - n * sizeof(e));
        assert_memory_equal(f.trailer + sizeof(t), zero,
                            S3C_SSD_BLOCK - sizeof(t));
        free(f.out);
    }
}


static void
every_flipped_bit_of_a_footer_is_noticed(void **state)
{
    footer_t  f;

    (void) state;
    footer_put(&f, 150);

    for (size_t bit = 0; bit < 8 * f.n * sizeof(*f.entries); bit++) {
        flip(f.out, bit);
        assert_int_equal(footer_look(&f), S3C_CORRUPT);
        flip(f.out, bit);
    }

    for (size_t bit = 0; bit < 8 * sizeof(s3c_ssd_trailer_rec_t); bit++) {
        flip(f.trailer, bit);
        assert_int_equal(footer_look(&f), bit < 32 ? S3C_MISS : S3C_CORRUPT);
        flip(f.trailer, bit);
    }

    free(f.out);
}


static void
a_trailer_of_another_use_is_a_miss(void **state)
{
    footer_t               f;
    s3c_ssd_trailer_rec_t  t;

    (void) state;
    footer_put(&f, 10);
    assert_int_equal(s3c_ssd_trailer_decode(f.trailer, STORE + 1, USE,
                                            SEGMENT, &t), S3C_MISS);
    assert_int_equal(s3c_ssd_trailer_decode(f.trailer, STORE, USE + 1,
                                            SEGMENT, &t), S3C_MISS);
    assert_int_equal(s3c_ssd_trailer_decode(f.trailer, STORE, USE,
                                            2 * SEGMENT, &t), S3C_CORRUPT);
    memset(f.trailer, 0, S3C_SSD_BLOCK);
    assert_int_equal(footer_look(&f), S3C_MISS);
    free(f.out);
}


static void
a_trailer_that_cannot_be_is_corrupt(void **state)
{
    footer_t               f;
    s3c_ssd_trailer_rec_t  t, whole;

    (void) state;
    footer_put(&f, 10);
    memcpy(&whole, f.trailer, sizeof(whole));

#define refused(change)                                                       \
    t = whole;                                                                \
    change;                                                                   \
    t.crc = s3c_crc32c(0, (uint8_t *) &t + 8, sizeof(t) - 8);                 \
    memcpy(f.trailer, &t, sizeof(t));                                         \
    assert_int_equal(footer_look(&f), S3C_CORRUPT)

    refused(t.version++);
    refused(t.n_records = UINT32_MAX);
    refused(t.n_records = 107374183);    /* times 40 is just over 2^32 */
    refused(t.n_records = SEGMENT / S3C_SSD_UNIT);
    refused(t.n_records = 103);
    refused(t.n_records = 11);           /* same place, other checksum */
    refused(t.footer_off = 0);
    refused(t.footer_off = 4095);
    refused(t.footer_off = SEGMENT);
    refused(t.footer_off = UINT32_MAX);
    refused(t.footer_off -= S3C_SSD_BLOCK);
    refused(t.footer_off += S3C_SSD_BLOCK);
    refused(t.last_seq--);

#undef refused

    free(f.out);
}


static void
a_footer_entry_that_cannot_be_is_corrupt(void **state)
{
    footer_t               f;
    uint32_t               off;
    s3c_ssd_footer_rec_t  *e = &f.entries[3];

    (void) state;
    footer_put(&f, 10);
    off = SEGMENT - f.bytes;

#define look(change, expected)                                                \
    free(f.out);                                                              \
    footer_put(&f, 10);                                                       \
    change;                                                                   \
    s3c_ssd_footer_encode(f.out, STORE, USE, USE + 10, f.entries, 10,         \
                          SEGMENT);                                           \
    assert_int_equal(footer_look(&f), expected)

    look((void) 0, S3C_OK);
    look(e->unit = 7, S3C_CORRUPT);
    look(e->unit = 0, S3C_CORRUPT);
    look(e->unit = UINT32_MAX, S3C_CORRUPT);
    look(e->unit = off / 512 - 2, S3C_OK);
    look(e->unit = off / 512 - 1, S3C_CORRUPT);
    look(e->unit = 8388608, S3C_CORRUPT);          /* times 512 is 2^32 */
    look(e->unit = 8; e->size = SEGMENT / 2, S3C_OK);
    look(e->unit = 8; e->size = SEGMENT / 2 + 1, S3C_CORRUPT);
    look(e->size = UINT32_MAX, S3C_CORRUPT);
    look(e->kind = 0, S3C_CORRUPT);
    look(e->kind = 3, S3C_CORRUPT);
    look(e->kind = S3C_SSD_KIND_TOMBSTONE, S3C_CORRUPT);
    look(e->kind = S3C_SSD_KIND_TOMBSTONE; e->size = 0, S3C_OK);
    look(e->zero[0] = 1, S3C_CORRUPT);
    look(e->zero[6] = 1, S3C_CORRUPT);
    look(e->record_seq = 0, S3C_CORRUPT);
    look(e->record_seq = USE + 11, S3C_CORRUPT);

#undef look

    free(f.out);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_segment_header_is_found_where_it_belongs),
        cmocka_unit_test(frames_of_all_sizes_read_back),
        cmocka_unit_test(every_flipped_bit_of_a_frame_is_noticed),
        cmocka_unit_test(a_frame_of_somebody_else_is_a_miss),
        cmocka_unit_test(a_frame_that_cannot_be_is_corrupt),
        cmocka_unit_test(a_footer_reads_back),
        cmocka_unit_test(every_flipped_bit_of_a_footer_is_noticed),
        cmocka_unit_test(a_trailer_of_another_use_is_a_miss),
        cmocka_unit_test(a_trailer_that_cannot_be_is_corrupt),
        cmocka_unit_test(a_footer_entry_that_cannot_be_is_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

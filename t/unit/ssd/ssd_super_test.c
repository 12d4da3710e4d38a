/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/ssd/ssd_super.c: of two copies of a superblock, the newer whole
 * one counts.
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

typedef uint8_t  super_area_t[S3C_SSD_SUPER_BYTES];


static void
flip(void *at, size_t bit)
{
    ((uint8_t *) at)[bit / 8] ^= (uint8_t) (1u << bit % 8);
}


static s3c_ssd_super_t
super_of(uint64_t epoch)
{
    s3c_ssd_super_t  s = {
        .store_id = STORE + epoch, .epoch = epoch, .bytes = 64u << 20,
        .segment_bytes = 1u << 20
    };

    for (size_t i = 0; i < sizeof(s.secret); i++) {
        s.secret[i] = (uint8_t) (i * 7 + 1);
    }

    return s;
}


static void
super_put(super_area_t area, uint64_t epoch)
{
    s3c_ssd_super_t  s = super_of(epoch);

    s3c_ssd_super_encode(area + epoch % 2 * S3C_SSD_BLOCK, &s);
}


/* After a change of its bytes: the checksum that belongs to them. */
static void
super_fix(uint8_t *block)
{
    uint32_t  crc = 0;
    size_t    at = offsetof(s3c_ssd_super_rec_t, crc);

    memcpy(block + at, &crc, 4);
    crc = s3c_crc32c(0, block, S3C_SSD_BLOCK);
    memcpy(block + at, &crc, 4);
}


static void
super_is(const super_area_t area, uint64_t epoch, bool lost_copy)
{
    s3c_ssd_super_t  got, s = super_of(epoch);

    assert_int_equal(s3c_ssd_super_decode(area, &got), S3C_OK);
    assert_int_equal(got.store_id, s.store_id);
    assert_int_equal(got.epoch, epoch);
    assert_int_equal(got.bytes, s.bytes);
    assert_int_equal(got.segment_bytes, s.segment_bytes);
    assert_memory_equal(got.secret, s.secret, sizeof(s.secret));
    assert_int_equal(got.lost_copy, lost_copy);
}


static void
super_refused(const super_area_t area, s3c_status_t st)
{
    s3c_ssd_super_t  got;

    assert_int_equal(s3c_ssd_super_decode(area, &got), st);
}


static void
the_newer_whole_copy_wins(void **state)
{
    super_area_t  area = { 0 };

    (void) state;
    super_put(area, 1);
    super_is(area, 1, false);
    super_put(area, 2);
    super_is(area, 2, false);
    super_put(area, 3);
    super_is(area, 3, false);

    flip(area + S3C_SSD_BLOCK, 8 * 4000);
    super_is(area, 2, true);
    flip(area, 8 * 100);
    super_refused(area, S3C_CORRUPT);
    super_put(area, 5);
    super_is(area, 5, true);
}


static void
every_flipped_bit_of_a_superblock_is_noticed(void **state)
{
    super_area_t     area = { 0 };
    s3c_ssd_super_t  got;

    (void) state;
    super_put(area, 1);

    for (size_t bit = 0; bit < 8 * S3C_SSD_BLOCK; bit++) {
        flip(area + S3C_SSD_BLOCK, bit);
        super_refused(area, bit < 64 ? S3C_INVALID : S3C_CORRUPT);
        flip(area + S3C_SSD_BLOCK, bit);
    }

    /* With another whole copy there, that one. */
    super_put(area, 2);

    for (size_t bit = 0; bit < 8 * S3C_SSD_BLOCK; bit += 13) {
        flip(area, bit);
        assert_int_equal(s3c_ssd_super_decode(area, &got), S3C_OK);
        assert_int_equal(got.epoch, 1);
        assert_true(got.lost_copy);
        flip(area, bit);
    }
}


static void
a_superblock_torn_anywhere_gives_the_other_copy(void **state)
{
    super_area_t  area = { 0 };
    uint8_t       old[S3C_SSD_BLOCK];

    (void) state;
    super_put(area, 1);
    super_put(area, 2);
    memcpy(old, area + S3C_SSD_BLOCK, S3C_SSD_BLOCK);

    for (size_t n = 0; n <= S3C_SSD_BLOCK; n++) {
        super_put(area, 3);

        if (memcmp(area + S3C_SSD_BLOCK + n, old + n, S3C_SSD_BLOCK - n)
            == 0)
        {
            continue;                    /* all that changes is written */
        }

        memcpy(area + S3C_SSD_BLOCK + n, old + n, S3C_SSD_BLOCK - n);
        super_is(area, 2, memcmp(area + S3C_SSD_BLOCK, old, S3C_SSD_BLOCK)
                          != 0);
    }
}


static void
a_fresh_and_a_foreign_file_are_told_from_ours(void **state)
{
    super_area_t  area = { 0 };

    (void) state;
    super_refused(area, S3C_MISS);

    area[S3C_SSD_SUPER_BYTES - 1] = 1;
    super_refused(area, S3C_INVALID);
    memset(area, 'x', sizeof(area));
    super_refused(area, S3C_INVALID);
    memset(area, 0, S3C_SSD_BLOCK);
    super_refused(area, S3C_INVALID);

    super_put(area, 2);                  /* taken over: one copy is foreign */
    super_is(area, 2, true);
    flip(area, 8 * 300);
    super_refused(area, S3C_CORRUPT);
}


static void
a_superblock_of_another_version_counts_if_it_is_the_newest(void **state)
{
    uint32_t      version = S3C_SSD_VERSION + 1;
    super_area_t  area = { 0 };

    (void) state;
    super_put(area, 2);
    memcpy(area + offsetof(s3c_ssd_super_rec_t, version), &version, 4);
    super_refused(area, S3C_CORRUPT);
    super_fix(area);
    super_refused(area, S3C_UNSUPPORTED);
    super_put(area, 1);
    super_refused(area, S3C_UNSUPPORTED);
    flip(area + S3C_SSD_BLOCK, 999);
    super_refused(area, S3C_UNSUPPORTED);
    super_put(area, 3);
    super_is(area, 3, false);
}


static void
a_superblock_that_cannot_be_is_corrupt(void **state)
{
    super_area_t          area;
    s3c_ssd_super_t       s;
    static const uint64_t bytes[] = {
        0, 7u << 20, (64u << 20) + 1, S3C_SSD_STORE_BYTES_MAX + (1u << 20),
        UINT64_MAX
    };
    static const uint32_t segment_bytes[] = {
        0, 1, 512u << 10, 3u << 20, 512u << 20, UINT32_MAX
    };

    (void) state;

#define refused(field, value)                                                 \
    memset(area, 0, sizeof(area));                                            \
    s = super_of(1);                                                          \
    s.field = value;                                                          \
    s3c_ssd_super_encode(area, &s);                                           \
    super_refused(area, S3C_CORRUPT)

    for (size_t i = 0; i < sizeof(bytes) / sizeof(*bytes); i++) {
        refused(bytes, bytes[i]);
    }

    for (size_t i = 0; i < sizeof(segment_bytes) / sizeof(uint32_t); i++) {
        refused(segment_bytes, segment_bytes[i]);
    }

    refused(store_id, 0);
    refused(epoch, UINT64_MAX);
    refused(epoch, 1u << 24);

#undef refused

    memset(area, 0, sizeof(area));
    super_put(area, 2);
    area[offsetof(s3c_ssd_super_rec_t, zero)] = 1;
    super_fix(area);
    super_refused(area, S3C_CORRUPT);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_newer_whole_copy_wins),
        cmocka_unit_test(every_flipped_bit_of_a_superblock_is_noticed),
        cmocka_unit_test(a_superblock_torn_anywhere_gives_the_other_copy),
        cmocka_unit_test(a_fresh_and_a_foreign_file_are_told_from_ours),
        cmocka_unit_test(
            a_superblock_of_another_version_counts_if_it_is_the_newest),
        cmocka_unit_test(a_superblock_that_cannot_be_is_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

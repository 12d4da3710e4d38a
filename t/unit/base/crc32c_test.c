/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C: every way that this processor offers against a bit by bit reference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/crc32c_way.h"

#define BYTES_MAX  (80u << 10)

static uint8_t   bytes[BYTES_MAX + 64];
static uint64_t  seed = 20261121;


static uint32_t
roll(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;

    return (uint32_t) (seed >> 33) % below;
}


static uint32_t
reference(uint32_t crc, const uint8_t *p, size_t len)
{
    crc = ~crc;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];

        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
        }
    }

    return ~crc;
}


static int
bytes_init(void **state)
{
    (void) state;

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t) roll(256);
    }

    return 0;
}


static void
the_values_are_those_of_the_standard(void **state)
{
    uint8_t  buf[32];

    (void) state;
    assert_int_equal(s3c_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(s3c_crc32c(0, "", 0), 0);
    assert_int_equal(s3c_crc32c(0x1234, NULL, 0), 0x1234);

    memset(buf, 0, sizeof(buf));                         /* RFC 3720, B.4 */
    assert_int_equal(s3c_crc32c(0, buf, 32), 0x8a9136aau);
    memset(buf, 0xff, sizeof(buf));
    assert_int_equal(s3c_crc32c(0, buf, 32), 0x62a8ab43u);

    for (int i = 0; i < 32; i++) {
        buf[i] = (uint8_t) i;
    }

    assert_int_equal(s3c_crc32c(0, buf, 32), 0x46dd794eu);
}


static void
every_way_gives_the_same(void **state)
{
    int                      n_tried = 0;
    size_t                   len, at;
    uint32_t                 crc, want;
    uint8_t                 *exact;
    const s3c_crc32c_way_t  *way;

    (void) state;

    for (int i = 0; s3c_crc32c_ways[i] != NULL; i++) {
        way = s3c_crc32c_ways[i];

        if (!way->offered()) {
            print_message("%s: not on this processor\n", way->name);
            continue;
        }

        n_tried++;

        for (int n = 0; n < 2200; n++) {
            len = n < 1100 ? (size_t) n
                           : roll(n % 20 == 0 ? BYTES_MAX : 9000);
            at = roll(64);
            crc = roll(2) ? roll(UINT32_MAX) : 0;
            exact = malloc(len + 1);      /* a byte too far is noticed */
            assert_non_null(exact);
            memcpy(exact + 1, bytes + at, len);

            want = reference(crc, bytes + at, len);
            assert_int_equal(~way->update(~crc, bytes + at, len), want);
            assert_int_equal(~way->update(~crc, exact + 1, len), want);
            free(exact);
        }
    }

    assert_true(n_tried >= 1);
}


static void
the_first_that_is_offered_is_used(void **state)
{
    int  i = 0;

    (void) state;

    while (!s3c_crc32c_ways[i]->offered()) {
        i++;
    }

    assert_string_equal(s3c_crc32c_name(), s3c_crc32c_ways[i]->name);
}


static void
a_copy_is_exact_and_has_the_same_value(void **state)
{
    size_t    len, at;
    uint8_t  *to;
    uint32_t  crc;

    (void) state;

    for (int n = 0; n < 500; n++) {
        len = n < 100 ? (size_t) n : roll(40000);
        at = roll(64);
        crc = roll(UINT32_MAX);
        to = malloc(len + 1);
        assert_non_null(to);

        assert_int_equal(s3c_crc32c_copy(crc, to + 1, bytes + at, len),
                         s3c_crc32c(crc, bytes + at, len));
        assert_memory_equal(to + 1, bytes + at, len);
        free(to);
    }
}


static void
parts_compose_to_the_whole(void **state)
{
    size_t    len, cut;
    uint32_t  a, b, whole;

    (void) state;

    for (int n = 0; n < 2000; n++) {
        len = roll(n % 10 == 0 ? BYTES_MAX : 600);
        cut = roll((uint32_t) len + 1);

        if (n % 20 == 0 && len >= 32768) {      /* a frame of flash */
            cut = len - 32768;
        }

        a = s3c_crc32c(0, bytes, cut);
        b = s3c_crc32c(0, bytes + cut, len - cut);
        whole = s3c_crc32c(0, bytes, len);
        assert_int_equal(s3c_crc32c_combine(a, b, len - cut), whole);
        assert_int_equal(s3c_crc32c(a, bytes + cut, len - cut), whole);
    }

    assert_int_equal(s3c_crc32c_combine(77, 0, 0), 77);
    assert_int_equal(s3c_crc32c_combine(0, 77, 12345), 77);
}


/* 3 TB in two ways of brackets, and lengths whose bits do not fit 64. */
static void
long_parts_compose_as_short_ones_do(void **state)
{
    uint32_t  crc, piece, left, right;
    uint64_t  len = 1000;

    (void) state;
    piece = s3c_crc32c(0, bytes, len);
    crc = piece;

    for (int i = 0; i < 31; i++, len *= 2) {
        crc = s3c_crc32c_combine(crc, crc, len);
    }

    left = s3c_crc32c_combine(s3c_crc32c_combine(crc, piece, 1000), crc, len);
    right = s3c_crc32c_combine(crc, s3c_crc32c_combine(piece, crc, len),
                               len + 1000);
    assert_int_equal(left, right);

    crc = s3c_crc32c_combine(piece, 0, UINT64_MAX);
    left = s3c_crc32c_combine(piece, 0, UINT64_MAX / 3);

    for (int i = 0; i < 2; i++) {
        left = s3c_crc32c_combine(left, 0, UINT64_MAX / 3);
    }

    assert_int_equal(crc, left);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(the_values_are_those_of_the_standard),
        cmocka_unit_test(every_way_gives_the_same),
        cmocka_unit_test(the_first_that_is_offered_is_used),
        cmocka_unit_test(a_copy_is_exact_and_has_the_same_value),
        cmocka_unit_test(parts_compose_to_the_whole),
        cmocka_unit_test(long_parts_compose_as_short_ones_do),
    };

    return cmocka_run_group_tests(tests, bytes_init, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Checksums against their check values ("123456789") and FIPS 180-4, whole
 * and in parts of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sum.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

static const struct {
    s3c_sum_kind_t  kind;
    size_t          bytes;
    const char     *empty;
    const char     *digits;
} rows[] = {
    { S3C_SUM_CRC32, 4, "00000000", "cbf43926" },
    { S3C_SUM_CRC32C, 4, "00000000", "e3069283" },
    { S3C_SUM_CRC64NVME, 8, "0000000000000000", "ae8b14860a799888" },
    { S3C_SUM_SHA1, 20, "da39a3ee5e6b4b0d3255bfef95601890afd80709",
      "f7c3bc1d808e04732adf679965ccc34ca7ae3441" },
    { S3C_SUM_SHA256, 32, "e3b0c44298fc1c149afbf4c8996fb924"
      "27ae41e4649b934ca495991b7852b855", "15e2b0d3c33891ebb0f1ef609ec41942"
      "0c20e320ce94c65fbc8c3312448eb225" },
};


static size_t
sum_of(s3c_sum_kind_t kind, const void *data, size_t len, size_t piece,
    uint8_t *out)
{
    size_t          n;
    s3c_sum_t       sum;
    const uint8_t  *p = data;

    assert_int_equal(s3c_sum_init(&sum, kind), S3C_OK);

    while (len > 0) {
        n = len < piece ? len : piece;
        assert_int_equal(s3c_sum_add(&sum, s3c_slice(p, n)), S3C_OK);
        p += n;
        len -= n;
    }

    n = s3c_sum_end(&sum, out);
    s3c_sum_fini(&sum);

    return n;
}


static void
sums_are_those_of_their_standards(void **state)
{
    char     hex[2 * S3C_SUM_BYTES_MAX + 1];
    uint8_t  out[S3C_SUM_BYTES_MAX];

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(sum_of(rows[i].kind, "123456789", 9 * k, 100,
                                    out), rows[i].bytes);

            for (size_t n = 0; n < rows[i].bytes; n++) {
                snprintf(hex + 2 * n, 3, "%02x", out[n]);
            }

            assert_string_equal(hex, k ? rows[i].digits : rows[i].empty);
        }
    }
}


static void
parts_of_every_size_give_the_same(void **state)
{
    uint8_t  data[1000], whole[S3C_SUM_BYTES_MAX], parts[S3C_SUM_BYTES_MAX];

    (void) state;

    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) (i * i >> 3);
    }

    for (size_t i = 0; i < LEN(rows); i++) {
        sum_of(rows[i].kind, data, sizeof(data), sizeof(data), whole);

        for (size_t piece = 1; piece < 40; piece++) {
            sum_of(rows[i].kind, data, sizeof(data), piece, parts);
            assert_memory_equal(whole, parts, rows[i].bytes);
        }
    }
}


static void
no_sum_is_no_bytes(void **state)
{
    uint8_t  out[S3C_SUM_BYTES_MAX];

    (void) state;

    assert_int_equal(sum_of(S3C_SUM_NONE, "x", 1, 1, out), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(sums_are_those_of_their_standards),
        cmocka_unit_test(parts_of_every_size_give_the_same),
        cmocka_unit_test(no_sum_is_no_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


static void
spans_cover_any_range(void **state)
{
    int            n, want_n;
    size_t         off, len, got, at;
    zone_t         z;
    uint64_t       rng = 8;
    uint8_t       *whole, *p;
    struct iovec   iov[16];
    s3c_ram_pin_t  pin;
    uint32_t       size = 121 * 512 - 77;        /* five extents, a list */

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(object_put(z.ram, 1, size, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &pin), S3C_OK);
    assert_true(payload_is(z.ram, &pin, 1));

    whole = malloc(size);
    assert_non_null(whole);
    n = 16;
    assert_int_equal(s3c_ram_span(z.ram, &pin, 0, SIZE_MAX, iov, &n), size);
    assert_ptr_equal(iov[0].iov_base, s3c_ram_head(z.ram, &pin));

    for (at = 0, want_n = 0; want_n < n; want_n++) {
        memcpy(whole + at, iov[want_n].iov_base, iov[want_n].iov_len);
        at += iov[want_n].iov_len;
    }

    for (int i = 0; i < 3000; i++) {
        off = rng_next(&rng) % (size + 100);
        len = rng_next(&rng) % (size + 100);
        n = i % 3 == 0 ? 1 : 16;
        got = s3c_ram_span(z.ram, &pin, off, len, iov, &n);

        if (off >= size) {
            assert_int_equal(got, 0);
            assert_int_equal(n, 0);
            continue;
        }

        at = len < size - off ? len : size - off;
        assert_true(i % 3 == 0 ? got <= at : got == at);

        for (int j = 0; j < n; j++) {
            p = iov[j].iov_base;
            assert_memory_equal(p, whole + off, iov[j].iov_len);
            off += iov[j].iov_len;
            got -= iov[j].iov_len;
        }

        assert_int_equal(got, 0);
    }

    free(whole);
    s3c_ram_unpin(z.ram, &pin);
    zone_close(&z);
}


static void
nothing_pinned_is_nothing(void **state)
{
    int            n = 2;
    zone_t         z;
    struct iovec   iov[2];
    s3c_ram_pin_t  pin = { 0, 0 };

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(s3c_ram_size(z.ram, &pin), 0);
    assert_null(s3c_ram_head(z.ram, &pin));
    assert_int_equal(s3c_ram_span(z.ram, &pin, 0, 1, iov, &n), 0);
    s3c_ram_unpin(z.ram, &pin);
    zone_close(&z);
}


static void
a_broken_extent_ends_the_walk(void **state)
{
    int                  n = 8;
    zone_t               z;
    struct iovec         iov[8];
    s3c_ram_pin_t        pin;
    s3c_ram_entry_sh_t  *e;
    uint32_t             keep;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(object_put(z.ram, 1, 41267, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &pin), S3C_OK);
    e = s3c_ram_entry_at(z.ram, pin.entry);
    keep = e->ext[1];
    e->ext[1] = UINT32_MAX;
    assert_int_equal(s3c_ram_span(z.ram, &pin, 0, 41267, iov, &n), 32768);
    e->ext[1] = keep + 1;
    n = 8;
    assert_int_equal(s3c_ram_span(z.ram, &pin, 0, 41267, iov, &n), 32768);
    e->ext[1] = keep;
    s3c_ram_unpin(z.ram, &pin);
    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(spans_cover_any_range),
        cmocka_unit_test(nothing_pinned_is_nothing),
        cmocka_unit_test(a_broken_extent_ends_the_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

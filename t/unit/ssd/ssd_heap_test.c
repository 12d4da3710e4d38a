/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ssd/ssd_read.h"

#define K  ((size_t) 1 << 10)


static void
pieces_never_overlap_and_come_back(void **state)
{
    static const size_t   sizes[] = { 8 * K, 16 * K, 40 * K, 144 * K,
                                      1040 * K };
    enum { N = 40 };
    uint8_t              *p[N];
    size_t                bytes[N];
    uint64_t              seed = 1;
    s3c_ssd_heap_t        heap = { 0 };

    (void) state;
    memset(p, 0, sizeof(p));

    for (int turn = 0; turn < 4000; turn++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned  i = (unsigned) (seed >> 33) % N;

        if (p[i] != NULL) {
            for (size_t k = 0; k < bytes[i]; k += 4 * K) {
                assert_int_equal(p[i][k], i + 1);
            }

            s3c_ssd_heap_give(&heap, p[i], bytes[i]);
            p[i] = NULL;
            continue;
        }

        bytes[i] = sizes[(seed >> 40) % 5];
        p[i] = s3c_ssd_heap_take(&heap, bytes[i]);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t) p[i] % S3C_SSD_BLOCK, 0);
        memset(p[i], (int) i + 1, bytes[i]);

        if (turn % 100 == 0) {
            s3c_ssd_heap_trim(&heap);
        }
    }

    for (unsigned i = 0; i < N; i++) {
        if (p[i] != NULL) {
            s3c_ssd_heap_give(&heap, p[i], bytes[i]);
        }
    }

    assert_int_equal(heap.n_used, 0);
    s3c_ssd_heap_fini(&heap);
    assert_null(heap.base);
}


static void
it_is_full_to_the_last_granule(void **state)
{
    s3c_ssd_heap_t  heap = { 0 };
    uint8_t        *p, *first = s3c_ssd_heap_take(&heap, 8 * K);
    uint32_t        n = 1;

    (void) state;

    while ((p = s3c_ssd_heap_take(&heap, 8 * K)) != NULL) {
        assert_ptr_equal(p, first + n * 8 * K);
        n++;
    }

    assert_int_equal(n, S3C_SSD_HEAP_GRANULES);

    /* a gap of two granules is no room for three */
    s3c_ssd_heap_give(&heap, first + 100 * 8 * K, 16 * K);
    assert_null(s3c_ssd_heap_take(&heap, 24 * K));
    assert_ptr_equal(s3c_ssd_heap_take(&heap, 16 * K), first + 100 * 8 * K);

    s3c_ssd_heap_give(&heap, first, n * 8 * K);
    s3c_ssd_heap_fini(&heap);
    assert_null(heap.base);
}


static void
pages_rest_only_when_nobody_uses_them(void **state)
{
    s3c_ssd_heap_t  heap = { 0 };
    uint8_t        *a = s3c_ssd_heap_take(&heap, 2048 * K);
    uint8_t        *b = s3c_ssd_heap_take(&heap, 8 * K);
    uint8_t        *c = s3c_ssd_heap_take(&heap, 8 * K);

    (void) state;
    memset(a, 1, 2048 * K);
    memset(b, 2, 8 * K);
    memset(c, 3, 8 * K);

    s3c_ssd_heap_give(&heap, a, 2048 * K);
    s3c_ssd_heap_give(&heap, b, 8 * K);
    s3c_ssd_heap_trim(&heap);
    assert_int_equal(a[0], 0);
    assert_int_equal(c[0], 3);
    assert_int_equal(b[0], 2);

    s3c_ssd_heap_fini(&heap);            /* c is the kernel's, perhaps */
    assert_non_null(heap.base);
    s3c_ssd_heap_give(&heap, c, 8 * K);
    s3c_ssd_heap_fini(&heap);
    assert_null(heap.base);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(pieces_never_overlap_and_come_back),
        cmocka_unit_test(it_is_full_to_the_last_granule),
        cmocka_unit_test(pages_rest_only_when_nobody_uses_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

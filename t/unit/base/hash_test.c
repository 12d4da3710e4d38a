/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes: equal on every node, keyed by the secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"


static void
a_hash_is_the_same_on_every_node(void **state)
{
    (void) state;

    /* XXH3_64bits, seed 0: of nothing, and of one byte */
    assert_true(s3c_hash64("", 0) == 0x2d06800538d394c2ULL);
    assert_true(s3c_hash64(NULL, 0) == s3c_hash64("", 0));
    assert_true(s3c_hash64("a", 1) == 0xe6c632b61e964e1fULL);
}


static void
another_secret_gives_another_hash(void **state)
{
    uint8_t        one[S3C_HASH_SECRET_BYTES], two[S3C_HASH_SECRET_BYTES];
    s3c_hash128_t  a, b;

    (void) state;

    for (unsigned i = 0; i < sizeof(one); i++) {
        one[i] = (uint8_t) (i * 37 + 11);
        two[i] = (uint8_t) (i * 91 + 5);
    }

    a = s3c_hash128(one, "key", 3);
    b = s3c_hash128(one, "key", 3);
    assert_true(s3c_hash128_eq(a, b));

    b = s3c_hash128(two, "key", 3);
    assert_false(s3c_hash128_eq(a, b));

    b = s3c_hash128(one, "kez", 3);
    assert_false(s3c_hash128_eq(a, b));

    b = a;
    b.hi ^= 1;
    assert_false(s3c_hash128_eq(a, b));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_hash_is_the_same_on_every_node),
        cmocka_unit_test(another_secret_gives_another_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

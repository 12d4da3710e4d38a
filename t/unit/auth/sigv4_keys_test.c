/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache of signing keys changes nothing but time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sigv4_request.h"

static request_t          request;
static s3c_sigv4_keys_t   keys;


static unsigned
slots_used(void)
{
    unsigned  n = 0;

    for (unsigned i = 0; i < S3C_SIGV4_KEYS; i++) {
        n += keys.slots[i].valid;
    }

    return n;
}


static s3c_sigv4_key_slot_t *
first_slot(void)
{
    for (unsigned i = 0; i < S3C_SIGV4_KEYS; i++) {
        if (keys.slots[i].valid) {
            return &keys.slots[i];
        }
    }

    fail();

    return NULL;
}


static void
only_keys_of_good_signatures_are_kept(void **state)
{
    (void) state;

    s3c_sigv4_keys_wipe(&keys);
    request_named(&request, "get plain.txt");
    request.keys = &keys;
    strcpy(request.path, "/bucket/other");
    request_check(&request, "bad", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    request.secret = "";
    request_check(&request, "unknown", S3C_ERR_INVALID_ACCESS_KEY_ID, NULL);
    assert_int_equal(slots_used(), 0);

    request_named(&request, "get plain.txt");
    request.keys = &keys;
    request_check(&request, "good", S3C_ERR_NONE, NULL);
    request_check(&request, "again", S3C_ERR_NONE, NULL);
    assert_int_equal(slots_used(), 1);

    /* it is that key which is used */
    first_slot()->key[0] ^= 1;
    request_check(&request, "broken", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    s3c_sigv4_keys_wipe(&keys);
    request_check(&request, "wiped", S3C_ERR_NONE, NULL);
}


static void
a_key_is_of_one_secret_day_region_and_access_key(void **state)
{
    s3c_sigv4_key_slot_t  *slot;

    (void) state;

    s3c_sigv4_keys_wipe(&keys);
    request_named(&request, "get plain.txt");
    request.keys = &keys;
    request_check(&request, "good", S3C_ERR_NONE, NULL);
    slot = first_slot();
    assert_memory_equal(slot->date8, "20260115", 8);

    request.secret = "another";
    request_check(&request, "rotated", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    request.secret = SIGNED_SECRET "x";
    request_check(&request, "longer", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    request.secret = SIGNED_SECRET;

    /* a wrong key in the slot is taken only where all is equal */
    slot->key[0] ^= 1;
    slot->date8[7] ^= 1;
    request_check(&request, "day", S3C_ERR_NONE, NULL);
    slot->key[0] ^= 1;
    slot->region[0] ^= 1;
    request_check(&request, "region", S3C_ERR_NONE, NULL);
    slot->key[0] ^= 1;
    slot->region_len--;
    request_check(&request, "region", S3C_ERR_NONE, NULL);
    slot->key[0] ^= 1;
    slot->access_key[0] ^= 1;
    request_check(&request, "access key", S3C_ERR_NONE, NULL);
    slot->key[0] ^= 1;
    slot->secret[0] ^= 1;
    request_check(&request, "secret", S3C_ERR_NONE, NULL);
    assert_int_equal(slots_used(), 1);
}


static void
every_good_request_is_good_with_a_cache(void **state)
{
    (void) state;

    s3c_sigv4_keys_wipe(&keys);

    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < n_signed_requests; i++) {
            request_from(&request, &signed_requests[i]);
            request.keys = &keys;
            request_check(&request, signed_requests[i].name, S3C_ERR_NONE,
                          NULL);
        }
    }

    assert_in_range(slots_used(), 2, 3);     /* three regions */
}


static void
a_secret_that_is_too_long_is_an_error_of_ours(void **state)
{
    char  secret[S3C_SIGV4_SECRET_MAX + 2];

    (void) state;

    s3c_sigv4_keys_wipe(&keys);
    memset(secret, 's', sizeof(secret));
    secret[sizeof(secret) - 1] = '\0';
    request_named(&request, "get plain.txt");
    request.keys = &keys;
    request.secret = secret;
    request_check(&request, "long", S3C_ERR_INTERNAL_ERROR, NULL);
    secret[S3C_SIGV4_SECRET_MAX] = '\0';
    request_check(&request, "just", S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(only_keys_of_good_signatures_are_kept),
        cmocka_unit_test(a_key_is_of_one_secret_day_region_and_access_key),
        cmocka_unit_test(every_good_request_is_good_with_a_cache),
        cmocka_unit_test(a_secret_that_is_too_long_is_an_error_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of identities: each is found by its access key, and nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/identity_set.h"

#define KEYS  1000


static void
each_of_many_is_found_by_its_access_key(void **state)
{
    char               name[16];
    s3c_identities_t  *set = s3c_identities_create(KEYS, 0, KEYS * 8);

    (void) state;

    assert_non_null(set);
    assert_int_equal(set->max_keys, KEYS);

    for (unsigned i = 0; i < KEYS; i++) {
        uint8_t  *at = set->text + 8 * i;

        snprintf(name, sizeof(name), "%u", i);
        memcpy(at, name, 8);
        set->keys[i].access_key = s3c_slice(at, strlen(name));
        assert_int_equal(s3c_identity_table_put(&set->by_access_key,
                                                &set->keys[i].access_key),
                         S3C_OK);
        assert_int_equal(s3c_identity_table_put(&set->by_access_key,
                                                &set->keys[i].access_key),
                         S3C_EXISTS);
    }

    for (unsigned i = 0; i < 2 * KEYS; i++) {
        snprintf(name, sizeof(name), "%u", i);
        assert_ptr_equal(s3c_identities_find(set, s3c_slice(name,
                                                            strlen(name))),
                         i < KEYS ? &set->keys[i] : NULL);
    }

    assert_null(s3c_identities_anonymous(set));
    s3c_identities_destroy(set);
}


static void
a_set_has_room_up_to_its_limits(void **state)
{
    s3c_identities_t  *set = s3c_identities_create(1000000, 1000000, 1);

    (void) state;

    assert_non_null(set);
    assert_int_equal(set->max_identities, S3C_IDENTITIES_MAX);
    assert_int_equal(set->max_keys, S3C_IDENTITY_KEYS_MAX);
    assert_int_equal(set->max_statements, S3C_IDENTITY_STATEMENTS_MAX);
    assert_int_equal(set->max_resources, S3C_IDENTITY_RESOURCES_MAX);
    assert_true(set->by_access_key.n_slots >= 2 * S3C_IDENTITY_KEYS_MAX);

    /* the last bytes of all parts are its own */
    memset(set->identities, 1, set->max_identities * sizeof(s3c_identity_t));
    memset(set->keys, 1, set->max_keys * sizeof(s3c_identity_key_t));
    memset(set->statements, 1, set->max_statements * sizeof(s3c_statement_t));
    memset(set->resources, 1, set->max_resources * sizeof(s3c_resource_t));
    set->text[0] = 1;
    assert_null(s3c_identities_find(set, S3C_SLICE("A")));
    assert_ptr_equal(set->text + 1, (uint8_t *) set + set->n_bytes);
    s3c_identities_destroy(set);
}


static void
an_access_key_that_is_too_long_is_nobodys(void **state)
{
    char               name[S3C_IDENTITY_ACCESS_KEY_MAX + 1];
    s3c_identities_t  *set = s3c_identities_create(1, 0, 0);

    (void) state;

    assert_non_null(set);
    memset(name, 'A', sizeof(name));
    assert_null(s3c_identities_find(set, s3c_slice(name, sizeof(name))));
    assert_null(s3c_identities_find(set, s3c_slice(name, sizeof(name) - 1)));
    s3c_identities_destroy(set);
    s3c_identities_destroy(NULL);
}


static void
all_needs_must_be_allowed_and_nobody_may_anything(void **state)
{
    s3c_resource_t   r = { S3C_SLICE("a"), S3C_SLICE("*") };
    s3c_statement_t  s = { false, 1u << S3C_ACTION_READ, 1, &r };
    s3c_identity_t   identity = { S3C_SLICE("n"), { 1, &s } };
    s3c_needs_t      needs;

    (void) state;

    memset(&needs, 0, sizeof(needs));
    assert_true(s3c_identity_may_all(&identity, &needs));
    assert_true(s3c_identity_may_all(NULL, &needs));

    needs.n = 1;
    needs.all[0] = (s3c_access_t) { S3C_ACTION_READ, S3C_SCOPE_KEY,
                                    S3C_SLICE("a"), S3C_SLICE("k") };
    assert_true(s3c_identity_may_all(&identity, &needs));
    assert_false(s3c_identity_may_all(NULL, &needs));
    assert_false(s3c_identity_may(NULL, &needs.all[0]));

    needs.n = 2;
    needs.all[1] = needs.all[0];
    needs.all[1].action = S3C_ACTION_ADMIN;
    assert_false(s3c_identity_may_all(&identity, &needs));

    needs.all[1].action = S3C_ACTION_READ;
    assert_true(s3c_identity_may_all(&identity, &needs));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(each_of_many_is_found_by_its_access_key),
        cmocka_unit_test(a_set_has_room_up_to_its_limits),
        cmocka_unit_test(an_access_key_that_is_too_long_is_nobodys),
        cmocka_unit_test(all_needs_must_be_allowed_and_nobody_may_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

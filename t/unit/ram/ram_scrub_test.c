/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/wait.h>
#include <unistd.h>

#include "ram_test.h"

#define SKIPPED  72

typedef struct {
    uint32_t  n;
    uint64_t  key_lo;
    zone_t   *z;
} bad_t;


static uint32_t
skip_none(const void *head, size_t avail)
{
    (void) head;
    (void) avail;

    return 0;
}


static uint32_t
skip_some(const void *head, size_t avail)
{
    (void) head;
    (void) avail;

    return SKIPPED;
}


static void
note_bad(void *ctx, const s3c_ram_pin_t *pin)
{
    bad_t  *bad = ctx;

    bad->n++;
    bad->key_lo = s3c_ram_entry_at(bad->z->ram, pin->entry)->key_lo;
}


static s3c_ram_scrubbed_t
one_pass(s3c_ram_t *ram, uint32_t bytes)
{
    s3c_ram_scrubbed_t  found = { 0 };

    for (int i = 0; found.passes == 0; i++) {
        assert_true(i < 1000000);
        s3c_ram_scrub(ram, bytes, &found);
    }

    return found;
}


/* One bit of what is kept under this number. */
static void
flip(s3c_ram_t *ram, uint64_t n, uint32_t off)
{
    int            n_iov = 1;
    struct iovec   iov;
    s3c_ram_pin_t  pin;

    assert_int_equal(s3c_ram_peek(ram, key_of(n), &pin), S3C_OK);
    assert_true(s3c_ram_span(ram, &pin, off, 1, &iov, &n_iov) == 1);
    *(uint8_t *) iov.iov_base ^= 1;
    s3c_ram_unpin(ram, &pin);
}


static void
equal_bytes_are_quiet_pass_after_pass(void **state)
{
    zone_t              z;
    bad_t               bad = { .z = &z };
    s3c_ram_scrubbed_t  f;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);
    s3c_ram_sums(z.ram, skip_none);

    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(object_put(z.ram, i, 1 + i * 37, i, true), S3C_OK);
    }

    assert_int_equal(s3c_ram_scrub_begin(z.ram, note_bad, &bad), S3C_OK);
    (void) one_pass(z.ram, 4096);

    for (int i = 0; i < 3; i++) {
        f = one_pass(z.ram, 1000 * (i + 1));
        assert_int_equal(f.entries, 500);
        assert_int_equal(f.sealed, 0);
        assert_int_equal(f.bad, 0);
        assert_int_equal(f.bytes, 500 + 37 * 500 * 499 / 2);
    }

    assert_int_equal(bad.n, 0);
    zone_close(&z);
}


static void
a_flipped_bit_is_found_wherever_it_is_and_only_it_leaves(void **state)
{
    zone_t              z;
    bad_t               bad;
    uint32_t            off, size = 700 * 1024 + 3;
    s3c_ram_scrubbed_t  f;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);
    s3c_ram_sums(z.ram, skip_none);
    assert_int_equal(s3c_ram_scrub_begin(z.ram, note_bad, &bad), S3C_OK);
    assert_int_equal(object_put(z.ram, 1, 4096, 1, true), S3C_OK);

    for (off = 0; off < size; off += 1 + off / 2) {
        bad = (bad_t) { .z = &z };
        assert_int_equal(object_put(z.ram, 2, size, 1, true), S3C_OK);
        flip(z.ram, 2, off);
        f = one_pass(z.ram, 64 * 1024);
        assert_int_equal(f.bad, 1);
        assert_int_equal(bad.n, 1);
        assert_int_equal(bad.key_lo, key_of(2).lo);
        assert_true(object_there(z.ram, 1));
        assert_false(object_there(z.ram, 2));
        zone_audit(&z);
    }

    zone_close(&z);
}


static void
what_may_change_is_left_out(void **state)
{
    zone_t              z;
    s3c_ram_scrubbed_t  f;

    (void) state;
    zone_open(&z, S3C_RAM_LRU, 8 * MIB);
    s3c_ram_sums(z.ram, skip_some);
    assert_int_equal(object_put(z.ram, 1, 4096, 1, true), S3C_OK);
    assert_int_equal(object_put(z.ram, 2, SKIPPED / 2, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_scrub_begin(z.ram, NULL, NULL), S3C_OK);

    flip(z.ram, 1, SKIPPED - 1);
    flip(z.ram, 2, 0);
    f = one_pass(z.ram, 1 << 20);
    assert_int_equal(f.entries, 2);
    assert_int_equal(f.bad, 0);

    flip(z.ram, 1, SKIPPED);
    assert_int_equal(one_pass(z.ram, 1 << 20).bad, 1);
    zone_close(&z);
}


static void
what_was_committed_without_a_sum_gets_one_at_the_first_look(void **state)
{
    zone_t              z;
    s3c_ram_scrubbed_t  f;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 8 * MIB);
    assert_int_equal(object_put(z.ram, 1, 5000, 1, true), S3C_OK);
    s3c_ram_sums(z.ram, skip_none);
    assert_int_equal(object_put(z.ram, 2, 5000, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_scrub_begin(z.ram, NULL, NULL), S3C_OK);

    f = one_pass(z.ram, 1 << 20);
    assert_int_equal(f.entries, 2);
    assert_int_equal(f.sealed, 1);

    flip(z.ram, 1, 4999);
    f = one_pass(z.ram, 1 << 20);
    assert_int_equal(f.sealed, 0);
    assert_int_equal(f.bad, 1);

    /* an entry that is used again has no sum of its former life */
    s3c_ram_sums(z.ram, NULL);
    assert_int_equal(object_put(z.ram, 3, 5000, 1, true), S3C_OK);
    s3c_ram_sums(z.ram, skip_none);
    f = one_pass(z.ram, 1 << 20);
    assert_int_equal(f.sealed, 1);
    assert_int_equal(f.bad, 0);
    zone_close(&z);
}


static void
what_is_gone_through_stays_and_what_was_dropped_is_left(void **state)
{
    zone_t              z;
    bad_t               bad = { .z = &z };
    uint64_t            key;
    s3c_ram_usage_t     u;
    s3c_ram_scrubbed_t  f = { 0 };

    (void) state;
    zone_open(&z, S3C_RAM_LRU, 8 * MIB);
    s3c_ram_sums(z.ram, skip_none);
    assert_int_equal(object_put(z.ram, 1, MIB, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_scrub_begin(z.ram, note_bad, &bad), S3C_OK);
    s3c_ram_scrub(z.ram, 1000, &f);
    assert_int_equal(f.bytes, 1000);
    assert_int_equal(f.entries, 0);

    for (key = 2; key < 40; key++) {
        assert_int_equal(object_put(z.ram, key, MIB, 4000 * key, true),
                         S3C_OK);
    }

    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.pins, 1);
    assert_true(object_there(z.ram, 1));

    /* dropped under the walk: nothing to complain of */
    flip(z.ram, 1, 500000);
    assert_int_equal(s3c_ram_drop(z.ram, key_of(1)), S3C_OK);
    f = one_pass(z.ram, 1 << 20);
    assert_int_equal(bad.n, 0);
    s3c_ram_scrub_end(z.ram);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.pins, 0);
    zone_close(&z);
}


/* In a process of its own: begins the walk, is amid an entry, and is killed. */
static void
die_walking(zone_t *z)
{
    s3c_ram_t           *ram;
    s3c_ram_scrubbed_t   f = { 0 };

    if (s3c_ram_join(&ram, z->region, z->bytes, zone_wake, z, 1) != S3C_OK) {
        _exit(1);
    }

    s3c_ram_sums(ram, skip_none);

    if (s3c_ram_scrub_begin(ram, NULL, NULL) != S3C_OK) {
        _exit(2);
    }

    s3c_ram_scrub(ram, 101000, &f);
    _exit(f.entries == 1 ? 0 : 3);
}


static void
one_worker_walks_and_another_goes_on_when_it_dies(void **state)
{
    int                 status;
    pid_t               pid;
    zone_t              z;
    s3c_ram_usage_t     u;
    s3c_ram_scrubbed_t  f = { 0 };

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 8 * MIB);
    s3c_ram_sums(z.ram, skip_none);

    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(object_put(z.ram, i, 100000, 1, true), S3C_OK);
    }

    pid = fork();

    if (pid == 0) {
        die_walking(&z);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    /* its pin goes with its slot */
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.pins, 1);
    assert_int_equal(s3c_ram_sweep(z.ram, 2), 1);
    s3c_ram_usage(z.ram, &u);
    assert_int_equal(u.pins, 0);

    /* from where it was: the first two are for the next pass */
    assert_int_equal(s3c_ram_scrub_begin(z.ram, NULL, NULL), S3C_OK);

    while (f.passes == 0) {
        s3c_ram_scrub(z.ram, 1 << 20, &f);
    }

    assert_int_equal(f.entries, 1);
    assert_int_equal(one_pass(z.ram, 1 << 20).entries, 3);
    zone_close(&z);
}


static void
a_cursor_that_lies_is_harmless(void **state)
{
    zone_t  z;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 8 * MIB);
    s3c_ram_sums(z.ram, skip_none);
    assert_int_equal(object_put(z.ram, 1, 5000, 1, true), S3C_OK);
    assert_int_equal(s3c_ram_scrub_begin(z.ram, NULL, NULL), S3C_OK);
    z.ram->s->scrub_at = UINT32_MAX;
    assert_int_equal(one_pass(z.ram, 1 << 20).bad, 0);
    z.ram->s->scrub_at = 0x7fffffff;
    assert_int_equal(one_pass(z.ram, 1 << 20).entries, 1);
    zone_close(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(equal_bytes_are_quiet_pass_after_pass),
        cmocka_unit_test(
            a_flipped_bit_is_found_wherever_it_is_and_only_it_leaves),
        cmocka_unit_test(what_may_change_is_left_out),
        cmocka_unit_test(
            what_was_committed_without_a_sum_gets_one_at_the_first_look),
        cmocka_unit_test(
            what_is_gone_through_stays_and_what_was_dropped_is_left),
        cmocka_unit_test(one_worker_walks_and_another_goes_on_when_it_dies),
        cmocka_unit_test(a_cursor_that_lies_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

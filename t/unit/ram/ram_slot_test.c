/* SPDX-License-Identifier: Apache-2.0 */
#include "ram_test.h"


#include <signal.h>
#include <unistd.h>
#include <sys/wait.h>


static void
slots_are_taken_from_the_first_and_run_out(void **state)
{
    zone_t      z;
    s3c_ram_t  *rams[64], *more;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 16 * MIB);

    for (uint32_t i = 1; i < 64; i++) {
        assert_int_equal(s3c_ram_join(&rams[i], z.region, z.bytes, zone_wake,
                                      &z, 1), S3C_OK);
        assert_int_equal(s3c_ram_slot(rams[i]), i);
        assert_memory_equal(s3c_ram_secret(rams[i]), z.conf.secret,
                            S3C_HASH_SECRET_BYTES);
    }

    assert_int_equal(s3c_ram_join(&more, z.region, z.bytes, zone_wake, &z, 1),
                     S3C_BUSY);
    assert_null(more);
    assert_int_equal(s3c_ram_sweep(z.ram, 1), 0);    /* all live */
    s3c_ram_leave(rams[5]);
    assert_int_equal(s3c_ram_join(&rams[5], z.region, z.bytes, zone_wake, &z,
                                  1), S3C_OK);
    assert_int_equal(s3c_ram_slot(rams[5]), 5);

    for (uint32_t i = 1; i < 64; i++) {
        s3c_ram_leave(rams[i]);
    }

    zone_close(&z);
}


/* A worker that holds, watches and fills, and is killed. */
static pid_t
worker_killed(zone_t *z)
{
    int             status, fd[2];
    char            c;
    pid_t           pid;
    s3c_ram_t      *ram;
    s3c_ram_pin_t   pin;

    assert_int_equal(pipe(fd), 0);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        if (s3c_ram_join(&ram, z->region, z->bytes, zone_wake, z, 1) == S3C_OK
            && s3c_ram_find(ram, key_of(1), 1, &pin) == S3C_OK
            && s3c_ram_find(ram, key_of(50), 1, &pin) == S3C_AGAIN
            && s3c_ram_watch(ram, &pin) != UINT32_MAX
            && s3c_ram_fill_begin(ram, key_of(2), 1, &pin) == S3C_OK
            && s3c_ram_fill_alloc(ram, &pin, 9000, 0, 1) == S3C_OK)
        {
            s3c_ram_fill_publish(ram, &pin, 10);
            (void) !write(fd[1], "x", 1);
        }

        pause();
        _exit(0);
    }

    assert_int_equal(read(fd[0], &c, 1), 1);
    close(fd[0]);
    close(fd[1]);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);

    return pid;
}


static void
a_dead_worker_is_swept(void **state)
{
    zone_t           z;
    s3c_ram_pin_t    lead, follow;
    s3c_ram_usage_t  u;
    s3c_fill_view_t  v;

    (void) state;

    for (int how = 0; how < 2; how++) {
        s3c_ram_t  *other = NULL;

        zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
        assert_int_equal(object_put(z.ram, 1, 500, 1, true), S3C_OK);
        assert_int_equal(s3c_ram_fill_begin(z.ram, key_of(50), 1, &lead),
                         S3C_OK);
        (void) worker_killed(&z);

        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.slots, 2);
        assert_int_equal(u.pins, 4);
        assert_int_equal(s3c_ram_find(z.ram, key_of(2), 1, &follow),
                         S3C_AGAIN);
        assert_true(s3c_ram_watch(z.ram, &follow) != UINT32_MAX);
        s3c_ram_view(z.ram, &follow, &v);
        assert_int_equal(v.phase, S3C_FILL_BODY);
        z.n_wakes[0] = 0;

        if (how == 0) {
            assert_int_equal(s3c_ram_sweep(z.ram, 2), 1);
            assert_int_equal(s3c_ram_sweep(z.ram, 2), 0);

        } else {                         /* who takes its seat does it, too */
            assert_int_equal(s3c_ram_join(&other, z.region, z.bytes, zone_wake,
                                          &z, 2), S3C_OK);
            assert_int_equal(s3c_ram_slot(other), 1);
        }

        assert_int_equal(z.n_wakes[0], 1);
        s3c_ram_view(z.ram, &follow, &v);
        assert_int_equal(v.phase, S3C_FILL_FAILED);
        assert_true(v.reason == S3C_FILL_REASON_DIED);
        s3c_ram_unpin(z.ram, &follow);

        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.slots, how == 0 ? 1 : 2);
        assert_int_equal(u.pins, 1);
        assert_int_equal(u.fills, 1);
        assert_int_equal(u.n_dead_worker, 1);

        /* Its I/O may still land in that memory: not free for a while. */
        (void) s3c_ram_sweep(z.ram, 1000000 + S3C_RAM_AGE_MS - 100);
        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.limbo, 1);
        (void) s3c_ram_sweep(z.ram, 1000000 + S3C_RAM_AGE_MS + 100);
        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.limbo, 0);

        s3c_ram_fill_fail(z.ram, &lead, 1);
        s3c_ram_unpin(z.ram, &lead);
        s3c_ram_leave(other);
        zone_close(&z);
    }
}


static void
who_leaves_fails_its_fills(void **state)
{
    zone_t           z;
    s3c_ram_t       *two;
    s3c_ram_pin_t    lead, follow;
    s3c_fill_view_t  v;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    assert_int_equal(s3c_ram_join(&two, z.region, z.bytes, zone_wake, &z, 1),
                     S3C_OK);
    assert_int_equal(s3c_ram_fill_begin(two, key_of(1), 1, &lead), S3C_OK);
    assert_int_equal(s3c_ram_find(z.ram, key_of(1), 1, &follow), S3C_AGAIN);
    s3c_ram_leave(two);
    s3c_ram_view(z.ram, &follow, &v);
    assert_int_equal(v.phase, S3C_FILL_FAILED);
    assert_true(z.n_wakes[0] > 0);
    s3c_ram_unpin(z.ram, &follow);
    zone_close(&z);
}

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(slots_are_taken_from_the_first_and_run_out),
        cmocka_unit_test(a_dead_worker_is_swept),
        cmocka_unit_test(who_leaves_fails_its_fills),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

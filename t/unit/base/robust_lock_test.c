/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/robust_lock.h"


static s3c_robust_lock_sh_t *
lock_new(void)
{
    s3c_robust_lock_sh_t  *lock;

    lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    assert_ptr_not_equal(lock, MAP_FAILED);
    memset(lock, 0xa5, 4096);
    assert_int_equal(s3c_robust_lock_init(lock), S3C_OK);

    return lock;
}


/* A child that takes the lock; killed while it holds it if `die`. */
static void
child_takes(s3c_robust_lock_sh_t *lock, s3c_status_t want, bool mend, bool die)
{
    int    status, fd[2];
    char   c = 'n';
    pid_t  pid;

    assert_int_equal(pipe(fd), 0);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        if (s3c_robust_lock_take(lock) == want) {
            if (mend) {
                s3c_robust_lock_mended(lock);
            }

            c = 'y';
        }

        if (!die) {
            s3c_robust_lock_drop(lock);
        }

        (void) !write(fd[1], &c, 1);
        pause();
        _exit(0);
    }

    assert_int_equal(read(fd[0], &c, 1), 1);
    assert_int_equal(c, 'y');

    if (die) {
        assert_int_equal(s3c_robust_lock_try(lock), S3C_BUSY);
    }

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(fd[0]);
    close(fd[1]);
}


static void
a_living_owner_is_busy(void **state)
{
    s3c_robust_lock_sh_t  *lock = lock_new();

    (void) state;
    assert_int_equal(s3c_robust_lock_try(lock), S3C_OK);
    assert_int_equal(s3c_robust_lock_try(lock), S3C_BUSY);
    s3c_robust_lock_drop(lock);
    assert_int_equal(s3c_robust_lock_take(lock), S3C_OK);
    s3c_robust_lock_drop(lock);
    child_takes(lock, S3C_OK, false, false);
    assert_int_equal(s3c_robust_lock_try(lock), S3C_OK);
    s3c_robust_lock_drop(lock);
    munmap(lock, 4096);
}


static void
a_dead_owner_is_told_until_mended(void **state)
{
    s3c_robust_lock_sh_t  *lock = lock_new();

    (void) state;
    child_takes(lock, S3C_OK, false, true);
    child_takes(lock, S3C_CORRUPT, false, true);     /* died mending */
    assert_int_equal(s3c_robust_lock_try(lock), S3C_CORRUPT);
    s3c_robust_lock_mended(lock);
    s3c_robust_lock_drop(lock);
    assert_int_equal(s3c_robust_lock_take(lock), S3C_OK);
    s3c_robust_lock_drop(lock);

    child_takes(lock, S3C_OK, false, true);
    child_takes(lock, S3C_CORRUPT, true, true);
    assert_int_equal(s3c_robust_lock_take(lock), S3C_CORRUPT);
    s3c_robust_lock_mended(lock);
    s3c_robust_lock_drop(lock);
    munmap(lock, 4096);
}


static void
dropped_without_mending_is_lost(void **state)
{
    s3c_robust_lock_sh_t  *lock = lock_new();

    (void) state;
    child_takes(lock, S3C_OK, false, true);
    assert_int_equal(s3c_robust_lock_take(lock), S3C_CORRUPT);
    s3c_robust_lock_drop(lock);
    assert_int_equal(s3c_robust_lock_take(lock), S3C_IO);
    assert_int_equal(s3c_robust_lock_try(lock), S3C_IO);
    munmap(lock, 4096);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_living_owner_is_busy),
        cmocka_unit_test(a_dead_owner_is_told_until_mended),
        cmocka_unit_test(dropped_without_mending_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

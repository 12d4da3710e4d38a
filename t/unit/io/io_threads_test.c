/* SPDX-License-Identifier: Apache-2.0
 *
 * File I/O by threads.
 */
#define _GNU_SOURCE      /* pipe2 */

#include "io_cases.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static s3c_status_t
open_threads(s3c_io_t **io, uint32_t depth)
{
    return s3c_io_threads_open(io, depth, 4);
}


/* How many threads there are and how many of them block SIGTERM. */
static void
count_threads(int *n, int *n_blocking)
{
    DIR                *dir = opendir("/proc/self/task");
    FILE               *f;
    char                line[512];
    struct dirent      *e;
    unsigned long long  mask;

    *n = *n_blocking = 0;
    assert_non_null(dir);

    while ((e = readdir(dir)) != NULL) {
        snprintf(line, sizeof(line), "/proc/self/task/%s/status", e->d_name);
        f = e->d_name[0] == '.' ? NULL : fopen(line, "re");
        if (f == NULL) {
            continue;
        }

        (*n)++;

        while (fgets(line, sizeof(line), f) != NULL) {
            if (sscanf(line, "SigBlk: %llx", &mask) == 1) {
                *n_blocking += (mask >> (SIGTERM - 1)) & 1;
            }
        }

        fclose(f);
    }

    closedir(dir);
}


static void
threads_block_signals_and_leave_at_close(void **state)
{
    int        before, n, n_blocking;
    s3c_io_t  *io;
    sigset_t   mask;

    (void) state;
    count_threads(&before, &n_blocking);
    assert_int_equal(n_blocking, 0);

    assert_int_equal(s3c_io_threads_open(&io, 8, 7), S3C_OK);
    assert_string_equal(io->backend->name, "threads");
    count_threads(&n, &n_blocking);
    assert_int_equal(n, before + 7);
    assert_int_equal(n_blocking, 7);

    sigprocmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);

    s3c_io_close(io);
    count_threads(&n, &n_blocking);
    assert_int_equal(n, before);
}


static void
nothing_can_be_registered(void **state)
{
    int        fd = 0;
    char       buf[16];
    s3c_io_t  *io;

    (void) state;
    assert_int_equal(s3c_io_threads_open(&io, 8, 1), S3C_OK);
    assert_int_equal(s3c_io_register_buffer(io, buf, sizeof(buf)),
                     S3C_UNSUPPORTED);
    assert_int_equal(s3c_io_register_files(io, &fd, 1), S3C_UNSUPPORTED);
    s3c_io_close(io);
}


/* io_uring would wait for such a pipe. */
static void
what_would_block_is_tried_and_then_told(void **state)
{
    int          fds[2];
    uint8_t      byte;
    io_loop_t    loop;
    s3c_io_op_t  op;

    (void) state;
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    io_loop_open(&loop, 1);
    io_op_init(&op, S3C_IO_READ, fds[0], &byte, 1, OWN_POSITION);
    assert_int_equal(s3c_io_queue(loop.io, &op), S3C_OK);
    io_loop_drain(&loop);
    assert_int_equal(op.result, -EAGAIN);
    io_loop_close(&loop);
    close(fds[0]);
    close(fds[1]);
}


/* A file that hangs, here a pipe, has not all threads: others go on, and one
 * that hangs as well still leaves something. Alone, a file has all. */
static void
a_file_that_hangs_leaves_threads(void **state)
{
    int           a[2], b[2], fd = io_file(4096, false);
    char          bytes[16];
    uint8_t       got[16], buf[16];
    io_loop_t     loop;
    s3c_io_op_t   hung[16], op;

    (void) state;
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    io_loop_open(&loop, 32);

    for (int i = 0; i < 16; i++) {
        io_op_init(&hung[i], S3C_IO_READ, i < 8 ? a[0] : b[0], &got[i], 1,
                   OWN_POSITION);
        assert_int_equal(s3c_io_queue(loop.io, &hung[i]), S3C_OK);
    }

    for (int i = 0; i < 100; i++) {
        io_op_init(&op, S3C_IO_READ, fd, buf, sizeof(buf), 0);
        op.result = -1;
        assert_int_equal(s3c_io_queue(loop.io, &op), S3C_OK);

        while (op.result == -1) {
            assert_true(io_loop_turn(&loop, 5000));
        }

        assert_int_equal(op.result, sizeof(buf));
    }

    assert_int_equal(loop.io->in_flight, 16);
    assert_int_equal(write(b[1], bytes, 8), 8);

    while (loop.io->in_flight > 8) {
        assert_true(io_loop_turn(&loop, 5000));
    }

    assert_int_equal(write(a[1], bytes, 8), 8);
    io_loop_drain(&loop);

    for (int i = 0; i < 16; i++) {
        assert_int_equal(hung[i].result, 1);
    }

    io_loop_close(&loop);
    close(a[0]);
    close(a[1]);
    close(b[0]);
    close(b[1]);
    close(fd);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(threads_block_signals_and_leave_at_close),
        cmocka_unit_test(nothing_can_be_registered),
        cmocka_unit_test(what_would_block_is_tried_and_then_told),
        cmocka_unit_test(a_file_that_hangs_leaves_threads),
        IO_CASES,
    };

    io_cases_open = open_threads;

    return cmocka_run_group_tests(tests, NULL, NULL);
}

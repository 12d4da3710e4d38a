/* SPDX-License-Identifier: Apache-2.0
 *
 * File I/O by io_uring. Where the kernel refuses it, only the refusals are
 * tested.
 */
#define _GNU_SOURCE      /* RTLD_NEXT */

#include "io_cases.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <liburing.h>

static int  n_refusals;                  /* of the kernel, still to come */
static int  n_again;                     /* answers that become EAGAIN */


/* Ours is found before that of the library. */
int
io_uring_submit(struct io_uring *ring)
{
    int                   n;
    unsigned              head;
    struct io_uring_cqe  *cqe;
    static int          (*real)(struct io_uring *ring);

    if (n_refusals > 0) {
        return n_refusals-- % 2 ? -EAGAIN : -EBUSY;
    }

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "io_uring_submit");
    }

    n = real(ring);

    io_uring_for_each_cqe(ring, head, cqe) {
        if (n_again > 0) {
            n_again--;
            cqe->res = -EAGAIN;
        }
    }

    return n;
}


/* What open answers, and errno, if the kernel answers `err` to `call`. */
static void
open_where_denied(unsigned call, unsigned err, s3c_status_t st, int want_errno)
{
    int                  status, rc;
    pid_t                pid;
    s3c_io_t            *io;
    struct sock_filter   code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog    prog = { sizeof(code) / sizeof(code[0]), code };

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1
            || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == -1)
        {
            _exit(77);
        }

        errno = 0;
        rc = s3c_io_uring_open(&io, 16) != st ? 1
             : errno != want_errno ? 2 : io != NULL ? 3 : 0;
        _exit(rc);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));

    if (WEXITSTATUS(status) == 77) {
        print_message("no seccomp here\n");
        skip();
    }

    assert_int_equal(WEXITSTATUS(status), 0);
}


static void
a_refusal_is_told_from_a_failure(void **state)
{
    (void) state;
    open_where_denied(SYS_io_uring_setup, EPERM, S3C_DENIED, EPERM);
    open_where_denied(SYS_io_uring_setup, EACCES, S3C_DENIED, EACCES);
    open_where_denied(SYS_io_uring_setup, ENOSYS, S3C_UNSUPPORTED, ENOSYS);
    open_where_denied(SYS_io_uring_setup, ENOMEM, S3C_IO, ENOMEM);
}


static void
a_kernel_that_takes_nothing_now_is_asked_again(void **state)
{
    int          fd = io_file(4096, false);
    char         buf[300][16];
    io_loop_t    loop;
    s3c_io_op_t  ops[300];

    (void) state;

    for (int refusals = 1; refusals < 6; refusals++) {
        io_loop_open(&loop, 300);

        for (int i = 0; i < 300; i++) {      /* the ring is full at 256 */
            io_op_init(&ops[i], S3C_IO_READ, fd, buf[i], 16, 0);

            if (i == 200) {
                n_refusals = refusals;
            }

            assert_int_equal(s3c_io_queue(loop.io, &ops[i]), S3C_OK);
        }

        assert_int_equal(loop.io->in_flight, 300);
        io_loop_drain(&loop);
        assert_int_equal(n_refusals, 0);

        for (int i = 0; i < 300; i++) {
            assert_int_equal(ops[i].result, 16);
        }

        io_loop_close(&loop);
    }

    close(fd);
}


/* A read from the page cache has ended when submit returns. */
static void
again_is_tried_again_but_not_forever(void **state)
{
    int          fd = io_file(4096, false);
    char         buf[4096] = { 0 };
    io_loop_t    loop;
    s3c_io_op_t  op;

    (void) state;
    assert_int_equal(pwrite(fd, buf, sizeof(buf), 0), sizeof(buf));
    io_loop_open(&loop, 1);

    for (int i = 0; i < 40; i += 3) {
        n_again = i;
        io_op_init(&op, S3C_IO_READ, fd, buf, 16, 0);
        assert_int_equal(s3c_io_queue(loop.io, &op), S3C_OK);
        assert_int_equal(s3c_io_queue(loop.io, &op), S3C_BUSY);
        io_loop_drain(&loop);
        assert_int_equal(op.result, i <= 16 ? 16 : -EAGAIN);
        assert_int_equal(n_again, i <= 16 ? 0 : i - 17);
    }

    n_again = 0;
    io_loop_close(&loop);
    close(fd);
}


/* Half of the buffers lie in the registered range, one across its end. */
static void
registered_or_not_all_works(void **state)
{
    int           fds[2];
    uint8_t      *buf;
    io_loop_t     loop;
    s3c_status_t  st;

    (void) state;
    fds[0] = io_file(512 * 4096, true);
    fds[1] = io_file(512 * 4096, true);
    buf = aligned_alloc(4096, IO_MIX_BYTES);
    assert_non_null(buf);
    io_loop_open(&loop, IO_MIX_DEPTH);

    st = s3c_io_register_buffer(loop.io, buf, IO_MIX_BYTES / 2 + 8192);
    if (st != S3C_OK) {
        print_message("buffer not registered: %s\n", strerror(errno));
        assert_int_equal(st, S3C_DENIED);
    }

    assert_int_equal(s3c_io_register_files(loop.io, &fds[1], 1), S3C_OK);
    io_mix(&loop, fds[0], buf, 3000);
    io_mix(&loop, fds[1], buf, 3000);
    io_loop_close(&loop);
    free(buf);
    close(fds[0]);
    close(fds[1]);
}


static void
what_cannot_be_registered_is_no_error(void **state)
{
    int          fd = io_file(4096, false), many[100], bad = -77;
    char         buf[16];
    io_loop_t    loop;
    s3c_io_op_t  op;

    (void) state;
    io_loop_open(&loop, 4);

    for (int i = 0; i < 100; i++) {
        many[i] = fd;
    }

    assert_int_equal(s3c_io_register_files(loop.io, many, 100),
                     S3C_UNSUPPORTED);
    assert_int_equal(s3c_io_register_files(loop.io, &bad, 1),
                     S3C_UNSUPPORTED);
    assert_true(errno != 0);
    assert_int_equal(s3c_io_register_buffer(loop.io, (void *) 4096, 8192),
                     S3C_UNSUPPORTED);
    io_op_init(&op, S3C_IO_READ, fd, buf, sizeof(buf), 0);
    assert_int_equal(s3c_io_queue(loop.io, &op), S3C_OK);
    io_loop_drain(&loop);
    assert_int_equal(op.result, sizeof(buf));
    io_loop_close(&loop);
    close(fd);
}


int
main(void)
{
    s3c_io_t                *io;
    s3c_status_t             st;
    const struct CMUnitTest  refused[] = {
        cmocka_unit_test(a_refusal_is_told_from_a_failure),
    };
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_refusal_is_told_from_a_failure),
        cmocka_unit_test(a_kernel_that_takes_nothing_now_is_asked_again),
        cmocka_unit_test(again_is_tried_again_but_not_forever),
        cmocka_unit_test(registered_or_not_all_works),
        cmocka_unit_test(what_cannot_be_registered_is_no_error),
        IO_CASES,
    };

    io_cases_open = s3c_io_uring_open;
    st = s3c_io_uring_open(&io, 8);

    if (st != S3C_OK) {
        printf("skipped: the kernel refuses io_uring here: %s\n",
               strerror(errno));

        return cmocka_run_group_tests_name("refused", refused, NULL, NULL);
    }

    s3c_io_close(io);

    return cmocka_run_group_tests_name("io_uring", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * File I/O by io_uring; the only file that sees liburing.
 *
 * The ring belongs to the thread that opened it. Its kernel work is deferred
 * until that thread asks (DEFER_TASKRUN, Linux 6.1), so that no completion
 * interrupts it; older kernels get what they accept. The event fd is signalled
 * by the kernel: when deferred work arrives, and when completions are posted.
 * One of both always comes after the last reap that could have missed it.
 *
 * LIMITS   an answer EAGAIN or EINTR is tried again TRIES_MAX times; what the
 *          kernel does not take at once stays here until the next submit or
 *          reap, and the event fd is made readable so that one comes.
 */
#define _GNU_SOURCE      /* RWF_DSYNC */

#include "io/io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include <liburing.h>

#define SQ_ENTRIES_MAX  256u         /* more go to the kernel at once */
#define FILES_MAX       64u
#define TRIES_MAX       16

typedef struct {
    s3c_io_t         io;             /* first */
    struct io_uring  ring;
    s3c_io_op_t     *first;          /* waiting for a place in the ring */
    s3c_io_op_t    **last;
    const uint8_t   *base;           /* the registered buffer */
    size_t           bytes;
    int              fds[FILES_MAX]; /* the registered files */
    uint32_t         n_fds;
    bool             refused;        /* the kernel took less than there was */
} uring_t;

/* The best first. A kernel that does not know a flag answers EINVAL. */
static const unsigned  setups[] = {
#if defined(IORING_SETUP_SINGLE_ISSUER) && defined(IORING_SETUP_DEFER_TASKRUN)
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
        | IORING_SETUP_TASKRUN_FLAG,
#endif
#ifdef IORING_SETUP_COOP_TASKRUN
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
#endif
    0
};


static void
put_last(uring_t *u, s3c_io_op_t *op)
{
    op->next = NULL;
    *u->last = op;
    u->last = &op->next;
}


static bool
is_registered(const uring_t *u, const s3c_io_op_t *op)
{
    uintptr_t  base = (uintptr_t) u->base, buf = (uintptr_t) op->buf;

    return u->bytes != 0 && buf >= base && buf - base <= u->bytes
           && op->len <= u->bytes - (buf - base);
}


static void
fill_sqe(const uring_t *u, struct io_uring_sqe *sqe, s3c_io_op_t *op)
{
    bool  fixed = is_registered(u, op);

    if (op->kind == S3C_IO_READ) {
        if (fixed) {
            io_uring_prep_read_fixed(sqe, op->fd, op->buf, op->len, op->off,
                                     0);
        } else {
            io_uring_prep_read(sqe, op->fd, op->buf, op->len, op->off);
        }

    } else if (fixed) {
        io_uring_prep_write_fixed(sqe, op->fd, op->buf, op->len, op->off, 0);

    } else {
        io_uring_prep_write(sqe, op->fd, op->buf, op->len, op->off);
    }

    if (op->kind == S3C_IO_WRITE_DSYNC) {
        sqe->rw_flags = RWF_DSYNC;
    }

    for (uint32_t i = 0; i < u->n_fds; i++) {
        if (u->fds[i] == op->fd) {
            sqe->fd = (int) i;
            io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
            break;
        }
    }

    io_uring_sqe_set_data(sqe, op);
}


/* Moves what waits into the ring, as far as there is room. */
static void
fill_ring(uring_t *u)
{
    s3c_io_op_t          *op;
    struct io_uring_sqe  *sqe;

    while (u->first != NULL) {
        sqe = io_uring_get_sqe(&u->ring);
        if (sqe == NULL) {
            return;
        }

        op = u->first;
        u->first = op->next;

        if (u->first == NULL) {
            u->last = &u->first;
        }

        fill_sqe(u, sqe, op);
    }
}


/* Until all is sent or the kernel takes no more: each turn sends something. */
static void
uring_submit(s3c_io_t *io)
{
    uring_t  *u = (uring_t *) io;

    u->refused = false;

    for ( ;; ) {
        fill_ring(u);

        if (io_uring_sq_ready(&u->ring) == 0) {
            return;
        }

        if (io_uring_submit(&u->ring) <= 0) {
            /* It lacks memory, or was interrupted. What is in the ring stays
             * there; the event fd asks for another try. */
            u->refused = true;
            (void) eventfd_write(io->event_fd, 1);
            return;
        }
    }
}


static s3c_status_t
uring_queue(s3c_io_t *io, s3c_io_op_t *op)
{
    uring_t  *u = (uring_t *) io;

    if (io->in_flight >= io->depth) {
        return S3C_BUSY;
    }

    io->in_flight++;
    op->result = 0;                  /* until its end: tries again */
    put_last(u, op);
    fill_ring(u);

    if (u->first != NULL && !u->refused) {
        uring_submit(io);
    }

    return S3C_OK;
}


static uint32_t
uring_reap(s3c_io_t *io)
{
    int                   result;
    bool                  again = false;
    uint32_t              n = 0;
    uring_t              *u = (uring_t *) io;
    s3c_io_op_t          *op;
    struct io_uring_cqe  *cqe;

    /* Without completions, and only if the kernel's flags say that it has
     * some to post, this enters it; it never waits. */
    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        op = io_uring_cqe_get_data(cqe);
        result = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);

        if ((result == -EAGAIN || result == -EINTR) && op->result < TRIES_MAX) {
            op->result++;
            put_last(u, op);
            again = true;
            continue;
        }

        op->result = result;
        io->in_flight--;
        n++;
        op->done(op);
    }

    if (again || u->refused) {
        uring_submit(io);
    }

    return n;
}


/* The kernel cancels what it can, by itself and later. */
static void
uring_close(s3c_io_t *io)
{
    uring_t  *u = (uring_t *) io;

    io_uring_queue_exit(&u->ring);
    close(io->event_fd);
    free(u);
}


static const s3c_io_backend_t  uring_backend = {
    .name = "io_uring",
    .queue = uring_queue,
    .submit = uring_submit,
    .reap = uring_reap,
    .close = uring_close,
};


static s3c_status_t
status_of(int err)
{
    errno = err;

    switch (err) {
    case ENOSYS:
        return S3C_UNSUPPORTED;
    case EPERM:
    case EACCES:
        return S3C_DENIED;
    default:
        return S3C_IO;
    }
}


/* Answers 0 or an errno. */
static int
ring_open(struct io_uring *ring, uint32_t depth)
{
    int                     rc = -EINVAL;
    struct io_uring_params  params;

    for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
        memset(&params, 0, sizeof(params));
        params.flags = setups[i] | IORING_SETUP_CQSIZE;
        params.cq_entries = depth < SQ_ENTRIES_MAX ? 2 * SQ_ENTRIES_MAX
                                                   : 2 * depth;
        rc = io_uring_queue_init_params(depth < SQ_ENTRIES_MAX
                                        ? depth : SQ_ENTRIES_MAX,
                                        ring, &params);
        if (rc != -EINVAL) {
            break;
        }
    }

    return -rc;
}


static int
ring_check(struct io_uring *ring)
{
    bool                    there;
    struct io_uring_probe  *probe;

    probe = io_uring_get_probe_ring(ring);        /* Linux 5.6 */
    if (probe == NULL) {
        return ENOSYS;
    }

    there = io_uring_opcode_supported(probe, IORING_OP_READ)
            && io_uring_opcode_supported(probe, IORING_OP_WRITE);
    io_uring_free_probe(probe);

    return there ? 0 : ENOSYS;
}


s3c_status_t
s3c_io_uring_open(s3c_io_t **io, uint32_t depth)
{
    int       err;
    uring_t  *u;

    assert(depth >= 1 && depth <= S3C_IO_DEPTH_MAX);
    *io = NULL;

    u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return status_of(ENOMEM);
    }

    u->io.backend = &uring_backend;
    u->io.depth = depth;
    u->last = &u->first;

    u->io.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (u->io.event_fd == -1) {
        err = errno;
        goto no_event_fd;
    }

    err = ring_open(&u->ring, depth);
    if (err != 0) {
        goto no_ring;
    }

    err = ring_check(&u->ring);
    if (err == 0) {
        err = -io_uring_register_eventfd(&u->ring, u->io.event_fd);
    }

    if (err != 0) {
        goto failed;
    }

    *io = &u->io;

    return S3C_OK;

failed:

    io_uring_queue_exit(&u->ring);

no_ring:

    close(u->io.event_fd);

no_event_fd:

    free(u);

    return status_of(err);
}


/* Of what is optional: not allowed, or not to be had. */
static s3c_status_t
registered(int rc)
{
    if (rc >= 0) {
        return S3C_OK;
    }

    errno = -rc;

    return rc == -ENOMEM || rc == -EPERM || rc == -EACCES ? S3C_DENIED
                                                          : S3C_UNSUPPORTED;
}


s3c_status_t
s3c_io_register_buffer(s3c_io_t *io, void *base, size_t bytes)
{
    uring_t       *u = (uring_t *) io;
    s3c_status_t   st;
    struct iovec   iov = { .iov_base = base, .iov_len = bytes };

    if (io->backend != &uring_backend) {
        errno = ENOSYS;
        return S3C_UNSUPPORTED;
    }

    st = registered(io_uring_register_buffers(&u->ring, &iov, 1));
    if (st == S3C_OK) {
        u->base = base;
        u->bytes = bytes;
    }

    return st;
}


s3c_status_t
s3c_io_register_files(s3c_io_t *io, const int *fds, uint32_t n)
{
    uring_t       *u = (uring_t *) io;
    s3c_status_t   st;

    if (io->backend != &uring_backend || n > FILES_MAX) {
        errno = io->backend != &uring_backend ? ENOSYS : EMFILE;
        return S3C_UNSUPPORTED;
    }

    st = registered(io_uring_register_files(&u->ring, fds, n));
    if (st == S3C_OK) {
        memcpy(u->fds, fds, n * sizeof(fds[0]));
        u->n_fds = n;
    }

    return st;
}

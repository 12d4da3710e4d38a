/* SPDX-License-Identifier: Apache-2.0
 *
 * File I/O that answers later: operations are queued, submitted together, and
 * their ends are reaped when the event fd says so. Behind it io_uring, a pool
 * of threads, or (in tests) a simulated disk. One queue belongs to one thread;
 * only the backends know how it is done.
 *
 * OWNER    the caller owns an op and its buffer; from queue() until done()
 *          both belong to the queue. There is no cancel: the kernel has none
 *          for a disk that hangs.
 * LIMITS   `depth` operations in flight; one more is S3C_BUSY.
 */
#ifndef S3C_IO_IO_H
#define S3C_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define S3C_IO_DEPTH_MAX    4096
#define S3C_IO_THREADS_MAX  64

typedef enum {
    S3C_IO_READ = 0,
    S3C_IO_WRITE,
    S3C_IO_WRITE_DSYNC       /* on stable storage when done (RWF_DSYNC) */
} s3c_io_kind_t;

typedef struct s3c_io_s     s3c_io_t;
typedef struct s3c_io_op_s  s3c_io_op_t;

struct s3c_io_op_s {
    s3c_io_kind_t  kind;
    int            fd;
    void          *buf;
    uint32_t       len;
    uint64_t       off;
    void         (*done)(s3c_io_op_t *op);   /* may queue other operations */
    void          *data;                     /* the caller's */
    int32_t        result;                   /* bytes moved, or -errno; may be
                                                short */
    s3c_io_op_t   *next;                     /* the queue's own */
};

/* A backend. The simulated disk of the tests is one, too. */
typedef struct {
    const char    *name;                     /* "io_uring", "threads" */
    s3c_status_t (*queue)(s3c_io_t *io, s3c_io_op_t *op);
    void         (*submit)(s3c_io_t *io);
    uint32_t     (*reap)(s3c_io_t *io);
    void         (*close)(s3c_io_t *io);
} s3c_io_backend_t;

/* The first member of every backend's own struct. */
struct s3c_io_s {
    const s3c_io_backend_t  *backend;
    int                      event_fd;       /* readable: something to reap */
    uint32_t                 depth;
    uint32_t                 in_flight;      /* queued and not yet reaped */
};

/* UNSUPPORTED or DENIED with errno when the kernel has or allows none. */
s3c_status_t s3c_io_uring_open(s3c_io_t **io, uint32_t depth) S3C_MUST_CHECK;
/* The fallback. Its threads block all signals. IO with errno. */
s3c_status_t s3c_io_threads_open(s3c_io_t **io, uint32_t depth,
    uint32_t n_threads) S3C_MUST_CHECK;

/* Optional: reads and writes inside [base, base + bytes), and on these files,
 * cost less from now on. UNSUPPORTED, or DENIED (the memlock limit), is no
 * error: everything works as before. At most once per queue each. */
s3c_status_t s3c_io_register_buffer(s3c_io_t *io, void *base, size_t bytes)
    S3C_MUST_CHECK;
s3c_status_t s3c_io_register_files(s3c_io_t *io, const int *fds, uint32_t n)
    S3C_MUST_CHECK;

/* Takes an op; nothing is sent before submit. BUSY: depth reached. */
static inline s3c_status_t S3C_MUST_CHECK
s3c_io_queue(s3c_io_t *io, s3c_io_op_t *op)
{
    return io->backend->queue(io, op);
}

/* Sends what is queued: once per turn of the event loop. */
static inline void
s3c_io_submit(s3c_io_t *io)
{
    io->backend->submit(io);
}

/* Runs done() of what has ended and answers how many. Never waits. The event
 * fd is edge-triggered by its user and is never read: reap until 0. */
static inline uint32_t
s3c_io_reap(s3c_io_t *io)
{
    return io->backend->reap(io);
}

/* What is in flight is not waited for: its buffers must then stay mapped
 * until the process ends (the kernel may still write into them). */
static inline void
s3c_io_close(s3c_io_t *io)
{
    io->backend->close(io);
}

#endif

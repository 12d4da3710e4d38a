/* SPDX-License-Identifier: Apache-2.0
 *
 * File I/O by threads that block, where the kernel has or allows no io_uring.
 * They run nothing but system calls: done() is called by the queue's owner.
 *
 * OWNER    the pool belongs to the owner and to each thread that is still in
 *          it; the last one that leaves frees it. So a call that never
 *          returns keeps the pool, on purpose, and nobody waits for it.
 * SHARES   of several files, one may keep as many threads busy as it leaves
 *          idle: one that hangs never has all. Files take turns.
 */
#define _GNU_SOURCE      /* preadv2, RWF_DSYNC, dladdr */

#include "io/io.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#define STACK_BYTES  (256u << 10)
#define TRIES_MAX    16              /* of EAGAIN and EINTR */
#define FILES_MAX    64u             /* the last ones share a queue */

typedef struct {
    s3c_io_op_t   *first;
    s3c_io_op_t  **last;
} fifo_t;

typedef struct {
    int       fd;
    uint32_t  n_busy;                /* threads */
    fifo_t    todo;
} file_t;

typedef struct pool_s  pool_t;

typedef struct {
    pool_t     *pool;
    pthread_t   id;
    bool        is_busy;             /* in a system call; under the lock */
} worker_t;

struct pool_s {
    s3c_io_t         io;             /* first; this and `staged`: the owner's */
    fifo_t           staged;         /* queued, not submitted */
    uint32_t         n_staged;

    pthread_mutex_t  lock;           /* of what follows */
    pthread_cond_t   work;
    file_t           files[FILES_MAX];
    uint32_t         n_files;        /* that were ever used */
    uint32_t         turn;           /* whose it was */
    fifo_t           ended;
    uint32_t         n_idle;         /* wait for work */
    uint32_t         n_busy;         /* in a system call */
    uint32_t         n_members;      /* threads and, until close, the owner */
    bool             is_closed;
    uint32_t         n_workers;
    worker_t         workers[S3C_IO_THREADS_MAX];
};


static void
fifo_clear(fifo_t *fifo)
{
    fifo->first = NULL;
    fifo->last = &fifo->first;
}


static void
fifo_put(fifo_t *fifo, s3c_io_op_t *op)
{
    op->next = NULL;
    *fifo->last = op;
    fifo->last = &op->next;
}


static s3c_io_op_t *
fifo_take(fifo_t *fifo)
{
    s3c_io_op_t  *op = fifo->first;

    if (op != NULL) {
        fifo->first = op->next;

        if (fifo->first == NULL) {
            fifo->last = &fifo->first;
        }
    }

    return op;
}


static file_t *
file_locked(pool_t *pool, int fd)
{
    file_t    *file;
    uint32_t   i;

    for (i = 0; i < pool->n_files; i++) {
        if (pool->files[i].fd == fd) {
            return &pool->files[i];
        }
    }

    if (i == FILES_MAX) {
        return &pool->files[FILES_MAX - 1];
    }

    file = &pool->files[pool->n_files++];
    file->fd = fd;
    fifo_clear(&file->todo);

    return file;
}


/* The next in turn that has work and not yet its share of the threads. */
static file_t *
file_next_locked(pool_t *pool)
{
    file_t    *file;
    uint32_t   at;

    for (uint32_t i = 1; i <= pool->n_files; i++) {
        at = (pool->turn + i) % pool->n_files;
        file = &pool->files[at];

        if (file->todo.first != NULL
            && (pool->n_files == 1
                || file->n_busy + pool->n_busy < pool->n_workers))
        {
            return file;
        }
    }

    return NULL;
}


/* Puts all of `from` behind `to`. */
static void
fifo_move(fifo_t *to, fifo_t *from)
{
    if (from->first != NULL) {
        *to->last = from->first;
        to->last = from->last;
        fifo_clear(from);
    }
}


static ssize_t
write_dsync(const s3c_io_op_t *op, const struct iovec *iov)
{
    ssize_t  n;

    n = pwritev2(op->fd, iov, 1, (off_t) op->off, RWF_DSYNC);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) {
        return n;
    }

    n = pwrite(op->fd, op->buf, op->len, (off_t) op->off);

    return n >= 0 && fdatasync(op->fd) == -1 ? -1 : n;
}


/* The "v2" calls, since to them as to io_uring an offset of -1 is the file's
 * own position, and a pipe then is a file like any other. */
static int32_t
run(const s3c_io_op_t *op)
{
    ssize_t       n;
    struct iovec  iov = { .iov_base = op->buf, .iov_len = op->len };

    for (int i = 0; i <= TRIES_MAX; i++) {
        switch (op->kind) {
        case S3C_IO_READ:
            n = preadv2(op->fd, &iov, 1, (off_t) op->off, 0);
            break;
        case S3C_IO_WRITE:
            n = pwritev2(op->fd, &iov, 1, (off_t) op->off, 0);
            break;
        default:
            n = write_dsync(op, &iov);
            break;
        }

        if (n >= 0) {
            return (int32_t) n;
        }

        if (errno != EAGAIN && errno != EINTR) {
            break;
        }
    }

    return -errno;
}


static void
leave_locked(pool_t *pool)
{
    bool  is_last = --pool->n_members == 0;

    pthread_mutex_unlock(&pool->lock);

    if (is_last) {
        pthread_cond_destroy(&pool->work);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
    }
}


static void *
worker_run(void *arg)
{
    file_t       *file;
    int32_t       result;
    worker_t     *worker = arg;
    pool_t       *pool = worker->pool;
    s3c_io_op_t  *op;

    pthread_mutex_lock(&pool->lock);

    while (!pool->is_closed) {
        file = file_next_locked(pool);

        if (file == NULL) {
            pool->n_idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->n_idle--;
            continue;
        }

        pool->turn = (uint32_t) (file - pool->files);
        op = fifo_take(&file->todo);
        worker->is_busy = true;
        file->n_busy++;
        pool->n_busy++;

        /* Who ended may have left a share to another file than it took. */
        if (pool->n_idle > 0 && file_next_locked(pool) != NULL) {
            pthread_cond_signal(&pool->work);
        }

        pthread_mutex_unlock(&pool->lock);
        result = run(op);
        pthread_mutex_lock(&pool->lock);
        worker->is_busy = false;
        file->n_busy--;
        pool->n_busy--;

        if (pool->is_closed) {
            break;                   /* the op is the caller's again */
        }

        op->result = result;

        /* Under the lock: close() closes the event fd. Who reaps takes all,
         * so one signal is enough for what is put behind the first. */
        if (pool->ended.first == NULL) {
            (void) eventfd_write(pool->io.event_fd, 1);
        }

        fifo_put(&pool->ended, op);
    }

    leave_locked(pool);

    return NULL;
}


static s3c_status_t
threads_queue(s3c_io_t *io, s3c_io_op_t *op)
{
    pool_t  *pool = (pool_t *) io;

    if (io->in_flight >= io->depth) {
        return S3C_BUSY;
    }

    io->in_flight++;
    pool->n_staged++;
    fifo_put(&pool->staged, op);

    return S3C_OK;
}


static void
threads_submit(s3c_io_t *io)
{
    pool_t       *pool = (pool_t *) io;
    uint32_t      n_wake;
    s3c_io_op_t  *op;

    if (pool->n_staged == 0) {
        return;
    }

    pthread_mutex_lock(&pool->lock);

    while ((op = fifo_take(&pool->staged)) != NULL) {
        fifo_put(&file_locked(pool, op->fd)->todo, op);
    }

    n_wake = pool->n_staged < pool->n_idle ? pool->n_staged : pool->n_idle;
    pthread_mutex_unlock(&pool->lock);

    pool->n_staged = 0;

    /* Who is busy looks for more work by itself. */
    for ( /* void */ ; n_wake > 0; n_wake--) {
        pthread_cond_signal(&pool->work);
    }
}


static uint32_t
threads_reap(s3c_io_t *io)
{
    fifo_t        ended;
    pool_t       *pool = (pool_t *) io;
    uint32_t      n = 0;
    s3c_io_op_t  *op;

    fifo_clear(&ended);

    pthread_mutex_lock(&pool->lock);
    fifo_move(&ended, &pool->ended);
    pthread_mutex_unlock(&pool->lock);

    while ((op = fifo_take(&ended)) != NULL) {
        io->in_flight--;
        n++;
        op->done(op);
    }

    return n;
}


/* nginx unloads its modules before it exits: a thread that comes back from
 * the kernel after that must still find its code. */
static void
keep_code_loaded(void)
{
    Dl_info  info;

    if (dladdr((void *) (uintptr_t) keep_code_loaded, &info) != 0) {
        (void) dlopen(info.dli_fname,
                      RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    }
}


/* Threads that are in a system call are left to themselves, the others are
 * waited for: these have nothing to do but to leave. */
static void
threads_close(s3c_io_t *io)
{
    bool       is_hung[S3C_IO_THREADS_MAX], any = false;
    pool_t    *pool = (pool_t *) io;
    uint32_t   n = pool->n_workers;
    pthread_t  ids[S3C_IO_THREADS_MAX];

    pthread_mutex_lock(&pool->lock);
    pool->is_closed = true;

    for (uint32_t i = 0; i < n; i++) {
        ids[i] = pool->workers[i].id;
        is_hung[i] = pool->workers[i].is_busy;
        any = any || is_hung[i];
    }

    close(io->event_fd);
    pthread_cond_broadcast(&pool->work);
    leave_locked(pool);

    if (any) {
        keep_code_loaded();
    }

    for (uint32_t i = 0; i < n; i++) {
        if (is_hung[i]) {
            pthread_detach(ids[i]);
        } else {
            pthread_join(ids[i], NULL);
        }
    }
}


static const s3c_io_backend_t  threads_backend = {
    .name = "threads",
    .queue = threads_queue,
    .submit = threads_submit,
    .reap = threads_reap,
    .close = threads_close,
};


/* As many as there can be; answers the error of the first that cannot. */
static int
workers_start(pool_t *pool, uint32_t n)
{
    int             err;
    worker_t       *worker;
    sigset_t        all, before;
    pthread_attr_t  attr;

    err = pthread_attr_init(&attr);
    if (err != 0) {
        return err;
    }

    /* A signal is for the owner; a thread gets the mask of who starts it. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    (void) pthread_attr_setstacksize(&attr, STACK_BYTES);

    pthread_mutex_lock(&pool->lock);

    while (pool->n_workers < n) {
        worker = &pool->workers[pool->n_workers];
        worker->pool = pool;

        err = pthread_create(&worker->id, &attr, worker_run, worker);
        if (err != 0) {
            break;
        }

        pool->n_workers++;
        pool->n_members++;
    }

    pthread_mutex_unlock(&pool->lock);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);

    return err;
}


s3c_status_t
s3c_io_threads_open(s3c_io_t **io, uint32_t depth, uint32_t n_threads)
{
    int      err;
    pool_t  *pool;

    assert(depth >= 1 && depth <= S3C_IO_DEPTH_MAX);
    assert(n_threads >= 1 && n_threads <= S3C_IO_THREADS_MAX);
    *io = NULL;

    pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return S3C_IO;
    }

    pool->io.backend = &threads_backend;
    pool->io.depth = depth;
    pool->n_members = 1;
    fifo_clear(&pool->staged);
    fifo_clear(&pool->ended);

    pool->io.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->io.event_fd == -1) {
        err = errno;
        free(pool);
        errno = err;
        return S3C_IO;
    }

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);

    err = workers_start(pool, n_threads);

    if (pool->n_workers == 0) {
        threads_close(&pool->io);
        errno = err;
        return S3C_IO;
    }

    *io = &pool->io;                 /* a smaller pool is a pool, too */

    return S3C_OK;
}

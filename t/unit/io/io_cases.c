/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE      /* O_DIRECT, pipe2 */

#include "io_cases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/epoll.h>

#define BLOCK         4096u
#define BLOCKS        512u               /* of the file of io_mix() */
#define OP_BYTES      (IO_MIX_BYTES / IO_MIX_DEPTH)
#define PATIENCE_MS   20000

s3c_status_t (*io_cases_open)(s3c_io_t **io, uint32_t depth);

static uint64_t  seed = 20261121;
static uint32_t  n_done;


static uint32_t
roll(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;

    return (uint32_t) (seed >> 33) % below;
}


static double
now_s(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
count(s3c_io_op_t *op)
{
    (void) op;
    n_done++;
}


void
io_op_init(s3c_io_op_t *op, s3c_io_kind_t kind, int fd, void *buf,
    uint32_t len, uint64_t off)
{
    memset(op, 0x55, sizeof(*op));       /* nothing else is relied upon */
    op->kind = kind;
    op->fd = fd;
    op->buf = buf;
    op->len = len;
    op->off = off;
    op->done = count;
    op->data = NULL;
}


int
io_file(uint64_t bytes, bool direct)
{
    int          fd, plain;
    char         path[128];
    const char  *tmp = getenv("TMPDIR");

    snprintf(path, sizeof(path), "%s/s3c-io-XXXXXX",
             tmp == NULL ? "/tmp" : tmp);
    plain = mkstemp(path);
    assert_true(plain >= 0);
    assert_int_equal(ftruncate(plain, (off_t) bytes), 0);
    fd = direct ? open(path, O_RDWR | O_DIRECT | O_CLOEXEC) : -1;
    unlink(path);

    if (fd == -1) {
        return plain;
    }

    close(plain);

    return fd;
}


void
io_loop_open(io_loop_t *loop, uint32_t depth)
{
    struct epoll_event  ee = { .events = EPOLLIN | EPOLLET };

    assert_int_equal(io_cases_open(&loop->io, depth), S3C_OK);
    assert_int_equal(loop->io->depth, depth);
    assert_int_equal(loop->io->in_flight, 0);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert_true(loop->epoll_fd >= 0);
    assert_int_equal(epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD,
                               loop->io->event_fd, &ee), 0);
}


void
io_loop_close(io_loop_t *loop)
{
    s3c_io_close(loop->io);
    close(loop->epoll_fd);
}


bool
io_loop_turn(io_loop_t *loop, int timeout_ms)
{
    int                 n;
    struct epoll_event  ee;

    s3c_io_submit(loop->io);

    do {
        n = epoll_wait(loop->epoll_fd, &ee, 1, timeout_ms);
    } while (n == -1 && errno == EINTR);

    assert_true(n >= 0);

    if (n == 0) {
        return false;
    }

    while (s3c_io_reap(loop->io) != 0) { /* void */ }

    return true;
}


void
io_loop_drain(io_loop_t *loop)
{
    while (loop->io->in_flight > 0) {
        if (!io_loop_turn(loop, PATIENCE_MS)) {
            fail_msg("%u in flight and no event", loop->io->in_flight);
        }
    }
}


/* --- many of all kinds --------------------------------------------------- */

typedef struct {
    io_loop_t    *loop;
    uint32_t      left, in_flight;
    uint8_t       value[BLOCKS];         /* of each byte of the block */
    bool          taken[BLOCKS];
} mix_t;

typedef struct {
    s3c_io_op_t   op;
    mix_t        *mix;
    uint8_t      *buf;
    uint32_t      block, n_blocks;
} mix_op_t;


static void mix_done(s3c_io_op_t *op);


static void
mix_next(mix_op_t *m)
{
    mix_t          *mix = m->mix;
    s3c_io_kind_t   kind;

    if (mix->left == 0) {
        return;
    }

    for ( ;; ) {                         /* blocks that nobody else uses */
        m->n_blocks = 1 + roll(OP_BYTES / BLOCK);
        m->block = roll(BLOCKS - m->n_blocks + 1);

        if (memchr(mix->taken + m->block, true, m->n_blocks) == NULL) {
            break;
        }
    }

    kind = roll(100) < 60 ? S3C_IO_READ
           : roll(100) < 90 ? S3C_IO_WRITE : S3C_IO_WRITE_DSYNC;
    io_op_init(&m->op, kind, m->op.fd, m->buf, m->n_blocks * BLOCK,
               (uint64_t) m->block * BLOCK);
    m->op.done = mix_done;
    m->op.data = m;

    for (uint32_t i = 0; i < m->n_blocks; i++) {
        mix->taken[m->block + i] = true;

        if (kind != S3C_IO_READ) {
            mix->value[m->block + i] = (uint8_t) roll(256);
            memset(m->buf + i * BLOCK, mix->value[m->block + i], BLOCK);
        }
    }

    if (kind == S3C_IO_READ) {
        memset(m->buf, 0xee, m->n_blocks * BLOCK);
    }

    mix->left--;
    mix->in_flight++;
    assert_int_equal(s3c_io_queue(mix->loop->io, &m->op), S3C_OK);
}


static void
mix_done(s3c_io_op_t *op)
{
    uint8_t    want;
    mix_op_t  *m = op->data;

    assert_int_equal(op->result, op->len);

    for (uint32_t i = 0; i < m->n_blocks; i++) {
        m->mix->taken[m->block + i] = false;
        want = m->mix->value[m->block + i];
        assert_int_equal(m->buf[i * BLOCK], want);
        assert_memory_equal(m->buf + i * BLOCK, m->buf + i * BLOCK + 1,
                            BLOCK - 1);
    }

    m->mix->in_flight--;
    mix_next(m);
}


void
io_mix(io_loop_t *loop, int fd, uint8_t *buf, uint32_t n_ops)
{
    mix_t     mix = { .loop = loop, .left = n_ops };
    mix_op_t  ops[IO_MIX_DEPTH];

    for (uint32_t i = 0; i < IO_MIX_DEPTH; i++) {
        ops[i].mix = &mix;
        ops[i].buf = buf + i * OP_BYTES;
        ops[i].op.fd = fd;
        mix_next(&ops[i]);
    }

    io_loop_drain(loop);
    assert_int_equal(mix.left, 0);
    assert_int_equal(mix.in_flight, 0);
}


void
what_is_written_is_read(void **state)
{
    int        fd = io_file(BLOCKS * BLOCK, true);
    uint8_t   *buf;
    io_loop_t  loop;

    (void) state;
    buf = aligned_alloc(BLOCK, IO_MIX_BYTES);
    assert_non_null(buf);
    io_loop_open(&loop, IO_MIX_DEPTH);
    io_mix(&loop, fd, buf, 10000);
    io_loop_close(&loop);
    free(buf);
    close(fd);
}


/* --- results ------------------------------------------------------------- */

void
a_read_at_the_end_is_short(void **state)
{
    int          fd = io_file(6000, false);
    uint8_t      buf[3][BLOCK];
    io_loop_t    loop;
    s3c_io_op_t  op[3];

    (void) state;
    io_loop_open(&loop, 4);

    for (uint32_t i = 0; i < 3; i++) {
        io_op_init(&op[i], S3C_IO_READ, fd, buf[i], BLOCK, i * BLOCK);
        assert_int_equal(s3c_io_queue(loop.io, &op[i]), S3C_OK);
    }

    io_loop_drain(&loop);
    assert_int_equal(op[0].result, BLOCK);
    assert_int_equal(op[1].result, 6000 - BLOCK);
    assert_int_equal(op[2].result, 0);
    io_loop_close(&loop);
    close(fd);
}


void
an_error_is_the_result(void **state)
{
    int          fd = io_file(BLOCK, false), only_read;
    char         path[64];
    uint8_t      buf[16] = { 0 };
    io_loop_t    loop;
    s3c_io_op_t  op[4];

    (void) state;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    only_read = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(only_read >= 0);
    io_loop_open(&loop, 4);
    io_op_init(&op[0], S3C_IO_READ, -1, buf, sizeof(buf), 0);
    io_op_init(&op[1], S3C_IO_WRITE, only_read, buf, sizeof(buf), 0);
    io_op_init(&op[2], S3C_IO_WRITE_DSYNC, only_read, buf, sizeof(buf), 0);
    io_op_init(&op[3], S3C_IO_WRITE_DSYNC, fd, buf, sizeof(buf), 0);

    for (int i = 0; i < 4; i++) {
        assert_int_equal(s3c_io_queue(loop.io, &op[i]), S3C_OK);
    }

    io_loop_drain(&loop);
    assert_int_equal(op[0].result, -EBADF);
    assert_int_equal(op[1].result, -EBADF);
    assert_int_equal(op[2].result, -EBADF);
    assert_int_equal(op[3].result, sizeof(buf));
    io_loop_close(&loop);
    close(only_read);
    close(fd);
}


/* --- the queue ----------------------------------------------------------- */

void
one_more_than_the_depth_is_busy(void **state)
{
    int          fd = io_file(BLOCK, false);
    uint8_t      buf[4][16];
    io_loop_t    loop;
    s3c_io_op_t  op[4];

    (void) state;
    io_loop_open(&loop, 3);

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            io_op_init(&op[i], S3C_IO_READ, fd, buf[i], 16, 0);
            assert_int_equal(s3c_io_queue(loop.io, &op[i]),
                             i < 3 ? S3C_OK : S3C_BUSY);
        }

        assert_int_equal(loop.io->in_flight, 3);
        n_done = 0;
        io_loop_drain(&loop);
        assert_int_equal(n_done, 3);
    }

    io_loop_close(&loop);
    close(fd);
}


/* More than a ring of io_uring takes at once. */
void
all_of_a_deep_queue_is_done(void **state)
{
    int          fd = io_file(BLOCK, false);
    uint8_t     *buf;
    io_loop_t    loop;
    s3c_io_op_t *ops;

    (void) state;
    ops = calloc(S3C_IO_DEPTH_MAX, sizeof(*ops));
    buf = calloc(S3C_IO_DEPTH_MAX, 16);
    assert_true(ops != NULL && buf != NULL);
    io_loop_open(&loop, S3C_IO_DEPTH_MAX);

    for (int round = 0; round < 2; round++) {
        n_done = 0;

        for (uint32_t i = 0; i < S3C_IO_DEPTH_MAX; i++) {
            io_op_init(&ops[i], S3C_IO_READ, fd, buf + 16 * i, 16, 0);
            assert_int_equal(s3c_io_queue(loop.io, &ops[i]), S3C_OK);
        }

        io_loop_drain(&loop);
        assert_int_equal(n_done, S3C_IO_DEPTH_MAX);
    }

    io_loop_close(&loop);
    free(ops);
    free(buf);
    close(fd);
}


void
nothing_is_sent_before_submit(void **state)
{
    int          fds[2];
    uint8_t      byte = 7;
    io_loop_t    loop;
    s3c_io_op_t  op;

    (void) state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    io_loop_open(&loop, 4);
    io_op_init(&op, S3C_IO_WRITE, fds[1], &byte, 1, OWN_POSITION);
    assert_int_equal(s3c_io_queue(loop.io, &op), S3C_OK);
    usleep(30000);
    assert_int_equal(s3c_io_reap(loop.io), 0);
    assert_int_equal(loop.io->in_flight, 1);
    io_loop_drain(&loop);
    assert_int_equal(op.result, 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    io_loop_close(&loop);
    close(fds[0]);
    close(fds[1]);
}


/* Some operations end while they are submitted, some while the caller sleeps,
 * some while it reaps. Each must come with an edge: a turn that sleeps with
 * something ended fails the test. */
void
no_edge_is_lost(void **state)
{
    int          fds[2], fd = io_file(BLOCK, false), direct;
    void        *aligned = NULL;
    uint8_t      got, byte = 3, buf[16];
    io_loop_t    loop;
    s3c_io_op_t  slow, quick, disk;

    (void) state;
    direct = io_file(BLOCK, true);
    assert_int_equal(posix_memalign(&aligned, BLOCK, BLOCK), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    io_loop_open(&loop, 8);

    for (int i = 0; i < 3000; i++) {
        n_done = 0;
        io_op_init(&slow, S3C_IO_READ, fds[0], &got, 1, OWN_POSITION);
        io_op_init(&quick, S3C_IO_READ, fd, buf, sizeof(buf), 0);
        io_op_init(&disk, S3C_IO_READ, direct, aligned, BLOCK, 0);
        assert_int_equal(s3c_io_queue(loop.io, &slow), S3C_OK);
        s3c_io_submit(loop.io);

        if (i % 3 == 0) {
            assert_int_equal(s3c_io_queue(loop.io, &quick), S3C_OK);
        }

        if (i % 2 == 0) {
            assert_int_equal(s3c_io_queue(loop.io, &disk), S3C_OK);
            s3c_io_submit(loop.io);
        }

        if (i % 5 == 0) {
            (void) s3c_io_reap(loop.io);
        }

        assert_int_equal(write(fds[1], &byte, 1), 1);

        if (i % 7 == 0) {
            (void) s3c_io_reap(loop.io);
        }

        io_loop_drain(&loop);
        assert_int_equal(n_done, 1 + (i % 3 == 0) + (i % 2 == 0));
        assert_int_equal(slow.result, 1);
    }

    io_loop_close(&loop);
    free(aligned);
    close(fds[0]);
    close(fds[1]);
    close(direct);
    close(fd);
}


/* --- close --------------------------------------------------------------- */

void
close_waits_for_nothing(void **state)
{
    int           fds[2], fd = io_file(BLOCK, false);
    double        start;
    uint8_t       buf[16];
    io_loop_t     loop;
    s3c_io_op_t  *hung, op;
    static char   kept[2];               /* the kernel may write to it later */

    (void) state;
    hung = calloc(2, sizeof(*hung));
    assert_non_null(hung);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    io_loop_open(&loop, 8);
    n_done = 0;

    for (int i = 0; i < 2; i++) {
        io_op_init(&hung[i], S3C_IO_READ, fds[0], &kept[i], 1, OWN_POSITION);
        assert_int_equal(s3c_io_queue(loop.io, &hung[i]), S3C_OK);
    }

    /* What hangs is in nobody's way. */
    io_op_init(&op, S3C_IO_READ, fd, buf, sizeof(buf), 0);
    assert_int_equal(s3c_io_queue(loop.io, &op), S3C_OK);

    while (n_done == 0) {
        assert_true(io_loop_turn(&loop, PATIENCE_MS));
    }

    assert_int_equal(op.result, sizeof(buf));
    assert_int_equal(loop.io->in_flight, 2);

    start = now_s();
    io_loop_close(&loop);
    assert_true(now_s() - start < 2);

    /* They end after the queue: done() is not called. */
    assert_int_equal(write(fds[1], "xy", 2), 2);
    usleep(50000);
    assert_int_equal(n_done, 1);
    free(hung);
    close(fds[0]);
    close(fds[1]);
    close(fd);
}


void
close_drops_what_was_not_sent(void **state)
{
    int          fd = io_file(BLOCK, false);
    uint8_t      buf[16];
    io_loop_t    loop;
    s3c_io_op_t  op;

    (void) state;
    n_done = 0;
    io_loop_open(&loop, 8);
    io_op_init(&op, S3C_IO_READ, fd, buf, sizeof(buf), 0);
    assert_int_equal(s3c_io_queue(loop.io, &op), S3C_OK);
    io_loop_close(&loop);
    assert_int_equal(n_done, 0);
    close(fd);
}

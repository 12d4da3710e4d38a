/* SPDX-License-Identifier: Apache-2.0
 *
 * The flash tier by itself, on a real file through io_uring: fills it with
 * objects of one size and says so by a line. Then for each line "depth seconds"
 * that it is given it reads them at random, so many at a time, and prints a
 * line of JSON. bench/flash.py runs fio on the same file between two of them.
 *
 *     tier_bench file file_bytes object_bytes objects
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "ssd/ssd.h"

#define DEPTH_MAX  256

typedef struct {
    s3c_ssd_read_t   read;
    uint64_t         bytes;
} reader_t;

static s3c_ssd_t  *ssd;
static s3c_io_t   *io;
static int         epoll_fd, file_fd;
static uint32_t    object_bytes, n_objects, depth;
static uint64_t    random_state = 88172645463325252ull;
static uint64_t    n_done, n_bytes, n_failed, deadline_us;
static uint32_t    n_running;
static reader_t    readers[DEPTH_MAX];


static uint64_t
usec(void *ctx)
{
    struct timespec  ts;

    (void) ctx;
    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static uint64_t
wall_s(void *ctx)
{
    (void) ctx;

    return (uint64_t) time(NULL);
}


static double
cpu_seconds(void)
{
    struct rusage  ru;

    (void) getrusage(RUSAGE_SELF, &ru);

    return ru.ru_utime.tv_sec + ru.ru_stime.tv_sec
           + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}


static bool
lock_file(void *ctx, uint32_t store)
{
    (void) ctx;
    (void) store;

    return flock(file_fd, LOCK_EX | LOCK_NB) == 0;
}


static void
random_bytes(void *ctx, void *out, size_t len)
{
    (void) ctx;

    if (s3c_random(out, len) != S3C_OK) {
        abort();
    }
}


static void
observe(void *ctx, s3c_ssd_observed_t what, uint64_t us)
{
    (void) ctx;
    (void) what;
    (void) us;
}


static void
say(void *ctx, s3c_ssd_log_t what, uint32_t store, uint64_t n,
    const char *word)
{
    (void) ctx;

    if (what == S3C_SSD_LOG_ERROR || what == S3C_SSD_LOG_FAILED
        || what == S3C_SSD_LOG_CORRUPT)
    {
        fprintf(stderr, "store %u: event %d, %llu %s\n", store, (int) what,
                (unsigned long long) n, word ? word : "");
    }
}


static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return random_state;
}


static s3c_hash128_t
key_of(uint64_t i)
{
    s3c_hash128_t  key = { i * 0x9e3779b97f4a7c15ull, ~i * 0xff51afd7ed558ccd };

    return key;
}


static void
turn(int wait_ms)
{
    struct epoll_event  ev;

    s3c_io_submit(io);

    if (epoll_wait(epoll_fd, &ev, 1, wait_ms) > 0) {
        while (s3c_io_reap(io) > 0) {
            s3c_io_submit(io);
        }
    }
}


static s3c_status_t
on_data(s3c_ssd_read_t *read, const s3c_ssd_record_t *record, uint32_t off,
    const uint8_t *data, uint32_t len)
{
    reader_t  *r = read->data;

    (void) record;
    (void) off;
    (void) data;
    r->bytes += len;

    return S3C_OK;
}


static void
read_next(reader_t *r)
{
    r->bytes = 0;
    r->read.key = key_of(next_random() % n_objects);

    if (s3c_ssd_read(ssd, &r->read, usec(NULL) / 1000) != S3C_OK) {
        n_failed++;
        n_running--;
    }
}


static void
on_end(s3c_ssd_read_t *read, s3c_status_t st)
{
    reader_t  *r = read->data;

    if (st != S3C_OK || r->bytes != object_bytes) {
        n_failed++;
    }

    n_done++;
    n_bytes += r->bytes;

    if (usec(NULL) < deadline_us) {
        read_next(r);

    } else {
        n_running--;
    }
}


static bool
all_there(void)
{
    uint64_t  bytes;

    return s3c_ssd_find(ssd, key_of(n_objects - 1), &bytes) == S3C_OK;
}


static void
fill(void)
{
    uint32_t         i;
    uint64_t         tag[2] = { 1, 2 };
    uint8_t         *payload = malloc(object_bytes);
    s3c_status_t     st;
    struct iovec     iov = { payload, object_bytes };
    s3c_ssd_usage_t  usage;

    for (i = 0; i < object_bytes; i++) {
        payload[i] = (uint8_t) next_random();
    }

    for (i = 0; i < n_objects; i++) {
        for ( ;; ) {
            st = s3c_ssd_put(ssd, key_of(i), tag, &iov, 1, object_bytes,
                             usec(NULL) / 1000);
            if (st == S3C_OK) {
                break;
            }

            if (st != S3C_BUSY) {
                fprintf(stderr, "put: %s\n", s3c_status_name(st));
                exit(1);
            }

            turn(1);
            s3c_ssd_run(ssd, usec(NULL) / 1000);
        }
    }

    /* what is staged goes out by itself, and can then be found */

    do {
        s3c_ssd_run(ssd, usec(NULL) / 1000);
        turn(5);
        s3c_ssd_usage(ssd, 0, &usage);
    } while (usage.writes_in_flight > 0 || !all_there());

    if (usage.records != n_objects) {
        fprintf(stderr, "%llu of %u objects are there\n",
                (unsigned long long) usage.records, n_objects);
        exit(1);
    }

    free(payload);
}


int
main(int argc, char **argv)
{
    int                  align = 4096;
    double               cpu, seconds;
    void                *region;
    uint32_t             i;
    uint64_t             begun, bytes, took;
    s3c_ssd_env_t        env = { .usec = usec, .wall_s = wall_s,
                                 .lock = lock_file,
                                 .random = random_bytes, .observe = observe,
                                 .log = say };
    s3c_ssd_conf_t       conf = { .n_slots = 1, .n_stores = 1 };
    struct statx         stx;
    s3c_ssd_usage_t      usage;
    struct epoll_event   ev = { .events = EPOLLIN | EPOLLET };

    if (argc != 5) {
        fprintf(stderr, "tier_bench file file_bytes object_bytes objects\n");
        return 2;
    }

    conf.stores[0].segment_bytes = 16u << 20;
    conf.stores[0].bytes = strtoull(argv[2], NULL, 0)
                           / conf.stores[0].segment_bytes
                           * conf.stores[0].segment_bytes;
    object_bytes = (uint32_t) atoi(argv[3]);
    n_objects = (uint32_t) atoi(argv[4]);

    file_fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);

    if (file_fd == -1
        || posix_fallocate(file_fd, 0, (off_t) conf.stores[0].bytes) != 0)
    {
        perror(argv[1]);
        return 1;
    }

#ifdef STATX_DIOALIGN
    if (statx(file_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0
        && (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align >= 512)
    {
        align = (int) stx.stx_dio_offset_align;
    }
#else
    (void) stx;
#endif

    conf.stores[0].align = (uint32_t) align;
    conf.stores[0].timeout_ms = 5000;
    conf.n_objects = n_objects + 64;
    random_bytes(NULL, conf.secret, sizeof(conf.secret));

    bytes = s3c_ssd_bytes(&conf);
    region = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (region == MAP_FAILED
        || s3c_ssd_format(region, bytes, &conf) != S3C_OK
        || s3c_io_uring_open(&io, 1024) != S3C_OK)
    {
        perror("set up");
        return 1;
    }

    epoll_fd = epoll_create1(0);

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, io->event_fd, &ev) != 0) {
        perror("epoll_ctl");
        return 1;
    }

    env.io = io;
    env.fds[0] = file_fd;

    if (s3c_ssd_join(&ssd, region, bytes, &env, usec(NULL) / 1000)
        != S3C_OK)
    {
        fprintf(stderr, "join\n");
        return 1;
    }

    do {
        s3c_ssd_run(ssd, usec(NULL) / 1000);
        turn(5);
        s3c_ssd_usage(ssd, 0, &usage);
    } while (usage.state != S3C_SSD_SERVING);

    fill();

    puts("filled");
    (void) fflush(stdout);

    while (scanf("%u %lf", &depth, &seconds) == 2 && depth <= DEPTH_MAX) {
        n_done = 0;
        n_bytes = 0;
        n_failed = 0;
        cpu = cpu_seconds();
        begun = usec(NULL);
        deadline_us = begun + (uint64_t) (seconds * 1e6);
        n_running = depth;

        for (i = 0; i < depth; i++) {
            readers[i].read.len = UINT32_MAX;
            readers[i].read.on_data = on_data;
            readers[i].read.on_end = on_end;
            readers[i].read.data = &readers[i];
            read_next(&readers[i]);
        }

        while (n_running > 0) {
            turn(100);
        }

        took = usec(NULL) - begun;
        cpu = cpu_seconds() - cpu;

        printf("{\"object_bytes\": %u, \"depth\": %u, \"reads_s\": %.0f, "
               "\"mib_s\": %.1f, \"cpu_us\": %.2f, \"failed\": %llu, "
               "\"align\": %d}\n",
               object_bytes, depth, (double) n_done * 1e6 / (double) took,
               (double) n_bytes / (double) took * 1e6 / (1 << 20),
               cpu * 1e6 / (double) n_done, (unsigned long long) n_failed,
               align);
        (void) fflush(stdout);
    }

    return 0;
}

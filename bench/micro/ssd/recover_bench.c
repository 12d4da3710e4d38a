/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a restart takes: a store of a million records of 3900 bytes, known
 * by footers on a real (sparse) file, from join until it serves, with the
 * worker's event loop turning as it does in nginx. Wall time, processor time,
 * the longest stretch in which the loop did nothing else. Of a file in the
 * page cache and (O_DIRECT) of the device.
 *
 *     recover_bench [directory, default .] [records, default 1000000]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                      /* O_DIRECT */
#endif

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "ssd/ssd_media.h"

#define SEG      (64u << 20)
#define SIZE     3900u
#define ID       0x1234567812345678ull
#define EPOCH    (1ull << 40)
#define RUNS     3

typedef struct {
    uint64_t  recovered;
} seen_t;


static uint64_t
clock_usec(clockid_t id)
{
    struct timespec  ts;

    clock_gettime(id, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static uint64_t
env_usec(void *ctx)
{
    (void) ctx;

    return clock_usec(CLOCK_MONOTONIC);
}


static uint64_t
env_wall_s(void *ctx)
{
    (void) ctx;

    return (uint64_t) time(NULL);
}


static bool
env_lock(void *ctx, uint32_t store)
{
    (void) ctx;
    (void) store;

    return true;
}


static void
env_random(void *ctx, void *out, size_t len)
{
    (void) ctx;

    if (getrandom(out, len, 0) != (ssize_t) len) {
        abort();
    }
}


static void
env_observe(void *ctx, s3c_ssd_observed_t what, uint64_t usec)
{
    (void) ctx;
    (void) what;
    (void) usec;
}


static void
env_log(void *ctx, s3c_ssd_log_t what, uint32_t store, uint64_t n,
    const char *word)
{
    if (what == S3C_SSD_LOG_MOUNTED) {
        ((seen_t *) ctx)->recovered = n;
        return;
    }

    fprintf(stderr, "log %d store %u n %llu %s\n", what, store,
            (unsigned long long) n, word == NULL ? "" : word);
}


static uint64_t
mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


static void
write_all(int fd, const void *p, size_t len, uint64_t off)
{
    if (pwrite(fd, p, len, (off_t) off) != (ssize_t) len) {
        perror("pwrite");
        exit(1);
    }
}


/* Header and footer of each segment; the payload between is a hole. */
static uint32_t
store_make(int fd, s3c_ssd_conf_t *conf, uint32_t n_records)
{
    uint32_t               i, n, per, units = s3c_ssd_record_units(SIZE);
    uint32_t               segment = 0, done = 0;
    uint64_t               seq = EPOCH;
    uint8_t               *out, block[2 * S3C_SSD_BLOCK] = { 0 };
    s3c_ssd_footer_rec_t  *e;
    s3c_ssd_super_t        super = { .store_id = ID, .epoch = 1,
                                     .segment_bytes = SEG };

    per = SEG / (units * S3C_SSD_UNIT);

    while ((uint64_t) per * units * S3C_SSD_UNIT + s3c_ssd_footer_bytes(per)
           + S3C_SSD_BLOCK > SEG)
    {
        per--;
    }

    e = malloc(per * sizeof(*e));
    out = malloc(s3c_ssd_footer_bytes(per));

    for ( ; done < n_records; segment++, done += n) {
        uint64_t  at = (uint64_t) (segment + 1) * SEG, first = ++seq;

        n = n_records - done < per ? n_records - done : per;
        s3c_ssd_segment_encode(block, ID, segment, first, 0);
        write_all(fd, block, S3C_SSD_BLOCK, at);

        for (i = 0; i < n; i++) {
            e[i] = (s3c_ssd_footer_rec_t) {
                .key_lo = mix(done + i + 1), .key_hi = mix(done + i + 7777777),
                .record_seq = ++seq, .unit = 8 + i * units, .size = SIZE,
                .kind = S3C_SSD_KIND_RECORD
            };
        }

        s3c_ssd_footer_encode(out, ID, first, seq, e, n, SEG);
        write_all(fd, out, s3c_ssd_footer_bytes(n),
                  at + SEG - s3c_ssd_footer_bytes(n));
    }

    segment += 8;                            /* some are free */
    super.bytes = (uint64_t) (segment + 1) * SEG;
    memcpy(super.secret, conf->secret, sizeof(super.secret));
    memset(block, 0, sizeof(block));
    s3c_ssd_super_encode(block + S3C_SSD_BLOCK, &super);
    write_all(fd, block, sizeof(block), 0);

    if (ftruncate(fd, (off_t) super.bytes) != 0 || fsync(fd) != 0) {
        perror("ftruncate");
        exit(1);
    }

    conf->n_slots = 1;
    conf->n_stores = 1;
    conf->n_objects = n_records + n_records / 4;
    conf->stores[0] = (s3c_ssd_store_conf_t) {
        .bytes = super.bytes, .segment_bytes = SEG, .align = 4096,
        .timeout_ms = 1000
    };
    free(e);
    free(out);

    return segment;
}


static void
recover_once(int fd, const s3c_ssd_conf_t *conf, s3c_io_t *io,
    const char *title)
{
    void             *region;
    seen_t            seen = { 0 };
    uint64_t          bytes = s3c_ssd_bytes(conf), begun, cpu, t, longest = 0;
    s3c_ssd_t        *ssd;
    s3c_ssd_usage_t   u;
    s3c_ssd_env_t     env = {
        .io = io, .fds = { fd }, .ctx = &seen, .usec = env_usec,
        .wall_s = env_wall_s,
        .lock = env_lock, .random = env_random, .observe = env_observe,
        .log = env_log
    };

    region = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (region == MAP_FAILED
        || s3c_ssd_format(region, bytes, conf) != S3C_OK
        || s3c_ssd_join(&ssd, region, bytes, &env, env_usec(NULL) / 1000)
           != S3C_OK)
    {
        fprintf(stderr, "no region\n");
        exit(1);
    }

    begun = env_usec(NULL);
    cpu = clock_usec(CLOCK_PROCESS_CPUTIME_ID);

    for (uint64_t next = 0; ; ) {
        struct pollfd  p = { .fd = io->event_fd, .events = POLLIN };
        uint64_t       word, now = env_usec(NULL);

        if (now >= next) {
            next = now + S3C_SSD_RUN_MS * 1000;
            s3c_ssd_run(ssd, now / 1000);
        }

        s3c_io_submit(io);

        while (s3c_io_reap(io) > 0) { /* void */ }

        s3c_io_submit(io);
        t = env_usec(NULL);
        longest = t - now > longest ? t - now : longest;
        s3c_ssd_usage(ssd, 0, &u);

        if (u.state == S3C_SSD_SERVING) {
            break;
        }

        if (poll(&p, 1, t >= next ? 0 : (int) ((next - t) / 1000) + 1) > 0) {
            (void) !read(io->event_fd, &word, sizeof(word));
        }
    }

    printf("%-10s %-8s %9llu records %5llu segments: %5.0f ms to serve, "
           "%5.0f ms cpu, longest stretch %4.1f ms\n",
           io->backend->name, title, (unsigned long long) seen.recovered,
           (unsigned long long) u.recovered_segments,
           (double) (env_usec(NULL) - begun) / 1000,
           (double) (clock_usec(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1000,
           (double) longest / 1000);
    s3c_ssd_leave(ssd);
    munmap(region, bytes);
}


static void
runs(const char *path, const s3c_ssd_conf_t *conf, bool direct, bool uring)
{
    int        fd = open(path, O_RDWR | (direct ? O_DIRECT : 0));
    s3c_io_t  *io;

    if (fd < 0
        || (uring ? s3c_io_uring_open(&io, 512)
                  : s3c_io_threads_open(&io, 512, 8)) != S3C_OK)
    {
        printf("%s%s: not offered here\n", uring ? "io_uring" : "threads",
               direct ? ", O_DIRECT" : "");

    } else {
        for (int i = 0; i < RUNS; i++) {
            recover_once(fd, conf, io, direct ? "direct" : "cached");
        }

        s3c_io_close(io);
    }

    if (fd >= 0) {
        close(fd);
    }
}


int
main(int argc, char **argv)
{
    int              fd;
    char             path[4096];
    s3c_ssd_conf_t   conf = { 0 };

    snprintf(path, sizeof(path), "%s/recover_bench.%d",
             argc > 1 ? argv[1] : ".", getpid());
    fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

    if (fd < 0) {
        perror(path);
        return 1;
    }

    memset(conf.secret, 3, sizeof(conf.secret));
    (void) store_make(fd, &conf,
                      argc > 2 ? (uint32_t) atoi(argv[2]) : 1000000);
    close(fd);

    for (int i = 0; i < 4; i++) {
        runs(path, &conf, i % 2 == 1, i < 2);
    }

    unlink(path);

    return 0;
}

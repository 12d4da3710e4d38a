/* SPDX-License-Identifier: Apache-2.0
 *
 * What a hit costs: find and unpin over 1 M entries (or 20 k, which the
 * processor's caches hold), keys drawn uniformly or 78 % of them from 1000 hot
 * ones, by 1 or 2 processes on one region. In processor time, so that a busy
 * machine spoils it less; the cost of drawing the key is measured by itself
 * and taken off. Median of 5.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ram/ram.h"

#define HITS     2000000u
#define RUNS     5
#define BYTES    (4ull << 30)     /* a chain is 1.2 entries */

typedef struct {
    volatile uint32_t  ready;
    volatile uint32_t  go;
    volatile double    ns[8];
} shared_t;


static double
cpu_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}


static uint64_t
mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


static s3c_hash128_t
key_of(uint64_t n)
{
    return (s3c_hash128_t) { .lo = mix(n + 1), .hi = mix(n + 77) };
}


static void
wake(void *ctx, uint32_t slot)
{
    (void) ctx;
    (void) slot;
}


static uint32_t  n_objects;


static double
loop(s3c_ram_t *ram, bool hot, uint64_t seed, bool find)
{
    double         t0 = cpu_ns();
    uint64_t       sum = 0;
    s3c_ram_pin_t  pin;

    for (uint32_t i = 0; i < HITS; i++) {
        uint64_t       r = mix(seed += 0x9e3779b97f4a7c15ull);
        uint32_t       n = (uint32_t) (r >> 32) % n_objects;
        s3c_hash128_t  key;

        if (hot && (r & 1023) < 800) {
            n %= 1000;
        }

        key = key_of(n);

        if (!find) {
            sum += key.lo;

        } else if (s3c_ram_find(ram, key, i >> 8, &pin) == S3C_OK) {
            sum += pin.entry;
            s3c_ram_unpin(ram, &pin);

        } else {
            abort();
        }
    }

    *(volatile uint64_t *) &sum = sum;

    return (cpu_ns() - t0) / HITS;
}


static void
worker(void *region, shared_t *sh, int me, bool hot)
{
    double      base;
    s3c_ram_t  *ram;

    if (s3c_ram_join(&ram, region, BYTES, wake, NULL, 1) != S3C_OK) {
        _exit(1);
    }

    (void) loop(ram, hot, 1000 + me, true);
    base = loop(ram, hot, me, false);
    __atomic_fetch_add(&sh->ready, 1, __ATOMIC_SEQ_CST);

    while (!sh->go) { /* all at once */ }

    sh->ns[me] = loop(ram, hot, me, true) - base;
    s3c_ram_leave(ram);
    _exit(0);
}


static int
by_value(const void *a, const void *b)
{
    double  x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}


static void
measure(void *region, shared_t *sh, const char *name, bool hot, uint32_t n)
{
    double  ns[RUNS];

    for (int run = 0; run < RUNS; run++) {
        sh->ready = sh->go = 0;

        for (uint32_t i = 0; i < n; i++) {
            if (fork() == 0) {
                worker(region, sh, (int) i, hot);
            }
        }

        while (sh->ready < n) {
            usleep(1000);
        }

        sh->go = 1;
        ns[run] = 0;

        while (wait(NULL) > 0) { /* void */ }

        for (uint32_t i = 0; i < n; i++) {
            ns[run] += sh->ns[i] / n;
        }
    }

    qsort(ns, RUNS, sizeof(ns[0]), by_value);
    printf("%s, %u objects, %s, %u process%s: %.1f ns (%.1f-%.1f)\n", name,
           n_objects, hot ? "78 % on 1000 keys" : "uniform", n,
           n == 1 ? "" : "es", ns[RUNS / 2], ns[0], ns[RUNS - 1]);
    fflush(stdout);
}


int
main(void)
{
    void           *region;
    shared_t       *sh;
    s3c_ram_t      *ram;
    s3c_ram_pin_t   pin;

    sh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
              -1, 0);

    for (int i = 0; i < 4; i++) {
        int             policy = i / 2;
        s3c_ram_conf_t  conf = {
            .policy = policy, .n_slots = 32, .n_fills = 1024,
            .fill_bytes_max = BYTES
        };

        n_objects = i % 2 ? 1000000 : 20000;
        region = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        madvise(region, BYTES, MADV_HUGEPAGE);

        if (s3c_ram_format(region, BYTES, &conf) != S3C_OK
            || s3c_ram_join(&ram, region, BYTES, wake, NULL, 1) != S3C_OK)
        {
            return 1;
        }

        for (uint64_t i = 0; i < n_objects; i++) {
            if (s3c_ram_fill_begin(ram, key_of(i), 1, &pin) != S3C_OK
                || s3c_ram_fill_alloc(ram, &pin, 500, 0, 1) != S3C_OK
                || s3c_ram_fill_commit(ram, &pin, 1) != S3C_OK)
            {
                return 1;
            }

            s3c_ram_unpin(ram, &pin);
        }

        for (uint32_t n = 1; n <= 2; n++) {
            measure(region, sh, policy ? "lru" : "s3fifo", false, n);
            measure(region, sh, policy ? "lru" : "s3fifo", true, n);
        }

        s3c_ram_leave(ram);
        munmap(region, BYTES);
    }

    return 0;
}

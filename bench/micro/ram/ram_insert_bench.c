/* SPDX-License-Identifier: Apache-2.0
 *
 * What an insertion costs when each one evicts (begin, alloc, commit, unpin;
 * payloads are not written), and how much of the region is payload then, by
 * region size, policy and sizes of objects. `held` pins are held by another
 * slot meanwhile, as by workers that are sending. Processor time.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/mman.h>

#include "ram/ram.h"


static double
cpu_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}


static uint64_t
rng_next(uint64_t *s)
{
    uint64_t  z = *s += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


static uint32_t
size_draw(uint64_t *s, int model)
{
    double  x = 0;

    if (model == 0) {
        return 1024 + (uint32_t) (rng_next(s) % 64513);
    }

    if (model == 2) {
        return 1048576;
    }

    for (int i = 0; i < 12; i++) {
        x += (double) (rng_next(s) >> 11) / 9007199254740992.0;
    }

    x = 12288 * exp(x - 6);

    return x < 1024 ? 1024 : x > 65536 ? 65536 : (uint32_t) x;
}


static void
wake(void *ctx, uint32_t slot)
{
    (void) ctx;
    (void) slot;
}


static s3c_ram_pin_t
put(s3c_ram_t *ram, uint64_t n, uint32_t size)
{
    uint64_t       s = n;
    s3c_hash128_t  key = { .lo = rng_next(&s), .hi = rng_next(&s) };
    s3c_ram_pin_t  pin;

    if (s3c_ram_fill_begin(ram, key, n * 4, &pin) != S3C_OK
        || s3c_ram_fill_alloc(ram, &pin, size, 512, n * 4) != S3C_OK
        || s3c_ram_fill_commit(ram, &pin, n * 4) != S3C_OK)
    {
        fprintf(stderr, "not put\n");
        exit(1);
    }

    return pin;
}


static void
measure(s3c_ram_policy_t policy, size_t bytes, int model, uint32_t held)
{
    int              volumes = bytes >= 1ull << 30 ? 3 : 6;
    void            *region;
    double           t0 = 0, spent;
    uint64_t         s = 1, n = 0, from = 0, filled = 0;
    uint32_t         size;
    s3c_ram_t       *ram, *other;
    s3c_ram_pin_t    pin;
    s3c_ram_usage_t  u;
    s3c_ram_conf_t   conf = {
        .policy = policy, .n_slots = 64, .n_fills = 1024,
        .fill_bytes_max = bytes
    };

    static const char *const  names[] = { "uniform 1-64K", "lognormal 1-64K",
                                          "1 MiB blocks" };

    region = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (s3c_ram_format(region, bytes, &conf) != S3C_OK
        || s3c_ram_join(&ram, region, bytes, wake, NULL, 1) != S3C_OK
        || s3c_ram_join(&other, region, bytes, wake, NULL, 1) != S3C_OK)
    {
        exit(1);
    }

    for (uint32_t i = 0; i < held; i++) {        /* not unpinned */
        (void) put(other, 1000000000 + i, 1024);
    }

    while (filled < (uint64_t) volumes * bytes) {
        if (from == 0 && filled > (uint64_t) (volumes - 1) * bytes) {
            from = n;
            t0 = cpu_ns();
        }

        size = size_draw(&s, model);
        pin = put(ram, n++, size);
        s3c_ram_unpin(ram, &pin);
        filled += size;
    }

    spent = cpu_ns() - t0;
    s3c_ram_usage(ram, &u);
    printf("%s, %4zu MiB, %s, %u held: %.0f ns an insertion; payload %.2f %% "
           "of the region, index %.2f %%\n",
           policy == S3C_RAM_LRU ? "lru" : "s3fifo", bytes >> 20, names[model],
           held, spent / (double) (n - from),
           100. * (double) u.payload_bytes / (double) u.region_bytes,
           100. * (double) u.index_bytes / (double) u.region_bytes);

    s3c_ram_leave(other);
    s3c_ram_leave(ram);
    munmap(region, bytes);
}


int
main(void)
{
    for (int policy = 0; policy < 2; policy++) {
        measure(policy, 16u << 20, 0, 0);
        measure(policy, 16u << 20, 1, 0);
        measure(policy, 1u << 30, 0, 0);
        measure(policy, 1u << 30, 1, 0);
        measure(policy, 1u << 30, 1, 6400);
        measure(policy, 1u << 30, 2, 0);
    }

    return 0;
}

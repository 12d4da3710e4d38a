/* SPDX-License-Identifier: Apache-2.0
 *
 * What a checksum costs a fill: begin, alloc, the payload written (as recv()
 * does, so that it is in the processor's cache), commit, unpin; without sums
 * and with them. And what the walk over them takes. Processor time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>

#include "base/crc32c.h"
#include "ram/ram.h"

#define REGION  (256u << 20)

static uint8_t  bytes_in[1 << 20];


static double
cpu_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}


static void
wake(void *ctx, uint32_t slot)
{
    (void) ctx;
    (void) slot;
}


static uint32_t
skip(const void *head, size_t avail)
{
    (void) head;
    (void) avail;

    return 72;
}


static void
put(s3c_ram_t *ram, uint64_t n, uint32_t size)
{
    int            k;
    size_t         off, part;
    struct iovec   iov;
    s3c_hash128_t  key = { .lo = n * 0x9e3779b97f4a7c15ull, .hi = n };
    s3c_ram_pin_t  pin;

    if (s3c_ram_fill_begin(ram, key, n, &pin) != S3C_OK
        || s3c_ram_fill_alloc(ram, &pin, size, 512, n) != S3C_OK)
    {
        fprintf(stderr, "not put\n");
        exit(1);
    }

    for (off = 0; off < size; off += part) {
        k = 1;
        part = s3c_ram_span(ram, &pin, off, size - off, &iov, &k);
        memcpy(iov.iov_base, bytes_in + off, part);
    }

    if (s3c_ram_fill_commit(ram, &pin, n) != S3C_OK) {
        exit(1);
    }

    s3c_ram_unpin(ram, &pin);
}


static double
fill_ns(s3c_ram_t *ram, uint32_t size, uint64_t *n)
{
    double    t0;
    uint64_t  i, many = 2ull * REGION / size;

    t0 = cpu_ns();

    for (i = 0; i < many; i++) {
        put(ram, ++*n, size);
    }

    return (cpu_ns() - t0) / (double) many;
}


int
main(void)
{
    void                      *region;
    double                     t0, off, on;
    uint64_t                   n = 0;
    s3c_ram_t                 *ram;
    s3c_ram_conf_t             conf = {
        .policy = S3C_RAM_S3FIFO, .n_slots = 64, .n_fills = 1024,
        .fill_bytes_max = REGION
    };
    s3c_ram_scrubbed_t         f = { 0 };
    static const uint32_t      sizes[] = { 4096, 65536, 1 << 20 };

    region = mmap(NULL, REGION, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (s3c_ram_format(region, REGION, &conf) != S3C_OK
        || s3c_ram_join(&ram, region, REGION, wake, NULL, 1) != S3C_OK)
    {
        return 1;
    }

    printf("crc32c: %s\n", s3c_crc32c_name());

    for (int i = 0; i < 3; i++) {
        (void) fill_ns(ram, sizes[i], &n);           /* pages are there */
        off = on = 1e18;

        for (int round = 0; round < 5; round++) {
            s3c_ram_sums(ram, NULL);
            t0 = fill_ns(ram, sizes[i], &n);
            off = t0 < off ? t0 : off;
            s3c_ram_sums(ram, skip);
            t0 = fill_ns(ram, sizes[i], &n);
            on = t0 < on ? t0 : on;
        }

        printf("%7u bytes: a fill %.0f ns, with a sum %.0f ns: + %.0f ns\n",
               sizes[i], off, on, on - off);
    }

    if (s3c_ram_scrub_begin(ram, NULL, NULL) != S3C_OK) {
        return 1;
    }

    t0 = cpu_ns();

    while (f.passes == 0) {
        s3c_ram_scrub(ram, 128 << 10, &f);
    }

    on = cpu_ns() - t0;
    printf("the walk: %.0f us for 128 KiB of blocks, %.1f GB/s; bad: %llu\n",
           on / (double) f.bytes * 131.072, (double) f.bytes / on,
           (unsigned long long) f.bad);
    s3c_ram_leave(ram);

    return 0;
}

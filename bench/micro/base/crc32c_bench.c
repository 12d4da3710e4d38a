/* SPDX-License-Identifier: Apache-2.0
 *
 * GB/s of CRC32C by each way that this processor offers and of the copy, over
 * 32 KiB in the cache; nanoseconds of a composition.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/crc32c.h"
#include "base/crc32c_way.h"

#define FRAME_BYTES  (32u << 10)
#define ROUNDS       60000

static uint8_t            from[FRAME_BYTES], to[FRAME_BYTES];
static volatile uint32_t  sink;


static double
now_s(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
say(const char *name, double seconds)
{
    printf("%-10s %6.1f GB/s\n", name,
           (double) FRAME_BYTES * ROUNDS / seconds / 1e9);
}


int
main(void)
{
    double    start;
    uint32_t  crc = 0;

    memset(from, 0x5a, sizeof(from));

    for (int i = 0; s3c_crc32c_ways[i] != NULL; i++) {
        if (!s3c_crc32c_ways[i]->offered()) {
            continue;
        }

        start = now_s();

        for (int n = 0; n < ROUNDS; n++) {
            crc = s3c_crc32c_ways[i]->update(crc, from, FRAME_BYTES);
        }

        say(s3c_crc32c_ways[i]->name, now_s() - start);
    }

    start = now_s();

    for (int n = 0; n < ROUNDS; n++) {
        crc = s3c_crc32c_copy(crc, to, from, FRAME_BYTES);
    }

    say("copy", now_s() - start);

    start = now_s();

    for (int n = 0; n < ROUNDS; n++) {
        crc = s3c_crc32c_combine(crc, (uint32_t) n, FRAME_BYTES);
    }

    printf("%-10s %6.1f ns\n", "combine", (now_s() - start) / ROUNDS * 1e9);
    sink = crc;

    return 0;
}

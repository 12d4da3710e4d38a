/* SPDX-License-Identifier: Apache-2.0
 *
 * Long random runs against a plain map, and how much of the region is payload
 * when it has been written over and over.
 */
#include "ram_test.h"

#include <math.h>

#define KEYS  3000


static double
gauss(uint64_t *rng)
{
    double  s = 0;

    for (int i = 0; i < 12; i++) {
        s += (double) (rng_next(rng) >> 11) / 9007199254740992.0;
    }

    return s - 6;
}


static uint32_t
size_draw(uint64_t *rng, int model)
{
    double  x;

    if (model == 0) {                    /* uniform 1..64 KiB */
        return 1024 + (uint32_t) (rng_next(rng) % (63 * 1024 + 1));
    }

    if (model == 2 && rng_next(rng) % 200 == 0) {
        return MIB;                      /* with blocks of large objects */
    }

    x = 12 * 1024 * exp(1.0 * gauss(rng));

    return x < 1024 ? 1024 : x > 65536 ? 65536 : (uint32_t) x;
}


/* Region volumes of inserts; the mean share over the last one. */
static double
packing(s3c_ram_policy_t policy, size_t bytes, int model, int volumes)
{
    zone_t           z;
    double           sum = 0;
    uint64_t         rng = 42, key = 0, put = 0, n = 0;
    uint32_t         size;
    s3c_ram_pin_t    pin;
    s3c_ram_usage_t  u;

    zone_open(&z, policy, bytes);
    s3c_ram_usage(z.ram, &u);

    while (put < (uint64_t) volumes * bytes) {
        size = size_draw(&rng, model);
        z.now_ms += 4;
        assert_int_equal(object_put(z.ram, key++, size, z.now_ms, false),
                         S3C_OK);
        put += size;

        /* Some hits, on keys of any age, so that victims come out of order. */
        for (int i = 0; i < 2; i++) {
            if (s3c_ram_find(z.ram, key_of(key - 1 - rng_next(&rng)
                                           % (key < 4000 ? key : 4000)),
                             z.now_ms, &pin) == S3C_OK)
            {
                s3c_ram_unpin(z.ram, &pin);
            }
        }

        if (put > (uint64_t) (volumes - 1) * bytes) {
            s3c_ram_usage(z.ram, &u);
            sum += (double) u.payload_bytes / (double) u.region_bytes;
            n++;
        }
    }

    print_message("%s %zu MiB %s: %.2f %% payload, alloc %.2f %%, "
                  "fixed+index %.2f %%, %.1f KiB a file\n",
                  policy == S3C_RAM_LRU ? "lru   " : "s3fifo", bytes / MIB,
                  model == 0 ? "uniform" : model == 1 ? "lognormal" : "mixed",
                  100 * sum / (double) n,
                  100. * (double) u.allocated_bytes / (double) u.region_bytes,
                  100. * (double) u.index_bytes / (double) u.region_bytes,
                  (double) u.payload_bytes / (double) u.entries / 1024);

    assert_int_equal(u.n_heal, 0);
    zone_close(&z);

    return sum / (double) n;
}


static void
at_least_95_percent_is_payload(void **state)
{
    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        for (int model = 0; model < 3; model++) {
            assert_true(packing(policy, 16 * MIB, model, 8) >= 0.95);
            assert_true(packing(policy, 128 * MIB, model, 5) >= 0.95);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(at_least_95_percent_is_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

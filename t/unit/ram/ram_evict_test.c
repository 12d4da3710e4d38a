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


/* Against a map: what is found is what was put; what was dropped is gone; what
 * is held stays. Two handles, as two workers have. */
static void
agrees_with_a_map(void **state)
{
    zone_t          z;
    s3c_ram_t      *rams[2];
    uint32_t        size_of[KEYS] = { 0 };   /* of the last put, 0: none */
    uint64_t        r, n, rng = 77, held_key[64];
    s3c_ram_pin_t   pin, held[64] = { { 0, 0 } };
    s3c_status_t    st;
    s3c_ram_t      *ram;

    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        memset(size_of, 0, sizeof(size_of));
        zone_open(&z, policy, 4 * MIB);
        rams[0] = z.ram;
        assert_int_equal(s3c_ram_join(&rams[1], z.region, z.bytes, zone_wake,
                                      &z, 1), S3C_OK);

        for (int i = 0; i < 40000; i++) {
            r = rng_next(&rng);
            n = r % (r >> 20 & 1 ? 100 : KEYS);
            ram = rams[r >> 21 & 1];
            z.now_ms += 3;

            switch (r >> 22 & 7) {
            case 0:
                st = s3c_ram_drop(ram, key_of(n));
                assert_true(st == S3C_OK ? size_of[n] != 0 : st == S3C_MISS);
                size_of[n] = 0;
                break;

            case 1:                      /* hold, let go of another */
            case 2:
                r = r >> 30 & 63;

                if (s3c_ram_pinned(&held[r])) {
                    assert_true(payload_is(rams[r & 1], &held[r],
                                           held_key[r]));
                }

                s3c_ram_unpin(rams[r & 1], &held[r]);
                st = s3c_ram_find(rams[r & 1], key_of(n), z.now_ms, &held[r]);
                held_key[r] = n;
                assert_true(st == S3C_OK ? size_of[n] != 0 : st == S3C_MISS);
                break;

            case 3:
                (void) s3c_ram_sweep(ram, z.now_ms);
                break;

            default:
                st = s3c_ram_find(ram, key_of(n), z.now_ms, &pin);

                if (st == S3C_OK) {
                    assert_int_equal(s3c_ram_size(ram, &pin), size_of[n]);
                    assert_true(payload_is(ram, &pin, n));
                    s3c_ram_unpin(ram, &pin);
                    break;
                }

                assert_int_equal(st, S3C_MISS);
                size_of[n] = 16 + (uint32_t) (rng_next(&rng) % 20000);
                st = object_put(ram, n, size_of[n], z.now_ms, true);
                assert_int_equal(st, S3C_OK);
                break;
            }

            if (i % 4000 == 0) {
                zone_audit(&z);
            }
        }

        assert_true(z.ram->s->n_evict > 1000);
        assert_int_equal(z.ram->s->n_heal, 0);

        for (int i = 0; i < 64; i++) {
            s3c_ram_unpin(rams[i & 1], &held[i]);
        }

        s3c_ram_leave(rams[1]);
        zone_close(&z);
    }
}


static void
full_only_when_all_is_held(void **state)
{
    zone_t         z;
    uint32_t       n;
    s3c_ram_pin_t  pins[1000], pin;

    (void) state;
    zone_open(&z, S3C_RAM_LRU, 4 * MIB);

    for (n = 0; n < 1000; n++) {
        z.now_ms += 4;

        if (object_put(z.ram, n, 20000, z.now_ms, true) != S3C_OK) {
            break;
        }

        assert_int_equal(s3c_ram_find(z.ram, key_of(n), z.now_ms, &pins[n]),
                         S3C_OK);
    }

    assert_in_range(n, 190, 210);
    assert_int_equal(z.ram->s->n_evict, 0);
    assert_true(z.ram->s->n_full > 0);

    s3c_ram_unpin(z.ram, &pins[100]);
    assert_int_equal(object_put(z.ram, 5000, 20000, z.now_ms, true), S3C_OK);
    assert_int_equal(z.ram->s->n_evict, 1);
    assert_int_equal(s3c_ram_find(z.ram, key_of(100), z.now_ms, &pin),
                     S3C_MISS);

    for (uint32_t i = 0; i < n; i++) {
        if (i != 100) {
            assert_true(payload_is(z.ram, &pins[i], i));
        }

        s3c_ram_unpin(z.ram, &pins[i]);
    }

    zone_close(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(agrees_with_a_map),
        cmocka_unit_test(full_only_when_all_is_held),
        cmocka_unit_test(at_least_95_percent_is_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

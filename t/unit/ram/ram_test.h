/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the memory tier share: a region, keys, payloads whose
 * bytes tell the key and the place, so that any mix-up shows.
 */
#ifndef T_UNIT_RAM_RAM_TEST_H
#define T_UNIT_RAM_RAM_TEST_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "ram/ram_internal.h"

#define MIB  (1u << 20)

typedef struct {
    void             *region;
    size_t            bytes;
    s3c_ram_conf_t    conf;
    s3c_ram_t        *ram;
    uint32_t          n_wakes[S3C_RAM_SLOTS_MAX];
    uint64_t          now_ms;
} zone_t;


static inline void
ignore(s3c_status_t st)
{
    (void) st;
}


static inline uint64_t
rng_next(uint64_t *state)
{
    uint64_t  z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


static inline s3c_hash128_t
key_of(uint64_t n)
{
    uint64_t  s = n * 2 + 1;

    return (s3c_hash128_t) { .lo = rng_next(&s), .hi = rng_next(&s) };
}


static inline void
zone_wake(void *ctx, uint32_t slot)
{
    ((zone_t *) ctx)->n_wakes[slot]++;
}


static inline void *
region_map(size_t bytes)
{
    void  *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(p, MAP_FAILED);

    return p;
}


static inline void
zone_open(zone_t *z, s3c_ram_policy_t policy, size_t bytes)
{
    memset(z, 0, sizeof(*z));

    z->bytes = bytes;
    z->region = region_map(bytes);
    z->now_ms = 1000000;
    z->conf = (s3c_ram_conf_t) {
        .policy = policy, .n_slots = 64, .n_fills = 1024,
        .fill_bytes_max = bytes / 2
    };

    assert_int_equal(s3c_ram_format(z->region, bytes, &z->conf), S3C_OK);
    assert_int_equal(s3c_ram_join(&z->ram, z->region, bytes, zone_wake, z,
                                  z->now_ms), S3C_OK);
}


static inline void
zone_audit(zone_t *z)
{
    const char  *what;

    if (s3c_ram_audit(z->ram, &what) != S3C_OK) {
        fail_msg("audit: %s", what);
    }
}


static inline void
zone_close(zone_t *z)
{
    if (z->ram != NULL) {
        zone_audit(z);
        s3c_ram_leave(z->ram);
    }

    munmap(z->region, z->bytes);
}


/* Eight bytes at a time: key number, place. */
static inline void
payload_put(s3c_ram_t *ram, const s3c_ram_pin_t *pin, uint64_t n)
{
    int           n_iov = 128;
    size_t        off = 0;
    struct iovec  iov[128];
    uint32_t      size = s3c_ram_size(ram, pin);

    assert_int_equal(s3c_ram_span(ram, pin, 0, size, iov, &n_iov), size);

    for (int i = 0; i < n_iov; i++) {
        uint8_t  *p = iov[i].iov_base;

        for (size_t j = 0; j < iov[i].iov_len; j += 16, off += 16) {
            uint64_t  words[2] = { n, off };
            size_t    len = iov[i].iov_len - j;

            memcpy(p + j, words, len < 16 ? len : 16);
        }
    }
}


static inline bool
payload_is(s3c_ram_t *ram, const s3c_ram_pin_t *pin, uint64_t n)
{
    int           n_iov = 128;
    size_t        off = 0;
    struct iovec  iov[128];
    uint32_t      size = s3c_ram_size(ram, pin);

    if (s3c_ram_span(ram, pin, 0, size, iov, &n_iov) != size) {
        return false;
    }

    for (int i = 0; i < n_iov; i++) {
        const uint8_t  *p = iov[i].iov_base;

        for (size_t j = 0; j < iov[i].iov_len; j += 16, off += 16) {
            uint64_t  words[2] = { n, off };
            size_t    len = iov[i].iov_len - j;

            if (memcmp(p + j, words, len < 16 ? len : 16) != 0) {
                return false;
            }
        }
    }

    return true;
}


/* A whole fill. Answers how it ended. `touch`: write the payload, too. */
static inline s3c_status_t
object_put(s3c_ram_t *ram, uint64_t n, uint32_t size, uint64_t now_ms,
    bool touch)
{
    s3c_status_t   st;
    s3c_ram_pin_t  pin;

    st = s3c_ram_fill_begin(ram, key_of(n), now_ms, &pin);

    if (st != S3C_OK) {
        s3c_ram_unpin(ram, &pin);
        return st;
    }

    st = s3c_ram_fill_alloc(ram, &pin, size, 512, now_ms);

    if (st == S3C_OK) {
        if (touch) {
            payload_put(ram, &pin, n);
        }

        s3c_ram_fill_publish(ram, &pin, size);
        st = s3c_ram_fill_commit(ram, &pin, now_ms);

    } else {
        s3c_ram_fill_fail(ram, &pin, 1);
    }

    s3c_ram_unpin(ram, &pin);

    return st;
}


static inline bool
object_there(s3c_ram_t *ram, uint64_t n)
{
    uint32_t  entry;

    assert_int_equal(s3c_ram_lock(ram), S3C_OK);
    entry = s3c_ram_index_find_locked(ram, key_of(n));
    s3c_ram_unlock(ram);

    return entry != 0;
}

#endif

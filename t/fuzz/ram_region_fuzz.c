/* SPDX-License-Identifier: Apache-2.0
 *
 * A region that some wild write went through: the input says where and what,
 * and then which calls are made. Nothing may crash, and afterwards the zone
 * must be a cache again. Head and locks stay whole, since nothing could be
 * said about a region without them.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "ram/ram_internal.h"

#define BYTES  (4u << 20)
#define KEYS   24

static uint8_t   *fresh, *region;
static size_t     slots_off;


static void
wake(void *ctx, uint32_t slot)
{
    (void) ctx;
    (void) slot;
}


static s3c_hash128_t
key_of(uint64_t n)
{
    return (s3c_hash128_t) { .lo = n * 0x9e3779b97f4a7c15ull, .hi = n };
}


static uint32_t
skip(const void *head, size_t avail)
{
    return avail > 0 ? *(const uint8_t *) head : 0;
}


static s3c_status_t
put(s3c_ram_t *ram, uint64_t n, uint32_t size, uint64_t now)
{
    s3c_status_t   st;
    s3c_ram_pin_t  pin;

    st = s3c_ram_fill_begin(ram, key_of(n), now, &pin);

    if (st == S3C_OK) {
        st = s3c_ram_fill_alloc(ram, &pin, size, 200, now);

        if (st == S3C_OK) {
            s3c_ram_fill_publish(ram, &pin, size);
            st = s3c_ram_fill_commit(ram, &pin, now);

        } else {
            s3c_ram_fill_fail(ram, &pin, 1);
        }
    }

    s3c_ram_unpin(ram, &pin);

    return st;
}


static void
prepare(s3c_ram_policy_t policy)
{
    s3c_ram_t       *ram;
    s3c_ram_conf_t   conf = {
        .policy = policy, .n_slots = 4, .n_fills = 16, .fill_bytes_max = BYTES
    };

    if (s3c_ram_format(region, BYTES, &conf) != S3C_OK
        || s3c_ram_join(&ram, region, BYTES, wake, NULL, 1) != S3C_OK)
    {
        abort();
    }

    for (uint64_t i = 0; i < KEYS; i++) {
        if (put(ram, i, (uint32_t) (100 + i * i * 300), 1 + i) != S3C_OK) {
            abort();
        }
    }

    if (s3c_ram_drop(ram, key_of(3)) != S3C_OK) {
        abort();
    }

    slots_off = ram->c.slots_off;
    s3c_ram_leave(ram);
}


static void
look(s3c_ram_t *ram, uint64_t n)
{
    int              n_iov = 4;
    struct iovec     iov[4];
    s3c_ram_pin_t    pin, two;
    s3c_fill_view_t  view;

    if (s3c_ram_find(ram, key_of(n), 9, &pin) != S3C_MISS) {
        (void) s3c_ram_span(ram, &pin, n, 5000, iov, &n_iov);
        (void) s3c_ram_head(ram, &pin);
        s3c_ram_view(ram, &pin, &view);
        (void) s3c_ram_watch(ram, &pin);

        if (s3c_ram_pin_again(ram, &pin, &two) == S3C_OK) {
            s3c_ram_unpin(ram, &two);
        }
    }

    s3c_ram_unpin(ram, &pin);
}


static void
call(s3c_ram_t *ram, uint8_t what, uint8_t n)
{
    uint32_t            fills[8];
    const char         *broken;
    s3c_ram_pin_t       pin;
    s3c_ram_usage_t     u;
    s3c_ram_scrubbed_t  found;

    switch (what % 8) {
    case 0:
        look(ram, n);
        break;
    case 1:
        (void) put(ram, n, n * 1000u, 20);
        break;
    case 2:
        (void) s3c_ram_drop(ram, key_of(n));
        break;
    case 3:
        (void) s3c_ram_sweep(ram, 30);
        break;
    case 4:
        if (s3c_ram_audit(ram, &broken) == S3C_OK && broken != NULL) {
            abort();
        }
        break;
    case 5:
        s3c_ram_usage(ram, &u);
        memset(&found, 0, sizeof(found));
        (void) s3c_ram_woken(ram, fills, 8);

        if (s3c_ram_scrub_begin(ram, NULL, NULL) == S3C_OK) {
            s3c_ram_scrub(ram, n * 1000u, &found);
        }
        break;
    case 6:
        if (s3c_ram_find(ram, key_of(n), 40, &pin) == S3C_OK) {
            (void) s3c_ram_drop_pinned(ram, &pin);
        }

        s3c_ram_unpin(ram, &pin);
        break;
    default:
        s3c_ram_drop_all(ram);
        break;
    }
}


/* Input: policy; then commands of 8 bytes: 0..3 write a word at a place of the
 * part (fixed tables, or the first pages of the arena), else call. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t      i;
    uint32_t    at, word;
    s3c_ram_t  *ram;

    if (region == NULL) {
        region = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        fresh = malloc(2 * (size_t) BYTES);

        for (int p = 0; p < 2; p++) {
            prepare(p);
            memcpy(fresh + (size_t) p * BYTES, region, BYTES);
        }
    }

    if (size < 1) {
        return 0;
    }

    memcpy(region, fresh + (size_t) (data[0] & 1) * BYTES, BYTES);

    if (s3c_ram_join(&ram, region, BYTES, wake, NULL, 5) != S3C_OK) {
        abort();
    }

    s3c_ram_sums(ram, skip);

    for (i = 1; i + 8 <= size && i < 1 + 8 * 64; i += 8) {
        memcpy(&at, data + i + 1, 3);
        memcpy(&word, data + i + 4, 4);
        at &= 0xffffff;

        switch (data[i] & 15) {
        case 0:                          /* anywhere behind the locks */
            at = (uint32_t) slots_off + at % (BYTES - (uint32_t) slots_off - 4);
            memcpy(region + at, &word, 4);
            break;
        case 1:                          /* the tables before the arena */
            at = (uint32_t) slots_off
                 + at % (uint32_t) (ram->c.arena_off - slots_off - 4);
            memcpy(region + at, &word, 4);
            break;
        case 2:                          /* the first page of entries */
            memcpy(region + ram->c.arena_off + at % 4092, &word, 4);
            break;
        case 3:                          /* counters and free lists */
            memcpy((uint8_t *) ram->s + at % (sizeof(*ram->s) - 4), &word, 4);
            break;
        default:
            call(ram, data[i] >> 4, data[i + 1]);
            break;
        }
    }

    /* Whatever it was, it is a cache again. */
    s3c_ram_drop_all(ram);
    s3c_ram_heal_locked(ram, true);
    (void) s3c_ram_sweep(ram, 100000);

    if (put(ram, 1000, 3000, 100001) != S3C_OK) {
        abort();
    }

    s3c_ram_leave(ram);

    return 0;
}

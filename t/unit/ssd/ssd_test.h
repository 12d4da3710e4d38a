/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the tier's shared part have in common: a region in a file
 * that processes map where they like, an environment without any I/O (every
 * operation is BUSY), stores that count as mounted without one, and a hand
 * that does at random what workers and keepers do under the lock.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                      /* memfd_create */
#endif

#ifndef T_UNIT_SSD_SSD_TEST_H
#define T_UNIT_SSD_SSD_TEST_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "ssd/ssd_internal.h"

#define MIB    (1u << 20)
#define EPOCH  (1ull << S3C_SSD_EPOCH_SHIFT)

typedef struct {
    int             fd;
    uint64_t        bytes;
    void           *region;
    s3c_ssd_conf_t  conf;
    s3c_ssd_env_t   env;
    s3c_io_t        io;
    s3c_ssd_t      *ssd;
    uint32_t        n_logs;
} zone_t;


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
    uint64_t       s = n * 2 + 1;
    s3c_hash128_t  key;

    key.lo = rng_next(&s);
    key.hi = rng_next(&s);

    return key;
}


/* --- an environment that does nothing ----------------------------------- */

static inline s3c_status_t
nothing_queue(s3c_io_t *io, s3c_io_op_t *op)
{
    (void) io;
    (void) op;

    return S3C_BUSY;
}


static inline void
nothing_submit(s3c_io_t *io)
{
    (void) io;
}


static inline uint32_t
nothing_reap(s3c_io_t *io)
{
    (void) io;

    return 0;
}


static const s3c_io_backend_t  nothing_backend = {
    "nothing", nothing_queue, nothing_submit, nothing_reap, nothing_submit
};


static inline uint64_t
zone_usec(void *ctx)
{
    (void) ctx;

    return 1000000;
}


static inline bool
zone_lock(void *ctx, uint32_t store)
{
    (void) ctx;
    (void) store;

    return true;
}


static inline void
zone_random(void *ctx, void *out, size_t len)
{
    (void) ctx;
    memset(out, 0x5a, len);
}


static inline void
zone_observe(void *ctx, s3c_ssd_observed_t what, uint64_t usec)
{
    (void) ctx;
    (void) what;
    (void) usec;
}


static inline void
zone_log(void *ctx, s3c_ssd_log_t what, uint32_t store, uint64_t n,
    const char *word)
{
    (void) what;
    (void) store;
    (void) n;
    (void) word;
    ((zone_t *) ctx)->n_logs++;
}


/* --- a zone ------------------------------------------------------------- */

static inline s3c_ssd_conf_t
conf_of(uint32_t n_stores, uint64_t n_objects, uint32_t segment_bytes,
    uint32_t n_segments)
{
    uint32_t        i;
    s3c_ssd_conf_t  conf;

    memset(&conf, 0, sizeof(conf));
    conf.n_slots = 8;
    conf.n_stores = n_stores;
    conf.n_objects = n_objects;
    memset(conf.secret, 7, sizeof(conf.secret));

    for (i = 0; i < n_stores; i++) {
        conf.stores[i].segment_bytes = segment_bytes;
        conf.stores[i].bytes = (uint64_t) segment_bytes * (n_segments + 1);
        conf.stores[i].align = 4096;
        conf.stores[i].timeout_ms = 1000;
    }

    return conf;
}


static inline void *
zone_map(const zone_t *z)
{
    void  *p = mmap(NULL, z->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                    z->fd, 0);

    assert_ptr_not_equal(p, MAP_FAILED);

    return p;
}


/* As mounted and recovered empty. */
static inline void
zone_mount(s3c_ssd_t *ssd)
{
    uint32_t  i;

    atomic_store(&ssd->head->epoch, 1);
    atomic_store(&ssd->head->seq, EPOCH);
    assert_true(s3c_ssd_lock(ssd));

    for (i = 0; i < ssd->n_stores; i++) {
        s3c_ssd_store_empty_locked(ssd, i);
        atomic_store(&ssd->stores[i].state, S3C_SSD_SERVING);
    }

    s3c_ssd_unlock(ssd);
}


static inline void
zone_format(zone_t *z, const s3c_ssd_conf_t *conf)
{
    memset(z, 0, sizeof(*z));
    z->conf = *conf;
    z->bytes = s3c_ssd_bytes(conf);
    assert_int_not_equal(z->bytes, 0);
    z->fd = memfd_create("ssd", MFD_CLOEXEC);
    assert_true(z->fd >= 0);
    assert_int_equal(ftruncate(z->fd, (off_t) z->bytes), 0);
    z->region = zone_map(z);
    z->io.backend = &nothing_backend;
    z->io.event_fd = -1;
    z->io.depth = 16;
    z->env.io = &z->io;
    memset(z->env.fds, 0xff, sizeof(z->env.fds));
    z->env.ctx = z;
    z->env.usec = zone_usec;
    z->env.lock = zone_lock;
    z->env.random = zone_random;
    z->env.observe = zone_observe;
    z->env.log = zone_log;

    assert_int_equal(s3c_ssd_format(z->region, z->bytes, conf), S3C_OK);
}


static inline s3c_ssd_t *
zone_join(zone_t *z, void *region, uint64_t now_ms)
{
    s3c_ssd_t  *ssd;

    assert_int_equal(s3c_ssd_join(&ssd, region, z->bytes, &z->env, now_ms),
                     S3C_OK);

    return ssd;
}


static inline void
zone_open(zone_t *z, const s3c_ssd_conf_t *conf)
{
    zone_format(z, conf);
    z->ssd = zone_join(z, z->region, 1000000);
    zone_mount(z->ssd);
}


static inline void
zone_audit(s3c_ssd_t *ssd)
{
    const char  *what;

    if (s3c_ssd_audit(ssd, &what) != S3C_OK) {
        fail_msg("audit: %s", what);
    }
}


static inline void
zone_close(zone_t *z)
{
    if (z->ssd != NULL) {
        zone_audit(z->ssd);
        s3c_ssd_leave(z->ssd);
    }

    munmap(z->region, z->bytes);
    close(z->fd);
}


/* --- a hand ------------------------------------------------------------- */

#define HAND_UNITS  48u                  /* a record's, at most: told by the
                                            key, so that a mix-up shows */

typedef struct {
    s3c_ssd_t  *ssd;
    uint64_t    rng;
    uint64_t    n_keys;
    bool        open[S3C_SSD_STORES_MAX];
    uint32_t    segment[S3C_SSD_STORES_MAX];
    uint32_t    unit[S3C_SSD_STORES_MAX];
    uint64_t    seq[S3C_SSD_STORES_MAX];
} hand_t;


static inline bool
hand_take(void *ctx, s3c_ssd_place_t p, uint64_t slot)
{
    s3c_ssd_t  *ssd = ((void **) ctx)[0];

    (void) slot;

    return s3c_ssd_place_kind(p) != S3C_SSD_PLACE_TOMBSTONE
           && s3c_ssd_place_segment(ssd, p) == *(uint32_t *) ((void **) ctx)[1];
}


static inline uint32_t
hand_units(s3c_hash128_t key)
{
    return 1 + (uint32_t) (key.lo % HAND_UNITS);
}


/* In slices, the lock let go in between, as the keeper does. */
static inline void
hand_reclaim(hand_t *h, uint32_t store)
{
    uint32_t      segment;
    uint64_t      at = 0;
    void         *ctx[2] = { h->ssd, &segment };
    s3c_status_t  st;

    if (!s3c_ssd_lock(h->ssd)) {
        return;
    }

    st = s3c_ssd_segment_oldest_locked(h->ssd, store, &segment);
    s3c_ssd_unlock(h->ssd);

    while (st == S3C_OK && at < h->ssd->n_buckets) {
        if (s3c_ssd_lock(h->ssd)) {
            at = s3c_ssd_index_scan_locked(h->ssd, at, 128, hand_take, ctx);
            s3c_ssd_unlock(h->ssd);
        }
    }

    if (st == S3C_OK && s3c_ssd_lock(h->ssd)) {
        s3c_ssd_segment_free_locked(h->ssd, segment);
        s3c_ssd_unlock(h->ssd);
    }
}


/* Where the next record of so many units goes; 0: nowhere now. */
static inline s3c_ssd_place_t
hand_place_locked(hand_t *h, uint32_t store, uint32_t units)
{
    uint64_t                     off;
    s3c_ssd_store_sh_t          *st = &h->ssd->stores[store];
    const s3c_ssd_segment_sh_t  *g = &h->ssd->segments[h->segment[store]];

    if (h->open[store]
        && (g->state != S3C_SSD_SEGMENT_OPEN || g->seq != h->seq[store]))
    {
        h->open[store] = false;
    }

    if (h->open[store]
        && h->unit[store] + units > st->conf.segment_bytes / S3C_SSD_UNIT)
    {
        h->open[store] = false;
        s3c_ssd_segment_close_locked(h->ssd, h->segment[store],
                                     rng_next(&h->rng) % 4 != 0,
                                     s3c_ssd_seq(h->ssd));
    }

    if (!h->open[store]) {
        if (s3c_ssd_segment_open_locked(h->ssd, store, 0,
                                        &h->segment[store]) != S3C_OK)
        {
            return 0;
        }

        h->open[store] = true;
        h->unit[store] = 8;
        h->seq[store] = h->ssd->segments[h->segment[store]].seq;
    }

    off = s3c_ssd_segment_off(st, h->segment[store]);
    h->unit[store] += units;

    return s3c_ssd_place(store, off / S3C_SSD_UNIT + h->unit[store] - units,
                         units, S3C_SSD_PLACE_PENDING);
}


static inline void
hand_put(hand_t *h, s3c_hash128_t key)
{
    uint32_t         store = (uint32_t) (rng_next(&h->rng) % h->ssd->n_stores);
    uint32_t         units = hand_units(key);
    uint64_t         slot;
    s3c_ssd_place_t  p, old, victim;

    if (!s3c_ssd_lock(h->ssd)) {
        return;
    }

    p = hand_place_locked(h, store, units);

    if (p != 0) {
        s3c_ssd_index_put_locked(h->ssd, key, p, &old, &victim, &slot);
    }

    s3c_ssd_unlock(h->ssd);

    if (p == 0) {
        hand_reclaim(h, store);

    } else if (rng_next(&h->rng) % 8 != 0 && s3c_ssd_lock(h->ssd)) {
        (void) (s3c_ssd_index_settle_locked(h->ssd, key, p) == S3C_OK);
        s3c_ssd_unlock(h->ssd);
    }
}


static inline void
hand_step(hand_t *h)
{
    s3c_hash128_t    key = key_of(rng_next(&h->rng) % h->n_keys);
    s3c_ssd_place_t  p;

    switch (rng_next(&h->rng) % 8) {
    case 0:
        if (s3c_ssd_lock(h->ssd)) {
            (void) (s3c_ssd_index_remove_locked(h->ssd, key, 0, &p) == S3C_OK);
            s3c_ssd_unlock(h->ssd);
        }

        break;

    case 1:
    case 2:
    case 3:
        if (s3c_ssd_index_find(h->ssd, key, &p) == S3C_OK) {
            assert_true(s3c_ssd_place_possible(h->ssd, p));
            assert_int_equal(s3c_ssd_place_units(p), hand_units(key));
            s3c_ssd_index_touch(h->ssd, key, p);
        }

        break;

    default:
        hand_put(h, key);
        break;
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The index against a plain table of what should be in it, its corners (two
 * keys that look the same, one bucket twice, both full), and half a move.
 */
#include "ssd_test.h"

#include "ssd/ssd_keeper.h"

#define MODEL_KEYS  3000u
#define MODEL_OPS   60000u

typedef struct {
    zone_t           zone;
    uint64_t         rng;
    uint64_t         n_victims;
    uint64_t         unit;               /* of the next record: never again */
    s3c_ssd_place_t  place[2 * MODEL_KEYS];
} model_t;


/* Large enough for every record to have a unit of its own; all sealed, the
 * later the younger. */
static void
big_open(zone_t *z, uint64_t n_objects)
{
    uint32_t        i;
    s3c_ssd_conf_t  conf = conf_of(1, n_objects, 64 * MIB, 256);

    zone_open(z, &conf);
    assert_true(s3c_ssd_lock(z->ssd));

    for (i = 0; i < 256; i++) {
        z->ssd->segments[i].state = S3C_SSD_SEGMENT_SEALED;
        z->ssd->segments[i].seq = EPOCH + i + 1;
    }

    z->ssd->stores[0].n_free = 0;
    s3c_ssd_unlock(z->ssd);
}


static s3c_ssd_place_t
big_place(uint64_t n, s3c_ssd_place_kind_t kind)
{
    return s3c_ssd_place(0, 64 * MIB / S3C_SSD_UNIT + n * 4, 3, kind);
}


static void
put(s3c_ssd_t *ssd, s3c_hash128_t key, s3c_ssd_place_t place,
    s3c_ssd_place_t *old, s3c_ssd_place_t *victim)
{
    uint64_t  slot;

    assert_true(s3c_ssd_lock(ssd));
    s3c_ssd_index_put_locked(ssd, key, place, old, victim, &slot);
    s3c_ssd_unlock(ssd);
    assert_true(slot < ssd->n_buckets * S3C_SSD_BUCKET_PLACES);
    assert_true(s3c_ssd_place_same(place,
        ssd->buckets[slot / S3C_SSD_BUCKET_PLACES]
            .place[slot % S3C_SSD_BUCKET_PLACES]));
}


/* --- against a table ---------------------------------------------------- */

static void
model_check(model_t *m, uint64_t k)
{
    s3c_ssd_place_t  p;

    if (m->place[k] == 0) {
        assert_int_equal(s3c_ssd_index_find(m->zone.ssd, key_of(k), &p),
                         S3C_MISS);
    } else {
        assert_int_equal(s3c_ssd_index_find(m->zone.ssd, key_of(k), &p),
                         S3C_OK);
        assert_int_equal(p, m->place[k]);
    }
}


static void
model_put(model_t *m, uint64_t k, uint64_t n_keys)
{
    uint64_t         i;
    s3c_ssd_place_t  p, old, victim;

    p = big_place(m->unit++, rng_next(&m->rng) % 2 ? S3C_SSD_PLACE_PENDING
                                                   : S3C_SSD_PLACE_LIVE);
    put(m->zone.ssd, key_of(k), p, &old, &victim);
    assert_int_equal(old, m->place[k]);
    m->place[k] = p | (old & 3ull << 58);

    if (victim == 0) {
        return;
    }

    m->n_victims++;

    for (i = 0; i < n_keys; i++) {
        if (m->place[i] == victim) {
            m->place[i] = 0;
            return;
        }
    }

    fail_msg("a victim that was not there");
}


static void
model_remove(model_t *m, uint64_t k)
{
    bool             other = rng_next(&m->rng) % 4 == 0;
    s3c_ssd_t       *ssd = m->zone.ssd;
    s3c_ssd_place_t  old, same = m->place[k];

    same = other ? big_place(m->unit + 7, S3C_SSD_PLACE_LIVE) : same;
    assert_true(s3c_ssd_lock(ssd));

    if (m->place[k] == 0 || other) {
        assert_int_equal(s3c_ssd_index_remove_locked(ssd, key_of(k), same,
                                                     &old), S3C_MISS);
    } else {
        assert_int_equal(s3c_ssd_index_remove_locked(ssd, key_of(k),
                             rng_next(&m->rng) % 2 ? same : 0, &old), S3C_OK);
        assert_int_equal(old, m->place[k]);
        m->place[k] = 0;
    }

    s3c_ssd_unlock(ssd);
}


static void
model_settle(model_t *m, uint64_t k)
{
    s3c_status_t  st;

    assert_true(s3c_ssd_lock(m->zone.ssd));
    st = s3c_ssd_index_settle_locked(m->zone.ssd, key_of(k), m->place[k]);
    s3c_ssd_unlock(m->zone.ssd);

    if (s3c_ssd_place_kind(m->place[k]) == S3C_SSD_PLACE_PENDING) {
        assert_int_equal(st, S3C_OK);
        m->place[k] ^= 3ull << 56;
    } else {
        assert_int_equal(st, S3C_MISS);
    }
}


static void
model_touch(model_t *m, uint64_t k)
{
    s3c_ssd_index_touch(m->zone.ssd, key_of(k), m->place[k]);

    if (m->place[k] != 0 && s3c_ssd_place_refs(m->place[k]) < 3) {
        m->place[k] += 1ull << 58;
    }
}


static void
model_step(model_t *m, uint64_t n_keys)
{
    uint64_t  k = rng_next(&m->rng) % n_keys;

    switch (rng_next(&m->rng) % 8) {
    case 0:
        model_remove(m, k);
        break;
    case 1:
    case 2:
        model_settle(m, k);
        break;
    case 3:
    case 4:
        model_touch(m, k);
        break;
    default:
        model_put(m, k, n_keys);
        break;
    }

    model_check(m, k);
}


static void
model_run(uint64_t n_objects, uint64_t n_keys, bool recovering)
{
    uint64_t   i, k, n = 0;
    model_t   *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    big_open(&m->zone, n_objects);
    m->rng = n_objects;
    m->zone.ssd->head->recovering = recovering;

    for (i = 0; i < MODEL_OPS; i++) {
        model_step(m, n_keys);

        if (i % 8192 == 0) {
            zone_audit(m->zone.ssd);
        }
    }

    for (k = 0; k < n_keys; k++) {
        model_check(m, k);
        n += m->place[k] != 0;
    }

    assert_int_equal(m->zone.ssd->stores[0].live_records, n);
    assert_int_equal(m->zone.ssd->stores[0].live_units, 3 * n);
    assert_int_equal(m->zone.ssd->head->n_index_evict, m->n_victims);

    if (n_keys <= n_objects && !recovering) {
        assert_int_equal(m->n_victims, 0);
    }

    if (n_keys > n_objects) {
        assert_true(m->n_victims > 0);
    }

    zone_close(&m->zone);
    free(m);
}


static void
test_model(void **state)
{
    (void) state;
    model_run(MODEL_KEYS + MODEL_KEYS / 4, MODEL_KEYS, false);
}


static void
test_model_full(void **state)
{
    (void) state;
    model_run(1024, 2 * MODEL_KEYS, false);
}


static void
test_model_recovering(void **state)
{
    (void) state;
    model_run(MODEL_KEYS, MODEL_KEYS, true);
}


/* --- corners ------------------------------------------------------------ */

static void
test_look_alike(void **state)
{
    zone_t           z;
    s3c_hash128_t    a = key_of(1), b = a;
    s3c_ssd_place_t  p = big_place(1, S3C_SSD_PLACE_LIVE), old, victim;

    (void) state;
    big_open(&z, 4096);
    b.hi ^= 1ull << 40;
    b.lo ^= 1;

    put(z.ssd, a, p, &old, &victim);
    assert_int_equal(old, 0);
    put(z.ssd, b, big_place(2, S3C_SSD_PLACE_LIVE), &old, &victim);
    assert_int_equal(old, p);
    assert_int_equal(s3c_ssd_index_find(z.ssd, a, &p), S3C_OK);
    assert_int_equal(p, big_place(2, S3C_SSD_PLACE_LIVE));
    zone_close(&z);
}


/* With 16 buckets the first is the top four bits of lo, the second is the top
 * four bits of the tag less the first. */
static s3c_hash128_t
key_in(uint32_t first, uint32_t second, uint32_t n)
{
    s3c_hash128_t  key;

    key.lo = (uint64_t) first << 60;
    key.hi = ((first + second) % 16) << 28 | n;

    return key;
}


static void
test_one_bucket_twice(void **state)
{
    uint32_t         i;
    zone_t           z;
    s3c_ssd_place_t  p, old, victim;

    (void) state;
    big_open(&z, 64);
    assert_int_equal(z.ssd->n_buckets, 16);

    for (i = 0; i < 12; i++) {
        /* a segment has 32768 of them */
        p = big_place(i * 40000ull, S3C_SSD_PLACE_LIVE);
        put(z.ssd, key_in(9, 9, i), p, &old, &victim);
        assert_int_equal(old, 0);
        assert_int_equal(victim, i < 5 ? 0 : big_place((i - 5) * 40000ull,
                                                       S3C_SSD_PLACE_LIVE));
        zone_audit(z.ssd);
    }

    assert_int_equal(z.ssd->stores[0].live_records, 5);
    zone_close(&z);
}


static void
test_victim_spares(void **state)
{
    uint32_t         i, kind;
    zone_t           z;
    s3c_ssd_place_t  old, victim;

    (void) state;
    big_open(&z, 64);
    z.ssd->head->recovering = 1;

    for (i = 0; i < 10; i++) {
        kind = i == 8 ? S3C_SSD_PLACE_LIVE
             : i % 2 == 0 ? S3C_SSD_PLACE_PENDING : S3C_SSD_PLACE_TOMBSTONE;
        put(z.ssd, key_in(3, 5, i), big_place(i * 40000ull, kind), &old,
            &victim);
        assert_int_equal(victim, 0);
    }

    assert_int_equal(z.ssd->stores[0].live_records, 5);

    put(z.ssd, key_in(3, 5, 10), big_place(999999, S3C_SSD_PLACE_PENDING),
        &old, &victim);
    assert_int_equal(victim, big_place(8 * 40000ull, S3C_SSD_PLACE_LIVE));
    put(z.ssd, key_in(3, 5, 11), big_place(999998, S3C_SSD_PLACE_PENDING),
        &old, &victim);
    assert_int_equal(s3c_ssd_place_kind(victim), S3C_SSD_PLACE_PENDING);
    zone_close(&z);
}


static void
test_moves(void **state)
{
    uint32_t         i;
    zone_t           z;
    s3c_ssd_place_t  p, old, victim;

    (void) state;
    big_open(&z, 64);

    /* Bucket 3 and 5 are full, but one of them could be in 7, too. */
    for (i = 0; i < 10; i++) {
        put(z.ssd, i == 0 ? key_in(3, 7, i) : key_in(3, 5, i),
            big_place(i, S3C_SSD_PLACE_LIVE), &old, &victim);
    }

    s3c_ssd_index_touch(z.ssd, key_in(3, 7, 0),
                        big_place(0, S3C_SSD_PLACE_LIVE));

    for (i = 10; i < 12; i++) {
        put(z.ssd, key_in(3, 5, i), big_place(i, S3C_SSD_PLACE_LIVE), &old,
            &victim);
        assert_int_equal(victim != 0, i == 11);
        zone_audit(z.ssd);
    }

    assert_int_equal(s3c_ssd_index_find(z.ssd, key_in(3, 7, 0), &p), S3C_OK);
    assert_int_equal(s3c_ssd_place_refs(p), 1);
    zone_close(&z);
}


/* As a death in the middle of a move leaves it. */
static void
half_move(bool arrived)
{
    uint32_t              i;
    zone_t                z;
    s3c_ssd_place_t       p, old, victim;
    s3c_ssd_bucket_sh_t  *from, *to;

    big_open(&z, 64);
    put(z.ssd, key_in(2, 6, 1), big_place(1, S3C_SSD_PLACE_LIVE), &old,
        &victim);
    p = z.ssd->buckets[2].place[0] != 0 ? 2 : 6;
    from = &z.ssd->buckets[p];
    to = &z.ssd->buckets[8 - p];
    assert_int_equal(from->place[0], big_place(1, S3C_SSD_PLACE_LIVE));

    to->tag[3] = from->tag[0];

    if (arrived) {
        to->place[3] = from->place[0];
    }

    from->place[0] |= 1ull << 60;
    assert_int_equal(s3c_ssd_index_find(z.ssd, key_in(2, 6, 1), &p), S3C_OK);
    assert_int_equal(p, big_place(1, S3C_SSD_PLACE_LIVE));

    assert_true(s3c_ssd_lock(z.ssd));
    s3c_ssd_recount_locked(z.ssd);
    s3c_ssd_unlock(z.ssd);
    zone_audit(z.ssd);

    assert_int_equal(z.ssd->stores[0].live_records, 1);
    assert_int_equal(s3c_ssd_index_find(z.ssd, key_in(2, 6, 1), &p), S3C_OK);
    assert_int_equal(p, big_place(1, S3C_SSD_PLACE_LIVE));
    assert_true(s3c_ssd_lock(z.ssd));
    assert_int_equal(s3c_ssd_index_remove_locked(z.ssd, key_in(2, 6, 1), 0,
                                                 &p), S3C_OK);
    s3c_ssd_unlock(z.ssd);

    for (i = 0; i < S3C_SSD_BUCKET_PLACES; i++) {
        assert_int_equal(from->place[i] | to->place[i], 0);
    }

    zone_close(&z);
}


static void
test_half_move(void **state)
{
    (void) state;
    half_move(false);
    half_move(true);
}


static void
test_wild_places(void **state)
{
    zone_t           z;
    s3c_ssd_place_t  old, victim;

    (void) state;
    big_open(&z, 4096);
    put(z.ssd, key_of(1), big_place(1, S3C_SSD_PLACE_LIVE), &old, &victim);

    z.ssd->buckets[0].place[4] = s3c_ssd_place(9, 1, 1, S3C_SSD_PLACE_LIVE);
    z.ssd->buckets[1].place[4] = s3c_ssd_place(0, 8, 1, S3C_SSD_PLACE_LIVE);
    z.ssd->buckets[2].place[4] = ~0ull;
    z.ssd->buckets[3].place[4] = 12345;
    z.ssd->buckets[4].place[4] = big_place(32767, S3C_SSD_PLACE_LIVE)
                                 + (100ull << 35);   /* into the next */
    z.ssd->buckets[5].place[4] = big_place(256 * 32768ull,
                                           S3C_SSD_PLACE_LIVE);
    z.ssd->buckets[6].place[4] = big_place(5, S3C_SSD_PLACE_PENDING);

    assert_true(s3c_ssd_lock(z.ssd));
    s3c_ssd_recount_locked(z.ssd);
    s3c_ssd_unlock(z.ssd);
    assert_int_equal(z.ssd->stores[0].live_records, 1);
    zone_close(&z);
}


/* What recovery has found but not yet shown is PENDING in UNKNOWN segments:
 * nobody's, and yet it stays. */
static void
test_recovered(void **state)
{
    uint32_t         i;
    zone_t           z;
    s3c_ssd_place_t  old, victim;

    (void) state;
    big_open(&z, 64);
    z.ssd->head->recovering = 1;
    z.ssd->segments[0].state = S3C_SSD_SEGMENT_UNKNOWN;

    for (i = 0; i < 10; i++) {
        put(z.ssd, key_in(3, 5, i),
            big_place(i * 32768 / 5, S3C_SSD_PLACE_PENDING), &old, &victim);
    }

    assert_true(s3c_ssd_lock(z.ssd));
    s3c_ssd_segment_orphan_locked(z.ssd, 3);
    (void) s3c_ssd_index_scan_locked(z.ssd, 0, z.ssd->n_buckets,
                                     s3c_ssd_take_orphan, z.ssd);
    s3c_ssd_unlock(z.ssd);
    assert_int_equal(z.ssd->stores[0].live_records, 5);

    /* Not spared either: it is on the device. */
    put(z.ssd, key_in(3, 5, 10), big_place(999999, S3C_SSD_PLACE_PENDING),
        &old, &victim);
    assert_int_equal(s3c_ssd_place_segment(z.ssd, victim), 0);

    /* A heal removes only what a worker has left. */
    assert_true(s3c_ssd_lock(z.ssd));
    s3c_ssd_recount_locked(z.ssd);
    s3c_ssd_unlock(z.ssd);
    assert_int_equal(z.ssd->stores[0].live_records, 4);
    zone_close(&z);
}


static bool
take_odd(void *ctx, s3c_ssd_place_t p, uint64_t slot)
{
    (void) slot;
    ++*(uint32_t *) ctx;

    return s3c_ssd_place_off(p) / S3C_SSD_UNIT / 4 % 2 == 1;
}


static void
test_scan(void **state)
{
    uint32_t         i, n = 0;
    uint64_t         at;
    zone_t           z;
    s3c_ssd_place_t  old, victim;

    (void) state;
    big_open(&z, 4096);

    for (i = 0; i < 1000; i++) {
        put(z.ssd, key_of(i), big_place(i, S3C_SSD_PLACE_LIVE), &old, &victim);
    }

    assert_true(s3c_ssd_lock(z.ssd));

    for (at = 0; at < z.ssd->n_buckets; /* void */) {
        at = s3c_ssd_index_scan_locked(z.ssd, at, 7, take_odd, &n);
    }

    s3c_ssd_unlock(z.ssd);
    assert_int_equal(n, 1000);
    assert_int_equal(z.ssd->stores[0].live_records, 500);
    zone_close(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "the index holds what a plain table holds", test_model, NULL, NULL,
          NULL },
        { "a full index loses its victims and nothing else", test_model_full,
          NULL, NULL, NULL },
        { "in recovery nothing is moved", test_model_recovering, NULL, NULL,
          NULL },
        { "two keys of one tag and bucket are one", test_look_alike, NULL,
          NULL, NULL },
        { "both buckets may be the same", test_one_bucket_twice, NULL, NULL,
          NULL },
        { "a victim is of the oldest segment, pending and tombstones last",
          test_victim_spares, NULL, NULL, NULL },
        { "a place that can lie elsewhere makes room", test_moves, NULL, NULL,
          NULL },
        { "a death in a move leaves one place", test_half_move, NULL, NULL,
          NULL },
        { "impossible places are removed by a recount", test_wild_places,
          NULL, NULL, NULL },
        { "what recovery has not yet shown stays", test_recovered, NULL, NULL,
          NULL },
        { "a scan in slices sees every place once", test_scan, NULL, NULL,
          NULL }
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

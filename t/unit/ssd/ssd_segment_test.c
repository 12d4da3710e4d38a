/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of segments, one rule a test; at the end a random life of several
 * workers, with an audit after each step.
 */
#include "ssd_test.h"

#include "ssd/ssd_keeper.h"

#define SEGMENTS  8u


static void
small_open(zone_t *z, uint32_t n_stores)
{
    s3c_ssd_conf_t  conf = conf_of(n_stores, 4096, MIB, SEGMENTS);

    zone_open(z, &conf);
    assert_true(s3c_ssd_lock(z->ssd));
}


static void
small_close(zone_t *z)
{
    s3c_ssd_unlock(z->ssd);
    zone_close(z);
}


static s3c_ssd_place_t
place_in(s3c_ssd_t *ssd, uint32_t store, uint32_t segment, uint32_t unit,
    s3c_ssd_place_kind_t kind)
{
    return s3c_ssd_place(store,
               s3c_ssd_segment_off(&ssd->stores[store], segment)
               / S3C_SSD_UNIT + unit, 2, kind);
}


static void
put_in(s3c_ssd_t *ssd, uint64_t n, s3c_ssd_place_t place)
{
    uint64_t         slot;
    s3c_ssd_place_t  old, victim;

    s3c_ssd_index_put_locked(ssd, key_of(n), place, &old, &victim, &slot);
}


static bool
is_there(s3c_ssd_t *ssd, uint64_t n)
{
    s3c_ssd_place_t  p;

    return s3c_ssd_index_find(ssd, key_of(n), &p) == S3C_OK;
}


static void
test_turns(void **state)
{
    uint32_t       i, s;
    zone_t         z;
    s3c_ssd_t     *ssd;

    (void) state;
    small_open(&z, 2);
    ssd = z.ssd;

    for (i = 0; i < SEGMENTS - 2; i++) {
        assert_int_equal(s3c_ssd_segment_open_locked(ssd, 1, 2, &s), S3C_OK);
        assert_int_equal(s, SEGMENTS + i);
        assert_int_equal(ssd->segments[s].owner, ssd->slot);
        assert_true(ssd->segments[s].seq > EPOCH + i);
        s3c_ssd_segment_close_locked(ssd, s, true, s3c_ssd_seq(ssd));
    }

    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 1, 2, &s), S3C_FULL);
    assert_int_equal(ssd->stores[1].n_free, 2);

    /* The oldest is freed; what has been free for longer is taken first. */
    assert_int_equal(s3c_ssd_segment_oldest_locked(ssd, 1, &s), S3C_OK);
    assert_int_equal(s, SEGMENTS);
    s3c_ssd_segment_free_locked(ssd, s);
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 1, 0, &s), S3C_OK);
    assert_int_equal(s, SEGMENTS + 6);
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 1, 0, &s), S3C_OK);
    assert_int_equal(s, SEGMENTS + 7);
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 1, 0, &s), S3C_OK);
    assert_int_equal(s, SEGMENTS);
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 1, 0, &s), S3C_FULL);
    assert_int_equal(ssd->stores[1].n_open, 3);
    assert_int_equal(ssd->stores[0].n_free, SEGMENTS);

    small_close(&z);
}


static void
test_floor(void **state)
{
    uint32_t       a, b, s;
    uint64_t       last;
    zone_t         z;
    s3c_ssd_t     *ssd;

    (void) state;
    small_open(&z, 1);
    ssd = z.ssd;

    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &a), S3C_OK);
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &b), S3C_OK);
    s3c_ssd_segment_close_locked(ssd, b, true, s3c_ssd_seq(ssd));
    last = s3c_ssd_seq(ssd);
    s3c_ssd_segment_close_locked(ssd, a, true, last);

    assert_int_equal(s3c_ssd_segment_oldest_locked(ssd, 0, &s), S3C_OK);
    assert_int_equal(s, a);
    s3c_ssd_segment_free_locked(ssd, s);
    assert_int_equal(ssd->stores[0].floor, last + 1);

    assert_int_equal(s3c_ssd_segment_oldest_locked(ssd, 0, &s), S3C_OK);
    assert_int_equal(s, b);
    s3c_ssd_segment_free_locked(ssd, s);
    assert_int_equal(ssd->stores[0].floor, last + 1);
    assert_int_equal(s3c_ssd_segment_oldest_locked(ssd, 0, &s), S3C_MISS);

    small_close(&z);
}


static void
test_free_sweeps(void **state)
{
    uint32_t    s, t;
    zone_t      z;
    s3c_ssd_t  *ssd;

    (void) state;
    small_open(&z, 1);
    ssd = z.ssd;

    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &s), S3C_OK);
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &t), S3C_OK);
    put_in(ssd, 1, place_in(ssd, 0, s, 8, S3C_SSD_PLACE_LIVE));
    put_in(ssd, 2, place_in(ssd, 0, t, 8, S3C_SSD_PLACE_LIVE));
    s3c_ssd_segment_close_locked(ssd, s, true, s3c_ssd_seq(ssd));
    assert_int_equal(s3c_ssd_segment_oldest_locked(ssd, 0, &s), S3C_OK);
    s3c_ssd_segment_free_locked(ssd, s);

    assert_false(is_there(ssd, 1));
    assert_true(is_there(ssd, 2));
    assert_int_equal(ssd->stores[0].n_evict, 1);
    small_close(&z);
}


static void
test_orphan(void **state)
{
    uint32_t    mine, his, s;
    uint64_t    seq;
    zone_t      z;
    s3c_ssd_t  *ssd;

    (void) state;
    small_open(&z, 1);
    ssd = z.ssd;

    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &mine), S3C_OK);
    ssd->slot = 5;                       /* acts as another worker */
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &his), S3C_OK);
    ssd->slot = 0;

    put_in(ssd, 1, place_in(ssd, 0, mine, 8, S3C_SSD_PLACE_PENDING));
    put_in(ssd, 2, place_in(ssd, 0, his, 8, S3C_SSD_PLACE_PENDING));
    put_in(ssd, 3, place_in(ssd, 0, his, 10, S3C_SSD_PLACE_LIVE));
    seq = s3c_ssd_seq(ssd);

    s3c_ssd_segment_orphan_locked(ssd, 5);
    assert_int_equal(ssd->segments[his].state, S3C_SSD_SEGMENT_TORN);
    assert_int_equal(ssd->segments[his].last_seq, seq);
    assert_int_equal(ssd->stores[0].n_open, 1);

    /* The keeper's sweep. */
    (void) s3c_ssd_index_scan_locked(ssd, 0, ssd->n_buckets,
                                     s3c_ssd_take_orphan, ssd);
    assert_true(is_there(ssd, 1));
    assert_false(is_there(ssd, 2));
    assert_true(is_there(ssd, 3));

    /* Its rest: not even to be reclaimed. */
    assert_int_equal(s3c_ssd_segment_oldest_locked(ssd, 0, &s), S3C_MISS);
    ssd->now_ms += S3C_SSD_REST_MS;
    assert_int_equal(s3c_ssd_segment_oldest_locked(ssd, 0, &s), S3C_OK);
    assert_int_equal(s, his);

    /* A keeper that dies now leaves it to the next one. */
    s3c_ssd_segment_orphan_locked(ssd, 0);
    assert_int_equal(ssd->segments[his].state, S3C_SSD_SEGMENT_TORN);
    assert_int_equal(s3c_ssd_segment_oldest_locked(ssd, 0, &s), S3C_OK);
    assert_int_equal(s, his);
    s3c_ssd_segment_free_locked(ssd, s);
    small_close(&z);
}


static void
test_not_mine(void **state)
{
    uint32_t    s;
    zone_t      z;
    s3c_ssd_t  *ssd;

    (void) state;
    small_open(&z, 1);
    ssd = z.ssd;

    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &s), S3C_OK);
    s3c_ssd_store_empty_locked(ssd, 0);
    s3c_ssd_segment_close_locked(ssd, s, true, 0);
    assert_int_equal(ssd->segments[s].state, S3C_SSD_SEGMENT_FREE);
    assert_int_equal(ssd->stores[0].n_free, SEGMENTS);

    /* Its old owner may have had writes under way. */
    assert_true(ssd->segments[s].rest_until_ms > ssd->now_ms);
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &s), S3C_OK);
    assert_int_not_equal(s, 0);
    small_close(&z);
}


static void
test_empty(void **state)
{
    uint32_t    i, s[2];
    zone_t      z;
    s3c_ssd_t  *ssd;

    (void) state;
    small_open(&z, 2);
    ssd = z.ssd;

    for (i = 0; i < 2; i++) {
        assert_int_equal(s3c_ssd_segment_open_locked(ssd, i, 0, &s[i]),
                         S3C_OK);
    }

    for (i = 0; i < 200; i++) {
        put_in(ssd, i, place_in(ssd, i % 2, s[i % 2], 8 + 2 * i,
                                i % 4 < 2 ? S3C_SSD_PLACE_LIVE
                                          : S3C_SSD_PLACE_PENDING));
    }

    put_in(ssd, 1000, s3c_ssd_place(0, 0, 0, S3C_SSD_PLACE_TOMBSTONE));
    put_in(ssd, 1001, s3c_ssd_place(1, 0, 0, S3C_SSD_PLACE_TOMBSTONE));
    assert_int_equal(ssd->stores[0].live_records, 100);
    assert_int_equal(ssd->stores[0].live_units, 200);

    s3c_ssd_store_empty_locked(ssd, 0);
    assert_int_equal(ssd->stores[0].live_records, 0);
    assert_int_equal(ssd->stores[0].n_free, ssd->stores[0].n_segments);
    assert_int_equal(ssd->stores[1].live_records, 100);

    for (i = 0; i < 200; i++) {
        assert_int_equal(is_there(ssd, i), i % 2);
    }

    /* others may be in recovery: who was dropped stays so */
    assert_true(is_there(ssd, 1000));
    assert_true(is_there(ssd, 1001));
    small_close(&z);
}


static void
test_recount(void **state)
{
    uint32_t    s, t, i;
    zone_t      z;
    s3c_ssd_t  *ssd;

    (void) state;
    small_open(&z, 1);
    ssd = z.ssd;

    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &s), S3C_OK);
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &t), S3C_OK);

    for (i = 0; i < 100; i++) {
        put_in(ssd, i, place_in(ssd, 0, i % 2 ? s : t, 8 + 2 * i,
                                S3C_SSD_PLACE_PENDING));
    }

    ssd->segments[s].live_records = 77;
    ssd->segments[t].live_units = 3;
    ssd->segments[t].state = 99;         /* wild: torn, nobody's pending */
    ssd->stores[0].live_records = 1;
    ssd->stores[0].n_free = 0;
    ssd->stores[0].n_open = 9;

    s3c_ssd_recount_locked(ssd);
    assert_int_equal(ssd->stores[0].live_records, 50);
    assert_int_equal(ssd->stores[0].live_units, 100);
    assert_int_equal(ssd->stores[0].n_free, SEGMENTS - 2);
    assert_int_equal(ssd->stores[0].n_open, 1);
    assert_int_equal(ssd->segments[s].live_records, 50);
    assert_int_equal(ssd->segments[t].live_units, 0);
    assert_int_equal(ssd->segments[t].state, S3C_SSD_SEGMENT_TORN);
    small_close(&z);
}


static void
test_life(void **state)
{
    uint32_t        i, w;
    zone_t          z;
    hand_t          h[3] = { { 0 } };
    s3c_ssd_conf_t  conf = conf_of(2, 1024, MIB, 12);

    (void) state;
    zone_open(&z, &conf);
    z.ssd->now_ms = 1;

    for (w = 0; w < 3; w++) {
        h[w].ssd = w == 0 ? z.ssd : zone_join(&z, z.region, 1);
        h[w].rng = w + 1;
        h[w].n_keys = 6000;              /* more than fit */
    }

    for (i = 0; i < 60000; i++) {
        hand_step(&h[i % 3]);

        if (i % 1000 == 0) {
            zone_audit(z.ssd);
        }
    }

    for (w = 1; w < 3; w++) {
        s3c_ssd_leave(h[w].ssd);
        zone_audit(z.ssd);
    }

    assert_true(z.ssd->stores[0].n_open <= 1);
    assert_true(z.ssd->stores[0].floor > 0);
    assert_true(z.ssd->head->n_index_evict > 0);
    zone_close(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "free segments are opened in turns, the reserve is left",
          test_turns, NULL, NULL, NULL },
        { "the floor rises over what was reclaimed and never falls",
          test_floor, NULL, NULL, NULL },
        { "nothing points into a segment that becomes free",
          test_free_sweeps, NULL, NULL, NULL },
        { "a dead worker's segment is torn and rests", test_orphan, NULL,
          NULL, NULL },
        { "who has lost a segment cannot close it", test_not_mine, NULL, NULL,
          NULL },
        { "an emptied store leaves nothing, the others keep all", test_empty,
          NULL, NULL, NULL },
        { "a recount mends every count", test_recount, NULL, NULL, NULL },
        { "workers live at random and the audit agrees", test_life, NULL,
          NULL, NULL }
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

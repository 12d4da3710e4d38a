/* SPDX-License-Identifier: Apache-2.0
 *
 * The scrub over the simulated disk: whole records are quiet, one that is not
 * leaves, whatever is done to it, and nobody else with it.
 */
#include "ssd_write_test.h"

#include "ssd/ssd_scrub.h"

#define RECORD  20000
#define LARGE   300000


static void
turn_for(rig_t *r, s3c_ssd_scrub_t *s, uint64_t ms)
{
    for (uint64_t t = 0; t < ms; t += 10) {
        run_for(r, 10);
        s3c_ssd_scrub_run(r->ssd, s);
        reap(r);
    }
}


static uint64_t
passes(const rig_t *r)
{
    return r->ssd->stores[0].n_scrub_pass;
}


static void
one_pass(rig_t *r, s3c_ssd_scrub_t *s)
{
    uint64_t  was = passes(r);

    for (int i = 0; passes(r) == was; i++) {
        assert_true(i < 5000);
        turn_for(r, s, 10);
        zone_audit(r->ssd);
    }
}


/* Small records and large ones, until three segments are sealed. */
static uint32_t
fill(rig_t *r)
{
    uint32_t  i, n, sealed = 0;

    for (n = 0; sealed < 3; n++) {
        assert_int_equal(put(r, n, 1, n % 7 == 6 ? LARGE : RECORD + n),
                         S3C_OK);
        run_for(r, 10);

        for (i = 0, sealed = 0; i < r->ssd->stores[0].n_segments; i++) {
            sealed += r->ssd->segments[i].state == S3C_SSD_SEGMENT_SEALED;
        }
    }

    run_for(r, 200);

    return n;
}


static uint32_t
in_sealed(rig_t *r, uint32_t n)
{
    uint32_t  i, count = 0;

    for (i = 0; i < n; i++) {
        count += live(r, i)
                 && r->ssd->segments[s3c_ssd_place_segment(r->ssd,
                                                           place_of(r, i))]
                    .state == S3C_SSD_SEGMENT_SEALED;
    }

    return count;
}


static s3c_ssd_scrub_t *
rig_scrub(rig_t *r, uint64_t rate)
{
    s3c_ssd_scrub_t  *s;

    r->ssd->env.scrub = rate;
    assert_int_equal(s3c_ssd_scrub_create(r->ssd, &s), S3C_OK);

    return s;
}


static void
whole_records_are_quiet(void **state)
{
    rig_t             r;
    uint32_t          n, sealed;
    s3c_ssd_scrub_t  *s;

    (void) state;
    rig_open(&r, 1, 16);
    n = fill(&r);
    sealed = in_sealed(&r, n);
    s = rig_scrub(&r, 10 * MIB);
    r.disk.delay_max_us = 5000;
    assert_true(sealed > 20);

    for (uint32_t i = 1; i <= 3; i++) {
        one_pass(&r, s);
        assert_int_equal(r.ssd->stores[0].n_scrub, i * sealed);
    }

    assert_int_equal(r.ssd->stores[0].n_scrub_bad, 0);
    assert_int_equal(r.ssd->stores[0].n_corrupt, 0);
    assert_int_equal(in_sealed(&r, n), sealed);

    /* what was dropped is not looked at */
    assert_int_equal(s3c_ssd_drop(r.ssd, key_of(2), sim_now_ms(&r.disk)),
                     S3C_OK);
    one_pass(&r, s);
    assert_int_equal(r.ssd->stores[0].n_scrub, 4 * sealed - 1);
    s3c_ssd_scrub_destroy(s);
    rig_close(&r);
}


static void
a_flipped_bit_costs_its_record_and_no_other(void **state)
{
    (void) state;

    /* head, key, payload, the last byte; of a small and of a large one */
    for (uint32_t i = 0; i < 8; i++) {
        rig_t             r;
        uint32_t          n, sealed, which = i % 2 ? 6 : 3;
        uint64_t          size = i % 2 ? LARGE : RECORD + 3;
        uint64_t          off[4] = { 1, 9, 5000, 0 };
        s3c_ssd_scrub_t  *s;

        off[3] = s3c_ssd_record_bytes((uint32_t) size) - 1;
        rig_open(&r, 1, 16);
        n = fill(&r);
        sealed = in_sealed(&r, n);
        s = rig_scrub(&r, 10 * MIB);
        sim_disk_flip(&r.disk, 0, s3c_ssd_place_off(place_of(&r, which))
                                  + off[i / 2], 3);
        one_pass(&r, s);

        assert_int_equal(r.ssd->stores[0].n_scrub_bad, 1);
        assert_int_equal(r.ssd->stores[0].n_corrupt, 1);
        assert_int_equal(r.ssd->stores[0].n_scrub, sealed - 1);
        assert_false(live(&r, which));
        assert_int_equal(in_sealed(&r, n), sealed - 1);

        one_pass(&r, s);
        assert_int_equal(r.ssd->stores[0].n_scrub_bad, 1);
        s3c_ssd_scrub_destroy(s);
        rig_close(&r);
    }
}


static void
a_table_that_is_wrong_makes_its_segment_torn(void **state)
{
    (void) state;

    for (uint32_t i = 0; i < 2; i++) {
        rig_t             r;
        uint32_t          n, sealed;
        s3c_ssd_scrub_t  *s;

        rig_open(&r, 1, 16);
        n = fill(&r);
        sealed = in_sealed(&r, n);
        s = rig_scrub(&r, 10 * MIB);
        sim_disk_flip(&r.disk, 0, 2 * SEGMENT
                                  - (i + 1) * (uint64_t) S3C_SSD_BLOCK + 9, 1);
        one_pass(&r, s);
        one_pass(&r, s);

        assert_int_equal(r.ssd->segments[0].state, S3C_SSD_SEGMENT_TORN);
        assert_int_equal(r.ssd->stores[0].n_scrub_bad, 1);
        assert_true(in_sealed(&r, n) < sealed);
        assert_true(live(&r, 3));          /* a reader has its own checks */
        s3c_ssd_scrub_destroy(s);
        rig_close(&r);
    }
}


static void
errors_and_silence_of_the_device_end_nothing(void **state)
{
    (void) state;

    for (int what = 0; what < 3; what++) {
        rig_t             r;
        uint32_t          n, sealed;
        s3c_ssd_scrub_t  *s;

        rig_open(&r, 1, 16);
        n = fill(&r);
        sealed = in_sealed(&r, n);
        s = rig_scrub(&r, 10 * MIB);
        sim_disk_fault(&r.disk, (sim_fault_t) {
            .what = what == 2 ? SIM_HANG : SIM_EIO, .file = 0,
            .kind = SIM_READS, .skip = what == 0 ? 2 : 0, .times = 1 });
        one_pass(&r, s);
        sim_disk_no_faults(&r.disk);

        assert_int_equal(r.ssd->stores[0].n_scrub_bad, 0);
        assert_int_equal(r.ssd->stores[0].n_read_error, what < 2);
        assert_int_equal(r.ssd->stores[0].n_timeout, what == 2);
        assert_int_equal(in_sealed(&r, n), sealed - (what == 0));
        one_pass(&r, s);
        assert_int_equal(r.ssd->stores[0].n_scrub_bad, 0);
        s3c_ssd_scrub_destroy(s);
        rig_close(&r);
    }
}


static void
it_reads_no_faster_than_it_may(void **state)
{
    rig_t             r;
    uint64_t          begun;
    s3c_ssd_scrub_t  *s;

    (void) state;
    rig_open(&r, 1, 16);
    (void) fill(&r);
    begun = r.ssd->stores[0].read_bytes;
    s = rig_scrub(&r, 100000);
    turn_for(&r, s, 10000);
    assert_true(r.ssd->stores[0].read_bytes - begun
                <= 100000 * 10 + (256u << 10));
    assert_true(r.ssd->stores[0].read_bytes - begun >= 100000 * 5);
    s3c_ssd_scrub_destroy(s);
    rig_close(&r);
}


/* The next keeper goes on at the next segment; a read of the former one's may
 * still be under way. */
static void
another_keeper_goes_on(void **state)
{
    rig_t             r;
    uint32_t          n, sealed, at;
    s3c_ssd_scrub_t  *s;

    (void) state;
    rig_open(&r, 1, 16);
    n = fill(&r);
    sealed = in_sealed(&r, n);
    s = rig_scrub(&r, 10 * MIB);
    r.disk.delay_max_us = 20000;

    for (int i = 0; s->state != S3C_SSD_SCRUB_RECORDS; i++) {
        assert_true(i < 1000);
        turn_for(&r, s, 10);
    }

    at = r.ssd->stores[0].scrub_at;
    assert_true(at >= 1);
    s3c_ssd_scrub_destroy(s);
    assert_int_equal(s3c_ssd_scrub_create(r.ssd, &s), S3C_OK);
    one_pass(&r, s);
    assert_true(r.ssd->stores[0].n_scrub < sealed);
    one_pass(&r, s);
    assert_int_equal(r.ssd->stores[0].n_scrub_bad, 0);
    s3c_ssd_scrub_destroy(s);
    run_for(&r, 200);
    rig_close(&r);
}


/* The segment is reclaimed and written anew while it is gone through. */
static void
a_segment_that_is_used_anew_is_left(void **state)
{
    rig_t               r;
    uint32_t            n;
    s3c_ssd_scrub_t    *s;
    s3c_ssd_reclaim_t  *rc;

    (void) state;
    rig_open(&r, 1, 8);
    n = fill(&r);
    s = rig_scrub(&r, 3 * MIB);
    assert_int_equal(s3c_ssd_reclaim_create(r.ssd, 0, &rc), S3C_OK);
    r.disk.delay_max_us = 5000;

    for (int i = 0; i < 3000; i++) {
        if (put(&r, n, 1, n % 7 == 6 ? LARGE : RECORD) == S3C_OK) {
            n++;
        }
        turn_for(&r, s, 10);
        s3c_ssd_reclaim_run(r.ssd, rc);
        reap(&r);
    }

    zone_audit(r.ssd);
    assert_true(r.ssd->stores[0].n_reclaim > 20);
    assert_true(passes(&r) > 2);
    assert_int_equal(r.ssd->stores[0].n_scrub_bad, 0);
    assert_int_equal(r.ssd->stores[0].n_corrupt, 0);
    s3c_ssd_scrub_destroy(s);
    s3c_ssd_reclaim_destroy(r.ssd, rc);
    rig_close(&r);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(whole_records_are_quiet),
        cmocka_unit_test(a_flipped_bit_costs_its_record_and_no_other),
        cmocka_unit_test(a_table_that_is_wrong_makes_its_segment_torn),
        cmocka_unit_test(errors_and_silence_of_the_device_end_nothing),
        cmocka_unit_test(it_reads_no_faster_than_it_may),
        cmocka_unit_test(another_keeper_goes_on),
        cmocka_unit_test(a_segment_that_is_used_anew_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What makes sure that nothing comes back from flash: which puts and drops
 * write a tombstone, that all of them last, and what happens to those that
 * cannot be written.
 */
#include "ssd_write_test.h"

#include "sim_truth.h"
#include "ssd/ssd_keeper.h"

typedef struct {
    uint32_t  n_dsync, n_plain;
    uint64_t  key_lo, seq;             /* of the last */
} killed_t;

static killed_t       killed;
static s3c_io_kind_t  kind_now;


static void
on_tombstone(void *ctx, const s3c_ssd_frame_rec_t *head)
{
    (void) ctx;

    if (kind_now == S3C_IO_WRITE_DSYNC) {
        killed.n_dsync++;
    } else {
        killed.n_plain++;
    }

    killed.key_lo = head->key_lo;
    killed.seq = head->record_seq;
}


static void
on_write(void *ctx, uint32_t file, s3c_io_kind_t kind, uint64_t off,
    const uint8_t *data, uint32_t len)
{
    (void) file;
    (void) off;
    kind_now = kind;
    sim_tombstones(data, len, on_tombstone, ctx);
}


static void
watch_open(rig_t *r, uint32_t n_segments)
{
    rig_open(r, 1, n_segments);
    r->disk.on_write = on_write;
    memset(&killed, 0, sizeof(killed));
}


static s3c_status_t
drop(rig_t *r, uint64_t n)
{
    return s3c_ssd_drop(r->ssd, key_of(n), sim_now_ms(&r->disk));
}


/* On their way, as others see it; *untold: of them, those whose keys they do
 * not. */
static uint32_t
n_due(const rig_t *r, uint32_t *untold)
{
    uint32_t                    n = 0;
    const s3c_ssd_flight_sh_t  *f = s3c_ssd_flight(r->ssd, r->ssd->slot, 0);

    for (uint32_t i = 0; i < S3C_SSD_DUE_MAX; i++) {
        n += f->due[i].used;
    }

    if (untold != NULL) {
        *untold = f->untold;
    }

    return n + f->untold;
}


/* How many tombstones were written in this time. */
static uint32_t
n_killed_in(rig_t *r, uint64_t ms)
{
    uint32_t  n = killed.n_dsync;

    run_for(r, ms);
    assert_int_equal(killed.n_plain, 0);

    return killed.n_dsync - n;
}


static void
test_supersede(void **state)
{
    rig_t     r;
    uint64_t  seq;

    (void) state;
    watch_open(&r, 8);
    assert_int_equal(put(&r, 1, 1, 3000), S3C_OK);
    assert_int_equal(n_killed_in(&r, 100), 0);

    /* LIVE: sent before put answers, nothing lingers. */
    seq = r.ssd->head->seq;
    assert_int_equal(put(&r, 1, 2, 3000), S3C_OK);
    assert_true(s3c_io_reap(r.w.io) > 0);
    assert_int_equal(killed.n_dsync, 1);
    assert_true(killed.key_lo == key_of(1).lo);
    assert_int_equal(killed.seq, seq + 1);      /* the record has seq + 2 */
    check_medium(&r, 1, 2, 3000);

    /* PENDING. */
    assert_int_equal(put(&r, 2, 1, 3000), S3C_OK);
    assert_int_equal(put(&r, 2, 2, 3000), S3C_OK);
    assert_int_equal(n_killed_in(&r, 10), 1);
    check_medium(&r, 2, 2, 3000);

    /* Nothing is known, nothing can be hidden. */
    assert_int_equal(put(&r, 3, 1, 3000), S3C_OK);
    assert_int_equal(drop(&r, 77), S3C_MISS);
    assert_int_equal(put(&r, 78, 1, SEGMENT), S3C_UNSUPPORTED);
    assert_int_equal(n_killed_in(&r, 200), 0);
    rig_close(&r);
}


/* Of batches that are full, sealed or flushed with records, too. */
static void
test_dsync(void **state)
{
    rig_t  r;

    (void) state;
    watch_open(&r, 32);
    r.disk.delay_min_us = 300;
    r.disk.delay_max_us = 4000;

    for (uint32_t i = 0; i < 4000; i++) {
        while (put(&r, i, 1, 100) != S3C_OK) {
            run_for(&r, 10);
        }
    }

    run_for(&r, 200);

    for (uint32_t i = 0; i < 4000; i++) {
        (void) (drop(&r, i) == S3C_OK);  /* the index is too small for all */

        if (i % 3 == 0) {
            (void) (put(&r, 10000 + i, 1, 2000) == S3C_OK);
        }

        if (i % 37 == 0) {
            sim_disk_step(&r.disk, 1000);
            reap(&r);
        }
    }

    (void) n_killed_in(&r, 500);
    assert_true(r.ssd->head->n_index_evict > 0);
    assert_true(killed.n_dsync >= 4000);
    assert_int_equal(r.ssd->writer->lanes[0].n_syncs, 0);
    assert_int_equal(n_due(&r, NULL), 0);
    rig_close(&r);
}


/* A place that left the index, as with a time-out; a newer one is refused. */
static void
test_hidden_refused(void **state)
{
    rig_t            r;
    s3c_ssd_place_t  old;

    (void) state;
    watch_open(&r, 8);
    assert_int_equal(put(&r, 1, 1, 3000), S3C_OK);
    run_for(&r, 100);
    assert_true(s3c_ssd_lock(r.ssd));
    assert_int_equal(s3c_ssd_index_remove_locked(r.ssd, key_of(1), 0, &old),
                     S3C_OK);
    s3c_ssd_unlock(r.ssd);
    s3c_ssd_count(&r.ssd->stores[0].n_timeout, 1);

    assert_int_equal(put(&r, 1, 2, SEGMENT), S3C_UNSUPPORTED);
    assert_int_equal(n_killed_in(&r, 100), 1);
    assert_true(killed.key_lo == key_of(1).lo);

    /* Accepted, and lost on its way. */
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = 0, .kind = SIM_WRITES, .times = 1 });
    assert_int_equal(put(&r, 1, 3, 3000), S3C_OK);
    assert_int_equal(n_killed_in(&r, 100), 1);
    assert_int_equal(place_of(&r, 1), 0);
    rig_close(&r);
}


/* Nothing is written for a while: what is refused leaves half of the queue to
 * what is dropped. */
static void
test_half_queue(void **state)
{
    rig_t     r;
    uint32_t  staged, untold;

    (void) state;
    watch_open(&r, 16);
    s3c_ssd_count(&r.ssd->stores[0].n_timeout, 1);
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_WRITES });

    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(put(&r, i, 1, SEGMENT), S3C_UNSUPPORTED);
    }

    assert_int_equal(r.ssd->writer->n_tombstones, S3C_SSD_TOMBSTONES_MAX / 2);
    staged = n_due(&r, &untold) - S3C_SSD_TOMBSTONES_MAX / 2;
    assert_in_range(staged, 1, S3C_SSD_SYNCS_MAX);
    assert_int_equal(untold, n_due(&r, NULL) - S3C_SSD_DUE_MAX);

    for (uint32_t i = 0; i < S3C_SSD_TOMBSTONES_MAX / 2; i++) {
        assert_int_equal(drop(&r, 9000 + i), S3C_MISS);
    }

    assert_int_equal(r.ssd->stores[0].lost_tombstones, 0);
    assert_int_equal(drop(&r, 20000), S3C_MISS);
    assert_int_equal(r.ssd->stores[0].lost_tombstones, 1);

    sim_disk_no_faults(&r.disk);
    sim_disk_release(&r.disk, 0);
    assert_true(n_killed_in(&r, 1000) >= S3C_SSD_TOMBSTONES_MAX);
    assert_int_equal(r.ssd->writer->n_tombstones, 0);
    assert_int_equal(n_due(&r, NULL), 0);
    rig_close(&r);
}


/* Its last write may reach the device when nobody is left to see it. */
static void
test_orphan(void **state)
{
    rig_t  r;

    (void) state;
    watch_open(&r, 8);
    assert_int_equal(put(&r, 1, 1, 3000), S3C_OK);
    assert_int_equal(drop(&r, 2), S3C_MISS);
    assert_int_equal(n_killed_in(&r, 0), 0);
    assert_true(s3c_ssd_lock(r.ssd));
    s3c_ssd_segment_orphan_locked(r.ssd, r.ssd->slot);
    (void) s3c_ssd_index_scan_locked(r.ssd, 0, r.ssd->n_buckets,
                                     s3c_ssd_take_orphan, r.ssd);
    s3c_ssd_unlock(r.ssd);
    assert_int_equal(place_of(&r, 1), 0);
    assert_int_equal(drop(&r, 1), S3C_MISS);
    assert_int_equal(n_killed_in(&r, 100), 1);
    assert_true(killed.key_lo == key_of(1).lo);
    rig_close(&r);
}


/* A death under the lock: something may have left the index before its
 * tombstone was queued. */
static void
test_hidden(void **state)
{
    rig_t  r;

    (void) state;
    watch_open(&r, 8);
    assert_int_equal(drop(&r, 1), S3C_MISS);
    assert_int_equal(n_killed_in(&r, 100), 0);
    r.ssd->head->n_heal = 1;
    assert_int_equal(drop(&r, 1), S3C_MISS);
    assert_int_equal(n_killed_in(&r, 100), 1);
    rig_close(&r);
}


/* The kernel takes no more: what waits for it would die with the worker. */
static void
test_unsent(void **state)
{
    rig_t                      r;
    uint32_t                   depth;
    const s3c_ssd_store_sh_t  *st;

    (void) state;
    watch_open(&r, 8);
    st = &r.ssd->stores[0];
    assert_int_equal(put(&r, 1, 1, 3000), S3C_OK);
    run_for(&r, 100);
    depth = r.w.io->depth;
    r.w.io->depth = r.w.io->in_flight;
    assert_int_equal(drop(&r, 1), S3C_OK);
    assert_int_equal(r.ssd->writer->n_tombstones, 0);
    assert_int_equal(n_due(&r, NULL), 1);
    assert_int_equal(n_killed_in(&r, 50), 0);
    assert_int_equal(n_due(&r, NULL), 1);
    r.w.io->depth = depth;
    assert_int_equal(n_killed_in(&r, 50), 1);
    assert_int_equal(n_due(&r, NULL), 0);

    /* Nor is it forgotten if it leaves in peace. */
    assert_int_equal(put(&r, 2, 1, 3000), S3C_OK);
    run_for(&r, 100);
    r.w.io->depth = r.w.io->in_flight;
    assert_int_equal(drop(&r, 2), S3C_OK);
    s3c_ssd_leave(r.ssd);
    assert_int_equal(st->lost_tombstones, 1);
    assert_true(s3c_ssd_owes(r.zone.region, r.zone.bytes, 0, 0));
    s3c_io_close(r.w.io);
    sim_zone_fini(&r.zone);
    sim_disk_fini(&r.disk);
}


/* A worker leaves while tombstones of it hang: they count as lost. */
static void
test_leave(void **state)
{
    rig_t                r;
    s3c_ssd_store_sh_t  *st;

    (void) state;
    watch_open(&r, 8);
    st = &r.ssd->stores[0];

    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(put(&r, i, 1, 3000), S3C_OK);
    }

    run_for(&r, 100);
    sim_disk_fault(&r.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_WRITES });

    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(drop(&r, i), S3C_OK);
    }

    assert_int_equal(st->lost_tombstones, 0);
    s3c_io_close(r.w.io);                       /* as at a process's end */
    s3c_ssd_leave(r.ssd);
    assert_int_equal(st->lost_tombstones, 10);
    sim_zone_fini(&r.zone);
    sim_disk_fini(&r.disk);
}


/* A worker in a thread of its own drops what the one of the rig has put, and is
 * killed when some of its tombstones are in flight and the others wait. */
static void
other_drops(rig_t *r, sim_worker_t *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(put(r, i, 1, 3000), S3C_OK);

        if (i % 16 == 0) {
            run_for(r, 10);
        }
    }

    run_for(r, 100);
    assert_int_equal(sim_worker_join(w, &r->zone, true), S3C_OK);
    sim_disk_fault(&r->disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 0, .kind = SIM_WRITES });

    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(s3c_ssd_drop(w->ssd, key_of(i),
                                      sim_now_ms(&r->disk)), S3C_OK);
    }

    sim_worker_kill(w);
    sim_disk_no_faults(&r->disk);
    assert_int_equal(killed.n_dsync, 0);
}


/* Whoever clears up after it writes them, with the seqs that they had. */
static void
test_inherit(void **state)
{
    rig_t         r;
    uint64_t      seq;
    uint32_t      slot;
    sim_worker_t  w;

    (void) state;
    watch_open(&r, 16);
    other_drops(&r, &w, 100);
    slot = r.ssd->slot == 0 ? 1 : 0;
    assert_true(s3c_ssd_slot_owes(r.ssd, slot));
    seq = r.ssd->head->seq;
    assert_int_equal(put(&r, 5, 2, 3000), S3C_OK);      /* is newer */
    s3c_ssd_slot_clear_up(r.ssd, slot);
    assert_false(s3c_ssd_slot_owes(r.ssd, slot));
    assert_int_equal(r.ssd->stores[0].lost_tombstones, 0);
    assert_int_equal(n_due(&r, NULL), 100);
    assert_int_equal(n_killed_in(&r, 200), 100);
    assert_true(killed.seq <= seq);
    assert_int_equal(n_due(&r, NULL), 0);
    check_medium(&r, 5, 2, 3000);
    assert_false(s3c_ssd_owes(r.zone.region, r.zone.bytes, 0, 0));
    rig_close(&r);
}


/* Whoever takes its place, too; and what had no room there, is lost. */
static void
test_inherit_slot(void **state)
{
    rig_t         r;
    uint32_t      n = S3C_SSD_DUE_MAX + 10;
    sim_worker_t  w, next;

    (void) state;
    watch_open(&r, 16);
    other_drops(&r, &w, n);
    assert_int_equal(r.ssd->stores[0].lost_tombstones, 0);
    assert_int_equal(sim_worker_join(&next, &r.zone, true), S3C_OK);
    assert_int_equal(r.ssd->stores[0].lost_tombstones, 10);
    assert_int_equal(next.ssd->writer->n_tombstones, S3C_SSD_DUE_MAX);
    assert_int_equal(next.ssd->writer->lanes[0].n_untold, 0);
    sim_run_for(&r.disk, &next, 1, 100);
    assert_int_equal(killed.n_dsync, S3C_SSD_DUE_MAX);
    assert_int_equal(next.ssd->writer->lanes[0].n_due_free, S3C_SSD_DUE_MAX);
    sim_worker_leave(&next);
    rig_close(&r);
}


/* Nobody does: who lets go of the region knows. */
static void
test_owes(void **state)
{
    rig_t         r;
    sim_worker_t  w;

    (void) state;
    watch_open(&r, 16);
    assert_false(s3c_ssd_owes(r.zone.region, r.zone.bytes, 0, 0));
    other_drops(&r, &w, 3);
    assert_int_equal(drop(&r, 3), S3C_MISS);   /* it lives: on its way */
    assert_int_equal(r.ssd->stores[0].lost_tombstones, 0);
    assert_true(s3c_ssd_owes(r.zone.region, r.zone.bytes, 0, 0));
    assert_int_equal(r.ssd->stores[0].lost_tombstones, 3);
    assert_true(s3c_ssd_owes(r.zone.region, r.zone.bytes - 1, 0, 0));
    rig_close(&r);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "what is superseded is killed at once", test_supersede, 0, 0, 0 },
        { "every tombstone is written with DSYNC", test_dsync, 0, 0, 0 },
        { "a newer one that is refused, or lost, kills what may be hidden",
          test_hidden_refused, 0, 0, 0 },
        { "refused puts take half of the queue", test_half_queue, 0, 0, 0 },
        { "what an orphan may still write is killed", test_orphan, 0, 0, 0 },
        { "what may be hidden is killed", test_hidden, 0, 0, 0 },
        { "tombstones that wait for the kernel count", test_unsent, 0, 0, 0 },
        { "a worker leaves with tombstones that hang", test_leave, 0, 0, 0 },
        { "those of a dead worker are written by others", test_inherit, 0, 0,
          0 },
        { "those of a dead worker are written by its successor",
          test_inherit_slot, 0, 0, 0 },
        { "who lets go of the region knows of those nobody wrote", test_owes,
          0, 0, 0 },
    };

    return cmocka_run_group_tests_name("ssd_tombstone", tests, NULL, NULL);
}

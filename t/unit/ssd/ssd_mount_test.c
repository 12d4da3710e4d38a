/* SPDX-License-Identifier: Apache-2.0
 *
 * What a store that was away may have missed, and who remembers it: epochs in
 * superblocks, their copies, tombstones that were lost.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim_disk.h"
#include "ssd/ssd_keeper.h"

#define SEG       (1u << 20)
#define SEGMENTS  12

typedef struct {
    sim_disk_t      disk;
    s3c_ssd_conf_t  conf;
    sim_zone_t      zone;
    sim_worker_t    w[2];
} bed_t;


static s3c_ssd_t *
bed_serve(bed_t *b)
{
    sim_zone_format(&b->zone, &b->disk, &b->conf);
    assert_int_equal(sim_worker_join(&b->w[0], &b->zone, false), S3C_OK);
    assert_true(sim_run_until_serving(&b->disk, b->w, 1, 20000));

    return b->w[0].ssd;
}


static s3c_ssd_t *
bed_open(bed_t *b, uint32_t n_stores)
{
    memset(b, 0, sizeof(*b));
    sim_disk_init(&b->disk, 11, n_stores, (SEGMENTS + 1) * SEG);
    sim_conf(&b->conf, &b->disk, n_stores, SEG, SEGMENTS);

    return bed_serve(b);
}


static void
bed_stop(bed_t *b)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (b->w[i].ssd != NULL) {
            sim_worker_leave(&b->w[i]);
        }
    }

    sim_zone_fini(&b->zone);
}


/* A new region over the same files, which are well again. */
static s3c_ssd_t *
bed_restart(bed_t *b)
{
    bed_stop(b);
    sim_disk_no_faults(&b->disk);

    return bed_serve(b);
}


static void
bed_close(bed_t *b)
{
    const char  *what;

    if (s3c_ssd_audit(b->w[0].ssd, &what) != S3C_OK) {
        fail_msg("audit: %s", what);
    }

    bed_stop(b);
    sim_disk_fini(&b->disk);
}


static void
run_for(bed_t *b, uint64_t ms)
{
    sim_run_for(&b->disk, b->w, 2, ms);
}


static s3c_ssd_super_t
super_of(bed_t *b, uint32_t store)
{
    uint8_t          in[S3C_SSD_SUPER_BYTES];
    s3c_ssd_super_t  super;

    sim_disk_read(&b->disk, store, 0, in, sizeof(in));
    assert_int_equal(s3c_ssd_super_decode(in, &super), S3C_OK);

    return super;
}


static s3c_hash128_t
key_of(uint64_t i)
{
    uint64_t       s = i * 2 + 1;
    s3c_hash128_t  k;

    k.lo = sim_rng(&s);
    k.hi = sim_rng(&s);

    return k;
}


/* A key whose records lie on this store. */
static uint64_t
key_on(s3c_ssd_t *ssd, uint32_t store)
{
    uint64_t  i = 0;

    while (s3c_ssd_store_of(ssd, key_of(i)) != store) {
        i++;
    }

    return i;
}


static void
put(s3c_ssd_t *ssd, bed_t *b, uint64_t key)
{
    static uint8_t  data[3000];
    uint64_t        tag[2] = { key, 0 };
    struct iovec    iov = { data, sizeof(data) };

    assert_int_equal(s3c_ssd_put(ssd, key_of(key), tag, &iov, 1, sizeof(data),
                                 sim_now_ms(&b->disk)), S3C_OK);
    run_for(b, 200);
}


static void
drop(s3c_ssd_t *ssd, bed_t *b, uint64_t key)
{
    (void) !s3c_ssd_drop(ssd, key_of(key), sim_now_ms(&b->disk));
    run_for(b, 100);
}


static bool
there(s3c_ssd_t *ssd, uint64_t key)
{
    uint64_t  bytes;

    return s3c_ssd_find(ssd, key_of(key), &bytes) == S3C_OK;
}


/* --- tombstones that are lost ------------------------------------------- */

static void
lost_in_service(void **state)
{
    bed_t       b;
    uint64_t    id;
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 1);
    put(ssd, &b, 1);
    id = super_of(&b, 0).store_id;
    run_for(&b, 1000);                       /* a line a second */
    ssd->stores[0].lost_tombstones = 1;
    run_for(&b, 200);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_SERVING);
    assert_int_equal(ssd->stores[0].lost_tombstones, 0);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 2);
    assert_int_not_equal(super_of(&b, 0).store_id, id);
    assert_false(there(ssd, 1));
    bed_close(&b);
}


static void
lost_and_restarted(void **state)
{
    bed_t       b;
    uint64_t    k[2];
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 2);

    for (uint32_t i = 0; i < 2; i++) {
        k[i] = key_on(ssd, i);
        put(ssd, &b, k[i]);
    }

    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = 1, .kind = SIM_ANY });
    s3c_ssd_store_fail(ssd, 1);
    drop(ssd, &b, k[1]);
    assert_int_equal(super_of(&b, 0).epoch, 2);
    assert_int_equal(super_of(&b, 1).epoch, 1);
    assert_int_equal(atomic_load(&ssd->head->epoch), 2);
    assert_true(s3c_ssd_seq(ssd) > 2ull << S3C_SSD_EPOCH_SHIFT);
    run_for(&b, 60000);
    assert_int_equal(super_of(&b, 0).epoch, 2);      /* once is enough */

    ssd = bed_restart(&b);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 1);
    assert_true(there(ssd, k[0]));
    assert_false(there(ssd, k[1]));
    assert_int_equal(super_of(&b, 0).epoch, 3);
    assert_int_equal(super_of(&b, 1).epoch, 3);
    bed_close(&b);
}


/* Nothing was dropped: it goes on as it was, at the others' epoch. */
static void
failed_for_a_while(void **state)
{
    bed_t       b;
    uint64_t    k, id;
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 3);
    k = key_on(ssd, 1);
    put(ssd, &b, k);
    id = super_of(&b, 1).store_id;

    for (uint32_t i = 0; i < 3; i++) {
        s3c_ssd_store_fail(ssd, 1);
        assert_true(sim_run_until_serving(&b.disk, b.w, 1, 60000));
    }

    assert_int_equal(super_of(&b, 0).epoch, 4);
    assert_int_equal(super_of(&b, 1).epoch, 4);
    assert_int_equal(super_of(&b, 2).epoch, 4);
    assert_true(there(ssd, k));
    put(ssd, &b, key_on(ssd, 0));

    ssd = bed_restart(&b);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 0);
    assert_int_equal(super_of(&b, 1).store_id, id);
    assert_true(there(ssd, k));
    assert_true(there(ssd, key_on(ssd, 0)));
    bed_close(&b);
}


/* The others' superblocks cannot be written either, or hang. */
static void
failing_one_after_the_other(void **state)
{
    (void) state;

    for (uint32_t i = 0; i < 2; i++) {
        bed_t       b;
        s3c_ssd_t  *ssd = bed_open(&b, 3);

        sim_disk_fault(&b.disk, (sim_fault_t) {
            .what = i == 0 ? SIM_EIO : SIM_HANG, .file = 1,
            .kind = SIM_WRITES, .len = S3C_SSD_SUPER_BYTES });
        s3c_ssd_store_fail(ssd, 0);
        run_for(&b, 5500);
        assert_int_equal(s3c_ssd_state(ssd, 1), S3C_SSD_FAILED);
        assert_int_equal(s3c_ssd_state(ssd, 2), S3C_SSD_SERVING);
        assert_true(ssd->stores[1].n_timeout + ssd->stores[1].n_write_error
                    > 0);                    /* it may be written yet */
        run_for(&b, 100);
        assert_true(super_of(&b, 2).epoch > super_of(&b, 1).epoch);
        sim_disk_no_faults(&b.disk);
        sim_disk_release(&b.disk, 0);
        assert_true(sim_run_until_serving(&b.disk, b.w, 1, 120000));
        assert_int_equal(super_of(&b, 0).epoch, super_of(&b, 1).epoch);
        assert_int_equal(super_of(&b, 2).epoch, super_of(&b, 1).epoch);
        bed_close(&b);
    }
}


static void
alone_it_is_spoilt(void **state)
{
    bed_t       b;
    uint64_t    id;
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 1);
    put(ssd, &b, 1);
    id = super_of(&b, 0).store_id;
    s3c_ssd_store_fail(ssd, 0);
    run_for(&b, 1000);
    assert_int_equal(super_of(&b, 0).store_id, id);
    drop(ssd, &b, 1);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_FAILED);
    assert_int_not_equal(super_of(&b, 0).store_id, id);
    ssd = bed_restart(&b);
    assert_false(there(ssd, 1));
    bed_close(&b);
}


/* It cannot be read again, and took no write when it failed. */
static void
spoilt_at_a_later_retry(void **state)
{
    bed_t       b;
    uint64_t    id;
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 1);
    put(ssd, &b, 1);
    id = super_of(&b, 0).store_id;
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = 0, .kind = SIM_READS });
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = 0, .kind = SIM_WRITES, .times = 1 });
    s3c_ssd_store_fail(ssd, 0);
    drop(ssd, &b, 1);
    assert_int_equal(super_of(&b, 0).store_id, id);
    run_for(&b, 6000);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_FAILED);
    assert_int_not_equal(super_of(&b, 0).store_id, id);
    ssd = bed_restart(&b);
    assert_false(there(ssd, 1));
    bed_close(&b);
}


static void
call_drop(void *arg)
{
    sim_worker_t  *w = arg;

    (void) !s3c_ssd_drop(w->ssd, key_of(1), sim_now_ms(w->zone->disk));
}


static void
lost_with_a_worker(void **state)
{
    bed_t       b;
    s3c_ssd_t  *ssd;

    (void) state;

    for (uint32_t i = 0; i < 2; i++) {
        ssd = bed_open(&b, 1);
        put(ssd, &b, 1);
        put(ssd, &b, 2);
        bed_stop(&b);
        b.disk.files[0].lock_refused = true;
        sim_zone_format(&b.zone, &b.disk, &b.conf);
        assert_int_equal(sim_worker_join(&b.w[0], &b.zone, false), S3C_OK);
        assert_int_equal(sim_worker_join(&b.w[1], &b.zone, true), S3C_OK);
        ssd = b.w[0].ssd;
        run_for(&b, 100);

        if (i == 1) {
            sim_worker_call(&b.w[1], call_drop, &b.w[1]);
        }

        sim_worker_kill(&b.w[1]);
        run_for(&b, 500);
        b.disk.files[0].lock_refused = false;
        assert_true(sim_run_until_serving(&b.disk, b.w, 1, 20000));
        assert_false(i == 1 && there(ssd, 1));
        assert_true(there(ssd, 2));
        assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 0);
        ssd = bed_restart(&b);
        assert_int_equal(there(ssd, 1), i == 0);
        assert_true(there(ssd, 2));
        bed_close(&b);
    }
}


/* --- superblocks -------------------------------------------------------- */

static void
lost_copy_counts_as_damaged(void **state)
{
    bed_t       b;
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 1);
    put(ssd, &b, 1);
    ssd = bed_restart(&b);
    drop(ssd, &b, 1);
    sim_disk_flip(&b.disk, 0, 100, 3);               /* the copy of epoch 2 */
    ssd = bed_restart(&b);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 1);
    assert_false(there(ssd, 1));
    assert_true(super_of(&b, 0).epoch > 2);
    assert_false(super_of(&b, 0).lost_copy);
    bed_close(&b);
}


static struct {
    uint64_t  old_id;
    uint32_t  n, n_old;
} seen;


static void
super_written(void *ctx, uint32_t file, s3c_io_kind_t kind, uint64_t off,
    const uint8_t *data, uint32_t len)
{
    uint8_t          in[S3C_SSD_SUPER_BYTES];
    s3c_ssd_super_t  super;

    (void) data;

    if (off >= sizeof(in)) {
        return;
    }

    sim_check(kind == S3C_IO_WRITE_DSYNC && len == S3C_SSD_BLOCK);
    sim_disk_read(ctx, file, 0, in, sizeof(in));
    sim_check(s3c_ssd_super_decode(in, &super) == S3C_OK);
    seen.n++;
    seen.n_old += super.store_id == seen.old_id;
}


/* A retry writes the epoch that is there already: in the same place. */
static void
old_copy_never_wins(void **state)
{
    bed_t       b;
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 1);
    ssd = bed_restart(&b);
    memset(&seen, 0, sizeof(seen));
    seen.old_id = super_of(&b, 0).store_id;
    b.disk.on_write = super_written;
    b.disk.ctx = &b.disk;
    ssd->stores[0].lost_tombstones = 1;
    run_for(&b, 200);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_SERVING);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.n_old, 0);
    b.disk.on_write = NULL;
    bed_close(&b);
}


/* A mount at which store 0 cannot be read. */
static s3c_ssd_t *
serve_half_blind(bed_t *b)
{
    sim_disk_fault(&b->disk, (sim_fault_t) {
        .what = SIM_EIO, .file = 0, .kind = SIM_ANY, .times = 1 });
    sim_zone_format(&b->zone, &b->disk, &b->conf);
    assert_int_equal(sim_worker_join(&b->w[0], &b->zone, false), S3C_OK);
    run_for(b, 60000);
    assert_int_equal(s3c_ssd_state(b->w[0].ssd, 0), S3C_SSD_SERVING);

    return b->w[0].ssd;
}


/* Nobody can tell the epoch: the clock's is higher than all counted ones. */
static void
epoch_of_the_unreadable(void **state)
{
    bed_t       b;
    uint64_t    k;
    s3c_ssd_t  *ssd;

    (void) state;
    (void) bed_open(&b, 2);
    (void) bed_restart(&b);
    ssd = bed_restart(&b);
    k = key_on(ssd, 1);
    put(ssd, &b, k);
    bed_stop(&b);

    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = 1, .kind = SIM_ANY });
    ssd = serve_half_blind(&b);
    assert_int_equal(s3c_ssd_state(ssd, 1), S3C_SSD_FAILED);
    drop(ssd, &b, k);
    assert_true(super_of(&b, 0).epoch > 400000);

    ssd = bed_restart(&b);
    assert_false(there(ssd, k));
    bed_close(&b);
}


/* No clock, and the store that is read is a new one. */
static void
higher_epoch_comes_back(void **state)
{
    bed_t          b;
    uint8_t        zero[S3C_SSD_SUPER_BYTES] = { 0 };
    s3c_ssd_t     *ssd;

    (void) state;
    (void) bed_open(&b, 2);
    (void) bed_restart(&b);
    ssd = bed_restart(&b);
    put(ssd, &b, key_on(ssd, 0));
    bed_stop(&b);

    b.disk.no_wall = true;
    sim_disk_write(&b.disk, 1, 0, zero, sizeof(zero));
    ssd = serve_half_blind(&b);
    assert_int_equal(super_of(&b, 0).epoch, 4);
    assert_int_equal(super_of(&b, 1).epoch, 4);
    assert_false(there(ssd, key_on(ssd, 0)));
    assert_true(s3c_ssd_seq(ssd) > 4ull << S3C_SSD_EPOCH_SHIFT);
    put(ssd, &b, key_on(ssd, 0));
    put(ssd, &b, key_on(ssd, 1));

    ssd = bed_restart(&b);
    assert_true(there(ssd, key_on(ssd, 0)));
    assert_true(there(ssd, key_on(ssd, 1)));
    bed_close(&b);
}


/* --- all stores together ------------------------------------------------ */

static void
shown_when_all_are_read(void **state)
{
    bed_t       b;
    uint64_t    k;
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 2);
    k = key_on(ssd, 0);
    put(ssd, &b, k);
    bed_stop(&b);
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_LATE, .file = 1, .kind = SIM_READS, .off = SEG,
        .len = SEGMENTS * SEG, .late_us = 400000 });
    sim_zone_format(&b.zone, &b.disk, &b.conf);
    assert_int_equal(sim_worker_join(&b.w[0], &b.zone, false), S3C_OK);
    ssd = b.w[0].ssd;
    run_for(&b, 200);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_RECOVERING);
    assert_false(there(ssd, k));
    assert_true(sim_run_until_serving(&b.disk, b.w, 1, 20000));
    assert_int_equal(ssd->head->recovering, 0);
    assert_true(there(ssd, k));
    bed_close(&b);
}


static void
keeper_that_dies_is_continued(void **state)
{
    bed_t       b;
    s3c_ssd_t  *ssd;

    (void) state;
    ssd = bed_open(&b, 3);
    sim_worker_leave(&b.w[0]);
    assert_int_equal(sim_worker_join(&b.w[1], &b.zone, true), S3C_OK);
    assert_true(sim_run_until_serving(&b.disk, &b.w[1], 1, 20000));
    assert_int_equal(sim_worker_join(&b.w[0], &b.zone, false), S3C_OK);
    ssd = b.w[0].ssd;
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_HANG, .file = 2, .kind = SIM_WRITES,
        .len = S3C_SSD_SUPER_BYTES, .times = 1 });
    s3c_ssd_store_fail(ssd, 0);
    run_for(&b, 100);
    assert_int_equal(super_of(&b, 1).epoch, 2);
    assert_int_equal(atomic_load(&ssd->head->epoch), 1);
    sim_worker_kill(&b.w[1]);
    sim_disk_release(&b.disk, 0);
    assert_true(sim_run_until_serving(&b.disk, b.w, 1, 20000));
    assert_int_equal(super_of(&b, 0).epoch, 2);
    assert_int_equal(super_of(&b, 1).epoch, 2);
    assert_int_equal(super_of(&b, 2).epoch, 2);
    assert_int_equal(atomic_load(&ssd->head->epoch), 2);
    bed_close(&b);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "a store in service that has lost a tombstone is formatted",
          lost_in_service, NULL, NULL, NULL },
        { "the others remember which store had failed", lost_and_restarted,
          NULL, NULL, NULL },
        { "a store that missed nothing is kept", failed_for_a_while, NULL,
          NULL, NULL },
        { "stores fail one after the other", failing_one_after_the_other,
          NULL, NULL, NULL },
        { "a store that is alone is spoilt at once", alone_it_is_spoilt, NULL,
          NULL, NULL },
        { "a store that is alone is spoilt at a later retry",
          spoilt_at_a_later_retry, NULL, NULL, NULL },
        { "tombstones of a worker that has died are written",
          lost_with_a_worker, NULL, NULL, NULL },
        { "a lost copy counts as damaged", lost_copy_counts_as_damaged, NULL,
          NULL, NULL },
        { "an old copy never wins over a format", old_copy_never_wins, NULL,
          NULL, NULL },
        { "the epoch is above those that cannot be read",
          epoch_of_the_unreadable, NULL, NULL, NULL },
        { "a store that comes back with a higher epoch raises that of all",
          higher_epoch_comes_back, NULL, NULL, NULL },
        { "nothing is shown before all stores are read",
          shown_when_all_are_read, NULL, NULL, NULL },
        { "a keeper that dies while it raises the epoch is continued",
          keeper_that_dies_is_continued, NULL, NULL, NULL }
    };

    return cmocka_run_group_tests_name("ssd_mount", tests, NULL, NULL);
}

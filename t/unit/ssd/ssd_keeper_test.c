/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper over the simulated disk: the mount and its epochs, stores that
 * are refused, fail, hang and come back, the role that passes on, workers that
 * die.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "sim_disk.h"
#include "ssd/ssd_keeper.h"

#define SEG       (1u << 20)
#define SEGMENTS  12

typedef struct {
    sim_disk_t      disk;
    s3c_ssd_conf_t  conf;
    sim_zone_t      zone;
    sim_worker_t    w[3];
} bed_t;


static void
bed_open(bed_t *b, uint32_t n_stores)
{
    memset(b, 0, sizeof(*b));
    sim_disk_init(&b->disk, 7, n_stores, (SEGMENTS + 1) * SEG);
    sim_conf(&b->conf, &b->disk, n_stores, SEG, SEGMENTS);
    sim_zone_format(&b->zone, &b->disk, &b->conf);
}


static void
workers_leave(bed_t *b)
{
    for (uint32_t i = 0; i < 3; i++) {
        if (b->w[i].ssd != NULL) {
            sim_worker_leave(&b->w[i]);
        }
    }
}


/* A new region over the same files. */
static void
bed_restart(bed_t *b)
{
    workers_leave(b);
    sim_zone_fini(&b->zone);
    sim_zone_format(&b->zone, &b->disk, &b->conf);
}


static void
bed_close(bed_t *b)
{
    workers_leave(b);
    sim_zone_fini(&b->zone);
    sim_disk_fini(&b->disk);
}


static s3c_ssd_t *
join(bed_t *b, uint32_t w, bool threaded)
{
    assert_int_equal(sim_worker_join(&b->w[w], &b->zone, threaded), S3C_OK);

    return b->w[w].ssd;
}


static s3c_ssd_t *
serve(bed_t *b)
{
    s3c_ssd_t  *ssd = join(b, 0, false);

    assert_true(sim_run_until_serving(&b->disk, b->w, 3, 20000));

    return ssd;
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


static void
audit(s3c_ssd_t *ssd)
{
    const char  *what;

    if (s3c_ssd_audit(ssd, &what) != S3C_OK) {
        fail_msg("audit: %s", what);
    }
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


static s3c_status_t
put(s3c_ssd_t *ssd, bed_t *b, uint64_t key)
{
    static uint8_t  data[3000];
    uint64_t        tag[2] = { key, 0 };
    struct iovec    iov = { data, sizeof(data) };

    return s3c_ssd_put(ssd, key_of(key), tag, &iov, 1, sizeof(data),
                       sim_now_ms(&b->disk));
}


static bool
there(s3c_ssd_t *ssd, uint64_t key)
{
    uint64_t  bytes;

    return s3c_ssd_find(ssd, key_of(key), &bytes) == S3C_OK;
}


static void
run_for(bed_t *b, uint64_t ms)
{
    sim_run_for(&b->disk, b->w, 3, ms);
}


/* --- mount ------------------------------------------------------------- */

static void
fresh_files_are_formatted(void **state)
{
    bed_t             b;
    s3c_ssd_t        *ssd;
    s3c_ssd_super_t   s[2];

    (void) state;
    bed_open(&b, 2);
    ssd = serve(&b);
    s[0] = super_of(&b, 0);
    s[1] = super_of(&b, 1);
    assert_int_equal(s[0].epoch, 1);
    assert_int_equal(s[1].epoch, 1);
    assert_int_not_equal(s[0].store_id, s[1].store_id);
    assert_int_equal(s[0].bytes, b.conf.stores[0].bytes);
    assert_memory_equal(s[0].secret, b.conf.secret, sizeof(s[0].secret));
    assert_string_equal(b.zone.last_log_word == NULL ? "new"
                        : b.zone.last_log_word, "new");
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 2);
    assert_int_equal(ssd->stores[1].n_free, SEGMENTS);
    assert_true(atomic_load(&ssd->head->seq) >= 1ull << S3C_SSD_EPOCH_SHIFT);
    audit(ssd);
    bed_close(&b);
}


static void
every_mount_has_its_epoch(void **state)
{
    bed_t       b;
    uint64_t    id = 0;
    s3c_ssd_t  *ssd;

    (void) state;
    bed_open(&b, 2);

    for (uint64_t epoch = 1; epoch < 6; epoch++) {
        ssd = serve(&b);
        assert_int_equal(super_of(&b, 0).epoch, epoch);
        assert_int_equal(super_of(&b, 1).epoch, epoch);
        assert_true(epoch == 1 || super_of(&b, 0).store_id == id);
        id = super_of(&b, 0).store_id;

        for (uint64_t k = 1; k < epoch; k++) {
            assert_true(there(ssd, k));
        }

        assert_int_equal(put(ssd, &b, epoch), S3C_OK);
        bed_restart(&b);
    }

    bed_close(&b);
}


/* It lay in a drawer while the others went on. */
static void
store_that_missed_a_mount_is_formatted(void **state)
{
    bed_t       b;
    uint8_t     old[S3C_SSD_SUPER_BYTES];
    uint64_t    id[2];
    s3c_ssd_t  *ssd;

    (void) state;
    bed_open(&b, 2);
    (void) serve(&b);
    sim_disk_read(&b.disk, 1, 0, old, sizeof(old));
    id[0] = super_of(&b, 0).store_id;
    id[1] = super_of(&b, 1).store_id;
    bed_restart(&b);
    (void) serve(&b);
    bed_restart(&b);
    sim_disk_write(&b.disk, 1, 0, old, sizeof(old));
    ssd = serve(&b);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 1);
    assert_int_equal(super_of(&b, 0).store_id, id[0]);
    assert_int_not_equal(super_of(&b, 1).store_id, id[1]);
    assert_int_equal(super_of(&b, 1).epoch, 3);
    audit(ssd);
    bed_close(&b);
}


static void
foreign_stores_are_formatted(void **state)
{
    bed_t     b;
    uint64_t  id;

    (void) state;
    bed_open(&b, 1);
    (void) serve(&b);
    bed_restart(&b);
    (void) serve(&b);
    id = super_of(&b, 0).store_id;
    assert_int_equal(super_of(&b, 0).epoch, 2);

    workers_leave(&b);
    b.conf.stores[0].bytes -= SEG;                   /* geometry */
    bed_restart(&b);
    (void) serve(&b);
    assert_int_not_equal(super_of(&b, 0).store_id, id);
    assert_int_equal(super_of(&b, 0).epoch, 3);
    id = super_of(&b, 0).store_id;

    workers_leave(&b);
    b.conf.secret[5]++;                              /* secret: another zone */
    bed_restart(&b);
    (void) serve(&b);
    assert_int_not_equal(super_of(&b, 0).store_id, id);
    assert_int_equal(super_of(&b, 0).epoch, 1);
    id = super_of(&b, 0).store_id;

    bed_restart(&b);                                 /* its own: kept */
    (void) serve(&b);
    assert_int_equal(super_of(&b, 0).store_id, id);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 0);

    workers_leave(&b);
    sim_disk_flip(&b.disk, 0, 100, 1);               /* both copies */
    sim_disk_flip(&b.disk, 0, 4196, 1);
    bed_restart(&b);
    (void) serve(&b);
    assert_int_not_equal(super_of(&b, 0).store_id, id);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FORMATTED], 1);
    bed_close(&b);
}


static void
refused_lock_keeps_all_waiting(void **state)
{
    bed_t       b;
    s3c_ssd_t  *ssd;

    (void) state;
    bed_open(&b, 2);
    b.disk.files[1].lock_refused = true;
    ssd = join(&b, 0, false);
    run_for(&b, 5000);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_WAITING);
    assert_int_equal(s3c_ssd_state(ssd, 1), S3C_SSD_WAITING);
    assert_int_equal(b.disk.files[0].n_reads, 0);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_WAITING], 1);
    b.disk.files[1].lock_refused = false;
    assert_true(sim_run_until_serving(&b.disk, b.w, 3, 1500));
    bed_close(&b);
}


/* Whatever I/O of the mount fails: the other store serves, this one is back
 * later, empty. */
static void
mount_survives_errors(void **state)
{
    (void) state;

    for (uint32_t i = 0; i < 8; i++) {
        bed_t         b;
        s3c_ssd_t    *ssd;
        sim_what_t    what = i / 2 == 0 ? SIM_EIO : i / 2 == 1 ? SIM_HANG
                             : i / 2 == 2 ? SIM_ENOSPC : SIM_SHORT;

        bed_open(&b, 2);
        (void) serve(&b);
        assert_int_equal(put(b.w[0].ssd, &b, 1), S3C_OK);
        bed_restart(&b);

        sim_disk_fault(&b.disk, (sim_fault_t) {
            .what = what, .file = 1, .kind = i % 2 == 0 ? SIM_READS
                                                       : SIM_WRITES,
            .len = S3C_SSD_SUPER_BYTES, .times = 1
        });
        ssd = join(&b, 0, false);
        run_for(&b, 7000);
        assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_SERVING);
        sim_disk_release(&b.disk, EIO);
        sim_disk_no_faults(&b.disk);
        assert_true(sim_run_until_serving(&b.disk, b.w, 3, 20000));
        assert_int_equal(super_of(&b, 1).epoch, super_of(&b, 0).epoch);
        audit(ssd);
        bed_close(&b);
    }
}


/* --- failing and coming back ------------------------------------------- */

static void
errors_in_a_row_take_a_store_out(void **state)
{
    bed_t       b;
    uint32_t    i;
    s3c_ssd_t  *ssd;

    (void) state;
    bed_open(&b, 1);
    ssd = serve(&b);
    assert_int_equal(put(ssd, &b, 1), S3C_OK);
    run_for(&b, 200);
    assert_true(there(ssd, 1));

    for (i = 0; i < 3 * S3C_SSD_ERRORS_MAX; i++) {
        s3c_ssd_store_result(ssd, 0, S3C_IO_READ,
                             i % S3C_SSD_ERRORS_MAX == 7 ? 0 : EIO);
        assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_SERVING);
    }

    for (i = 0; i < S3C_SSD_ERRORS_MAX; i++) {
        s3c_ssd_store_result(ssd, 0, S3C_IO_READ, ETIME);
    }

    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_FAILED);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_FAILED], 1);
    assert_false(there(ssd, 1));
    run_for(&b, 4000);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_FAILED);
    run_for(&b, 1500);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_SERVING);
    assert_int_equal(b.zone.n_log[S3C_SSD_LOG_BACK], 1);
    assert_true(there(ssd, 1));
    audit(ssd);
    bed_close(&b);
}


static void
lost_tombstones_cost_the_store(void **state)
{
    bed_t       b;
    uint64_t    id;
    s3c_ssd_t  *ssd;

    (void) state;
    bed_open(&b, 1);
    ssd = serve(&b);
    id = super_of(&b, 0).store_id;
    assert_int_equal(put(ssd, &b, 1), S3C_OK);
    assert_int_equal(put(ssd, &b, 2), S3C_OK);
    run_for(&b, 200);
    s3c_ssd_store_fail(ssd, 0);
    (void) !s3c_ssd_drop(ssd, key_of(1), sim_now_ms(&b.disk));
    run_for(&b, 6000);
    assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_SERVING);
    assert_int_not_equal(super_of(&b, 0).store_id, id);
    assert_int_equal(ssd->stores[0].lost_tombstones, 0);
    assert_false(there(ssd, 1));
    assert_false(there(ssd, 2));
    audit(ssd);
    bed_close(&b);
}


static void
retries_are_rarer_and_rarer(void **state)
{
    bed_t       b;
    uint64_t    n;
    s3c_ssd_t  *ssd;

    (void) state;
    bed_open(&b, 1);
    ssd = serve(&b);
    sim_disk_fault(&b.disk, (sim_fault_t) {
        .what = SIM_EIO, .file = 0, .kind = SIM_ANY });
    s3c_ssd_store_fail(ssd, 0);
    n = atomic_load(&ssd->stores[0].n_read_error);
    run_for(&b, 100000);                     /* 5, 10, 20, 40 */
    n = atomic_load(&ssd->stores[0].n_read_error) - n;
    assert_in_range(n, 3, 5);
    sim_disk_no_faults(&b.disk);
    assert_true(sim_run_until_serving(&b.disk, b.w, 3, 301000));
    audit(ssd);
    bed_close(&b);
}


/* At each read of recovery: EIO for ever, once, or no end. The other store
 * serves once this one has failed, and this one comes back. */
static void
recovery_survives_errors(void **state)
{
    (void) state;

    for (uint32_t skip = 0; skip < 24; skip++) {
        bed_t       b;
        s3c_ssd_t  *ssd;
        uint32_t    times = skip % 3 == 0 ? 1 : 0;

        bed_open(&b, 2);
        ssd = serve(&b);

        for (uint64_t k = 0; k < 50; k++) {
            assert_int_equal(put(ssd, &b, k), S3C_OK);
            run_for(&b, 20);
        }

        bed_restart(&b);
        sim_disk_fault(&b.disk, (sim_fault_t) {
            .what = skip % 3 == 2 ? SIM_HANG : SIM_EIO, .file = 1,
            .kind = SIM_READS, .off = SEG, .len = SEGMENTS * SEG,
            .skip = skip / 3 * 2, .times = times
        });
        ssd = join(&b, 0, false);
        run_for(&b, 2000);

        /* a store that hangs is waited for: it may say what was dropped */
        if (skip % 3 != 2) {
            assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_SERVING);
        }

        if (times == 1) {
            assert_int_equal(s3c_ssd_state(ssd, 1), S3C_SSD_SERVING);
        }

        run_for(&b, 32000);
        assert_int_equal(s3c_ssd_state(ssd, 0), S3C_SSD_SERVING);
        sim_disk_no_faults(&b.disk);
        sim_disk_release(&b.disk, 0);
        assert_true(sim_run_until_serving(&b.disk, b.w, 3, 60000));
        assert_int_equal(ssd->head->recovering, 0);
        audit(ssd);
        bed_close(&b);
    }
}


/* --- the role, and workers that die ------------------------------------ */

static void
role_passes_on(void **state)
{
    bed_t       b;
    s3c_ssd_t  *one, *two;

    (void) state;
    bed_open(&b, 1);
    one = serve(&b);
    two = join(&b, 1, false);
    run_for(&b, 300);
    assert_true(one->is_keeper);
    assert_false(two->is_keeper);
    sim_worker_leave(&b.w[0]);
    run_for(&b, 300);
    assert_true(two->is_keeper);
    assert_int_equal(s3c_ssd_state(two, 0), S3C_SSD_SERVING);
    bed_close(&b);
}


static void
dead_worker_leaves_nothing_open(void **state)
{
    bed_t       b;
    uint32_t    i, n_torn = 0;
    s3c_ssd_t  *ssd;

    (void) state;
    bed_open(&b, 1);
    ssd = serve(&b);
    (void) join(&b, 1, true);
    run_for(&b, 100);
    assert_int_equal(put(b.w[1].ssd, &b, 1), S3C_OK);
    run_for(&b, 200);
    assert_int_equal(put(b.w[1].ssd, &b, 2), S3C_OK);
    assert_true(there(ssd, 1));
    assert_int_equal(ssd->stores[0].n_open, 1);
    sim_worker_kill(&b.w[1]);
    run_for(&b, 700);
    assert_int_equal(ssd->stores[0].n_open, 0);
    assert_int_equal(ssd->head->n_dead_worker, 1);
    assert_true(there(ssd, 1));
    assert_false(there(ssd, 2));
    assert_int_equal(ssd->stores[0].live_records, 1);    /* has been swept */
    assert_int_equal(ssd->keeper->orphan_at, ssd->n_buckets);

    for (i = 0; i < SEGMENTS; i++) {
        if (ssd->segments[i].state == S3C_SSD_SEGMENT_TORN) {
            n_torn++;
            assert_true(ssd->segments[i].rest_until_ms
                        > sim_now_ms(&b.disk) + S3C_SSD_REST_MS / 2);
        }
    }

    assert_int_equal(n_torn, 1);
    audit(ssd);
    bed_close(&b);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "fresh files are formatted", fresh_files_are_formatted, NULL, NULL,
          NULL },
        { "every mount has its epoch", every_mount_has_its_epoch, NULL, NULL,
          NULL },
        { "a store that missed a mount is formatted",
          store_that_missed_a_mount_is_formatted, NULL, NULL, NULL },
        { "foreign stores are formatted", foreign_stores_are_formatted, NULL,
          NULL, NULL },
        { "a refused lock keeps all waiting", refused_lock_keeps_all_waiting,
          NULL, NULL, NULL },
        { "a mount survives errors", mount_survives_errors, NULL, NULL, NULL },
        { "errors in a row take a store out",
          errors_in_a_row_take_a_store_out, NULL, NULL, NULL },
        { "lost tombstones cost the store", lost_tombstones_cost_the_store,
          NULL, NULL, NULL },
        { "retries are rarer and rarer", retries_are_rarer_and_rarer, NULL,
          NULL, NULL },
        { "a recovery survives errors", recovery_survives_errors, NULL, NULL,
          NULL },
        { "the role passes on", role_passes_on, NULL, NULL, NULL },
        { "a dead worker leaves nothing open",
          dead_worker_leaves_nothing_open, NULL, NULL, NULL }
    };

    return cmocka_run_group_tests_name("ssd_keeper", tests, NULL, NULL);
}

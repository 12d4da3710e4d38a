/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole tier against a plain map. Several workers (in half of the runs each
 * has a thread, which can die) share a zone over disks that fail in every way
 * they can; what is put, dropped and read is chosen by chance. A read answers
 * the bytes of the version that was the newest when it began, or none; one that
 * was superseded or dropped is never seen again, not after a death either, nor
 * after a restart; unless the master died, too, and what came after it never
 * reached the disk.
 *
 * SSD_MODEL_SEED=n runs that seed, SSD_MODEL_RUNS=n that many; SSD_MODEL_LOUD
 * prints the tier's log, SSD_MODEL_KEY=n the story of one key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_truth.h"
#include "ssd/ssd_internal.h"

#define KEYS_MAX     400
#define WORKERS_MAX  4
#define READS        24                  /* of a worker */
#define SEGMENT      (1u << 20)

typedef struct model_s  model_t;

typedef struct {
    s3c_ssd_read_t   read;               /* first */
    model_t         *m;
    uint32_t         key;
    uint64_t         from;               /* oldest version it may see */
    uint64_t         clock;              /* no version is newer than this was
                                            when it began */
    uint64_t         version;            /* that it has seen */
    uint32_t         next;
    bool             active;
} look_t;

struct model_s {
    sim_disk_t       disk;
    sim_zone_t       zone;
    sim_worker_t     workers[WORKERS_MAX];
    look_t           looks[WORKERS_MAX][READS];
    uint32_t         n_workers;
    uint32_t         n_keys;
    uint32_t         most;               /* bytes of a record */
    uint64_t         version[KEYS_MAX];  /* that may be seen; 0: none */
    bool             refused[KEYS_MAX];  /* the last put */
    uint64_t         clock;              /* versions so far */
    uint64_t         rng;
    uint64_t         seed;
    bool             faults;
    bool             deaths;
    bool             died;               /* a worker, since the last start */
    uint32_t         trace;              /* key whose story is told */
    uint64_t         n_put, n_hit, n_miss, n_bad, n_drop, n_restart, n_kill;
    uint64_t         n_owed;
    /* arguments of the call in a worker's thread */
    uint32_t         w, key;
    look_t          *look;
};

#define WRONG(m, ...)                                                      \
    do {                                                                   \
        fprintf(stderr, "seed %llu: ", (unsigned long long) (m)->seed);    \
        fprintf(stderr, __VA_ARGS__);                                      \
        fprintf(stderr, "\n");                                             \
        abort();                                                           \
    } while (0)


#define TELL(m, k, ...)                                                    \
    do {                                                                   \
        if ((m)->trace == (k)) {                                           \
            fprintf(stderr, "%10.6f key %u worker %u: ",                   \
                    (double) (m)->disk.usec / 1e6, k, (m)->w);             \
            fprintf(stderr, __VA_ARGS__);                                  \
            fprintf(stderr, "\n");                                         \
        }                                                                  \
    } while (0)


static uint32_t
pick(model_t *m, uint32_t n)
{
    return (uint32_t) sim_below(&m->rng, n);
}


static s3c_ssd_t *
ssd_of(model_t *m)
{
    return m->workers[m->w].ssd;
}


/* --- reading ------------------------------------------------------------- */

static s3c_status_t
on_data(s3c_ssd_read_t *read, const s3c_ssd_record_t *record, uint32_t off,
    const uint8_t *data, uint32_t len)
{
    look_t    *look = (look_t *) read;
    model_t   *m = look->m;
    uint64_t   v = record->tag[0];

    if (record->tag[1] != look->key || off != look->next
        || v == 0 || v < look->from || v > look->clock
        || (look->version != 0 && v != look->version)
        || record->size != sim_size(look->key, v, m->most))
    {
        WRONG(m, "key %u: version %llu of [%llu, %llu], off %u of %u",
              look->key, (unsigned long long) v,
              (unsigned long long) look->from,
              (unsigned long long) look->clock, off, look->next);
    }

    if (memcmp(data, sim_payload(look->key, v) + off, len) != 0) {
        WRONG(m, "key %u version %llu: bytes", look->key,
              (unsigned long long) v);
    }

    look->version = v;
    look->next += S3C_SSD_FRAME_BYTES;

    return S3C_OK;
}


static void
on_end(s3c_ssd_read_t *read, s3c_status_t st)
{
    look_t   *look = (look_t *) read;
    model_t  *m = look->m;

    sim_check(look->active);
    look->active = false;

    TELL(m, look->key, "read %llu: %s", (unsigned long long) look->version,
         s3c_status_name(st));

    switch (st) {

    case S3C_OK:
        sim_check(look->version != 0);
        m->n_hit++;
        break;

    case S3C_MISS:
        m->n_miss++;
        break;

    case S3C_CORRUPT:
    case S3C_IO:
    case S3C_TIMEOUT:
    case S3C_BUSY:
        m->n_bad++;
        break;

    default:
        WRONG(m, "on_end %s", s3c_status_name(st));
    }
}


static void
call_read(void *arg)
{
    model_t       *m = arg;
    look_t        *l = m->look;
    s3c_status_t   st;

    st = s3c_ssd_read(ssd_of(m), &l->read, sim_now_ms(&m->disk));

    if (st != S3C_OK) {
        l->active = false;
        m->n_miss++;
        sim_check(st == S3C_MISS || st == S3C_BUSY);
    }
}


static void
call_cancel(void *arg)
{
    model_t  *m = arg;

    s3c_ssd_read_cancel(ssd_of(m), &m->look->read);
    m->look->active = false;
}


/* What can be found, and is not to be. */
static void
call_find(void *arg)
{
    uint64_t   bytes;
    model_t   *m = arg;

    if (s3c_ssd_find(ssd_of(m), sim_key(m->key), &bytes) == S3C_OK) {
        /* a footer may promise what is spoilt */
        if (m->version[m->key] == 0 && !m->faults) {
            WRONG(m, "key %u is found, but is not there", m->key);
        }

        if (!m->faults
            && bytes < sim_size(m->key, m->version[m->key], m->most))
        {
            WRONG(m, "key %u: found %llu bytes", m->key,
                  (unsigned long long) bytes);
        }
    }
}


static void
do_read(model_t *m, bool range)
{
    look_t    *l;
    uint32_t   i, size;
    uint64_t   v = m->version[m->key];

    sim_worker_call(&m->workers[m->w], call_find, m);

    for (i = 0; i < READS && m->looks[m->w][i].active; i++) { /* void */ }

    if (i == READS) {
        m->look = &m->looks[m->w][pick(m, READS)];
        sim_worker_call(&m->workers[m->w], call_cancel, m);
        return;
    }

    l = m->look = &m->looks[m->w][i];
    *l = (look_t) {
        .read = { .key = sim_key(m->key), .len = UINT32_MAX,
                  .on_data = on_data, .on_end = on_end },
        .m = m, .key = m->key, .active = true,
        /* of a key that is not there nothing may be seen */
        .from = v != 0 ? v : UINT64_MAX, .clock = m->clock
    };

    if (range && v != 0) {
        size = sim_size(m->key, v, m->most);
        l->read.off = pick(m, size);
        l->read.len = 1 + pick(m, size - l->read.off);
        l->next = l->read.off / S3C_SSD_FRAME_BYTES * S3C_SSD_FRAME_BYTES;
    }

    sim_worker_call(&m->workers[m->w], call_read, m);
}


/* --- writing ------------------------------------------------------------- */

static void
call_put(void *arg)
{
    uint32_t         size, cut;
    uint64_t         tag[2];
    model_t         *m = arg;
    const uint8_t   *p;
    struct iovec     iov[3];
    s3c_status_t     st;

    tag[0] = ++m->clock;
    tag[1] = m->key;
    size = sim_size(m->key, tag[0], m->most);
    p = sim_payload(m->key, tag[0]);
    cut = pick(m, size);
    iov[0] = (struct iovec) { (void *) p, cut };
    iov[1] = (struct iovec) { (void *) (p + cut), (size - cut) / 2 };
    iov[2] = (struct iovec) { (void *) (p + cut + (size - cut) / 2),
                              size - cut - (size - cut) / 2 };

    st = s3c_ssd_put(ssd_of(m), sim_key(m->key), tag, iov, 3, size,
                     sim_now_ms(&m->disk));
    m->version[m->key] = st == S3C_OK ? tag[0] : 0;
    TELL(m, m->key, "put %llu: %s", (unsigned long long) tag[0],
         s3c_status_name(st));
    m->refused[m->key] = st != S3C_OK;
    m->n_put += st == S3C_OK;

    if (st != S3C_OK && st != S3C_BUSY && st != S3C_DENIED && st != S3C_FULL
        && st != S3C_UNSUPPORTED)
    {
        WRONG(m, "put %s", s3c_status_name(st));
    }
}


static void
call_drop(void *arg)
{
    model_t       *m = arg;
    s3c_status_t   st;

    st = s3c_ssd_drop(ssd_of(m), sim_key(m->key), sim_now_ms(&m->disk));
    sim_check(st == S3C_OK || st == S3C_MISS);
    m->version[m->key] = 0;
    m->refused[m->key] = false;
    TELL(m, m->key, "drop: %s", s3c_status_name(st));
    m->n_drop++;
}


/* --- what happens to them ------------------------------------------------ */

static void
call_audit(void *arg)
{
    const char  *what;
    model_t     *m = arg;

    if (s3c_ssd_audit(ssd_of(m), &what) != S3C_OK) {
        WRONG(m, "audit: %s", what);
    }
}


static void
turns(model_t *m)
{
    for (uint32_t i = 0; i < m->n_workers; i++) {
        if (m->workers[i].ssd != NULL) {
            sim_worker_turn(&m->workers[i]);
        }
    }
}


static void
do_time(model_t *m)
{
    static const uint32_t  usec[] = {
        0, 1, 30, 100, 300, 300, 1000, 1000, 3000, 20000, 20000, 60000
    };

    sim_disk_step(&m->disk, usec[pick(m, 12)]);
    turns(m);
}


static void
looks_forget(model_t *m, uint32_t w)
{
    for (uint32_t i = 0; i < READS; i++) {
        m->looks[w][i].active = false;
    }
}


static void
worker_join(model_t *m, uint32_t w)
{
    /* a slot of a dead one is free again when the keeper has seen it */
    for (int i = 0; i < 20; i++) {
        if (sim_worker_join(&m->workers[w], &m->zone, m->deaths)
            == S3C_OK)
        {
            return;
        }

        sim_run_for(&m->disk, m->workers, m->n_workers, 500);
    }

    WRONG(m, "no slot");
}


/* What a dead one had staged is lost, what that had superseded, too. */
static void
do_kill(model_t *m)
{
    if (pick(m, 2) == 0) {               /* with something on its way */
        for (uint32_t i = pick(m, 10); i > 0; i--) {
            m->key = pick(m, m->n_keys);
            sim_worker_call(&m->workers[m->w], call_drop, m);
        }
    }

    sim_worker_kill(&m->workers[m->w]);
    looks_forget(m, m->w);
    m->n_kill++;
    m->died = true;
    do_time(m);
    worker_join(m, m->w);
}


static void
do_leave(model_t *m)
{
    sim_worker_leave(&m->workers[m->w]);

    for (uint32_t i = 0; i < READS; i++) {
        sim_check(!m->looks[m->w][i].active);
    }

    worker_join(m, m->w);
}


static void
faults_off(model_t *m)
{
    sim_disk_no_faults(&m->disk);
    sim_disk_release(&m->disk, pick(m, 2) == 0 ? 0 : 5);
}


static void
do_fault(model_t *m)
{
    sim_fault_t  f = {
        .what = (sim_what_t) pick(m, SIM_LATE + 1),
        .file = (int) pick(m, m->disk.n_files + 1) - 1,
        .kind = (int) pick(m, 3) - 1,
        .one_in = 1 + pick(m, 30), .times = 1 + pick(m, 30),
        .late_us = 1 + pick(m, 2000000)
    };

    faults_off(m);

    if (pick(m, 3) != 0) {
        sim_disk_fault(&m->disk, f);
    }
}


/* The last of all does so. */
static void
master_settle(model_t *m)
{
    static const uint8_t  zeros[S3C_SSD_SUPER_BYTES];

    for (uint32_t i = 0; i < m->zone.conf.n_stores; i++) {
        if (s3c_ssd_owes(m->zone.region, m->zone.bytes, i,
                         sim_now_ms(&m->disk)))
        {
            sim_disk_write(&m->disk, i, 0, zeros, sizeof(zeros));
            m->n_owed++;
        }
    }
}


/* All processes end, the machine does not. What is asked of the next run: the
 * newest that is on the disk, or nothing. */
static void
do_restart(model_t *m)
{
    bool          clean = !m->deaths || pick(m, 2) == 0, strict;
    bool          master = pick(m, 2) == 0;
    uint32_t      hung;
    sim_truth_t   truth[KEYS_MAX];

    faults_off(m);

    /* who ends before there is a segment for its tombstones, in the moments
     * after a start, takes with him what was dropped */
    strict = clean && !m->faults && !m->died;

    for (uint32_t i = 0; i < m->zone.conf.n_stores; i++) {
        strict &= s3c_ssd_state(m->workers[0].ssd, i) == S3C_SSD_SERVING
                  && m->workers[0].ssd->stores[i].n_free >= m->n_workers;
    }

    strict |= master && !m->faults;

    for (uint32_t i = 0; i < m->n_workers; i++) {
        if (clean) {
            sim_worker_leave(&m->workers[i]);
        } else {
            sim_worker_kill(&m->workers[i]);
        }

        looks_forget(m, i);
    }

    /* the kernel lets go of a file when its writes have ended */
    while (sim_disk_in_flight(&m->disk, &hung) > 0) {
        sim_disk_release(&m->disk, 0);
        sim_disk_step(&m->disk, 10000);
    }

    if (master) {
        master_settle(m);
    }

    sim_truth_find(&m->disk, &m->zone.conf, m->n_keys, truth);

    for (uint32_t i = 0; i < m->n_keys; i++) {
        if (strict && !m->refused[i] && truth[i].version != 0
            && truth[i].version != m->version[i])
        {
            WRONG(m, "key %u: %llu is left of %llu", i,
                  (unsigned long long) truth[i].version,
                  (unsigned long long) m->version[i]);
        }

        /* of a record that is spoilt in part, the rest can be read */
        if (!m->faults || truth[i].version > 0) {
            m->version[i] = truth[i].version;
        }

        TELL(m, i, "restart, %s: %llu is left, seq %llx",
             clean ? "clean" : "killed", (unsigned long long) m->version[i],
             (unsigned long long) truth[i].seq);
    }

    sim_zone_fini(&m->zone);
    sim_zone_format(&m->zone, &m->disk, &m->zone.conf);
    m->n_restart++;
    m->died = false;

    for (uint32_t i = 0; i < m->n_workers; i++) {
        worker_join(m, i);
    }

    if (pick(m, 2) == 0) {
        sim_check(sim_run_until_serving(&m->disk, m->workers, m->n_workers,
                                        60000));
    }
}


static void
model_step(model_t *m)
{
    uint32_t  what = pick(m, 10000);

    m->w = pick(m, m->n_workers);
    m->key = pick(m, pick(m, 2) == 0 ? m->n_keys : m->n_keys / 10);

    if (what < 2500) {
        sim_worker_call(&m->workers[m->w], call_put, m);

    } else if (what < 3000) {
        sim_worker_call(&m->workers[m->w], call_drop, m);

    } else if (what < 5500) {
        do_read(m, what < 4000);

    } else if (what < 9930) {
        do_time(m);

    } else if (what < 9940) {
        sim_worker_call(&m->workers[m->w], call_audit, m);

    } else if (what < 9955) {
        do_leave(m);

    } else if (what < 9970) {
        if (m->deaths) {
            do_kill(m);

            if (pick(m, 4) == 0) {
                do_restart(m);
            }
        }

    } else if (what < 9985) {
        if (m->faults) {
            do_fault(m);
        }

    } else if (what < 9989) {
        do_restart(m);

    } else if (what < 9992) {
        sim_run_long(&m->disk, m->workers, m->n_workers, 70000);

    } else {
        sim_run_for(&m->disk, m->workers, m->n_workers, 2000);
    }
}


/* --- runs ---------------------------------------------------------------- */

static void
model_run(uint64_t seed, uint32_t n_steps)
{
    model_t         *m = calloc(1, sizeof(*m));
    s3c_ssd_conf_t   conf;

    m->seed = seed;
    m->rng = seed * 77 + 1;
    m->n_workers = 1 + pick(m, WORKERS_MAX);
    m->n_keys = 20 + pick(m, KEYS_MAX - 20);
    m->most = 1 + pick(m, 600000);
    m->faults = pick(m, 3) != 0;
    m->deaths = pick(m, 2) == 0;

    sim_disk_init(&m->disk, seed, 1 + pick(m, 2), 17ull * SEGMENT);
    m->disk.delay_min_us = 20;
    m->disk.delay_max_us = 20 + pick(m, 5000);
    m->disk.align = pick(m, 2) == 0 ? 512 : 4096;

    sim_conf(&conf, &m->disk, m->disk.n_files, SEGMENT, 8 + pick(m, 9));
    conf.n_slots = m->n_workers + 1;

    if (pick(m, 4) == 0) {
        conf.n_objects = 64 + pick(m, 200);
    }

    if (pick(m, 4) == 0) {
        conf.stores[0].budget = 1 + pick(m, 3000000);
    }

    sim_zone_format(&m->zone, &m->disk, &conf);
    m->zone.loud = getenv("SSD_MODEL_LOUD") != NULL;
    m->trace = getenv("SSD_MODEL_KEY") == NULL
               ? UINT32_MAX : (uint32_t) atoi(getenv("SSD_MODEL_KEY"));

    if (m->zone.loud) {
        fprintf(stderr, "%u stores, %u workers, %u keys, %llu objects, "
                "%u bytes at most%s%s\n", conf.n_stores, m->n_workers,
                m->n_keys, (unsigned long long) conf.n_objects, m->most,
                m->faults ? ", faults" : "", m->deaths ? ", deaths" : "");
    }

    for (uint32_t i = 0; i < m->n_workers; i++) {
        worker_join(m, i);
    }

    for (uint32_t i = 0; i < n_steps; i++) {
        model_step(m);
    }

    faults_off(m);
    sim_run_for(&m->disk, m->workers, m->n_workers, 3000);

    for (uint32_t i = 0; i < m->n_workers; i++) {
        m->w = i;
        sim_worker_call(&m->workers[i], call_audit, m);

        for (uint32_t k = 0; k < READS; k++) {
            if (m->looks[i][k].active) {
                WRONG(m, "a read has not ended");
            }
        }

        sim_worker_leave(&m->workers[i]);
    }

    if (getenv("SSD_MODEL_LOUD") != NULL) {
        fprintf(stderr, "seed %llu: put %llu hit %llu miss %llu bad %llu "
                "drop %llu restart %llu kill %llu\n",
                (unsigned long long) seed, (unsigned long long) m->n_put,
                (unsigned long long) m->n_hit, (unsigned long long) m->n_miss,
                (unsigned long long) m->n_bad, (unsigned long long) m->n_drop,
                (unsigned long long) m->n_restart,
                (unsigned long long) m->n_kill);
    }

    sim_zone_fini(&m->zone);
    sim_disk_fini(&m->disk);
    free(m);
}


static void
test_model(void **state)
{
    const char  *seed = getenv("SSD_MODEL_SEED");
    const char  *runs = getenv("SSD_MODEL_RUNS");
    uint64_t     first = seed == NULL ? 1 : strtoull(seed, NULL, 0);
    uint64_t     n = runs == NULL ? (seed == NULL ? 20 : 1)
                                  : strtoull(runs, NULL, 0);

    (void) state;

    for (uint64_t i = first; i < first + n; i++) {
        model_run(i, 4000);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_model)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

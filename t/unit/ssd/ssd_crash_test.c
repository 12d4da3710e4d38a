/* SPDX-License-Identifier: Apache-2.0
 *
 * One story of puts and drops, told again and again: each time the power goes
 * after one write more, what was in flight is torn and what was not yet stable
 * comes in any order. After each restart
 *  - a key has its newest record that is whole on the disk, or none;
 *  - a key whose tombstone was on stable storage, of a drop or of a put over
 *    an older version, has nothing from before it;
 *  - on a disk that loses nothing it has ended, what could be read before the
 *    cut can be read, or something newer.
 * Then the same with all processes killed and the power on.
 *
 * SSD_CRASH_SEED=n tells another story, SSD_CRASH_EVERY=1 cuts after every
 * write instead of every few.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_truth.h"
#include "ssd/ssd_internal.h"

#define N_KEYS       60
#define N_WORKERS    2
#define N_STEPS      450
#define MOST         200000
#define KILLERS_MAX  64
#define CALLS_MAX    16                  /* of a key, the last ones */
#define SEGMENT      (1u << 20)
#define SEGMENTS     8
#define BYTES        ((SEGMENTS + 1ull) * SEGMENT)

typedef enum { LOSES = 0, KEEPS, KILLED } power_t;

typedef struct {
    uint32_t       key;
    uint64_t       version;              /* up to this it kills */
    uint32_t       file;
    uint64_t       segment_off, segment_seq;
} killer_t;

typedef struct {
    uint64_t       from, to;             /* seqs given out in it */
    uint64_t       clock;                /* its tombstone kills up to this */
} call_t;

typedef struct {
    uint32_t       n_stores;             /* 1: it fills up, and is reclaimed */
    sim_disk_t     disk;
    sim_zone_t     zone;
    sim_worker_t   workers[N_WORKERS];
    uint64_t       rng, seed;
    uint64_t       clock;
    uint64_t       version[N_KEYS];      /* the newest; 0: dropped */
    call_t         calls[N_KEYS][CALLS_MAX];     /* puts and drops */
    uint32_t       n_calls[N_KEYS];
    uint64_t       dropped[N_KEYS];      /* not newer than this: never again */
    uint64_t       settled[N_KEYS];      /* was found; 0: not since a drop */
    killer_t       killers[KILLERS_MAX]; /* written, not yet counted */
    uint32_t       n_killers;
    uint32_t       file;                 /* of the write that is looked at */
    uint64_t       segment_off;
    uint64_t       cut;
    power_t        power;
} story_t;

typedef struct {
    s3c_ssd_read_t   read;
    uint32_t         key;
    uint64_t         version;
    uint32_t         bytes;
    bool             ended;
    s3c_status_t     end;
} look_t;

#define WRONG(s, ...)                                                      \
    do {                                                                   \
        fprintf(stderr, "seed %llu, %u stores, power %d, cut %llu: ",      \
                (unsigned long long) (s)->seed, (s)->n_stores, (s)->power, \
                (unsigned long long) (s)->cut);                            \
        fprintf(stderr, __VA_ARGS__);                                      \
        fprintf(stderr, "\n");                                             \
        abort();                                                           \
    } while (0)


/* --- reading one key ----------------------------------------------------- */

static s3c_status_t
on_data(s3c_ssd_read_t *read, const s3c_ssd_record_t *record, uint32_t off,
    const uint8_t *data, uint32_t len)
{
    look_t  *l = (look_t *) read;

    sim_check(record->tag[1] == l->key && off == l->bytes);
    sim_check(record->size == sim_size(l->key, record->tag[0], MOST));
    sim_check(memcmp(data, sim_payload(l->key, record->tag[0]) + off, len)
              == 0);
    l->version = record->tag[0];
    l->bytes += len;

    return S3C_OK;
}


static void
on_end(s3c_ssd_read_t *read, s3c_status_t st)
{
    ((look_t *) read)->ended = true;
    ((look_t *) read)->end = st;
}


static bool
look_ended(void *ctx)
{
    return ((look_t *) ctx)->ended;
}


/* The version that can be read now; 0: none. */
static uint64_t
version_of(story_t *s, uint32_t key)
{
    look_t  l = {
        .read = { .key = sim_key(key), .len = UINT32_MAX,
                  .on_data = on_data, .on_end = on_end },
        .key = key
    };

    if (s3c_ssd_read(s->workers[0].ssd, &l.read, sim_now_ms(&s->disk))
        != S3C_OK)
    {
        return 0;
    }

    sim_check(sim_run_until(&s->disk, s->workers, N_WORKERS, look_ended, &l,
                            5000));

    return l.end == S3C_OK ? l.version : 0;
}


/* --- the story ----------------------------------------------------------- */

/* A tombstone on stable storage counts once the header of its segment is
 * there, too: the writes of a segment end in any order. */
static void
tombstones_count(story_t *s)
{
    killer_t                *t;
    s3c_ssd_segment_rec_t    rec;

    for (uint32_t i = 0; i < s->n_killers; i++) {
        t = &s->killers[i];
        memcpy(&rec, s->disk.files[t->file].stable + t->segment_off,
               sizeof(rec));

        if (rec.magic != S3C_SSD_MAGIC_SEGMENT
            || rec.segment_seq != t->segment_seq)
        {
            continue;
        }

        if (t->version > s->dropped[t->key]) {
            s->dropped[t->key] = t->version;
        }

        *t-- = s->killers[--s->n_killers];
        i--;
    }
}


static void
on_tombstone(void *ctx, const s3c_ssd_frame_rec_t *head)
{
    story_t   *s = ctx;
    call_t    *c;
    uint32_t   k = sim_key_number(head->key_lo, N_KEYS);

    for (uint32_t i = 0; k < N_KEYS && i < CALLS_MAX; i++) {
        c = &s->calls[k][i];

        if (head->record_seq > c->from && head->record_seq <= c->to
            && s->n_killers < KILLERS_MAX)
        {
            s->killers[s->n_killers++] = (killer_t) {
                .key = k, .version = c->clock, .file = s->file,
                .segment_off = s->segment_off,
                .segment_seq = head->segment_seq
            };
        }
    }
}


/* A put or drop of this key begins; call_end: it has ended. */
static call_t *
call_begin(story_t *s, s3c_ssd_t *ssd, uint32_t key)
{
    call_t  *c = &s->calls[key][s->n_calls[key]++ % CALLS_MAX];

    *c = (call_t) {
        .from = ssd->head->seq, .to = UINT64_MAX, .clock = s->clock
    };

    return c;
}


static void
call_end(call_t *c, s3c_ssd_t *ssd)
{
    c->to = ssd->head->seq;
}


static void
on_write(void *ctx, uint32_t file, s3c_io_kind_t kind, uint64_t off,
    const uint8_t *data, uint32_t len)
{
    story_t  *s = ctx;

    if (kind == S3C_IO_WRITE_DSYNC) {
        s->file = file;
        s->segment_off = off / SEGMENT * SEGMENT;
        sim_tombstones(data, len, on_tombstone, s);
        tombstones_count(s);
    }
}


static void
story_put(story_t *s, s3c_ssd_t *ssd, uint32_t key)
{
    call_t        *c = call_begin(s, ssd, key);
    uint64_t       tag[2] = { ++s->clock, key };
    uint32_t       size = sim_size(key, tag[0], MOST);
    struct iovec   iov = { (void *) sim_payload(key, tag[0]), size };

    s->settled[key] = 0;

    if (s3c_ssd_put(ssd, sim_key(key), tag, &iov, 1, size,
                    sim_now_ms(&s->disk)) == S3C_OK)
    {
        s->version[key] = tag[0];

    } else {
        s->version[key] = 0;
    }

    call_end(c, ssd);
}


static void
story_drop(story_t *s, s3c_ssd_t *ssd, uint32_t key)
{
    call_t  *c = call_begin(s, ssd, key);

    s->version[key] = 0;
    s->settled[key] = 0;
    (void) (s3c_ssd_drop(ssd, sim_key(key), sim_now_ms(&s->disk)) == S3C_OK);
    call_end(c, ssd);
}


static void
story_note(story_t *s)
{
    uint64_t  bytes;

    for (uint32_t i = 0; i < N_KEYS; i++) {
        if (s3c_ssd_find(s->workers[0].ssd, sim_key(i), &bytes) == S3C_OK) {
            s->settled[i] = s->version[i];
        }
    }
}


static void
story_open(story_t *s)
{
    s3c_ssd_conf_t  conf;

    sim_conf(&conf, &s->disk, s->n_stores, SEGMENT, SEGMENTS);
    conf.n_slots = N_WORKERS;
    sim_zone_format(&s->zone, &s->disk, &conf);
    s->zone.loud = getenv("SSD_CRASH_LOUD") != NULL;

    for (uint32_t i = 0; i < N_WORKERS; i++) {
        sim_check(sim_worker_join(&s->workers[i], &s->zone, false) == S3C_OK);
    }
}


static void
story_begin(story_t *s, uint32_t n_stores, uint64_t seed, power_t power,
    uint64_t cut)
{
    memset(s, 0, sizeof(*s));
    s->n_stores = n_stores;
    s->seed = seed;
    s->rng = seed;
    s->cut = cut;
    s->power = power;

    sim_disk_init(&s->disk, seed, n_stores, BYTES);
    s->disk.delay_min_us = 50;
    s->disk.delay_max_us = 4000;
    s->disk.write_through = power != LOSES;
    s->disk.cut_after = cut;
    s->disk.on_write = on_write;
    s->disk.ctx = s;
    story_open(s);
}


/* Ends when the power goes, or at its end. */
static void
story_tell(story_t *s)
{
    uint32_t    key;
    s3c_ssd_t  *ssd;

    (void) sim_run_until_serving(&s->disk, s->workers, N_WORKERS, 10000);

    for (uint32_t i = 0; i < N_STEPS && !s->disk.off; i++) {
        ssd = s->workers[sim_below(&s->rng, N_WORKERS)].ssd;
        key = (uint32_t) sim_below(&s->rng, N_KEYS);

        if (sim_below(&s->rng, 6) == 0) {
            story_drop(s, ssd, key);
        } else {
            story_put(s, ssd, key);
        }

        sim_run_for(&s->disk, s->workers, N_WORKERS, sim_below(&s->rng, 25));

        if (!s->disk.off) {
            story_note(s);
        }
    }
}


/* --- after it ------------------------------------------------------------ */

static void
workers_forget(story_t *s)
{
    for (uint32_t i = 0; i < N_WORKERS; i++) {
        /* leaves no trace on the disk: its queue is closed */
        s->workers[i].io->backend->close(s->workers[i].io);
        s3c_ssd_leave(s->workers[i].ssd);
    }

    sim_zone_fini(&s->zone);
}


static uint64_t
floor_of(story_t *s)
{
    uint64_t  floor = 0;

    for (uint32_t i = 0; i < s->n_stores; i++) {
        if (s->workers[0].ssd->stores[i].floor > floor) {
            floor = s->workers[0].ssd->stores[i].floor;
        }
    }

    return floor;
}


/* How many keys can be read. */
static uint32_t
story_check(story_t *s)
{
    uint32_t      n = 0;
    uint64_t      v;
    const char   *what;
    sim_truth_t   truth[N_KEYS];

    if (s->power == KILLED) {
        sim_disk_all_killed(&s->disk);

        while (sim_disk_in_flight(&s->disk, NULL) > 0) {
            sim_disk_step(&s->disk, 1000);
        }

    } else {
        sim_disk_power_cut(&s->disk);
    }

    workers_forget(s);
    s->disk.on_write = NULL;
    sim_truth_find(&s->disk, &s->zone.conf, N_KEYS, truth);
    story_open(s);
    sim_check(sim_run_until_serving(&s->disk, s->workers, N_WORKERS, 60000));

    if (s3c_ssd_audit(s->workers[0].ssd, &what) != S3C_OK) {
        WRONG(s, "audit: %s", what);
    }

    for (uint32_t i = 0; i < N_KEYS; i++) {
        v = version_of(s, i);
        n += v != 0;

        if (v != 0 && v != truth[i].version) {
            WRONG(s, "key %u: read %llu, newest on disk %llu", i,
                  (unsigned long long) v,
                  (unsigned long long) truth[i].version);
        }

        if (v != 0 && v <= s->dropped[i]) {
            WRONG(s, "key %u: read %llu, dropped up to %llu", i,
                  (unsigned long long) v,
                  (unsigned long long) s->dropped[i]);
        }

        if (s->power == LOSES) {
            continue;
        }

        if (v != 0 && v < s->settled[i]) {
            WRONG(s, "key %u: read %llu, settled %llu", i,
                  (unsigned long long) v,
                  (unsigned long long) s->settled[i]);
        }

        /* nothing has been reclaimed: all that was there is there */
        if (floor_of(s) == 0 && s->settled[i] != 0 && v == 0) {
            WRONG(s, "key %u: settled %llu, is lost", i,
                  (unsigned long long) s->settled[i]);
        }
    }

    workers_forget(s);

    return n;
}


static uint64_t
env_number(const char *name, uint64_t otherwise)
{
    const char  *v = getenv(name);

    return v == NULL ? otherwise : strtoull(v, NULL, 0);
}


static void
crash(uint32_t n_stores, power_t power, uint32_t every)
{
    uint64_t   n_writes, cut, seed = env_number("SSD_CRASH_SEED", 1);
    uint64_t   n_read = 0, n = 0, n_reclaim;
    story_t   *s = calloc(1, sizeof(*s));

    story_begin(s, n_stores, seed, power, 0);
    story_tell(s);
    n_writes = s->disk.n_writes;
    n_reclaim = s->workers[0].ssd->stores[0].n_reclaim;
    sim_disk_all_killed(&s->disk);
    workers_forget(s);
    sim_disk_fini(&s->disk);

    every = (uint32_t) env_number("SSD_CRASH_EVERY", every);
    cut = env_number("SSD_CRASH_CUT", 0);

    for (uint64_t i = cut == 0 ? 1 : cut; i <= (cut == 0 ? n_writes : cut);
         i += every, n++)
    {
        story_begin(s, n_stores, seed, power, i);
        story_tell(s);
        s->disk.off = false;
        n_read += story_check(s);
        sim_disk_fini(&s->disk);
    }

    free(s);

    if (getenv("SSD_CRASH_LOUD") != NULL) {
        fprintf(stderr, "%u stores, power %d: %llu writes, %llu cuts, "
                "%llu reads, %llu reclaimed\n", n_stores, power,
                (unsigned long long) n_writes, (unsigned long long) n,
                (unsigned long long) n_read,
                (unsigned long long) n_reclaim);
    }

    assert_true(n_writes > 100 && (n_reclaim > 2 || n_stores > 1));
    assert_true(cut != 0 || n_read > 5 * n);
}


static void
test_power_cut(void **state)
{
    (void) state;
    crash(2, LOSES, 9);
    crash(1, LOSES, 9);
}


static void
test_power_cut_kept(void **state)
{
    (void) state;
    crash(2, KEEPS, 13);
    crash(1, KEEPS, 13);
}


static void
test_killed(void **state)
{
    (void) state;
    crash(2, KILLED, 13);
    crash(1, KILLED, 13);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_power_cut),
        cmocka_unit_test(test_power_cut_kept),
        cmocka_unit_test(test_killed)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared part: what configurations it takes and how large it is, who may
 * join, several processes at it at once (each maps it elsewhere), and deaths
 * by SIGKILL wherever they strike.
 */
#include "ssd_test.h"

#include <signal.h>
#include <sys/wait.h>

#define WORKERS     4u
#define KEYS        4000u                /* more than fit */
#define HAMMER_MS   1000u
#define KILLS       250u
#define KILL_USEC   3000u                /* lives at most so long */


/* --- configuration ------------------------------------------------------ */

static void
refused(s3c_ssd_conf_t conf)
{
    uint8_t  *mem = calloc(1, 1u << 20);

    assert_non_null(mem);
    assert_int_equal(s3c_ssd_bytes(&conf), 0);
    assert_int_equal(s3c_ssd_format(mem, 1u << 20, &conf), S3C_INVALID);
    free(mem);
}


#define REFUSED(field, value)                                                 \
    do {                                                                      \
        s3c_ssd_conf_t  conf = conf_of(2, 4096, MIB, 8);                      \
        conf.field = value;                                                   \
        refused(conf);                                                        \
    } while (0)

static void
test_conf(void **state)
{
    (void) state;
    REFUSED(n_slots, 0);
    REFUSED(n_slots, 257);
    REFUSED(n_stores, 0);
    REFUSED(n_stores, 17);
    REFUSED(n_objects, 63);
    REFUSED(n_objects, UINT64_MAX);
    REFUSED(stores[0].segment_bytes, 0);
    REFUSED(stores[0].segment_bytes, MIB / 2);
    REFUSED(stores[1].segment_bytes, 3 * MIB);
    REFUSED(stores[1].segment_bytes, 512 * MIB);
    REFUSED(stores[0].bytes, 8 * MIB);
    REFUSED(stores[0].bytes, 9 * MIB + 4096);
    REFUSED(stores[0].bytes, (1ull << 44) + MIB);
    REFUSED(stores[0].bytes, 65537ull * MIB);
    REFUSED(stores[1].align, 0);
    REFUSED(stores[1].align, 256);
    REFUSED(stores[1].align, 8192);
    REFUSED(stores[1].align, 1000);
}


static void
test_bytes(void **state)
{
    uint32_t        i;
    uint64_t        index, bytes;
    zone_t          z;
    s3c_ssd_conf_t  conf;
    const uint64_t  objects[] = { 1000, 4096, 99999, 1000000 };

    (void) state;

    for (i = 0; i < 4; i++) {
        conf = conf_of(2, objects[i], MIB, 8);
        zone_open(&z, &conf);
        s3c_ssd_memory(z.ssd, &index, &bytes);
        assert_true(index <= 16 * objects[i]);
        assert_int_equal(bytes, z.bytes);
        assert_true(bytes - index
                    < 8192 + conf.n_slots * conf.n_stores
                             * sizeof(s3c_ssd_flight_sh_t));
        assert_int_equal((uintptr_t) z.ssd->buckets % 64, 0);
        zone_close(&z);
    }
}


static void
test_format(void **state)
{
    zone_t           z;
    s3c_ssd_t       *ssd;
    s3c_ssd_conf_t   conf = conf_of(3, 4096, MIB, 8);
    s3c_ssd_usage_t  u;

    (void) state;
    conf.stores[2].budget = 1000;
    zone_format(&z, &conf);
    assert_int_equal(s3c_ssd_format(z.region, z.bytes - 1, &conf),
                     S3C_INVALID);

    ssd = zone_join(&z, z.region, 5);
    assert_int_equal(s3c_ssd_n_stores(ssd), 3);
    s3c_ssd_usage(ssd, 2, &u);
    assert_int_equal(u.state, S3C_SSD_WAITING);
    assert_int_equal(u.bytes, 9 * MIB);
    assert_int_equal(u.segments, 8);
    assert_int_equal(u.segments_free, 0);
    assert_int_equal(u.records, 0);
    assert_int_equal(u.budget, 1000);
    assert_int_equal(u.budget_left, 10000);
    assert_int_equal(ssd->segments[23].state, S3C_SSD_SEGMENT_UNKNOWN);
    zone_audit(ssd);
    s3c_ssd_leave(ssd);

    /* Constants that are not what was formatted. */
    ((s3c_ssd_head_sh_t *) z.region)->n_buckets++;
    assert_int_equal(s3c_ssd_join(&ssd, z.region, z.bytes, &z.env, 1),
                     S3C_CORRUPT);
    ((s3c_ssd_head_sh_t *) z.region)->n_buckets--;
    assert_int_equal(s3c_ssd_join(&ssd, z.region, z.bytes - 64, &z.env, 1),
                     S3C_CORRUPT);
    memset(z.region, 0, 64);
    assert_int_equal(s3c_ssd_join(&ssd, z.region, z.bytes, &z.env, 1),
                     S3C_CORRUPT);
    assert_null(ssd);
    zone_close(&z);
}


static void
test_usage(void **state)
{
    uint32_t         segment;
    uint64_t         slot;
    zone_t           z;
    s3c_ssd_conf_t   conf = conf_of(1, 4096, MIB, 8);
    s3c_ssd_usage_t  u;
    s3c_ssd_place_t  old, victim;

    (void) state;
    conf.stores[0].budget = 5000;
    zone_open(&z, &conf);
    assert_true(s3c_ssd_lock(z.ssd));
    assert_int_equal(s3c_ssd_segment_open_locked(z.ssd, 0, 0, &segment),
                     S3C_OK);
    s3c_ssd_index_put_locked(z.ssd, key_of(1),
        s3c_ssd_place(0, s3c_ssd_segment_off(&z.ssd->stores[0], segment) / 512,
                      7, S3C_SSD_PLACE_LIVE), &old, &victim, &slot);
    s3c_ssd_unlock(z.ssd);

    s3c_ssd_count(&z.ssd->stores[0].n_hit, 3);
    atomic_store(&z.ssd->stores[0].tokens, -2000);
    atomic_store(&z.ssd->stores[0].tokens_ms, z.ssd->now_ms);
    s3c_ssd_reads_add(z.ssd, 0, 3);
    s3c_ssd_reads_add(z.ssd, 0, -1);
    s3c_ssd_usage(z.ssd, 0, &u);
    assert_int_equal(u.state, S3C_SSD_SERVING);
    assert_int_equal(u.records, 1);
    assert_int_equal(u.live_bytes, 7 * 512);
    assert_int_equal(u.segments_free, 7);
    assert_int_equal(u.segments_open, 1);
    assert_int_equal(u.n_hit, 3);
    assert_int_equal(u.reads_in_flight, 2);
    assert_int_equal(u.budget_left, 0);

    z.ssd->now_ms += 1000;
    s3c_ssd_usage(z.ssd, 0, &u);
    assert_int_equal(u.budget_left, 3000);
    z.ssd->now_ms += 100000;
    s3c_ssd_usage(z.ssd, 0, &u);
    assert_true(u.budget_left >= 48000 && u.budget_left <= 50000);

    assert_string_equal(s3c_ssd_state_name(S3C_SSD_WAITING), "waiting");
    assert_string_equal(s3c_ssd_state_name(S3C_SSD_RECOVERING), "recovering");
    assert_string_equal(s3c_ssd_state_name(S3C_SSD_SERVING), "serving");
    assert_string_equal(s3c_ssd_state_name(S3C_SSD_FAILED), "failed");
    zone_close(&z);
}


static void
test_say(void **state)
{
    uint32_t        i;
    zone_t          z;
    s3c_ssd_conf_t  conf = conf_of(2, 4096, MIB, 8);

    (void) state;
    zone_open(&z, &conf);
    z.ssd->now_ms = 0;

    for (i = 0; i < 100; i++) {
        s3c_ssd_say(z.ssd, S3C_SSD_LOG_ERROR, 0, 5, "read");
    }

    assert_int_equal(z.n_logs, 1);
    s3c_ssd_say(z.ssd, S3C_SSD_LOG_ERROR, 1, 5, "read");
    s3c_ssd_say(z.ssd, S3C_SSD_LOG_CORRUPT, 0, 5, "");
    assert_int_equal(z.n_logs, 3);
    z.ssd->now_ms = 999;
    s3c_ssd_say(z.ssd, S3C_SSD_LOG_ERROR, 0, 5, "read");
    assert_int_equal(z.n_logs, 3);
    z.ssd->now_ms = 1000;
    s3c_ssd_say(z.ssd, S3C_SSD_LOG_ERROR, 0, 5, "read");
    assert_int_equal(z.n_logs, 4);
    zone_close(&z);
}


/* --- joining ------------------------------------------------------------ */

static void
test_slots(void **state)
{
    uint32_t        i;
    zone_t          z;
    s3c_ssd_t      *ssd[9];
    s3c_ssd_conf_t  conf = conf_of(1, 4096, MIB, 8);

    (void) state;
    zone_open(&z, &conf);

    for (i = 1; i < 8; i++) {
        ssd[i] = zone_join(&z, z.region, 1);
        assert_int_equal(ssd[i]->slot, i);
    }

    assert_int_equal(s3c_ssd_join(&ssd[8], z.region, z.bytes, &z.env, 1),
                     S3C_BUSY);
    assert_null(ssd[8]);
    s3c_ssd_leave(ssd[3]);
    ssd[3] = zone_join(&z, z.region, 1);
    assert_int_equal(ssd[3]->slot, 3);

    for (i = 1; i < 8; i++) {
        s3c_ssd_leave(ssd[i]);
    }

    s3c_ssd_leave(NULL);
    assert_int_equal(z.ssd->head->n_dead_worker, 0);
    zone_close(&z);
}


static void
test_leave_open(void **state)
{
    uint32_t        segment;
    zone_t          z;
    s3c_ssd_t      *ssd;
    s3c_ssd_conf_t  conf = conf_of(1, 4096, MIB, 8);

    (void) state;
    zone_open(&z, &conf);
    ssd = zone_join(&z, z.region, z.ssd->now_ms);
    assert_true(s3c_ssd_lock(ssd));
    assert_int_equal(s3c_ssd_segment_open_locked(ssd, 0, 0, &segment), S3C_OK);
    s3c_ssd_unlock(ssd);
    s3c_ssd_leave(ssd);

    assert_int_equal(z.ssd->segments[segment].state, S3C_SSD_SEGMENT_TORN);
    assert_int_equal(z.ssd->segments[segment].rest_until_ms, 0);
    zone_close(&z);
}


/* No I/O is to be had: all is refused or fails, nothing breaks. */
static void
test_run(void **state)
{
    uint32_t          i;
    uint64_t          bytes, now_ms = 1000000;
    zone_t            z;
    struct iovec      iov = { (void *) (uintptr_t) "payload", 7 };
    const uint64_t    tag[2] = { 1, 2 };
    s3c_ssd_conf_t    conf = conf_of(2, 4096, MIB, 8);

    (void) state;
    zone_open(&z, &conf);

    for (i = 0; i < 100; i++) {
        now_ms += S3C_SSD_RUN_MS;
        (void) (s3c_ssd_put(z.ssd, key_of(i), tag, &iov, 1, 7, now_ms)
                == S3C_OK);
        assert_int_equal(s3c_ssd_find(z.ssd, key_of(i), &bytes), S3C_MISS);
        s3c_ssd_run(z.ssd, now_ms);
        zone_audit(z.ssd);
    }

    s3c_ssd_quiesce(z.ssd, now_ms);
    assert_false(z.ssd->is_keeper);

    for (i = 0; i < 100; i++) {
        s3c_ssd_run(z.ssd, now_ms += S3C_SSD_RUN_MS);
        (void) s3c_ssd_idle(z.ssd);
    }

    s3c_ssd_run(z.ssd, 5);               /* time does not go back */
    assert_int_equal(z.ssd->now_ms, now_ms);
    zone_close(&z);
}


/* --- other processes ---------------------------------------------------- */

static void
child_run(zone_t *z, uint64_t seed, uint32_t pause_usec, const bool *stop,
    uint64_t now_ms)
{
    hand_t  h = { .rng = seed, .n_keys = KEYS };

    h.ssd = zone_join(z, zone_map(z), now_ms);

    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        hand_step(&h);

        if (pause_usec != 0) {
            usleep(pause_usec);
        }
    }

    s3c_ssd_leave(h.ssd);
}


/* Tells all children at once when it is enough. */
static bool *
flag_map(void)
{
    bool  *flag = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(flag, MAP_FAILED);

    return flag;
}


static pid_t
child_fork(zone_t *z, uint64_t seed, uint32_t pause_usec, const bool *stop,
    uint64_t now_ms)
{
    pid_t  pid = fork();

    assert_true(pid >= 0);

    if (pid == 0) {
        child_run(z, seed, pause_usec, stop, now_ms);
        _exit(0);
    }

    return pid;
}


static void
test_hammer(void **state)
{
    int             status;
    bool           *stop = flag_map();
    pid_t           pid[WORKERS];
    uint32_t        i;
    zone_t          z;
    s3c_ssd_conf_t  conf = conf_of(3, 2048, MIB, 16);

    (void) state;
    zone_open(&z, &conf);

    for (i = 0; i < WORKERS; i++) {
        pid[i] = child_fork(&z, i + 1, 0, stop, 1000000);
    }

    for (i = 0; i < 20; i++) {           /* while they are at it */
        zone_audit(z.ssd);
        usleep(HAMMER_MS * 1000 / 20);
    }

    *stop = true;

    for (i = 0; i < WORKERS; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }

    munmap(stop, 4096);
    zone_audit(z.ssd);
    assert_true(z.ssd->stores[0].live_records > 0);
    assert_true(z.ssd->head->n_index_evict > 0);
    assert_int_equal(z.ssd->head->n_heal, 0);
    assert_int_equal(z.ssd->stores[0].n_open, 0);
    zone_close(&z);
}


static void
test_kills(void **state)
{
    int             status;
    bool           *stop = flag_map();
    pid_t           pid, survivor;
    uint32_t        i;
    uint64_t        rng = 42, now_ms = 2000000;
    zone_t          z;
    s3c_ssd_conf_t  conf = conf_of(2, 1024, MIB, 16);

    (void) state;
    zone_open(&z, &conf);
    survivor = child_fork(&z, 7, 100, stop, now_ms);

    for (i = 0; i < KILLS; i++) {
        now_ms += S3C_SSD_REST_MS;
        pid = child_fork(&z, rng, 0, stop, now_ms);
        usleep(1000 + (uint32_t) (rng_next(&rng) % KILL_USEC));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));

        zone_audit(z.ssd);               /* heals first */
    }

    *stop = true;
    assert_int_equal(waitpid(survivor, &status, 0), survivor);
    assert_int_equal(status, 0);

    munmap(stop, 4096);

    /* Or nothing was tried. */
    assert_true(z.ssd->head->n_heal > KILLS / 20);
    assert_true(z.ssd->head->n_dead_worker > KILLS / 2);
    assert_true(z.ssd->head->n_index_evict > 0);
    assert_true(z.ssd->stores[0].live_records > 0);
    print_message("%u kills, %u healed, %u evicted\n", KILLS,
                  (uint32_t) z.ssd->head->n_heal,
                  (uint32_t) z.ssd->head->n_index_evict);
    zone_close(&z);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        { "impossible configurations are refused", test_conf, NULL, NULL,
          NULL },
        { "the index takes at most 16 bytes an object", test_bytes, NULL,
          NULL, NULL },
        { "a new region is empty and unmounted; a wrong one is not joined",
          test_format, NULL, NULL, NULL },
        { "usage tells what is there", test_usage, NULL, NULL, NULL },
        { "one log line of a kind and store a second", test_say, NULL, NULL,
          NULL },
        { "each has a slot of its own while there are some", test_slots, NULL,
          NULL, NULL },
        { "who leaves in order leaves nothing to rest", test_leave_open, NULL,
          NULL, NULL },
        { "without any I/O nothing breaks", test_run, NULL, NULL, NULL },
        { "processes work at one region at different addresses", test_hammer,
          NULL, NULL, NULL },
        { "a death anywhere is healed", test_kills, NULL, NULL, NULL }
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

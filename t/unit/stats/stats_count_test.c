/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting in shared memory: the block, the sums over slots, the names of the
 * buckets, several processes and threads at once, and memory left behind by a
 * worker that died.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "stats/stats_sh.h"

#define SLOTS     4
#define ROUNDS    20000
#define N_NAMES   40


static s3c_stats_sh_t *
make(void)
{
    void  *mem = mmap(NULL, s3c_stats_bytes(SLOTS), PROT_READ|PROT_WRITE,
                      MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    assert_true(mem != MAP_FAILED);
    memset(mem, 0xa5, s3c_stats_bytes(SLOTS));
    s3c_stats_format(mem, SLOTS);

    return mem;
}


static void
drop(s3c_stats_sh_t *sh)
{
    assert_int_equal(munmap(sh, s3c_stats_bytes(SLOTS)), 0);
}


static s3c_stats_t
attach(s3c_stats_sh_t *sh, uint32_t slot)
{
    s3c_stats_t  stats;

    assert_int_equal(s3c_stats_attach(&stats, sh, SLOTS, slot), S3C_OK);

    return stats;
}


static s3c_slice_t
str(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static void
assert_name(const s3c_stats_t *stats, uint32_t bucket, const char *want)
{
    uint8_t      buf[S3C_STATS_BUCKET_NAME];
    s3c_slice_t  name = s3c_stats_bucket_name(stats, bucket, buf);

    assert_int_equal(name.len, strlen(want));
    assert_memory_equal(name.data, want, name.len);
}


static void
a_fresh_block_reads_as_zero(void **state)
{
    s3c_stats_sh_t   *sh = make();
    s3c_stats_t       stats = attach(sh, 0);
    s3c_hist_sums_t   sums;

    (void) state;

    for (int i = 0; i < S3C_STAT_N; i++) {
        assert_int_equal(s3c_stats_sum(&stats, i), 0);
    }

    for (int i = 0; i < S3C_HIST_N; i++) {
        s3c_stats_hist_sum(&stats, i, &sums);
        assert_int_equal(sums.count, 0);
        assert_int_equal(sums.sum_usec, 0);
    }

    for (uint32_t i = 1; i < S3C_STATS_BUCKETS_MAX; i++) {
        assert_name(&stats, i, "");
    }

    assert_name(&stats, 0, "other");
    drop(sh);
}


static void
a_sum_is_over_all_slots(void **state)
{
    s3c_stats_sh_t  *sh = make();
    s3c_stats_t      first = attach(sh, 0), last = attach(sh, SLOTS - 1);
    s3c_hist_sums_t  sums;

    (void) state;

    s3c_stats_add(&first, S3C_STAT_REQ_HIT, 3);
    s3c_stats_add(&last, S3C_STAT_REQ_HIT, 4);
    s3c_stats_add(&last, S3C_STAT_REQ_MISS, 1);
    s3c_stats_observe(&first, S3C_HIST_FILL_TIME, 16);
    s3c_stats_observe(&last, S3C_HIST_FILL_TIME, 17);
    s3c_stats_observe(&last, S3C_HIST_FILL_TIME, UINT64_C(1) << 40);

    assert_int_equal(s3c_stats_sum(&first, S3C_STAT_REQ_HIT), 7);
    assert_int_equal(s3c_stats_sum(&last, S3C_STAT_REQ_MISS), 1);
    assert_int_equal(s3c_stats_sum(&last, S3C_STAT_REQ_ERROR), 0);

    s3c_stats_hist_sum(&first, S3C_HIST_FILL_TIME, &sums);
    assert_int_equal(sums.count, 3);
    assert_int_equal(sums.sum_usec, 33 + (UINT64_C(1) << 40));
    assert_int_equal(sums.place[0], 1);
    assert_int_equal(sums.place[1], 1);
    assert_int_equal(sums.place[S3C_HIST_BUCKETS], 1);

    drop(sh);
}


static void
the_next_owner_of_a_slot_counts_on(void **state)
{
    s3c_stats_sh_t  *sh = make();
    s3c_stats_t      before = attach(sh, 1), after;

    (void) state;

    s3c_stats_add(&before, S3C_STAT_SENT_RAM, 100);
    after = attach(sh, 1);
    s3c_stats_add(&after, S3C_STAT_SENT_RAM, 11);
    assert_int_equal(s3c_stats_sum(&after, S3C_STAT_SENT_RAM), 111);

    drop(sh);
}


static void
a_handle_without_a_slot_reads_and_counts_nothing(void **state)
{
    s3c_stats_sh_t  *sh = make();
    s3c_stats_t      stats = attach(sh, 0);
    s3c_stats_t      reader = attach(sh, S3C_RAM_NO_SLOT);
    s3c_stats_t      none = { NULL, 0 };

    (void) state;

    s3c_stats_add(&stats, S3C_STAT_REQ_HIT, 1);
    s3c_stats_add(&reader, S3C_STAT_REQ_HIT, 1);
    s3c_stats_add(&none, S3C_STAT_REQ_HIT, 1);
    s3c_stats_observe(&reader, S3C_HIST_FILL_TIME, 1);
    s3c_stats_observe(&none, S3C_HIST_FILL_TIME, 1);
    s3c_stats_bucket_add(&reader, 0, S3C_BSTAT_HITS, 1);
    s3c_stats_bucket_add(&none, 0, S3C_BSTAT_HITS, 1);
    assert_int_equal(s3c_stats_bucket(&reader, str("data")), 0);
    assert_int_equal(s3c_stats_bucket(&none, str("data")), 0);

    assert_int_equal(s3c_stats_sum(&reader, S3C_STAT_REQ_HIT), 1);
    assert_int_equal(s3c_stats_sum(&none, S3C_STAT_REQ_HIT), 0);
    assert_int_equal(s3c_stats_bucket_sum(&stats, 0, S3C_BSTAT_HITS), 0);
    assert_name(&none, 1, "");

    drop(sh);
}


static void
attach_refuses_what_this_layout_did_not_format(void **state)
{
    s3c_stats_sh_t       *sh = make();
    s3c_stats_t           stats;
    s3c_stats_head_sh_t   head = sh->head;
    uint8_t              *bytes = (uint8_t *) sh;

    (void) state;

    assert_int_equal(s3c_stats_attach(&stats, sh, SLOTS + 1, 0), S3C_CORRUPT);
    assert_int_equal(s3c_stats_attach(&stats, sh, SLOTS - 1, 0), S3C_CORRUPT);
    assert_int_equal(s3c_stats_attach(&stats, NULL, SLOTS, 0), S3C_CORRUPT);
    assert_int_equal(s3c_stats_attach(&stats, bytes + 8, SLOTS, 0),
                     S3C_CORRUPT);
    assert_int_equal(s3c_stats_attach(&stats, sh, SLOTS, SLOTS), S3C_INVALID);
    assert_int_equal(s3c_stats_attach(&stats, sh, 0, 0), S3C_INVALID);
    assert_int_equal(s3c_stats_attach(&stats, sh, S3C_RAM_SLOTS_MAX + 1, 0),
                     S3C_INVALID);

    for (size_t i = 0; i < sizeof(head); i++) {
        bytes[i] ^= 1;
        stats = (s3c_stats_t) { sh, 3 };
        assert_int_equal(s3c_stats_attach(&stats, sh, SLOTS, 0), S3C_CORRUPT);
        assert_null(stats.mem);
        bytes[i] ^= 1;
    }

    assert_memory_equal(&sh->head, &head, sizeof(head));
    stats = attach(sh, 0);
    drop(sh);
}


static void
a_slot_is_modest_and_shares_no_cache_line(void **state)
{
    (void) state;

    assert_int_equal(sizeof(s3c_stats_slot_sh_t) % 64, 0);
    assert_int_equal(s3c_stats_bytes(2) - s3c_stats_bytes(1),
                     sizeof(s3c_stats_slot_sh_t));
    assert_true(s3c_stats_bytes(2) - s3c_stats_bytes(1) <= 7 * 1024);
}


static void
a_bucket_keeps_its_number_in_every_worker(void **state)
{
    uint32_t         data, logs;
    s3c_stats_sh_t  *sh = make();
    s3c_stats_t      one = attach(sh, 0), two = attach(sh, 1);

    (void) state;

    data = s3c_stats_bucket(&one, str("data"));
    logs = s3c_stats_bucket(&two, str("logs"));
    assert_int_not_equal(data, 0);
    assert_int_not_equal(logs, 0);
    assert_int_not_equal(data, logs);
    assert_int_equal(s3c_stats_bucket(&two, str("data")), data);
    assert_int_equal(s3c_stats_bucket(&one, str("logs")), logs);
    assert_name(&two, data, "data");
    assert_name(&one, logs, "logs");

    s3c_stats_bucket_add(&one, data, S3C_BSTAT_HIT_BYTES, 5);
    s3c_stats_bucket_add(&two, data, S3C_BSTAT_HIT_BYTES, 6);
    assert_int_equal(s3c_stats_bucket_sum(&one, data, S3C_BSTAT_HIT_BYTES),
                     11);
    assert_int_equal(s3c_stats_bucket_sum(&one, logs, S3C_BSTAT_HIT_BYTES),
                     0);

    drop(sh);
}


static void
a_full_table_counts_new_names_as_other(void **state)
{
    char             name[32];
    bool             seen[S3C_STATS_BUCKETS_MAX] = { false };
    uint32_t         number[S3C_STATS_BUCKETS_MAX];
    s3c_stats_sh_t  *sh = make();
    s3c_stats_t      stats = attach(sh, 0);

    (void) state;

    for (int i = 1; i < S3C_STATS_BUCKETS_MAX; i++) {
        snprintf(name, sizeof(name), "bucket-%d", i);
        number[i] = s3c_stats_bucket(&stats, str(name));
        assert_in_range(number[i], 1, S3C_STATS_BUCKETS_MAX - 1);
        assert_false(seen[number[i]]);
        seen[number[i]] = true;
    }

    assert_int_equal(s3c_stats_bucket(&stats, str("one-too-many")), 0);

    for (int i = 1; i < S3C_STATS_BUCKETS_MAX; i++) {
        snprintf(name, sizeof(name), "bucket-%d", i);
        assert_int_equal(s3c_stats_bucket(&stats, str(name)), number[i]);
    }

    drop(sh);
}


static void
names_that_are_no_labels_count_as_other(void **state)
{
    static const char  *bad[] = {
        "", "other", "a\nb", "a\x01", "\x7f", "a\xff", "\xc3", "\xed\xa0\x80",
        "\xc0\xaf", "\xf4\x90\x80\x80", "\xe2\x82"
    };
    static const char  *good[] = {
        "o", "others", "a.b-c_d", "tenant:bucket", "caf\xc3\xa9",
        "\xe2\x82\xac", "\xf0\x9f\x98\x80", "quote\"back\\slash"
    };
    s3c_stats_sh_t     *sh = make();
    s3c_stats_t         stats = attach(sh, 0);

    (void) state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(s3c_stats_bucket(&stats, str(bad[i])), 0);
    }

    assert_int_equal(s3c_stats_bucket(&stats, S3C_SLICE_NONE), 0);
    assert_int_equal(s3c_stats_bucket(&stats, S3C_SLICE("a\0b")), 0);

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint32_t  n = s3c_stats_bucket(&stats, str(good[i]));

        assert_int_not_equal(n, 0);
        assert_name(&stats, n, good[i]);
    }

    drop(sh);
}


static void
a_long_name_is_cut_at_a_whole_character(void **state)
{
    char             name[100], cut[100];
    uint32_t         n;
    s3c_stats_sh_t  *sh = make();
    s3c_stats_t      stats = attach(sh, 0);

    (void) state;

    memset(name, 'x', sizeof(name));
    n = s3c_stats_bucket(&stats, s3c_slice(name, 64));
    assert_int_not_equal(n, 0);
    assert_int_equal(s3c_stats_bucket(&stats, s3c_slice(name, 100)), n);
    assert_int_not_equal(s3c_stats_bucket(&stats, s3c_slice(name, 63)), n);

    /* a character of three bytes from 62 to 64 */
    memcpy(name + 62, "\xe2\x82\xac", 3);
    n = s3c_stats_bucket(&stats, s3c_slice(name, 100));
    memset(cut, 'x', 62);
    cut[62] = '\0';
    assert_name(&stats, n, cut);

    /* nothing but the middles of characters */
    memset(name, 0x80, sizeof(name));
    assert_int_equal(s3c_stats_bucket(&stats, s3c_slice(name, 100)), 0);

    drop(sh);
}


/* What a worker leaves that dies right after it took the tag. */
static uint32_t
leave_busy(s3c_stats_sh_t *sh, const char *name)
{
    uint64_t  hash = s3c_hash64(name, strlen(name)) & ~S3C_STATS_TAG_STATE;
    uint32_t  i = 1 + (uint32_t) ((hash >> 32) % (S3C_STATS_BUCKETS_MAX - 1));

    atomic_store(&sh->names.tag[i], hash | S3C_STATS_TAG_BUSY);

    return i;
}


static void
a_name_left_busy_by_a_dead_worker_is_completed(void **state)
{
    uint32_t         i;
    s3c_stats_sh_t  *sh = make();
    s3c_stats_t      stats = attach(sh, 1);

    (void) state;

    i = leave_busy(sh, "orphan");
    atomic_store(&sh->names.name[i][0], 0x6f);       /* half written */
    assert_name(&stats, i, "");

    assert_int_equal(s3c_stats_bucket(&stats, str("orphan")), i);
    assert_name(&stats, i, "orphan");

    drop(sh);
}


static void
a_busy_name_blocks_no_other_name(void **state)
{
    char             name[32];
    uint32_t         busy, n;
    s3c_stats_sh_t  *sh = make();
    s3c_stats_t      stats = attach(sh, 0);

    (void) state;

    busy = leave_busy(sh, "orphan");

    for (int i = 1; i < S3C_STATS_BUCKETS_MAX - 1; i++) {
        snprintf(name, sizeof(name), "bucket-%d", i);
        n = s3c_stats_bucket(&stats, str(name));
        assert_int_not_equal(n, 0);
        assert_int_not_equal(n, busy);
    }

    assert_int_equal(s3c_stats_bucket(&stats, str("one-too-many")), 0);
    assert_int_equal(s3c_stats_bucket(&stats, str("orphan")), busy);

    drop(sh);
}


/* Every writer meets the names in another order. */
static void
count_along(s3c_stats_t *stats)
{
    char      name[32];
    uint32_t  n;

    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof(name), "bucket-%d",
                 (int) (((uint32_t) i * 7 + stats->slot * 13) % N_NAMES));
        n = s3c_stats_bucket(stats, str(name));
        s3c_stats_bucket_add(stats, n, S3C_BSTAT_HITS, 1);
        s3c_stats_add(stats, S3C_STAT_REQ_HIT, 1);
        s3c_stats_observe(stats, S3C_HIST_FIRST_BYTE_HIT, (uint64_t) i);
    }
}


static void
assert_counted(s3c_stats_t *stats, uint64_t writers)
{
    char             name[32];
    uint8_t          buf[S3C_STATS_BUCKET_NAME];
    uint32_t         n_names = 0;
    uint64_t         sum = 0, rounds = ROUNDS;
    s3c_hist_sums_t  sums;

    assert_int_equal(s3c_stats_sum(stats, S3C_STAT_REQ_HIT),
                     writers * rounds);
    s3c_stats_hist_sum(stats, S3C_HIST_FIRST_BYTE_HIT, &sums);
    assert_int_equal(sums.count, writers * rounds);
    assert_int_equal(sums.sum_usec, writers * (rounds * (rounds - 1) / 2));

    for (uint32_t i = 1; i < S3C_STATS_BUCKETS_MAX; i++) {
        n_names += s3c_stats_bucket_name(stats, i, buf).len > 0;
    }

    assert_int_equal(n_names, N_NAMES);

    for (int i = 0; i < N_NAMES; i++) {
        snprintf(name, sizeof(name), "bucket-%d", i);
        sum += s3c_stats_bucket_sum(stats, s3c_stats_bucket(stats, str(name)),
                                    S3C_BSTAT_HITS);
    }

    assert_int_equal(sum, writers * rounds);
    assert_int_equal(s3c_stats_bucket_sum(stats, 0, S3C_BSTAT_HITS), 0);
}


static void
processes_that_count_at_once_lose_nothing(void **state)
{
    int              status;
    pid_t            pid[SLOTS - 1];
    s3c_stats_t      stats;
    s3c_stats_sh_t  *sh = make();

    (void) state;

    for (uint32_t i = 0; i < SLOTS - 1; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);

        if (pid[i] == 0) {
            if (s3c_stats_attach(&stats, sh, SLOTS, i) != S3C_OK) {
                _exit(1);
            }

            count_along(&stats);
            _exit(0);
        }
    }

    for (uint32_t i = 0; i < SLOTS - 1; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }

    stats = attach(sh, SLOTS - 1);
    assert_counted(&stats, SLOTS - 1);
    drop(sh);
}


static void *
thread_run(void *arg)
{
    count_along(arg);

    return NULL;
}


static void
threads_that_count_at_once_lose_nothing(void **state)
{
    pthread_t        thread[SLOTS];
    s3c_stats_t      stats[SLOTS];
    s3c_stats_sh_t  *sh = make();

    (void) state;

    for (uint32_t i = 0; i < SLOTS; i++) {
        stats[i] = attach(sh, i);
        assert_int_equal(pthread_create(&thread[i], NULL, thread_run,
                                        &stats[i]), 0);
    }

    for (uint32_t i = 0; i < SLOTS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }

    assert_counted(&stats[0], SLOTS);
    drop(sh);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_fresh_block_reads_as_zero),
        cmocka_unit_test(a_sum_is_over_all_slots),
        cmocka_unit_test(the_next_owner_of_a_slot_counts_on),
        cmocka_unit_test(a_handle_without_a_slot_reads_and_counts_nothing),
        cmocka_unit_test(attach_refuses_what_this_layout_did_not_format),
        cmocka_unit_test(a_slot_is_modest_and_shares_no_cache_line),
        cmocka_unit_test(a_bucket_keeps_its_number_in_every_worker),
        cmocka_unit_test(a_full_table_counts_new_names_as_other),
        cmocka_unit_test(names_that_are_no_labels_count_as_other),
        cmocka_unit_test(a_long_name_is_cut_at_a_whole_character),
        cmocka_unit_test(a_name_left_busy_by_a_dead_worker_is_completed),
        cmocka_unit_test(a_busy_name_blocks_no_other_name),
        cmocka_unit_test(processes_that_count_at_once_lose_nothing),
        cmocka_unit_test(threads_that_count_at_once_lose_nothing)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

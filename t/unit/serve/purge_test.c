/* SPDX-License-Identifier: Apache-2.0
 *
 * Purged prefixes and origins: which objects they change, that a purge that is
 * over is seen by all who begin after it, and that it does not matter where a
 * writer dies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "serve/purge.h"

#define B  7u              /* names of buckets; they share no place */
#define C  8u

static s3c_fence_sh_t  *f;


static int
make(void **state)
{
    (void) state;

    f = mmap(NULL, s3c_fence_bytes(), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f != MAP_FAILED);
    assert_int_equal(s3c_fence_format(f), S3C_OK);

    return 0;
}


static int
unmake(void **state)
{
    (void) state;

    return munmap(f, s3c_fence_bytes());
}


static s3c_slice_t
text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


static uint64_t
number(uint64_t bucket, const char *key)
{
    return s3c_purge_number(f, bucket, text(key));
}


/* As the keys of the cache are made: rules first, then generations. */
static uint64_t
identity(uint64_t bucket, s3c_slice_t key)
{
    uint64_t  in[2];

    in[0] = s3c_purge_number(f, bucket, key);
    in[1] = s3c_fence_bucket_generation(f, bucket);

    return s3c_hash64(in, sizeof(in));
}


static void
purge(uint64_t bucket, const char *prefix)
{
    assert_int_equal(s3c_purge_prefix(f, bucket, text(prefix)), S3C_OK);
}


static void
a_prefix_changes_what_begins_with_it_and_nothing_else(void **state)
{
    static const char *const  in[] = { "a/b", "a/bc", "a/b/c", "a/b\xff" };
    static const char *const  out[] = { "a/", "a", "", "a/B", "xa/b",
                                        "a/\xff" };

    (void) state;
    assert_false(s3c_fence_moved(f));
    purge(B, "a/b");
    assert_true(s3c_fence_moved(f));

    for (unsigned i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        assert_int_not_equal(number(B, in[i]), 0);
        assert_int_equal(number(C, in[i]), 0);
    }

    for (unsigned i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
        assert_int_equal(number(B, out[i]), 0);
    }

    assert_int_equal(s3c_fence_bucket_generation(f, B), 0);
}


static void
prefixes_of_any_length_and_any_bytes(void **state)
{
    char       key[S3C_PURGE_PREFIX_MAX + 8];
    size_t     len;
    s3c_slice_t  k = s3c_slice(key, sizeof(key));

    (void) state;

    for (len = 1; len <= S3C_PURGE_PREFIX_MAX;
         len += len < 40 || len > 1000 ? 1 : 97)
    {
        memset(key, 0, sizeof(key));
        memset(key, (int) (len * 7 % 256), len);
        key[len - 1] = 'x';
        assert_int_equal(s3c_purge_prefix(f, B, s3c_slice(key, len)), S3C_OK);
        assert_int_not_equal(s3c_purge_number(f, B, k), 0);
        assert_int_not_equal(s3c_purge_number(f, B, s3c_slice(key, len)), 0);
        key[len - 1] = 'y';
        assert_int_equal(s3c_purge_number(f, B, k), 0);
    }

    assert_int_equal(s3c_fence_bucket_generation(f, B), 0);

    /* no key is as long as that */
    assert_int_equal(s3c_purge_prefix(f, B, s3c_slice(key, sizeof(key))),
                     S3C_FULL);
    assert_int_equal(s3c_fence_bucket_generation(f, B), 1);
}


static void
an_empty_prefix_is_in_every_key(void **state)
{
    (void) state;
    purge(B, "");
    assert_int_not_equal(number(B, ""), 0);
    assert_int_not_equal(number(B, "k"), 0);
    assert_int_equal(number(C, "k"), 0);
}


static void
each_purge_gives_a_number_that_was_never_there(void **state)
{
    uint64_t  seen[600];
    unsigned  n = 0;

    (void) state;
    seen[n++] = number(B, "a/b/c");

    for (unsigned i = 0; i < 500; i++) {
        purge(B, i % 3 == 0 ? "a" : i % 3 == 1 ? "a/b/" : "a/b/c");
        seen[n] = number(B, "a/b/c");

        for (unsigned k = 0; k < n; k++) {
            assert_int_not_equal(seen[k], seen[n]);
        }

        n++;
    }

    /* a prefix that comes again takes no more room */
    assert_int_equal(s3c_fence_bucket_generation(f, B), 0);
}


static void
where_it_begins_is_where_the_operator_says(void **state)
{
    uint64_t  in[2] = { 0, 1000001 };

    (void) state;
    s3c_purge_begin(f, 1000000);
    purge(B, "k");
    assert_int_equal(number(B, "k"), s3c_hash64(in, sizeof(in)));
    s3c_fence_bucket_drop(f, B);
    s3c_fence_bucket_drop(f, B);
    assert_int_equal(s3c_fence_bucket_generation(f, B), 1000002);
    s3c_purge_origin(f, 3);
    assert_int_equal(s3c_purge_origin_generation(f, 3), 1000001);
}


static void
a_page_of_a_list_goes_with_what_it_shows(void **state)
{
    uint64_t  was[4];
    size_t    i;

    static const char *const  pages[] = { "", "a/", "a/b/", "b/" };

    (void) state;

    for (i = 0; i < 4; i++) {
        was[i] = s3c_purge_number_below(f, B, text(pages[i]));
        assert_int_equal(was[i], 0);
    }

    purge(B, "a/b/c");
    assert_int_not_equal(s3c_purge_number_below(f, B, text("")), 0);
    assert_int_not_equal(s3c_purge_number_below(f, B, text("a/")), 0);
    assert_int_not_equal(s3c_purge_number_below(f, B, text("a/b/")), 0);
    assert_int_equal(s3c_purge_number_below(f, B, text("b/")), 0);
    assert_int_equal(s3c_purge_number_below(f, B, text("a/bx")), 0);
    assert_int_not_equal(s3c_purge_number_below(f, B, text("a/b/cd")), 0);
    assert_int_equal(s3c_purge_number_below(f, C, text("")), 0);
}


static void
a_full_table_drops_its_buckets_and_begins_anew(void **state)
{
    char        key[16];
    uint64_t    before[S3C_PURGE_RULES], other, none;

    (void) state;

    for (unsigned i = 0; i < S3C_PURGE_RULES; i++) {
        (void) snprintf(key, sizeof(key), "p%u/", i);
        purge(i % 2 ? B : C, key);
    }

    for (unsigned i = 0; i < S3C_PURGE_RULES; i++) {
        (void) snprintf(key, sizeof(key), "p%u/k", i);
        before[i] = identity(i % 2 ? B : C, text(key));
    }

    other = identity(B, text("never"));
    none = identity(9, text("p1/k"));

    purge(B, "p1/");                            /* a slot it has */
    assert_int_equal(s3c_fence_bucket_generation(f, B), 0);
    assert_int_equal(identity(B, text("never")), other);
    before[1] = identity(B, text("p1/k"));

    assert_int_equal(s3c_purge_prefix(f, 9, text("q/")), S3C_FULL);

    for (unsigned i = 0; i < S3C_PURGE_RULES; i++) {
        (void) snprintf(key, sizeof(key), "p%u/k", i);
        assert_int_not_equal(identity(i % 2 ? B : C, text(key)), before[i]);
        assert_int_equal(number(i % 2 ? B : C, key), 0);
    }

    assert_int_not_equal(identity(B, text("never")), other);
    assert_int_equal(identity(9, text("p1/k")), none);
    assert_int_not_equal(number(9, "q/1"), 0);

    /* and all places can be used again */
    for (unsigned i = 1; i < S3C_PURGE_RULES; i++) {
        (void) snprintf(key, sizeof(key), "p%u/", i);
        purge(B, key);
    }

    assert_int_equal(s3c_purge_prefix(f, B, text("last")), S3C_FULL);
}


static void
a_key_is_counted_for_itself(void **state)
{
    (void) state;
    assert_false(s3c_purge_keyed(f));
    s3c_purge_key(f, 5);
    assert_true(s3c_purge_keyed(f));
    assert_true(s3c_fence_moved(f));
    assert_int_equal(s3c_purge_key_generation(f, 5), 1);
    assert_int_equal(s3c_purge_key_generation(f, 5 + S3C_PURGE_KEYS), 1);
    assert_int_equal(s3c_purge_key_generation(f, 6), 0);
    assert_int_equal(s3c_purge_origin_generation(f, 5), 0);
}


static void
an_origin_is_counted_for_itself(void **state)
{
    (void) state;
    assert_int_equal(s3c_purge_origin_generation(f, 5), 0);
    s3c_purge_origin(f, 5);
    assert_true(s3c_fence_moved(f));
    s3c_purge_origin(f, 5);
    assert_int_equal(s3c_purge_origin_generation(f, 5), 2);
    assert_int_equal(s3c_purge_origin_generation(f, 6), 0);
    assert_int_equal(s3c_purge_origin_generation(f, 5 + S3C_PURGE_ORIGINS), 2);
}


static unsigned
marks(void)
{
    unsigned  n = 0;

    for (uint32_t i = 0; i < S3C_PURGE_PLACES; i++) {
        n += s3c_purge_is_marked(f, i);
    }

    return n;
}


static void
flash_is_told_of_what_was_dropped(void **state)
{
    uint32_t  origin = s3c_purge_origin_place(5);

    (void) state;
    assert_int_equal(marks(), 0);
    purge(B, "a");
    assert_true(s3c_purge_is_marked(f, s3c_purge_bucket_place(B)));
    assert_int_equal(marks(), 1);
    s3c_fence_bucket_drop(f, C);
    assert_true(s3c_purge_is_marked(f, s3c_purge_bucket_place(C)));
    s3c_purge_origin(f, 5);
    assert_true(s3c_purge_is_marked(f, origin));
    assert_int_equal(marks(), 3);
    s3c_purge_key(f, S3C_PURGE_KEYS - 1);
    assert_true(s3c_purge_is_marked(f, S3C_PURGE_PLACES - 1));
    assert_int_equal(s3c_purge_key_place(S3C_PURGE_KEYS - 1),
                     S3C_PURGE_PLACES - 1);
    assert_int_equal(marks(), 4);

    /* after a start */
    s3c_purge_forget(f, origin, 1000);
    assert_int_equal(s3c_purge_origin_generation(f, 5), 1001);
    s3c_purge_forget(f, s3c_purge_bucket_place(9), 1000);
    assert_int_equal(s3c_fence_bucket_generation(f, 9), 1000);
    s3c_purge_forget(f, s3c_purge_key_place(3), 1000);
    assert_int_equal(s3c_purge_key_generation(f, 3), 1000);
    assert_int_equal(marks(), 6);
}

static void
marks_are_looked_at_in_turns(void **state)
{
    uint32_t  place, n, keys, others;

    (void) state;
    place = 0;
    assert_false(s3c_purge_next_mark(f, 0, &place));

    for (n = 0; n < 100; n++) {
        s3c_purge_key(f, n * 7);
        s3c_purge_origin(f, n);
        s3c_fence_bucket_drop(f, n);
    }

    keys = others = 0;

    for (n = 0; n < S3C_PURGE_TURNS; n++) {
        place = 0;

        while (s3c_purge_next_mark(f, n + 5 * S3C_PURGE_TURNS, &place)) {
            assert_true(s3c_purge_is_marked(f, place - 1));

            if (place - 1 >= s3c_purge_key_place(0)) {
                keys++;

            } else {
                others++;
            }
        }
    }

    assert_int_equal(keys, 100);
    assert_int_equal(others, S3C_PURGE_TURNS * (100 + S3C_PURGE_ORIGINS));
}

/* --- at the same time ----------------------------------------------------- */

/* A purger of a bucket of his own makes known which identities his purges have
 * ended: nobody who begins later may see them. */

#define PURGERS  2
#define ROUNDS   60000

typedef struct {
    uint64_t          bucket;
    _Atomic uint64_t  over;               /* of before the last purge */
    _Atomic uint64_t  bare;               /* of when no rule was for it */
} purger_t;

static purger_t      purgers[PURGERS];
static atomic_bool   done;
static atomic_ulong  stale, reads;


static void *
run_purger(void *arg)
{
    purger_t     *me = arg;
    char          prefix[64];
    uint64_t      was, bare = 0;
    s3c_slice_t   key = S3C_SLICE("object");

    for (unsigned i = 0; i < ROUNDS; i++) {
        /* others fill the table */
        (void) snprintf(prefix, sizeof(prefix), i % 3 ? "other%u" : "obj", i);

        was = identity(me->bucket, key);

        if (s3c_purge_number(f, me->bucket, key) == 0) {
            bare = identity(me->bucket, key);
        }

        (void) s3c_purge_prefix(f, me->bucket, text(prefix));

        if (i % 3 == 0) {
            atomic_store(&me->over, was);
            atomic_store(&me->bare, bare);
        }
    }

    return NULL;
}


static void *
run_reader(void *arg)
{
    purger_t  *p;
    uint64_t   over, bare, id;

    for (unsigned i = (unsigned) (uintptr_t) arg; !atomic_load(&done); i++) {
        p = &purgers[i % PURGERS];
        over = atomic_load(&p->over);
        bare = atomic_load(&p->bare);
        id = identity(p->bucket, S3C_SLICE("object"));
        atomic_fetch_add(&reads, 1);

        if (id == over || id == bare) {
            atomic_fetch_add(&stale, 1);
        }
    }

    return NULL;
}


static void
who_begins_after_a_purge_sees_it(void **state)
{
    pthread_t  w[PURGERS], r[3];

    (void) state;
    atomic_store(&done, false);
    atomic_store(&stale, 0);

    for (unsigned i = 0; i < PURGERS; i++) {
        purgers[i].bucket = 100 + i;
        atomic_store(&purgers[i].over, 0);
        atomic_store(&purgers[i].bare, 0);
    }

    for (uintptr_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&r[i], NULL, run_reader, (void *) i),
                         0);
    }

    for (unsigned i = 0; i < PURGERS; i++) {
        assert_int_equal(pthread_create(&w[i], NULL, run_purger, &purgers[i]),
                         0);
    }

    for (unsigned i = 0; i < PURGERS; i++) {
        assert_int_equal(pthread_join(w[i], NULL), 0);
    }

    atomic_store(&done, true);

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(r[i], NULL), 0);
    }

    assert_int_equal(atomic_load(&stale), 0);
    assert_int_not_equal(atomic_load(&reads), 0);
    /* the table was full now and then */
    assert_int_not_equal(s3c_fence_bucket_generation(f, 100), 0);
}


/* Whoever is killed, at whatever line: what was purged before stays purged,
 * and those who come next can go on. */
static void
writers_that_are_killed_bring_nothing_back(void **state)
{
    pid_t      pid;
    char       key[32];
    uint64_t   before, after;

    (void) state;

    for (unsigned round = 0; round < 40; round++) {
        before = identity(B, S3C_SLICE("k/1"));
        assert_true(s3c_purge_prefix(f, B, S3C_SLICE("k/")) != S3C_BUSY);
        after = identity(B, S3C_SLICE("k/1"));
        assert_int_not_equal(before, after);

        pid = fork();

        if (pid == 0) {
            for (unsigned i = 0; /* until killed */ ; i++) {
                (void) snprintf(key, sizeof(key), "%u/%u", round, i);
                (void) s3c_purge_prefix(f, i % 2 ? B : C, text(key));
                s3c_purge_origin(f, 1);
            }
        }

        assert_true(pid > 0);

        for (unsigned i = 0; i < 300; i++) {
            assert_int_not_equal(identity(B, S3C_SLICE("k/1")), before);
        }

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);

        assert_int_not_equal(identity(B, S3C_SLICE("k/1")), before);
        (void) snprintf(key, sizeof(key), "last%u", round);
        before = identity(B, text(key));
        (void) s3c_purge_prefix(f, B, text(key));
        assert_int_not_equal(identity(B, text(key)), before);
    }
}


#define test(name)  cmocka_unit_test_setup_teardown(name, make, unmake)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(a_prefix_changes_what_begins_with_it_and_nothing_else),
        test(prefixes_of_any_length_and_any_bytes),
        test(an_empty_prefix_is_in_every_key),
        test(each_purge_gives_a_number_that_was_never_there),
        test(where_it_begins_is_where_the_operator_says),
        test(a_page_of_a_list_goes_with_what_it_shows),
        test(a_full_table_drops_its_buckets_and_begins_anew),
        test(a_key_is_counted_for_itself),
        test(an_origin_is_counted_for_itself),
        test(flash_is_told_of_what_was_dropped),
        test(marks_are_looked_at_in_turns),
        test(who_begins_after_a_purge_sees_it),
        test(writers_that_are_killed_bring_nothing_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

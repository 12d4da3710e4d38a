/* SPDX-License-Identifier: Apache-2.0
 *
 * A writer may die at any instruction. Two proofs by trial:
 *
 * STEPS  a traced child runs one operation instruction by instruction; each
 *        time it has changed what heal believes in, the region, as a kill at
 *        this instruction would leave it, is copied and healed, and the copy
 *        must be whole. No hooks in the code that is tested.
 * KILLS  children write at random and are killed by SIGKILL after so many
 *        operations; who comes next heals, and all that is there is intact.
 */
#include "ram_test.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define KEYS       160
#define KILLS      40u
#define STEPS_MAX  4000000

typedef struct {
    volatile uint64_t  n_ops;
} shared_t;


static void
wake_nobody(void *ctx, uint32_t slot)
{
    (void) ctx;
    (void) slot;
}


/* Every live object holds what its fill wrote. The payload begins with the
 * key's number. Answers how many are live. */
static uint32_t
payloads_check(s3c_ram_t *ram)
{
    uint32_t                   i, n = 0;
    uint64_t                   word;
    s3c_ram_pin_t              pin;
    const s3c_ram_entry_sh_t  *e;

    for (i = 1; i < ram->s->pages_used * S3C_RAM_PAGE_ENTRIES; i++) {
        e = s3c_ram_entry_at(ram, i);

        if (e == NULL || e->state != S3C_RAM_LIVE) {
            continue;
        }

        pin = (s3c_ram_pin_t) { i, 0 };
        memcpy(&word, s3c_ram_head(ram, &pin), 8);
        assert_true(s3c_hash128_eq(key_of(word),
                        (s3c_hash128_t) { e->key_lo, e->key_hi }));
        assert_true(payload_is(ram, &pin, word));
        n++;
    }

    return n;
}


/* --- steps ------------------------------------------------------------- */

typedef void (*op_pt)(s3c_ram_t *ram, uint64_t *next);

static s3c_ram_pin_t  op_pin;


static void
op_begin(s3c_ram_t *ram, uint64_t *next)
{
    ignore(s3c_ram_fill_begin(ram, key_of((*next)++), 6000, &op_pin));
}


static void
op_alloc(s3c_ram_t *ram, uint64_t *next)
{
    (void) next;
    ignore(s3c_ram_fill_alloc(ram, &op_pin, 45000, 600, 6000));
}


static void
op_alloc_large(s3c_ram_t *ram, uint64_t *next)
{
    (void) next;
    ignore(s3c_ram_fill_alloc(ram, &op_pin, 130900, 600, 6000));
}


static void
op_commit(s3c_ram_t *ram, uint64_t *next)
{
    (void) next;
    (void) s3c_ram_fill_commit(ram, &op_pin, 6004);
    s3c_ram_unpin(ram, &op_pin);
}


static void
op_fail(s3c_ram_t *ram, uint64_t *next)
{
    (void) next;
    s3c_ram_fill_fail(ram, &op_pin, 5);
    s3c_ram_unpin(ram, &op_pin);
}


static void
op_drop(s3c_ram_t *ram, uint64_t *next)
{
    (void) s3c_ram_drop(ram, key_of(*next - 2));
}


static void
op_sweep(s3c_ram_t *ram, uint64_t *next)
{
    (void) next;
    (void) s3c_ram_sweep(ram, 6008);
}


static void
op_audit(s3c_ram_t *ram, uint64_t *next)
{
    const char  *what;

    (void) next;
    ignore(s3c_ram_audit(ram, &what));
}


/* The payload is written by the child itself, untraced. */
static void
op_write(s3c_ram_t *ram, uint64_t *next)
{
    payload_put(ram, &op_pin, *next - 1);
    s3c_ram_fill_publish(ram, &op_pin, s3c_ram_size(ram, &op_pin));
}

static const struct {
    const char  *name;
    op_pt        run;
    int          traced;                 /* under so many policies */
} ops[] = {
    { "begin", op_begin, 2 },
    { "alloc", op_alloc, 2 },
    { "write", op_write, 0 },
    { "commit", op_commit, 2 },
    { "begin", op_begin, 0 },
    { "alloc of many extents", op_alloc_large, 1 },
    { "write", op_write, 0 },
    { "commit", op_commit, 0 },
    { "begin", op_begin, 0 },
    { "alloc", op_alloc, 0 },
    { "drop", op_drop, 2 },
    { "fail", op_fail, 1 },
    { "sweep", op_sweep, 1 },
    { "audit", op_audit, 0 },
};


static void
child_run(zone_t *z, uint64_t next)
{
    s3c_ram_t  *ram;

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0
        || s3c_ram_join(&ram, z->region, z->bytes, wake_nobody, NULL, 1)
           != S3C_OK)
    {
        _exit(9);
    }

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        raise(SIGSTOP);
        ops[i].run(ram, &next);
    }

    raise(SIGSTOP);
    _exit(0);
}


/* What heal believes in, and no more: a sum of it. */
static uint64_t
truth_sum(s3c_ram_t *ram)
{
    uint32_t  i;
    uint64_t  sum;

    sum = s3c_hash64(ram->at.base, ram->c.arena_off);

    for (i = 0; i < ram->s->pages_used; i++) {
        if (ram->at.pages[i] != 0) {
            sum += s3c_hash64(s3c_ram_unit_at(ram, ram->at.pages[i] - 1), 4096)
                   * (i + 3);
        }
    }

    return sum;
}


/* A kill here: is the copy whole again after a heal? */
static void
copy_check(zone_t *z, void *copy, uint32_t live_least)
{
    s3c_ram_t            ram;
    const char          *what = NULL;
    s3c_ram_head_sh_t   *head = copy;

    memcpy(copy, z->region, z->bytes);
    assert_int_equal(s3c_robust_lock_init(&head->lock), S3C_OK);
    s3c_ram_bind(&ram, copy);
    ram.wake = wake_nobody;

    assert_int_equal(s3c_ram_lock(&ram), S3C_OK);
    s3c_ram_heal_locked(&ram, false);
    s3c_ram_unlock(&ram);

    if (s3c_ram_audit(&ram, &what) != S3C_OK) {
        fail_msg("after a heal: %s", what);
    }

    assert_in_range(payloads_check(&ram), live_least, KEYS);
}


/* Traces one operation to its end; answers the instructions. */
static uint64_t
op_trace(zone_t *z, pid_t pid, void *copy, uint64_t *n_heals, uint32_t least)
{
    int        status;
    uint64_t   n, sum, last;

    last = truth_sum(z->ram);

    for (n = 0; n < STEPS_MAX; n++) {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));

        if (WSTOPSIG(status) == SIGSTOP) {
            return n;
        }

        assert_int_equal(WSTOPSIG(status), SIGTRAP);
        sum = truth_sum(z->ram);

        if (sum != last) {
            copy_check(z, copy, least);
            (*n_heals)++;
            last = sum;
        }
    }

    fail_msg("an operation without end");

    return 0;
}


static void
killed_at_any_instruction(void **state)
{
    int       status;
    void     *copy;
    pid_t     pid;
    zone_t    z;
    size_t    i;
    uint64_t  key, rng = 7, steps = 0, heals = 0;

    (void) state;
    zone_open(&z, S3C_RAM_S3FIFO, 4 * MIB);
    s3c_ram_leave(z.ram);

    for (int policy = 0; policy < 2; policy++) {
        z.conf.policy = policy;
        z.conf.n_slots = 3;
        z.conf.n_fills = 8;
        assert_int_equal(s3c_ram_format(z.region, z.bytes, &z.conf), S3C_OK);
        assert_int_equal(s3c_ram_join(&z.ram, z.region, z.bytes, wake_nobody,
                                      NULL, 1), S3C_OK);

        for (key = 1; key < 400; key++) {
            assert_int_equal(object_put(z.ram, key,
                                        20000 + rng_next(&rng) % 40000,
                                        1000 + key * 4, true), S3C_OK);
        }

        copy = region_map(z.bytes);
        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            child_run(&z, key);
        }

        assert_int_equal(waitpid(pid, &status, 0), pid);

        if (!WIFSTOPPED(status)) {
            print_message("ptrace is not to be had here\n");
            munmap(copy, z.bytes);
            zone_close(&z);
            skip();
        }

        for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
            uint32_t  live = (uint32_t) z.ram->s->n_entries;

            if (ops[i].traced > policy) {
                /* An allocation may evict some, nothing else does. */
                steps += op_trace(&z, pid, copy, &heals,
                                  live - (ops[i].run == op_alloc_large ? 20
                                          : ops[i].run == op_alloc ? 8 : 1));
                continue;
            }

            assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        }

        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);

        assert_int_equal(s3c_ram_sweep(z.ram, 3000000), 1);
        zone_audit(&z);
        s3c_ram_leave(z.ram);
        z.ram = NULL;
        munmap(copy, z.bytes);
    }

    print_message("%llu instructions, %llu heals\n",
                  (unsigned long long) steps, (unsigned long long) heals);
    assert_true(heals > 200);
    zone_close(&z);
}


/* --- kills ------------------------------------------------------------- */

static uint64_t
now_of(const shared_t *sh)
{
    return 1000000 + sh->n_ops * 64;
}


static void
mutate_forever(zone_t *z, shared_t *sh, uint64_t rng)
{
    s3c_ram_t      *ram;
    uint64_t        n, r;
    s3c_ram_pin_t   pin, held[4] = { { 0, 0 } };

    if (s3c_ram_join(&ram, z->region, z->bytes, wake_nobody, NULL, 1)
        != S3C_OK)
    {
        _exit(9);
    }

    for ( ;; sh->n_ops++) {
        r = rng_next(&rng);
        n = r % KEYS;

        if (r >> 56 == 0) {              /* so that healers die, too */
            ignore(s3c_ram_lock(ram));
            s3c_ram_heal_locked(ram, false);
            s3c_ram_unlock(ram);
        }

        switch (r >> 32 & 7) {
        case 0:
            (void) s3c_ram_drop(ram, key_of(n));
            break;

        case 1:
            (void) s3c_ram_sweep(ram, now_of(sh));
            break;

        case 2:                          /* hold one for a while */
            s3c_ram_unpin(ram, &held[r >> 40 & 3]);
            ignore(s3c_ram_find(ram, key_of(n), now_of(sh),
                                &held[r >> 40 & 3]));
            break;

        case 3:                          /* dropped while it fills */
            if (s3c_ram_fill_begin(ram, key_of(n), now_of(sh), &pin)
                == S3C_OK
                && s3c_ram_fill_alloc(ram, &pin, 9000, 100, now_of(sh))
                   == S3C_OK)
            {
                (void) s3c_ram_drop(ram, key_of(n));
                payload_put(ram, &pin, n);
                (void) s3c_ram_fill_commit(ram, &pin, now_of(sh));

            } else if (s3c_ram_pinned(&pin)) {
                s3c_ram_fill_fail(ram, &pin, 3);
            }

            s3c_ram_unpin(ram, &pin);
            break;

        default:
            (void) object_put(ram, n, 16 + (uint32_t) (r >> 12) % 90000,
                              now_of(sh), true);
            break;
        }
    }
}


static void
killed_again_and_again(void **state)
{
    int              status;
    pid_t            pid;
    uint32_t         round;
    zone_t           z;
    shared_t        *sh = region_map(4096);
    uint64_t         rng = 99, stop, n_dead;
    s3c_ram_pin_t    pin;
    s3c_ram_usage_t  u;

    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        zone_open(&z, policy, 4 * MIB);
        sh->n_ops = 0;
        n_dead = 0;

        for (round = 0; round < KILLS; round++) {
            stop = sh->n_ops + rng_next(&rng) % 150;
            pid = fork();
            assert_true(pid >= 0);

            if (pid == 0) {
                mutate_forever(&z, sh, rng_next(&rng));
            }

            while (sh->n_ops < stop && waitpid(pid, &status, WNOHANG) == 0) {
                /* the time comes from the child's work, not from a clock */
                ignore(s3c_ram_find(z.ram, key_of(stop % KEYS), 1, &pin));
                s3c_ram_unpin(z.ram, &pin);
                sched_yield();
            }

            assert_int_equal(kill(pid, SIGKILL), 0);
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFSIGNALED(status));

            n_dead += s3c_ram_sweep(z.ram, now_of(sh));
            zone_audit(&z);
            (void) payloads_check(z.ram);
            assert_int_equal(object_put(z.ram, KEYS + round, 3000,
                                        now_of(sh), true), S3C_OK);
            (void) rng_next(&rng);
        }

        s3c_ram_usage(z.ram, &u);
        print_message("%llu operations, %llu heals in %u kills\n",
                      (unsigned long long) sh->n_ops,
                      (unsigned long long) u.n_heal, KILLS);
        assert_int_equal(u.n_dead_worker, n_dead);
        assert_in_range(n_dead, 1, KILLS);   /* some died before they sat */
        assert_int_equal(u.pins, 0);
        assert_int_equal(u.fills, 0);

        /* When their time is over, what the dead left is free. */
        (void) s3c_ram_sweep(z.ram, now_of(sh) + S3C_RAM_AGE_MS + 8);
        s3c_ram_usage(z.ram, &u);
        assert_int_equal(u.limbo, 0);
        zone_close(&z);
    }

    munmap(sh, 4096);
}


static void
order_of_age_survives_a_heal(void **state)
{
    zone_t  z;

    (void) state;

    for (int policy = 0; policy < 2; policy++) {
        zone_open(&z, policy, 4 * MIB);

        for (uint64_t i = 0; i < 300; i++) {
            z.now_ms += 400;
            assert_int_equal(object_put(z.ram, i, 4000, z.now_ms, true),
                             S3C_OK);
        }

        assert_int_equal(s3c_ram_lock(z.ram), S3C_OK);
        s3c_ram_heal_locked(z.ram, false);
        s3c_ram_unlock(z.ram);
        assert_int_equal(payloads_check(z.ram), 300);
        zone_audit(&z);

        for (uint64_t i = 300; i < 1000; i++) {
            z.now_ms += 400;
            assert_int_equal(object_put(z.ram, i, 4000, z.now_ms, true),
                             S3C_OK);

            if (z.ram->s->n_evict > 0 && z.ram->s->n_evict < 250) {
                assert_false(object_there(z.ram, z.ram->s->n_evict - 1));
                assert_true(object_there(z.ram, z.ram->s->n_evict));
            }
        }

        zone_close(&z);
    }
}


/* All but head and locks is noise. */
static void
noise_is_survived(void **state)
{
    zone_t           z;
    uint64_t         rng = 5, *p;
    uint32_t         fills[64];
    const char      *what;
    s3c_ram_pin_t    pin;
    s3c_ram_usage_t  u;
    s3c_fill_view_t  v;
    struct iovec     iov[8];
    int              n_iov;

    (void) state;

    for (int round = 0; round < 24; round++) {
        zone_open(&z, round % 2, 4 * MIB);

        for (uint64_t i = 0; i < 50; i++) {
            assert_int_equal(object_put(z.ram, i, 4000, 1, false), S3C_OK);
        }

        /* From the slots on; or one part only. */
        uint64_t  parts[] = {
            z.ram->c.slots_off, z.ram->c.fills_off, z.ram->c.lists_off,
            z.ram->c.heads_off, z.ram->c.ghost_off, z.ram->c.pages_off,
            z.ram->c.map_off, z.ram->c.arena_off, z.bytes
        };
        int       part = round / 2 % 9;

        p = (uint64_t *) (z.ram->at.base + parts[part == 8 ? 0 : part]);

        for (; (uint8_t *) p < (uint8_t *) z.region
                               + parts[part == 8 ? 8 : part + 1]; p++)
        {
            *p = round < 18 ? rng_next(&rng) : rng_next(&rng) & rng_next(&rng)
                              & rng_next(&rng) & 0x000000070000001full;
        }

        for (uint32_t i = 0; i < 3000; i++) {
            if (s3c_ram_find(z.ram, key_of(i % 60), 1, &pin) == S3C_OK) {
                n_iov = 8;
                (void) s3c_ram_span(z.ram, &pin, 0, 4000, iov, &n_iov);
                (void) s3c_ram_head(z.ram, &pin);
                s3c_ram_view(z.ram, &pin, &v);
                (void) s3c_ram_watch(z.ram, &pin);
            }

            s3c_ram_unpin(z.ram, &pin);

            if (i == 2) {
                ignore(s3c_ram_audit(z.ram, &what));
                (void) s3c_ram_woken(z.ram, fills, 64);
                (void) s3c_ram_drop(z.ram, key_of(3));
                (void) s3c_ram_sweep(z.ram, 10);
                s3c_ram_usage(z.ram, &u);
            }

            if (i > 2) {
                (void) object_put(z.ram, i, 1000 + i, 1 + i, false);
            }
        }

        /* A cache again, whatever it was. */
        s3c_ram_drop_all(z.ram);
        assert_int_equal(object_put(z.ram, 1, 5000, 10000000, true), S3C_OK);
        assert_true(object_there(z.ram, 1));

        if (z.ram->s->n_heal > 0) {
            zone_audit(&z);
        }

        s3c_ram_leave(z.ram);
        munmap(z.region, z.bytes);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(order_of_age_survives_a_heal),
        cmocka_unit_test(noise_is_survived),
        cmocka_unit_test(killed_again_and_again),
        cmocka_unit_test(killed_at_any_instruction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

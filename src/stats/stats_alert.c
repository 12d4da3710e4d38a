/* SPDX-License-Identifier: Apache-2.0
 *
 * When an alert is raised and cleared, and where that is kept. What is measured
 * is in stats_alert_measure.c.
 */
#include "stats/stats_alert.h"

#include <assert.h>

#include "base/hash.h"

#define ALERT_MAGIC    0x7472656c61633373ull    /* "s3calert" */
#define ALERT_VERSION  1
#define ALERT_WORDS    (sizeof(s3c_alert_state_t) / 8)
#define ALERT_STEP_MS  1000u                    /* as often as there are
                                                   samples */
#define ALERT_TRIES    8

typedef struct {
    _Atomic uint64_t  check;                    /* hash of the words */
    _Atomic uint64_t  word[ALERT_WORDS];
} alert_copy_sh_t;

struct s3c_alert_sh_s {
    uint64_t          magic;
    uint64_t          version;
    _Atomic uint64_t  due_ms;                   /* 0: at once */
    _Atomic uint64_t  turn;                     /* 0: none yet; else the copy
                                                   of turn % 2 holds */
    alert_copy_sh_t   copy[2];
};

static_assert(sizeof(s3c_alert_state_t) % 8 == 0, "of whole words");

static const uint64_t  alert_well[S3C_ALERT_N] = {
#define X(word, name, severity, threshold, well)  well,
    S3C_ALERTS(X)
#undef X
};


void
s3c_alert_conf_init(s3c_alert_conf_t *conf)
{
    static const uint64_t  thresholds[S3C_ALERT_N] = {
#define X(word, name, severity, threshold, well)  threshold,
        S3C_ALERTS(X)
#undef X
    };

    conf->window_ms = S3C_ALERT_WINDOW_MS;
    memcpy(conf->threshold, thresholds, sizeof(thresholds));
}


/* --- judging --------------------------------------------------------------- */

/* What nobody can tell is no reason to raise it, and in the long run one to
 * clear it: what is not asked for does not fail. */
static void
alert_count(s3c_alert_t *a, const s3c_alert_measure_t *m, uint64_t threshold,
    uint64_t well)
{
    if (!m->known) {
        if (++a->good >= S3C_ALERT_CLEAR) {
            a->bad = 0;
        }

        return;
    }

    a->last = *m;

    if (m->value >= threshold) {
        a->bad++;
        a->good = 0;

    } else if (m->value < well + (threshold - well + 1) / 2) {
        a->good++;
        a->bad = 0;

    } else {
        a->good = 0;
        a->bad = 0;
    }
}


static s3c_alert_turn_t
alert_turn(s3c_alert_t *a, uint64_t now_ms)
{
    if (a->since_ms == 0 && a->bad >= S3C_ALERT_RAISE) {
        a->since_ms = now_ms;
        return S3C_ALERT_RAISED;
    }

    if (a->since_ms != 0 && a->good >= S3C_ALERT_CLEAR) {
        a->lasted_ms = now_ms > a->since_ms ? now_ms - a->since_ms : 0;
        a->since_ms = 0;
        return S3C_ALERT_CLEARED;
    }

    return S3C_ALERT_STAYS;
}


void
s3c_alert_judge(s3c_alert_state_t *state, const s3c_alert_conf_t *conf,
    const s3c_alert_seen_t *seen, s3c_alert_turn_t turn[S3C_ALERT_N])
{
    s3c_alert_measure_t  m;

    if (seen->n_unready == 0) {
        state->unready_ms = 0;

    } else if (state->unready_ms == 0) {
        state->unready_ms = seen->now_ms;
    }

    for (int i = 0; i < S3C_ALERT_N; i++) {
        s3c_alert_t  *a = &state->of[i];

        turn[i] = S3C_ALERT_STAYS;

        if (conf->threshold[i] == 0) {
            memset(a, 0, sizeof(*a));
            continue;
        }

        s3c_alert_measure((s3c_alert_which_t) i, seen, state->unready_ms, &m);
        alert_count(a, &m, conf->threshold[i], alert_well[i]);
        turn[i] = alert_turn(a, seen->now_ms);
    }
}


/* --- in shared memory ---------------------------------------------------- */

size_t
s3c_alert_bytes(void)
{
    return sizeof(s3c_alert_sh_t);
}


void
s3c_alert_format(void *mem)
{
    s3c_alert_sh_t  *sh = mem;

    sh->magic = ALERT_MAGIC;
    sh->version = ALERT_VERSION;
}


s3c_alert_sh_t *
s3c_alert_attach(void *mem)
{
    s3c_alert_sh_t  *sh = mem;

    return sh != NULL && sh->magic == ALERT_MAGIC
           && sh->version == ALERT_VERSION ? sh : NULL;
}


/* A time further off than a step was written with another window, or by nobody
 * who is sane. */
uint64_t
s3c_alert_claim(s3c_alert_sh_t *sh, uint64_t window_ms, uint64_t now_ms)
{
    uint64_t  step = window_ms / S3C_ALERT_STEPS;
    uint64_t  due = atomic_load_explicit(&sh->due_ms, memory_order_relaxed);
    uint64_t  next;

    if (step < ALERT_STEP_MS) {
        step = ALERT_STEP_MS;
    }

    if (now_ms < due && due - now_ms <= step) {
        return 0;
    }

    next = now_ms + step;

    return atomic_compare_exchange_strong_explicit(&sh->due_ms, &due, next,
               memory_order_acq_rel, memory_order_relaxed) ? next : 0;
}


static bool
alert_get(const s3c_alert_sh_t *sh, uint64_t turn, s3c_alert_state_t *state)
{
    uint64_t                words[ALERT_WORDS], check;
    const alert_copy_sh_t  *copy = &sh->copy[turn % 2];

    check = atomic_load_explicit(&copy->check, memory_order_acquire);

    for (size_t i = 0; i < ALERT_WORDS; i++) {
        words[i] = atomic_load_explicit(&copy->word[i], memory_order_relaxed);
    }

    memcpy(state, words, sizeof(words));

    return check == s3c_hash64(words, sizeof(words));
}


void
s3c_alert_load(const s3c_alert_sh_t *sh, s3c_alert_state_t *state)
{
    for (int i = 0; i < ALERT_TRIES; i++) {
        uint64_t  turn = atomic_load_explicit(&sh->turn, memory_order_acquire);

        if (turn == 0) {
            break;
        }

        if (alert_get(sh, turn, state)) {
            return;
        }
    }

    memset(state, 0, sizeof(*state));
}


bool
s3c_alert_store(s3c_alert_sh_t *sh, uint64_t ticket,
    const s3c_alert_state_t *state)
{
    uint64_t          words[ALERT_WORDS];
    uint64_t          turn = atomic_load_explicit(&sh->turn,
                                                  memory_order_acquire);
    alert_copy_sh_t  *copy = &sh->copy[(turn + 1) % 2];

    if (atomic_load_explicit(&sh->due_ms, memory_order_acquire) != ticket) {
        return false;
    }

    memcpy(words, state, sizeof(words));

    for (size_t i = 0; i < ALERT_WORDS; i++) {
        atomic_store_explicit(&copy->word[i], words[i], memory_order_relaxed);
    }

    atomic_store_explicit(&copy->check, s3c_hash64(words, sizeof(words)),
                          memory_order_release);

    /* who has turned meanwhile has judged later */
    return atomic_compare_exchange_strong_explicit(&sh->turn, &turn, turn + 1,
               memory_order_acq_rel, memory_order_relaxed);
}

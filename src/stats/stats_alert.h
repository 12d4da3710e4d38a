/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator should look at: alerts of a zone, judged now and then by its
 * history and by how its stores and the other nodes are. Raised after several
 * judgements in a row that were bad, cleared after more of them that were good
 * by a distance, so none flickers. Pure: who judges hands in all that it needs.
 *
 * The state lies in shared memory, so it outlives reloads and the worker that
 * judged last. Zeros after s3c_alert_format() are a state without alerts.
 *
 * WRITERS  any worker: whoever finds a judgement due claims it by one compare
 *          and swap. It writes the copy that nobody reads and turns to it, so
 *          who dies meanwhile leaves the former state.
 * READERS  any process, without a lock. A copy has a check of its bytes.
 * TIME     milliseconds, monotonic, as in stats_history.h.
 */
#ifndef S3C_STATS_STATS_ALERT_H
#define S3C_STATS_STATS_ALERT_H

#include "stats/stats_history.h"

/* Word, name, severity, default threshold, and the value of a zone that is
 * well, both in thousandths. The value that is judged:
 *   HIT_RATIO       by which share the hit ratio is below the usual one
 *   ORIGIN_ERRORS   share of requests to the origin that failed
 *   ORIGIN_LATENCY  times the usual nine tenths of the origin's answers take
 *   PEER_DOWN       nodes that do not answer
 *   FLASH_FAILING   stores out of service, and errors of the window
 *   ZONE_SMALL      share of new entries that had been evicted a moment ago
 *   RECOVERY_SLOW   seconds for which a store has not been in service */
#define S3C_ALERTS(X)                                                          \
    X(HIT_RATIO, "hit_ratio", "warning", 300, 0)                               \
    X(ORIGIN_ERRORS, "origin_errors", "critical", 50, 0)                       \
    X(ORIGIN_LATENCY, "origin_latency", "warning", 4000, 1000)                 \
    X(PEER_DOWN, "peer_down", "warning", 1000, 0)                              \
    X(FLASH_FAILING, "flash_failing", "warning", 1000, 0)                      \
    X(ZONE_SMALL, "zone_small", "warning", 300, 0)                             \
    X(RECOVERY_SLOW, "recovery_slow", "warning", 600000, 0)

typedef enum {
#define X(word, name, severity, threshold, well)  S3C_ALERT_##word,
    S3C_ALERTS(X)
#undef X
    S3C_ALERT_N
} s3c_alert_which_t;

#define S3C_ALERT_RAISE          5u     /* bad judgements in a row */
#define S3C_ALERT_CLEAR          8u     /* good ones */
#define S3C_ALERT_STEPS          4u     /* judgements a window */
#define S3C_ALERT_WINDOW_MS      60000u
#define S3C_ALERT_WINDOW_MIN_MS  1000u
#define S3C_ALERT_WINDOW_MAX_MS  300000u
#define S3C_ALERT_USUAL_MS       3600000u
/* Less than this in a window says nothing. */
#define S3C_ALERT_READS_MIN      50u
#define S3C_ALERT_CALLS_MIN      10u
/* Of which nine tenths are faster, the origin is not slow. */
#define S3C_ALERT_FAST_USEC      100000u

#define S3C_ALERT_NUMBERS  4
#define S3C_ALERT_SUBJECT  63           /* bytes kept of a name */

typedef struct {
    uint64_t  window_ms;
    uint64_t  threshold[S3C_ALERT_N];   /* thousandths; 0: it is off */
} s3c_alert_conf_t;

/* What was measured: number and subject are what the text tells, see
 * stats_alert_view.c. */
typedef struct {
    uint64_t  value;                    /* thousandths */
    uint64_t  number[S3C_ALERT_NUMBERS];
    uint8_t   known;                    /* else the rest is nothing */
    uint8_t   subject_len;
    uint8_t   subject[S3C_ALERT_SUBJECT + 7];
} s3c_alert_measure_t;

typedef struct {
    uint64_t             since_ms;      /* when it was raised; 0: it is not */
    uint64_t             lasted_ms;     /* the last time that it was */
    uint64_t             bad;           /* judgements in a row */
    uint64_t             good;
    s3c_alert_measure_t  last;          /* the last that was known */
} s3c_alert_t;

typedef struct {
    uint64_t     unready_ms;            /* since when a store is not; or 0 */
    s3c_alert_t  of[S3C_ALERT_N];
} s3c_alert_state_t;

/* What is judged. Samples may be NULL: there is none. */
typedef struct {
    uint64_t                     now_ms;
    const s3c_history_sample_t  *is;      /* the last */
    const s3c_history_sample_t  *was;     /* a window before it */
    const s3c_history_sample_t  *usual;   /* an hour before that, or less */
    const s3c_history_sample_t  *lately;  /* the oldest of the seconds' */
    uint64_t                     arena_bytes;
    uint32_t                     n_stores;
    uint32_t                     n_failed;
    uint32_t                     n_unready;    /* recovering, waiting */
    uint64_t                     segments;     /* of these */
    uint64_t                     recovered;
    s3c_slice_t                  failed;       /* the first of those, of */
    s3c_slice_t                  unready;      /* these */
    uint32_t                     n_nodes;      /* others */
    uint32_t                     n_down;
    s3c_slice_t                  node;         /* the first that is down */
} s3c_alert_seen_t;

typedef enum {
    S3C_ALERT_STAYS = 0,
    S3C_ALERT_RAISED,
    S3C_ALERT_CLEARED
} s3c_alert_turn_t;

typedef struct s3c_alert_sh_s  s3c_alert_sh_t;


void s3c_alert_conf_init(s3c_alert_conf_t *conf);

/* One of it, of what was seen; `unready_ms` is that of the state. */
void s3c_alert_measure(s3c_alert_which_t which, const s3c_alert_seen_t *seen,
    uint64_t unready_ms, s3c_alert_measure_t *m);
/* All of them; what has become of each goes to `turn`. */
void s3c_alert_judge(s3c_alert_state_t *state, const s3c_alert_conf_t *conf,
    const s3c_alert_seen_t *seen, s3c_alert_turn_t turn[S3C_ALERT_N]);
/* Finds the samples, into four places of the caller's, and sets `now_ms`. */
void s3c_alert_look(s3c_alert_seen_t *seen, const s3c_history_sh_t *h,
    uint64_t window_ms, uint64_t now_ms, s3c_history_sample_t place[4]);

/* --- in shared memory ---------------------------------------------------- */

size_t s3c_alert_bytes(void);
/* `mem` is of zeros, aligned to 8. */
void s3c_alert_format(void *mem);
/* NULL: it is not this build's. */
s3c_alert_sh_t *s3c_alert_attach(void *mem);
/* Who is answered a ticket judges; 0: it is not due. */
uint64_t s3c_alert_claim(s3c_alert_sh_t *sh, uint64_t window_ms,
    uint64_t now_ms);
void s3c_alert_load(const s3c_alert_sh_t *sh, s3c_alert_state_t *state);
/* False: it took so long that another one has judged, nothing is stored. */
bool s3c_alert_store(s3c_alert_sh_t *sh, uint64_t ticket,
    const s3c_alert_state_t *state);

#endif

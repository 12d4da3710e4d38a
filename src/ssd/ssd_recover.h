/* SPDX-License-Identifier: Apache-2.0
 *
 * A recovery: its lanes (ssd_lane), each of which reads one segment at a time
 * and puts what it finds into the index, and their conductor (ssd_recover).
 * Nobody else includes it.
 */
#ifndef S3C_SSD_SSD_RECOVER_H
#define S3C_SSD_SSD_RECOVER_H

#include "ssd/ssd_keeper.h"

typedef enum {
    LANE_IDLE = 0, LANE_HEADER, LANE_TAIL, LANE_BODY, LANE_WINDOW,
    LANE_FOUND, LANE_APPLY
} s3c_ssd_lane_step_t;

typedef struct {                         /* one segment at a time */
    s3c_ssd_recover_t      *r;
    s3c_ssd_lane_step_t                  step;
    uint32_t                segment;     /* in the table of all */
    uint32_t                order;       /* in r->order */
    s3c_ssd_job_t          *tail;        /* of S3C_SSD_TAIL_BYTES */
    s3c_ssd_job_t          *body;        /* a long footer, or a window */
    bool                    begun;       /* the I/O of this step */
    uint32_t                tries;
    s3c_ssd_trailer_rec_t   trailer;
    s3c_ssd_scan_t          scan;
    s3c_ssd_footer_rec_t   *found;       /* by the scan */
    const uint8_t          *entries;
    uint32_t                n, i;        /* entries, of them applied */
    uint64_t                last_seq;
    bool                    sealed;
} s3c_ssd_lane_t;

typedef struct {
    uint64_t  seq;
    uint32_t  segment;
} s3c_ssd_order_t;

struct s3c_ssd_recover_s {
    s3c_ssd_t  *ssd;
    uint32_t    store;
    enum { HEADERS, RECORDS, SHOW, DONE } phase;
    uint32_t    next;                    /* segment, then place in order */
    uint32_t    n_order;
    uint32_t    turn;                    /* place in order that may apply */
    s3c_ssd_order_t  *order;             /* used segments by seq */
    bool       *sealed;                  /* by segment of the store */
    uint64_t    body_bytes;              /* memory of long footers */
    uint64_t    show_at;                 /* bucket */
    uint64_t    n_shown;
    uint64_t    until_usec, rest_usec;   /* of this turn; not before */
    uint32_t    n_turn;                  /* entries in this turn */
    bool        running;
    s3c_ssd_lane_t  lanes[S3C_SSD_RECOVER_DEPTH];
};


static inline s3c_ssd_store_sh_t *
s3c_ssd_recover_store(const s3c_ssd_recover_t *r)
{
    return &r->ssd->stores[r->store];
}


static inline uint64_t
s3c_ssd_recover_usec(const s3c_ssd_recover_t *r)
{
    return r->ssd->env.usec(r->ssd->env.ctx);
}


static inline bool
s3c_ssd_recover_time_left(const s3c_ssd_recover_t *r)
{
    return r->n_turn < S3C_SSD_SLICE_MAX
           && s3c_ssd_recover_usec(r) < r->until_usec;
}


/* One step; true: it has got on. */
bool s3c_ssd_lane_run(s3c_ssd_lane_t *l);
/* An I/O of a lane has ended: goes on at once, but leaves time for the worker's
 * other things. */
void s3c_ssd_lane_done(s3c_ssd_job_t *job);

#endif

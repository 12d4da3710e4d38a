/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to ssd_scrub (the machine and its I/O) and ssd_judge (what was read
 * of a segment, against its footer and the index); and to the keeper.
 */
#ifndef S3C_SSD_SSD_SCRUB_H
#define S3C_SSD_SSD_SCRUB_H

#include "ssd/ssd_keeper.h"

typedef enum {
    S3C_SSD_SCRUB_IDLE = 0,            /* between two segments */
    S3C_SSD_SCRUB_TRAILER,
    S3C_SSD_SCRUB_FOOTER,
    S3C_SSD_SCRUB_RECORDS
} s3c_ssd_scrub_state_t;

/* Of one keeper: one segment at a time, of one store after the other. */
struct s3c_ssd_scrub_s {
    s3c_ssd_t              *ssd;
    uint32_t                store;
    s3c_ssd_scrub_state_t   state;
    s3c_ssd_job_t          *job;       /* under way, or to be begun again;
                                          NULL: none */
    uint32_t                from, len; /* of the segment: what it reads */
    bool                    begun;

    uint32_t                segment;
    uint64_t                seq;       /* this use of it */
    uint64_t                off;       /* of it, in the store */
    uint32_t                bytes;     /* of it */
    s3c_ssd_trailer_rec_t   trailer;
    uint8_t                *footer;

    uint32_t                at;        /* entry of the footer under way */
    uint32_t                frame;     /* of it, the next */
    uint32_t                crc;       /* of those before */
    uint64_t                tag[2];

    int64_t                 tokens;    /* bytes that may be read */
    uint64_t                tokens_ms;
    uint64_t                rest_ms;   /* no pass of a store begins before */
};

/* --- ssd_judge --- */

static inline s3c_ssd_place_t
s3c_ssd_scrub_place(const s3c_ssd_scrub_t *s, const s3c_ssd_footer_rec_t *e)
{
    return s3c_ssd_place(s->store, s->off / S3C_SSD_UNIT + e->unit,
                         s3c_ssd_record_units(e->size), S3C_SSD_PLACE_LIVE);
}

/* Is it still what it was when it was begun with? */
bool s3c_ssd_scrub_stands(const s3c_ssd_scrub_t *s);
/* To the next entry, from `at` on, that can be found in the index. False: this
 * slice of them is over, look at `at`. */
bool s3c_ssd_scrub_seek(s3c_ssd_scrub_t *s);
/* The frames of what was read, [from, from + len) of the segment, which begins
 * at or before the next frame wanted. */
void s3c_ssd_scrub_judge(s3c_ssd_scrub_t *s, const uint8_t *in, uint32_t from,
    uint32_t len);
/* The record under way cannot be read, or is wrong (`bad`): it leaves the
 * index, and the next one is under way. */
void s3c_ssd_scrub_lose(s3c_ssd_scrub_t *s, bool bad);
/* The footer, which is the segment's only table, is wrong. */
void s3c_ssd_scrub_torn(s3c_ssd_scrub_t *s);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the scrub has read of a sealed segment: each frame of each record that
 * the index still names is decoded as a reader would, against the footer's
 * word. What is not whole leaves the index, under the lock and only if it is
 * still this record of this use of the segment.
 */
#include "ssd/ssd_scrub.h"

#include "base/crc32c.h"

#define SEEK_SLICE  4096         /* entries */


bool
s3c_ssd_scrub_stands(const s3c_ssd_scrub_t *s)
{
    const s3c_ssd_segment_sh_t  *g = &s->ssd->segments[s->segment];

    return __atomic_load_n(&g->seq, __ATOMIC_RELAXED) == s->seq
           && __atomic_load_n(&g->state, __ATOMIC_RELAXED)
              == S3C_SSD_SEGMENT_SEALED
           && s3c_ssd_state(s->ssd, s->store) == S3C_SSD_SERVING;
}


static s3c_hash128_t
entry_key(const s3c_ssd_footer_rec_t *e)
{
    return (s3c_hash128_t) { .lo = e->key_lo, .hi = e->key_hi };
}


static bool
entry_found(const s3c_ssd_scrub_t *s, const s3c_ssd_footer_rec_t *e)
{
    s3c_ssd_place_t  p;

    return e->kind == S3C_SSD_KIND_RECORD
           && s3c_ssd_index_find(s->ssd, entry_key(e), &p) == S3C_OK
           && s3c_ssd_place_kind(p) == S3C_SSD_PLACE_LIVE
           && s3c_ssd_place_same(p, s3c_ssd_scrub_place(s, e));
}


static void
entry_next(s3c_ssd_scrub_t *s)
{
    s->at++;
    s->frame = 0;
    s->crc = 0;
}


bool
s3c_ssd_scrub_seek(s3c_ssd_scrub_t *s)
{
    uint32_t              n;
    s3c_ssd_footer_rec_t  e;

    for (n = 0; n < SEEK_SLICE && s->at < s->trailer.n_records; n++) {
        e = s3c_ssd_footer_entry(s->footer, s->at);

        if (entry_found(s, &e)) {
            return true;
        }

        entry_next(s);
    }

    return false;
}


void
s3c_ssd_scrub_lose(s3c_ssd_scrub_t *s, bool bad)
{
    bool                   there = false;
    s3c_ssd_t             *ssd = s->ssd;
    s3c_ssd_place_t        old;
    s3c_ssd_store_sh_t    *st = &ssd->stores[s->store];
    s3c_ssd_footer_rec_t   e = s3c_ssd_footer_entry(s->footer, s->at);

    entry_next(s);

    if (!s3c_ssd_lock(ssd)) {
        return;
    }

    if (s3c_ssd_scrub_stands(s)) {
        there = s3c_ssd_forget_locked(ssd, entry_key(&e),
                                      s3c_ssd_scrub_place(s, &e), &old)
                == S3C_OK;
    }

    if (there && bad) {
        s3c_ssd_count(&st->n_corrupt, 1);
        s3c_ssd_count(&st->n_scrub_bad, 1);
    }

    s3c_ssd_unlock(ssd);

    if (there && bad) {
        s3c_ssd_say(ssd, S3C_SSD_LOG_CORRUPT, s->store,
                    atomic_load_explicit(&st->n_corrupt,
                                         memory_order_relaxed), NULL);
    }
}


void
s3c_ssd_scrub_torn(s3c_ssd_scrub_t *s)
{
    s3c_ssd_t           *ssd = s->ssd;
    s3c_ssd_store_sh_t  *st = &ssd->stores[s->store];

    if (!s3c_ssd_lock(ssd)) {
        return;
    }

    if (s3c_ssd_scrub_stands(s)) {
        ssd->segments[s->segment].state = S3C_SSD_SEGMENT_TORN;
        s3c_ssd_count(&st->n_corrupt, 1);
        s3c_ssd_count(&st->n_scrub_bad, 1);
    }

    s3c_ssd_unlock(ssd);
    s3c_ssd_say(ssd, S3C_SSD_LOG_CORRUPT, s->store,
                atomic_load_explicit(&st->n_corrupt, memory_order_relaxed),
                NULL);
}


/* A whole frame. False: the record is not what it was. */
static bool
frame_fits(s3c_ssd_scrub_t *s, const s3c_ssd_footer_rec_t *e,
    const s3c_ssd_frame_rec_t *head)
{
    uint32_t  len = s3c_ssd_frame_len(e->size, s->frame);

    if (head->size != e->size || head->kind != e->kind) {
        return false;
    }

    if (s->frame == 0) {
        s->crc = head->payload_crc;
        s->tag[0] = head->tag[0];
        s->tag[1] = head->tag[1];

    } else {
        s->crc = s3c_crc32c_combine(s->crc, head->payload_crc, len);
    }

    return head->tag[0] == s->tag[0] && head->tag[1] == s->tag[1]
           && (s->frame + 1 < s3c_ssd_n_frames(e->size)
               || head->whole_crc == s->crc);
}


void
s3c_ssd_scrub_judge(s3c_ssd_scrub_t *s, const uint8_t *in, uint32_t from,
    uint32_t len)
{
    uint32_t               at, need;
    s3c_ssd_expect_t       expect;
    s3c_ssd_frame_rec_t    head;
    s3c_ssd_store_sh_t    *st = &s->ssd->stores[s->store];
    s3c_ssd_footer_rec_t   e;

    while (s->at < s->trailer.n_records) {
        e = s3c_ssd_footer_entry(s->footer, s->at);
        at = e.unit * S3C_SSD_UNIT + (uint32_t) s3c_ssd_frame_off(s->frame);
        need = S3C_SSD_HEAD_BYTES + s3c_ssd_frame_len(e.size, s->frame);

        if (at < from || at + need > from + len) {
            return;                      /* in another read */
        }

        if (!entry_found(s, &e)) {
            entry_next(s);
            continue;
        }

        expect = (s3c_ssd_expect_t) {
            .key = entry_key(&e), .store_id = s->ssd->stores[s->store].store_id,
            .segment_seq = s->seq, .record_seq = e.record_seq,
            .frame = s->frame
        };

        if (s3c_ssd_frame_decode(in + (at - from), need, &expect, true, &head)
            != S3C_OK
            || !frame_fits(s, &e, &head))
        {
            s3c_ssd_scrub_lose(s, true);
            continue;
        }

        if (++s->frame == s3c_ssd_n_frames(e.size)) {
            s3c_ssd_count(&st->n_scrub, 1);
            s3c_ssd_count(&st->scrub_bytes, e.size);
            entry_next(s);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of a segment that is reclaimed: records that were asked for, up
 * to a quarter of its bytes, those asked for most first. They are read
 * together where they lie together, checked frame by frame, and put again.
 */
#include "ssd/ssd_reclaim.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

#define HOT_BYTES      (256u << 10)    /* hot records of one read, together */
#define HOT_BYTES_MAX  (8u << 20)      /* one record alone */
#define LOOK_SLICE     4096            /* entries, without the lock */
#define WAIT_MAX_MS    2000            /* for the writer; then they leave */


/* From how often each was asked for to whether it is moved. */
static void
choose(s3c_ssd_reclaim_t *r)
{
    uint32_t              i, most;
    uint64_t              bytes, left = r->bytes / S3C_SSD_REINSERT_SHARE;
    s3c_ssd_footer_rec_t  e;

    for (most = 3; most > 1 && r->bytes_by_refs[most] <= left; most--) {
        left -= r->bytes_by_refs[most];
    }

    for (i = 0; i < r->trailer.n_records; i++) {
        if (r->refs[i] != most || most == 0) {
            r->refs[i] = r->refs[i] > most;
            continue;
        }

        e = s3c_ssd_footer_entry(r->footer, i);
        bytes = entry_bytes(&e);
        r->refs[i] = bytes <= left;
        left -= r->refs[i] ? bytes : 0;
    }
}


/* Without the lock: reinsert() looks again. */
void
s3c_ssd_reclaim_look(s3c_ssd_reclaim_t *r)
{
    uint32_t              n;
    s3c_ssd_place_t       p;
    s3c_ssd_footer_rec_t  e;

    for (n = 0; n < LOOK_SLICE && r->at < r->trailer.n_records; n++, r->at++) {
        e = s3c_ssd_footer_entry(r->footer, r->at);

        if (e.kind == S3C_SSD_KIND_RECORD
            && s3c_ssd_index_find(r->ssd, entry_key(&e), &p) == S3C_OK
            && s3c_ssd_place_same(p, entry_place(r, &e))
            && s3c_ssd_place_kind(p) == S3C_SSD_PLACE_LIVE)
        {
            r->refs[r->at] = (uint8_t) s3c_ssd_place_refs(p);
            r->bytes_by_refs[r->refs[r->at]] += entry_bytes(&e);
        }
    }

    if (r->at == r->trailer.n_records) {
        choose(r);
        r->at = 0;
        r->state = S3C_SSD_RECLAIM_MOVE;
    }
}


/* --- moving -------------------------------------------------------------- */

static void
evict_begin(s3c_ssd_reclaim_t *r)
{
    free(r->hot);
    r->hot = NULL;
    r->at = 0;
    s3c_ssd_reclaim_empty(r, S3C_SSD_RECLAIM_EVICT);
}


/* From the next chosen record on, as many as lie together. */
static void
read_begin(s3c_ssd_reclaim_t *r)
{
    uint32_t              i, n = r->trailer.n_records, from, end;
    s3c_ssd_footer_rec_t  e;

    while (r->at < n && r->refs[r->at] == 0) {
        r->at++;
    }

    if (r->at == n) {
        evict_begin(r);
        return;
    }

    e = s3c_ssd_footer_entry(r->footer, r->at);
    from = e.unit * S3C_SSD_UNIT / S3C_SSD_BLOCK * S3C_SSD_BLOCK;
    r->hot_from = from;
    r->hot_end = 0;

    for (i = r->at; i < n; i++) {
        if (r->refs[i] == 0) {
            continue;
        }

        e = s3c_ssd_footer_entry(r->footer, i);
        end = (uint32_t) ((e.unit * (uint64_t) S3C_SSD_UNIT + entry_bytes(&e)
                           + S3C_SSD_BLOCK - 1)
                          / S3C_SSD_BLOCK * S3C_SSD_BLOCK);

        if (e.unit * S3C_SSD_UNIT < from
            || end - from > (i == r->at ? HOT_BYTES_MAX : HOT_BYTES))
        {
            break;
        }

        r->hot_end = end > r->hot_end ? end : r->hot_end;
    }

    if (r->hot_end == 0) {               /* too large to be moved */
        r->at++;
        return;
    }

    r->hot_n = i;
    r->state = S3C_SSD_RECLAIM_READ;

    if (!s3c_ssd_reclaim_read(r, from, r->hot_end - from)) {
        evict_begin(r);
    }
}


/* All its frames are as they were written. The payload moves together at the
 * record's start; *payload. */
static bool
record_check(s3c_ssd_reclaim_t *r, const s3c_ssd_footer_rec_t *e,
    uint8_t **payload)
{
    uint32_t              i, len, whole = 0, n = s3c_ssd_n_frames(e->size);
    uint8_t              *in, *to;
    s3c_status_t          st;
    s3c_ssd_frame_rec_t   head;
    s3c_ssd_expect_t      expect = {
        .key = entry_key(e),
        .store_id = r->store_id,
        .segment_seq = r->seq,
        .record_seq = e->record_seq,
    };

    in = r->hot + (e->unit * S3C_SSD_UNIT - r->hot_from);
    to = in;
    *payload = in;

    if (r->checked) {
        return true;
    }

    for (i = 0; i < n; i++) {
        expect.frame = i;
        st = s3c_ssd_frame_decode(in, (size_t) (r->hot + r->hot_end
                                                - r->hot_from - in),
                                  &expect, true, &head);

        if (st != S3C_OK || head.size != e->size
            || head.kind != S3C_SSD_KIND_RECORD)
        {
            return false;
        }

        len = s3c_ssd_frame_len(e->size, i);
        whole = s3c_crc32c_combine(whole, head.payload_crc, len);
        memmove(to, in + S3C_SSD_HEAD_BYTES, len);
        to += len;
        in += S3C_SSD_HEAD_BYTES + len;
    }

    if (head.whole_crc != whole) {
        return false;
    }

    r->tag[0] = head.tag[0];
    r->tag[1] = head.tag[1];
    r->checked = true;

    return true;
}


/* AGAIN: the writer has no room now. FULL: nor will it have. */
static s3c_status_t
record_move(s3c_ssd_reclaim_t *r)
{
    uint8_t               *payload;
    s3c_status_t           st;
    s3c_ssd_t             *ssd = r->ssd;
    s3c_ssd_store_sh_t    *sh = store_of(r);
    s3c_ssd_footer_rec_t   e = s3c_ssd_footer_entry(r->footer, r->at);

    if (!s3c_ssd_writer_has_room(ssd, r->store, e.size)) {
        st = S3C_BUSY;

    } else if (!record_check(r, &e, &payload)) {
        s3c_ssd_count(&sh->n_corrupt, 1);
        s3c_ssd_say(ssd, S3C_SSD_LOG_CORRUPT, r->store,
                    atomic_load_explicit(&sh->n_corrupt,
                                         memory_order_relaxed), "reclaim");
        st = S3C_CORRUPT;

    } else {
        st = s3c_ssd_reinsert(ssd, entry_key(&e), entry_place(r, &e), r->tag,
                              payload, e.size);
    }

    if (st == S3C_BUSY) {
        if (r->wait_ms == 0) {
            r->wait_ms = ssd->now_ms + WAIT_MAX_MS;
        }
        return ssd->now_ms < r->wait_ms ? S3C_AGAIN : S3C_FULL;
    }

    r->wait_ms = 0;
    r->checked = false;

    return st == S3C_FULL ? S3C_FULL : S3C_OK;
}


/* True: go on at once. */
bool
s3c_ssd_reclaim_move(s3c_ssd_reclaim_t *r)
{
    s3c_status_t  st;

    if (r->hot == NULL) {
        read_begin(r);
        return r->state != S3C_SSD_RECLAIM_READ;
    }

    for ( /* void */ ; r->at < r->hot_n; r->at++) {
        if (r->refs[r->at] == 0) {
            continue;
        }

        st = record_move(r);

        if (st == S3C_FULL) {
            evict_begin(r);
            return true;
        }

        if (st == S3C_AGAIN) {
            return false;
        }
    }

    free(r->hot);
    r->hot = NULL;

    return true;
}

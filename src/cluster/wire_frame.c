/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: a table of what each type may look like, and the two with a fixed
 * part of their own. What encode writes, decode takes, and nothing else.
 */
#include "cluster/wire.h"

#define ASK_FLAGS  (S3C_WIRE_TRUTH | S3C_WIRE_KEPT | S3C_WIRE_FIRST           \
                    | S3C_WIRE_FULL | S3C_WIRE_WARM)
#define FENCE_FLAGS  (S3C_WIRE_PREFIX | S3C_WIRE_ALL | S3C_WIRE_ZONE          \
                      | S3C_WIRE_WHOLE)

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "what lies on the wire is little-endian, and read as it is"
#endif

typedef struct {
    uint32_t  min, max;        /* bytes behind the head */
    bool      stream;          /* belongs to one */
    bool      code;            /* has one */
} rule_t;

static const rule_t  rules[S3C_WIRE_TYPES] = {
    [S3C_WIRE_ASK]     = { sizeof(s3c_wire_ask_rec_t), S3C_WIRE_ASK_MAX,
                           true, false },
    [S3C_WIRE_META]    = { sizeof(s3c_wire_meta_rec_t),
                           sizeof(s3c_wire_meta_rec_t) + S3C_WIRE_DATA_MAX,
                           true, false },
    [S3C_WIRE_DATA]    = { 1, S3C_WIRE_DATA_MAX, true, false },
    [S3C_WIRE_END]     = { 0, 0, true, true },
    [S3C_WIRE_CANCEL]  = { 0, 0, true, false },
    [S3C_WIRE_WINDOW]  = { sizeof(uint32_t), sizeof(uint32_t), true, false },
    [S3C_WIRE_PING]    = { sizeof(uint64_t), sizeof(uint64_t), false, false },
    [S3C_WIRE_PONG]    = { sizeof(uint64_t), sizeof(uint64_t), false, false },
    [S3C_WIRE_GOODBYE] = { 0, 0, false, false },
};


static bool
head_ok(const s3c_wire_frame_rec_t *rec)
{
    const rule_t  *rule = &rules[rec->type];

    return rec->bytes >= rule->min && rec->bytes <= rule->max
           && rec->flags == 0
           && (rec->stream != 0) == rule->stream
           && (rec->code == 0 || rule->code);
}


/* An object, a bucket, a prefix in one, or all: not two of them. */
static bool
fence_ok(const s3c_wire_ask_t *ask)
{
    uint8_t  flags = ask->flags;

    if (ask->what == S3C_WIRE_FENCE && ask->key.len >= 1 && ask->block != 0
        && (flags & (S3C_WIRE_PREFIX | S3C_WIRE_WHOLE)) == 0)
    {
        flags &= ~S3C_WIRE_REFRESH;
    }

    if (ask->flags == S3C_WIRE_LATER
        && (ask->block != 0) == (ask->what == S3C_WIRE_FENCE))
    {
        flags &= ~S3C_WIRE_LATER;
    }

    if ((flags & ~FENCE_FLAGS) != 0
        || ask->generation == 0 || ask->block > S3C_WIRE_HOLD_MAX
        || (ask->version_id.len != 0
            && (ask->key.len == 0 || (ask->flags & S3C_WIRE_PREFIX))))
    {
        return false;
    }

    switch (ask->flags & (S3C_WIRE_PREFIX | S3C_WIRE_ALL | S3C_WIRE_WHOLE)) {

    case 0:
        return ask->bucket.len >= 1;

    case S3C_WIRE_PREFIX:
    case S3C_WIRE_WHOLE:
        return ask->bucket.len >= 1 && ask->key.len >= 1;

    case S3C_WIRE_ALL:
        return ask->bucket.len == 0 && ask->key.len == 0;

    default:
        return false;
    }
}


static bool
ask_ok(const s3c_wire_ask_t *ask)
{
    bool  of_version = ask->total != 0 || ask->last_modified != 0
                       || ask->etag.len != 0;
    bool  named = ask->bucket.len >= 1 && ask->key.len >= 1
                  && (ask->flags & ~ASK_FLAGS) == 0;

    if (ask->etag.len > S3C_WIRE_ETAG_MAX
        || ask->bucket.len > S3C_WIRE_BUCKET_MAX
        || ask->key.len > S3C_WIRE_KEY_MAX
        || ask->version_id.len > S3C_WIRE_VERSION_ID_MAX)
    {
        return false;
    }

    switch (ask->what) {

    case S3C_WIRE_OBJECT:
        return named && !of_version && ask->generation == 0;

    case S3C_WIRE_HEAD:
        return named && !of_version && !(ask->flags & S3C_WIRE_WARM) && ask->generation == 0
               && ask->block == 0;

    case S3C_WIRE_BLOCK:
        return named;

    case S3C_WIRE_FENCE:
    case S3C_WIRE_LIFT:
        return fence_ok(ask) && !of_version;

    case S3C_WIRE_HAVE:
        return named && !of_version && ask->generation != 0
               && ask->flags == 0 && ask->block <= S3C_WIRE_HAVE_MAX
               && ask->version_id.len == 0;

    case S3C_WIRE_VOUCH:
    case S3C_WIRE_SUMMARY:
        return !of_version && ask->generation == 0 && ask->block == 0
               && ask->flags == 0 && ask->bucket.len == 0 && ask->key.len == 0
               && ask->version_id.len == 0;

    default:
        return false;
    }
}


static bool
meta_ok(const s3c_wire_meta_t *m)
{
    return (m->flags & ~(S3C_WIRE_RAM | S3C_WIRE_FLASH)) == 0
           && m->bytes <= UINT64_MAX - m->first
           && m->head_bytes <= S3C_WIRE_HEAD_MAX
           && m->head_off <= m->head_bytes
           && m->head_part.len <= m->head_bytes - m->head_off
           && m->head_part.len <= S3C_WIRE_DATA_MAX
           && (m->head_part.len > 0 || m->head_bytes == 0);
}

/* --- encode -------------------------------------------------------------- */

static void
ask_write(s3c_writer_t *w, const s3c_wire_ask_t *ask)
{
    s3c_wire_ask_rec_t  rec = {
        .location = ask->location, .block = ask->block,
        .generation = ask->generation, .total = ask->total,
        .last_modified = ask->last_modified, .window = ask->window,
        .what = ask->what, .flags = ask->flags,
        .etag_bytes = (uint16_t) ask->etag.len,
        .bucket_bytes = (uint16_t) ask->bucket.len,
        .key_bytes = (uint16_t) ask->key.len,
        .version_id_bytes = (uint16_t) ask->version_id.len
    };

    s3c_write_bytes(w, &rec, sizeof(rec));
    s3c_write_slice(w, ask->etag);
    s3c_write_slice(w, ask->bucket);
    s3c_write_slice(w, ask->key);
    s3c_write_slice(w, ask->version_id);
}


static void
meta_write(s3c_writer_t *w, const s3c_wire_meta_t *m)
{
    s3c_wire_meta_rec_t  rec = {
        .age_ms = m->age_ms, .left_ms = m->left_ms, .first = m->first,
        .bytes = m->bytes, .head_bytes = m->head_bytes,
        .head_off = m->head_off, .flags = m->flags
    };

    s3c_write_bytes(w, &rec, sizeof(rec));
}


s3c_slice_t
s3c_wire_frame_tail(const s3c_wire_frame_t *f)
{
    return f->type == S3C_WIRE_DATA ? f->data
           : f->type == S3C_WIRE_META ? f->meta.head_part : S3C_SLICE_NONE;
}


/* The bytes behind the head, of a frame of a known type. SIZE_MAX: none are
 * right for what is in it. */
static size_t
frame_bytes(const s3c_wire_frame_t *f)
{
    switch (f->type) {

    case S3C_WIRE_ASK:
        return !ask_ok(&f->ask) ? SIZE_MAX
               : sizeof(s3c_wire_ask_rec_t) + f->ask.etag.len
                 + f->ask.bucket.len + f->ask.key.len + f->ask.version_id.len;

    case S3C_WIRE_META:
        return !meta_ok(&f->meta) ? SIZE_MAX
               : sizeof(s3c_wire_meta_rec_t) + f->meta.head_part.len;

    case S3C_WIRE_DATA:
        return f->data.len;

    case S3C_WIRE_WINDOW:
        return f->window == 0 ? SIZE_MAX : sizeof(f->window);

    case S3C_WIRE_PING:
    case S3C_WIRE_PONG:
        return sizeof(f->echo);

    default:
        return 0;
    }
}


s3c_status_t
s3c_wire_frame_encode(s3c_writer_t *w, const s3c_wire_frame_t *f)
{
    size_t                bytes;
    s3c_wire_frame_rec_t  rec = { .stream = f->stream };

    if (f->type < S3C_WIRE_ASK || f->type >= S3C_WIRE_TYPES) {
        return S3C_INVALID;
    }

    bytes = frame_bytes(f);

    if (bytes > S3C_WIRE_RECORD_MAX) {
        return S3C_INVALID;
    }

    rec.type = (uint8_t) f->type;
    rec.bytes = (uint32_t) bytes;
    rec.code = f->type == S3C_WIRE_END ? f->code : 0;

    if (!head_ok(&rec)) {
        return S3C_INVALID;
    }

    if ((size_t) (w->end - w->pos)
        < sizeof(rec) + bytes - s3c_wire_frame_tail(f).len)
    {
        return S3C_FULL;
    }

    s3c_write_bytes(w, &rec, sizeof(rec));

    switch (f->type) {

    case S3C_WIRE_ASK:
        ask_write(w, &f->ask);
        break;

    case S3C_WIRE_META:
        meta_write(w, &f->meta);
        break;

    case S3C_WIRE_WINDOW:
        s3c_write_bytes(w, &f->window, sizeof(f->window));
        break;

    case S3C_WIRE_PING:
    case S3C_WIRE_PONG:
        s3c_write_bytes(w, &f->echo, sizeof(f->echo));
        break;

    default:
        break;
    }

    return s3c_writer_ok(w) ? S3C_OK : S3C_FULL;
}

/* --- decode: foreign bytes ----------------------------------------------- */

static s3c_slice_t
take(s3c_slice_t *rest, size_t len)
{
    s3c_slice_t  s = s3c_slice(rest->data, len);

    rest->data += len;
    rest->len -= len;

    return s;
}


static s3c_status_t
ask_parse(s3c_slice_t in, s3c_wire_ask_t *ask)
{
    s3c_wire_ask_rec_t  rec;

    memcpy(&rec, take(&in, sizeof(rec)).data, sizeof(rec));

    if (rec.zero != 0
        || in.len != (size_t) rec.etag_bytes + rec.bucket_bytes
                     + rec.key_bytes + rec.version_id_bytes)
    {
        return S3C_INVALID;
    }

    *ask = (s3c_wire_ask_t) {
        .location = rec.location, .block = rec.block,
        .generation = rec.generation, .total = rec.total,
        .last_modified = rec.last_modified, .window = rec.window,
        .what = rec.what, .flags = rec.flags
    };

    ask->etag = take(&in, rec.etag_bytes);
    ask->bucket = take(&in, rec.bucket_bytes);
    ask->key = take(&in, rec.key_bytes);
    ask->version_id = take(&in, rec.version_id_bytes);

    return ask_ok(ask) ? S3C_OK : S3C_INVALID;
}


static s3c_status_t
meta_parse(s3c_slice_t in, s3c_wire_meta_t *m)
{
    s3c_wire_meta_rec_t  rec;

    memcpy(&rec, take(&in, sizeof(rec)).data, sizeof(rec));

    *m = (s3c_wire_meta_t) {
        .age_ms = rec.age_ms, .left_ms = rec.left_ms, .first = rec.first,
        .bytes = rec.bytes, .head_bytes = rec.head_bytes,
        .head_off = rec.head_off, .flags = rec.flags, .head_part = in
    };

    return meta_ok(m) && rec.zero == 0 ? S3C_OK : S3C_INVALID;
}


static s3c_status_t
frame_parse(const s3c_wire_frame_rec_t *rec, s3c_slice_t in,
    s3c_wire_frame_t *f)
{
    f->type = (s3c_wire_type_t) rec->type;
    f->stream = rec->stream;

    switch (f->type) {

    case S3C_WIRE_ASK:
        return ask_parse(in, &f->ask);

    case S3C_WIRE_META:
        return meta_parse(in, &f->meta);

    case S3C_WIRE_DATA:
        f->data = in;
        return S3C_OK;

    case S3C_WIRE_END:
        f->code = rec->code;
        return S3C_OK;

    case S3C_WIRE_WINDOW:
        memcpy(&f->window, in.data, sizeof(f->window));
        return f->window != 0 ? S3C_OK : S3C_INVALID;

    case S3C_WIRE_PING:
    case S3C_WIRE_PONG:
        memcpy(&f->echo, in.data, sizeof(f->echo));
        return S3C_OK;

    default:
        return S3C_OK;
    }
}


s3c_status_t
s3c_wire_frame_decode(s3c_slice_t *rest, s3c_wire_frame_t *f)
{
    s3c_slice_t           in;
    s3c_wire_frame_rec_t  rec;

    while (rest->len > 0) {
        if (rest->len < sizeof(rec)) {
            return S3C_INVALID;
        }

        memcpy(&rec, take(rest, sizeof(rec)).data, sizeof(rec));

        if (rec.type == 0 || rec.zero != 0 || rec.bytes > rest->len) {
            return S3C_INVALID;
        }

        in = take(rest, rec.bytes);

        if (rec.type < S3C_WIRE_TYPES) {
            return head_ok(&rec) ? frame_parse(&rec, in, f) : S3C_INVALID;
        }

        if (!(rec.flags & S3C_WIRE_OPTIONAL)) {
            return S3C_INVALID;
        }
    }

    return S3C_MISS;
}


s3c_status_t
s3c_wire_meta_follows(const s3c_wire_meta_t *first, uint32_t got,
    const s3c_wire_meta_t *next)
{
    return next->head_off == got
           && next->age_ms == first->age_ms
           && next->left_ms == first->left_ms
           && next->first == first->first
           && next->bytes == first->bytes
           && next->flags == first->flags
           && next->head_bytes == first->head_bytes ? S3C_OK : S3C_INVALID;
}

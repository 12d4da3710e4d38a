/* SPDX-License-Identifier: Apache-2.0
 *
 * What two nodes say to each other, little-endian, and its checked reading.
 * No I/O, no allocation but in init; all state is the caller's.
 *
 *   hello    client: [fixed 32 B][client's name][server's name][MAC 32 B]
 *            server: [fixed 24 B][server's name][MAC 32 B]
 *            each as lower-case hex in a header of the HTTP/1.1 Upgrade
 *            request and of its 101 answer
 *   record   [u32 payload bytes][payload][tag 16 B]; all after the hellos
 *   payload  [frame]... whole ones, at least one
 *   frame    [head 16 B][fixed part, by type][bytes]
 *
 * AUTHENTIC  A MAC is HMAC-SHA256(secret, label | hellos so far), a label 16
 *            bytes. The two keys of a link are made of both hellos in the same
 *            way, one for each direction; a tag is the AES-128-GMAC of length
 *            and payload under its direction's key, its nonce the number of
 *            the record. Who replays a client's hello gets an answer whose
 *            random bytes are new, and can seal no record for it. With an
 *            empty secret all this only finds errors, and mutual TLS has to
 *            authenticate. Nothing is hidden: that is TLS's, too.
 * ERRORS     INVALID: the grammar is broken; DENIED: who sent it is not who it
 *            should be. After either the link must be closed. Its end by
 *            itself tells nothing: a stream without its END is not complete.
 * LIMITS     the constants below, kept by both ends; beyond them is INVALID.
 */
#ifndef S3C_CLUSTER_WIRE_H
#define S3C_CLUSTER_WIRE_H

#include <assert.h>

#include "base/digest.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"

/* Raised by what an older node cannot skip; nodes that differ in it form no
 * link. */
#define S3C_WIRE_VERSION         1u

#define S3C_WIRE_NAME_MAX        255u          /* of a node; at least 1 */
#define S3C_WIRE_RANDOM_BYTES    16u
#define S3C_WIRE_MAC_BYTES       S3C_DIGEST_SHA256_BYTES
#define S3C_WIRE_SKEW_MS         60000u        /* between two nodes' clocks */

#define S3C_WIRE_RECORD_HEAD     4u
#define S3C_WIRE_RECORD_TAG      S3C_GMAC_TAG_BYTES
/* Payload: two full DATA frames, and room for the heads of 64 frames. */
#define S3C_WIRE_RECORD_MAX      ((64u << 10) + 64u * 16u)
#define S3C_WIRE_RECORD_BYTES    (S3C_WIRE_RECORD_HEAD + S3C_WIRE_RECORD_MAX  \
                                  + S3C_WIRE_RECORD_TAG)
#define S3C_WIRE_RECORDS_MAX     (1ull << 48)  /* of a link and direction */

#define S3C_WIRE_DATA_MAX        (32u << 10)   /* body bytes of a DATA frame,
                                                  head bytes of a META frame */
#define S3C_WIRE_HEAD_MAX        (72u << 10)   /* of an object's head, whole */
#define S3C_WIRE_BUCKET_MAX      255u          /* at least 1 */
#define S3C_WIRE_KEY_MAX         1024u         /* at least 1 */
#define S3C_WIRE_HOLD_MAX        3600000u      /* of a fence, ms */
#define S3C_WIRE_HAVE_MAX        86400000u     /* of what was written, ms */
#define S3C_WIRE_VERSION_ID_MAX  1024u
#define S3C_WIRE_ETAG_MAX        1024u

/* --- as it lies on the wire ---------------------------------------------- */

typedef struct {                         /* begins a client's hello */
    uint32_t  version;
    uint8_t   name_bytes;                /* of the client */
    uint8_t   peer_bytes;                /* of whom it means to reach */
    uint16_t  zero;
    uint64_t  time_ms;                   /* its wall clock, since 1970 */
    uint8_t   random[S3C_WIRE_RANDOM_BYTES];
} s3c_wire_client_rec_t;
static_assert(sizeof(s3c_wire_client_rec_t) == 32, "client's hello");

typedef struct {                         /* begins a server's hello */
    uint32_t  version;
    uint8_t   name_bytes;
    uint8_t   zero[3];
    uint8_t   random[S3C_WIRE_RANDOM_BYTES];
} s3c_wire_server_rec_t;
static_assert(sizeof(s3c_wire_server_rec_t) == 24, "server's hello");

typedef struct {                         /* begins a frame */
    uint32_t  bytes;                     /* of it behind this */
    uint8_t   type;                      /* s3c_wire_type_t */
    uint8_t   flags;                     /* S3C_WIRE_OPTIONAL, or 0 */
    uint16_t  code;                      /* END's; else 0 */
    uint32_t  stream;
    uint32_t  zero;
} s3c_wire_frame_rec_t;
static_assert(sizeof(s3c_wire_frame_rec_t) == 16, "frame head");

/* Then etag, bucket, key, version id. What `what` has no use for is 0. */
typedef struct {
    uint64_t  location;
    uint64_t  block;
    uint64_t  generation;
    uint64_t  total;
    int64_t   last_modified;
    uint32_t  window;
    uint8_t   what;
    uint8_t   flags;
    uint16_t  etag_bytes;
    uint16_t  bucket_bytes;
    uint16_t  key_bytes;
    uint16_t  version_id_bytes;
    uint16_t  zero;
} s3c_wire_ask_rec_t;
static_assert(sizeof(s3c_wire_ask_rec_t) == 56, "ASK");

typedef struct {                         /* then a part of the head */
    uint64_t  age_ms;
    uint64_t  left_ms;
    uint64_t  first;
    uint64_t  bytes;
    uint32_t  head_bytes;
    uint32_t  head_off;
    uint32_t  flags;
    uint32_t  zero;
} s3c_wire_meta_rec_t;
static_assert(sizeof(s3c_wire_meta_rec_t) == 48, "META");

#define S3C_WIRE_CLIENT_MAX                                                   \
    (sizeof(s3c_wire_client_rec_t) + 2 * S3C_WIRE_NAME_MAX + S3C_WIRE_MAC_BYTES)
#define S3C_WIRE_SERVER_MAX                                                   \
    (sizeof(s3c_wire_server_rec_t) + S3C_WIRE_NAME_MAX + S3C_WIRE_MAC_BYTES)
/* The longest text of either hello. */
#define S3C_WIRE_HELLO_TEXT_MAX  (2 * S3C_WIRE_CLIENT_MAX)

#define S3C_WIRE_ASK_MAX                                                      \
    (sizeof(s3c_wire_ask_rec_t) + S3C_WIRE_ETAG_MAX + S3C_WIRE_BUCKET_MAX     \
     + S3C_WIRE_KEY_MAX + S3C_WIRE_VERSION_ID_MAX)
/* What s3c_wire_frame_encode() writes at most. */
#define S3C_WIRE_FRAME_WRITES_MAX                                             \
    (sizeof(s3c_wire_frame_rec_t) + S3C_WIRE_ASK_MAX)

static_assert(S3C_WIRE_NAME_MAX <= UINT8_MAX, "lengths of names");
static_assert(S3C_WIRE_RECORD_MAX
              >= 2 * (sizeof(s3c_wire_frame_rec_t) + S3C_WIRE_DATA_MAX),
              "two full frames in a record");
static_assert(S3C_WIRE_RECORD_MAX
              >= sizeof(s3c_wire_frame_rec_t) + sizeof(s3c_wire_meta_rec_t)
                 + S3C_WIRE_DATA_MAX, "a full META in a record");
static_assert(S3C_WIRE_RECORD_MAX >= S3C_WIRE_FRAME_WRITES_MAX,
              "a full ASK in a record");

/* --- hello: wire_hello.c -------------------------------------------------- */

#define S3C_WIRE_LABEL_BYTES  16u

/* One end's knowledge of a link while it is made: both hellos, as they are
 * MACed. Lives until the keys are made; holds nothing to be freed. */
typedef struct {
    const char  *why;                    /* DENIED: constant words for a log */
    size_t       client_bytes;
    size_t       server_bytes;
    uint8_t      bytes[S3C_WIRE_LABEL_BYTES + S3C_WIRE_CLIENT_MAX
                       + S3C_WIRE_SERVER_MAX];
} s3c_wire_hello_t;

/* Keys of what the client seals, and of what the server does. Wipe them
 * (s3c_digest_wipe) when both directions are inited. */
typedef struct {
    uint8_t  client[S3C_GMAC_KEY_BYTES];
    uint8_t  server[S3C_GMAC_KEY_BYTES];
} s3c_wire_keys_t;

/* Client, first: `name` means to reach `peer`. Its hello goes into `text`, at
 * most S3C_WIRE_HELLO_TEXT_MAX bytes. FULL: the writer overflowed; INVALID:
 * a name is empty or too long; IO: no random bytes. */
s3c_status_t s3c_wire_hello_client_make(s3c_wire_hello_t *h,
    s3c_slice_t secret, s3c_slice_t name, s3c_slice_t peer, uint64_t now_ms,
    s3c_writer_t *text) S3C_MUST_CHECK;
/* Server, who is `name`. OK: *client is the client's name, in *h. DENIED: MAC,
 * then whom it means to reach, then clocks. */
s3c_status_t s3c_wire_hello_client_check(s3c_wire_hello_t *h,
    s3c_slice_t secret, s3c_slice_t name, uint64_t now_ms, s3c_slice_t text,
    s3c_slice_t *client) S3C_MUST_CHECK;
/* Server, after its check was OK; errors as of client_make. */
s3c_status_t s3c_wire_hello_server_make(s3c_wire_hello_t *h,
    s3c_slice_t secret, s3c_slice_t name, s3c_writer_t *text) S3C_MUST_CHECK;
/* Client: DENIED: MAC, or it is not whom it meant to reach. */
s3c_status_t s3c_wire_hello_server_check(s3c_wire_hello_t *h,
    s3c_slice_t secret, s3c_slice_t text) S3C_MUST_CHECK;
/* Both, at last: equal at both ends. */
s3c_status_t s3c_wire_hello_keys(s3c_wire_hello_t *h, s3c_slice_t secret,
    s3c_wire_keys_t *keys) S3C_MUST_CHECK;

/* --- records: wire_record.c ----------------------------------------------- */

/* What one end sends, and what it receives; of one thread each. */
typedef struct {
    s3c_gmac_t  mac;
    uint64_t    n_records;               /* sealed so far: the next nonce */
} s3c_wire_sealer_t;

typedef struct {
    s3c_gmac_t  mac;
    uint64_t    n_records;               /* opened so far */
    bool        broken;                  /* refused one: refuses all others */
} s3c_wire_opener_t;

/* IO: no memory. fini may follow a failed init, and itself. */
s3c_status_t s3c_wire_sealer_init(s3c_wire_sealer_t *s,
    const uint8_t key[S3C_GMAC_KEY_BYTES]) S3C_MUST_CHECK;
void s3c_wire_sealer_fini(s3c_wire_sealer_t *s);
s3c_status_t s3c_wire_opener_init(s3c_wire_opener_t *o,
    const uint8_t key[S3C_GMAC_KEY_BYTES]) S3C_MUST_CHECK;
void s3c_wire_opener_fini(s3c_wire_opener_t *o);

/* The payload is the `n` parts in a row, 1..S3C_WIRE_RECORD_MAX bytes in all
 * (or INVALID), which must go out as they are now, between `head` and `tag`.
 * BUSY: the link has had S3C_WIRE_RECORDS_MAX; take a new one long before. */
s3c_status_t s3c_wire_record_seal(s3c_wire_sealer_t *s,
    const s3c_slice_t *parts, size_t n, uint8_t head[S3C_WIRE_RECORD_HEAD],
    uint8_t tag[S3C_WIRE_RECORD_TAG]) S3C_MUST_CHECK;
/* The record at the start of what has arrived. OK: *payload lies in `in`, and
 * *bytes of `in` are done with. AGAIN: not whole; `in` must have *bytes, at
 * most S3C_WIRE_RECORD_BYTES, before it is worth another call. INVALID: its
 * length; DENIED: its tag, or an earlier record was refused; BUSY as above. */
s3c_status_t s3c_wire_record_open(s3c_wire_opener_t *o, s3c_slice_t in,
    s3c_slice_t *payload, size_t *bytes) S3C_MUST_CHECK;

/* --- frames: wire_frame.c ------------------------------------------------- */

/* Who sends it; whether it belongs to a stream (`stream` not 0) or to the link
 * (0). Which streams there are, and who may say what when, is the caller's. */
typedef enum {
    S3C_WIRE_ASK = 1,      /* client, stream: opens it */
    S3C_WIRE_META,         /* server, stream: what there is; parts in order */
    S3C_WIRE_DATA,         /* server, stream: 1..S3C_WIRE_DATA_MAX body bytes */
    S3C_WIRE_END,          /* server, stream: the last of it */
    S3C_WIRE_CANCEL,       /* client, stream: no more of it, please */
    S3C_WIRE_WINDOW,       /* client, stream: so many bytes more may come */
    S3C_WIRE_PING,         /* either, link */
    S3C_WIRE_PONG,         /* either, link: the same echo */
    S3C_WIRE_GOODBYE,      /* either, link: no new streams, please */
    S3C_WIRE_TYPES
} s3c_wire_type_t;

/* In a frame's head: who does not know its type skips it. A type that is not
 * known and not optional is INVALID, and so is a type of this version with the
 * flag. */
#define S3C_WIRE_OPTIONAL  0x80u

#define S3C_WIRE_COMPLETE  0u            /* END's code; others are the users' */

typedef enum {
    S3C_WIRE_OBJECT = 1,   /* head and body, or of a large one a block */
    S3C_WIRE_HEAD,         /* head alone */
    S3C_WIRE_BLOCK,        /* a block of an object the client knows */
    S3C_WIRE_FENCE,        /* the client is about to write this object, or with
                              an empty key this bucket: hold it back */
    S3C_WIRE_LIFT,         /* that is over */
    S3C_WIRE_VOUCH,        /* what could the server not tell the client of? */
    S3C_WIRE_HAVE,         /* the client has what was written of this object */
    S3C_WIRE_SUMMARY,      /* how is the server? its META's head says it */
    S3C_WIRE_WHATS
} s3c_wire_what_t;

/* ask.flags */
#define S3C_WIRE_TRUTH  1u /* only what was validated after the ASK came will
                              do */
#define S3C_WIRE_KEPT   2u /* only what the server has: no fetch for it */
#define S3C_WIRE_FIRST  4u /* the server is the first owner, by the client's
                              ring */
#define S3C_WIRE_FULL   8u /* a record with all checksums */
#define S3C_WIRE_WARM   16u /* OBJECT, BLOCK: it is fetched if need be, and
                               META comes when it is whole; none of its bytes */
/* of FENCE, LIFT; not what is written, but what an operator purges */
#define S3C_WIRE_PREFIX 16u /* all whose keys begin with this one */
#define S3C_WIRE_ALL    32u /* all of the origin: names no bucket */
#define S3C_WIRE_ZONE   64u /* only in the zone that the link is of */
#define S3C_WIRE_WHOLE  128u /* the object with its versions and blocks */
/* of FENCE, of one object for some time */
#define S3C_WIRE_REFRESH  1u /* has the server, its owner, got it in memory,
                                it reads it anew when LIFT comes */

/* of what is written, not purged; FENCE for some time, LIFT at once */
#define S3C_WIRE_LATER  2u /* FENCE: the origin may refuse it: what there is is
                              not read, and dropped when LIFT comes, or none */
#define S3C_WIRE_REFUSED  2u /* LIFT: it has; what there is stays */

/* meta.flags: where the server had it; none: it had to be fetched */
#define S3C_WIRE_RAM    1u
#define S3C_WIRE_FLASH  2u

typedef struct {
    uint64_t     location;         /* hash of the settings both ends share;
                                      FENCE, LIFT, HAVE: the origin's */
    uint64_t     block;            /* OBJECT: wanted if it is large; BLOCK;
                                      FENCE: for so many ms, 0: drop it only;
                                      LIFT: in so many ms; HAVE: for so many
                                      ms, perhaps */
    uint64_t     generation;       /* BLOCK: this one to last_modified, etag;
                                      FENCE, LIFT, HAVE: the client's tag of
                                      the write, not 0 */
    uint64_t     total;            /* bytes of the whole body */
    int64_t      last_modified;    /* seconds, -1 unknown */
    uint32_t     window;           /* body bytes that may come unasked */
    uint8_t      what;             /* s3c_wire_what_t */
    uint8_t      flags;
    s3c_slice_t  etag;
    s3c_slice_t  bucket;
    s3c_slice_t  key;              /* raw, not percent-encoded */
    s3c_slice_t  version_id;       /* may be empty */
} s3c_wire_ask_t;

/* One part of it: a head that does not fit in a frame comes in several, all of
 * which say the same but for the part. */
typedef struct {
    uint64_t     age_ms;           /* when the question came, since it was last
                                      validated, 0: later; VOUCH: how many
                                      times it could not, ever */
    uint64_t     left_ms;          /* to be fresh; UINT64_MAX: for ever; VOUCH:
                                      the life of the server that is meant */
    uint64_t     first;            /* offset in the object of .. */
    uint64_t     bytes;            /* .. the body bytes that will follow */
    uint32_t     head_bytes;       /* of all parts, 0: none */
    uint32_t     head_off;         /* of this part */
    uint32_t     flags;
    s3c_slice_t  head_part;        /* opaque here; empty only without a head */
} s3c_wire_meta_t;

typedef struct {
    s3c_wire_type_t  type;
    uint32_t         stream;
    union {                        /* by type; CANCEL, GOODBYE: nothing */
        s3c_wire_ask_t   ask;
        s3c_wire_meta_t  meta;
        s3c_slice_t      data;
        uint16_t         code;     /* END */
        uint32_t         window;   /* WINDOW: at least 1 */
        uint64_t         echo;     /* PING, PONG */
    };
} s3c_wire_frame_t;

/* Appends the frame but for the bytes of DATA and META: those are not copied,
 * s3c_wire_frame_tail() must be the next part of the record's payload.
 * INVALID: it breaks a limit; FULL: no room. Either way nothing is written. */
s3c_status_t s3c_wire_frame_encode(s3c_writer_t *w,
    const s3c_wire_frame_t *f) S3C_MUST_CHECK;
s3c_slice_t s3c_wire_frame_tail(const s3c_wire_frame_t *f);
/* The next frame of a payload, which *rest is what is left of; its slices lie
 * in the payload. Skips what may be skipped. MISS: no more. */
s3c_status_t s3c_wire_frame_decode(s3c_slice_t *rest, s3c_wire_frame_t *f)
    S3C_MUST_CHECK;

/* Whether `next` goes on with the head of which `first` was the first part and
 * `got` bytes have come (0: next is first). INVALID. */
s3c_status_t s3c_wire_meta_follows(const s3c_wire_meta_t *first, uint32_t got,
    const s3c_wire_meta_t *next) S3C_MUST_CHECK;


/* Whether no part comes after this one. */
static inline bool
s3c_wire_meta_last(const s3c_wire_meta_t *m)
{
    return m->head_off + m->head_part.len == m->head_bytes;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A job of a warm-up: what is to be done, how far it is, what became of it. The
 * same as a small file, which another worker goes on from: bytes that are read
 * back are foreign, of them nothing is guessed. Pure.
 */
#ifndef S3C_SERVE_WARM_JOB_H
#define S3C_SERVE_WARM_JOB_H

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"

#define S3C_WARM_ID_BYTES    16u           /* hex digits; ever later ones */
#define S3C_WARM_NAME_MAX    255u          /* of a zone, bucket, node */
#define S3C_WARM_KEY_MAX     1024u
#define S3C_WARM_NODES_MAX   64u           /* that are counted apart */
#define S3C_WARM_FILE_MAX    (96u << 10)
#define S3C_WARM_CONC_MAX    256u
#define S3C_WARM_CONC        16u           /* if not said */

typedef enum {
    S3C_WARM_FETCH = 0,                    /* "warm" */
    S3C_WARM_CHECK,
    S3C_WARM_EVICT,
    S3C_WARM_MODES
} s3c_warm_mode_t;

typedef enum {
    S3C_WARM_RUNNING = 0,
    S3C_WARM_DONE,
    S3C_WARM_STOPPED,
    S3C_WARM_FAILED,
    S3C_WARM_STATES
} s3c_warm_state_t;

/* Numbers of a job, in the order of its file and JSON. */
#define S3C_WARM_COUNTS(X)                                                    \
    X(OBJECTS, "objects")                                                     \
    X(BYTES, "bytes")                  /* of them, as far as known */         \
    X(CACHED, "cached")                                                       \
    X(CACHED_BYTES, "cached_bytes")                                           \
    X(FETCHED, "fetched")                                                     \
    X(FETCHED_BYTES, "fetched_bytes")                                         \
    X(MISSING, "missing")                                                     \
    X(DENIED, "denied")                                                       \
    X(NO_ROOM, "no_room")                                                     \
    X(FAILED, "failed")                                                       \
    X(EVICTED, "evicted")                                                     \
    X(BAD_LINES, "bad_lines")

#define S3C_WARM_COUNT(name, text)  S3C_WARM_N_##name,
typedef enum {
    S3C_WARM_COUNTS(S3C_WARM_COUNT)
    S3C_WARM_N
} s3c_warm_count_t;
#undef S3C_WARM_COUNT

typedef struct {
    uint32_t  len;
    uint8_t   data[S3C_WARM_KEY_MAX];
} s3c_warm_text_t;

typedef struct {
    uint8_t   len;                         /* 0: the node alone */
    uint8_t   name[S3C_WARM_NAME_MAX];
    uint64_t  objects;                     /* or parts of large ones */
    uint64_t  bytes;
    uint64_t  away;                        /* times that it was not reached */
} s3c_warm_node_t;

typedef struct {
    uint8_t           id[S3C_WARM_ID_BYTES];
    s3c_warm_mode_t   mode;
    s3c_warm_state_t  state;
    bool              list;                /* else a prefix */
    s3c_warm_text_t   zone;
    s3c_warm_text_t   origin;              /* its URL; empty: the only one */
    s3c_warm_text_t   bucket;              /* of a prefix */
    s3c_warm_text_t   prefix;
    uint64_t          concurrency;
    uint64_t          rate;                /* bytes a second; 0: any */
    uint64_t          begun;               /* seconds since 1970 */
    uint64_t          ended;               /* 0: not yet */
    uint64_t          list_bytes;
    uint64_t          offset;              /* of the list: done before it */
    s3c_warm_text_t   after;               /* of a prefix: done up to it */
    s3c_warm_text_t   error;               /* why it failed */
    uint64_t          count[S3C_WARM_N];   /* of all that is before that */
    uint64_t          n_nodes;
    s3c_warm_node_t   nodes[S3C_WARM_NODES_MAX];
} s3c_warm_job_t;

const char *s3c_warm_mode_name(s3c_warm_mode_t mode);
const char *s3c_warm_state_name(s3c_warm_state_t state);
const char *s3c_warm_count_name(s3c_warm_count_t count);
/* False: it is too long, and *text is empty. */
bool s3c_warm_text_set(s3c_warm_text_t *text, s3c_slice_t s);
bool s3c_warm_id_ok(s3c_slice_t id);
/* Adds to what was counted of a node; beyond NODES_MAX nothing is. */
void s3c_warm_job_node(s3c_warm_job_t *job, s3c_slice_t name,
    uint64_t objects, uint64_t bytes, uint64_t away);

/* The file, at most S3C_WARM_FILE_MAX bytes; its last line is a checksum. */
void s3c_warm_job_print(s3c_writer_t *w, const s3c_warm_job_t *job);
/* CORRUPT: *what names the line that is wrong. */
s3c_status_t s3c_warm_job_parse(s3c_warm_job_t *job, s3c_slice_t file,
    const char **what) S3C_MUST_CHECK;


static inline s3c_slice_t
s3c_warm_text(const s3c_warm_text_t *text)
{
    return s3c_slice(text->data, text->len);
}

#endif

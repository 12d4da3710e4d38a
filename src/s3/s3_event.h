/* SPDX-License-Identifier: Apache-2.0
 *
 * What a bucket notification says has changed. Read are the documents of
 *
 *   S3, Ceph RGW, MinIO, RustFS   {"Records":[{"s3":{"bucket":..,"object":..
 *   EventBridge                   {"detail-type":..,"detail":{"bucket":..
 *   SNS                           {"Type":..,"TopicArn":..,"Message":"..."}
 *                                 around one of the above, and its handshake
 *
 * A document is a whole body in memory, which is overwritten. All of it is
 * checked before the first event is told; nothing is allocated.
 *
 * Keys: S3, MinIO and RustFS write them as in a form ('+' is a space), an RGW
 * and some others as they are, and all call the field the same. Of a record
 * both readings are told if they differ: to drop one key too many is harmless.
 * EventBridge's are as they are.
 */
#ifndef S3C_S3_EVENT_H
#define S3C_S3_EVENT_H

#include "base/slice.h"
#include "base/status.h"
#include "s3/s3_address.h"
#include "s3/s3_json.h"

#define S3C_S3_EVENT_DOCUMENT_MAX   (1024 * 1024)
#define S3C_S3_EVENT_NAME_MAX       64
#define S3C_S3_EVENT_VERSION_MAX    1024
#define S3C_S3_EVENT_SEQUENCER_MAX  64
#define S3C_S3_EVENT_TOKEN_MAX      1024

typedef enum {
    S3C_S3_EVENT_CREATED,
    S3C_S3_EVENT_REMOVED,
    S3C_S3_EVENT_CHANGED,      /* tags, ACL, restore...; anything unknown */
    S3C_S3_EVENT_NOTHING       /* it was read; or no cache can hold it */
} s3c_s3_event_kind_t;

typedef enum {
    S3C_S3_NOTICE_EVENTS,      /* any number, 0 of a test */
    S3C_S3_NOTICE_SUBSCRIBED,  /* SNS asks whether that was wanted */
    S3C_S3_NOTICE_UNSUBSCRIBED /* SNS says that it ends */
} s3c_s3_notice_t;

/* A document; slices point into it. */
typedef struct {
    s3c_s3_notice_t  notice;
    uint32_t         n_events;
    s3c_slice_t      topic;    /* of SNS, or empty */
    s3c_slice_t      url;      /* SUBSCRIBED: printable, or empty */
    s3c_slice_t      token;    /* SUBSCRIBED: letters and digits */

    /* the reader's own */
    s3c_s3_json_t    json;     /* in Records, or at detail */
    bool             bridge;
    bool             ended;
    s3c_slice_t      name;     /* of EventBridge's one event, raw */
} s3c_s3_events_t;

/* One event; slices point into buf. */
typedef struct {
    s3c_s3_event_kind_t  kind;
    unsigned             n_keys;      /* 0: it is about the bucket */
    s3c_slice_t          bucket;
    s3c_slice_t          keys[2];
    s3c_slice_t          version;     /* or empty */
    s3c_slice_t          sequencer;   /* or empty; says nothing that is used */
    s3c_slice_t          name;        /* without "s3:"; empty: none was told */
    size_t               used;
    uint8_t              buf[S3C_S3_BUCKET_BYTES_MAX
                             + 3 * S3C_S3_KEY_BYTES_MAX
                             + S3C_S3_KEY_BYTES_MAX
                             + S3C_S3_EVENT_VERSION_MAX
                             + S3C_S3_EVENT_SEQUENCER_MAX
                             + S3C_S3_EVENT_NAME_MAX];
} s3c_s3_event_t;

/* INVALID: it is none of the above, or something in it that matters is said
 * twice or is not UTF-8. `text` must live as long as `e` is used. */
s3c_status_t s3c_s3_event_open(s3c_s3_events_t *e, uint8_t *text, size_t len)
    S3C_MUST_CHECK;
/* MISS: there are no more. */
s3c_status_t s3c_s3_event_next(s3c_s3_events_t *e, s3c_s3_event_t *event)
    S3C_MUST_CHECK;

#endif

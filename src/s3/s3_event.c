/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of bucket notifications. It goes over a document twice: once to
 * check all of it, and once to tell.
 *
 * LIMITS: of a record, a name of S3C_S3_EVENT_NAME_MAX, a bucket, key and
 * version as long as S3 allows; what is longer is of no object that could be
 * kept.
 */
#include "s3/s3_event.h"

#include "s3/s3_uri.h"
#include "s3/s3_utf8.h"

/* Raw strings of a record, as they stand in the document. */
typedef struct {
    s3c_slice_t  name;
    s3c_slice_t  bucket;
    s3c_slice_t  key;
    s3c_slice_t  version;
    s3c_slice_t  sequencer;
} event_raw_t;

/* What stands at the top of a document. */
typedef struct {
    s3c_slice_t    type;           /* SNS */
    s3c_slice_t    topic;
    s3c_slice_t    url;
    s3c_slice_t    token;
    s3c_slice_t    message;
    s3c_slice_t    detail_type;    /* EventBridge */
    s3c_slice_t    test;
    s3c_s3_json_t  records;        /* .text.len 0: has none */
    s3c_s3_json_t  detail;
} event_top_t;

typedef struct {
    s3c_slice_t   name;
    s3c_slice_t  *value;
} event_field_t;

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


/* The string that is the value of a field; a second one is refused, as readers
 * differ in which of them counts. */
static s3c_status_t
event_field(s3c_s3_json_t *j, s3c_slice_t name, const event_field_t *fields,
    size_t n)
{
    s3c_json_token_t  t;

    if (s3c_s3_json_next(j, &t) != S3C_OK) {
        return S3C_INVALID;
    }

    for (size_t i = 0; i < n; i++) {
        if (!s3c_slice_eq(name, fields[i].name)) {
            continue;
        }

        if (t.kind == S3C_JSON_STRING) {
            if (fields[i].value->data != NULL) {
                return S3C_INVALID;
            }

            *fields[i].value = t.text;
            return S3C_OK;
        }

        if (t.kind != S3C_JSON_WORD) {
            return S3C_INVALID;            /* null, or what is no text */
        }
    }

    return s3c_s3_json_skip(j, &t);
}


/* An object of which only these strings matter. */
static s3c_status_t
event_object(s3c_s3_json_t *j, const event_field_t *fields, size_t n)
{
    s3c_json_token_t  t;

    if (s3c_s3_json_next(j, &t) != S3C_OK || t.kind != S3C_JSON_OBJECT) {
        return S3C_INVALID;
    }

    for ( ;; ) {
        if (s3c_s3_json_next(j, &t) != S3C_OK) {
            return S3C_INVALID;
        }

        if (t.kind == S3C_JSON_OBJECT_END) {
            return S3C_OK;
        }

        if (event_field(j, t.text, fields, n) != S3C_OK) {
            return S3C_INVALID;
        }
    }
}


/* "s3" of a record, or EventBridge's "detail". */
static s3c_status_t
event_s3(s3c_s3_json_t *j, event_raw_t *raw, s3c_slice_t version_name)
{
    const event_field_t  bucket[] = {
        { S3C_SLICE("name"), &raw->bucket },
    };
    const event_field_t  object[] = {
        { S3C_SLICE("key"), &raw->key },
        { version_name, &raw->version },
        { S3C_SLICE("sequencer"), &raw->sequencer },
    };
    s3c_status_t      st;
    s3c_json_token_t  t;

    if (s3c_s3_json_next(j, &t) != S3C_OK || t.kind != S3C_JSON_OBJECT) {
        return S3C_INVALID;
    }

    for ( ;; ) {
        if (s3c_s3_json_next(j, &t) != S3C_OK) {
            return S3C_INVALID;
        }

        if (t.kind == S3C_JSON_OBJECT_END) {
            return raw->bucket.len > 0 ? S3C_OK : S3C_INVALID;
        }

        st = s3c_slice_eq(t.text, S3C_SLICE("bucket"))
             ? event_object(j, bucket, LEN(bucket))
             : s3c_slice_eq(t.text, S3C_SLICE("object"))
               ? event_object(j, object, LEN(object))
               : event_field(j, t.text, NULL, 0);

        if (st != S3C_OK) {
            return S3C_INVALID;
        }
    }
}


/* One of "Records"; its '{' has been taken. */
static s3c_status_t
event_record(s3c_s3_json_t *j, event_raw_t *raw)
{
    const event_field_t  fields[] = {
        { S3C_SLICE("eventName"), &raw->name },
    };
    s3c_status_t      st;
    s3c_json_token_t  t;

    for ( ;; ) {
        if (s3c_s3_json_next(j, &t) != S3C_OK) {
            return S3C_INVALID;
        }

        if (t.kind == S3C_JSON_OBJECT_END) {
            return raw->bucket.len > 0 ? S3C_OK : S3C_INVALID;
        }

        st = s3c_slice_eq(t.text, S3C_SLICE("s3"))
             ? event_s3(j, raw, S3C_SLICE("versionId"))
             : event_field(j, t.text, fields, LEN(fields));

        if (st != S3C_OK) {
            return S3C_INVALID;
        }
    }
}


/* --- from raw strings to an event ---------------------------------------- */

/* Unescapes into the event's own memory. FULL: longer than `max`. */
static s3c_status_t
event_text(s3c_s3_event_t *ev, s3c_slice_t raw, size_t max, s3c_slice_t *text)
{
    s3c_writer_t  w;

    *text = S3C_SLICE_NONE;
    s3c_writer_init(&w, ev->buf + ev->used, max);

    if (s3c_s3_json_unescape(&w, raw) != S3C_OK) {
        return S3C_INVALID;
    }

    if (!s3c_writer_ok(&w)) {
        return S3C_FULL;
    }

    *text = s3c_writer_slice(&w);
    ev->used += text->len;

    return S3C_OK;
}


static bool
event_starts(s3c_slice_t s, s3c_slice_t prefix)
{
    return s.len >= prefix.len
           && memcmp(s.data, prefix.data, prefix.len) == 0;
}


static s3c_s3_event_kind_t
event_kind(s3c_slice_t name)
{
    static const struct {
        s3c_slice_t          name;
        s3c_s3_event_kind_t  kind;
    } kinds[] = {
        { S3C_SLICE("ObjectCreated:"), S3C_S3_EVENT_CREATED },
        { S3C_SLICE("Object Created"), S3C_S3_EVENT_CREATED },
        { S3C_SLICE("ObjectRemoved:"), S3C_S3_EVENT_REMOVED },
        { S3C_SLICE("Object Deleted"), S3C_S3_EVENT_REMOVED },
        { S3C_SLICE("LifecycleExpiration:"), S3C_S3_EVENT_REMOVED },
        { S3C_SLICE("ObjectLifecycle:Expiration"), S3C_S3_EVENT_REMOVED },
        { S3C_SLICE("BucketRemoved:"), S3C_S3_EVENT_REMOVED },
        { S3C_SLICE("ObjectAccessed:"), S3C_S3_EVENT_NOTHING },
    };

    for (size_t i = 0; i < LEN(kinds); i++) {
        if (event_starts(name, kinds[i].name)) {
            return kinds[i].kind;
        }
    }

    return S3C_S3_EVENT_CHANGED;
}


static bool
event_is_key(s3c_slice_t key)
{
    size_t    n;
    uint32_t  cp;

    if (key.len == 0 || key.len > S3C_S3_KEY_BYTES_MAX) {
        return false;
    }

    for (size_t pos = 0; pos < key.len; pos += n) {
        n = s3c_s3_utf8_step(key, pos, &cp);

        if (n == 0 || cp == 0) {
            return false;
        }
    }

    return true;
}


static s3c_status_t
event_keys(s3c_s3_event_t *ev, s3c_slice_t raw, bool bridge)
{
    s3c_slice_t   text, key;
    s3c_writer_t  w;
    s3c_status_t  st;

    st = event_text(ev, raw, 3 * S3C_S3_KEY_BYTES_MAX, &text);

    if (st == S3C_INVALID) {
        return S3C_INVALID;
    }

    if (st == S3C_OK && event_is_key(text)) {
        ev->keys[ev->n_keys++] = text;
    }

    if (st == S3C_OK && !bridge) {
        s3c_writer_init(&w, ev->buf + ev->used, S3C_S3_KEY_BYTES_MAX);

        if (s3c_uri_decode(&w, text, true) == S3C_OK && s3c_writer_ok(&w)) {
            key = s3c_writer_slice(&w);

            if (event_is_key(key) && !s3c_slice_eq(key, text)) {
                ev->used += key.len;
                ev->keys[ev->n_keys++] = key;
            }
        }
    }

    if (ev->n_keys == 0) {
        ev->kind = S3C_S3_EVENT_NOTHING;
    }

    return S3C_OK;
}


static s3c_status_t
event_make(s3c_s3_event_t *ev, const event_raw_t *raw, bool bridge)
{
    s3c_status_t  st;

    ev->used = 0;
    ev->n_keys = 0;

    if (event_text(ev, raw->name, S3C_S3_EVENT_NAME_MAX, &ev->name)
        == S3C_INVALID)
    {
        return S3C_INVALID;
    }

    if (event_starts(ev->name, S3C_SLICE("s3:"))) {
        ev->name = s3c_slice(ev->name.data + 3, ev->name.len - 3);
    }

    ev->kind = event_kind(ev->name);

    st = event_text(ev, raw->bucket, S3C_S3_BUCKET_BYTES_MAX, &ev->bucket);

    if (st == S3C_FULL) {
        ev->kind = S3C_S3_EVENT_NOTHING;

    } else if (st != S3C_OK) {
        return S3C_INVALID;
    }

    if (event_text(ev, raw->version, S3C_S3_EVENT_VERSION_MAX, &ev->version)
        == S3C_INVALID
        || event_text(ev, raw->sequencer, S3C_S3_EVENT_SEQUENCER_MAX,
                      &ev->sequencer)
           == S3C_INVALID)
    {
        return S3C_INVALID;
    }

    if (raw->key.len == 0 || event_starts(ev->name, S3C_SLICE("Bucket"))) {
        return S3C_OK;
    }

    return event_keys(ev, raw->key, bridge);
}


s3c_status_t
s3c_s3_event_next(s3c_s3_events_t *e, s3c_s3_event_t *event)
{
    event_raw_t       raw = { .name = e->name };
    s3c_json_token_t  t;

    if (e->ended) {
        return S3C_MISS;
    }

    if (e->bridge) {
        e->ended = true;

        if (event_s3(&e->json, &raw, S3C_SLICE("version-id")) != S3C_OK) {
            return S3C_INVALID;
        }

        return event_make(event, &raw, true);
    }

    if (s3c_s3_json_next(&e->json, &t) != S3C_OK) {
        return S3C_INVALID;
    }

    if (t.kind == S3C_JSON_ARRAY_END) {
        e->ended = true;
        return S3C_MISS;
    }

    if (t.kind != S3C_JSON_OBJECT || event_record(&e->json, &raw) != S3C_OK) {
        return S3C_INVALID;
    }

    return event_make(event, &raw, false);
}


/* --- the document -------------------------------------------------------- */

/* Where a value begins that is read later. */
static s3c_status_t
event_mark(s3c_s3_json_t *j, s3c_s3_json_t *mark, s3c_json_kind_t kind)
{
    s3c_s3_json_t     here = *j;
    s3c_json_token_t  t;

    if (mark->text.len > 0 || s3c_s3_json_next(j, &t) != S3C_OK
        || t.kind != kind)
    {
        return S3C_INVALID;
    }

    *mark = here;

    return s3c_s3_json_skip(j, &t);
}


static s3c_status_t
event_top(s3c_slice_t text, event_top_t *top)
{
    const event_field_t  fields[] = {
        { S3C_SLICE("Type"), &top->type },
        { S3C_SLICE("TopicArn"), &top->topic },
        { S3C_SLICE("SubscribeURL"), &top->url },
        { S3C_SLICE("Token"), &top->token },
        { S3C_SLICE("Message"), &top->message },
        { S3C_SLICE("detail-type"), &top->detail_type },
        { S3C_SLICE("Event"), &top->test },
    };
    s3c_status_t      st;
    s3c_s3_json_t     j;
    s3c_json_token_t  t;

    s3c_s3_json_init(&j, text);

    if (s3c_s3_json_next(&j, &t) != S3C_OK || t.kind != S3C_JSON_OBJECT) {
        return S3C_INVALID;
    }

    while ((st = s3c_s3_json_next(&j, &t)) == S3C_OK
           && t.kind == S3C_JSON_NAME)
    {
        st = s3c_slice_eq(t.text, S3C_SLICE("Records"))
             ? event_mark(&j, &top->records, S3C_JSON_ARRAY)
             : s3c_slice_eq(t.text, S3C_SLICE("detail"))
               ? event_mark(&j, &top->detail, S3C_JSON_OBJECT)
               : event_field(&j, t.text, fields, LEN(fields));

        if (st != S3C_OK) {
            return S3C_INVALID;
        }
    }

    /* t is the object's '}': nothing may come after it */
    return st == S3C_OK ? s3c_s3_json_next(&j, &t) : S3C_INVALID;
}


/* All of them are looked at, then the reader goes back to the first. */
static s3c_status_t
event_check(s3c_s3_events_t *e)
{
    s3c_status_t     st;
    s3c_s3_json_t    start;
    s3c_s3_event_t   event;
    s3c_json_token_t t;

    if (!e->bridge && s3c_s3_json_next(&e->json, &t) != S3C_OK) {
        return S3C_INVALID;
    }

    start = e->json;
    e->notice = S3C_S3_NOTICE_EVENTS;

    while ((st = s3c_s3_event_next(e, &event)) == S3C_OK) {
        e->n_events++;
    }

    e->json = start;
    e->ended = false;

    return st == S3C_MISS ? S3C_OK : S3C_INVALID;
}


static s3c_status_t
event_plain(s3c_s3_events_t *e, const event_top_t *top)
{
    if (top->records.text.len > 0) {
        e->json = top->records;
        return event_check(e);
    }

    if (top->detail.text.len > 0 && top->detail_type.len > 0) {
        e->json = top->detail;
        e->bridge = true;
        e->name = top->detail_type;
        return event_check(e);
    }

    if (s3c_slice_eq(top->test, S3C_SLICE("s3:TestEvent"))) {
        e->ended = true;
        return S3C_OK;
    }

    return S3C_INVALID;
}


/* Unescapes a string of the document in its place. */
static s3c_status_t
event_in_place(s3c_slice_t *text)
{
    s3c_status_t  st;
    s3c_writer_t  w;

    if (text->len == 0) {
        return S3C_OK;
    }

    s3c_writer_init(&w, (uint8_t *) text->data, text->len);
    st = s3c_s3_json_unescape(&w, *text);
    *text = s3c_writer_slice(&w);

    return st;
}


/* These are shown to an operator and sent to SNS. */
static bool
event_is_printable(s3c_slice_t s, bool plain)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t  c = s.data[i];

        if (c <= 0x20 || c >= 0x7f
            || (plain && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z')
                && !(c >= 'A' && c <= 'Z')))
        {
            return false;
        }
    }

    return true;
}


static s3c_status_t
event_sns(s3c_s3_events_t *e, event_top_t *top)
{
    s3c_slice_t  message = top->message;
    event_top_t  inner = { .type = S3C_SLICE_NONE };

    if (event_in_place(&top->topic) != S3C_OK
        || !event_is_printable(top->topic, false))
    {
        return S3C_INVALID;
    }

    e->topic = top->topic;

    if (s3c_slice_eq(top->type, S3C_SLICE("UnsubscribeConfirmation"))) {
        e->notice = S3C_S3_NOTICE_UNSUBSCRIBED;
        e->ended = true;
        return S3C_OK;
    }

    if (s3c_slice_eq(top->type, S3C_SLICE("SubscriptionConfirmation"))) {
        e->notice = S3C_S3_NOTICE_SUBSCRIBED;
        e->ended = true;
        e->url = top->url;
        e->token = top->token;

        return (event_in_place(&e->url) == S3C_OK
                && event_is_printable(e->url, false)
                && e->token.len > 0
                && e->token.len <= S3C_S3_EVENT_TOKEN_MAX
                && event_is_printable(e->token, true))
               ? S3C_OK : S3C_INVALID;
    }

    if (!s3c_slice_eq(top->type, S3C_SLICE("Notification"))
        || event_in_place(&message) != S3C_OK
        || event_top(message, &inner) != S3C_OK)
    {
        return S3C_INVALID;
    }

    return event_plain(e, &inner);
}


s3c_status_t
s3c_s3_event_open(s3c_s3_events_t *e, uint8_t *text, size_t len)
{
    event_top_t  top = { .type = S3C_SLICE_NONE };

    *e = (s3c_s3_events_t) { .notice = S3C_S3_NOTICE_EVENTS };

    if (len > S3C_S3_EVENT_DOCUMENT_MAX
        || event_top(s3c_slice(text, len), &top) != S3C_OK)
    {
        return S3C_INVALID;
    }

    return top.type.len > 0 && top.topic.len > 0 ? event_sns(e, &top)
                                                 : event_plain(e, &top);
}

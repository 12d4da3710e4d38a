/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read of a notification of each kind of store, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_event.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

#define RECORD(source, name, bucket, object)                                  \
    "{\"eventVersion\":\"2.1\",\"eventSource\":\"" source "\","               \
    "\"awsRegion\":\"us-east-1\",\"eventName\":\"" name "\","                 \
    "\"userIdentity\":{\"principalId\":\"x\"},\"s3\":{"                       \
    "\"s3SchemaVersion\":\"1.0\",\"bucket\":{\"name\":\"" bucket "\","        \
    "\"ownerIdentity\":{\"principalId\":\"y\"},\"arn\":\"arn:aws:s3:::b\"},"  \
    "\"object\":{" object "}}}"
#define RECORDS(more)  "{\"Records\":[" more "]}"
#define BRIDGE(type, object)                                                  \
    "{\"version\":\"0\",\"id\":\"17793124\",\"detail-type\":\"" type "\","    \
    "\"source\":\"aws.s3\",\"resources\":[\"arn:aws:s3:::b\"],\"detail\":{"   \
    "\"version\":\"0\",\"bucket\":{\"name\":\"bkt\"},\"object\":{" object     \
    "},\"request-id\":\"N4N7\",\"reason\":\"PutObject\"}}"
#define SNS(type, more)                                                       \
    "{\"Type\":\"" type "\",\"MessageId\":\"165545c9\",\"TopicArn\":"         \
    "\"arn:aws:sns:us-west-2:123456789012:MyTopic\"," more ","                \
    "\"Timestamp\":\"2012-04-26T20:45:04.751Z\",\"SignatureVersion\":\"1\"}"


/* "kind bucket[key,key]version|" for each, what SNS wants, or "invalid". */
static const char *
events_of(const char *text, size_t len)
{
    static const char  kinds[] = "+-~0";
    static char        out[8192];
    size_t             n;
    uint32_t           count = 0;
    uint8_t           *copy = malloc(len ? len : 1);
    s3c_status_t       st;
    s3c_s3_event_t     ev;
    s3c_s3_events_t    e;

    memcpy(copy, text, len);
    out[0] = '\0';

    if (s3c_s3_event_open(&e, copy, len) != S3C_OK) {
        free(copy);
        return "invalid";
    }

    while ((st = s3c_s3_event_next(&e, &ev)) == S3C_OK) {
        count++;
        n = strlen(out);
        n += (size_t) snprintf(out + n, sizeof(out) - n, "%c%.*s[",
                               kinds[ev.kind], (int) ev.bucket.len,
                               (const char *) ev.bucket.data);

        for (unsigned i = 0; i < ev.n_keys; i++) {
            n += (size_t) snprintf(out + n, sizeof(out) - n, "%s%.*s",
                                   i ? "," : "", (int) ev.keys[i].len,
                                   (const char *) ev.keys[i].data);
        }

        snprintf(out + n, sizeof(out) - n, "]%.*s|", (int) ev.version.len,
                 (const char *) ev.version.data);
    }

    assert_int_equal(st, S3C_MISS);
    assert_int_equal(s3c_s3_event_next(&e, &ev), S3C_MISS);
    assert_int_equal(count, e.n_events);

    if (e.notice == S3C_S3_NOTICE_SUBSCRIBED) {
        snprintf(out, sizeof(out), "subscribe %.*s %.*s %.*s",
                 (int) e.topic.len, (const char *) e.topic.data,
                 (int) e.url.len, (const char *) e.url.data,
                 (int) e.token.len, (const char *) e.token.data);

    } else if (e.notice == S3C_S3_NOTICE_UNSUBSCRIBED) {
        snprintf(out, sizeof(out), "unsubscribe %.*s", (int) e.topic.len,
                 (const char *) e.topic.data);
    }

    free(copy);

    return out;
}


static void
check(const char *text, const char *events)
{
    const char  *got = events_of(text, strlen(text));

    if (strcmp(got, events) != 0) {
        fail_msg("%s\nis read as %s\nand should be %s", text, got, events);
    }
}


static void
each_store_says_it_in_its_own_way(void **state)
{
    static const struct {
        const char  *text;
        const char  *events;
    } rows[] = {
        /* S3 */
        { RECORDS(RECORD("aws:s3", "ObjectCreated:Put", "bkt",
                         "\"key\":\"a/red+flower%C3%A9.jpg\",\"size\":1,"
                         "\"versionId\":\"096fKKXTRTtl3on89fVO.nfljtsv6qko\","
                         "\"sequencer\":\"0055AED6DCD90281E5\"")),
          "+bkt[a/red+flower%C3%A9.jpg,a/red flower\xc3\xa9.jpg]"
          "096fKKXTRTtl3on89fVO.nfljtsv6qko|" },
        { RECORDS(RECORD("aws:s3", "ObjectRemoved:DeleteMarkerCreated", "bkt",
                         "\"key\":\"k\"") ","
                  RECORD("aws:s3", "ObjectTagging:Put", "bkt",
                         "\"key\":\"l\"") ","
                  RECORD("aws:s3", "LifecycleExpiration:Delete", "bkt",
                         "\"key\":\"m\"") ","
                  RECORD("aws:s3", "ObjectAcl:Put", "bkt", "\"key\":\"n\"")),
          "-bkt[k]|~bkt[l]|-bkt[m]|~bkt[n]|" },
        { "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Time\":"
          "\"2014-10-13T15:57:02.089Z\",\"Bucket\":\"bucketname\"}", "" },

        /* MinIO, RustFS */
        { "{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"bkt/a b\","
          "\"Records\":["
          RECORD("minio:s3", "s3:ObjectCreated:Put", "bkt",
                 "\"key\":\"d%2Fa+b\",\"versionId\":\"null\"") "]}",
          "+bkt[d%2Fa+b,d/a b]null|" },
        { RECORDS(RECORD("minio:s3", "s3:ObjectAccessed:Get", "bkt",
                         "\"key\":\"k\"")), "0bkt[k]|" },
        { RECORDS(RECORD("minio:s3", "s3:BucketRemoved:*", "bkt",
                         "\"key\":\"\"")), "-bkt[]|" },
        { RECORDS(RECORD("rustfs:s3", "s3:ObjectRemoved:Delete", "bkt",
                         "\"key\":\"k%2B\"")), "-bkt[k%2B,k+]|" },

        /* Ceph */
        { RECORDS(RECORD("ceph:s3", "ObjectCreated:Copy", "bkt",
                         "\"key\":\"a b+\xc3\xa9/x%zz\",\"size\":4,"
                         "\"eTag\":\"e\",\"versionId\":\"\",\"metadata\":["
                         "{\"key\":\"x-amz-meta-m\",\"val\":\"\xe9\"}]")),
          "+bkt[a b+\xc3\xa9/x%zz]|" },

        /* EventBridge: keys as they are */
        { BRIDGE("Object Created", "\"key\":\"a+b%20c\",\"size\":5,"
                 "\"version-id\":\"v1\",\"sequencer\":\"617f08299329d189\""),
          "+bkt[a+b%20c]v1|" },
        { BRIDGE("Object Deleted", "\"key\":\"\\u00e9\""),
          "-bkt[\xc3\xa9]|" },
        { BRIDGE("Object Tags Added", "\"key\":\"k\""), "~bkt[k]|" },

        /* no key: the bucket; no name: whatever it was */
        { RECORDS("{\"s3\":{\"bucket\":{\"name\":\"bkt\"}}}"), "~bkt[]|" },
        { "{\"Records\":[]}", "" },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        check(rows[i].text, rows[i].events);
    }
}


static void
sns_wraps_any_of_them(void **state)
{
    (void) state;

    check(SNS("Notification",
              "\"Subject\":\"Amazon S3 Notification\",\"Message\":"
              "\"{\\\"Records\\\":[{\\\"eventName\\\":\\\"ObjectCreated:Put"
              "\\\",\\\"s3\\\":{\\\"bucket\\\":{\\\"name\\\":\\\"bkt\\\"},"
              "\\\"object\\\":{\\\"key\\\":\\\"a\\\\u00e9\\\"}}}]}\""),
          "+bkt[a\xc3\xa9]|");
    check(SNS("Notification",
              "\"Message\":\"{\\\"Service\\\":\\\"Amazon S3\\\",\\\"Event"
              "\\\":\\\"s3:TestEvent\\\"}\""), "");
    check(SNS("SubscriptionConfirmation",
              "\"Token\":\"2336412f37\",\"Message\":\"You have chosen to "
              "subscribe\",\"SubscribeURL\":\"https:\\/\\/sns.us-west-2."
              "amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37\""),
          "subscribe arn:aws:sns:us-west-2:123456789012:MyTopic "
          "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription"
          "&Token=2336412f37 2336412f37");
    check(SNS("UnsubscribeConfirmation", "\"Token\":\"23\",\"Message\":\"x\""),
          "unsubscribe arn:aws:sns:us-west-2:123456789012:MyTopic");
}


static void
what_is_not_understood_is_refused(void **state)
{
    static const char  *rows[] = {
        "", "{}", "[]", "null", "\"Records\"", "{\"Records\":{}}",
        "{\"Records\":null}", "{\"Records\":[{}]}", "{\"Records\":[1]}",
        "{\"Records\":[],\"Records\":[]}", "{\"Records\":[]}x",
        "{\"Records\":[{\"s3\":[]}]}",
        RECORDS(RECORD("aws:s3", "x", "", "\"key\":\"k\"")),
        RECORDS(RECORD("aws:s3", "x", "b", "\"key\":7")),
        RECORDS(RECORD("aws:s3", "x", "b", "\"key\":[]")),
        RECORDS(RECORD("aws:s3", "x", "b", "\"key\":\"\xff\"")),
        RECORDS(RECORD("aws:s3", "x", "b", "\"key\":\"\\ud800\"")),
        RECORDS(RECORD("aws:s3", "x", "b", "\"key\":\"\\u0000\"")),

        /* said twice: which one counts? */
        RECORDS(RECORD("aws:s3", "x", "b", "\"key\":\"k\",\"key\":\"l\"")),
        RECORDS("{\"s3\":{\"bucket\":{\"name\":\"a\"}},"
                "\"s3\":{\"bucket\":{\"name\":\"b\"}}}"),

        /* the first is right, the second is not: neither is told */
        RECORDS(RECORD("aws:s3", "x", "b", "\"key\":\"k\"") ",{}"),
        BRIDGE("", "\"key\":\"k\""),
        "{\"detail-type\":\"Object Created\",\"detail\":{}}",
        "{\"detail-type\":\"Object Created\"}",
        "{\"Event\":\"s3:OtherEvent\"}",
        SNS("Other", "\"Message\":\"{}\""),
        SNS("Notification", "\"Message\":\"no JSON\""),
        SNS("Notification", "\"Message\":\"{}\""),
        SNS("Notification", "\"Message\":\"{\\\"Type\\\":\\\"Notification"
            "\\\",\\\"TopicArn\\\":\\\"x\\\",\\\"Message\\\":\\\"{}\\\"}\""),
        SNS("Notification", "\"Subject\":\"no message\""),
        SNS("SubscriptionConfirmation", "\"SubscribeURL\":\"https://x/\""),
        SNS("SubscriptionConfirmation", "\"Token\":\"a b\""),
        SNS("SubscriptionConfirmation", "\"Token\":\"a&b=c\""),
        SNS("SubscriptionConfirmation", "\"Token\":\"a\",\"SubscribeURL\":"
            "\"https://x/\\n[alert] forged\""),
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        check(rows[i], "invalid");
    }
}


/* RECORDS of one key of `len` bytes, which `each` repeats. */
static const char *
long_key(const char *each, size_t len)
{
    static char  text[16384];
    size_t       n;

    n = (size_t) snprintf(text, sizeof(text), "{\"Records\":[{\"s3\":{"
                          "\"bucket\":{\"name\":\"bkt\"},\"object\":{"
                          "\"key\":\"");

    for (size_t i = 0; i < len; i++) {
        n += (size_t) snprintf(text + n, sizeof(text) - n, "%s", each);
    }

    snprintf(text + n, sizeof(text) - n, "\"}}}]}");

    return text;
}


static void
a_key_that_no_object_can_have_is_no_bucket(void **state)
{
    static char  want[4096];

    (void) state;

    for (size_t i = 0; i < S3C_S3_KEY_BYTES_MAX; i++) {
        want[5 + i] = 'a';
    }

    memcpy(want, "~bkt[", 5);
    strcpy(want + 5 + S3C_S3_KEY_BYTES_MAX, "]|");

    check(long_key("a", S3C_S3_KEY_BYTES_MAX), want);
    check(long_key("%61", S3C_S3_KEY_BYTES_MAX), want);
    check(long_key("\\u0061", S3C_S3_KEY_BYTES_MAX), want);
    check(long_key("a", S3C_S3_KEY_BYTES_MAX + 1), "0bkt[]|");
    check(long_key("%61", S3C_S3_KEY_BYTES_MAX + 1), "0bkt[]|");
    check(long_key("%ff", 1), "~bkt[%ff]|");
    check(long_key("%00", 1), "~bkt[%00]|");
}


static void
a_document_has_a_largest_size(void **state)
{
    size_t    size = S3C_S3_EVENT_DOCUMENT_MAX;
    char     *text = malloc(size + 1);

    (void) state;

    memset(text, ' ', size + 1);
    memcpy(text, "{\"Records\":[]}", 14);
    assert_string_equal(events_of(text, size), "");
    assert_string_equal(events_of(text, size + 1), "invalid");
    free(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(each_store_says_it_in_its_own_way),
        cmocka_unit_test(sns_wraps_any_of_them),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(a_key_that_no_object_can_have_is_no_bucket),
        cmocka_unit_test(a_document_has_a_largest_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

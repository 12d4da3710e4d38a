/* SPDX-License-Identifier: Apache-2.0
 *
 * What the decoder asks of a verifier, in which order, in pieces of every size,
 * and what becomes of its answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/s3_chunked.h"

#define S(text)  s3c_slice(text, strlen(text))
#define SIG(d)   d d d d d d d d d d d d d d d d d d d d d d d d d d d d d d d d

#define ONE    SIG("1a")
#define TWO    SIG("2b")
#define THREE  SIG("3c")
#define FOUR   SIG("4d")

#define BODY(trailer)                                                         \
    "4;chunk-signature=" ONE "\r\n1234\r\n"                                   \
    "5;chunk-signature=" TWO "\r\n56789\r\n"                                  \
    "0;chunk-signature=" THREE "\r\n" trailer "\r\n"
#define SUM    "x-amz-checksum-crc32:y/Q5Jg==\r\n"
#define SIGNED "x-amz-trailer-signature:" FOUR "\r\n"

/* the questions, as text; parts of one chunk are joined */
typedef struct {
    char          text[1024];
    size_t        len;
    const char   *refuse;        /* the question that is answered DENIED */
} log_t;


static s3c_status_t
say(log_t *log, const char *word, s3c_slice_t what)
{
    log->len += (size_t) snprintf(log->text + log->len,
                                  sizeof(log->text) - log->len, "%s%.*s",
                                  word, (int) what.len,
                                  (const char *) what.data);
    assert_true(log->len < sizeof(log->text));

    return log->refuse && strcmp(word, log->refuse) == 0 ? S3C_DENIED : S3C_OK;
}


static s3c_status_t
on_begin(void *data, s3c_slice_t signature)
{
    assert_int_equal(signature.len, S3C_S3_CHUNK_SIGNATURE);

    return say(data, " begin ", s3c_slice(signature.data, 2));
}


static s3c_status_t
on_add(void *data, s3c_slice_t part)
{
    log_t  *log = data;

    assert_true(part.len > 0);

    /* the first of a chunk follows its signature */
    if (log->text[log->len - 2] >= '1' && log->text[log->len - 2] <= '3'
        && log->text[log->len - 1] >= 'a')
    {
        (void) say(log, " ", S3C_SLICE_NONE);
    }

    return say(log, "", part) == S3C_OK && log->refuse
           && strcmp(log->refuse, "add") == 0 ? S3C_DENIED : S3C_OK;
}


static s3c_status_t
on_end(void *data)
{
    return say(data, " end", S3C_SLICE_NONE);
}


static s3c_status_t
on_trailer(void *data, s3c_slice_t name, s3c_slice_t value,
    s3c_slice_t signature)
{
    s3c_status_t  st;

    assert_int_equal(signature.len, S3C_S3_CHUNK_SIGNATURE);
    st = say(data, " trailer ", name);
    (void) say(data, "=", value);
    (void) say(data, " ", s3c_slice(signature.data, 2));

    return st;
}


static s3c_status_t
decode(log_t *log, s3c_payload_t payload, const char *trailer,
    const char *text, size_t piece)
{
    size_t            len = strlen(text), n, used;
    s3c_slice_t       data;
    s3c_status_t      st = S3C_AGAIN;
    s3c_s3_chunked_t  c;

    assert_int_equal(s3c_s3_chunked_init(&c, payload, 9, S(trailer)), S3C_OK);

    log->len = 0;
    c.verifier = (s3c_s3_chunk_verifier_t) {
        log, on_begin, on_add, on_end, on_trailer
    };

    while (len > 0 && st == S3C_AGAIN) {
        n = len < piece ? len : piece;
        st = s3c_s3_chunked_step(&c, s3c_slice(text, n), &data, &used);
        text += used;
        len -= used;
    }

    s3c_s3_chunked_fini(&c);

    return st;
}


#define CHUNKS  " begin 1a 1234 end begin 2b 56789 end begin 3c end"


static void
each_chunk_is_asked_about_in_its_turn(void **state)
{
    log_t  log = { .refuse = NULL };

    for (size_t piece = 1; piece < 400; piece++) {
        assert_int_equal(decode(&log, S3C_PAYLOAD_SIGNED_CHUNKS, "", BODY(""),
                                piece), S3C_OK);
        assert_string_equal(log.text, CHUNKS);

        assert_int_equal(decode(&log, S3C_PAYLOAD_SIGNED_TRAILER,
                                "x-amz-checksum-crc32", BODY(SUM SIGNED),
                                piece), S3C_OK);
        assert_string_equal(log.text, CHUNKS " trailer x-amz-checksum-crc32="
                                      "y/Q5Jg== 4d");

        assert_int_equal(decode(&log, S3C_PAYLOAD_SIGNED_TRAILER, "",
                                BODY(SIGNED), piece), S3C_OK);
        assert_string_equal(log.text, CHUNKS " trailer = 4d");
    }
}


static void
a_refusal_ends_the_body(void **state)
{
    static const char  *words[] = { " begin ", "add", " end", " trailer " };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        log_t  log = { .refuse = words[i] };

        for (size_t piece = 1; piece < 400; piece++) {
            assert_int_equal(decode(&log, S3C_PAYLOAD_SIGNED_TRAILER,
                                    "x-amz-checksum-crc32", BODY(SUM SIGNED),
                                    piece), S3C_DENIED);
        }
    }
}


static void
a_trailer_without_its_signature_is_refused(void **state)
{
    static const char  *trailers[] = {
        BODY(SUM), BODY(""), BODY(SIGNED),
        BODY(SUM SIGNED SIGNED),
        BODY(SIGNED SUM),                        /* it signs what is before */
        BODY(SUM "x-amz-trailer-signature:4d\r\n"),
        BODY(SUM "x-amz-trailer-signature:\r\n"),
    };

    for (size_t i = 0; i < sizeof(trailers) / sizeof(trailers[0]); i++) {
        log_t  log = { .refuse = NULL };

        assert_int_equal(decode(&log, S3C_PAYLOAD_SIGNED_TRAILER,
                                "x-amz-checksum-crc32", trailers[i], 7),
                         S3C_INVALID);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(each_chunk_is_asked_about_in_its_turn),
        cmocka_unit_test(a_refusal_ends_the_body),
        cmocka_unit_test(a_trailer_without_its_signature_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

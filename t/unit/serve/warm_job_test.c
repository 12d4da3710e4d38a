/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of jobs: what is printed is parsed to the same, all else is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/warm_job.h"

static s3c_warm_job_t  job, other;
static uint8_t         buf[S3C_WARM_FILE_MAX], copy[S3C_WARM_FILE_MAX];


static void
text(s3c_warm_text_t *to, const char *s)
{
    assert_true(s3c_warm_text_set(to, s3c_slice(s, strlen(s))));
}


static void
job_make(bool list)
{
    memset(&job, 0, sizeof(job));
    memcpy(job.id, "0123456789abcdef", S3C_WARM_ID_BYTES);
    job.mode = S3C_WARM_CHECK;
    job.state = S3C_WARM_STOPPED;
    job.list = list;
    job.concurrency = 7;
    job.rate = UINT64_MAX;
    job.begun = 1234567890;
    text(&job.zone, "hot");
    text(&job.error, "a \n line % of\x01 it");

    if (list) {
        job.list_bytes = 100;
        job.offset = 99;

    } else {
        text(&job.bucket, "b");
        text(&job.prefix, "p /\xff");
        text(&job.after, "p /\xff/k");
    }

    for (int i = 0; i < S3C_WARM_N; i++) {
        job.count[i] = (uint64_t) i * 1000000007u;
    }

    s3c_warm_job_node(&job, S3C_SLICE("n 1"), 3, 4, 0);
    s3c_warm_job_node(&job, S3C_SLICE_NONE, 1, 1, 1);
    s3c_warm_job_node(&job, S3C_SLICE("n 1"), 1, 1, 0);
}


static s3c_slice_t
printed(void)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_warm_job_print(&w, &job);
    assert_true(s3c_writer_ok(&w));

    return s3c_writer_slice(&w);
}


static s3c_status_t
parsed(s3c_slice_t file, const char **what)
{
    s3c_status_t  st;
    uint8_t      *just = malloc(file.len + 1);

    memcpy(just, file.data, file.len);
    st = s3c_warm_job_parse(&other, s3c_slice(just, file.len), what);
    free(just);

    return st;
}


static void
what_is_printed_is_parsed(void **state)
{
    s3c_slice_t  file;
    const char  *what;

    (void) state;

    for (int list = 0; list < 2; list++) {
        job_make(list != 0);
        assert_int_equal(job.n_nodes, 2);
        assert_int_equal(job.nodes[0].objects, 4);
        file = printed();
        assert_int_equal(parsed(file, &what), S3C_OK);
        assert_memory_equal(&job, &other, sizeof(job));
    }
}


static void
the_largest_one_fits(void **state)
{
    char         name[S3C_WARM_NAME_MAX];
    const char  *what;

    (void) state;
    job_make(false);
    memset(name, 0xff, sizeof(name));

    for (int i = 0; i < 100; i++) {
        name[0] = (char) i;
        s3c_warm_job_node(&job, s3c_slice(name, sizeof(name)), UINT64_MAX / 2,
                          UINT64_MAX / 2, UINT64_MAX / 2);
    }

    assert_int_equal(job.n_nodes, S3C_WARM_NODES_MAX);
    memset(job.prefix.data, 0, job.prefix.len = S3C_WARM_KEY_MAX);
    memset(job.after.data, 0, job.after.len = S3C_WARM_KEY_MAX);
    assert_int_equal(parsed(printed(), &what), S3C_OK);
}


static void
a_wrong_byte_is_seen(void **state)
{
    s3c_slice_t  file;
    const char  *what;

    (void) state;
    job_make(false);
    file = printed();
    memcpy(copy, file.data, file.len);

    for (size_t i = 0; i < file.len; i++) {
        copy[i] ^= 1;
        assert_int_equal(parsed(s3c_slice(copy, file.len), &what),
                         S3C_CORRUPT);
        copy[i] ^= 1;
        assert_int_equal(parsed(s3c_slice(copy, i), &what), S3C_CORRUPT);
    }

    assert_int_equal(parsed(s3c_slice(copy, file.len), &what), S3C_OK);
}


/* Its sum is right, and yet it is none. */
#define refused(words, change)                                                \
    do {                                                                      \
        const char  *what;                                                    \
        job_make(false);                                                      \
        change;                                                               \
        assert_int_equal(parsed(printed(), &what), S3C_CORRUPT);              \
        assert_string_equal(what, words);                                     \
    } while (0)


static void
what_cannot_be_is_refused(void **state)
{
    (void) state;
    refused("id", job.id[0] = 'X');
    refused("concurrency", job.concurrency = S3C_WARM_CONC_MAX + 1);
    refused("what it is", job.concurrency = 0);
    refused("what it is", job.zone.len = 0);
    refused("what it is", job.bucket.len = 0);
    refused("what it is", job.offset = 1);
    refused("what it is", job.list = true);
    refused("offset", job.offset = UINT64_MAX);
    refused("zone", job.zone.len = S3C_WARM_NAME_MAX + 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_is_printed_is_parsed),
        cmocka_unit_test(the_largest_one_fits),
        cmocka_unit_test(a_wrong_byte_is_seen),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl verify s3://bucket/prefix: is what the cache has what the store
 * has? Lists the store, asks the node which of these objects it or its ring
 * has, reads those through the gateway and straight from the store, and
 * compares ETag, length and SHA-256. What differs is read once more, since it
 * may have been written in between.
 *
 * Nothing is kept but counts, a page of the list and the sample.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl_clock.h"
#include "ctl/ctl_compare.h"
#include "ctl/ctl_explain.h"
#include "s3/s3_list_page.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_text.h"

#define VERIFY_SAMPLE      100
#define VERIFY_SAMPLE_MAX  1000000
#define VERIFY_SHOWN_MAX   1000        /* differences that are in the JSON */
#define VERIFY_FAILED_MAX  10          /* in a row: then it is given up */
#define VERIFY_EVERY_S     0.5

typedef struct {
    ctl_t        *ctl;
    ctl_target_t  target;              /* its key is the prefix */
    uint64_t      seed, state;
    uint64_t      listed, looked_at, not_cached, compared, different, failed;
    unsigned      failed_in_row;
    uint64_t      bytes;
    double        shown_s;
    char        **sample;              /* keys, as slices with a length */
    size_t       *sample_len;
    size_t        n_sample;
    json_t       *found;               /* array of differences */
} verify_t;


/* splitmix64 */
static uint64_t
verify_random(verify_t *v)
{
    uint64_t  n = v->state += 0x9e3779b97f4a7c15;

    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
    n = (n ^ (n >> 27)) * 0x94d049bb133111eb;

    return n ^ (n >> 31);
}


static void
verify_progress(verify_t *v, bool over)
{
    double  now = ctl_clock_s();

    if (v->ctl->options.json || !isatty(STDERR_FILENO)) {
        return;
    }

    if (over) {
        (void) fputs("\r\033[K", stderr);

    } else if (now - v->shown_s >= VERIFY_EVERY_S) {
        v->shown_s = now;
        (void) fprintf(stderr, "\r\033[K%s listed, %s compared (%s), %s "
                       "differ", ctl_count(v->listed),
                       ctl_count(v->compared), ctl_bytes(v->bytes),
                       ctl_count(v->different));
    }

    (void) fflush(stderr);
}


/* --- what is found -------------------------------------------------------- */

static void
verify_put_name(FILE *out, const verify_t *v, s3c_slice_t key)
{
    (void) fputs("s3://", out);
    ctl_text_put(out, v->target.bucket);
    (void) fputc('/', out);
    ctl_text_put(out, key);
}


/* With `cache` and `store` if they differ, without if it failed. */
static void
verify_note(verify_t *v, s3c_slice_t key, const char *why,
    const ctl_side_t *cache, const ctl_side_t *store)
{
    json_t  *json;

    verify_progress(v, true);

    if (!v->ctl->options.json) {
        (void) printf(cache != NULL ? "differs: " : "failed: ");
        verify_put_name(stdout, v, key);
        (void) printf(": ");
        ctl_text_put(stdout, s3c_slice(why, strlen(why)));
        (void) printf("\n");

        if (cache != NULL) {
            ctl_side_put("cache:", cache);
            ctl_side_put("store:", store);
        }

        (void) fflush(stdout);
        return;
    }

    if (json_array_size(v->found) >= VERIFY_SHOWN_MAX) {
        return;
    }

    json = json_object();
    (void) json_object_set_new(json, "key",
                               json_stringn((const char *) key.data,
                                            key.len));
    (void) json_object_set_new(json, cache != NULL ? "differs" : "failed",
                               json_string(why));

    if (cache != NULL) {
        (void) json_object_set_new(json, "cache", ctl_side_json(cache));
        (void) json_object_set_new(json, "store", ctl_side_json(store));
    }

    (void) json_array_append_new(v->found, json);
}


/* --- one object ----------------------------------------------------------- */

static ctl_exit_t
verify_read(verify_t *v, s3c_slice_t key)
{
    const char    *why;
    ctl_side_t     cache, store;
    ctl_exit_t     end;
    ctl_target_t   target = v->target;

    target.key = key;
    end = ctl_compare_read(v->ctl, &target, &cache, &store);

    if (end != CTL_OK) {
        return end;
    }

    if (ctl_side_is_passed(&cache)) {
        /* it left the cache since the node was asked */
        v->not_cached++;
        return CTL_OK;
    }

    if (ctl_compare(&cache, &store) != NULL) {
        end = ctl_compare_read(v->ctl, &target, &cache, &store);

        if (end != CTL_OK) {
            return end;
        }
    }

    why = ctl_compare(&cache, &store);
    v->compared++;
    v->bytes += cache.size;

    if (why != NULL) {
        v->different++;
        verify_note(v, key, why, &cache, &store);
    }

    return CTL_OK;
}


static ctl_exit_t
verify_object(verify_t *v, s3c_slice_t key)
{
    json_t        *json;
    ctl_exit_t     end;
    ctl_target_t   target = v->target;

    target.key = key;
    v->looked_at++;

    end = ctl_explain_ask(v->ctl, &target, &json);

    if (end == CTL_DENIED || end == CTL_UNREACHABLE || end == CTL_WRONG) {
        /* without the node there is nothing to verify */
        return end;
    }

    if (end != CTL_OK) {
        json = NULL;

    } else if (!ctl_explain_any(json)) {
        v->not_cached++;

    } else {
        end = verify_read(v, key);
    }

    json_decref(json);

    if (end == CTL_WRONG) {
        /* nor without a gateway or a store */
        return end;
    }

    if (end == CTL_OK) {
        v->failed_in_row = 0;

    } else if (++v->failed_in_row < VERIFY_FAILED_MAX) {
        v->failed++;
        verify_note(v, key, v->ctl->error, NULL, NULL);
        v->ctl->error[0] = '\0';
        end = CTL_OK;
    }

    verify_progress(v, false);

    return end;
}


/* --- all of them, or some ------------------------------------------------- */

/* Each key has the same chance to be in the sample (algorithm R). */
static void
verify_maybe(verify_t *v, s3c_slice_t key)
{
    uint64_t  at = v->listed - 1, most = v->ctl->options.sample;

    if (at >= most) {
        at = verify_random(v) % v->listed;

        if (at >= most) {
            return;
        }

        free(v->sample[at]);

    } else {
        v->n_sample++;
    }

    v->sample[at] = ctl_copy(key);
    v->sample_len[at] = key.len;
}


static ctl_exit_t
verify_page(verify_t *v, s3c_slice_t after, ctl_answer_t *answer)
{
    ctl_t         *ctl = v->ctl;
    ctl_ask_t      ask = { .method = "GET", .max = S3C_S3_PAGE_MAX };
    uint8_t        path[CTL_BUCKET_MAX + 1];
    ctl_exit_t     end;
    static char    query[CTL_QUERY_MAX];
    s3c_writer_t   w;

    s3c_writer_init(&w, path, sizeof(path));
    s3c_write_byte(&w, '/');
    s3c_write_slice(&w, v->target.bucket);
    ask.path = s3c_writer_slice(&w);

    s3c_writer_init(&w, query, sizeof(query));
    s3c_s3_page_query(&w, v->target.key, after);
    ask.query = s3c_writer_slice(&w);

    ask.at = &ctl->conf.origin;
    ask.keys = &ctl->conf.origin_keys;

    end = ctl_http_ask(ctl, &ask, answer);

    if (end == CTL_OK && answer->status != 200) {
        end = ctl_fail(ctl, answer->status == 403 ? CTL_DENIED : CTL_REFUSED,
                       "the store answers %ld to a list of the bucket",
                       answer->status);
        ctl_answer_fini(answer);
    }

    return end;
}


/* Of one page; *after: its last key. */
static ctl_exit_t
verify_keys(verify_t *v, s3c_s3_page_t *list, uint8_t *last, size_t *last_len)
{
    size_t        n = 0;
    ctl_exit_t    end = CTL_OK;
    s3c_slice_t   key;
    s3c_status_t  st = S3C_OK;

    while (end == CTL_OK && (st = s3c_s3_page_next(list, &key)) == S3C_OK) {
        n++;
        v->listed++;
        memcpy(last, key.data, key.len);
        *last_len = key.len;

        if (v->ctl->options.all) {
            end = verify_object(v, key);

        } else {
            verify_maybe(v, key);
            verify_progress(v, false);
        }
    }

    if (end == CTL_OK && (st != S3C_MISS || (n == 0 && list->truncated))) {
        end = ctl_fail(v->ctl, CTL_WRONG, "the list of the store cannot be "
                       "read");
    }

    return end;
}


static ctl_exit_t
verify_list(verify_t *v)
{
    size_t         last_len = 0, before_len;
    uint8_t        last[CTL_KEY_MAX], before[CTL_KEY_MAX];
    ctl_exit_t     end;
    ctl_answer_t   answer;
    static s3c_s3_page_t  list;

    do {
        before_len = last_len;
        memcpy(before, last, last_len);
        end = verify_page(v, s3c_slice(last, last_len), &answer);

        if (end != CTL_OK) {
            return end;
        }

        if (s3c_s3_page_open(&list, s3c_slice(answer.body, answer.len))
            != S3C_OK)
        {
            end = ctl_fail(v->ctl, CTL_WRONG, "the list of the store cannot "
                           "be read");
        }

        if (end == CTL_OK) {
            end = verify_keys(v, &list, last, &last_len);
        }

        ctl_answer_fini(&answer);

        if (end == CTL_OK && list.truncated
            && s3c_slice_eq(s3c_slice(last, last_len),
                            s3c_slice(before, before_len)))
        {
            end = ctl_fail(v->ctl, CTL_WRONG, "the list of the store does not "
                           "go on");
        }

    } while (end == CTL_OK && list.truncated);

    return end;
}


static void
verify_print(const verify_t *v)
{
    if (v->ctl->options.json) {
        json_t  *json = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}",
                                  "seed", (json_int_t) v->seed,
                                  "listed", (json_int_t) v->listed,
                                  "looked_at", (json_int_t) v->looked_at,
                                  "not_cached", (json_int_t) v->not_cached,
                                  "compared", (json_int_t) v->compared,
                                  "bytes", (json_int_t) v->bytes,
                                  "different", (json_int_t) v->different,
                                  "failed", (json_int_t) v->failed,
                                  "found", v->found);

        ctl_json_print(stdout, json);
        json_decref(json);
        return;
    }

    (void) printf("%s listed, %s looked at, %s not cached, %s compared (%s)",
                  ctl_count(v->listed), ctl_count(v->looked_at),
                  ctl_count(v->not_cached), ctl_count(v->compared),
                  ctl_bytes(v->bytes));
    (void) printf(": %s differ, %s failed", ctl_count(v->different),
                  ctl_count(v->failed));

    if (!v->ctl->options.all && v->listed > v->looked_at) {
        (void) printf(" (--seed %llu)", (unsigned long long) v->seed);
    }

    (void) printf("\n");
}


static ctl_exit_t
verify_run(verify_t *v)
{
    ctl_exit_t  end = verify_list(v);

    for (size_t i = 0; i < v->n_sample && end == CTL_OK; i++) {
        end = verify_object(v, s3c_slice(v->sample[i], v->sample_len[i]));
    }

    verify_progress(v, true);

    if (end != CTL_OK) {
        return end;
    }

    verify_print(v);

    return v->different > 0 ? CTL_NO : v->failed > 0 ? CTL_REFUSED : CTL_OK;
}


ctl_exit_t
ctl_verify(ctl_t *ctl)
{
    verify_t     v = { .ctl = ctl };
    const char  *why;
    ctl_exit_t   end;

    if (ctl_target_parse(&v.target, s3c_slice(ctl->args[0],
                                              strlen(ctl->args[0])), &why)
        != S3C_OK)
    {
        return ctl_fail(ctl, CTL_USAGE, "\"%s\": %s", ctl->args[0], why);
    }

    if (ctl->conf.origin.host[0] == '\0') {
        return ctl_fail(ctl, CTL_USAGE, "which store? --origin URL");
    }

    if (ctl->options.all && ctl->options.sample > 0) {
        return ctl_fail(ctl, CTL_USAGE, "--all or --sample, not both");
    }

    if (ctl->options.sample == 0) {
        ctl->options.sample = VERIFY_SAMPLE;
    }

    if (ctl->options.sample > VERIFY_SAMPLE_MAX) {
        return ctl_fail(ctl, CTL_USAGE, "--sample: a million at most");
    }

    v.seed = ctl->options.seed != 0 ? ctl->options.seed
                                    : (uint64_t) time(NULL);
    v.state = v.seed;
    v.found = json_array();

    if (!ctl->options.all) {
        v.sample = ctl_alloc(ctl->options.sample * sizeof(char *));
        v.sample_len = ctl_alloc(ctl->options.sample * sizeof(size_t));
    }

    end = verify_run(&v);

    for (size_t i = 0; i < v.n_sample; i++) {
        free(v.sample[i]);
    }

    free(v.sample);
    free(v.sample_len);
    json_decref(v.found);

    return end;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl warmup: a job is posted to the ring (ADR 0029 has its interface)
 * and watched. The ring does the work: who watches may leave and come back.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/ctl_clock.h"
#include "ctl/ctl_jobs.h"
#include "ctl/ctl_text.h"
#include "ctl/ctl_upload.h"

#define WARMUP_EVERY_S   1.0
#define WARMUP_PLAIN_S   10.0          /* between lines, without a terminal */
#define WARMUP_BAR       24
#define WARMUP_ID_MAX    64

typedef struct {
    ctl_t    *ctl;
    char      id[WARMUP_ID_MAX + 1];
    double    begun_s, shown_s;
    double    last_s;                  /* of the numbers before */
    uint64_t  last_objects, last_bytes;
    uint64_t  bad_lines;               /* of an inventory: never sent */
    double    objects_per_s, bytes_per_s;
    bool      live;                    /* stderr is a terminal */
} warmup_t;

static volatile sig_atomic_t  warmup_left;


static void
warmup_on_signal(int number)
{
    warmup_left = number;
}


static void
warmup_add(ctl_query_t *query, const char *name, const char *value)
{
    ctl_query_add(query, name, s3c_slice(value, strlen(value)));
}


/* --- a job ---------------------------------------------------------------- */

static ctl_exit_t
warmup_query(ctl_t *ctl, ctl_query_t *query)
{
    char            digits[24];
    const char     *why;
    ctl_target_t    target;
    ctl_options_t  *o = &ctl->options;

    ctl_query_init(query);

    if (o->list != NULL || o->inventory != NULL) {
        warmup_add(query, "warmup", "list");

    } else {
        if (ctl_target_parse(&target, s3c_slice(ctl->args[0],
                                                strlen(ctl->args[0])), &why)
            != S3C_OK)
        {
            return ctl_fail(ctl, CTL_USAGE, "\"%s\": %s", ctl->args[0], why);
        }

        warmup_add(query, "warmup", "prefix");
        ctl_query_add(query, "bucket", target.bucket);

        if (target.key.len > 0) {
            ctl_query_add(query, "prefix", target.key);
        }
    }

    if (o->check || o->evict) {
        warmup_add(query, "mode", o->check ? "check" : "evict");
    }

    if (o->concurrency > 0) {
        (void) snprintf(digits, sizeof(digits), "%llu",
                        (unsigned long long) o->concurrency);
        warmup_add(query, "concurrency", digits);
    }

    if (o->rate > 0) {
        (void) snprintf(digits, sizeof(digits), "%llu",
                        (unsigned long long) o->rate);
        warmup_add(query, "rate", digits);
    }

    ctl_query_add_zone(query, ctl);

    return CTL_OK;
}


/* What names a job goes into requests and onto the terminal. */
static ctl_exit_t
warmup_take_id(warmup_t *w, s3c_slice_t id)
{
    if (id.len == 0 || id.len > WARMUP_ID_MAX) {
        return ctl_fail(w->ctl, CTL_WRONG, "no job of a warm-up");
    }

    memcpy(w->id, id.data, id.len);
    w->id[id.len] = '\0';

    return CTL_OK;
}


static ctl_exit_t
warmup_post(warmup_t *w)
{
    json_t         *json;
    ctl_t          *ctl = w->ctl;
    ctl_body_t      body = { .file = NULL };
    ctl_exit_t      end;
    ctl_query_t     query;
    ctl_options_t  *o = &ctl->options;

    end = warmup_query(ctl, &query);

    if (end == CTL_OK && o->list != NULL) {
        end = ctl_upload_list(ctl, o->list, &body);

    } else if (end == CTL_OK && o->inventory != NULL) {
        end = ctl_upload_inventory(ctl, o->inventory, &body, &w->bad_lines);
    }

    if (end == CTL_OK) {
        end = ctl_node_tell(ctl, CTL_DOOR_ADMIN, &query,
                            body.file != NULL ? &body : NULL, "id", &json);
    }

    if (body.file != NULL) {
        (void) fclose(body.file);
    }

    if (end != CTL_OK) {
        return end;
    }

    end = warmup_take_id(w, ctl_json_text(json, "id"));

    if (end == CTL_OK && o->detach) {

        if (o->json) {
            ctl_json_print(stdout, json);

        } else {
            ctl_text_put(stdout, s3c_slice(w->id, strlen(w->id)));
            (void) printf("\n");
        }
    }

    json_decref(json);

    return end;
}


/* --- how far it is -------------------------------------------------------- */

/* Of all nodes, or negative: nobody knows. */
static double
warmup_percent(const json_t *job)
{
    size_t         n;
    double         sum = 0;
    const json_t  *nodes = ctl_json_at(job, "nodes");

    n = json_array_size(nodes);

    for (size_t i = 0; i < n; i++) {
        double  percent = ctl_json_real(json_array_get(nodes, i), "percent",
                                        -1);

        if (percent < 0) {
            return -1;
        }

        sum += percent < 100 ? percent : 100;
    }

    return n > 0 ? sum / (double) n : -1;
}


static void
warmup_rates(warmup_t *w, const json_t *job)
{
    double    now = ctl_clock_s(), s = now - w->last_s;
    uint64_t  objects = ctl_json_u64(job, "objects");
    uint64_t  bytes = ctl_json_u64(job, "bytes");

    /* a job that began anew counts anew */
    if (w->last_s > 0 && s > 0 && objects >= w->last_objects
        && bytes >= w->last_bytes)
    {
        double  objects_per_s = (double) (objects - w->last_objects) / s;
        double  bytes_per_s = (double) (bytes - w->last_bytes) / s;

        w->objects_per_s += (objects_per_s - w->objects_per_s) / 4;
        w->bytes_per_s += (bytes_per_s - w->bytes_per_s) / 4;
    }

    w->last_s = now;
    w->last_objects = objects;
    w->last_bytes = bytes;
}


static s3c_slice_t
warmup_waiting(const json_t *job)
{
    const json_t  *nodes = ctl_json_at(job, "nodes");

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        s3c_slice_t  waiting = ctl_json_text(json_array_get(nodes, i),
                                             "waiting");

        if (waiting.len > 0) {
            return waiting;
        }
    }

    return S3C_SLICE_NONE;
}


static void
warmup_progress(warmup_t *w, const json_t *job)
{
    double       percent = warmup_percent(job), now = ctl_clock_s();
    double       spent = now - w->begun_s;
    s3c_slice_t  waiting = warmup_waiting(job);

    if (w->ctl->options.json
        || (!w->live && now - w->shown_s < WARMUP_PLAIN_S))
    {
        return;
    }

    w->shown_s = now;
    (void) fputs(w->live ? "\r\033[K" : "", stderr);

    if (percent >= 0) {
        int  full = (int) (percent * WARMUP_BAR / 100);

        (void) fputc('[', stderr);

        for (int i = 0; i < WARMUP_BAR; i++) {
            (void) fputc(i < full ? '#' : '.', stderr);
        }

        (void) fprintf(stderr, "] %3.0f %%  ", percent);
    }

    (void) fprintf(stderr, "%s objects, %s, %s/s, %s",
                   ctl_count(ctl_json_u64(job, "objects")),
                   ctl_bytes(ctl_json_u64(job, "bytes")),
                   ctl_rate(w->objects_per_s), ctl_byte_rate(w->bytes_per_s));

    if (percent >= 1 && percent < 100) {
        (void) fprintf(stderr, ", %s left",
                       ctl_span((uint64_t) (spent * (100 - percent)
                                            / percent)));
    }

    if (waiting.len > 0) {
        (void) fputs(", waits for the ", stderr);
        ctl_text_put(stderr, waiting);
    }

    (void) fputs(w->live ? "" : "\n", stderr);
    (void) fflush(stderr);
}


static void
warmup_clear(const warmup_t *w)
{
    if (w->live && !w->ctl->options.json) {
        (void) fputs("\r\033[K", stderr);
        (void) fflush(stderr);
    }
}


/* --- how it ended --------------------------------------------------------- */

static ctl_exit_t
warmup_ended(warmup_t *w, const json_t *job)
{
    ctl_exit_t  end = ctl_jobs_end(job);

    warmup_clear(w);

    if (w->ctl->options.json) {
        ctl_json_print(stdout, job);

    } else {
        ctl_jobs_summary(job);
    }

    return end == CTL_OK && w->bad_lines > 0 ? CTL_NO : end;
}


static bool
warmup_is_over(const json_t *job)
{
    return ctl_json_says(job, "state", "done")
           || ctl_json_says(job, "state", "stopped")
           || ctl_json_says(job, "state", "failed");
}


static ctl_exit_t
warmup_watch(warmup_t *w)
{
    json_t       *job;
    ctl_exit_t    end;
    ctl_query_t   query;

    w->begun_s = ctl_clock_s();
    w->shown_s = w->begun_s;
    ctl_query_init(&query);
    warmup_add(&query, "warmup", w->id);
    ctl_query_add_zone(&query, w->ctl);

    for ( ;; ) {
        end = ctl_node_ask(w->ctl, CTL_DOOR_ADMIN, "GET", &query, &job);

        if (end != CTL_OK) {
            return end;
        }

        if (ctl_json_text(job, "state").len == 0) {
            json_decref(job);
            return ctl_fail(w->ctl, CTL_WRONG, "no job of a warm-up");
        }

        warmup_rates(w, job);

        if (warmup_is_over(job)) {
            end = warmup_ended(w, job);
            json_decref(job);
            return end;
        }

        warmup_progress(w, job);
        json_decref(job);
        ctl_clock_nap(WARMUP_EVERY_S);

        if (warmup_left) {
            return CTL_OK;
        }
    }
}


/* --- the command ---------------------------------------------------------- */

/* What it does is told by one of these. */
static ctl_exit_t
warmup_check(ctl_t *ctl)
{
    const ctl_options_t  *o = &ctl->options;
    int                   n = (ctl->n_args > 0) + (o->list != NULL)
                              + (o->inventory != NULL) + (o->resume != NULL)
                              + (o->stop != NULL) + o->jobs;

    if (n != 1) {
        return ctl_fail(ctl, CTL_USAGE, "one of s3://bucket/prefix, --list, "
                        "--inventory, --resume, --stop, --jobs is needed");
    }

    if (o->check && o->evict) {
        return ctl_fail(ctl, CTL_USAGE, "--check or --evict, not both");
    }

    return CTL_OK;
}


ctl_exit_t
ctl_warmup(ctl_t *ctl)
{
    warmup_t          w = { .ctl = ctl };
    ctl_exit_t        end = warmup_check(ctl);
    struct sigaction  sa = { .sa_handler = warmup_on_signal };

    if (end != CTL_OK || ctl->options.jobs || ctl->options.stop != NULL) {
        return end != CTL_OK ? end
               : ctl->options.jobs ? ctl_jobs_list(ctl) : ctl_jobs_stop(ctl);
    }

    end = ctl->options.resume != NULL
          ? warmup_take_id(&w, s3c_slice(ctl->options.resume,
                                         strlen(ctl->options.resume)))
          : warmup_post(&w);

    if (end != CTL_OK || ctl->options.detach) {
        return end;
    }

    w.live = isatty(STDERR_FILENO);
    (void) sigaction(SIGINT, &sa, NULL);
    (void) sigaction(SIGTERM, &sa, NULL);
    ctl_http_stop(ctl->http, &warmup_left);

    end = warmup_watch(&w);

    if (warmup_left) {
        warmup_clear(&w);
        ctl->error[0] = '\0';
        (void) fputs("it goes on: s3cachectl warmup --resume ", stderr);
        ctl_text_put(stderr, s3c_slice(w.id, strlen(w.id)));
        (void) fputc('\n', stderr);
        (void) fflush(stdout);
        (void) signal(warmup_left, SIG_DFL);
        (void) raise(warmup_left);
    }

    return end;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of jobs, in words and as an exit code.
 */
#define _GNU_SOURCE
#include "ctl/ctl_jobs.h"

#include <stdlib.h>

#include "ctl/ctl_table.h"
#include "ctl/ctl_text.h"

static const struct {
    const char  *name;
    const char  *words;
    bool         bad;
} jobs_counts[] = {
    { "cached", "there already", false },
    { "fetched", "fetched", false },
    { "evicted", "evicted", false },
    { "missing", "missing", true },
    { "denied", "denied", true },
    { "no_room", "without room", true },
    { "failed", "failed", true },
    { "bad_lines", "bad lines", true }
};

#define JOBS_COUNTS  (sizeof(jobs_counts) / sizeof(jobs_counts[0]))


void
ctl_jobs_summary(const json_t *job)
{
    uint64_t       objects = ctl_json_u64(job, "objects");
    uint64_t       bytes = ctl_json_u64(job, "bytes");
    const json_t  *nodes = ctl_json_at(job, "nodes");
    const json_t  *away = ctl_json_at(job, "unreachable");

    ctl_text_put(stdout, ctl_json_text(job, "state"));
    (void) printf(": %s object%s, %s", ctl_count(objects),
                  objects == 1 ? "" : "s", ctl_bytes(bytes));

    for (size_t i = 0; i < JOBS_COUNTS; i++) {
        uint64_t  n = ctl_json_u64(job, jobs_counts[i].name);

        if (n > 0) {
            (void) printf(", %s %s", ctl_count(n), jobs_counts[i].words);
        }
    }

    (void) printf("\n");

    if (ctl_json_says(job, "mode", "check")) {
        (void) printf("cached: %s of the objects, %s of the bytes that are "
                      "known\n",
                      ctl_share((double) ctl_json_u64(job, "cached"),
                                (double) objects),
                      ctl_share((double) ctl_json_u64(job, "cached_bytes"),
                                (double) bytes));
    }

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t  *node = json_array_get(nodes, i);

        if (ctl_json_text(node, "error").len > 0) {
            (void) printf("node ");
            ctl_text_put(stdout, ctl_json_text(node, "node"));
            (void) printf(": ");
            ctl_text_put(stdout, ctl_json_text(node, "error"));
            (void) printf("\n");
        }
    }

    for (size_t i = 0; i < json_array_size(away); i++) {
        (void) printf("not heard of: ");
        ctl_text_put(stdout, ctl_json_text(json_array_get(away, i), ""));
        (void) printf("\n");
    }
}


ctl_exit_t
ctl_jobs_end(const json_t *job)
{
    if (!ctl_json_says(job, "state", "done")) {
        return CTL_REFUSED;
    }

    for (size_t i = 0; i < JOBS_COUNTS; i++) {
        if (jobs_counts[i].bad && ctl_json_u64(job, jobs_counts[i].name) > 0) {
            return CTL_NO;
        }
    }

    return json_array_size(ctl_json_at(job, "unreachable")) > 0 ? CTL_NO
                                                                : CTL_OK;
}


static void
jobs_print(const json_t *jobs)
{
    ctl_table_t               table;
    static const char *const  heads[] = {
        "ID", "STATE", "MODE", "WHAT", "OBJECTS", "BYTES", "FAILED"
    };

    ctl_table_init(&table, heads, sizeof(heads) / sizeof(heads[0]), 0x70);

    for (size_t i = 0; i < json_array_size(jobs); i++) {
        char          *what = NULL;
        const json_t  *job = json_array_get(jobs, i);
        s3c_slice_t    bucket = ctl_json_text(job, "bucket");
        s3c_slice_t    prefix = ctl_json_text(job, "prefix");

        if (bucket.len == 0
            || asprintf(&what, "s3://%.*s/%.*s", (int) bucket.len,
                        bucket.data, (int) prefix.len, prefix.data) < 0)
        {
            what = NULL;
        }

        ctl_table_text(&table, ctl_json_text(job, "id"));
        ctl_table_text(&table, ctl_json_text(job, "state"));
        ctl_table_text(&table, ctl_json_text(job, "mode"));
        ctl_table_text(&table, what != NULL ? s3c_slice(what, strlen(what))
                               : ctl_json_text(job, "source"));
        ctl_table_word(&table, ctl_count(ctl_json_u64(job, "objects")));
        ctl_table_word(&table, ctl_bytes(ctl_json_u64(job, "bytes")));
        ctl_table_word(&table, ctl_count(ctl_json_u64(job, "failed")));
        free(what);
    }

    ctl_table_print(&table, stdout, 0);
    ctl_table_fini(&table);
}


ctl_exit_t
ctl_jobs_list(ctl_t *ctl)
{
    json_t       *json;
    ctl_exit_t    end;
    ctl_query_t   query;

    ctl_query_init(&query);
    ctl_query_add(&query, "warmup", S3C_SLICE_NONE);
    ctl_query_add_zone(&query, ctl);

    end = ctl_node_ask(ctl, CTL_DOOR_ADMIN, "GET", &query, &json);

    if (end != CTL_OK) {
        return end;
    }

    if (!json_is_array(ctl_json_at(json, "jobs"))) {
        end = ctl_fail(ctl, CTL_WRONG, "no list of jobs");

    } else if (ctl->options.json) {
        ctl_json_print(stdout, json);

    } else {
        jobs_print(ctl_json_at(json, "jobs"));
    }

    json_decref(json);

    return end;
}


ctl_exit_t
ctl_jobs_stop(ctl_t *ctl)
{
    json_t       *json;
    ctl_exit_t    end;
    ctl_query_t   query;

    ctl_query_init(&query);
    ctl_query_add(&query, "warmup", S3C_SLICE("stop"));
    ctl_query_add(&query, "id", s3c_slice(ctl->options.stop,
                                          strlen(ctl->options.stop)));
    ctl_query_add_zone(&query, ctl);

    end = ctl_node_tell(ctl, CTL_DOOR_ADMIN, &query, NULL, "id", &json);

    if (end == CTL_OK) {

        if (ctl->options.json) {
            ctl_json_print(stdout, json);

        } else {
            ctl_jobs_summary(json);
        }

        json_decref(json);
    }

    return end;
}

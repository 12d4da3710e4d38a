/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl top: what a node does now, from two of its statuses. On a terminal
 * it is drawn again and again; elsewhere it is printed again and again.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "ctl/ctl_clock.h"
#include "ctl/ctl_http.h"
#include "ctl/ctl_node.h"
#include "ctl/ctl_recent.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_term.h"
#include "ctl/ctl_text.h"

#define TOP_INTERVAL_S   2.0
#define TOP_BUCKETS      10
#define LEN(a)           (sizeof(a) / sizeof((a)[0]))

typedef struct {
    ctl_t    *ctl;
    json_t   *now;                     /* the last status, and the one before */
    json_t   *before;
    json_t   *recent;                  /* zones as they were of late, by name */
    double    now_s, before_s;
    double    interval_s;
    char      error[sizeof(((ctl_t *) NULL)->error)];
                                       /* why there is no newer one */
} top_t;

/* One object of both statuses: a zone, a bucket, a node. */
typedef struct {
    const json_t  *now;
    const json_t  *before;             /* NULL: it was not there */
    double         s;
} top_pair_t;

static const char *const  top_tiers[] = {
    "ram", "flash", "mirror", "peer", "origin", "pass"
};


static const json_t *
top_find(const json_t *list, s3c_slice_t name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t  *one = json_array_get(list, i);

        if (s3c_slice_eq(ctl_json_text(one, "name"), name)) {
            return one;
        }
    }

    return NULL;
}


static top_pair_t
top_pair(const json_t *now, const json_t *before_list, double s)
{
    return (top_pair_t) { now, top_find(before_list,
                                        ctl_json_text(now, "name")), s };
}


/* By second; negative: not known. A counter that fell has begun anew. */
static double
top_per_s(const top_pair_t *pair, const char *path)
{
    uint64_t  now = ctl_json_u64(pair->now, path);
    uint64_t  before = ctl_json_u64(pair->before, path);

    if (pair->before == NULL || pair->s <= 0) {
        return -1;
    }

    return (double) (now < before ? now : now - before) / pair->s;
}


static double
top_sum_per_s(const top_pair_t *pair, const char *group,
    const char *const *names, size_t n)
{
    double      sum = 0;
    top_pair_t  within = { ctl_json_at(pair->now, group),
                           ctl_json_at(pair->before, group), pair->s };

    for (size_t i = 0; i < n; i++) {
        double  one = top_per_s(&within, names[i]);

        if (one < 0) {
            return -1;
        }

        sum += one;
    }

    return sum;
}


static double
top_hits_per_s(const top_pair_t *zone)
{
    static const char *const  hits[] = {
        "hit", "shared", "stale", "revalidated"
    };

    return top_sum_per_s(zone, "requests", hits, LEN(hits));
}


static double
top_requests_per_s(const top_pair_t *zone)
{
    static const char *const  all[] = {
        "hit", "shared", "stale", "revalidated", "miss", "bypass", "refused",
        "error"
    };

    return top_sum_per_s(zone, "requests", all, LEN(all));
}


static const char *
top_rate(double per_s)
{
    return per_s < 0 ? "-" : ctl_rate(per_s);
}


static double
top_p99(const top_t *top, const json_t *zone)
{
    s3c_slice_t  name = ctl_json_text(zone, "name");

    return ctl_json_real(json_object_getn(top->recent, (const char *) name.data,
                                          name.len), "p99", -1);
}


static const char *
top_byte_rate(double per_s)
{
    return per_s < 0 ? "-" : ctl_byte_rate(per_s);
}


/* --- a frame -------------------------------------------------------------- */

static void
top_zone_row(ctl_table_t *table, const top_t *top, const top_pair_t *zone)
{
    double    hits = top_hits_per_s(zone);
    double    misses = top_per_s(zone, "requests.miss");
    double    sent = top_sum_per_s(zone, "sent_bytes", top_tiers,
                                   LEN(top_tiers));
    uint64_t  arena = ctl_json_u64(zone->now, "memory.arena_bytes");

    ctl_table_text(table, ctl_json_text(zone->now, "name"));
    ctl_table_word(table, top_rate(top_requests_per_s(zone)));
    ctl_table_word(table, ctl_share(hits, hits + misses));
    ctl_table_word(table, top_byte_rate(sent));
    ctl_table_word(table, ctl_share(top_per_s(zone, "sent_bytes.ram"), sent));
    ctl_table_word(table, ctl_share(top_per_s(zone, "sent_bytes.flash"),
                                    sent));
    ctl_table_word(table, ctl_share(top_per_s(zone, "sent_bytes.peer")
                                    + top_per_s(zone, "sent_bytes.mirror"),
                                    sent));
    ctl_table_word(table, top_rate(top_per_s(zone, "origin.requests")));
    ctl_table_word(table, top_byte_rate(top_per_s(zone,
                                                "origin.received_bytes")));
    ctl_table_word(table, ctl_share((double) ctl_json_u64(zone->now,
                                                "memory.allocated_bytes"),
                                    (double) arena));
    ctl_table_word(table, ctl_count(ctl_json_u64(zone->now,
                                                 "memory.fills")));
    ctl_table_word(table, ctl_seconds(top_p99(top, zone->now)));
}


static void
top_zones(const top_t *top, FILE *out)
{
    ctl_table_t               table;
    const json_t             *zones = ctl_json_at(top->now, "zones");
    const json_t             *before = ctl_json_at(top->before, "zones");
    static const char *const  heads[] = {
        "ZONE", "REQ/S", "HIT", "SENT", "RAM", "FLASH", "PEER", "ORIGIN/S",
        "FETCHED", "MEMORY", "FILLS", "P99 HIT"
    };

    ctl_table_init(&table, heads, LEN(heads), 0xffe);

    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t  *zone = json_array_get(zones, i);
        top_pair_t     pair = top_pair(zone, before,
                                       top->now_s - top->before_s);

        if (ctl_node_zone_meant(top->ctl, zone)) {
            top_zone_row(&table, top, &pair);
        }
    }

    ctl_table_print(&table, out, 0);
    ctl_table_fini(&table);
}


static void
top_ring(const top_pair_t *zone, FILE *out)
{
    ctl_table_t               table;
    const json_t             *members = ctl_json_at(zone->now,
                                                    "ring.members");
    const json_t             *before = ctl_json_at(zone->before,
                                                   "ring.members");
    static const char *const  heads[] = {
        "NODE", "STATE", "REACH", "SHARE", "ASKED/S", "RECEIVED", "FAILED/S",
        "SERVED/S", "P99"
    };

    if (json_array_size(members) == 0) {
        return;
    }

    ctl_table_init(&table, heads, LEN(heads), 0x1f8);

    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t  *m = json_array_get(members, i);
        bool           self = ctl_json_is(m, "self");
        top_pair_t     pair = top_pair(m, before, zone->s);

        ctl_table_text(&table, ctl_json_text(m, "name"));
        ctl_table_text(&table, ctl_json_text(m, "state"));
        ctl_table_text(&table, ctl_json_text(m, "reach"));
        ctl_table_word(&table, ctl_share(ctl_json_real(m, "share", 0), 1));
        ctl_table_word(&table, self ? "" : top_rate(top_per_s(&pair,
                                                              "asks")));
        ctl_table_word(&table, self ? "" : top_byte_rate(top_per_s(&pair,
                                                    "received_bytes")));
        ctl_table_word(&table, self ? "" : top_rate(top_per_s(&pair,
                                                    "failures.away")));
        ctl_table_word(&table, self ? "" : top_rate(top_per_s(&pair,
                                                              "served")));
        ctl_table_word(&table, self ? "" : ctl_seconds(ctl_json_real(m,
                                                    "first_byte.p99", -1)));
    }

    (void) fputc('\n', out);
    ctl_table_print(&table, out, 0);
    ctl_table_fini(&table);
}


typedef struct {
    top_pair_t  pair;
    double      per_s;
} top_bucket_t;


static int
top_by_rate(const void *a, const void *b)
{
    double  x = ((const top_bucket_t *) a)->per_s;
    double  y = ((const top_bucket_t *) b)->per_s;

    return (x < y) - (x > y);
}


static void
top_buckets(const top_pair_t *zone, FILE *out)
{
    size_t                    n;
    ctl_table_t               table;
    top_bucket_t             *all;
    const json_t             *buckets = ctl_json_at(zone->now, "buckets");
    const json_t             *before = ctl_json_at(zone->before, "buckets");
    static const char *const  results[] = { "hit", "miss", "pass" };
    static const char *const  heads[] = { "BUCKET", "REQ/S", "HIT", "SENT" };

    n = json_array_size(buckets);

    if (n == 0) {
        return;
    }

    all = ctl_alloc(n * sizeof(*all));

    for (size_t i = 0; i < n; i++) {
        all[i].pair = top_pair(json_array_get(buckets, i), before, zone->s);
        all[i].per_s = top_sum_per_s(&all[i].pair, "sent_bytes", results, 2);
    }

    qsort(all, n, sizeof(*all), top_by_rate);
    ctl_table_init(&table, heads, LEN(heads), 0xe);

    for (size_t i = 0; i < n && i < TOP_BUCKETS; i++) {
        top_pair_t  *pair = &all[i].pair;
        double       hits = top_per_s(pair, "requests.hit");

        ctl_table_text(&table, ctl_json_text(pair->now, "name"));
        ctl_table_word(&table, top_rate(top_sum_per_s(pair, "requests",
                                                      results, 3)));
        ctl_table_word(&table, ctl_share(hits, hits
                               + top_per_s(pair, "requests.miss")));
        ctl_table_word(&table, top_byte_rate(all[i].per_s));
    }

    (void) fputc('\n', out);
    ctl_table_print(&table, out, 0);
    ctl_table_fini(&table);
    free(all);
}


static void
top_frame(const top_t *top, FILE *out)
{
    char           when[16] = "";
    time_t         now = time(NULL);
    struct tm      tm;
    const json_t  *zones = ctl_json_at(top->now, "zones");

    if (localtime_r(&now, &tm) != NULL) {
        (void) strftime(when, sizeof(when), "%H:%M:%S", &tm);
    }

    ctl_text_put(out, s3c_slice(top->ctl->conf.url,
                                strlen(top->ctl->conf.url)));
    (void) fprintf(out, "  %s", when);

    if (top->error[0] != '\0') {
        (void) fputs("  ", out);
        ctl_text_put(out, s3c_slice(top->error, strlen(top->error)));
    }

    (void) fputs("\n\n", out);
    top_zones(top, out);

    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t  *zone = json_array_get(zones, i);
        top_pair_t     pair = top_pair(zone, ctl_json_at(top->before,
                                                         "zones"),
                                       top->now_s - top->before_s);

        if (ctl_node_zone_meant(top->ctl, zone)) {
            top_ring(&pair, out);
            top_buckets(&pair, out);
        }
    }
}


/* --- the same for programs ------------------------------------------------ */

static json_t *
top_json_rate(double per_s)
{
    return per_s < 0 ? json_null() : json_real(per_s);
}


static void
top_json(const top_t *top)
{
    json_t        *all = json_array(), *json;
    const json_t  *zones = ctl_json_at(top->now, "zones");

    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t  *zone = json_array_get(zones, i);
        top_pair_t     pair = top_pair(zone, ctl_json_at(top->before,
                                                         "zones"),
                                       top->now_s - top->before_s);

        if (!ctl_node_zone_meant(top->ctl, zone)) {
            continue;
        }

        json = json_object();
        (void) json_object_set_new(json, "name",
                              json_copy(json_object_get(zone, "name")));
        (void) json_object_set_new(json, "requests_per_s",
                              top_json_rate(top_requests_per_s(&pair)));
        (void) json_object_set_new(json, "hits_per_s",
                              top_json_rate(top_hits_per_s(&pair)));
        (void) json_object_set_new(json, "misses_per_s",
                              top_json_rate(top_per_s(&pair,
                                                      "requests.miss")));
        (void) json_object_set_new(json, "sent_bytes_per_s",
                              top_json_rate(top_sum_per_s(&pair, "sent_bytes",
                                            top_tiers, LEN(top_tiers))));
        (void) json_object_set_new(json, "origin_requests_per_s",
                              top_json_rate(top_per_s(&pair,
                                                      "origin.requests")));
        (void) json_object_set_new(json, "hit_p99_s",
                              top_json_rate(top_p99(top, zone)));
        (void) json_array_append_new(all, json);
    }

    json = json_pack("{s:I,s:f,s:o}", "time", (json_int_t) time(NULL),
                     "seconds", top->now_s - top->before_s, "zones", all);
    ctl_json_print(stdout, json);
    (void) fflush(stdout);
    json_decref(json);
}


/* --- again and again ------------------------------------------------------ */

/* What is known of it, if anything: a node that keeps no history has rates all
 * the same. */
static void
top_look_back(top_t *top, const json_t *zone)
{
    char          since[24];
    json_t       *json, *is;
    uint64_t      last;
    s3c_slice_t   name = ctl_json_text(zone, "name");
    ctl_query_t   query;

    is = json_object_getn(top->recent, (const char *) name.data, name.len);
    last = ctl_json_u64(is, "last");

    ctl_query_init(&query);
    ctl_query_add(&query, "history", S3C_SLICE("seconds"));
    ctl_query_add(&query, "zone", name);

    if (last > CTL_RECENT_SAMPLES) {
        (void) snprintf(since, sizeof(since), "%" PRIu64,
                        last - CTL_RECENT_SAMPLES);
        ctl_query_add(&query, "since", s3c_slice(since, strlen(since)));
    }

    if (ctl_node_ask(top->ctl, CTL_DOOR_STATUS, "GET", &query, &json)
        == CTL_OK)
    {
        zone = json_array_get(ctl_json_at(json, "zones"), 0);
        is = json_pack("{s:I,s:f}", "last",
                       (json_int_t) ctl_json_u64(zone, "last"), "p99",
                       ctl_recent_p99(zone, ctl_json_u64(json, "sampled")));
        json_decref(json);

    } else {
        top->ctl->error[0] = '\0';
        is = json_object();
    }

    (void) json_object_setn_new(top->recent, (const char *) name.data,
                                name.len, is);
}


static ctl_exit_t
top_sample(top_t *top)
{
    json_t      *json;
    ctl_exit_t   end;

    end = ctl_node_status(top->ctl, &json);

    if (end != CTL_OK) {
        memcpy(top->error, top->ctl->error, sizeof(top->error));
        return end;
    }

    for (size_t i = 0;
         i < json_array_size(ctl_json_at(json, "zones"));
         i++)
    {
        const json_t  *zone = json_array_get(ctl_json_at(json, "zones"), i);

        if (ctl_node_zone_meant(top->ctl, zone)) {
            top_look_back(top, zone);
        }
    }

    top->error[0] = '\0';
    json_decref(top->before);
    top->before = top->now;
    top->before_s = top->now_s;
    top->now = json;
    top->now_s = ctl_clock_s();

    return CTL_OK;
}


static ctl_exit_t
top_plain(top_t *top)
{
    ctl_exit_t  end = CTL_OK;
    uint64_t    shown = 0, count = top->ctl->options.count;

    while (end == CTL_OK && (count == 0 || shown < count)) {
        ctl_clock_pause(top->interval_s);
        end = top_sample(top);

        if (end == CTL_OK && !ferror(stdout)) {

            if (top->ctl->options.json) {
                top_json(top);

            } else {
                (void) fputs(shown > 0 ? "\n" : "", stdout);
                top_frame(top, stdout);
            }

            end = fflush(stdout) == 0 ? CTL_OK : CTL_LOCAL;
            shown++;
        }
    }

    return end;
}


static void
top_draw(const top_t *top)
{
    FILE    *out;
    char    *text = NULL;
    size_t   size;

    out = open_memstream(&text, &size);

    if (out != NULL) {
        top_frame(top, out);

        if (fclose(out) == 0) {
            ctl_term_draw(text);
        }

        free(text);
    }
}


static ctl_exit_t
top_live(top_t *top)
{
    int       key = CTL_TERM_DRAW;
    double    due = ctl_clock_s() + top->interval_s;
    uint64_t  shown = 0, count = top->ctl->options.count;

    ctl_http_stop(top->ctl->http, ctl_term_stop());

    while (key != 'q' && key != 'Q' && key != CTL_TERM_STOP
           && (count == 0 || shown < count))
    {
        double  left;

        top_draw(top);
        left = due - ctl_clock_s();
        key = ctl_term_wait(left > 0 ? left : 0);

        if (key == CTL_TERM_TIME || key == ' ') {
            /* a node that does not answer may come back */
            (void) top_sample(top);
            due = ctl_clock_s() + top->interval_s;
            shown++;
        }
    }

    top->ctl->error[0] = '\0';
    ctl_term_close();

    return CTL_OK;
}


ctl_exit_t
ctl_top(ctl_t *ctl)
{
    top_t       top = { .ctl = ctl, .recent = json_object() };
    ctl_exit_t  end;

    top.interval_s = ctl->options.interval_s > 0 ? ctl->options.interval_s
                                                 : TOP_INTERVAL_S;
    end = top_sample(&top);

    if (end == CTL_OK) {
        end = !ctl->options.json && ctl_term_open() ? top_live(&top)
                                                    : top_plain(&top);
    }

    json_decref(top.now);
    json_decref(top.before);
    json_decref(top.recent);

    return end;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the status location answers about the past:
 *
 *   ?history=seconds|minutes[&since=N][&zone=name]    samples
 *   ?history=hot[&zone=name]                          what is read most
 *   ?history=ring[&zone=name]                         the nodes: history_ring.c
 *
 * As JSON, an error too. It only reads.
 */

#include "ngx_http_s3_cache_history.h"
#include "ngx_http_s3_cache_history_internal.h"
#include "ngx_http_s3_cache_status.h"

#include "s3/s3_uri.h"


#define ZONE_NAME_MAX    256
#define HOT_MAX          32
/* of one sample, usually; it is tried again with twice the room */
#define SAMPLE_BYTES     512
#define REPLY_BYTES      (16 * 1024)
#define REPLY_BYTES_MAX  (64 * 1024 * 1024)


typedef struct {
    ngx_http_request_t        *request;
    ngx_http_s3_cache_zone_t  *zone;           /* NULL: all */
    ngx_uint_t                 series;         /* or HOT */
    uint64_t                   since;
    uint64_t                   wall_ms;
    s3c_history_sample_t      *samples;
    size_t                     bytes;          /* of the first try */
} history_ask_t;

#define HOT      S3C_HISTORY_SERIES
#define RING     (S3C_HISTORY_SERIES + 1)
#define UNKNOWN  (S3C_HISTORY_SERIES + 2)


static const char *history_zone(history_ask_t *ask);
static ngx_int_t history_print(history_ask_t *ask);


static ngx_uint_t
history_arg(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    return ngx_http_arg(r, (u_char *) name, ngx_strlen(name), value)
           == NGX_OK;
}


static ngx_uint_t
history_series(ngx_str_t *word)
{
    ngx_uint_t  i;

    static ngx_str_t  words[] = {
        ngx_string("seconds"),         /* as s3c_history_series_t */
        ngx_string("minutes"),
        ngx_string("hot"),
        ngx_string("ring")
    };

    for (i = 0; i < UNKNOWN; i++) {
        if (word->len == words[i].len
            && ngx_memcmp(word->data, words[i].data, word->len) == 0)
        {
            break;
        }
    }

    return i;
}


ngx_int_t
ngx_http_s3_cache_history_reply(ngx_http_request_t *r)
{
    ngx_int_t       since;
    ngx_str_t       word, value;
    const char     *why;
    ngx_time_t     *tp;
    history_ask_t   ask;

    ngx_memzero(&ask, sizeof(history_ask_t));
    ask.request = r;

    if (!history_arg(r, "history", &word)) {
        return NGX_DECLINED;
    }

    ask.series = history_series(&word);

    if (ask.series == UNKNOWN) {
        return ngx_http_s3_cache_history_refuse(r,
                   "history: seconds, minutes, hot or ring is needed");
    }

    if (history_arg(r, "since", &value)) {
        since = ngx_atoi(value.data, value.len);

        if (since == NGX_ERROR) {
            return ngx_http_s3_cache_history_refuse(r,
                       "since: the number of a sample is needed");
        }

        ask.since = (uint64_t) since;
    }

    why = history_zone(&ask);
    if (why != NULL) {
        return ngx_http_s3_cache_history_refuse(r, why);
    }

    if (ask.series == RING) {
        return ngx_http_s3_cache_history_ring(r, ask.zone);
    }

    tp = ngx_timeofday();
    ask.wall_ms = (uint64_t) tp->sec * 1000 + tp->msec;

    return history_print(&ask);
}


static const char *
history_zone(history_ask_t *ask)
{
    u_char                           name[ZONE_NAME_MAX];
    ngx_str_t                        value;
    s3c_writer_t                     w;
    ngx_http_request_t              *r;
    ngx_http_s3_cache_zone_t       **zones;
    ngx_http_s3_cache_main_conf_t   *mcf;

    r = ask->request;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);

    if (!history_arg(r, "zone", &value)) {

        if (mcf->zones.nelts == 1) {
            zones = mcf->zones.elts;
            ask->zone = zones[0];
        }

        return (ask->series == RING && ask->zone == NULL)
               ? "zone: needed where there is not just one" : NULL;
    }

    s3c_writer_init(&w, name, sizeof(name));

    if (s3c_uri_decode(&w, ngx_http_s3_cache_slice(&value), false) == S3C_OK
        && s3c_writer_ok(&w))
    {
        value.data = name;
        value.len = s3c_writer_slice(&w).len;
        ask->zone = ngx_http_s3_cache_conf_zone_find(mcf, &value);
    }

    return ask->zone ? NULL : "zone: there is none of this name";
}


/* --- one zone ------------------------------------------------------------ */

static void
history_print_samples(history_ask_t *ask, s3c_writer_t *w,
    ngx_http_s3_cache_zone_t *zone)
{
    uint32_t           n, max;
    s3c_history_sh_t  *h;

    n = 0;
    h = ngx_http_s3_cache_history_of(zone);
    max = s3c_history_max(ask->series);

    if (h != NULL) {
        n = s3c_history_read(h, ask->series, ask->since, ask->samples, max);
    }

    s3c_history_print_json(w, ngx_http_s3_cache_slice(&zone->name),
                           ask->samples, n, ngx_http_s3_cache_now_exact(),
                           ask->wall_ms);
}


static void
history_print_hot(s3c_writer_t *w, ngx_http_s3_cache_zone_t *zone)
{
    uint32_t             i, n;
    uint64_t             ms;
    s3c_stats_hot_t      top[HOT_MAX];
    s3c_stats_hot_sh_t  *hot;

    n = 0;
    ms = 0;
    hot = ngx_http_s3_cache_history_hot(zone);

    if (hot != NULL) {
        n = s3c_stats_hot_top(hot, ngx_http_s3_cache_now_exact(), top,
                              HOT_MAX, &ms);
    }

    s3c_write_lit(w, "{\"name\":");
    s3c_stats_write_string(w, ngx_http_s3_cache_slice(&zone->name));
    s3c_write_lit(w, ",\"ms\":");
    s3c_write_u64(w, ms);
    s3c_write_lit(w, ",\"keys\":[");

    for (i = 0; i < n; i++) {
        s3c_write_str(w, i > 0 ? ",{\"name\":" : "{\"name\":");
        s3c_stats_write_string(w, s3c_slice(top[i].name, top[i].name_len));
        s3c_write_lit(w, ",\"reads\":");
        s3c_write_u64(w, (uint64_t) top[i].reads
                         * NGX_HTTP_S3_CACHE_HISTORY_SAMPLE);
        s3c_write_byte(w, '}');
    }

    s3c_write_lit(w, "]}");
}


/* --- all ----------------------------------------------------------------- */

static void
history_print_all(history_ask_t *ask, s3c_writer_t *w)
{
    ngx_uint_t                       i, n;
    ngx_http_s3_cache_zone_t       **zones;
    ngx_http_s3_cache_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(ask->request,
                                        ngx_http_s3_cache_module);
    zones = mcf->zones.elts;
    n = 0;

    s3c_write_lit(w, "{\"now_ms\":");
    s3c_write_u64(w, ask->wall_ms);
    s3c_write_lit(w, ",\"sampled\":");
    s3c_write_u64(w, NGX_HTTP_S3_CACHE_HISTORY_SAMPLE);

    if (ask->series != HOT) {
        s3c_write_lit(w, ",\"period_ms\":");
        s3c_write_u64(w, s3c_history_period_ms(ask->series));
    }

    s3c_write_lit(w, ",\"zones\":[");

    for (i = 0; i < mcf->zones.nelts && s3c_writer_ok(w); i++) {

        if (ask->zone != NULL && ask->zone != zones[i]) {
            continue;
        }

        if (n++ > 0) {
            s3c_write_byte(w, ',');
        }

        if (ask->series == HOT) {
            history_print_hot(w, zones[i]);

        } else {
            history_print_samples(ask, w, zones[i]);
        }
    }

    s3c_write_lit(w, "]}\n");
}


static ngx_int_t
history_print(history_ask_t *ask)
{
    size_t               size;
    u_char              *p;
    s3c_writer_t         w;
    ngx_http_request_t  *r;

    r = ask->request;
    size = REPLY_BYTES;

    if (ask->series != HOT) {
        ask->samples = ngx_palloc(r->pool, s3c_history_max(ask->series)
                                           * sizeof(s3c_history_sample_t));
        if (ask->samples == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        size += ask->since ? 0
                : (size_t) s3c_history_max(ask->series) * SAMPLE_BYTES;
    }

    for ( /* void */ ; size <= REPLY_BYTES_MAX; size *= 2) {
        p = ngx_palloc(r->pool, size);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        s3c_writer_init(&w, p, size);
        history_print_all(ask, &w);

        if (s3c_writer_ok(&w)) {
            return ngx_http_s3_cache_status_send(r, NGX_HTTP_OK, &w);
        }

        (void) ngx_pfree(r->pool, p);
    }

    return ngx_http_s3_cache_history_refuse(r,
               "zone: there are too many for one answer");
}


ngx_int_t
ngx_http_s3_cache_history_refuse(ngx_http_request_t *r, const char *why)
{
    u_char       *p;
    s3c_writer_t  w;

    p = ngx_palloc(r->pool, 256);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, p, 256);
    s3c_write_lit(&w, "{\"error\":");
    s3c_stats_write_string(&w, s3c_slice(why, ngx_strlen(why)));
    s3c_write_lit(&w, "}\n");

    return ngx_http_s3_cache_status_send(r, NGX_HTTP_BAD_REQUEST, &w);
}

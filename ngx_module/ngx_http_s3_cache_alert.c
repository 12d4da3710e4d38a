/* SPDX-License-Identifier: Apache-2.0
 *
 * Judges the alerts of a zone when that is due, and shows them. What is judged
 * is in src/stats/stats_alert_measure.c; here it is gathered. Nothing of this is
 * done for a request of a client.
 */

#include "ngx_http_s3_cache_alert.h"
#include "ngx_http_s3_cache_alert_internal.h"
#include "ngx_http_s3_cache_history.h"
#include "ngx_http_s3_cache_history_internal.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_roster.h"
#include "ngx_http_s3_cache_store.h"


static ngx_http_s3_cache_alerts_t *
alert_conf(void)
{
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_s3_cache_module);

    return mcf != NULL && !mcf->alerts->off ? mcf->alerts : NULL;
}


/* --- judging --------------------------------------------------------------- */

static void
alert_see_stores(ngx_http_s3_cache_zone_t *zone, s3c_alert_seen_t *seen)
{
    ngx_uint_t                   i;
    s3c_slice_t                  path;
    s3c_ssd_usage_t              usage;
    ngx_http_s3_cache_store_t  **conf;

    if (zone->ssd == NULL || zone->stores == NULL) {
        return;
    }

    conf = zone->stores->elts;
    seen->n_stores = s3c_ssd_n_stores(zone->ssd);

    for (i = 0; i < seen->n_stores && i < zone->stores->nelts; i++) {
        s3c_ssd_usage(zone->ssd, (uint32_t) i, &usage);

        if (usage.state == S3C_SSD_SERVING) {
            continue;
        }

        path = ngx_http_s3_cache_slice(&conf[i]->path);

        if (usage.state == S3C_SSD_FAILED) {
            seen->failed = seen->n_failed++ ? seen->failed : path;
            continue;
        }

        seen->unready = seen->n_unready++ ? seen->unready : path;
        seen->segments += usage.segments;
        seen->recovered += usage.recovered_segments;
    }
}


/* Nodes ask each other all the time whether they vouch for each other: so each
 * is linked, whether clients need it or not. One that has failed rests only when
 * a client's question has found that out. */

static void
alert_see_nodes(ngx_http_s3_cache_zone_t *zone, s3c_alert_seen_t *seen)
{
    ngx_uint_t                 i, vouched;
    const s3c_stats_node_t    *counts;
    ngx_http_s3_cache_near_t  *near;

    if (zone->peers == NULL || zone->peers->view == NULL) {
        return;
    }

    i = 0;
    vouched = s3c_vouch_stands(&zone->peers->shared->vouch,
                               ngx_http_s3_cache_now());

    while ((near = ngx_http_s3_cache_view_member(zone->peers, &i)) != NULL) {
        counts = ngx_http_s3_cache_near_counts(near);
        seen->n_nodes++;

        if (!s3c_stats_node_rests(counts)
            && (vouched || s3c_stats_node_linked(counts)))
        {
            continue;
        }

        if (seen->n_down++ == 0) {
            seen->node = ngx_http_s3_cache_slice(&near->name);
        }
    }
}


/* One line when it is raised and one when it is over. */

static void
alert_say(ngx_http_s3_cache_zone_t *zone, s3c_alert_which_t which,
    const s3c_alert_t *a, uint64_t window_ms, ngx_log_t *log)
{
    u_char        buf[S3C_ALERT_TEXT_MAX];
    ngx_str_t     text;
    ngx_uint_t    level;
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_alert_write_text(&w, which, &a->last, window_ms);
    text.data = buf;
    text.len = s3c_writer_slice(&w).len;

    if (a->since_ms == 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "s3_cache_zone \"%V\": alert %s is over after %uL s; "
                      "last: %V", &zone->name, s3c_alert_name(which),
                      a->lasted_ms / 1000, &text);
        return;
    }

    level = ngx_strcmp(s3c_alert_severity(which), "critical") == 0
            ? NGX_LOG_ERR : NGX_LOG_WARN;

    ngx_log_error(level, log, 0,
                  "s3_cache_zone \"%V\": alert %s: %V; %s", &zone->name,
                  s3c_alert_name(which), &text, s3c_alert_advice(which));
}


/*
 * By the timer that every worker has, as samples are taken. A worker that leaves
 * has an older configuration: others judge.
 */

void
ngx_http_s3_cache_alert_beat(ngx_http_s3_cache_zone_t *zone, ngx_log_t *log)
{
    uint64_t                     now, ticket;
    ngx_uint_t                   i;
    s3c_alert_sh_t              *sh;
    s3c_ram_usage_t              usage;
    s3c_history_sh_t            *h;
    s3c_alert_seen_t             seen;
    s3c_alert_turn_t             turn[S3C_ALERT_N];
    s3c_alert_state_t            state;
    s3c_history_sample_t         samples[4];
    ngx_http_s3_cache_alerts_t  *alerts;

    alerts = alert_conf();
    sh = ngx_http_s3_cache_history_alerts(zone);

    if (alerts == NULL || sh == NULL || zone->ram == NULL || ngx_exiting) {
        return;
    }

    now = ngx_http_s3_cache_now_exact();
    ticket = s3c_alert_claim(sh, alerts->conf.window_ms, now);

    if (ticket == 0) {
        return;
    }

    ngx_memzero(&seen, sizeof(s3c_alert_seen_t));

    h = ngx_http_s3_cache_history_of(zone);
    s3c_alert_look(&seen, h, alerts->conf.window_ms, now, samples);
    s3c_ram_usage(zone->ram, &usage);
    seen.arena_bytes = usage.arena_bytes;
    alert_see_stores(zone, &seen);
    alert_see_nodes(zone, &seen);

    s3c_alert_load(sh, &state);
    s3c_alert_judge(&state, &alerts->conf, &seen, turn);

    if (!s3c_alert_store(sh, ticket, &state)) {
        return;
    }

    for (i = 0; i < S3C_ALERT_N; i++) {
        if (turn[i] != S3C_ALERT_STAYS) {
            alert_say(zone, (s3c_alert_which_t) i, &state.of[i],
                      alerts->conf.window_ms, log);
        }
    }
}


/* --- showing --------------------------------------------------------------- */

static s3c_slice_t
alert_slice(const char *s)
{
    return s3c_slice(s, ngx_strlen(s));
}


void
ngx_http_s3_cache_alert_view(ngx_pool_t *pool, ngx_http_s3_cache_zone_t *zone,
    s3c_stats_zone_t *out)
{
    u_char                      *p;
    uint64_t                     now, wall;
    ngx_uint_t                   i;
    ngx_time_t                  *tp;
    s3c_alert_t                 *a;
    s3c_writer_t                 w;
    s3c_alert_sh_t              *sh;
    s3c_alert_state_t            state;
    s3c_alert_which_t            which;
    s3c_stats_alert_t           *shown;
    ngx_http_s3_cache_alerts_t  *alerts;

    alerts = alert_conf();
    sh = ngx_http_s3_cache_history_alerts(zone);

    if (alerts == NULL || sh == NULL) {
        return;
    }

    shown = ngx_pcalloc(pool, S3C_ALERT_N * sizeof(s3c_stats_alert_t));
    if (shown == NULL) {
        return;
    }

    s3c_alert_load(sh, &state);

    now = ngx_http_s3_cache_now_exact();
    tp = ngx_timeofday();
    wall = (uint64_t) tp->sec * 1000 + tp->msec;

    out->alerts = shown;

    for (i = 0; i < S3C_ALERT_N; i++) {
        a = &state.of[i];
        which = (s3c_alert_which_t) i;

        if (alerts->conf.threshold[i] == 0) {
            continue;
        }

        shown->name = alert_slice(s3c_alert_name(which));
        shown->severity = alert_slice(s3c_alert_severity(which));
        shown->advice = alert_slice(s3c_alert_advice(which));
        shown->threshold = alerts->conf.threshold[i];

        if (a->since_ms != 0) {
            p = ngx_palloc(pool, S3C_ALERT_TEXT_MAX);
            if (p == NULL) {
                return;
            }

            s3c_writer_init(&w, p, S3C_ALERT_TEXT_MAX);
            s3c_alert_write_text(&w, which, &a->last, alerts->conf.window_ms);

            shown->raised = 1;
            shown->text = s3c_writer_slice(&w);
            shown->value = a->last.value;
            shown->since_ms = wall - (now > a->since_ms ? now - a->since_ms
                                                        : 0);
        }

        shown++;
        out->n_alerts++;
    }
}

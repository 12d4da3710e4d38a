/* SPDX-License-Identifier: Apache-2.0
 *
 * A job as JSON, as s3cachectl reads it.
 */

#include "ngx_http_s3_cache_warm_internal.h"


static void
print_text(s3c_writer_t *w, const char *name, const s3c_warm_text_t *text)
{
    s3c_write_lit(w, ",\"");
    s3c_write_str(w, name);
    s3c_write_lit(w, "\":");
    s3c_stats_write_string(w, s3c_warm_text(text));
}


static void
print_number(s3c_writer_t *w, const char *name, uint64_t n)
{
    s3c_write_lit(w, ",\"");
    s3c_write_str(w, name);
    s3c_write_lit(w, "\":");
    s3c_write_u64(w, n);
}


static void
print_node(s3c_writer_t *w, const s3c_warm_job_t *job,
    const s3c_warm_node_t *node, ngx_uint_t self)
{
    uint64_t  permille;

    s3c_write_lit(w, "{\"node\":");
    s3c_stats_write_string(w, s3c_slice(node->name, node->len));
    print_number(w, "fetched", node->objects);
    print_number(w, "fetched_bytes", node->bytes);

    if (job->state == S3C_WARM_DONE || job->list_bytes > 0) {
        permille = (job->state == S3C_WARM_DONE)
                   ? 1000 : job->offset * 1000 / job->list_bytes;

        s3c_write_lit(w, ",\"percent\":");
        s3c_write_u64(w, permille / 10);
        s3c_write_byte(w, '.');
        s3c_write_u64(w, permille % 10);
    }

    if (self && job->error.len > 0) {
        print_text(w, job->state == S3C_WARM_RUNNING ? "waiting" : "error",
                   &job->error);
    }

    s3c_write_byte(w, '}');
}


void
ngx_http_s3_cache_warm_print(s3c_writer_t *w, const s3c_warm_job_t *job,
    ngx_http_s3_cache_zone_t *zone)
{
    uint64_t                i, n;
    s3c_slice_t             self;
    const s3c_warm_node_t  *node, *mine;

    static const s3c_warm_node_t  none;

    self = S3C_SLICE_NONE;

    if (zone != NULL && zone->peers != NULL) {
        self = ngx_http_s3_cache_slice(ngx_http_s3_cache_peer_self(
                                                               zone->peers));
    }

    s3c_write_lit(w, "{\"id\":\"");
    s3c_write_bytes(w, job->id, S3C_WARM_ID_BYTES);
    s3c_write_lit(w, "\",\"state\":\"");
    s3c_write_str(w, s3c_warm_state_name(job->state));
    s3c_write_lit(w, "\",\"mode\":\"");
    s3c_write_str(w, s3c_warm_mode_name(job->mode));
    s3c_write_lit(w, "\",\"source\":\"");
    s3c_write_str(w, job->list ? "list\"" : "prefix\"");
    print_text(w, "zone", &job->zone);

    if (!job->list) {
        print_text(w, "bucket", &job->bucket);
        print_text(w, "prefix", &job->prefix);
    }

    print_number(w, "concurrency", job->concurrency);
    print_number(w, "rate", job->rate);
    print_number(w, "begun", job->begun);
    print_number(w, "ended", job->ended);

    for (i = 0; i < S3C_WARM_N; i++) {
        print_number(w, s3c_warm_count_name((s3c_warm_count_t) i),
                     job->count[i]);
    }

    /* this node is the first of them */

    s3c_write_lit(w, ",\"nodes\":[");
    mine = &none;

    for (i = 0; i < job->n_nodes; i++) {
        node = &job->nodes[i];

        if (s3c_slice_eq(self, s3c_slice(node->name, node->len))) {
            mine = node;
        }
    }

    if (mine == &none) {
        s3c_warm_node_t  named;

        ngx_memzero(&named, sizeof(s3c_warm_node_t));
        named.len = (uint8_t) ngx_min(self.len, sizeof(named.name));

        if (named.len > 0) {
            ngx_memcpy(named.name, self.data, named.len);
        }

        print_node(w, job, &named, 1);

    } else {
        print_node(w, job, mine, 1);
    }

    for (i = 0; i < job->n_nodes; i++) {
        node = &job->nodes[i];

        if (node != mine && (node->objects > 0 || node->away == 0)) {
            s3c_write_byte(w, ',');
            print_node(w, job, node, 0);
        }
    }

    s3c_write_lit(w, "],\"unreachable\":[");

    for (i = 0, n = 0; i < job->n_nodes; i++) {
        node = &job->nodes[i];

        if (node->away > 0) {
            s3c_write_str(w, n++ ? "," : "");
            s3c_stats_write_string(w, s3c_slice(node->name, node->len));
        }
    }

    s3c_write_lit(w, "]}");
}


void
ngx_http_s3_cache_warm_view(ngx_http_request_t *r,
    ngx_http_s3_cache_zone_t *zone, s3c_stats_zone_t *out)
{
    u_char                         *id, *data;
    ngx_uint_t                      i, n;
    ngx_array_t                     ids;
    s3c_writer_t                    w;
    s3c_warm_job_t                 *job;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);

    if (mcf->warm == NULL
        || ngx_http_s3_cache_warm_ids(mcf->warm, r->pool, &ids) != NGX_OK
        || ids.nelts == 0)
    {
        return;
    }

    n = NGX_HTTP_S3_CACHE_WARM_RUN_MAX * NGX_HTTP_S3_CACHE_WARM_JSON;
    job = ngx_palloc(r->pool, sizeof(s3c_warm_job_t));
    data = ngx_palloc(r->pool, n);

    if (job == NULL || data == NULL) {
        return;
    }

    s3c_writer_init(&w, data, n);
    ids.nelts = ngx_min(ids.nelts, NGX_HTTP_S3_CACHE_WARM_KEPT_MAX);
    id = ids.elts;

    for (i = 0; i < ids.nelts; i++, id += S3C_WARM_ID_BYTES) {

        if (ngx_http_s3_cache_warm_load(mcf->warm, id, job, NULL) == NGX_OK
            && job->state == S3C_WARM_RUNNING
            && s3c_slice_eq(s3c_warm_text(&job->zone),
                            ngx_http_s3_cache_slice(&zone->name)))
        {
            s3c_write_str(&w, w.pos > w.start ? "," : "");
            ngx_http_s3_cache_warm_print(&w, job, zone);
        }
    }

    if (s3c_writer_ok(&w)) {
        out->warmups = s3c_writer_slice(&w);
    }
}

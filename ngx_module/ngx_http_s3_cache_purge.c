/* SPDX-License-Identifier: Apache-2.0
 *
 * A purge is dropped as a write drops what it names (write_fence.c), of each
 * origin that the zones keep, here and at all other nodes:
 *
 *   purge    arguments -> zones, nodes, origins
 *   start    each origin: forget()
 *   over     when the last one is done: what became of it
 *
 * The answer comes when all nodes have been told, or could not be. It lives in
 * the request's pool; if the client leaves, the others are told all the same,
 * but nobody learns who missed it.
 */

#include "ngx_http_s3_cache_purge.h"
#include "ngx_http_s3_cache_roster.h"
#include "ngx_http_s3_cache_status.h"
#include "ngx_http_s3_cache_write.h"

#include "serve/purge_ask.h"


#define ANSWER_BYTES  512


typedef struct {
    ngx_http_request_t            *request;
    ngx_http_s3_cache_zone_t      *zone;       /* NULL: all */
    ngx_array_t                    nodes;      /* ngx_str_t, the others */
    ngx_array_t                    missed;     /* ngx_str_t */
    ngx_array_t                    origins;    /* purge_origin_t * */
    ngx_uint_t                     pending;    /* of them */
    unsigned                       starting:1;
    unsigned                       failed:1;
    s3c_purge_ask_t                ask;
} purge_t;


typedef struct {
    purge_t                       *purge;
    ngx_http_s3_cache_ctx_t        ctx;        /* of a request for no object */
    ngx_http_s3_cache_fence_t      fence;
} purge_origin_t;


static ngx_http_s3_cache_zone_t *purge_zone(purge_t *p, ngx_uint_t *i);
static ngx_int_t purge_origins(purge_t *p);
static ngx_int_t purge_origin(purge_t *p, ngx_http_s3_cache_loc_conf_t *conf);
static ngx_int_t purge_nodes(purge_t *p);
static ngx_int_t purge_note(ngx_array_t *names, ngx_str_t *name);
static void purge_start(purge_t *p);
static void purge_on_missed(void *data, ngx_http_s3_cache_near_t *near);
static void purge_resume(void *data, ngx_int_t rc);
static ngx_int_t purge_over(purge_t *p);
static void purge_count(purge_t *p);
static void purge_print(purge_t *p, s3c_writer_t *w);
static void purge_print_arg(s3c_writer_t *w, const char *name,
    s3c_slice_t value);
static ngx_int_t purge_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *why);
static void purge_cleanup(void *data);


ngx_uint_t
ngx_http_s3_cache_purge_is(ngx_http_request_t *r)
{
    ngx_str_t  value;

    return ngx_http_arg(r, (u_char *) "purge", sizeof("purge") - 1, &value)
           == NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_purge(ngx_http_request_t *r)
{
    purge_t                        *p;
    ngx_str_t                       name;
    const char                     *why;
    ngx_pool_cleanup_t             *cln;
    ngx_http_s3_cache_main_conf_t  *mcf;

    if (r->method != NGX_HTTP_POST) {
        return purge_refuse(r, NGX_HTTP_NOT_ALLOWED, "POST is needed");
    }

    p = ngx_pcalloc(r->pool, sizeof(purge_t));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p->request = r;

    if (s3c_purge_ask_parse(&p->ask, ngx_http_s3_cache_slice(&r->args), &why)
        != S3C_OK)
    {
        return purge_refuse(r, NGX_HTTP_BAD_REQUEST, why);
    }

    if (p->ask.zone.len > 0) {
        mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);

        name.data = (u_char *) p->ask.zone.data;
        name.len = p->ask.zone.len;
        p->zone = ngx_http_s3_cache_conf_zone_find(mcf, &name);

        if (p->zone == NULL) {
            return purge_refuse(r, NGX_HTTP_NOT_FOUND, "no such zone");
        }
    }

    if (ngx_array_init(&p->nodes, r->pool, 8, sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&p->missed, r->pool, 1, sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&p->origins, r->pool, 1, sizeof(void *)) != NGX_OK
        || purge_nodes(p) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = purge_cleanup;
    cln->data = p;

    switch (purge_origins(p)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return purge_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                            "nothing was purged: the worker that answers does "
                            "without a zone");
    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    purge_start(p);

    if (p->pending == 0) {
        return purge_over(p);
    }

    r->main->count++;

    /* a client that goes away ends it */
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


/* The next zone that is meant. */

static ngx_http_s3_cache_zone_t *
purge_zone(purge_t *p, ngx_uint_t *i)
{
    ngx_http_s3_cache_zone_t       *zone, **zones;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(p->request, ngx_http_s3_cache_module);
    zones = mcf->zones.elts;

    while (*i < mcf->zones.nelts) {
        zone = zones[(*i)++];

        if (p->zone == NULL || p->zone == zone) {
            return zone;
        }
    }

    return NULL;
}


/* --- what is to be dropped, and who is to know it ------------------------- */

static ngx_int_t
purge_origins(purge_t *p)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i, k;
    ngx_http_s3_cache_zone_t       *zone;
    ngx_http_s3_cache_loc_conf_t  **confs;

    i = 0;

    while ((zone = purge_zone(p, &i)) != NULL) {

        if (zone->locations == NULL) {
            continue;                          /* nothing is kept in it */
        }

        confs = zone->locations->elts;

        for (k = 0; k < zone->locations->nelts; k++) {
            rc = purge_origin(p, confs[k]);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
purge_origin(purge_t *p, ngx_http_s3_cache_loc_conf_t *conf)
{
    ngx_uint_t                      i;
    purge_origin_t                 *o, **slot;
    ngx_http_request_t             *r;
    ngx_http_s3_cache_main_conf_t  *mcf;

    r = p->request;
    slot = p->origins.elts;

    for (i = 0; i < p->origins.nelts; i++) {
        if (slot[i]->ctx.conf->origin->id == conf->origin->id) {
            return NGX_OK;
        }
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);

    if (ngx_http_s3_cache_fence_can(mcf, conf->origin->id) != NGX_OK) {
        return NGX_DECLINED;
    }

    o = ngx_pcalloc(r->pool, sizeof(purge_origin_t));
    if (o == NULL) {
        return NGX_ERROR;
    }

    slot = ngx_array_push(&p->origins);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = o;

    o->purge = p;
    o->ctx.request = r;
    o->ctx.log = r->connection->log;
    o->ctx.conf = conf;
    o->ctx.zone = conf->zone;

    o->fence.ctx = &o->ctx;
    o->fence.zone = p->zone;
    o->fence.resume = purge_resume;
    o->fence.on_missed = purge_on_missed;
    o->fence.data = o;

    return NGX_OK;
}


static ngx_int_t
purge_nodes(purge_t *p)
{
    ngx_uint_t                 i, k;
    ngx_http_s3_cache_near_t  *near;
    ngx_http_s3_cache_zone_t  *zone;

    i = 0;

    while ((zone = purge_zone(p, &i)) != NULL) {

        if (zone->peers == NULL || zone->locations == NULL) {
            continue;
        }

        k = 0;

        while ((near = ngx_http_s3_cache_view_member(zone->peers, &k))
               != NULL)
        {
            if (purge_note(&p->nodes, &near->name) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* Once each. It is copied: a member may go meanwhile. */

static ngx_int_t
purge_note(ngx_array_t *names, ngx_str_t *name)
{
    u_char      *data;
    ngx_str_t   *known;
    ngx_uint_t   i;

    known = names->elts;

    for (i = 0; i < names->nelts; i++) {
        if (known[i].len == name->len
            && ngx_memcmp(known[i].data, name->data, name->len) == 0)
        {
            return NGX_OK;
        }
    }

    data = ngx_pstrdup(names->pool, name);
    known = (data != NULL) ? ngx_array_push(names) : NULL;

    if (known == NULL) {
        return NGX_ERROR;
    }

    known->data = data;
    known->len = name->len;

    return NGX_OK;
}


/* --- dropping it ---------------------------------------------------------- */

static void
purge_start(purge_t *p)
{
    ngx_int_t                        rc;
    ngx_uint_t                       i;
    purge_origin_t                 **origins;
    ngx_http_s3_cache_name_t         name;
    ngx_http_s3_cache_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(p->request, ngx_http_s3_cache_module);

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));

    name.bucket = p->ask.bucket;
    name.key = p->ask.key;
    name.version = p->ask.version;
    name.zone = p->zone;
    name.prefix = (p->ask.kind == S3C_PURGE_PREFIX && name.key.len > 0);
    name.all = (p->ask.kind == S3C_PURGE_ALL);
    name.whole = (p->ask.kind == S3C_PURGE_KEY);

    origins = p->origins.elts;
    p->starting = 1;

    for (i = 0; i < p->origins.nelts; i++) {
        rc = ngx_http_s3_cache_forget(&origins[i]->fence, &name);

        if (rc == NGX_AGAIN) {
            p->pending++;

        } else if (rc != NGX_OK) {
            /* without a fence, but here at least */
            ngx_http_s3_cache_fence_drop(mcf, origins[i]->ctx.conf->origin->id,
                                         &name);
            p->failed = 1;
        }
    }

    p->starting = 0;
}


static void
purge_on_missed(void *data, ngx_http_s3_cache_near_t *near)
{
    purge_origin_t *o = data;

    o->purge->failed = 1;

    if (purge_note(&o->purge->missed, &near->name) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, o->ctx.log, 0,
                      "s3_cache_admin: \"%V\" missed a purge", &near->name);
    }
}


static void
purge_resume(void *data, ngx_int_t rc)
{
    purge_origin_t *o = data;

    purge_t             *p;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    p = o->purge;

    if (rc != NGX_OK) {
        p->failed = 1;
    }

    if (--p->pending > 0 || p->starting) {
        return;
    }

    r = p->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = purge_over(p);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* --- the answer ----------------------------------------------------------- */

static ngx_int_t
purge_over(purge_t *p)
{
    size_t               size;
    u_char              *data;
    ngx_str_t           *name;
    ngx_uint_t           i, level;
    s3c_writer_t         w;
    ngx_http_request_t  *r;

    r = p->request;
    level = p->failed ? NGX_LOG_WARN : NGX_LOG_NOTICE;

    purge_count(p);

    /* the arguments as they came: they hold no line end */

    ngx_log_error(level, r->connection->log, 0,
                  "s3_cache_admin: \"%V\": nodes: %ui, missed: %ui%s",
                  &r->args, p->nodes.nelts + 1, p->missed.nelts,
                  p->failed ? "; repeat it" : "");

    /* a byte may become "\u00xx" */

    size = ANSWER_BYTES + 6 * sizeof(p->ask.buf);
    name = p->missed.elts;

    for (i = 0; i < p->missed.nelts; i++) {
        size += 6 * name[i].len + sizeof("\"\",");
    }

    data = ngx_pnalloc(r->pool, size);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, data, size);
    purge_print(p, &w);

    if (!s3c_writer_ok(&w)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_s3_cache_status_send(r, p->failed
                                            ? NGX_HTTP_SERVICE_UNAVAILABLE
                                            : NGX_HTTP_OK, &w);
}


static void
purge_count(purge_t *p)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_zone_t  *zone;

    i = 0;

    while ((zone = purge_zone(p, &i)) != NULL) {

        if (zone->locations == NULL) {
            continue;
        }

        /* they are in the order of the kinds */
        s3c_stats_add(&zone->stats,
                      S3C_STAT_PURGE_KEY + (p->ask.kind - S3C_PURGE_KEY), 1);
    }
}


static void
purge_print(purge_t *p, s3c_writer_t *w)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    s3c_write_lit(w, "{\"purged\":\"");
    s3c_write_str(w, s3c_purge_kind_name(p->ask.kind));
    s3c_write_byte(w, '"');

    if (p->ask.kind != S3C_PURGE_ALL) {
        purge_print_arg(w, ",\"bucket\":", p->ask.bucket);
    }

    if (p->ask.kind == S3C_PURGE_PREFIX) {
        purge_print_arg(w, ",\"prefix\":", p->ask.key);

    } else if (p->ask.kind == S3C_PURGE_KEY) {
        purge_print_arg(w, ",\"key\":", p->ask.key);
    }

    if (p->ask.version.len > 0) {
        purge_print_arg(w, ",\"versionId\":", p->ask.version);
    }

    if (p->ask.zone.len > 0) {
        purge_print_arg(w, ",\"zone\":", p->ask.zone);
    }

    s3c_write_lit(w, ",\"nodes\":");
    s3c_write_u64(w, p->nodes.nelts + 1);
    s3c_write_lit(w, ",\"missed\":[");
    name = p->missed.elts;

    for (i = 0; i < p->missed.nelts; i++) {
        purge_print_arg(w, i > 0 ? "," : "",
                        ngx_http_s3_cache_slice(&name[i]));
    }

    s3c_write_byte(w, ']');

    if (p->failed) {
        s3c_write_lit(w, ",\"error\":\"not everywhere: repeat it\"");
    }

    s3c_write_lit(w, "}\n");
}


static void
purge_print_arg(s3c_writer_t *w, const char *name, s3c_slice_t value)
{
    s3c_write_str(w, name);
    s3c_stats_write_string(w, value);
}


/* `why` needs no escapes. */

static ngx_int_t
purge_refuse(ngx_http_request_t *r, ngx_uint_t status, const char *why)
{
    u_char        *data;
    s3c_writer_t   w;

    data = ngx_pnalloc(r->pool, ANSWER_BYTES);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, data, ANSWER_BYTES);
    purge_print_arg(&w, "{\"error\":", s3c_slice(why, ngx_strlen(why)));
    s3c_write_lit(&w, "}\n");

    return ngx_http_s3_cache_status_send(r, status, &w);
}


static void
purge_cleanup(void *data)
{
    purge_t *p = data;

    ngx_uint_t        i;
    purge_origin_t  **origins;

    origins = p->origins.elts;

    for (i = 0; i < p->origins.nelts; i++) {
        ngx_http_s3_cache_fence_end(&origins[i]->fence,
                                    NGX_HTTP_S3_CACHE_FENCE_KNOWN);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_admin with the argument "warmup": jobs are posted, shown, stopped.
 * Any worker does that, by their files alone; the one that runs them (warm.c)
 * finds them there. A list is read by nginx into a file of its own and copied.
 */

#include "ngx_http_s3_cache_warm_internal.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_status.h"

#include "serve/warm_ask.h"


#define COPY_BYTES  65536


static ngx_int_t admin_all(ngx_http_request_t *r,
    ngx_http_s3_cache_warm_conf_t *conf);
static ngx_int_t admin_one(ngx_http_request_t *r,
    ngx_http_s3_cache_warm_conf_t *conf, s3c_slice_t id);
static ngx_int_t admin_stop(ngx_http_request_t *r,
    ngx_http_s3_cache_warm_conf_t *conf, s3c_slice_t id);
static ngx_int_t admin_post(ngx_http_request_t *r,
    ngx_http_s3_cache_warm_conf_t *conf, const s3c_warm_ask_t *ask);
static ngx_int_t admin_job(ngx_http_request_t *r, s3c_warm_job_t *job);
static void admin_keeps(void *data);
static void admin_on_body(ngx_http_request_t *r);
static ngx_int_t admin_list(ngx_http_request_t *r);
static ngx_int_t admin_copy(ngx_http_request_t *r, const u_char *name,
    ngx_fd_t to, uint8_t sum[S3C_DIGEST_SHA256_BYTES]);
static ngx_uint_t admin_is_signed(ngx_http_request_t *r,
    const uint8_t sum[S3C_DIGEST_SHA256_BYTES]);
static ngx_int_t admin_reply(ngx_http_request_t *r, ngx_uint_t status,
    const s3c_warm_job_t *job);
static ngx_int_t admin_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *why);
static void admin_id(u_char *id);


static s3c_warm_ask_t  admin_ask;
static u_char          admin_buf[COPY_BYTES];


ngx_uint_t
ngx_http_s3_cache_warm_is(ngx_http_request_t *r)
{
    ngx_str_t  value;

    return ngx_http_arg(r, (u_char *) "warmup", sizeof("warmup") - 1, &value)
           == NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_warm_admin(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_uint_t                      reads;
    const char                     *why;
    s3c_status_t                    st;
    ngx_http_s3_cache_warm_conf_t  *conf;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);
    conf = mcf->warm;

    st = s3c_warm_ask_parse(&admin_ask, ngx_http_s3_cache_slice(&r->args),
                            &why);

    reads = (admin_ask.kind == S3C_WARM_ASK_ALL
             || admin_ask.kind == S3C_WARM_ASK_ONE);

    if (conf == NULL || st != S3C_OK
        || admin_ask.kind != S3C_WARM_ASK_LIST
        || r->method != NGX_HTTP_POST)
    {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (conf == NULL) {
        return admin_refuse(r, NGX_HTTP_NOT_IMPLEMENTED,
                            "no s3_cache_warmup is configured");
    }

    if (st != S3C_OK) {
        return admin_refuse(r, NGX_HTTP_BAD_REQUEST, why);
    }

    if (reads == (r->method == NGX_HTTP_POST)) {
        return admin_refuse(r, NGX_HTTP_NOT_ALLOWED,
                            reads ? "GET is needed" : "POST is needed");
    }

    switch (admin_ask.kind) {

    case S3C_WARM_ASK_ALL:
        return admin_all(r, conf);

    case S3C_WARM_ASK_ONE:
        return admin_one(r, conf, admin_ask.id);

    case S3C_WARM_ASK_STOP:
        return admin_stop(r, conf, admin_ask.id);

    default:
        return admin_post(r, conf, &admin_ask);
    }
}


/* --- what there is -------------------------------------------------------- */

static ngx_int_t
admin_all(ngx_http_request_t *r, ngx_http_s3_cache_warm_conf_t *conf)
{
    u_char                    *id, *data;
    ngx_str_t                  name;
    ngx_uint_t                 i, n;
    ngx_array_t                ids;
    s3c_writer_t               w;
    s3c_warm_job_t            *job;
    ngx_http_s3_cache_zone_t  *zone;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);
    job = ngx_palloc(r->pool, sizeof(s3c_warm_job_t));

    if (job == NULL
        || ngx_http_s3_cache_warm_ids(conf, r->pool, &ids) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ids.nelts = ngx_min(ids.nelts, NGX_HTTP_S3_CACHE_WARM_KEPT_MAX);

    n = 64 + ids.nelts * NGX_HTTP_S3_CACHE_WARM_JSON;
    data = ngx_palloc(r->pool, n);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, data, n);
    s3c_write_lit(&w, "{\"jobs\":[");

    id = ids.elts;

    for (i = 0, n = 0; i < ids.nelts; i++, id += S3C_WARM_ID_BYTES) {

        if (ngx_http_s3_cache_warm_load(conf, id, job, NULL) != NGX_OK) {
            continue;
        }

        name.data = job->zone.data;
        name.len = job->zone.len;
        zone = ngx_http_s3_cache_conf_zone_find(mcf, &name);

        s3c_write_str(&w, n++ ? "," : "");
        ngx_http_s3_cache_warm_print(&w, job, zone);
    }

    s3c_write_lit(&w, "]}\n");

    return s3c_writer_ok(&w)
           ? ngx_http_s3_cache_status_send(r, NGX_HTTP_OK, &w)
           : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
admin_one(ngx_http_request_t *r, ngx_http_s3_cache_warm_conf_t *conf,
    s3c_slice_t id)
{
    s3c_warm_job_t  *job;

    job = ngx_palloc(r->pool, sizeof(s3c_warm_job_t));
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_s3_cache_warm_load(conf, id.data, job, NULL) != NGX_OK) {
        return admin_refuse(r, NGX_HTTP_NOT_FOUND, "no such job");
    }

    return admin_reply(r, NGX_HTTP_OK, job);
}


static ngx_int_t
admin_stop(ngx_http_request_t *r, ngx_http_s3_cache_warm_conf_t *conf,
    s3c_slice_t id)
{
    ngx_fd_t         fd;
    s3c_warm_job_t  *job;

    job = ngx_palloc(r->pool, sizeof(s3c_warm_job_t));
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_s3_cache_warm_load(conf, id.data, job, NULL) != NGX_OK) {
        return admin_refuse(r, NGX_HTTP_NOT_FOUND, "no such job");
    }

    if (job->state == S3C_WARM_RUNNING) {
        fd = open((char *) ngx_http_s3_cache_warm_file(conf, job->id,
                                                       ".stop"),
                  O_WRONLY|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

        if (fd == NGX_INVALID_FILE) {
            return admin_refuse(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                "it cannot be stopped: see the error log");
        }

        (void) ngx_close_file(fd);

        /* soon it is */
        job->state = S3C_WARM_STOPPED;
        job->error.len = 0;

        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "s3_cache_warmup: %*s is to stop", id.len, id.data);
    }

    return admin_reply(r, NGX_HTTP_OK, job);
}


/* --- a new one ------------------------------------------------------------ */

static ngx_int_t
admin_post(ngx_http_request_t *r, ngx_http_s3_cache_warm_conf_t *conf,
    const s3c_warm_ask_t *ask)
{
    ngx_int_t                       rc;
    const char                     *why;
    s3c_warm_job_t                 *job;
    ngx_pool_cleanup_t             *cln;
    ngx_http_s3_cache_loc_conf_t   *location;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);

    job = ngx_pcalloc(r->pool, sizeof(s3c_warm_job_t));
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    location = ngx_http_s3_cache_warm_location(mcf, ask->zone, ask->origin,
                                               &why);

    admin_id(job->id);
    job->mode = ask->mode;
    job->list = (ask->kind == S3C_WARM_ASK_LIST);
    job->concurrency = ask->concurrency;
    job->rate = ask->rate;
    job->begun = (uint64_t) ngx_time();

    if (location == NULL
        || !s3c_warm_text_set(&job->zone,
                         ngx_http_s3_cache_slice(&location->zone->name))
        || !s3c_warm_text_set(&job->origin, ask->origin)
        || !s3c_warm_text_set(&job->bucket, ask->bucket)
        || !s3c_warm_text_set(&job->prefix, ask->prefix))
    {
        rc = job->list ? ngx_http_discard_request_body(r) : NGX_OK;

        return rc != NGX_OK ? rc
               : admin_refuse(r, NGX_HTTP_NOT_FOUND,
                              location == NULL ? why : "a name is too long");
    }

    if (!job->list) {
        return admin_job(r, job);
    }

    if (r->headers_in.content_length_n > conf->list_max) {
        rc = ngx_http_discard_request_body(r);

        return rc != NGX_OK ? rc
               : admin_refuse(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "the list is larger than s3_cache_warmup "
                              "allows");
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = admin_keeps;
    cln->data = job;

    r->request_body_in_file_only = 1;
    r->request_body_file_log_level = 0;

    rc = ngx_http_read_client_request_body(r, admin_on_body);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static ngx_int_t
admin_job(ngx_http_request_t *r, s3c_warm_job_t *job)
{
    ngx_http_s3_cache_warm_conf_t  *conf;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);
    conf = mcf->warm;

    switch (ngx_http_s3_cache_warm_room(conf, r->pool)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_http_s3_cache_warm_remove(conf, job->id);
        return admin_refuse(r, NGX_HTTP_CONFLICT,
                            "too many jobs are running");
    default:
        ngx_http_s3_cache_warm_remove(conf, job->id);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_s3_cache_warm_save(conf, job) != NGX_OK) {
        ngx_http_s3_cache_warm_remove(conf, job->id);
        return admin_refuse(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                            "the job cannot be kept: see the error log");
    }

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "s3_cache_warmup: %*s: \"%V\"",
                  (size_t) S3C_WARM_ID_BYTES, job->id, &r->args);

    return admin_reply(r, NGX_HTTP_ACCEPTED, job);
}


/* The job of a request whose body is read: its pool knows it by this. */

static void
admin_keeps(void *data)
{
}


static void
admin_on_body(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, admin_list(r));
}


static ngx_int_t
admin_list(ngx_http_request_t *r)
{
    uint8_t                         sum[S3C_DIGEST_SHA256_BYTES];
    u_char                          name[NGX_MAX_PATH];
    ngx_fd_t                        fd;
    ngx_int_t                       rc;
    s3c_warm_job_t                 *job;
    ngx_pool_cleanup_t             *cln;
    ngx_http_s3_cache_warm_conf_t  *conf;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);
    conf = mcf->warm;
    job = NULL;

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler == admin_keeps) {
            job = cln->data;
        }
    }

    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->request_body == NULL || r->request_body->temp_file == NULL
        || r->request_body->temp_file->offset == 0)
    {
        return admin_refuse(r, NGX_HTTP_BAD_REQUEST, "the list is empty");
    }

    job->list_bytes = (uint64_t) r->request_body->temp_file->offset;

    if (job->list_bytes > (uint64_t) conf->list_max) {
        return admin_refuse(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                            "the list is larger than s3_cache_warmup allows");
    }

    ngx_cpystrn(name, ngx_http_s3_cache_warm_file(conf, job->id, ".list"),
                sizeof(name));

    fd = open((char *) name, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW,
              0600);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, ngx_errno,
                      "s3_cache_warmup: \"%s\" cannot be made", name);
        return admin_refuse(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                            "the list cannot be kept: see the error log");
    }

    rc = admin_copy(r, name, fd, sum);
    (void) ngx_close_file(fd);

    if (rc == NGX_OK && !admin_is_signed(r, sum)) {
        (void) ngx_delete_file(name);
        return admin_refuse(r, NGX_HTTP_BAD_REQUEST,
                            "the list is not the one that was signed");
    }

    if (rc != NGX_OK) {
        (void) ngx_delete_file(name);
        return admin_refuse(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                            "the list cannot be kept: see the error log");
    }

    return admin_job(r, job);
}


static ngx_int_t
admin_copy(ngx_http_request_t *r, const u_char *name, ngx_fd_t to,
    uint8_t sum[S3C_DIGEST_SHA256_BYTES])
{
    off_t      off;
    ssize_t    n, done, m;
    ngx_fd_t   from;
    s3c_sha_t  sha;

    from = r->request_body->temp_file->file.fd;
    sha.ctx = NULL;

    if (s3c_sha256_init(&sha) != S3C_OK) {
        return NGX_ERROR;
    }

    for (off = 0; (n = pread(from, admin_buf, COPY_BYTES, off)) > 0; off += n)
    {
        if (s3c_sha_add(&sha, s3c_slice(admin_buf, (size_t) n)) != S3C_OK) {
            break;
        }

        for (done = 0; done < n; done += m) {
            m = write(to, admin_buf + done, (size_t) (n - done));

            if (m <= 0) {
                goto failed;
            }
        }
    }

    if (n == 0 && fsync(to) == 0 && s3c_sha_end(&sha, sum) == S3C_OK) {
        s3c_sha_fini(&sha);
        return NGX_OK;
    }

failed:

    ngx_log_error(NGX_LOG_CRIT, r->connection->log, ngx_errno,
                  "s3_cache_warmup: \"%s\" cannot be written", name);
    s3c_sha_fini(&sha);

    return NGX_ERROR;
}


/* With s3_cache_auth keys the guard has checked a signature of what this
 * header says, not of the bytes. */

static ngx_uint_t
admin_is_signed(ngx_http_request_t *r,
    const uint8_t sum[S3C_DIGEST_SHA256_BYTES])
{
    u_char                         hex[2 * S3C_DIGEST_SHA256_BYTES];
    ngx_uint_t                     found;
    ngx_table_elt_t               *h;
    ngx_http_s3_cache_walk_t       walk;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_s3_cache_module);

    if (lcf->auth != NGX_HTTP_S3_CACHE_AUTH_KEYS) {
        return 1;
    }

    ngx_hex_dump(hex, (u_char *) sum, S3C_DIGEST_SHA256_BYTES);
    ngx_http_s3_cache_walk(&walk, &r->headers_in.headers);
    found = 0;

    while ((h = ngx_http_s3_cache_next(&walk)) != NULL) {

        if (h->key.len != sizeof("x-amz-content-sha256") - 1
            || ngx_strncasecmp(h->key.data, (u_char *) "x-amz-content-sha256",
                               h->key.len)
               != 0)
        {
            continue;
        }

        if (h->value.len != sizeof(hex)
            || ngx_strncasecmp(h->value.data, hex, sizeof(hex)) != 0)
        {
            return 0;
        }

        found = 1;
    }

    return found;
}


/* --- answers -------------------------------------------------------------- */

static ngx_int_t
admin_reply(ngx_http_request_t *r, ngx_uint_t status,
    const s3c_warm_job_t *job)
{
    u_char                         *data;
    ngx_str_t                       name;
    s3c_writer_t                    w;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);

    data = ngx_palloc(r->pool, NGX_HTTP_S3_CACHE_WARM_JSON);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    name.data = (u_char *) job->zone.data;
    name.len = job->zone.len;

    s3c_writer_init(&w, data, NGX_HTTP_S3_CACHE_WARM_JSON);
    ngx_http_s3_cache_warm_print(&w, job,
                                 ngx_http_s3_cache_conf_zone_find(mcf,
                                                                  &name));
    s3c_write_byte(&w, '\n');

    return s3c_writer_ok(&w) ? ngx_http_s3_cache_status_send(r, status, &w)
                             : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* `why` needs no escapes. */

static ngx_int_t
admin_refuse(ngx_http_request_t *r, ngx_uint_t status, const char *why)
{
    u_char        *data;
    s3c_writer_t   w;

    data = ngx_palloc(r->pool, 256);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, data, 256);
    s3c_write_lit(&w, "{\"error\":\"");
    s3c_write_str(&w, why);
    s3c_write_lit(&w, "\"}\n");

    return ngx_http_s3_cache_status_send(r, status, &w);
}


/* Ever larger, so that names tell the order; and none that is there. */

static void
admin_id(u_char *id)
{
    uint64_t           ms;
    struct timespec    ts;
    static ngx_uint_t  n;

    (void) clock_gettime(CLOCK_REALTIME, &ts);
    ms = (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;

    (void) ngx_snprintf(id, S3C_WARM_ID_BYTES, "%011xL%03xi%02xi", ms,
                        (ngx_uint_t) (ngx_pid & 0xfff), n++ & 0xff);
}

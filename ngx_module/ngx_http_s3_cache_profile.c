/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of what was read, each once: by worker, and as far as its table of what
 * it has written reaches. They are collected and appended as a whole, so that
 * those of several workers never mix. The file is opened by nginx, like its logs, and
 * again by USR1.
 */

#include "ngx_http_s3_cache_profile.h"

#include "serve/warm_line.h"


#define PROFILE_MAX    (16 * 1024 * 1024)
#define BUF_BYTES      65536
#define SEEN           32768                   /* a power of two */
#define SEEN_MAX       (SEEN / 4 * 3)
#define FLUSH_MSEC     1000


typedef struct profile_s  profile_t;

struct profile_s {
    ngx_open_file_t            *file;
    off_t                       max;
    profile_t                  *same;          /* another one of this file */
    /* of a worker: */
    profile_t                  *next;          /* of those in use */
    ngx_event_t                 event;
    u_char                     *buf;           /* NULL: not in use */
    size_t                      len;
    uint64_t                   *seen;          /* hashes of what was read */
    ngx_uint_t                  nseen;
    unsigned                    full:1;        /* and that was said */
};


static ngx_int_t profile_use(profile_t *p);
static uint64_t profile_hash(ngx_http_s3_cache_target_t *target,
    uint64_t first, uint64_t last);
static ngx_uint_t profile_is_new(profile_t *p, uint64_t hash);
static void profile_forget(profile_t *p);
static void profile_flush(profile_t *p);
static void profile_reopen(ngx_open_file_t *file, ngx_log_t *log);
static void profile_on_timer(ngx_event_t *ev);


static profile_t  *profile_used;


char *
ngx_http_s3_cache_profile_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    profile_t  *p;
    ngx_str_t  *value, size;

    if (lcf->profile != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        lcf->profile = NULL;
        return NGX_CONF_OK;
    }

    p = ngx_pcalloc(cf->pool, sizeof(profile_t));
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    p->max = PROFILE_MAX;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "max=", 4) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" directive",
                               &value[2], &cmd->name);
            return NGX_CONF_ERROR;
        }

        size.data = value[2].data + 4;
        size.len = value[2].len - 4;
        p->max = ngx_parse_offset(&size);

        if (p->max <= 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid size in \"%V\" of \"%V\" directive",
                               &value[2], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    p->file = ngx_conf_open_file(cf->cycle, &value[1]);
    if (p->file == NULL) {
        return NGX_CONF_ERROR;
    }

    p->same = (p->file->flush == profile_reopen) ? p->file->data : NULL;
    p->file->flush = profile_reopen;
    p->file->data = p;

    lcf->profile = p;

    return NGX_CONF_OK;
}


void
ngx_http_s3_cache_profile_merge(ngx_http_s3_cache_loc_conf_t *prev,
    ngx_http_s3_cache_loc_conf_t *conf)
{
    ngx_conf_merge_ptr_value(conf->profile, prev->profile, NULL);
}


void
ngx_http_s3_cache_profile_note(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target)
{
    profile_t *p = ctx->conf->profile;

    uint64_t      first, last, size;
    s3c_writer_t  w;

    if (target->op.kind != S3C_OP_GET_OBJECT || ctx->head || ctx->page
        || ctx->write != NULL || (p->buf == NULL && profile_use(p) != NGX_OK))
    {
        return;
    }

    first = 0;
    last = UINT64_MAX;

    if (ctx->request->headers_out.status == NGX_HTTP_PARTIAL_CONTENT) {

        /* whole blocks, as a warm-up fetches them: so more lines are the same,
           and those of a small object have no range */

        size = ctx->conf->block_size;

        if (ctx->result != NGX_HTTP_S3_CACHE_BYPASS) {
            first = ctx->reply.first / size * size;
            last = ctx->reply.last / size * size + size - 1;

            if (first == 0 && last + 1 >= ctx->view.total) {
                last = UINT64_MAX;
            }

        } else if (ctx->ask.range.kind == S3C_RANGE_FROM_TO
                   && ctx->ask.range.last < INT64_MAX / 2)
        {
            first = ctx->ask.range.first / size * size;
            last = ctx->ask.range.last / size * size + size - 1;
        }
    }

    if (!profile_is_new(p, profile_hash(target, first, last))) {
        return;
    }

    if (BUF_BYTES - p->len < S3C_WARM_LINE_MAX) {
        profile_flush(p);
    }

    s3c_writer_init(&w, p->buf + p->len, BUF_BYTES - p->len);
    s3c_warm_line_print(&w, target->addr.bucket, target->addr.key,
                        target->op.version_id, first, last);

    if (s3c_writer_ok(&w)) {
        p->len += s3c_writer_slice(&w).len;

        if (!p->event.timer_set) {
            ngx_add_timer(&p->event, FLUSH_MSEC);
        }
    }
}


static ngx_int_t
profile_use(profile_t *p)
{
    p->seen = ngx_calloc(SEEN * sizeof(uint64_t), ngx_cycle->log);
    p->buf = ngx_alloc(BUF_BYTES, ngx_cycle->log);

    if (p->seen == NULL || p->buf == NULL) {

        if (p->seen != NULL) {
            ngx_free(p->seen);
        }

        if (p->buf != NULL) {
            ngx_free(p->buf);
        }

        p->buf = NULL;
        return NGX_ERROR;
    }

    p->event.handler = profile_on_timer;
    p->event.data = p;
    p->event.log = ngx_cycle->log;
    p->event.cancelable = 1;

    p->next = profile_used;
    profile_used = p;

    return NGX_OK;
}


/* One to one in either of the two; of both, in this order. (The constant is of
 * splitmix64.) */

static ngx_inline uint64_t
profile_mix(uint64_t hash, uint64_t with)
{
    hash = (hash ^ with) * 0xbf58476d1ce4e5b9ull;

    return hash ^ hash >> 31;
}


/* Of the names, as the line has them: not of the line, which costs ten times as
 * much to print, nor of ctx->object, which is another one after a purge. */

static uint64_t
profile_hash(ngx_http_s3_cache_target_t *target, uint64_t first, uint64_t last)
{
    uint64_t  hash;

    hash = s3c_hash64(target->addr.key.data, target->addr.key.len);
    hash = profile_mix(hash, s3c_hash64(target->addr.bucket.data,
                                        target->addr.bucket.len));

    if (target->op.version_id.len > 0) {
        hash = profile_mix(hash, s3c_hash64(target->op.version_id.data,
                                            target->op.version_id.len));
    }

    hash = profile_mix(profile_mix(hash, first), last);

    return (hash != 0) ? hash : 1;
}


static ngx_uint_t
profile_is_new(profile_t *p, uint64_t hash)
{
    ngx_uint_t  i;

    for (i = hash & (SEEN - 1); p->seen[i] != 0; i = (i + 1) & (SEEN - 1)) {
        if (p->seen[i] == hash) {
            return 0;
        }
    }

    if (p->nseen == SEEN_MAX) {
        /* what was long ago comes once more */
        profile_forget(p);
        i = hash & (SEEN - 1);
    }

    p->seen[i] = hash;
    p->nseen++;

    return 1;
}


static void
profile_forget(profile_t *p)
{
    ngx_memzero(p->seen, SEEN * sizeof(uint64_t));
    p->nseen = 0;
}


/* Without room in the file they are lost, until it is another one. */

static void
profile_flush(profile_t *p)
{
    size_t       len;
    struct stat  st;

    len = p->len;
    p->len = 0;

    if (len == 0 || p->file->fd == NGX_INVALID_FILE
        || fstat(p->file->fd, &st) == -1)
    {
        return;
    }

    if (S_ISREG(st.st_mode) && st.st_size + (off_t) len > p->max) {

        if (!p->full) {
            p->full = 1;
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "s3_cache_profile: \"%V\" is full", &p->file->name);
        }

        return;
    }

    p->full = 0;

    if (write(p->file->fd, p->buf, len) != (ssize_t) len) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "s3_cache_profile: \"%V\" cannot be written",
                      &p->file->name);
    }
}


/* By USR1, before it is another file, which begins anew. */

static void
profile_reopen(ngx_open_file_t *file, ngx_log_t *log)
{
    profile_t  *p;

    for (p = file->data; p != NULL; p = p->same) {
        if (p->buf != NULL) {
            profile_flush(p);
            profile_forget(p);
        }
    }
}


static void
profile_on_timer(ngx_event_t *ev)
{
    profile_flush(ev->data);
}


void
ngx_http_s3_cache_profile_exit_worker(void)
{
    profile_t  *p;

    while (profile_used != NULL) {
        p = profile_used;
        profile_used = p->next;

        if (p->event.timer_set) {
            ngx_del_timer(&p->event);
        }

        profile_flush(p);
        ngx_free(p->buf);
        ngx_free(p->seen);
        p->buf = NULL;
    }
}

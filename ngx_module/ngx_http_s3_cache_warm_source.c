/* SPDX-License-Identifier: Apache-2.0
 *
 * Which objects a job is about: the lines of its list, or the keys that begin
 * with its prefix, a page of the origin's list after the other. A page is asked
 * for by the last key before it, so that a job can go on from any.
 */

#include "ngx_http_s3_cache_warm_internal.h"


#define LINES_BYTES   65536
#define LINES_TURN    4096     /* passed over, then others have their turn */
#define PAGE_TRIES    8
#define PAGE_MSEC     250      /* before the second try; then twice that */
#define QUERY_BYTES   8192


static ngx_int_t source_line(warm_run_t *run, s3c_warm_line_t *line,
    uint64_t *offset);
static ngx_int_t source_read(warm_run_t *run);
static ngx_int_t source_key(warm_run_t *run, s3c_warm_line_t *line);
static ngx_int_t source_ask(warm_run_t *run);
static void source_retry(ngx_event_t *ev);
static ngx_int_t source_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head);
static void source_on_space(ngx_http_s3_cache_call_t *call, u_char **pos,
    size_t *len);
static ngx_int_t source_on_body(ngx_http_s3_cache_call_t *call, size_t n);
static void source_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end);
static void source_again(warm_run_t *run);


ngx_int_t
ngx_http_s3_cache_warm_source_open(warm_run_t *run)
{
    struct stat     st;
    warm_source_t  *s;

    s = &run->source;
    s->after = run->job.after;

    s->retry.handler = source_retry;
    s->retry.data = run;
    s->retry.log = ngx_cycle->log;
    s->retry.cancelable = 1;

    if (!run->job.list) {
        return NGX_OK;
    }

    s->offset = run->job.offset;
    s->buf = ngx_alloc(LINES_BYTES, ngx_cycle->log);
    s->fd = open((char *) ngx_http_s3_cache_warm_file(run->conf, run->job.id,
                                                      ".list"),
                 O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    return (s->buf != NULL && s->fd != NGX_INVALID_FILE
            && fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode)
            && (uint64_t) st.st_size == run->job.list_bytes)
           ? NGX_OK : NGX_ERROR;
}


void
ngx_http_s3_cache_warm_source_close(warm_run_t *run)
{
    warm_source_t  *s;

    s = &run->source;

    if (s->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(s->fd);
    }

    if (s->call != NULL) {
        ngx_http_s3_cache_call_abort(s->call, 1);
    }

    if (s->retry.timer_set) {
        ngx_del_timer(&s->retry);
    }

    if (s->buf != NULL) {
        ngx_free(s->buf);
    }
}


ngx_int_t
ngx_http_s3_cache_warm_source_next(warm_run_t *run, s3c_warm_line_t *line,
    uint64_t *offset)
{
    *offset = 0;

    return run->job.list ? source_line(run, line, offset)
                         : source_key(run, line);
}


/* --- a list --------------------------------------------------------------- */

static ngx_int_t
source_line(warm_run_t *run, s3c_warm_line_t *line, uint64_t *offset)
{
    u_char         *end, *begin;
    size_t          len;
    ngx_int_t       rc;
    ngx_uint_t      n;
    warm_source_t  *s;

    s = &run->source;

    for (n = 0; n < LINES_TURN; /* void */) {
        begin = s->buf + s->pos;
        len = s->len - s->pos;
        end = len > 0 ? memchr(begin, '\n', len) : NULL;

        if (end == NULL && !s->last && len <= S3C_WARM_LINE_MAX) {
            rc = source_read(run);

            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        if (end == NULL && len == 0) {
            return NGX_DONE;
        }

        if (end == NULL && len > S3C_WARM_LINE_MAX) {
            /* what comes of it is one bad line, or several */
            end = begin + len - 1;
        }

        len = (end != NULL) ? (size_t) (end - begin) : len;
        s->pos += len + (end != NULL);
        *offset = s->offset + s->pos;

        switch (len > S3C_WARM_LINE_MAX
                ? S3C_INVALID : s3c_warm_line_parse(line,
                                                    s3c_slice(begin, len)))
        {
        case S3C_OK:
            return NGX_OK;

        case S3C_MISS:
            break;

        default:
            s->bad_lines++;
        }

        n++;
    }

    ngx_add_timer(&run->pump, 1);

    return NGX_AGAIN;
}


/* More behind what is left of it. */

static ngx_int_t
source_read(warm_run_t *run)
{
    ssize_t         n;
    warm_source_t  *s;

    s = &run->source;

    ngx_memmove(s->buf, s->buf + s->pos, s->len - s->pos);
    s->offset += s->pos;
    s->len -= s->pos;
    s->pos = 0;

    n = pread(s->fd, s->buf + s->len, LINES_BYTES - s->len,
              (off_t) (s->offset + s->len));

    if (n < 0) {
        ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED,
                                       "its list cannot be read");
        return NGX_ERROR;
    }

    s->len += (size_t) n;
    s->last = (n == 0);

    return NGX_OK;
}


/* --- a prefix ------------------------------------------------------------- */

static ngx_int_t
source_key(warm_run_t *run, s3c_warm_line_t *line)
{
    s3c_slice_t     key;
    s3c_status_t    st;
    warm_source_t  *s;

    s = &run->source;

    while (s->paged) {
        st = s3c_s3_page_next(&s->page, &key);

        if (st == S3C_OK) {
            /* it goes on behind what came before: no circles */

            if (key.len < run->job.prefix.len
                || ngx_memcmp(key.data, run->job.prefix.data,
                              run->job.prefix.len)
                   != 0
                || ngx_memn2cmp((u_char *) key.data, s->after.data, key.len,
                                s->after.len)
                   <= 0)
            {
                ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED,
                                     "the origin's list is out of order");
                return NGX_ERROR;
            }

            (void) s3c_warm_text_set(&s->after, key);
            s->moved = 1;

            line->bucket = s3c_warm_text(&run->job.bucket);
            line->key = key;
            line->version = S3C_SLICE_NONE;
            line->first = 0;
            line->last = UINT64_MAX;

            return NGX_OK;
        }

        if (st != S3C_MISS) {
            ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED,
                                         "the origin's list is malformed");
            return NGX_ERROR;
        }

        s->paged = 0;
        s->last = !s->page.truncated;
        ngx_free(s->buf);
        s->buf = NULL;

        if (!s->last && !s->moved) {
            /* the next question would be the same one */
            ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED,
                                       "the origin's list does not go on");
            return NGX_ERROR;
        }
    }

    if (s->last) {
        return NGX_DONE;
    }

    if (s->call == NULL && !s->retry.timer_set) {
        return source_ask(run);
    }

    return NGX_AGAIN;
}


static ngx_int_t
source_ask(warm_run_t *run)
{
    u_char                    *p;
    s3c_writer_t               w;
    ngx_http_s3_cache_call_t  *call;

    call = ngx_http_s3_cache_call_create(run->location->origin,
                                         ngx_cycle->log);
    if (call == NULL) {
        source_again(run);
        return NGX_AGAIN;
    }

    p = ngx_pnalloc(call->pool, run->job.bucket.len + 2 + QUERY_BYTES);
    if (p == NULL) {
        ngx_http_s3_cache_call_abort(call, 1);
        source_again(run);
        return NGX_AGAIN;
    }

    call->path.data = p;
    *p++ = '/';
    p = ngx_cpymem(p, run->job.bucket.data, run->job.bucket.len);
    *p++ = '/';
    call->path.len = p - call->path.data;

    s3c_writer_init(&w, p, QUERY_BYTES);
    s3c_s3_page_query(&w, s3c_warm_text(&run->job.prefix),
                      s3c_warm_text(&run->source.after));

    call->query.data = p;
    call->query.len = s3c_writer_slice(&w).len;
    call->data = run;
    call->stats = &run->zone->stats;
    call->on_head = source_on_head;
    call->on_space = source_on_space;
    call->on_body = source_on_body;
    call->on_end = source_on_end;

    run->source.call = call;
    run->source.status = 0;
    run->source.len = 0;
    run->source.pos = 0;

    ngx_http_s3_cache_call_start(call);

    return NGX_AGAIN;
}


static ngx_int_t
source_on_head(ngx_http_s3_cache_call_t *call, s3c_http_head_t *head)
{
    warm_run_t *run = call->data;

    run->source.status = head->status;

    return head->status == 200 ? NGX_OK : NGX_ERROR;
}


/* s->pos is the size of the buffer while a page comes. */

static void
source_on_space(ngx_http_s3_cache_call_t *call, u_char **pos, size_t *len)
{
    warm_run_t *run = call->data;

    u_char         *p;
    size_t          size;
    warm_source_t  *s;

    s = &run->source;

    if (s->len == s->pos) {
        size = s->pos > 0 ? 2 * s->pos : LINES_BYTES;
        p = ngx_alloc(size, ngx_cycle->log);

        if (p == NULL) {
            *len = 0;
            return;
        }

        if (s->buf != NULL) {
            ngx_memcpy(p, s->buf, s->len);
            ngx_free(s->buf);
        }

        s->buf = p;
        s->pos = size;
    }

    *pos = s->buf + s->len;
    *len = s->pos - s->len;
}


static ngx_int_t
source_on_body(ngx_http_s3_cache_call_t *call, size_t n)
{
    warm_run_t *run = call->data;

    run->source.len += n;

    return run->source.len > S3C_S3_PAGE_MAX ? NGX_ERROR : NGX_OK;
}


static void
source_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end)
{
    warm_run_t *run = call->data;

    ngx_uint_t      status;
    warm_source_t  *s;

    s = &run->source;
    s->call = NULL;
    status = s->status;

    if (end == NGX_HTTP_S3_CACHE_CALL_DONE
        && s3c_s3_page_open(&s->page, s3c_slice(s->buf, s->len)) == S3C_OK)
    {
        s->paged = 1;
        s->moved = 0;
        s->tries = 0;
        run->waiting = NULL;
        ngx_http_s3_cache_warm_run_kick(run);
        return;
    }

    if (s->buf != NULL) {
        ngx_free(s->buf);
        s->buf = NULL;
    }

    s->pos = 0;
    s->len = 0;

    if (status == 404 || status == 403 || status == 400) {
        ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED,
                                       status == 404
                                       ? "the origin has no such bucket"
                                       : status == 403
                                       ? "the origin does not let it list"
                                       : "the origin cannot list that");
        return;
    }

    source_again(run);
}


static void
source_again(warm_run_t *run)
{
    if (++run->source.tries == PAGE_TRIES) {
        ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED,
                                       "the origin does not list it");
        return;
    }

    run->waiting = "origin";
    run->dirty = 1;
    ngx_add_timer(&run->source.retry,
                  (ngx_msec_t) PAGE_MSEC << (run->source.tries - 1));
}


static void
source_retry(ngx_event_t *ev)
{
    ngx_http_s3_cache_warm_run_kick(ev->data);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * One refresh of keys by a service, as the keeper does it:
 *
 *   step    question                              goes to
 *   TOKEN   PUT /latest/api/token                 ROLE | KEYS  (instance)
 *   ROLE    GET .../iam/security-credentials/     KEYS         (instance)
 *   KEYS    GET with the token (instance, container), or
 *           POST AssumeRoleWithWebIdentity        published
 *
 * Whatever else comes is a failure, and the refresh is over. Answers are small
 * and read whole; all that was secret is wiped at the end.
 */

#include "ngx_http_s3_cache_origin_keys.h"
#include "s3/s3_uri.h"


/* of all its steps: who sends a byte now and then must not keep the keeper from
 * asking again */
#define REFRESH_MSEC 15000
#define ANSWER_MAX   (32 * 1024)
#define TOKEN_MAX    1024
#define ROLE_MAX     128
/* IAM takes 20000 characters; each may become three */
#define JWT_MAX      20000
#define BODY_MAX     (3 * JWT_MAX + 3 * 2048 + 512)

#define ROLE_PATH    "/latest/meta-data/iam/security-credentials/"
#define TOKEN_TTL    "300"


typedef enum {
    KEYS_STEP_TOKEN = 0,
    KEYS_STEP_ROLE,
    KEYS_STEP_KEYS
} keys_step_e;


typedef struct {
    ngx_http_s3_cache_origin_keys_t  *keys;
    ngx_http_s3_cache_call_t    *call;          /* under way, or NULL */
    ngx_msec_t                   begun;
    keys_step_e                  step;
    ngx_uint_t                   status;
    size_t                       answer_len;
    size_t                       token_len;
    size_t                       role_len;
    size_t                       body_len;
    size_t                       body_sent;
    s3c_origin_keys_t            got;
    u_char                       answer[ANSWER_MAX];
    u_char                       token[NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE_MAX];
    u_char                       role[ROLE_MAX];
    u_char                       body[BODY_MAX];
} keys_fetch_t;


static const char *keys_fetch_ask(keys_fetch_t *f);
static const char *keys_fetch_instance(keys_fetch_t *f,
    ngx_http_s3_cache_call_t *call);
static const char *keys_fetch_container(keys_fetch_t *f,
    ngx_http_s3_cache_call_t *call);
static const char *keys_fetch_web_identity(keys_fetch_t *f,
    ngx_http_s3_cache_call_t *call);
static const char *keys_fetch_token_file(keys_fetch_t *f, size_t max);
static void keys_fetch_header(ngx_http_s3_cache_call_t *call,
    const char *name, const u_char *value, size_t len);
static void keys_fetch_on_send(ngx_http_s3_cache_call_t *call, u_char **pos,
    size_t *len);
static void keys_fetch_on_sent(ngx_http_s3_cache_call_t *call, size_t n);
static ngx_int_t keys_fetch_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head);
static void keys_fetch_on_space(ngx_http_s3_cache_call_t *call, u_char **pos,
    size_t *len);
static ngx_int_t keys_fetch_on_body(ngx_http_s3_cache_call_t *call, size_t n);
static void keys_fetch_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end);
static const char *keys_fetch_take(keys_fetch_t *f);
static const char *keys_fetch_take_word(keys_fetch_t *f, u_char *to,
    size_t max, size_t *len);
static const char *keys_fetch_take_keys(keys_fetch_t *f);
static void keys_fetch_fail(keys_fetch_t *f, const char *why,
    ngx_uint_t status);
static void keys_fetch_free(keys_fetch_t *f);


void
ngx_http_s3_cache_origin_keys_fetch(ngx_http_s3_cache_origin_keys_t *keys)
{
    const char    *why;
    keys_fetch_t  *f;

    f = ngx_calloc(sizeof(keys_fetch_t), ngx_cycle->log);
    if (f == NULL) {
        ngx_http_s3_cache_origin_keys_failed(keys, "no memory", 0, 0);
        return;
    }

    f->keys = keys;
    f->begun = ngx_current_msec;
    f->step = keys->kind == NGX_HTTP_S3_CACHE_ORIGIN_KEYS_INSTANCE
              ? KEYS_STEP_TOKEN : KEYS_STEP_KEYS;
    keys->fetch = f;

    why = keys_fetch_ask(f);

    if (why) {
        keys_fetch_fail(f, why, 0);
    }
}


void
ngx_http_s3_cache_origin_keys_fetch_stop(ngx_http_s3_cache_origin_keys_t *keys)
{
    keys_fetch_t  *f;

    f = keys->fetch;

    if (f == NULL) {
        return;
    }

    if (f->call) {
        ngx_http_s3_cache_call_abort(f->call, 1);
    }

    keys_fetch_free(f);
}


void
ngx_http_s3_cache_origin_keys_fetch_look(ngx_http_s3_cache_origin_keys_t *keys)
{
    keys_fetch_t  *f;

    f = keys->fetch;

    if (f == NULL || ngx_current_msec - f->begun < REFRESH_MSEC) {
        return;
    }

    if (f->call) {
        ngx_http_s3_cache_call_abort(f->call, 1);
    }

    keys_fetch_fail(f, "no answer in time", 0);
}


static void
keys_fetch_free(keys_fetch_t *f)
{
    f->keys->fetch = NULL;

    ngx_explicit_memzero(f, sizeof(keys_fetch_t));
    ngx_free(f);
}


static void
keys_fetch_fail(keys_fetch_t *f, const char *why, ngx_uint_t status)
{
    ngx_http_s3_cache_origin_keys_t  *keys;

    keys = f->keys;

    keys_fetch_free(f);
    ngx_http_s3_cache_origin_keys_failed(keys, why, 0, status);
}


/* NULL: an answer, or its failure, will come. */

static const char *
keys_fetch_ask(keys_fetch_t *f)
{
    const char                *why;
    ngx_http_s3_cache_call_t  *call;

    call = ngx_http_s3_cache_call_create(f->keys->origin, ngx_cycle->log);
    if (call == NULL) {
        return "no memory";
    }

    f->answer_len = 0;
    f->status = 0;

    call->close = 1;
    call->data = f;
    call->on_head = keys_fetch_on_head;
    call->on_space = keys_fetch_on_space;
    call->on_body = keys_fetch_on_body;
    call->on_end = keys_fetch_on_end;

    keys_fetch_header(call, "Accept", (u_char *) "*/*", 3);

    switch (f->keys->kind) {

    case NGX_HTTP_S3_CACHE_ORIGIN_KEYS_INSTANCE:
        why = keys_fetch_instance(f, call);
        break;

    case NGX_HTTP_S3_CACHE_ORIGIN_KEYS_CONTAINER:
        /* whoever knows the path, on this machine, is given them, too */
        call->secret = 1;
        why = keys_fetch_container(f, call);
        break;

    default:
        why = keys_fetch_web_identity(f, call);
        break;
    }

    if (why) {
        ngx_http_s3_cache_call_abort(call, 1);
        return why;
    }

    f->call = call;

    ngx_http_s3_cache_call_start(call);

    return NULL;
}


/* IMDSv2 only: whoever can make this machine ask for a URL (v1) cannot make it
 * send a PUT. */

static const char *
keys_fetch_instance(keys_fetch_t *f, ngx_http_s3_cache_call_t *call)
{
    u_char  *p;

    if (f->step == KEYS_STEP_TOKEN) {
        ngx_str_set(&call->method, "PUT");
        ngx_str_set(&call->path, "/latest/api/token");
        keys_fetch_header(call, "X-aws-ec2-metadata-token-ttl-seconds",
                          (u_char *) TOKEN_TTL, sizeof(TOKEN_TTL) - 1);
        return NULL;
    }

    keys_fetch_header(call, "X-aws-ec2-metadata-token", f->token,
                      f->token_len);

    if (f->step == KEYS_STEP_ROLE) {
        ngx_str_set(&call->path, ROLE_PATH);
        return NULL;
    }

    call->path.data = ngx_pnalloc(call->pool,
                                  sizeof(ROLE_PATH) + f->role_len);
    if (call->path.data == NULL) {
        return "no memory";
    }

    p = ngx_cpymem(call->path.data, ROLE_PATH, sizeof(ROLE_PATH) - 1);
    p = ngx_cpymem(p, f->role, f->role_len);
    call->path.len = p - call->path.data;

    return NULL;
}


static const char *
keys_fetch_container(keys_fetch_t *f, ngx_http_s3_cache_call_t *call)
{
    const char                       *why;
    ngx_http_s3_cache_origin_keys_t  *keys;

    keys = f->keys;

    call->path = keys->path;
    call->query = keys->query;

    if (keys->token_file.len) {
        why = keys_fetch_token_file(f, sizeof(f->token));

        if (why) {
            return why;
        }

        keys_fetch_header(call, "Authorization", f->token, f->token_len);

    } else if (keys->authorization.len) {
        keys_fetch_header(call, "Authorization", keys->authorization.data,
                          keys->authorization.len);
    }

    return NULL;
}


static const char *
keys_fetch_web_identity(keys_fetch_t *f, ngx_http_s3_cache_call_t *call)
{
    const char                       *why;
    s3c_writer_t                      w;
    ngx_http_s3_cache_origin_keys_t  *keys;

    static const char  type[] = "application/x-www-form-urlencoded";

    keys = f->keys;
    why = keys_fetch_token_file(f, JWT_MAX);

    if (why) {
        return why;
    }

    s3c_writer_init(&w, f->body, BODY_MAX);

    s3c_write_lit(&w, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
                      "&RoleArn=");
    s3c_uri_encode(&w, ngx_http_s3_cache_slice(&keys->role), false);
    s3c_write_lit(&w, "&RoleSessionName=");
    s3c_uri_encode(&w, ngx_http_s3_cache_slice(&keys->session_name), false);
    s3c_write_lit(&w, "&WebIdentityToken=");
    s3c_uri_encode(&w, s3c_slice(f->token, f->token_len), false);

    if (!s3c_writer_ok(&w)) {
        return "the token is too long";
    }

    f->body_len = s3c_writer_slice(&w).len;

    ngx_str_set(&call->method, "POST");
    ngx_str_set(&call->path, "/");
    keys_fetch_header(call, "Content-Type", (u_char *) type,
                      sizeof(type) - 1);

    call->has_body = 1;
    call->body_bytes = f->body_len;
    call->on_send = keys_fetch_on_send;
    call->on_sent = keys_fetch_on_sent;

    return NULL;
}


/* Read anew each time: it is replaced long before it expires. */

static const char *
keys_fetch_token_file(keys_fetch_t *f, size_t max)
{
    size_t      i, len;
    u_char     *text;
    ngx_err_t   err;

    text = ngx_http_s3_cache_origin_keys_read(&f->keys->token_file, &len, &err,
                                       ngx_cycle->log);
    if (text == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "s3_cache_origin_credentials: \"%V\" cannot be read",
                      &f->keys->token_file);
        return "there is no token";
    }

    f->token_len = len;

    while (f->token_len > 0 && (text[f->token_len - 1] == LF
                                || text[f->token_len - 1] == CR
                                || text[f->token_len - 1] == ' '))
    {
        f->token_len--;
    }

    if (f->token_len > 0 && f->token_len <= max) {
        ngx_memcpy(f->token, text, f->token_len);

    } else {
        f->token_len = 0;
    }

    ngx_explicit_memzero(text, len);
    ngx_free(text);

    /* "Bearer x" may be what is authorized by */

    for (i = 0; i < f->token_len; i++) {
        if (f->token[i] < ' ' || f->token[i] > '~') {
            return "invalid byte in the token";
        }
    }

    return f->token_len ? NULL : "the token is empty or too long";
}


static void
keys_fetch_header(ngx_http_s3_cache_call_t *call, const char *name,
    const u_char *value, size_t len)
{
    ngx_http_s3_cache_call_header_t  *h;

    h = &call->headers[call->nheaders++];

    h->name.data = (u_char *) name;
    h->name.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = len;
}


static void
keys_fetch_on_send(ngx_http_s3_cache_call_t *call, u_char **pos, size_t *len)
{
    keys_fetch_t *f = call->data;

    *pos = f->body + f->body_sent;
    *len = f->body_len - f->body_sent;
}


static void
keys_fetch_on_sent(ngx_http_s3_cache_call_t *call, size_t n)
{
    keys_fetch_t *f = call->data;

    f->body_sent += n;
}


static ngx_int_t
keys_fetch_on_head(ngx_http_s3_cache_call_t *call, s3c_http_head_t *head)
{
    keys_fetch_t *f = call->data;

    f->status = head->status;

    return NGX_OK;
}


static void
keys_fetch_on_space(ngx_http_s3_cache_call_t *call, u_char **pos, size_t *len)
{
    keys_fetch_t *f = call->data;

    *pos = f->answer + f->answer_len;
    *len = ANSWER_MAX - f->answer_len;
}


static ngx_int_t
keys_fetch_on_body(ngx_http_s3_cache_call_t *call, size_t n)
{
    keys_fetch_t *f = call->data;

    f->answer_len += n;

    /* none of them is that long */
    return f->answer_len < ANSWER_MAX ? NGX_OK : NGX_ERROR;
}


static void
keys_fetch_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end)
{
    keys_fetch_t *f = call->data;

    const char                       *why;
    ngx_http_s3_cache_origin_keys_t  *keys;

    keys = f->keys;
    f->call = NULL;

    if (end != NGX_HTTP_S3_CACHE_CALL_DONE) {
        keys_fetch_fail(f, f->answer_len == ANSWER_MAX
                           ? "the answer is too long" : "no answer", 0);
        return;
    }

    if (f->status != 200) {
        keys_fetch_fail(f, "the service refuses", f->status);
        return;
    }

    why = keys_fetch_take(f);

    if (why) {
        keys_fetch_fail(f, why, 0);
        return;
    }

    if (f->step != KEYS_STEP_KEYS) {
        f->step = (f->step == KEYS_STEP_TOKEN && f->role_len == 0)
                  ? KEYS_STEP_ROLE : KEYS_STEP_KEYS;

        why = keys_fetch_ask(f);

        if (why) {
            keys_fetch_fail(f, why, 0);
        }

        return;
    }

    ngx_http_s3_cache_origin_keys_publish(keys, &f->got);
    keys_fetch_free(f);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "s3_cache_origin_credentials \"%V\": refreshed",
                  &keys->name);
}


static const char *
keys_fetch_take(keys_fetch_t *f)
{
    const char  *why;

    switch (f->step) {

    case KEYS_STEP_TOKEN:
        why = keys_fetch_take_word(f, f->token, TOKEN_MAX, &f->token_len);

        if (f->keys->role.len) {
            f->role_len = ngx_min(f->keys->role.len, ROLE_MAX);
            ngx_memcpy(f->role, f->keys->role.data, f->role_len);
        }

        return why;

    case KEYS_STEP_ROLE:
        return keys_fetch_take_word(f, f->role, ROLE_MAX, &f->role_len);

    default:
        return keys_fetch_take_keys(f);
    }
}


/* The first line. */

static const char *
keys_fetch_take_word(keys_fetch_t *f, u_char *to, size_t max, size_t *len)
{
    size_t  n;

    for (n = 0; n < f->answer_len; n++) {
        if (f->answer[n] <= ' ' || f->answer[n] > '~') {
            break;
        }
    }

    if (n == 0 || n > max
        || (n < f->answer_len && f->answer[n] != CR && f->answer[n] != LF))
    {
        return f->step == KEYS_STEP_TOKEN ? "malformed token"
                                          : "malformed name of a role";
    }

    ngx_memcpy(to, f->answer, n);
    *len = n;

    return NULL;
}


static const char *
keys_fetch_take_keys(keys_fetch_t *f)
{
    s3c_status_t  st;

    st = f->keys->kind == NGX_HTTP_S3_CACHE_ORIGIN_KEYS_WEB_IDENTITY
         ? s3c_origin_keys_parse_sts(f->answer, f->answer_len, &f->got)
         : s3c_origin_keys_parse_json(f->answer, f->answer_len, &f->got);

    if (st == S3C_DENIED) {
        return "the service has none";
    }

    if (st != S3C_OK) {
        return "malformed answer";
    }

    if (f->got.expires <= ngx_time()) {
        return "what was got has expired";
    }

    return NULL;
}

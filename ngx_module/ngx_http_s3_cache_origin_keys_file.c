/* SPDX-License-Identifier: Apache-2.0
 *
 * Files with keys or tokens in them, as workers read them: at run time and
 * without the master's rights. They are small; what is wrong with one is told
 * once for each change, by a line number and never by its text.
 */

#include "ngx_http_s3_cache_origin_keys.h"
#include "auth/credentials.h"

#include <grp.h>


/* A file is read again until its last change is so many seconds ago: another
 * change within the clock's step would not show in its times. */
#define SETTLED_SEC  2
#define GROUPS_MAX   64


typedef struct {
    uid_t  uid;
    gid_t  gids[GROUPS_MAX];
    int    ngids;
} keys_user_t;


static ngx_uint_t keys_mark(ngx_str_t *path,
    ngx_http_s3_cache_origin_keys_mark_t *mark, ngx_err_t *err);
static ngx_uint_t keys_mark_same(const ngx_http_s3_cache_origin_keys_mark_t *a,
    const ngx_http_s3_cache_origin_keys_mark_t *b);
static ngx_uint_t keys_mark_settled(
    const ngx_http_s3_cache_origin_keys_mark_t *mark);
static void keys_file_take(ngx_http_s3_cache_origin_keys_t *keys,
    ngx_uint_t changed);
static void keys_file_warn_of(ngx_http_s3_cache_origin_keys_t *keys,
    ngx_str_t *path, const keys_user_t *user, ngx_log_t *log);
static ngx_uint_t keys_user_may(const keys_user_t *user, const char *path,
    mode_t bit);


u_char *
ngx_http_s3_cache_origin_keys_read(ngx_str_t *path, size_t *len,
    ngx_err_t *err, ngx_log_t *log)
{
    u_char           *p;
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    *err = 0;
    p = NULL;

    /* a pipe must not hold the worker */

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        *err = ngx_errno;
        return NULL;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        *err = ngx_errno;
        goto done;
    }

    if (!ngx_is_file(&fi)
        || ngx_file_size(&fi) > NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE_MAX)
    {
        goto done;
    }

    *len = ngx_file_size(&fi);

    p = ngx_alloc(*len + 1, log);
    if (p == NULL) {
        goto done;
    }

    n = ngx_read_fd(fd, p, *len);

    if (n != (ssize_t) *len) {
        /* cut meanwhile, or an error */
        *err = (n == -1) ? ngx_errno : 0;
        ngx_explicit_memzero(p, *len);
        ngx_free(p);
        p = NULL;
    }

done:

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", path);
    }

    return p;
}


static ngx_uint_t
keys_mark(ngx_str_t *path, ngx_http_s3_cache_origin_keys_mark_t *mark,
    ngx_err_t *err)
{
    struct stat  st;

    ngx_memzero(mark, sizeof(ngx_http_s3_cache_origin_keys_mark_t));

    if (stat((char *) path->data, &st) == -1) {
        *err = ngx_errno;
        return 0;
    }

    mark->dev = st.st_dev;
    mark->ino = st.st_ino;
    mark->size = st.st_size;
    mark->mtime = st.st_mtim;
    mark->ctime = st.st_ctim;

    return 1;
}


static ngx_uint_t
keys_mark_same(const ngx_http_s3_cache_origin_keys_mark_t *a,
    const ngx_http_s3_cache_origin_keys_mark_t *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size
           && a->mtime.tv_sec == b->mtime.tv_sec
           && a->mtime.tv_nsec == b->mtime.tv_nsec
           && a->ctime.tv_sec == b->ctime.tv_sec
           && a->ctime.tv_nsec == b->ctime.tv_nsec;
}


static ngx_uint_t
keys_mark_settled(const ngx_http_s3_cache_origin_keys_mark_t *mark)
{
    time_t  changed;

    changed = ngx_max(mark->mtime.tv_sec, mark->ctime.tv_sec);

    return ngx_time() - changed >= SETTLED_SEC;
}


void
ngx_http_s3_cache_origin_keys_file_look(ngx_http_s3_cache_origin_keys_t *keys)
{
    ngx_err_t                             err;
    ngx_uint_t                            there, changed;
    ngx_http_s3_cache_origin_keys_mark_t  mark;

    err = 0;
    there = keys_mark(&keys->path, &mark, &err);
    changed = !keys->marked || !keys_mark_same(&mark, &keys->mark);

    if (!changed && (keys->settled || !there)) {
        return;
    }

    keys->mark = mark;
    keys->marked = 1;
    keys->settled = there && keys_mark_settled(&mark);

    if (!there) {
        ngx_http_s3_cache_origin_keys_failed(keys, "the file cannot be read",
                                             err, 0);
        return;
    }

    keys_file_take(keys, changed);
}


static void
keys_file_take(ngx_http_s3_cache_origin_keys_t *keys, ngx_uint_t changed)
{
    size_t                    len;
    u_char                   *text, why[64];
    ngx_err_t                 err;
    const char               *no;
    s3c_status_t              st;
    s3c_origin_keys_t         now;
    s3c_credentials_t         cred;
    const s3c_origin_keys_t  *old;

    text = ngx_http_s3_cache_origin_keys_read(&keys->path, &len, &err,
                                       keys->look.log);

    if (text == NULL) {
        if (changed) {
            ngx_http_s3_cache_origin_keys_failed(keys,
                                                 "the file cannot be read",
                                                 err, 0);
        }

        return;
    }

    st = s3c_credentials_parse(s3c_slice(text, len),
                               ngx_http_s3_cache_slice(&keys->profile), &cred);

    if (st == S3C_OK) {
        st = s3c_origin_keys_set(&now, cred.access_key, cred.secret_key,
                                 cred.session_token, 0);
    }

    ngx_explicit_memzero(text, len);
    ngx_free(text);

    if (st != S3C_OK) {
        if (changed) {
            *ngx_snprintf(why, sizeof(why) - 1,
                          st == S3C_MISS ? "the file has no such profile"
                          : "invalid credentials in the file, line %ui",
                          (ngx_uint_t) cred.error_line) = '\0';
            ngx_http_s3_cache_origin_keys_failed(keys, (char *) why, 0, 0);
        }

        return;
    }

    old = ngx_http_s3_cache_origin_keys_get(keys, &no);

    if (old == NULL || !s3c_origin_keys_eq(old, &now)) {
        ngx_http_s3_cache_origin_keys_publish(keys, &now);

        ngx_log_error(NGX_LOG_NOTICE, keys->look.log, 0,
                      "s3_cache_origin_credentials \"%V\": the file has "
                      "changed and was read", &keys->name);
    }

    ngx_explicit_memzero(&now, sizeof(s3c_origin_keys_t));
}


void
ngx_http_s3_cache_origin_keys_file_warn(ngx_http_s3_cache_origin_keys_t *keys,
    ngx_cycle_t *cycle)
{
    keys_user_t       user;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (geteuid() != 0 || ccf->user == 0 || ccf->username == NULL) {
        /* workers may what the master may */
        return;
    }

    user.uid = (uid_t) ccf->user;
    user.ngids = GROUPS_MAX;

    if (getgrouplist(ccf->username, (gid_t) ccf->group, user.gids,
                     &user.ngids)
        == -1)
    {
        user.ngids = GROUPS_MAX;
    }

    if (keys->kind == NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE) {
        keys_file_warn_of(keys, &keys->path, &user, cycle->log);
    }

    if (keys->token_file.len) {
        keys_file_warn_of(keys, &keys->token_file, &user, cycle->log);
    }
}


/* Each folder on the way must let them through. */

static void
keys_file_warn_of(ngx_http_s3_cache_origin_keys_t *keys, ngx_str_t *path,
    const keys_user_t *user, ngx_log_t *log)
{
    char        folder[NGX_MAX_PATH];
    size_t      i;
    ngx_uint_t  may;

    may = keys_user_may(user, (char *) path->data, S_IROTH);

    for (i = 1; may && i < path->len && i < NGX_MAX_PATH; i++) {
        if (path->data[i] == '/') {
            ngx_memcpy(folder, path->data, i);
            folder[i] = '\0';
            may = keys_user_may(user, folder, S_IXOTH);
        }
    }

    if (may) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "\"%V\" cannot be read by the workers: %s in %V:%ui", path,
                  keys->kind == NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE
                  ? "it is read again by a reload only"
                  : "they will have no credentials",
                  &keys->conf_file, keys->conf_line);
}


/* As the kernel would decide; access lists are not looked at. */

static ngx_uint_t
keys_user_may(const keys_user_t *user, const char *path, mode_t bit)
{
    int          i;
    struct stat  st;

    if (stat(path, &st) == -1) {
        return 0;
    }

    if (st.st_uid == user->uid) {
        return (st.st_mode & (bit << 6)) != 0;
    }

    for (i = 0; i < user->ngids; i++) {
        if (st.st_gid == user->gids[i]) {
            return (st.st_mode & (bit << 3)) != 0;
        }
    }

    return (st.st_mode & bit) != 0;
}

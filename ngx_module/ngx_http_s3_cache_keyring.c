/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_credentials: the file of identities, as it is now. Read with the
 * configuration, where an error of it ends the start, and again by each worker
 * when it has changed: then an error leaves in force what was, and is logged
 * once. No message holds a byte of the file.
 */

#include "ngx_http_s3_cache_auth.h"

#include <stdatomic.h>


#define KEYRING_INTERVAL  5000          /* msec */


struct ngx_http_s3_cache_keyring_s {
    ngx_str_t                    file;
    ngx_msec_t                   interval;
    ngx_http_s3_cache_keys_t    *keys;
    ngx_file_info_t              seen;         /* of what was last read */
    ngx_err_t                    failed;       /* to read it; 0: was read */
    ngx_uint_t                   settled;      /* seen tells any change */
    ngx_uint_t                   unsure;       /* this worker has never seen
                                                  what is in force elsewhere */
    uint8_t                      sha256[S3C_SHA256_BYTES];  /* of what the
                                                  master read */
    ngx_shm_t                    shm;          /* a keyring_sh_t */
    ngx_event_t                  timer;        /* of a worker */
};


/* What workers tell those that begin after them. */
typedef struct {
    _Atomic uint32_t             moved;        /* some worker has had another
                                                  file in force than what the
                                                  master read */
} keyring_sh_t;


/* why a file could not be read or used */
typedef struct {
    const char                  *what;         /* a call, or what is wrong */
    ngx_err_t                    err;
    ngx_uint_t                   line;         /* of the file; 0: none */
} keyring_error_t;


static ngx_http_s3_cache_keyring_t *keyring_find(ngx_conf_t *cf,
    ngx_str_t *file, ngx_msec_t interval);
static ngx_http_s3_cache_keyring_t *keyring_make(ngx_conf_t *cf,
    ngx_str_t *file);
static ngx_int_t keyring_load(ngx_http_s3_cache_keyring_t *ring,
    ngx_log_t *log, keyring_error_t *error);
static ngx_int_t keyring_read(ngx_http_s3_cache_keyring_t *ring, ngx_fd_t fd,
    ngx_log_t *log, keyring_error_t *error);
static ngx_int_t keyring_parse(ngx_http_s3_cache_keyring_t *ring,
    s3c_slice_t text, ngx_log_t *log, keyring_error_t *error);
static ngx_int_t keyring_share(ngx_http_s3_cache_keyring_t *ring,
    s3c_slice_t text, ngx_log_t *log, keyring_error_t *error);
static ngx_uint_t keyring_has_moved(ngx_http_s3_cache_keyring_t *ring);
static void keyring_destroy(void *data);
static ngx_uint_t keyring_changed(ngx_http_s3_cache_keyring_t *ring,
    ngx_file_info_t *fi);
static void keyring_timer(ngx_event_t *ev);
static void keyring_begin(ngx_http_s3_cache_keyring_t *ring, ngx_log_t *log);
static ngx_int_t keyring_check(ngx_http_s3_cache_keyring_t *ring,
    ngx_log_t *log);
static void keyring_failed(ngx_http_s3_cache_keyring_t *ring, ngx_log_t *log,
    keyring_error_t *error, ngx_uint_t changed);


/* s3_cache_credentials path [interval=time] */

char *
ngx_http_s3_cache_keyring_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t   *value, file, text;
    ngx_msec_t   interval;

    if (lcf->keyring != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    interval = KEYRING_INTERVAL;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "interval=", 9) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        text.data = value[2].data + 9;
        text.len = value[2].len - 9;
        interval = ngx_parse_time(&text, 0);

        if (interval == (ngx_msec_t) NGX_ERROR || interval == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid interval \"%V\"", &text);
            return NGX_CONF_ERROR;
        }
    }

    file = value[1];

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    lcf->keyring = keyring_find(cf, &file, interval);

    return lcf->keyring ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* Of all locations that name it, one. */

static ngx_http_s3_cache_keyring_t *
keyring_find(ngx_conf_t *cf, ngx_str_t *file, ngx_msec_t interval)
{
    ngx_uint_t                       i;
    ngx_http_s3_cache_keyring_t     *ring, **rings;
    ngx_http_s3_cache_main_conf_t   *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);
    rings = mcf->keyrings.elts;

    for (i = 0; i < mcf->keyrings.nelts; i++) {
        ring = rings[i];

        if (ring->file.len != file->len
            || ngx_strncmp(ring->file.data, file->data, file->len) != 0)
        {
            continue;
        }

        if (ring->interval != interval) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is read with another interval "
                               "elsewhere", file);
            return NULL;
        }

        return ring;
    }

    ring = keyring_make(cf, file);

    if (ring == NULL) {
        return NULL;
    }

    ring->interval = interval;

    rings = ngx_array_push(&mcf->keyrings);
    if (rings == NULL) {
        return NULL;
    }

    *rings = ring;

    return ring;
}


static ngx_http_s3_cache_keyring_t *
keyring_make(ngx_conf_t *cf, ngx_str_t *file)
{
    keyring_error_t               error;
    ngx_pool_cleanup_t           *cln;
    ngx_http_s3_cache_keyring_t  *ring;

    ring = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_keyring_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (ring == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = keyring_destroy;
    cln->data = ring;

    ring->file = *file;

    if (keyring_load(ring, cf->log, &error) == NGX_OK) {

        if (ngx_file_access(&ring->seen) & 0007) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"%V\" holds credentials and is accessible "
                               "to every user", file);
        }

        return ring;
    }

    if (error.line > 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\", line %ui: %s",
                           file, error.line, error.what);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, error.err, "\"%V\": %s", file,
                           error.what);
    }

    return NULL;
}


/* A new set takes the place of what was; of an error nothing is changed but
 * ring->seen. */

static ngx_int_t
keyring_load(ngx_http_s3_cache_keyring_t *ring, ngx_log_t *log,
    keyring_error_t *error)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    ngx_memzero(error, sizeof(keyring_error_t));

    fd = ngx_open_file(ring->file.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        error->err = ngx_errno;
        error->what = ngx_open_file_n " failed";
        return NGX_ERROR;
    }

    rc = keyring_read(ring, fd, log, error);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &ring->file);
    }

    return rc;
}


static ngx_int_t
keyring_read(ngx_http_s3_cache_keyring_t *ring, ngx_fd_t fd, ngx_log_t *log,
    keyring_error_t *error)
{
    size_t            len, max;
    u_char           *text;
    ssize_t           n;
    ngx_int_t         rc;

    if (ngx_fd_info(fd, &ring->seen) == NGX_FILE_ERROR) {
        error->err = ngx_errno;
        error->what = ngx_fd_info_n " failed";
        return NGX_ERROR;
    }

    if (!ngx_is_file(&ring->seen)) {
        error->what = "it is no regular file";
        return NGX_ERROR;
    }

    ring->settled = (ngx_time() - ring->seen.st_mtime > 2);

    max = S3C_IDENTITY_FILE_MAX + 1;
    text = ngx_alloc(max, log);

    if (text == NULL) {
        error->what = "no memory";
        return NGX_ERROR;
    }

    for (len = 0; len < max; len += n) {

        n = ngx_read_fd(fd, text + len, max - len);

        if (n == -1) {
            error->err = ngx_errno;
            error->what = ngx_read_fd_n " failed";
            break;
        }

        if (n == 0) {
            break;
        }
    }

    rc = error->what ? NGX_ERROR
                     : keyring_parse(ring, s3c_slice(text, len), log, error);

    s3c_digest_wipe(text, len);
    ngx_free(text);

    return rc;
}


static ngx_int_t
keyring_parse(ngx_http_s3_cache_keyring_t *ring, s3c_slice_t text,
    ngx_log_t *log, keyring_error_t *error)
{
    s3c_identities_t          *set;
    s3c_identities_error_t     wrong;
    ngx_http_s3_cache_keys_t  *keys;

    if (s3c_identities_parse(text, &set, &wrong) != S3C_OK) {
        error->what = wrong.message;
        error->line = wrong.line;
        return NGX_ERROR;
    }

    keys = ngx_alloc(sizeof(ngx_http_s3_cache_keys_t), log);

    if (keys == NULL) {
        s3c_identities_destroy(set);
        error->what = "no memory";
        return NGX_ERROR;
    }

    if (keyring_share(ring, text, log, error) != NGX_OK) {
        s3c_identities_destroy(set);
        ngx_free(keys);
        return NGX_ERROR;
    }

    keys->set = set;
    keys->refs = 1;

    ngx_http_s3_cache_keyring_release(ring->keys);
    ring->keys = keys;

    ngx_http_s3_cache_auth_forget();

    return NGX_OK;
}


/* Before it comes into force. */

static ngx_int_t
keyring_share(ngx_http_s3_cache_keyring_t *ring, s3c_slice_t text,
    ngx_log_t *log, keyring_error_t *error)
{
    uint8_t        sha256[S3C_SHA256_BYTES];
    s3c_status_t   st;
    keyring_sh_t  *sh;

    st = s3c_sha256(text, sha256);

    if (ring->shm.addr != NULL) {
        sh = (keyring_sh_t *) ring->shm.addr;

        if (st != S3C_OK
            || !s3c_digest_eq(sha256, ring->sha256, S3C_SHA256_BYTES))
        {
            atomic_store(&sh->moved, 1);
        }

        return NGX_OK;
    }

    /* the master, and a worker has not been made yet */

    ring->shm.size = sizeof(keyring_sh_t);
    ring->shm.name = ring->file;
    ring->shm.log = log;

    if (st != S3C_OK || ngx_shm_alloc(&ring->shm) != NGX_OK) {
        ring->shm.addr = NULL;
        error->what = "no digest or shared memory";
        return NGX_ERROR;
    }

    ngx_memcpy(ring->sha256, sha256, S3C_SHA256_BYTES);

    return NGX_OK;
}


static ngx_uint_t
keyring_has_moved(ngx_http_s3_cache_keyring_t *ring)
{
    keyring_sh_t *sh = (keyring_sh_t *) ring->shm.addr;

    return atomic_load(&sh->moved) != 0;
}


ngx_http_s3_cache_keys_t *
ngx_http_s3_cache_keyring_hold(ngx_http_s3_cache_keyring_t *ring)
{
    if (ring->unsure) {
        return NULL;
    }

    ring->keys->refs++;

    return ring->keys;
}


void
ngx_http_s3_cache_keyring_release(ngx_http_s3_cache_keys_t *keys)
{
    if (keys == NULL || --keys->refs > 0) {
        return;
    }

    s3c_identities_destroy(keys->set);
    ngx_free(keys);
}


static void
keyring_destroy(void *data)
{
    ngx_http_s3_cache_keyring_t *ring = data;

    ngx_http_s3_cache_keyring_release(ring->keys);
    ring->keys = NULL;

    if (ring->shm.addr != NULL) {
        ring->shm.log = ngx_cycle->log;
        ngx_shm_free(&ring->shm);
        ring->shm.addr = NULL;
    }

    ngx_http_s3_cache_auth_forget();
}


void
ngx_http_s3_cache_keyring_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                     i;
    ngx_http_s3_cache_keyring_t  **rings;

    rings = mcf->keyrings.elts;

    for (i = 0; i < mcf->keyrings.nelts; i++) {
        rings[i]->timer.handler = keyring_timer;
        rings[i]->timer.data = rings[i];
        rings[i]->timer.log = cycle->log;
        rings[i]->timer.cancelable = 1;

        if (access((char *) rings[i]->file.data, R_OK) == -1) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                          "s3_cache_credentials \"%V\" cannot be read by "
                          "workers: its changes need a reload",
                          &rings[i]->file);
        }

        keyring_begin(rings[i], cycle->log);
        ngx_add_timer(&rings[i]->timer, rings[i]->interval);
    }
}


/*
 * A worker that begins has what the master read with the configuration. If the
 * file has changed since, and is wrong now, other workers may have had another
 * one in between: keys that were taken back must not come back with this one.
 * Of a file that no worker has ever been able to read all have what the master
 * read.
 */

static void
keyring_begin(ngx_http_s3_cache_keyring_t *ring, ngx_log_t *log)
{
    if (keyring_check(ring, log) == NGX_OK
        || (ring->failed == NGX_EACCES && !keyring_has_moved(ring)))
    {
        return;
    }

    ring->unsure = 1;

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "s3_cache_credentials \"%V\": this worker has begun since it "
                  "was changed, and answers nobody until it can be used",
                  &ring->file);
}


static void
keyring_timer(ngx_event_t *ev)
{
    ngx_http_s3_cache_keyring_t *ring = ev->data;

    (void) keyring_check(ring, ev->log);
    ngx_add_timer(ev, ring->interval);
}


/* By all that changes when a file is written or replaced. */

static ngx_uint_t
keyring_changed(ngx_http_s3_cache_keyring_t *ring, ngx_file_info_t *fi)
{
    ngx_file_info_t  *seen;

    seen = &ring->seen;

    return fi->st_dev != seen->st_dev || fi->st_ino != seen->st_ino
           || fi->st_size != seen->st_size
           || fi->st_mtim.tv_sec != seen->st_mtim.tv_sec
           || fi->st_mtim.tv_nsec != seen->st_mtim.tv_nsec
           || fi->st_ctim.tv_sec != seen->st_ctim.tv_sec
           || fi->st_ctim.tv_nsec != seen->st_ctim.tv_nsec;
}


/*
 * A file that was written in the moment when it was read may be written again
 * within one tick of its times: it is read once more.
 */

static ngx_int_t
keyring_check(ngx_http_s3_cache_keyring_t *ring, ngx_log_t *log)
{
    ngx_uint_t       changed;
    ngx_file_info_t  fi;
    keyring_error_t  error;

    ngx_memzero(&error, sizeof(keyring_error_t));

    if (ngx_file_info(ring->file.data, &fi) == NGX_FILE_ERROR) {
        error.err = ngx_errno;
        error.what = ngx_file_info_n " failed";
        keyring_failed(ring, log, &error, 0);
        return NGX_ERROR;
    }

    changed = keyring_changed(ring, &fi);

    if (!changed && ring->settled && ring->failed == 0) {
        return NGX_OK;
    }

    if (keyring_load(ring, log, &error) != NGX_OK) {
        keyring_failed(ring, log, &error, changed);
        return NGX_ERROR;
    }

    if (changed || ring->failed != 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "s3_cache_credentials \"%V\": %ui identities",
                      &ring->file,
                      (ngx_uint_t) s3c_identities_count(ring->keys->set));
    }

    ring->failed = 0;
    ring->unsure = 0;

    return NGX_OK;
}


/* Logged when the file has changed, or when it fails in another way. */

static void
keyring_failed(ngx_http_s3_cache_keyring_t *ring, ngx_log_t *log,
    keyring_error_t *error, ngx_uint_t changed)
{
    ngx_err_t  err;

    /* of what stands in the file nothing but a change will mend it */
    err = error->line > 0 ? 0 : error->err ? error->err : NGX_EINVAL;

    if (!changed && ring->failed == err) {
        return;
    }

    ring->failed = err;

    if (error->line > 0) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "s3_cache_credentials \"%V\", line %ui: %s; what was "
                      "read before stays in force", &ring->file, error->line,
                      error->what);

    } else {
        ngx_log_error(NGX_LOG_ERR, log, error->err,
                      "s3_cache_credentials \"%V\": %s; what was read before "
                      "stays in force", &ring->file, error->what);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of jobs, in the folder of s3_cache_warmup:
 *
 *   <id>.job    s3c_warm_job_t as text; only ever replaced as a whole
 *   <id>.list   the list that came with it
 *   <id>.stop   somebody wants it stopped
 *   <id>.tmp    one that is being written
 *   lock        of the worker that runs them
 *
 * They are small and rarely written, by calls that block.
 */

#include "ngx_http_s3_cache_warm_internal.h"


#define ID        S3C_WARM_ID_BYTES
#define TIDY_SEC  3600


static ngx_int_t store_write(const u_char *name, const u_char *data,
    size_t len);
static int ngx_libc_cdecl store_later(const void *one, const void *two);
static void store_sync(ngx_http_s3_cache_warm_conf_t *conf);


static u_char  store_path[NGX_MAX_PATH];
static u_char  store_buf[S3C_WARM_FILE_MAX + 1];


u_char *
ngx_http_s3_cache_warm_file(ngx_http_s3_cache_warm_conf_t *conf,
    const u_char *id, const char *suffix)
{
    ngx_snprintf(store_path, sizeof(store_path), "%V/%*s%s%Z",
                 &conf->path->name, (size_t) ID, id, suffix);

    return store_path;
}


ngx_int_t
ngx_http_s3_cache_warm_save(ngx_http_s3_cache_warm_conf_t *conf,
    const s3c_warm_job_t *job)
{
    u_char        from[NGX_MAX_PATH];
    s3c_slice_t   text;
    s3c_writer_t  w;

    s3c_writer_init(&w, store_buf, sizeof(store_buf) - 1);
    s3c_warm_job_print(&w, job);

    if (!s3c_writer_ok(&w)) {
        return NGX_ERROR;
    }

    text = s3c_writer_slice(&w);

    ngx_cpystrn(from, ngx_http_s3_cache_warm_file(conf, job->id, ".tmp"),
                sizeof(from));

    if (store_write(from, text.data, text.len) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_rename_file(from, ngx_http_s3_cache_warm_file(conf, job->id,
                                                          ".job"))
        == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "s3_cache_warmup: \"%s\" cannot be renamed", from);
        return NGX_ERROR;
    }

    store_sync(conf);

    return NGX_OK;
}


static ngx_int_t
store_write(const u_char *name, const u_char *data, size_t len)
{
    size_t    done;
    ssize_t   n;
    ngx_fd_t  fd;

    fd = open((const char *) name,
              O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "s3_cache_warmup: \"%s\" cannot be opened", name);
        return NGX_ERROR;
    }

    for (done = 0; done < len; done += n) {
        n = write(fd, data + done, len - done);

        if (n <= 0) {
            goto failed;
        }
    }

    if (fsync(fd) == -1) {
        goto failed;
    }

    (void) ngx_close_file(fd);

    return NGX_OK;

failed:

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                  "s3_cache_warmup: \"%s\" cannot be written", name);
    (void) ngx_close_file(fd);

    return NGX_ERROR;
}


/* The names in it. */

static void
store_sync(ngx_http_s3_cache_warm_conf_t *conf)
{
    ngx_fd_t  fd;

    fd = open((const char *) conf->path->name.data,
              O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd != NGX_INVALID_FILE) {
        (void) fsync(fd);
        (void) ngx_close_file(fd);
    }
}


ngx_int_t
ngx_http_s3_cache_warm_load(ngx_http_s3_cache_warm_conf_t *conf,
    const u_char *id, s3c_warm_job_t *job, ngx_log_t *log)
{
    u_char       *name;
    ssize_t       n;
    ngx_fd_t      fd;
    const char   *what;
    struct stat   st;

    name = ngx_http_s3_cache_warm_file(conf, id, ".job");

    /* a fifo would keep this worker, a link lead elsewhere */

    fd = open((const char *) name,
              O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == NGX_INVALID_FILE) {
        return NGX_DECLINED;
    }

    n = -1;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        n = read(fd, store_buf, sizeof(store_buf));
    }

    (void) ngx_close_file(fd);

    what = "it cannot be read";

    if (n < 0
        || s3c_warm_job_parse(job, s3c_slice(store_buf, (size_t) n), &what)
           != S3C_OK
        || ngx_memcmp(job->id, id, ID) != 0)
    {
        if (log != NULL) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "s3_cache_warmup: \"%s\" is no job: %s", name,
                          what);
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_warm_ids(ngx_http_s3_cache_warm_conf_t *conf,
    ngx_pool_t *pool, ngx_array_t *ids)
{
    u_char     *id;
    size_t      len;
    ngx_dir_t   dir;

    if (ngx_array_init(ids, pool, 16, ID) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_open_dir(&conf->path->name, &dir) == NGX_ERROR) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "s3_cache_warmup: \"%V\" cannot be read",
                      &conf->path->name);
        return NGX_ERROR;
    }

    while (ngx_read_dir(&dir) == NGX_OK) {
        len = ngx_de_namelen(&dir);

        if (len != ID + sizeof(".job") - 1
            || ngx_memcmp(ngx_de_name(&dir) + ID, ".job", 4) != 0
            || !s3c_warm_id_ok(s3c_slice(ngx_de_name(&dir), ID))
            || ids->nelts == 16 * NGX_HTTP_S3_CACHE_WARM_KEPT_MAX)
        {
            continue;
        }

        id = ngx_array_push(ids);
        if (id == NULL) {
            (void) ngx_close_dir(&dir);
            return NGX_ERROR;
        }

        ngx_memcpy(id, ngx_de_name(&dir), ID);
    }

    (void) ngx_close_dir(&dir);

    ngx_qsort(ids->elts, ids->nelts, ID, store_later);

    return NGX_OK;
}


static int ngx_libc_cdecl
store_later(const void *one, const void *two)
{
    return ngx_memcmp(two, one, ID);
}


void
ngx_http_s3_cache_warm_remove(ngx_http_s3_cache_warm_conf_t *conf,
    const u_char *id)
{
    ngx_uint_t  i;

    static const char  *suffixes[] = { ".job", ".list", ".stop", ".tmp" };

    for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void) ngx_delete_file(ngx_http_s3_cache_warm_file(conf, id,
                                                           suffixes[i]));
    }
}


void
ngx_http_s3_cache_warm_tidy(ngx_http_s3_cache_warm_conf_t *conf)
{
    size_t           len;
    u_char           id[ID];
    ngx_dir_t        dir;
    ngx_file_info_t  fi;

    if (ngx_open_dir(&conf->path->name, &dir) == NGX_ERROR) {
        return;
    }

    while (ngx_read_dir(&dir) == NGX_OK) {
        len = ngx_de_namelen(&dir);

        if (len <= ID || ngx_de_name(&dir)[ID] != '.'
            || !s3c_warm_id_ok(s3c_slice(ngx_de_name(&dir), ID)))
        {
            continue;
        }

        ngx_memcpy(id, ngx_de_name(&dir), ID);

        if (ngx_file_info(ngx_http_s3_cache_warm_file(conf, id, ".job"), &fi)
            != NGX_FILE_ERROR)
        {
            continue;
        }

        ngx_snprintf(store_path, sizeof(store_path), "%V/%s%Z",
                     &conf->path->name, ngx_de_name(&dir));

        if (ngx_file_info(store_path, &fi) != NGX_FILE_ERROR
            && ngx_file_mtime(&fi) + TIDY_SEC < ngx_time())
        {
            (void) ngx_delete_file(store_path);
        }
    }

    (void) ngx_close_dir(&dir);
}


ngx_int_t
ngx_http_s3_cache_warm_room(ngx_http_s3_cache_warm_conf_t *conf,
    ngx_pool_t *pool)
{
    u_char          *id;
    ngx_int_t        rc;
    ngx_uint_t       i, running;
    ngx_array_t      ids;
    s3c_warm_job_t  *job;

    job = ngx_palloc(pool, sizeof(s3c_warm_job_t));

    if (job == NULL
        || ngx_http_s3_cache_warm_ids(conf, pool, &ids) != NGX_OK)
    {
        return NGX_ERROR;
    }

    running = 0;
    id = ids.elts;

    for (i = 0; i < ids.nelts; i++, id += ID) {
        rc = ngx_http_s3_cache_warm_load(conf, id, job, NULL);

        if (rc == NGX_OK && job->state == S3C_WARM_RUNNING) {
            running++;

        } else if (i + 1 >= NGX_HTTP_S3_CACHE_WARM_KEPT_MAX) {
            ngx_http_s3_cache_warm_remove(conf, id);
        }
    }

    return running < NGX_HTTP_S3_CACHE_WARM_RUN_MAX ? NGX_OK : NGX_DECLINED;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the configuration wants to know of a store's file: everything that can
 * be known without touching it. `nginx -t` and a start run this same code, so
 * they agree; nothing here creates or changes anything.
 */

#include "ngx_http_s3_cache_store.h"

#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <linux/fs.h>


static char *ngx_http_s3_cache_store_find(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store);
static char *ngx_http_s3_cache_store_missing(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store);
static char *ngx_http_s3_cache_store_content(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store);
static char *ngx_http_s3_cache_store_others(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store, ngx_array_t *stores);


char *
ngx_http_s3_cache_store_check(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store, ngx_array_t *stores)
{
    if (ngx_http_s3_cache_store_find(cf, store) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_s3_cache_store_others(cf, store, stores);
}


/* What is under the path now. */

static char *
ngx_http_s3_cache_store_find(ngx_conf_t *cf, ngx_http_s3_cache_store_t *store)
{
    struct stat  st;

    if (stat((char *) store->path.data, &st) == -1) {

        if (ngx_errno == NGX_ENOENT) {
            return ngx_http_s3_cache_store_missing(cf, store);
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "s3_cache_store \"%V\" cannot be used",
                           &store->path);
        return NGX_CONF_ERROR;
    }

    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\" is neither a regular file "
                           "nor a block device", &store->path);
        return NGX_CONF_ERROR;
    }

    store->exists = 1;
    store->dev = st.st_dev;
    store->ino = st.st_ino;

    if (S_ISBLK(st.st_mode)) {
        store->rdev = st.st_rdev;

    } else if ((off_t) st.st_blocks * 512 < store->bytes) {
        store->lacks = store->bytes - (off_t) st.st_blocks * 512;
    }

    if (faccessat(AT_FDCWD, (char *) store->path.data, R_OK|W_OK, AT_EACCESS)
        == -1)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "s3_cache_store \"%V\" cannot be read and written",
                           &store->path);
        return NGX_CONF_ERROR;
    }

    return ngx_http_s3_cache_store_content(cf, store);
}


static char *
ngx_http_s3_cache_store_folder(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store)
{
    char  *dir, *slash;

    dir = ngx_pnalloc(cf->temp_pool, store->path.len + 1);
    if (dir == NULL) {
        return NULL;
    }

    ngx_memcpy(dir, store->path.data, store->path.len + 1);

    slash = strrchr(dir, '/');
    slash[slash == dir ? 1 : 0] = '\0';

    return dir;
}


/* It will be created: its folder must be there and take it. */

static char *
ngx_http_s3_cache_store_missing(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store)
{
    char         *dir;
    struct stat   st;

    if (lstat((char *) store->path.data, &st) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\" is a symbolic link that "
                           "leads nowhere", &store->path);
        return NGX_CONF_ERROR;
    }

    if (store->path.data[store->path.len - 1] == '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\" is neither a regular file "
                           "nor a block device", &store->path);
        return NGX_CONF_ERROR;
    }

    dir = ngx_http_s3_cache_store_folder(cf, store);
    if (dir == NULL) {
        return NGX_CONF_ERROR;
    }

    if (stat(dir, &st) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "the folder of s3_cache_store \"%V\" cannot be "
                           "used", &store->path);
        return NGX_CONF_ERROR;
    }

    if (faccessat(AT_FDCWD, dir, W_OK|X_OK, AT_EACCESS) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "s3_cache_store \"%V\" cannot be created",
                           &store->path);
        return NGX_CONF_ERROR;
    }

    store->dev = st.st_dev;
    store->ino = st.st_ino;
    store->lacks = store->bytes;

    return NGX_CONF_OK;
}


/* Nobody's file is overwritten, unless they say so. */

static char *
ngx_http_s3_cache_store_content(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store)
{
    int              fd;
    uint64_t         bytes;
    ngx_err_t        err;
    s3c_status_t     st;
    s3c_ssd_super_t  super;

    /* O_EXCL: a device that is mounted, or part of another, is refused */

    fd = open((char *) store->path.data,
              O_RDONLY|O_NONBLOCK|O_CLOEXEC|(store->rdev ? O_EXCL : 0));

    if (fd == -1 && ngx_http_s3_cache_store_is_dead(ngx_errno)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, ngx_errno,
                           "s3_cache_store \"%V\" cannot be opened: it will "
                           "not be used", &store->path);
        return NGX_CONF_OK;
    }

    if (fd == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "s3_cache_store \"%V\" cannot be opened",
                           &store->path);
        return NGX_CONF_ERROR;
    }

    bytes = 0;

    if (store->rdev != 0 && ioctl(fd, BLKGETSIZE64, &bytes) == -1) {
        bytes = 0;
    }

    st = ngx_http_s3_cache_store_read_super(fd, &super);
    err = ngx_errno;

    (void) close(fd);

    if (store->rdev != 0 && bytes < (uint64_t) store->bytes) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\": the device has %uL bytes, "
                           "less than its size", &store->path, bytes);
        return NGX_CONF_ERROR;
    }

    switch (st) {

    case S3C_IO:
        /* a disk that is dead costs hits, and nothing else */
        ngx_conf_log_error(NGX_LOG_WARN, cf, err,
                           "s3_cache_store \"%V\" cannot be read: it will "
                           "not be used", &store->path);
        break;

    case S3C_INVALID:
        if (store->take) {
            break;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\" holds something else; add "
                           "\"take\" to use it anyway: what is in it will be "
                           "lost", &store->path);
        return NGX_CONF_ERROR;

    case S3C_UNSUPPORTED:
        if (store->take) {
            break;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\" was written by another "
                           "version; add \"take\" to use it anyway: what is "
                           "in it will be lost", &store->path);
        return NGX_CONF_ERROR;

    default:
        break;
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_s3_cache_store_is(ngx_http_s3_cache_store_t *a,
    ngx_http_s3_cache_store_t *b)
{
    u_char  *x, *y;

    if (a->exists != b->exists) {
        return 0;
    }

    if (a->rdev != 0 && a->rdev == b->rdev) {
        return 1;
    }

    if (a->dev != b->dev || a->ino != b->ino) {
        return 0;
    }

    if (a->exists) {
        return 1;
    }

    /* of one folder: is it the same name in it? */

    x = (u_char *) strrchr((char *) a->path.data, '/');
    y = (u_char *) strrchr((char *) b->path.data, '/');

    return ngx_strcmp(x, y) == 0;
}


/* No file twice, and room for all of them together. */

static char *
ngx_http_s3_cache_store_others(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store, ngx_array_t *stores)
{
    char                        *dir;
    off_t                        lacks, has;
    ngx_uint_t                   i;
    struct statvfs               fs;
    ngx_http_s3_cache_store_t  **others;

    others = stores->elts;
    lacks = store->lacks;

    for (i = 0; i < stores->nelts; i++) {

        if (ngx_http_s3_cache_store_is(store, others[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "s3_cache_store \"%V\" is given twice, see "
                               "\"%V\" in %s:%ui",
                               &store->path, &others[i]->path,
                               others[i]->conf_file, others[i]->conf_line);
            return NGX_CONF_ERROR;
        }

        if (others[i]->dev == store->dev) {
            lacks += others[i]->lacks;
        }
    }

    if (store->lacks == 0) {
        return NGX_CONF_OK;
    }

    dir = ngx_http_s3_cache_store_folder(cf, store);
    if (dir == NULL) {
        return NGX_CONF_ERROR;
    }

    /* a link to a file may lead to another file system */

    if (statvfs(store->exists ? (char *) store->path.data : dir, &fs) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "statvfs() of s3_cache_store \"%V\" failed",
                           &store->path);
        return NGX_CONF_ERROR;
    }

    has = (off_t) fs.f_frsize
          * (off_t) (geteuid() == 0 ? fs.f_bfree : fs.f_bavail);

    if (has < lacks) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no space for s3_cache_store \"%V\": %O bytes are "
                           "needed, its file system has %O", &store->path,
                           lacks, has);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}

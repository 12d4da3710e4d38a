/* SPDX-License-Identifier: Apache-2.0
 *
 * The stores of a zone in the master: their files are opened (as root; the
 * workers inherit the descriptors), preallocated and looked at, and the tier's
 * shared memory is made. A store is mounted later, by a worker.
 *
 * The descriptors live as long as the zone's shared memory: whoever holds one
 * holds the file's lock, so a reload that keeps the zone keeps them open, and
 * one that does not waits for the last process of the old generation.
 */

#include "ngx_http_s3_cache_store.h"

#include <sys/ioctl.h>
#include <linux/fs.h>

#include "base/digest.h"


#define ALIGN_MAX  4096


static int ngx_http_s3_cache_store_open_file(ngx_http_s3_cache_store_t *store,
    ngx_log_t *log);
static ngx_int_t ngx_http_s3_cache_store_prepare(
    ngx_http_s3_cache_store_t *store, int fd, s3c_ssd_super_t *super,
    s3c_status_t *st, ngx_log_t *log);
static ngx_int_t ngx_http_s3_cache_store_allocate(
    ngx_http_s3_cache_store_t *store, int fd, ngx_log_t *log);
static ngx_int_t ngx_http_s3_cache_store_wipe(int fd);
static uint32_t ngx_http_s3_cache_store_align(int fd);
static ngx_int_t ngx_http_s3_cache_store_format(
    ngx_http_s3_cache_zone_t *zone, ngx_http_s3_cache_shared_t *sh,
    s3c_ssd_conf_t *conf, ngx_log_t *log);


ngx_int_t
ngx_http_s3_cache_store_open(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_shared_t *sh, uint8_t secret[S3C_HASH_SECRET_BYTES],
    ngx_log_t *log)
{
    int                          fd;
    uint64_t                     epoch;
    ngx_uint_t                   i, known;
    s3c_status_t                 st;
    s3c_ssd_conf_t               conf;
    s3c_ssd_super_t              super;
    ngx_http_s3_cache_store_t   *store, **stores;

    if (s3c_random(secret, S3C_HASH_SECRET_BYTES) != S3C_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "no random bytes for s3_cache_zone \"%V\"",
                      &zone->name);
        return NGX_ERROR;
    }

    if (zone->stores == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&conf, sizeof(s3c_ssd_conf_t));

    stores = zone->stores->elts;
    epoch = 0;
    known = 0;

    for (i = 0; i < zone->stores->nelts; i++) {
        store = stores[i];

        fd = ngx_http_s3_cache_store_open_file(store, log);
        sh->fds[sh->nstores++] = fd;

        if (fd == -1 && !store->dead) {
            return NGX_ERROR;
        }

        st = S3C_IO;

        if (fd != -1
            && ngx_http_s3_cache_store_prepare(store, fd, &super, &st, log)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (st == S3C_IO) {
            /* what is in it is not known, so it is not touched: every I/O
               fails, and the tier finds the store out of service */

            store->dead = 1;
            sh->fds[i] = -1;

            if (fd != -1) {
                (void) close(fd);
            }
        }

        /* a store that has missed mounts is formatted by the next one, so the
           one with the most tells what the keys were made with */

        if (st == S3C_OK && (!known || super.epoch > epoch)) {
            known = 1;
            epoch = super.epoch;
            ngx_memcpy(secret, super.secret, S3C_HASH_SECRET_BYTES);
        }

        conf.stores[i].bytes = store->bytes;
        conf.stores[i].segment_bytes = (uint32_t) store->segment;
        conf.stores[i].budget = store->budget;
        conf.stores[i].timeout_ms = (uint32_t) store->timeout;
        conf.stores[i].align = store->dead
                               ? ALIGN_MAX
                               : ngx_http_s3_cache_store_align(fd);
        conf.n_objects += store->objects;
    }

    conf.n_slots = ngx_min(sh->n_slots, S3C_SSD_SLOTS_MAX);
    conf.n_stores = (uint32_t) zone->stores->nelts;
    ngx_memcpy(conf.secret, secret, S3C_HASH_SECRET_BYTES);

    return ngx_http_s3_cache_store_format(zone, sh, &conf, log);
}


void
ngx_http_s3_cache_store_settle(ngx_http_s3_cache_shared_t *sh, ngx_log_t *log)
{
    ngx_uint_t  i;

    for (i = 0; sh->ssd_region.addr != NULL && i < sh->nstores; i++) {

        if (sh->fds[i] == -1
            || !s3c_ssd_owes(sh->ssd_region.addr, sh->ssd_region.bytes,
                             (uint32_t) i, ngx_http_s3_cache_now()))
        {
            continue;
        }

        if (ngx_http_s3_cache_store_wipe(sh->fds[i]) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          "s3_cache_store %ui holds what was dropped, and "
                          "cannot be written to: delete it", i);
            continue;
        }

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "s3_cache_store %ui holds what was dropped: it begins "
                      "empty next time", i);
    }
}


void
ngx_http_s3_cache_store_close(ngx_http_s3_cache_shared_t *sh)
{
    if (ngx_process == NGX_PROCESS_MASTER || ngx_process == NGX_PROCESS_SINGLE)
    {
        ngx_http_s3_cache_store_settle(sh, ngx_cycle->log);
    }

    while (sh->nstores > 0) {
        if (sh->fds[--sh->nstores] != -1) {
            (void) close(sh->fds[sh->nstores]);
        }
    }

    if (sh->ssd_region.addr != NULL) {
        s3c_region_unmap(&sh->ssd_region);
        sh->ssd_region.addr = NULL;
    }
}


ngx_uint_t
ngx_http_s3_cache_store_same(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_zone_t *old)
{
    ngx_uint_t                   i, n, m;
    ngx_http_s3_cache_store_t   *a, *b;

    n = zone->stores ? zone->stores->nelts : 0;
    m = old->stores ? old->stores->nelts : 0;

    if (n != m) {
        return 0;
    }

    for (i = 0; i < n; i++) {
        a = ((ngx_http_s3_cache_store_t **) zone->stores->elts)[i];
        b = ((ngx_http_s3_cache_store_t **) old->stores->elts)[i];

        /* another file may lie under the same path now; and a reload is a new
           chance for one that could not be opened */

        if (b->dead
            || a->path.len != b->path.len
            || ngx_strcmp(a->path.data, b->path.data) != 0
            || a->exists != b->exists || a->dev != b->dev
            || a->ino != b->ino || a->rdev != b->rdev
            || a->bytes != b->bytes || a->segment != b->segment
            || a->objects != b->objects || a->budget != b->budget
            || a->timeout != b->timeout)
        {
            return 0;
        }
    }

    return 1;
}


/* A disk that is gone or failing, and no mistake of the configuration. */

ngx_uint_t
ngx_http_s3_cache_store_is_dead(ngx_err_t err)
{
    return err == EIO || err == ENXIO || err == ENODEV;
}


s3c_status_t
ngx_http_s3_cache_store_read_super(int fd, s3c_ssd_super_t *super)
{
    void          *buf;
    size_t         len;
    ssize_t        n;
    s3c_status_t   st;

    if (posix_memalign(&buf, ALIGN_MAX, S3C_SSD_SUPER_BYTES) != 0) {
        ngx_set_errno(NGX_ENOMEM);
        return S3C_IO;
    }

    /* what a short file lacks reads as zeros */
    ngx_memzero(buf, S3C_SSD_SUPER_BYTES);

    for (len = 0; len < S3C_SSD_SUPER_BYTES; len += n) {
        n = pread(fd, (u_char *) buf + len, S3C_SSD_SUPER_BYTES - len, len);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            n = 0;
            continue;
        }

        /* direct I/O ends a file at any byte, and cannot go on from there */

        if (n == 0 || (n == -1 && len % 512 != 0)) {
            break;
        }

        if (n == -1) {
            ngx_free(buf);
            return S3C_IO;
        }
    }

    st = s3c_ssd_super_decode(buf, super);

    ngx_free(buf);

    return st;
}


static int
ngx_http_s3_cache_store_open_file(ngx_http_s3_cache_store_t *store,
    ngx_log_t *log)
{
    int          fd, flags;
    struct stat  st;

    flags = O_RDWR|O_CREAT|O_CLOEXEC|O_NONBLOCK;
    fd = open((char *) store->path.data, flags|O_DIRECT, 0600);

    if (fd == -1 && ngx_errno == NGX_EINVAL) {
        fd = open((char *) store->path.data, flags, 0600);

        if (fd != -1) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "s3_cache_store \"%V\": its file system has no "
                          "direct I/O, the page cache is used",
                          &store->path);
        }
    }

    if (fd == -1) {
        store->dead = ngx_http_s3_cache_store_is_dead(ngx_errno);
        ngx_log_error((store->dead ? NGX_LOG_ERR : NGX_LOG_EMERG), log,
                      ngx_errno, "opening s3_cache_store \"%V\" failed",
                      &store->path);
        return -1;
    }

    if (fstat(fd, &st) == -1
        || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "s3_cache_store \"%V\" is neither a regular file nor "
                      "a block device", &store->path);
        (void) close(fd);
        return -1;
    }

    store->exists = 1;
    store->dev = st.st_dev;
    store->ino = st.st_ino;
    store->rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0;

    return fd;
}


static ngx_int_t
ngx_http_s3_cache_store_prepare(ngx_http_s3_cache_store_t *store, int fd,
    s3c_ssd_super_t *super, s3c_status_t *st, ngx_log_t *log)
{
    /* looked at before it is changed in any way */

    *st = ngx_http_s3_cache_store_read_super(fd, super);

    if (*st == S3C_IO) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "reading s3_cache_store \"%V\" failed: it is not used "
                      "until a reload finds it well", &store->path);
        return NGX_OK;
    }

    if (*st == S3C_INVALID || *st == S3C_UNSUPPORTED) {

        if (!store->take) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "s3_cache_store \"%V\" holds something else",
                          &store->path);
            return NGX_ERROR;
        }

        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "s3_cache_store \"%V\" held something else: it is "
                      "overwritten, as \"take\" says", &store->path);

        if (ngx_http_s3_cache_store_wipe(fd) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                          "writing to s3_cache_store \"%V\" failed",
                          &store->path);
            return NGX_ERROR;
        }
    }

    if (store->rdev != 0) {
        return NGX_OK;
    }

    return ngx_http_s3_cache_store_allocate(store, fd, log);
}


/* So that no write ever lacks space, and none changes the file's size. */

static ngx_int_t
ngx_http_s3_cache_store_allocate(ngx_http_s3_cache_store_t *store, int fd,
    ngx_log_t *log)
{
    int          rc;
    struct stat  st;

    /* not posix_fallocate(): where a file system cannot do it, that writes
       the whole file */

    do {
        rc = fallocate(fd, 0, 0, store->bytes);
    } while (rc == -1 && ngx_errno == NGX_EINTR);

    if (rc == -1 && (ngx_errno == EOPNOTSUPP || ngx_errno == ENOSYS)) {

        if (fstat(fd, &st) == 0 && st.st_size >= store->bytes) {
            return NGX_OK;
        }

        rc = ftruncate(fd, store->bytes);

        if (rc == 0) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "s3_cache_store \"%V\": its file system cannot "
                          "preallocate, it may run out of space later",
                          &store->path);
        }
    }

    if (rc == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "allocating %O bytes for s3_cache_store \"%V\" failed",
                      store->bytes, &store->path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_store_wipe(int fd)
{
    void     *zeros;
    ssize_t   n;

    if (posix_memalign(&zeros, ALIGN_MAX, S3C_SSD_SUPER_BYTES) != 0) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    ngx_memzero(zeros, S3C_SSD_SUPER_BYTES);

    do {
        n = pwrite(fd, zeros, S3C_SSD_SUPER_BYTES, 0);
    } while (n == -1 && ngx_errno == NGX_EINTR);

    ngx_free(zeros);

    if (n >= 0 && n != S3C_SSD_SUPER_BYTES) {
        ngx_set_errno(EIO);
    }

    return n == S3C_SSD_SUPER_BYTES && fdatasync(fd) == 0 ? NGX_OK : NGX_ERROR;
}


/* Of offset, length and memory of an I/O. */

static uint32_t
ngx_http_s3_cache_store_align(int fd)
{
    int       bytes;
    uint32_t  align;

    align = 0;

#ifdef STATX_DIOALIGN
    {
    struct statx  stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0
        && (stx.stx_mask & STATX_DIOALIGN))
    {
        align = ngx_max(stx.stx_dio_mem_align, stx.stx_dio_offset_align);
    }
    }
#endif

    if (align == 0 && ioctl(fd, BLKSSZGET, &bytes) == 0 && bytes > 0) {
        align = (uint32_t) bytes;
    }

    if (align == 0 || align > ALIGN_MAX || (align & (align - 1)) != 0) {
        return ALIGN_MAX;
    }

    return ngx_max(align, S3C_SSD_UNIT);
}


static ngx_int_t
ngx_http_s3_cache_store_format(ngx_http_s3_cache_zone_t *zone,
    ngx_http_s3_cache_shared_t *sh, s3c_ssd_conf_t *conf, ngx_log_t *log)
{
    uint64_t      bytes;
    s3c_status_t  st;

    bytes = s3c_ssd_bytes(conf);

    if (bytes == 0 || s3c_region_map(&sh->ssd_region, bytes) != S3C_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "mapping %uL bytes for the stores of s3_cache_zone "
                      "\"%V\" failed", bytes, &zone->name);
        return NGX_ERROR;
    }

    st = s3c_ssd_format(sh->ssd_region.addr, sh->ssd_region.bytes, conf);

    if (st != S3C_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "the stores of s3_cache_zone \"%V\" cannot be "
                      "formatted: %s", &zone->name, s3c_status_name(st));
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "s3_cache_zone \"%V\": %ui stores, %uL objects in %uz "
                  "bytes of memory", &zone->name, sh->nstores,
                  conf->n_objects, sh->ssd_region.bytes);

    return NGX_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A small file with a secret in it, read while the configuration is.
 */

#include "ngx_http_s3_cache_secret.h"


#define SECRET_MAX  65536               /* bytes of the file */


ngx_int_t
ngx_http_s3_cache_secret_load(ngx_conf_t *cf, ngx_str_t *file,
    ngx_str_t *text)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    rc = NGX_ERROR;

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", file);
        return NGX_ERROR;
    }

    text->data = NULL;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", file);
        goto done;
    }

    if (!ngx_is_file(&fi) || ngx_file_size(&fi) > SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no regular file of at most %d bytes",
                           file, SECRET_MAX);
        goto done;
    }

    if (ngx_file_access(&fi) & 0007) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" holds credentials and is accessible to "
                           "every user", file);
    }

    text->len = ngx_file_size(&fi);
    text->data = ngx_alloc(text->len + 1, cf->log);

    if (text->data == NULL) {
        goto done;
    }

    n = ngx_read_fd(fd, text->data, text->len);

    if (n != (ssize_t) text->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, (n == -1) ? ngx_errno : 0,
                           ngx_read_fd_n " \"%V\" failed", file);
        ngx_explicit_memzero(text->data, text->len);
        ngx_free(text->data);
        goto done;
    }

    rc = NGX_OK;

done:

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", file);
    }

    return rc;
}


ngx_int_t
ngx_http_s3_cache_secret_line(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *line)
{
    u_char     *end;
    ngx_str_t   name, text, first;

    first = *value;
    ngx_str_null(&text);

    if (ngx_strncmp(value->data, "file=", 5) == 0) {

        name.data = value->data + 5;
        name.len = value->len - 5;

        if (name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "a path is needed behind \"file=\"");
            return NGX_ERROR;
        }

        if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK
            || ngx_http_s3_cache_secret_load(cf, &name, &text) != NGX_OK)
        {
            return NGX_ERROR;
        }

        first = text;

        end = ngx_strlchr(first.data, first.data + first.len, LF);

        if (end) {
            first.len = end - first.data;
        }

        if (first.len > 0 && first.data[first.len - 1] == CR) {
            first.len--;
        }
    }

    /* a byte more: not NULL when it is empty */

    line->len = first.len;
    line->data = ngx_pnalloc(cf->pool, first.len + 1);

    if (line->data) {
        ngx_memcpy(line->data, first.data, first.len);
        line->data[first.len] = '\0';
    }

    if (text.data) {
        ngx_explicit_memzero(text.data, text.len);
        ngx_free(text.data);
    }

    return line->data ? NGX_OK : NGX_ERROR;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator may tell a running node: s3_cache_admin. Who may is for
 * s3_cache_auth keys to say (auth_guard.c), and for nginx: allow, deny,
 * auth_basic, client certificates.
 */

#ifndef NGX_HTTP_S3_CACHE_ADMIN_H
#define NGX_HTTP_S3_CACHE_ADMIN_H


#include "ngx_http_s3_cache_module.h"


/* s3_cache_admin; location context */
char *ngx_http_s3_cache_admin_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* NGX_HTTP_S3_CACHE_ADMIN_H */

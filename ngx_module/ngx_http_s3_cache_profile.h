/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_profile: which objects, and which ranges of them, clients read, as a
 * list that a warm-up takes.
 */

#ifndef NGX_HTTP_S3_CACHE_PROFILE_H
#define NGX_HTTP_S3_CACHE_PROFILE_H


#include "ngx_http_s3_cache_module.h"


char *ngx_http_s3_cache_profile_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_s3_cache_profile_merge(ngx_http_s3_cache_loc_conf_t *prev,
    ngx_http_s3_cache_loc_conf_t *conf);

/* A read of an object that is answered by 2xx, where conf->profile is set. */
void ngx_http_s3_cache_profile_note(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_s3_cache_target_t *target);
/* What has been noted is written. */
void ngx_http_s3_cache_profile_exit_worker(void);


#endif /* NGX_HTTP_S3_CACHE_PROFILE_H */

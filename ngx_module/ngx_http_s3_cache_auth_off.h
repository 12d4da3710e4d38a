/* SPDX-License-Identifier: Apache-2.0
 *
 * Locations that ask nobody who he is.
 */

#ifndef NGX_HTTP_S3_CACHE_AUTH_OFF_H
#define NGX_HTTP_S3_CACHE_AUTH_OFF_H


#include "ngx_http_s3_cache_module.h"


/* While locations are merged: cf->ctx is that of one with "s3_cache_auth off"
 * whose requests are ours. */
ngx_int_t ngx_http_s3_cache_auth_off_add(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf);

/* When all of it is known: a warning for each that strangers may reach. */
ngx_int_t ngx_http_s3_cache_auth_off_check(ngx_conf_t *cf);


#endif /* NGX_HTTP_S3_CACHE_AUTH_OFF_H */

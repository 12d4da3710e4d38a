/* SPDX-License-Identifier: Apache-2.0
 *
 * The setter of s3_cache_verify.
 */

#include "ngx_http_s3_cache_module.h"


/* s3_cache_verify percent% | off */

char *
ngx_http_s3_cache_conf_verify(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_int_t   parts;
    ngx_str_t  *value;

    if (lcf->verify != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = (ngx_str_t *) cf->args->elts + 1;

    if (ngx_strcmp(value->data, "off") == 0) {
        lcf->verify = 0;
        return NGX_CONF_OK;
    }

    parts = (value->len > 1 && value->data[value->len - 1] == '%')
            ? ngx_atofp(value->data, value->len - 1, 4) : NGX_ERROR;

    if (parts == NGX_ERROR || parts == 0 || parts > 100 * 10000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid share \"%V\": \"off\", or more than 0%% "
                           "and at most 100%%, like \"0.1%%\"; no more than "
                           "four digits after the point", value);
        return NGX_CONF_ERROR;
    }

    lcf->verify = (ngx_uint_t) (((uint64_t) parts << 32) / (100 * 10000));

    return NGX_CONF_OK;
}

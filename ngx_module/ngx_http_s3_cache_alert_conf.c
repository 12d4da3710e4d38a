/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_alerts: whether alerts are judged, over which window, and from which
 * values on each is raised.
 */

#include "ngx_http_s3_cache_alert.h"
#include "ngx_http_s3_cache_alert_internal.h"


static char *alert_param(ngx_conf_t *cf, s3c_alert_conf_t *conf,
    ngx_str_t *word, ngx_uint_t *seen);


static ngx_http_s3_cache_alerts_t *
alert_create(ngx_conf_t *cf)
{
    ngx_http_s3_cache_alerts_t  *alerts;

    alerts = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_alerts_t));

    if (alerts != NULL) {
        s3c_alert_conf_init(&alerts->conf);
    }

    return alerts;
}


char *
ngx_http_s3_cache_alert_init_conf(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    if (mcf->alerts == NULL) {
        mcf->alerts = alert_create(cf);
    }

    return mcf->alerts != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_s3_cache_alert_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_main_conf_t *mcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, seen;

    if (mcf->alerts != NULL) {
        return "is duplicate";
    }

    mcf->alerts = alert_create(cf);
    if (mcf->alerts == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        mcf->alerts->off = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"s3_cache_alerts\", it "
                           "must be \"on\" with parameters, or \"off\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    seen = 0;

    for (i = 2; i < cf->args->nelts; i++) {
        if (alert_param(cf, &mcf->alerts->conf, &value[i], &seen)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* name=number|off, or window=time; `seen`: a bit of each that was there */

static char *
alert_param(ngx_conf_t *cf, s3c_alert_conf_t *conf, ngx_str_t *word,
    ngx_uint_t *seen)
{
    u_char             *eq, *last;
    uint64_t            well;
    ngx_int_t           n;
    ngx_str_t           value;
    const char         *why;
    s3c_alert_which_t   which;

    static const uint64_t  wells[S3C_ALERT_N] = {
#define X(word, name, severity, threshold, well)  well,
        S3C_ALERTS(X)
#undef X
    };

    last = word->data + word->len;
    eq = ngx_strlchr(word->data, last, '=');

    if (eq == NULL) {
        goto unknown;
    }

    value.data = eq + 1;
    value.len = last - value.data;

    which = s3c_alert_find(s3c_slice(word->data, eq - word->data));

    if (which == S3C_ALERT_N
        && ngx_strncmp(word->data, "window=", 7) != 0)
    {
        goto unknown;
    }

    if (*seen & ((ngx_uint_t) 1 << which)) {
        why = "it was given before";
        goto invalid;
    }

    *seen |= (ngx_uint_t) 1 << which;

    if (which == S3C_ALERT_N) {
        n = ngx_parse_time(&value, 0);

        if (n == NGX_ERROR || n < S3C_ALERT_WINDOW_MIN_MS
            || n > S3C_ALERT_WINDOW_MAX_MS)
        {
            why = "a time from 1s to 5m is needed";
            goto invalid;
        }

        conf->window_ms = n;

        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value.data, "off") == 0) {
        conf->threshold[which] = 0;
        return NGX_CONF_OK;
    }

    n = ngx_atofp(value.data, value.len, 3);
    well = wells[which];

    if (n == NGX_ERROR || n < 1 || (uint64_t) n <= well) {
        why = well ? "a number above 1, or \"off\", is needed"
                   : "a number above 0, or \"off\", is needed";
        goto invalid;
    }

    conf->threshold[which] = n;

    return NGX_CONF_OK;

unknown:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" in \"s3_cache_alerts\"",
                       word);
    return NGX_CONF_ERROR;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"s3_cache_alerts\": %s",
                       word, why);
    return NGX_CONF_ERROR;
}

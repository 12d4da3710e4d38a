/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_peers: what each line of the block says; nodes are in peers_node.c.
 * No message ever holds a byte of the secret.
 */

#include "ngx_http_s3_cache_peers.h"
#include "ngx_http_s3_cache_secret.h"


#define SECRET_MIN         16
#define SECRET_MAX         1024
#define STRIPE_UNIT        (64 * 1024)              /* the least block size */
#define STRIPE_MAX         ((off_t) 1 << 40)
#define TIME_MAX           (60 * 60 * 1000)
#define LINKS_MAX          16
#define MIRROR_SHARE_MAX   50

#define param(field)       offsetof(ngx_http_s3_cache_peers_t, field)


static char *ngx_http_s3_cache_peers_self(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_s3_cache_peers_secret(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_s3_cache_peers_stripe(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_s3_cache_peers_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_s3_cache_peers_links(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_s3_cache_peers_mirror(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);


static char  ngx_http_s3_cache_peers_zero;    /* 0 is a time, too */

static ngx_command_t  params[] = {

    { ngx_string("node"),
      NGX_CONF_2MORE,
      ngx_http_s3_cache_peers_node,
      0,
      0,
      NULL },

    { ngx_string("member"),
      NGX_CONF_1MORE,
      ngx_http_s3_cache_peers_member,
      0,
      0,
      NULL },

    { ngx_string("self"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_self,
      0,
      0,
      NULL },

    { ngx_string("secret"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_secret,
      0,
      0,
      NULL },

    { ngx_string("stripe"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_stripe,
      0,
      0,
      NULL },

    { ngx_string("connect_timeout"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_time,
      0,
      param(connect_timeout),
      NULL },

    { ngx_string("timeout"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_time,
      0,
      param(timeout),
      NULL },

    { ngx_string("retry"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_time,
      0,
      param(retry),
      NULL },

    { ngx_string("hedge"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_time,
      0,
      param(hedge),
      &ngx_http_s3_cache_peers_zero },

    { ngx_string("handover"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_time,
      0,
      param(handover),
      &ngx_http_s3_cache_peers_zero },

    { ngx_string("staleness"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_time,
      0,
      param(staleness),
      NULL },

    { ngx_string("links"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_links,
      0,
      0,
      NULL },

    { ngx_string("mirror"),
      NGX_CONF_TAKE12,
      ngx_http_s3_cache_peers_mirror,
      0,
      0,
      NULL },

    { ngx_string("ssl"),
      NGX_CONF_TAKE1,
      ngx_conf_set_flag_slot,
      0,
      param(ssl_enable),
      NULL },

    { ngx_string("ssl_certificate"),
      NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      param(ssl_certificate),
      NULL },

    { ngx_string("ssl_certificate_key"),
      NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      param(ssl_certificate_key),
      NULL },

    { ngx_string("ssl_trusted_certificate"),
      NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      param(ssl_trusted_certificate),
      NULL },

    { ngx_string("include"),
      NGX_CONF_TAKE1,
      ngx_conf_include,
      0,
      0,
      NULL },

      ngx_null_command
};


const ngx_http_s3_cache_conf_block_t  ngx_http_s3_cache_peers_params = {
    "s3_cache_peers",
    params,
    "node, member, self, secret, stripe, connect_timeout, timeout, retry, "
    "hedge, handover, staleness, links, mirror, ssl, ssl_certificate, "
    "ssl_certificate_key, ssl_trusted_certificate and include"
};


static char *
ngx_http_s3_cache_peers_self(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_peers_t *peers = conf;

    ngx_str_t  *value;

    if (peers->self_place.line) {
        return "is duplicate";
    }

    value = cf->args->elts;

    peers->self_name = value[1];
    peers->self_place.file = cf->conf_file->file.name;
    peers->self_place.line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/* secret text | file=path; of a file, the first line. */

static char *
ngx_http_s3_cache_peers_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_peers_t *peers = conf;

    ngx_str_t  *value, line;

    if (peers->secret.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "file=") == 0) {
        return "needs a path behind \"file=\"";
    }

    if (ngx_http_s3_cache_secret_line(cf, &value[1], &line) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (line.len < SECRET_MIN || line.len > SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"secret\" of s3_cache_peers has %uz characters: "
                           "%d to %d are needed",
                           line.len, SECRET_MIN, SECRET_MAX);
        return NGX_CONF_ERROR;
    }

    peers->secret = line;

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_peers_stripe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_peers_t *peers = conf;

    off_t       size;
    ngx_str_t  *value;

    if (peers->stripe != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    size = ngx_parse_offset(&value[1]);

    if (size < STRIPE_UNIT || size > STRIPE_MAX || size % STRIPE_UNIT != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"stripe %V\" of s3_cache_peers: a "
                           "multiple of 64k is needed, at most 1024g",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    peers->stripe = size;

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_peers_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t    ms;
    ngx_str_t   *value;
    ngx_msec_t  *field;

    field = (ngx_msec_t *) (p + cmd->offset);

    if (*field != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ms = ngx_parse_time(&value[1], 0);

    if (ms == NGX_ERROR || (ms == 0 && cmd->post == NULL) || ms > TIME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V %V\" of s3_cache_peers: a time from "
                           "1ms to 1h is needed", &cmd->name, &value[1]);
        return NGX_CONF_ERROR;
    }

    *field = ms;

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_peers_links(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_peers_t *peers = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (peers->links != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > LINKS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"links %V\" of s3_cache_peers: 1 to %d "
                           "is needed", &value[1], LINKS_MAX);
        return NGX_CONF_ERROR;
    }

    peers->links = n;

    return NGX_CONF_OK;
}


/* mirror share% [time] | off */

static char *
ngx_http_s3_cache_peers_mirror(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_peers_t *peers = conf;

    ngx_int_t   share, ms;
    ngx_str_t  *value;

    if (peers->mirror_share != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts < 2 || cf->args->nelts > 3) {
        return "takes a share and a time, or \"off\"";
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        peers->mirror_share = 0;
        return NGX_CONF_OK;
    }

    share = NGX_ERROR;

    if (value[1].len > 1 && value[1].data[value[1].len - 1] == '%') {
        share = ngx_atoi(value[1].data, value[1].len - 1);
    }

    if (share < 1 || share > MIRROR_SHARE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"mirror %V\" of s3_cache_peers: 1%% to "
                           "%d%% of the zone, or \"off\", is needed",
                           &value[1], MIRROR_SHARE_MAX);
        return NGX_CONF_ERROR;
    }

    peers->mirror_share = share;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    ms = ngx_parse_time(&value[2], 0);

    if (ms == NGX_ERROR || ms == 0 || ms > TIME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"mirror %V %V\" of s3_cache_peers: a "
                           "time from 1ms to 1h is needed",
                           &value[1], &value[2]);
        return NGX_CONF_ERROR;
    }

    peers->mirror_time = ms;

    return NGX_CONF_OK;
}

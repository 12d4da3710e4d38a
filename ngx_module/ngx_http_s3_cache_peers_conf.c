/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_peers: the block, and what each of its lines says. No message ever
 * holds a byte of the secret.
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


static char *ngx_http_s3_cache_peers_param(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
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
static char *ngx_http_s3_cache_peers_complete(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);


static char  ngx_http_s3_cache_peers_zero;    /* 0 is a time, too */

static ngx_command_t  ngx_http_s3_cache_peers_params[] = {

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


char *
ngx_http_s3_cache_peers_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                       *rv;
    ngx_str_t                  *value;
    ngx_conf_t                  save;
    ngx_http_s3_cache_peers_t  *peers;

    value = cf->args->elts;

    peers = ngx_http_s3_cache_peers_get(cf, &value[1]);
    if (peers == NULL) {
        return NGX_CONF_ERROR;
    }

    if (peers->place.line) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_peers \"%V\" is given twice, see %V:%ui",
                           &peers->name, &peers->place.file,
                           peers->place.line);
        return NGX_CONF_ERROR;
    }

    peers->place.file = cf->conf_file->file.name;
    peers->place.line = cf->conf_file->line;

    save = *cf;

    cf->handler = ngx_http_s3_cache_peers_param;
    cf->handler_conf = (void *) peers;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_s3_cache_peers_complete(cf, peers);
}


ngx_http_s3_cache_peers_t *
ngx_http_s3_cache_peers_get(ngx_conf_t *cf, ngx_str_t *zone)
{
    ngx_uint_t                      i;
    ngx_http_s3_cache_peers_t      *peers, **pp;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    pp = mcf->peers.elts;

    for (i = 0; i < mcf->peers.nelts; i++) {
        if (pp[i]->name.len == zone->len
            && ngx_memcmp(pp[i]->name.data, zone->data, zone->len) == 0)
        {
            return pp[i];
        }
    }

    peers = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_peers_t));
    if (peers == NULL) {
        return NULL;
    }

    if (ngx_array_init(&peers->nodes, cf->pool, 8,
                       sizeof(ngx_http_s3_cache_node_t))
        != NGX_OK
        || ngx_array_init(&peers->locations, cf->pool, 8,
                          sizeof(ngx_http_s3_cache_loc_conf_t *))
           != NGX_OK)
    {
        return NULL;
    }

    peers->name = *zone;
    peers->stripe = NGX_CONF_UNSET;
    peers->connect_timeout = NGX_CONF_UNSET_MSEC;
    peers->timeout = NGX_CONF_UNSET_MSEC;
    peers->retry = NGX_CONF_UNSET_MSEC;
    peers->hedge = NGX_CONF_UNSET_MSEC;
    peers->handover = NGX_CONF_UNSET_MSEC;
    peers->links = NGX_CONF_UNSET_UINT;
    peers->mirror_share = NGX_CONF_UNSET_UINT;
    peers->mirror_time = NGX_CONF_UNSET_MSEC;
    peers->ssl_enable = NGX_CONF_UNSET;

    pp = ngx_array_push(&mcf->peers);
    if (pp == NULL) {
        return NULL;
    }

    *pp = peers;

    return peers;
}


char *
ngx_http_s3_cache_peers_error(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers, ngx_http_s3_cache_place_t *place,
    const char *why)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_peers \"%V\" %s in %V:%ui",
                  &peers->name, why, &place->file, place->line);

    return NGX_CONF_ERROR;
}


/* One line of the block. */

static char *
ngx_http_s3_cache_peers_param(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    char           *rv;
    size_t          len;
    ngx_str_t      *value;
    ngx_command_t  *cmd;

    value = cf->args->elts;

    for (cmd = ngx_http_s3_cache_peers_params; cmd->name.len; cmd++) {

        if (cmd->name.len != value[0].len
            || ngx_strcmp(cmd->name.data, value[0].data) != 0)
        {
            continue;
        }

        if (cmd->type == NGX_CONF_TAKE1 && cf->args->nelts != 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of s3_cache_peers takes one value",
                               &cmd->name);
            return NGX_CONF_ERROR;
        }

        rv = cmd->set(cf, cmd, conf);

        if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of s3_cache_peers %s",
                               &cmd->name, rv);
            return NGX_CONF_ERROR;
        }

        return rv;
    }

    /* "secret=..." is one word: what is behind its name is not shown */

    for (len = 0; len < value[0].len; len++) {
        if ((value[0].data[len] < 'a' || value[0].data[len] > 'z')
            && value[0].data[len] != '_')
        {
            break;
        }
    }

    value[0].len = len;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" of s3_cache_peers: it knows "
                       "node, member, self, secret, stripe, connect_timeout, "
                       "timeout, retry, hedge, handover, links, mirror, ssl, "
                       "ssl_certificate, ssl_certificate_key, "
                       "ssl_trusted_certificate and "
                       "include", &value[0]);

    return NGX_CONF_ERROR;
}


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


/* At the end of the block: what has to be there, and fits together. */

static char *
ngx_http_s3_cache_peers_complete(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers)
{
    ngx_uint_t                 i, weight, given;
    ngx_http_s3_cache_node_t  *nodes;

    nodes = peers->nodes.elts;
    weight = 0;

    for (i = 0; i < peers->nodes.nelts; i++) {
        weight += nodes[i].weight;
    }

    if (peers->nodes.nelts == 0) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                              "has no \"node\" and no \"member\"");
    }

    /* others may own what a member does not */

    if (weight == 0 && peers->member.line == 0) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                    "has only nodes of weight 0: one of 1 or more is needed");
    }

    given = peers->ssl_certificate.len || peers->ssl_certificate_key.len
            || peers->ssl_trusted_certificate.len;

    if (given && peers->ssl_enable == NGX_CONF_UNSET) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                   "has a certificate, but no \"ssl on\" (or \"ssl off\")");
    }

    ngx_conf_init_value(peers->ssl_enable, 0);

    if (peers->ssl_enable
        && (peers->ssl_certificate.len == 0
            || peers->ssl_certificate_key.len == 0
            || peers->ssl_trusted_certificate.len == 0))
    {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                    "has \"ssl on\": it needs \"ssl_certificate\", "
                    "\"ssl_certificate_key\" and \"ssl_trusted_certificate\"");
    }

    if (!peers->ssl_enable && peers->secret.len == 0) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                     "needs a \"secret\" of 16 characters, or \"ssl on\"");
    }

    ngx_conf_init_value(peers->stripe, 16 * 1024 * 1024);
    ngx_conf_init_msec_value(peers->connect_timeout, 500);
    ngx_conf_init_msec_value(peers->timeout, 2000);
    ngx_conf_init_msec_value(peers->retry, 5000);
    ngx_conf_init_msec_value(peers->hedge, 300);
    ngx_conf_init_msec_value(peers->handover, 120000);
    ngx_conf_init_uint_value(peers->links, 4);
    ngx_conf_init_uint_value(peers->mirror_share, 5);
    ngx_conf_init_msec_value(peers->mirror_time, 10000);

    return NGX_CONF_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_redis: what each line of the block says. No message ever holds a
 * byte of a password.
 */

#include "ngx_http_s3_cache_redis.h"
#include "ngx_http_s3_cache_secret.h"


#define PORT_REDIS     6379
#define PORT_SENTINEL  26379
#define SERVERS_MAX    64               /* addresses, of each kind */
#define SECRET_MAX     1024
#define PREFIX_MAX     64
#define MASTER_MAX     255
#define DATABASE_MAX   65535
#define TIME_MIN       1
#define LEASE_MIN      300
#define TIME_MAX       (60 * 60 * 1000)

#define param(field)   offsetof(ngx_http_s3_cache_redis_t, field)


static char *ngx_http_s3_cache_redis_server(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_s3_cache_redis_text(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_s3_cache_redis_secret(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_s3_cache_redis_database(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_s3_cache_redis_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* `conf`: what the type of a value needs to know: a port, a length, a least
 * time. */

static ngx_command_t  params[] = {

    { ngx_string("server"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_server,
      PORT_REDIS,
      param(servers),
      NULL },

    { ngx_string("sentinel"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_server,
      PORT_SENTINEL,
      param(sentinels),
      NULL },

    { ngx_string("master"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_text,
      MASTER_MAX,
      param(master),
      NULL },

    { ngx_string("username"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_text,
      SECRET_MAX,
      param(username),
      NULL },

    { ngx_string("password"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_secret,
      0,
      param(password),
      NULL },

    { ngx_string("sentinel_password"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_secret,
      0,
      param(sentinel_password),
      NULL },

    { ngx_string("database"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_database,
      0,
      param(database),
      NULL },

    { ngx_string("prefix"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_text,
      PREFIX_MAX,
      param(prefix),
      NULL },

    { ngx_string("lease"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_time,
      LEASE_MIN,
      param(lease),
      NULL },

    { ngx_string("connect_timeout"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_time,
      TIME_MIN,
      param(connect_timeout),
      NULL },

    { ngx_string("timeout"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_time,
      TIME_MIN,
      param(timeout),
      NULL },

    { ngx_string("ssl"),
      NGX_CONF_TAKE1,
      ngx_conf_set_flag_slot,
      0,
      param(ssl_enable),
      NULL },

    { ngx_string("ssl_verify"),
      NGX_CONF_TAKE1,
      ngx_conf_set_flag_slot,
      0,
      param(ssl_verify),
      NULL },

    { ngx_string("ssl_name"),
      NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_text,
      255,
      param(ssl_name),
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


const ngx_http_s3_cache_conf_block_t  ngx_http_s3_cache_redis_params = {
    "s3_cache_redis",
    params,
    "server, sentinel, master, username, password, sentinel_password, "
    "database, prefix, lease, connect_timeout, timeout, ssl, ssl_verify, "
    "ssl_name, ssl_certificate, ssl_certificate_key, ssl_trusted_certificate "
    "and include"
};


/* server host[:port] | unix:path; sentinel host[:port]. A name is resolved
 * here and now, and all its addresses are used. */

static char *
ngx_http_s3_cache_redis_server(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    u_char                            *host;
    ngx_url_t                          u;
    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_array_t                       *servers;
    ngx_http_s3_cache_redis_server_t  *server;

    servers = (ngx_array_t *) (p + cmd->offset);
    value = cf->args->elts;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];
    u.default_port = (in_port_t) cmd->conf;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {

        if (u.err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid address \"%V\" of \"%V\" of "
                               "s3_cache_redis: %s",
                               &value[1], &cmd->name, u.err);
        }

        return NGX_CONF_ERROR;
    }

    host = ngx_pnalloc(cf->pool, u.host.len + 1);
    if (host == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_cpystrn(host, u.host.data, u.host.len + 1);

    for (i = 0; i < u.naddrs; i++) {

        if (ngx_inet_wildcard(u.addrs[i].sockaddr)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid address \"%V\" of \"%V\" of "
                               "s3_cache_redis: it is every address",
                               &value[1], &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (servers->nelts == SERVERS_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V %V\" of s3_cache_redis is one too many: "
                               "%d addresses are the most", &cmd->name,
                               &value[1], SERVERS_MAX);
            return NGX_CONF_ERROR;
        }

        server = ngx_array_push(servers);
        if (server == NULL) {
            return NGX_CONF_ERROR;
        }

        server->sockaddr = u.addrs[i].sockaddr;
        server->socklen = u.addrs[i].socklen;
        server->name = u.addrs[i].name;
        server->host.data = host;
        server->host.len = u.host.len;
    }

    return NGX_CONF_OK;
}


/* Printable ASCII without spaces. */

static char *
ngx_http_s3_cache_redis_text(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    size_t      i;
    ngx_str_t  *value, *field;

    field = (ngx_str_t *) (p + cmd->offset);

    if (field->data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        if (value[1].data[i] <= ' ' || value[1].data[i] >= 0x7f) {
            break;
        }
    }

    /* braces in the prefix would move the hash tag of a Redis Cluster */

    if (value[1].len == 0 || value[1].len > cmd->conf || i < value[1].len
        || (field == &((ngx_http_s3_cache_redis_t *) conf)->prefix
            && (ngx_strchr(value[1].data, '{')
                || ngx_strchr(value[1].data, '}'))))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of s3_cache_redis: 1 to %ui "
                           "printable ASCII characters without spaces%s are "
                           "needed", &cmd->name, cmd->conf,
                           field == &((ngx_http_s3_cache_redis_t *)
                                      conf)->prefix
                           ? " and braces" : "");
        return NGX_CONF_ERROR;
    }

    *field = value[1];

    return NGX_CONF_OK;
}


/* password text | file=path */

static char *
ngx_http_s3_cache_redis_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t  *value, *field;

    field = (ngx_str_t *) (p + cmd->offset);

    if (field->data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_s3_cache_secret_line(cf, &value[1], field) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (field->len == 0 || field->len > SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of s3_cache_redis has %uz characters: 1 "
                           "to %d are needed",
                           &cmd->name, field->len, SECRET_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_redis_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_s3_cache_redis_t *redis = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (redis->database != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n > DATABASE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"database %V\" of s3_cache_redis: 0 to "
                           "%d is needed", &value[1], DATABASE_MAX);
        return NGX_CONF_ERROR;
    }

    redis->database = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_redis_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

    if (ms < (ngx_int_t) cmd->conf || ms > TIME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V %V\" of s3_cache_redis: a time from "
                           "%uims to 1h is needed", &cmd->name, &value[1],
                           cmd->conf);
        return NGX_CONF_ERROR;
    }

    *field = ms;

    return NGX_CONF_OK;
}

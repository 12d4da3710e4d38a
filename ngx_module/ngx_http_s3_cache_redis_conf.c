/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_redis: the block, and what each of its lines says. No message ever
 * holds a byte of a password.
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


static char *ngx_http_s3_cache_redis_param(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
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
static char *ngx_http_s3_cache_redis_complete(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis);
static char *ngx_http_s3_cache_redis_error(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis, const char *why);


static ngx_http_s3_cache_redis_t *ngx_http_s3_cache_redis_create(
    ngx_conf_t *cf, ngx_str_t *zone);
static ngx_uint_t ngx_http_s3_cache_redis_is_unix(
    ngx_http_s3_cache_redis_t *redis);


/* All take one value. */

static ngx_command_t  ngx_http_s3_cache_redis_params[] = {

    { ngx_string("server"),
      PORT_REDIS,
      ngx_http_s3_cache_redis_server,
      0,
      param(servers),
      NULL },

    { ngx_string("sentinel"),
      PORT_SENTINEL,
      ngx_http_s3_cache_redis_server,
      0,
      param(sentinels),
      NULL },

    { ngx_string("master"),
      MASTER_MAX,
      ngx_http_s3_cache_redis_text,
      0,
      param(master),
      NULL },

    { ngx_string("username"),
      SECRET_MAX,
      ngx_http_s3_cache_redis_text,
      0,
      param(username),
      NULL },

    { ngx_string("password"),
      0,
      ngx_http_s3_cache_redis_secret,
      0,
      param(password),
      NULL },

    { ngx_string("sentinel_password"),
      0,
      ngx_http_s3_cache_redis_secret,
      0,
      param(sentinel_password),
      NULL },

    { ngx_string("database"),
      0,
      ngx_http_s3_cache_redis_database,
      0,
      param(database),
      NULL },

    { ngx_string("prefix"),
      PREFIX_MAX,
      ngx_http_s3_cache_redis_text,
      0,
      param(prefix),
      NULL },

    { ngx_string("lease"),
      LEASE_MIN,
      ngx_http_s3_cache_redis_time,
      0,
      param(lease),
      NULL },

    { ngx_string("connect_timeout"),
      TIME_MIN,
      ngx_http_s3_cache_redis_time,
      0,
      param(connect_timeout),
      NULL },

    { ngx_string("timeout"),
      TIME_MIN,
      ngx_http_s3_cache_redis_time,
      0,
      param(timeout),
      NULL },

    { ngx_string("ssl"),
      0,
      ngx_conf_set_flag_slot,
      0,
      param(ssl_enable),
      NULL },

    { ngx_string("ssl_verify"),
      0,
      ngx_conf_set_flag_slot,
      0,
      param(ssl_verify),
      NULL },

    { ngx_string("ssl_name"),
      255,
      ngx_http_s3_cache_redis_text,
      0,
      param(ssl_name),
      NULL },

    { ngx_string("ssl_certificate"),
      0,
      ngx_conf_set_str_slot,
      0,
      param(ssl_certificate),
      NULL },

    { ngx_string("ssl_certificate_key"),
      0,
      ngx_conf_set_str_slot,
      0,
      param(ssl_certificate_key),
      NULL },

    { ngx_string("ssl_trusted_certificate"),
      0,
      ngx_conf_set_str_slot,
      0,
      param(ssl_trusted_certificate),
      NULL },

    { ngx_string("include"),
      0,
      ngx_conf_include,
      0,
      0,
      NULL },

      ngx_null_command
};


char *
ngx_http_s3_cache_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_main_conf_t *mcf = conf;

    char                       *rv;
    ngx_str_t                  *value;
    ngx_conf_t                  save;
    ngx_http_s3_cache_redis_t  *redis;

    value = cf->args->elts;

    redis = ngx_http_s3_cache_redis_find_conf(mcf, &value[1]);

    if (redis) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_redis \"%V\" is given twice, see %V:%ui",
                           &redis->name, &redis->place.file,
                           redis->place.line);
        return NGX_CONF_ERROR;
    }

    redis = ngx_http_s3_cache_redis_create(cf, &value[1]);
    if (redis == NULL) {
        return NGX_CONF_ERROR;
    }

    save = *cf;

    cf->handler = ngx_http_s3_cache_redis_param;
    cf->handler_conf = (void *) redis;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_s3_cache_redis_complete(cf, redis);
}


static ngx_http_s3_cache_redis_t *
ngx_http_s3_cache_redis_create(ngx_conf_t *cf, ngx_str_t *zone)
{
    ngx_http_s3_cache_redis_t      *redis, **rp;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_redis_t));
    if (redis == NULL) {
        return NULL;
    }

    if (ngx_array_init(&redis->servers, cf->pool, 4,
                       sizeof(ngx_http_s3_cache_redis_server_t))
        != NGX_OK
        || ngx_array_init(&redis->sentinels, cf->pool, 4,
                          sizeof(ngx_http_s3_cache_redis_server_t))
           != NGX_OK)
    {
        return NULL;
    }

    redis->name = *zone;
    redis->place.file = cf->conf_file->file.name;
    redis->place.line = cf->conf_file->line;
    redis->database = NGX_CONF_UNSET_UINT;
    redis->lease = NGX_CONF_UNSET_MSEC;
    redis->connect_timeout = NGX_CONF_UNSET_MSEC;
    redis->timeout = NGX_CONF_UNSET_MSEC;
    redis->ssl_enable = NGX_CONF_UNSET;
    redis->ssl_verify = NGX_CONF_UNSET;

    rp = ngx_array_push(&mcf->redis);
    if (rp == NULL) {
        return NULL;
    }

    *rp = redis;

    return redis;
}


ngx_http_s3_cache_redis_t *
ngx_http_s3_cache_redis_find_conf(ngx_http_s3_cache_main_conf_t *mcf,
    ngx_str_t *zone)
{
    ngx_uint_t                   i;
    ngx_http_s3_cache_redis_t  **rp;

    rp = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        if (rp[i]->name.len == zone->len
            && ngx_memcmp(rp[i]->name.data, zone->data, zone->len) == 0)
        {
            return rp[i];
        }
    }

    return NULL;
}


static char *
ngx_http_s3_cache_redis_error(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis, const char *why)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_redis \"%V\" %s in %V:%ui",
                  &redis->name, why, &redis->place.file, redis->place.line);

    return NGX_CONF_ERROR;
}


/* One line of the block. */

static char *
ngx_http_s3_cache_redis_param(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    char           *rv;
    size_t          len;
    ngx_str_t      *value;
    ngx_command_t  *cmd;

    value = cf->args->elts;

    for (cmd = ngx_http_s3_cache_redis_params; cmd->name.len; cmd++) {

        if (cmd->name.len != value[0].len
            || ngx_strcmp(cmd->name.data, value[0].data) != 0)
        {
            continue;
        }

        if (cf->args->nelts != 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of s3_cache_redis takes one value",
                               &cmd->name);
            return NGX_CONF_ERROR;
        }

        rv = cmd->set(cf, cmd, conf);

        if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of s3_cache_redis %s",
                               &cmd->name, rv);
            return NGX_CONF_ERROR;
        }

        return rv;
    }

    /* "password=..." is one word: what is behind its name is not shown */

    for (len = 0; len < value[0].len; len++) {
        if ((value[0].data[len] < 'a' || value[0].data[len] > 'z')
            && value[0].data[len] != '_')
        {
            break;
        }
    }

    value[0].len = len;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" of s3_cache_redis: it knows "
                       "server, sentinel, master, username, password, "
                       "sentinel_password, database, prefix, lease, "
                       "connect_timeout, timeout, ssl, ssl_verify, ssl_name, "
                       "ssl_certificate, ssl_certificate_key, "
                       "ssl_trusted_certificate and include", &value[0]);

    return NGX_CONF_ERROR;
}


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
    u.default_port = (in_port_t) cmd->type;

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

    if (value[1].len == 0 || value[1].len > cmd->type || i < value[1].len
        || (field == &((ngx_http_s3_cache_redis_t *) conf)->prefix
            && (ngx_strchr(value[1].data, '{')
                || ngx_strchr(value[1].data, '}'))))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of s3_cache_redis: 1 to %ui "
                           "printable ASCII characters without spaces%s are "
                           "needed", &cmd->name, cmd->type,
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

    if (ms < (ngx_int_t) cmd->type || ms > TIME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V %V\" of s3_cache_redis: a time from "
                           "%uims to 1h is needed", &cmd->name, &value[1],
                           cmd->type);
        return NGX_CONF_ERROR;
    }

    *field = ms;

    return NGX_CONF_OK;
}


/* At the end of the block: what has to be there, and fits together. */

static char *
ngx_http_s3_cache_redis_complete(ngx_conf_t *cf,
    ngx_http_s3_cache_redis_t *redis)
{
    if (redis->servers.nelts == 0 && redis->sentinels.nelts == 0) {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has no \"server\" and no \"sentinel\"");
    }

    if (redis->servers.nelts && redis->sentinels.nelts) {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has both \"server\" and \"sentinel\": sentinels "
                            "say which the server is");
    }

    if (redis->sentinels.nelts && redis->master.len == 0) {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has a \"sentinel\": it needs \"master\", too");
    }

    if (redis->sentinels.nelts == 0
        && (redis->master.len || redis->sentinel_password.len))
    {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has a \"master\" or a \"sentinel_password\", "
                            "but no \"sentinel\"");
    }

    if (redis->username.len && redis->password.len == 0) {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has a \"username\", but no \"password\"");
    }

    if ((redis->ssl_certificate.len == 0)
        != (redis->ssl_certificate_key.len == 0))
    {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "needs both \"ssl_certificate\" and "
                            "\"ssl_certificate_key\", or none");
    }

    if (redis->ssl_enable != 1
        && (redis->ssl_certificate.len || redis->ssl_name.len
            || redis->ssl_trusted_certificate.len || redis->ssl_verify == 1))
    {
        return ngx_http_s3_cache_redis_error(cf, redis,
                            "has parameters of TLS, but no \"ssl on\"");
    }

    ngx_conf_init_value(redis->ssl_enable, 0);
    ngx_conf_init_value(redis->ssl_verify, 1);
    ngx_conf_init_uint_value(redis->database, 0);
    ngx_conf_init_msec_value(redis->lease, 3000);
    ngx_conf_init_msec_value(redis->connect_timeout, 500);
    ngx_conf_init_msec_value(redis->timeout, 1000);

    if (redis->prefix.len == 0) {
        ngx_str_set(&redis->prefix, "s3_cache");
    }

    return ngx_http_s3_cache_redis_tls(cf, redis);
}


char *
ngx_http_s3_cache_redis_init(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                   i;
    ngx_http_s3_cache_node_t    *self;
    ngx_http_s3_cache_redis_t   *redis, **rp;

    rp = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        redis = rp[i];

        if (redis->peers == NULL) {
            return ngx_http_s3_cache_redis_error(cf, redis,
                            "is of no use: no \"s3_cache_peers\" of this "
                            "zone has a \"member\"");
        }

        self = redis->peers->nodes.elts;

        if (self->url.naddrs == 0 && ngx_http_s3_cache_redis_is_unix(redis)) {
            return ngx_http_s3_cache_redis_error(cf, redis,
                            "is reached by a socket of this machine, so "
                            "\"member\" of s3_cache_peers needs an address "
                            "before its port:");
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_s3_cache_redis_is_unix(ngx_http_s3_cache_redis_t *redis)
{
    ngx_uint_t                         i;
    ngx_http_s3_cache_redis_server_t  *servers;

    servers = redis->servers.elts;

    for (i = 0; i < redis->servers.nelts; i++) {
        if (servers[i].sockaddr->sa_family == AF_UNIX) {
            return 1;
        }
    }

    return 0;
}

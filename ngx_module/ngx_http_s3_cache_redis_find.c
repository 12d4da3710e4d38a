/* SPDX-License-Identifier: Apache-2.0
 *
 * Which server is asked: one after the other of those in the configuration,
 * the master that a Sentinel names, or where a Redis Cluster says that our
 * keys are. Ends when it is logged in there.
 */

#include "ngx_http_s3_cache_redis_internal.h"


static void ngx_http_s3_cache_find_sentinel(void *data, redisReply *reply);
static void ngx_http_s3_cache_find_ask_master(ngx_http_s3_cache_keeper_t *k);
static void ngx_http_s3_cache_find_permitted(void *data, redisReply *reply);
static void ngx_http_s3_cache_find_master(void *data, redisReply *reply);
static void ngx_http_s3_cache_find_connected(void *data, redisReply *reply);
static void ngx_http_s3_cache_find_logged_in(void *data, redisReply *reply);
static void ngx_http_s3_cache_find_select(ngx_http_s3_cache_keeper_t *k);
static void ngx_http_s3_cache_find_selected(void *data, redisReply *reply);
static ngx_int_t ngx_http_s3_cache_find_target(ngx_http_s3_cache_keeper_t *k,
    ngx_str_t *host, ngx_str_t *port);
static void ngx_http_s3_cache_find_go(ngx_http_s3_cache_keeper_t *k);


void
ngx_http_s3_cache_redis_find(ngx_http_s3_cache_keeper_t *k)
{
    ngx_http_s3_cache_redis_t         *redis;
    ngx_http_s3_cache_redis_server_t  *server;

    redis = k->redis;

    if (k->moved) {
        k->moved = 0;
        ngx_http_s3_cache_find_go(k);
        return;
    }

    if (redis->sentinels.nelts) {
        server = redis->sentinels.elts;
        server += k->next++ % redis->sentinels.nelts;

    } else {
        server = redis->servers.elts;
        server += k->next++ % redis->servers.nelts;
    }

    k->server = server->name;

    ngx_http_s3_cache_redis_open(&k->conn, server->sockaddr, server->socklen,
                                 &server->name, &server->host,
                                 redis->sentinels.nelts
                                 ? ngx_http_s3_cache_find_sentinel
                                 : ngx_http_s3_cache_find_connected);
}


static void
ngx_http_s3_cache_find_sentinel(void *data, redisReply *reply)
{
    ngx_http_s3_cache_keeper_t *k = data;

    ngx_str_t  argv[2];

    if (k->redis->sentinel_password.len == 0) {
        ngx_http_s3_cache_find_ask_master(k);
        return;
    }

    ngx_str_set(&argv[0], "AUTH");
    argv[1] = k->redis->sentinel_password;

    ngx_http_s3_cache_redis_ask(&k->conn, 2, argv,
                                ngx_http_s3_cache_find_permitted);
}


static void
ngx_http_s3_cache_find_denied(ngx_http_s3_cache_keeper_t *k,
    redisReply *reply)
{
    ngx_str_t  text;

    text.data = (u_char *) reply->str;
    text.len = reply->len;

    ngx_http_s3_cache_keeper_failed(k, ngx_http_s3_cache_redis_reason(reply),
                                    0, &text);
}


/* Is it "+OK"? What else it is has been told. */

static ngx_uint_t
ngx_http_s3_cache_find_ok(ngx_http_s3_cache_keeper_t *k, redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STATUS && ngx_strcmp(reply->str, "OK") == 0)
    {
        return 1;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_s3_cache_find_denied(k, reply);

    } else {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_GARBLED,
                                        0, NULL);
    }

    return 0;
}


static void
ngx_http_s3_cache_find_permitted(void *data, redisReply *reply)
{
    ngx_http_s3_cache_keeper_t *k = data;

    if (ngx_http_s3_cache_find_ok(k, reply)) {
        ngx_http_s3_cache_find_ask_master(k);
    }
}


static void
ngx_http_s3_cache_find_ask_master(ngx_http_s3_cache_keeper_t *k)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "SENTINEL");
    ngx_str_set(&argv[1], "get-master-addr-by-name");
    argv[2] = k->redis->master;

    ngx_http_s3_cache_redis_ask(&k->conn, 3, argv,
                                ngx_http_s3_cache_find_master);
}


static void
ngx_http_s3_cache_find_master(void *data, redisReply *reply)
{
    ngx_http_s3_cache_keeper_t *k = data;

    ngx_str_t     host, port;
    redisReply  **e;

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_s3_cache_find_denied(k, reply);
        return;
    }

    if (reply->type == REDIS_REPLY_NIL) {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_NO_MASTER,
                                        0, NULL);
        return;
    }

    e = reply->element;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || e[0]->type != REDIS_REPLY_STRING
        || e[1]->type != REDIS_REPLY_STRING)
    {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_GARBLED,
                                        0, NULL);
        return;
    }

    host.data = (u_char *) e[0]->str;
    host.len = e[0]->len;
    port.data = (u_char *) e[1]->str;
    port.len = e[1]->len;

    if (ngx_http_s3_cache_find_target(k, &host, &port) != NGX_OK) {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_NO_ADDRESS,
                                        0, NULL);
        return;
    }

    ngx_http_s3_cache_find_go(k);
}


ngx_int_t
ngx_http_s3_cache_redis_follow(ngx_http_s3_cache_keeper_t *k,
    ngx_str_t *text)
{
    u_char     *p, *last;
    ngx_str_t   host, port;

    /* "MOVED 3999 127.0.0.1:6381", IPv6 without brackets */

    p = text->data;
    last = text->data + text->len;

    while (last > p && last[-1] != ':') {
        last--;
    }

    if (last == p) {
        return NGX_ERROR;
    }

    port.data = last;
    port.len = text->data + text->len - last;

    host.data = last - 1;

    while (host.data > p && host.data[-1] != ' ') {
        host.data--;
    }

    host.len = last - 1 - host.data;

    if (ngx_http_s3_cache_find_target(k, &host, &port) != NGX_OK) {
        return NGX_ERROR;
    }

    k->moved = 1;

    return NGX_OK;
}


/* Names would have to be resolved, and by whom they are given we know not. */

static ngx_int_t
ngx_http_s3_cache_find_target(ngx_http_s3_cache_keeper_t *k, ngx_str_t *host,
    ngx_str_t *port)
{
    in_addr_t                          addr;
    ngx_int_t                          n;
    ngx_http_s3_cache_redis_target_t  *target;

    target = &k->target;

    n = ngx_atoi(port->data, port->len);

    if (n < 1 || n > 65535) {
        return NGX_ERROR;
    }

    ngx_memzero(&target->sockaddr, sizeof(ngx_sockaddr_t));

    addr = ngx_inet_addr(host->data, host->len);

    if (addr != INADDR_NONE) {
        target->sockaddr.sockaddr_in.sin_family = AF_INET;
        target->sockaddr.sockaddr_in.sin_addr.s_addr = addr;
        target->socklen = sizeof(struct sockaddr_in);

#if (NGX_HAVE_INET6)

    } else if (ngx_inet6_addr(host->data, host->len,
                    target->sockaddr.sockaddr_in6.sin6_addr.s6_addr)
               == NGX_OK)
    {
        target->sockaddr.sockaddr_in6.sin6_family = AF_INET6;
        target->socklen = sizeof(struct sockaddr_in6);

#endif

    } else {
        return NGX_ERROR;
    }

    ngx_inet_set_port(&target->sockaddr.sockaddr, (in_port_t) n);

    target->name.data = target->text;
    target->name.len = ngx_sock_ntop(&target->sockaddr.sockaddr,
                                     target->socklen, target->text,
                                     NGX_SOCKADDR_STRLEN, 1);
    return NGX_OK;
}


/* To the target. Its certificate must be for its address, or "ssl_name". */

static void
ngx_http_s3_cache_find_go(ngx_http_s3_cache_keeper_t *k)
{
    ngx_http_s3_cache_redis_target_t  *target;

    target = &k->target;

    k->server = target->name;

    target->host.data = target->host_text;
    target->host.len = ngx_sock_ntop(&target->sockaddr.sockaddr,
                                     target->socklen, target->host_text,
                                     NGX_SOCKADDR_STRLEN, 0);
    target->host_text[target->host.len] = '\0';

    ngx_http_s3_cache_redis_open(&k->conn, &target->sockaddr.sockaddr,
                                 target->socklen, &target->name,
                                 &target->host,
                                 ngx_http_s3_cache_find_connected);
}


static void
ngx_http_s3_cache_find_connected(void *data, redisReply *reply)
{
    ngx_http_s3_cache_keeper_t *k = data;

    ngx_str_t   argv[3];
    ngx_uint_t  n;

    if (k->redis->password.len == 0) {
        ngx_http_s3_cache_find_select(k);
        return;
    }

    n = 0;
    ngx_str_set(&argv[n], "AUTH");
    n++;

    /* Redis before 6 knows no users */

    if (k->redis->username.len) {
        argv[n++] = k->redis->username;
    }

    argv[n++] = k->redis->password;

    ngx_http_s3_cache_redis_ask(&k->conn, n, argv,
                                ngx_http_s3_cache_find_logged_in);
}


static void
ngx_http_s3_cache_find_logged_in(void *data, redisReply *reply)
{
    ngx_http_s3_cache_keeper_t *k = data;

    if (ngx_http_s3_cache_find_ok(k, reply)) {
        ngx_http_s3_cache_find_select(k);
    }
}


static void
ngx_http_s3_cache_find_select(ngx_http_s3_cache_keeper_t *k)
{
    u_char     number[NGX_INT_T_LEN];
    ngx_str_t  argv[2];

    if (k->redis->database == 0) {
        ngx_http_s3_cache_keeper_found(k);
        return;
    }

    ngx_str_set(&argv[0], "SELECT");
    argv[1].data = number;
    argv[1].len = ngx_sprintf(number, "%ui", k->redis->database) - number;

    ngx_http_s3_cache_redis_ask(&k->conn, 2, argv,
                                ngx_http_s3_cache_find_selected);
}


static void
ngx_http_s3_cache_find_selected(void *data, redisReply *reply)
{
    ngx_http_s3_cache_keeper_t *k = data;

    if (ngx_http_s3_cache_find_ok(k, reply)) {
        ngx_http_s3_cache_keeper_found(k);
    }
}

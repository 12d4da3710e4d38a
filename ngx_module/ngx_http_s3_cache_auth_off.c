/* SPDX-License-Identifier: Apache-2.0
 *
 * "s3_cache_auth off" where strangers come: whoever reaches such a location
 * has all rights of the origin's credentials. Each location that has it is
 * remembered while the configuration is merged. When all of it is known, those
 * that can be reached at an address that is not private, and that nothing else
 * protects, are warned of, once each. Nothing but these warnings depends on
 * this file.
 */

#include "ngx_http_s3_cache_auth_off.h"


typedef struct {
    ngx_http_s3_cache_loc_conf_t   *conf;
    void                          **loc_conf;  /* of all modules */
    ngx_http_core_srv_conf_t       *server;
} off_location_t;


/*
 * What modules of nginx have at the beginning of their configurations. No
 * header tells, so this is a copy; it fits nginx 1.22 to 1.30.
 */

typedef struct {
    ngx_array_t                    *rules;
#if (NGX_HAVE_INET6)
    ngx_array_t                    *rules6;
#endif
#if (NGX_HAVE_UNIX_DOMAIN)
    ngx_array_t                    *rules_un;
#endif
} off_access_t;


typedef struct {
    ngx_http_complex_value_t       *realm;
    ngx_http_complex_value_t       *user_file;
} off_basic_t;


typedef struct {
    ngx_str_t                       uri;
} off_request_t;


static void *off_conf(ngx_conf_t *cf, void **conf, char *name);
static ngx_uint_t off_is_guarded(ngx_conf_t *cf, off_location_t *at);
static ngx_uint_t off_is_hidden(off_location_t *at);
static ngx_uint_t off_is_verified(ngx_conf_t *cf, off_location_t *at,
    ngx_http_conf_addr_t *addr);
static ngx_int_t off_private(ngx_conf_t *cf, ngx_array_t *cidrs);
static ngx_http_conf_addr_t *off_find_public(ngx_conf_t *cf,
    off_location_t *at, ngx_http_conf_port_t *port, ngx_array_t *cidrs);


/* loopback, RFC 1918, link-local, RFC 6598 (behind a provider's NAT), RFC 4193;
 * an IPv4 address within IPv6 counts as itself */
static ngx_str_t  off_private_nets[] = {
    ngx_string("127.0.0.0/8"),
    ngx_string("10.0.0.0/8"),
    ngx_string("172.16.0.0/12"),
    ngx_string("192.168.0.0/16"),
    ngx_string("169.254.0.0/16"),
    ngx_string("100.64.0.0/10"),
    ngx_string("::1/128"),
    ngx_string("fc00::/7"),
    ngx_string("fe80::/10"),
    ngx_null_string
};


ngx_int_t
ngx_http_s3_cache_auth_off_add(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf)
{
    ngx_http_conf_ctx_t            *ctx;
    ngx_http_core_loc_conf_t       *clcf;
    off_location_t                 *at;
    ngx_http_s3_cache_main_conf_t  *mcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname) {
        /* "if" and "limit_except" are within one that is looked at */
        return NGX_OK;
    }

    ctx = cf->ctx;
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    if (mcf->open == NULL) {
        mcf->open = ngx_array_create(cf->pool, 4, sizeof(off_location_t));
        if (mcf->open == NULL) {
            return NGX_ERROR;
        }
    }

    at = ngx_array_push(mcf->open);
    if (at == NULL) {
        return NGX_ERROR;
    }

    at->conf = conf;
    at->loc_conf = ctx->loc_conf;
    at->server = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_auth_off_check(ngx_conf_t *cf)
{
    ngx_uint_t                      i, p;
    ngx_array_t                     cidrs;
    ngx_http_conf_addr_t           *addr;
    ngx_http_conf_port_t           *port;
    off_location_t                 *at;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_s3_cache_main_conf_t  *mcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    if (mcf->open == NULL || cmcf->ports == NULL) {
        return NGX_OK;
    }

    if (off_private(cf, &cidrs) != NGX_OK) {
        return NGX_ERROR;
    }

    at = mcf->open->elts;
    port = cmcf->ports->elts;

    for (i = 0; i < mcf->open->nelts; i++) {

        if (off_is_guarded(cf, &at[i]) || off_is_hidden(&at[i])) {
            continue;
        }

        addr = NULL;

        for (p = 0; p < cmcf->ports->nelts && addr == NULL; p++) {
            addr = off_find_public(cf, &at[i], &port[p], &cidrs);
        }

        if (addr) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "\"s3_cache_auth\" is off and nothing else "
                          "restricts who may reach %V: use "
                          "\"s3_cache_auth keys\", \"allow\" and \"deny\", or "
                          "listen on a private address, in %s:%ui",
                          &addr->opt.addr_text, at[i].conf->file,
                          at[i].conf->line);
        }
    }

    return NGX_OK;
}


/* What a module that may not be there has in a configuration. */

static void *
off_conf(ngx_conf_t *cf, void **conf, char *name)
{
    ngx_uint_t      i;
    ngx_module_t  **modules;

    modules = cf->cycle->modules;

    for (i = 0; modules[i]; i++) {
        if (modules[i]->type == NGX_HTTP_MODULE
            && ngx_strcmp(modules[i]->name, name) == 0)
        {
            return conf[modules[i]->ctx_index];
        }
    }

    return NULL;
}


/* Does anything else say who may? What it says is its own care: "allow all" is
 * an answer, too. */

static ngx_uint_t
off_is_guarded(ngx_conf_t *cf, off_location_t *at)
{
    off_basic_t               *basic;
    off_access_t              *access;
    off_request_t             *request;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = at->loc_conf[ngx_http_core_module.ctx_index];

    if (clcf->internal) {
        return 1;
    }

    access = off_conf(cf, at->loc_conf, "ngx_http_access_module");

    if (access
        && (access->rules
#if (NGX_HAVE_INET6)
            || access->rules6
#endif
#if (NGX_HAVE_UNIX_DOMAIN)
            || access->rules_un
#endif
           ))
    {
        return 1;
    }

    basic = off_conf(cf, at->loc_conf, "ngx_http_auth_basic_module");

    if (basic && basic->realm && basic->user_file
        && !(basic->realm->value.len == 3
             && ngx_strncmp(basic->realm->value.data, "off", 3) == 0))
    {
        return 1;
    }

    request = off_conf(cf, at->loc_conf, "ngx_http_auth_request_module");

    return request && request->uri.len > 0;
}


/* The server itself answers what is in none of its locations; all is in "/". */

static ngx_uint_t
off_is_hidden(off_location_t *at)
{
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_location_tree_node_t  *node;

    if (at->loc_conf != at->server->ctx->loc_conf) {
        return 0;
    }

    clcf = at->loc_conf[ngx_http_core_module.ctx_index];

    for (node = clcf->static_locations;
         node && node->len > 0 && node->name[0] != '/';
         node = (node->name[0] > '/') ? node->left : node->right)
    {
        /* void */
    }

    /* it parts all that begin with it from the others */

    return node && node->len <= 1 && node->inclusive;
}


/* Is a certificate of the client needed at this address? */

static ngx_uint_t
off_is_verified(ngx_conf_t *cf, off_location_t *at, ngx_http_conf_addr_t *addr)
{
#if (NGX_HTTP_SSL)
    ngx_uint_t                ssl;
    ngx_http_ssl_srv_conf_t  *sscf;

    ssl = addr->opt.ssl;
#if (NGX_HTTP_V3)
    ssl |= addr->opt.quic;
#endif

    sscf = off_conf(cf, at->server->ctx->srv_conf, "ngx_http_ssl_module");

    /* 1: "on"; with "optional" nothing is refused */

    return ssl && sscf && sscf->verify == 1;
#else
    return 0;
#endif
}


static ngx_int_t
off_private(ngx_conf_t *cf, ngx_array_t *cidrs)
{
    ngx_str_t   *net;
    ngx_cidr_t  *cidr;

    if (ngx_array_init(cidrs, cf->temp_pool, 16, sizeof(ngx_cidr_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (net = off_private_nets; net->len; net++) {
        cidr = ngx_array_push(cidrs);
        if (cidr == NULL) {
            return NGX_ERROR;
        }

        if (ngx_ptocidr(net, cidr) == NGX_ERROR) {
            /* an nginx without IPv6 */
            cidrs->nelts--;
        }
    }

    return NGX_OK;
}


/* An address at which strangers reach the location, or NULL. */

static ngx_http_conf_addr_t *
off_find_public(ngx_conf_t *cf, off_location_t *at, ngx_http_conf_port_t *port,
    ngx_array_t *cidrs)
{
    ngx_uint_t                  i, s;
    ngx_http_conf_addr_t       *addr;
    ngx_http_core_srv_conf_t  **server;

    addr = port->addrs.elts;

    for (i = 0; i < port->addrs.nelts; i++) {

        if (addr[i].opt.sockaddr->sa_family == AF_UNIX
            || ngx_cidr_match(addr[i].opt.sockaddr, cidrs) == NGX_OK
            || off_is_verified(cf, at, &addr[i]))
        {
            continue;
        }

        server = addr[i].servers.elts;

        for (s = 0; s < addr[i].servers.nelts; s++) {
            if (server[s] == at->server) {
                return &addr[i];
            }
        }
    }

    return NULL;
}

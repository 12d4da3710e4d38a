/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the nodes this machine is, so that all of them may have the same
 * file: by "self", else by the host's name, else by an address of it.
 */

#include "ngx_http_s3_cache_peers.h"

#include <ifaddrs.h>


#define SELF_UNKNOWN  ((ngx_uint_t) -1)


static char *ngx_http_s3_cache_peers_name_self(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);
static ngx_uint_t ngx_http_s3_cache_peers_by_name(
    ngx_http_s3_cache_peers_t *peers, ngx_str_t *name, ngx_uint_t nocase);
static ngx_uint_t ngx_http_s3_cache_peers_by_host(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);
static ngx_addr_t *ngx_http_s3_cache_peers_local(
    ngx_http_s3_cache_node_t *node, struct ifaddrs *addrs);
static char *ngx_http_s3_cache_peers_by_address(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);


char *
ngx_http_s3_cache_peers_find_self(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers)
{
    const char                *why;
    ngx_http_s3_cache_node_t  *nodes;

    if (peers->member.line) {
        return ngx_http_s3_cache_peers_name_self(cf, peers);
    }

    if (peers->self_place.line) {

        peers->self = ngx_http_s3_cache_peers_by_name(peers,
                                                      &peers->self_name, 0);

        if (peers->self == SELF_UNKNOWN) {
            return ngx_http_s3_cache_peers_error(cf, peers,
                                     &peers->self_place,
                                     "has a \"self\" that is no \"node\"");
        }

        why = "as \"self\" says";

    } else {
        peers->self = ngx_http_s3_cache_peers_by_host(cf, peers);

        if (peers->self == SELF_UNKNOWN) {
            return ngx_http_s3_cache_peers_by_address(cf, peers);
        }

        why = "by the name of the host";
    }

    nodes = peers->nodes.elts;

    ngx_log_error(NGX_LOG_NOTICE, cf->log, 0,
                  "s3_cache_peers \"%V\": this is node \"%V\", %s",
                  &peers->name, &nodes[peers->self].name, why);

    return NGX_CONF_OK;
}


/* A member is the only node that the configuration knows. */

static char *
ngx_http_s3_cache_peers_name_self(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers)
{
    ngx_http_s3_cache_node_t  *self;

    self = peers->nodes.elts;

    self->name = peers->self_place.line ? peers->self_name
                                        : cf->cycle->hostname;
    peers->self = 0;

    if (!ngx_http_s3_cache_peers_printable(&self->name, S3C_RING_NAME_MAX)) {
        return ngx_http_s3_cache_peers_error(cf, peers,
                                 peers->self_place.line
                                 ? &peers->self_place : &peers->member,
                                 "cannot name this node: 1 to 255 printable "
                                 "ASCII characters without spaces are needed "
                                 "as \"self\" or as the host's name");
    }

    ngx_log_error(NGX_LOG_NOTICE, cf->log, 0,
                  "s3_cache_peers \"%V\": this is node \"%V\", %s",
                  &peers->name, &self->name,
                  peers->self_place.line ? "as \"self\" says"
                                         : "by the name of the host");

    return NGX_CONF_OK;
}


/* The only node of this name. */

static ngx_uint_t
ngx_http_s3_cache_peers_by_name(ngx_http_s3_cache_peers_t *peers,
    ngx_str_t *name, ngx_uint_t nocase)
{
    ngx_uint_t                 i, found;
    ngx_http_s3_cache_node_t  *nodes;

    nodes = peers->nodes.elts;
    found = SELF_UNKNOWN;

    for (i = 0; i < peers->nodes.nelts; i++) {

        if (nodes[i].name.len != name->len
            || (nocase ? ngx_strncasecmp(nodes[i].name.data, name->data,
                                         name->len)
                       : ngx_memcmp(nodes[i].name.data, name->data,
                                    name->len))
               != 0)
        {
            continue;
        }

        if (found != SELF_UNKNOWN) {
            return SELF_UNKNOWN;
        }

        found = i;
    }

    return found;
}


/* nginx keeps the host's name in lower case. */

static ngx_uint_t
ngx_http_s3_cache_peers_by_host(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers)
{
    u_char      *dot;
    ngx_str_t    name;
    ngx_uint_t   found;

    name = cf->cycle->hostname;
    found = ngx_http_s3_cache_peers_by_name(peers, &name, 1);

    dot = ngx_strlchr(name.data, name.data + name.len, '.');

    if (found == SELF_UNKNOWN && dot) {
        name.len = dot - name.data;
        found = ngx_http_s3_cache_peers_by_name(peers, &name, 1);
    }

    return found;
}


static char *
ngx_http_s3_cache_peers_by_address(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers)
{
    ngx_uint_t                 i, n;
    ngx_addr_t                *addr, *found;
    struct ifaddrs            *addrs;
    ngx_http_s3_cache_node_t  *nodes;

    if (getifaddrs(&addrs) == -1) {
        ngx_log_error(NGX_LOG_WARN, cf->log, ngx_errno,
                      "getifaddrs() failed");
        addrs = NULL;
    }

    nodes = peers->nodes.elts;
    found = NULL;
    n = 0;

    for (i = 0; i < peers->nodes.nelts; i++) {
        addr = ngx_http_s3_cache_peers_local(&nodes[i], addrs);

        if (addr) {
            found = addr;
            peers->self = i;
            n++;
        }
    }

    if (addrs) {
        freeifaddrs(addrs);
    }

    if (n == 1) {
        ngx_log_error(NGX_LOG_NOTICE, cf->log, 0,
                      "s3_cache_peers \"%V\": this is node \"%V\", by its "
                      "address %V", &peers->name, &nodes[peers->self].name,
                      &found->name);
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_peers \"%V\": this machine could be %s of its "
                  "nodes: its host name \"%V\" is the name of none, and %ui "
                  "have an address of it; add \"self name;\" in %V:%ui",
                  &peers->name, n ? "several" : "none",
                  &cf->cycle->hostname, n, &peers->place.file,
                  peers->place.line);

    return NGX_CONF_ERROR;
}


/* The first of a node's addresses that is one of this machine, or NULL. */

static ngx_addr_t *
ngx_http_s3_cache_peers_local(ngx_http_s3_cache_node_t *node,
    struct ifaddrs *addrs)
{
    socklen_t        len;
    ngx_uint_t       i;
    ngx_addr_t      *addr;
    struct ifaddrs  *ifa;

    for (i = 0; i < node->url.naddrs; i++) {
        addr = &node->url.addrs[i];

        for (ifa = addrs; ifa; ifa = ifa->ifa_next) {

            if (ifa->ifa_addr == NULL
                || ifa->ifa_addr->sa_family != addr->sockaddr->sa_family)
            {
                continue;
            }

            len = addr->socklen;

            if (ngx_cmp_sockaddr(addr->sockaddr, len, ifa->ifa_addr, len, 0)
                == NGX_OK)
            {
                return addr;
            }
        }
    }

    return NULL;
}

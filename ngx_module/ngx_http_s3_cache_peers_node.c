/* SPDX-License-Identifier: Apache-2.0
 *
 * A "node" of s3_cache_peers: its name, where it listens, how much of the ring
 * is its own, and what it fails together with.
 */

#include "ngx_http_s3_cache_peers.h"


static char *ngx_http_s3_cache_peers_node_param(ngx_conf_t *cf,
    ngx_http_s3_cache_node_t *node, ngx_str_t *param);
static char *ngx_http_s3_cache_peers_node_address(ngx_conf_t *cf,
    ngx_http_s3_cache_node_t *node, ngx_str_t *address);
static char *ngx_http_s3_cache_peers_node_unique(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers, ngx_http_s3_cache_node_t *node);


static const char  ngx_http_s3_cache_peers_both[] =
    "cannot stand beside the other: \"node\" lists all nodes, \"member\" "
    "says that Redis does";


/* node name address [weight=number] [zone=label] */

char *
ngx_http_s3_cache_peers_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_peers_t *peers = conf;

    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_s3_cache_node_t   node, *np;

    value = cf->args->elts;

    if (cf->args->nelts < 3) {
        return "needs a name and an address, as in \"node a 10.0.0.1:9100\"";
    }

    if (peers->member.line) {
        return (char *) ngx_http_s3_cache_peers_both;
    }

    if (!ngx_http_s3_cache_peers_printable(&value[1], S3C_RING_NAME_MAX)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name of a node: 1 to %ud printable ASCII "
                           "characters without spaces are needed",
                           S3C_RING_NAME_MAX);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&node, sizeof(ngx_http_s3_cache_node_t));

    node.name = value[1];
    node.weight = NGX_CONF_UNSET_UINT;

    for (i = 3; i < cf->args->nelts; i++) {
        if (ngx_http_s3_cache_peers_node_param(cf, &node, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    ngx_conf_init_uint_value(node.weight, 1);

    if (ngx_http_s3_cache_peers_node_address(cf, &node, &value[2])
        != NGX_CONF_OK
        || ngx_http_s3_cache_peers_node_unique(cf, peers, &node)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (peers->nodes.nelts == S3C_RING_MEMBERS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "node \"%V\" is one too many: s3_cache_peers has "
                           "%ud at most", &node.name, S3C_RING_MEMBERS_MAX);
        return NGX_CONF_ERROR;
    }

    np = ngx_array_push(&peers->nodes);
    if (np == NULL) {
        return NGX_CONF_ERROR;
    }

    *np = node;

    return NGX_CONF_OK;
}


/* member [address:]port [weight=number] [zone=label]; it gets its name when
 * all of the block has been read */

char *
ngx_http_s3_cache_peers_member(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_peers_t *peers = conf;

    ngx_int_t                  port;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_s3_cache_node_t   node, *np;

    value = cf->args->elts;

    if (cf->args->nelts < 2) {
        return "needs a port, as in \"member 9100\"";
    }

    if (peers->member.line) {
        return "is duplicate";
    }

    if (peers->nodes.nelts) {
        return (char *) ngx_http_s3_cache_peers_both;
    }

    ngx_memzero(&node, sizeof(ngx_http_s3_cache_node_t));

    ngx_str_set(&node.name, "member");
    node.weight = NGX_CONF_UNSET_UINT;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_s3_cache_peers_node_param(cf, &node, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    ngx_conf_init_uint_value(node.weight, 1);

    port = ngx_atoi(value[1].data, value[1].len);

    if (port == NGX_ERROR) {

        if (ngx_http_s3_cache_peers_node_address(cf, &node, &value[1])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

    } else if (port < 1 || port > 65535) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid port \"%V\" of \"member\": 1 to 65535 is "
                           "needed", &value[1]);
        return NGX_CONF_ERROR;

    } else {
        peers->member_port = (in_port_t) port;
    }

    np = ngx_array_push(&peers->nodes);
    if (np == NULL) {
        return NGX_CONF_ERROR;
    }

    *np = node;

    peers->member.file = cf->conf_file->file.name;
    peers->member.line = cf->conf_file->line;

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_peers_node_param(ngx_conf_t *cf,
    ngx_http_s3_cache_node_t *node, ngx_str_t *param)
{
    ngx_int_t  n;

    if (ngx_strncmp(param->data, "weight=", 7) == 0) {

        if (node->weight != NGX_CONF_UNSET_UINT) {
            goto twice;
        }

        n = ngx_atoi(param->data + 7, param->len - 7);

        if (n == NGX_ERROR || n > (ngx_int_t) S3C_RING_WEIGHT_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%V\" of node \"%V\": 0 to %ud is "
                               "needed", param, &node->name,
                               S3C_RING_WEIGHT_MAX);
            return NGX_CONF_ERROR;
        }

        node->weight = n;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "zone=", 5) == 0) {

        if (node->rack.len) {
            goto twice;
        }

        node->rack.data = param->data + 5;
        node->rack.len = param->len - 5;

        if (!ngx_http_s3_cache_peers_printable(&node->rack,
                                               S3C_RING_ZONE_MAX))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"zone=\" of node \"%V\": 1 to %ud "
                               "printable ASCII characters without spaces "
                               "are needed", &node->name, S3C_RING_ZONE_MAX);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of node \"%V\": it takes "
                       "\"weight=number\" and \"zone=label\"",
                       param, &node->name);

    return NGX_CONF_ERROR;

twice:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" is the second of its kind for node \"%V\"",
                       param, &node->name);

    return NGX_CONF_ERROR;
}


ngx_uint_t
ngx_http_s3_cache_peers_printable(ngx_str_t *s, size_t max)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] <= ' ' || s->data[i] >= 0x7f) {
            return 0;
        }
    }

    return s->len > 0 && s->len <= max;
}


/* Resolved here and now, as by "server" of an upstream. */

static char *
ngx_http_s3_cache_peers_node_address(ngx_conf_t *cf,
    ngx_http_s3_cache_node_t *node, ngx_str_t *address)
{
    const char  *why;

    node->url.url = *address;

    if (ngx_strncasecmp(address->data, (u_char *) "unix:", 5) == 0) {
        why = "it must be reached by other machines";

    } else if (ngx_parse_url(cf->pool, &node->url) != NGX_OK) {

        if (node->url.err == NULL) {
            return NGX_CONF_ERROR;
        }

        why = node->url.err;

    } else if (node->url.no_port) {
        why = "no port";

    } else if (ngx_inet_wildcard(node->url.addrs[0].sockaddr)) {
        why = "it is every address";

    } else {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid address \"%V\" of node \"%V\": %s; "
                       "\"host:port\" is needed", address, &node->name, why);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_s3_cache_peers_node_unique(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers, ngx_http_s3_cache_node_t *node)
{
    ngx_uint_t                 i, k, m;
    ngx_addr_t                *a, *b;
    ngx_http_s3_cache_node_t  *others;

    others = peers->nodes.elts;
    a = node->url.addrs;

    for (i = 0; i < peers->nodes.nelts; i++) {

        if (ngx_memn2cmp(others[i].name.data, node->name.data,
                         others[i].name.len, node->name.len)
            == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "node \"%V\" is given twice", &node->name);
            return NGX_CONF_ERROR;
        }

        b = others[i].url.addrs;

        for (k = 0; k < node->url.naddrs; k++) {
            for (m = 0; m < others[i].url.naddrs; m++) {

                if (ngx_cmp_sockaddr(a[k].sockaddr, a[k].socklen,
                                     b[m].sockaddr, b[m].socklen, 1)
                    == NGX_OK)
                {
                    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                       "nodes \"%V\" and \"%V\" have the "
                                       "same address %V",
                                       &others[i].name, &node->name,
                                       &a[k].name);
                    return NGX_CONF_ERROR;
                }
            }
        }
    }

    return NGX_CONF_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl: what its files share. A program of its own beside the module, of
 * one thread: it asks nodes over HTTP and shows what they answer.
 *
 *   main          command line -> command
 *   ctl_conf      flags, environment, file -> settings
 *   ctl_file      the grammar of that file
 *   ctl_target    s3://bucket/key, and where a node listens
 *   ctl_http      one request: signed, sent, its answer (libcurl)
 *   ctl_node      a request to a node's endpoint -> JSON, or why not
 *   ctl_json      values in it (jansson)
 *   ctl_text      what a terminal may show; numbers with units
 *   ctl_table     columns
 *   ctl_compare   an object, through the gateway and from the store
 *   ctl_inventory, ctl_upload, ctl_jobs   of warm-ups
 *   ctl_term      the terminal of `top`
 *   ctl_<command> the rest
 *
 * Whatever a node, a store or a file says is foreign: it is printed by
 * ctl_text only, which shows no control characters as they are.
 */
#ifndef S3C_CTL_CTL_H
#define S3C_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"
#include "ctl/ctl_target.h"

#define CTL_VERSION  "1.0"

/* How the program ends; the manual has the same list. */
typedef enum {
    CTL_OK = 0,
    CTL_NO = 1,                /* it was found out, and the answer is no */
    CTL_USAGE = 2,
    CTL_UNREACHABLE = 3,       /* no connection, no TLS, no answer in time */
    CTL_DENIED = 4,            /* 401, 403 */
    CTL_REFUSED = 5,           /* the node cannot or will not */
    CTL_WRONG = 6,             /* what came is no answer of a node */
    CTL_TIMEOUT = 7,           /* what was waited for did not come */
    CTL_LOCAL = 8              /* a file or memory of this machine */
} ctl_exit_t;

typedef struct ctl_http_s  ctl_http_t;

/* Whose requests are signed; no access key: they are not. */
typedef struct {
    const char  *access_key;
    const char  *secret_key;
    const char  *session_token;
    const char  *region;
} ctl_keys_t;

/* Strings live as long as the program; NULL: not given. */
typedef struct {
    const char      *url;
    const char      *status;           /* paths of the node's endpoints */
    const char      *admin;
    const char      *gateway_url;
    const char      *origin_url;
    const char      *zone;
    ctl_keys_t       keys;
    ctl_keys_t       origin_keys;
    const char      *cacert;
    const char      *cert;
    const char      *cert_key;
    const char      *proxy;
    bool             insecure;
    long             timeout_s;
    long             connect_timeout_s;

    ctl_endpoint_t   node;             /* made of the above */
    ctl_endpoint_t   gateway;
    ctl_endpoint_t   origin;           /* host.len 0: not given */
} ctl_conf_t;

/* Options of single commands. */
typedef struct {
    bool         json;
    bool         wait;
    bool         all;
    bool         yes;
    uint64_t     sample;
    uint64_t     seed;
    double       interval_s;
    uint64_t     count;                /* 0: until it is stopped */
    double       quiet_s;
    double       wait_timeout_s;
    bool         has_offset;
    uint64_t     offset;
    const char  *version_id;
    const char  *list;                 /* of warmup */
    const char  *inventory;
    const char  *resume;
    const char  *stop;
    bool         jobs;
    bool         check;
    bool         evict;
    bool         detach;
    uint64_t     concurrency;
    uint64_t     rate;
} ctl_options_t;

typedef struct {
    ctl_conf_t      conf;
    ctl_options_t   options;
    ctl_http_t     *http;
    int             n_args;            /* after the command's name */
    char          **args;
    char            error[1024];       /* why it did not work; foreign text */
} ctl_t;


/* Notes why, for main() to print, and answers `end`. */
ctl_exit_t ctl_fail(ctl_t *ctl, ctl_exit_t end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

ctl_exit_t ctl_status(ctl_t *ctl);
ctl_exit_t ctl_top(ctl_t *ctl);
ctl_exit_t ctl_ring(ctl_t *ctl);
ctl_exit_t ctl_explain(ctl_t *ctl);
ctl_exit_t ctl_purge(ctl_t *ctl);
ctl_exit_t ctl_drain(ctl_t *ctl);
ctl_exit_t ctl_undrain(ctl_t *ctl);
ctl_exit_t ctl_verify(ctl_t *ctl);
ctl_exit_t ctl_warmup(ctl_t *ctl);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "sigv4_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

#include "s3/s3_uri.h"

#define COPIES_MAX  (2 * REQUEST_HEADERS_MAX + 4)

static const s3c_slice_t  request_hosts[] = {
    S3C_SLICE("s3.other.example"), S3C_SLICE(SIGNED_OTHER_HOST)
};


static s3c_slice_t
request_text(const char *s)
{
    return s3c_slice(s, strlen(s));
}


void
request_from(request_t *r, const signed_request_t *from)
{
    memset(r, 0, sizeof(*r));
    strcpy(r->method, from->method);
    strcpy(r->path, from->path);
    strcpy(r->query, from->query ? from->query : "");
    strcpy(r->vhost_bucket, from->vhost_bucket ? from->vhost_bucket : "");

    for (unsigned i = 0; i < SIGNED_HEADERS_MAX && from->headers[i].name; i++) {
        request_add(r, from->headers[i].name, from->headers[i].value);
    }

    r->may_stream = true;
    r->now_sec = SIGNED_NOW;
    r->secret = SIGNED_SECRET;
    r->rules = (s3c_sigv4_rules_t) S3C_SIGV4_RULES_DEFAULT;
    r->rules.allow_v2_presigned = true;
    r->rules.hosts = request_hosts;
    r->rules.n_hosts = 2;
}


void
request_named(request_t *r, const char *name)
{
    for (size_t i = 0; i < n_signed_requests; i++) {
        if (strcmp(signed_requests[i].name, name) == 0) {
            request_from(r, &signed_requests[i]);
            return;
        }
    }

    fail_msg("no request \"%s\"", name);
}


void
request_add(request_t *r, const char *name, const char *value)
{
    assert_true(r->n < REQUEST_HEADERS_MAX);
    assert_true(strlen(value) < sizeof(r->headers[0].value));
    strcpy(r->headers[r->n].name, name);
    strcpy(r->headers[r->n].value, value);
    r->n++;
}


void
request_drop(request_t *r, const char *name)
{
    unsigned  n = 0;

    for (unsigned i = 0; i < r->n; i++) {
        if (strcasecmp(r->headers[i].name, name) != 0) {
            r->headers[n++] = r->headers[i];
        }
    }

    assert_true(n < r->n);
    r->n = n;
}


char *
request_value(request_t *r, const char *name)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (strcasecmp(r->headers[i].name, name) == 0) {
            return r->headers[i].value;
        }
    }

    return NULL;
}


void
request_set(request_t *r, const char *name, const char *value)
{
    char  *old = request_value(r, name);

    assert_non_null(old);
    strcpy(old, value);
}


void
request_edit_query(request_t *r, const char *from, const char *to)
{
    char  copy[sizeof(r->query)];
    char *at = strstr(r->query, from);

    if (at == NULL) {
        fail_msg("no \"%s\" in \"%s\"", from, r->query);
        return;
    }

    strcpy(copy, at + strlen(from));
    assert_true((size_t) (at - r->query) + strlen(to) + strlen(copy)
                < sizeof(r->query));
    strcpy(at, to);
    strcat(at, copy);
}


void
request_sign(request_t *r)
{
    uint8_t               path[2048], value[1024];
    s3c_writer_t          w;
    s3c_http_header_t     headers[REQUEST_HEADERS_MAX];
    s3c_sigv4_request_t   req = {
        .method = request_text(r->method),
        .query = request_text(r->query),
        .headers = headers,
        .payload_hash = request_text(request_value(r, "x-amz-content-sha256")),
    };
    s3c_sigv4_identity_t  id = {
        .access_key = S3C_SLICE(SIGNED_ACCESS_KEY),
        .secret_key = S3C_SLICE(SIGNED_SECRET),
        .region = S3C_SLICE("us-east-1"),
    };

    if (request_value(r, "Authorization") != NULL) {
        request_drop(r, "Authorization");
    }

    for (unsigned i = 0; i < r->n; i++) {
        headers[i].name = request_text(r->headers[i].name);
        headers[i].value = request_text(r->headers[i].value);
    }

    s3c_writer_init(&w, path, sizeof(path));
    assert_int_equal(s3c_uri_decode(&w, request_text(r->path), false), S3C_OK);
    req.path = s3c_writer_slice(&w);
    req.n_headers = r->n;

    s3c_writer_init(&w, value, sizeof(value) - 1);
    assert_int_equal(s3c_sigv4_sign(&id, &req,
                         (uint8_t *) request_value(r, "x-amz-date"), &w),
                     S3C_OK);
    *w.pos = '\0';
    request_add(r, "Authorization", (char *) value);
}


static s3c_slice_t
request_copy(const char *s, void **copies, unsigned *n)
{
    size_t  len = strlen(s);

    if (len == 0) {
        return S3C_SLICE_NONE;
    }

    assert_true(*n < COPIES_MAX);
    copies[*n] = malloc(len);
    assert_non_null(copies[*n]);
    memcpy(copies[*n], s, len);

    return s3c_slice(copies[(*n)++], len);
}


static s3c_status_t
request_run(request_t *r, const s3c_sigv4_wire_t *wire)
{
    s3c_slice_t         secret = request_text(r->secret);
    s3c_status_t        st;
    s3c_sigv4_claim_t  *claim = &r->claim;

    st = s3c_sigv4_parse(wire, &r->rules, claim);

    if (st != S3C_OK) {
        return st;
    }

    if (!s3c_slice_eq(claim->access_key, S3C_SLICE(SIGNED_ACCESS_KEY))) {
        secret = S3C_SLICE_NONE;
    }

    return s3c_sigv4_check(wire, &r->rules, claim, secret, r->keys);
}


s3c_s3_error_t
request_verify(request_t *r)
{
    void                *copies[COPIES_MAX];
    unsigned             n = 0;
    s3c_status_t         st;
    s3c_http_header_t    headers[REQUEST_HEADERS_MAX];
    s3c_sigv4_wire_t     wire = {
        .headers = headers,
        .n_headers = r->n,
        .may_stream = r->may_stream,
        .now_sec = r->now_sec,
    };

    wire.method = request_copy(r->method, copies, &n);
    wire.path = request_copy(r->path, copies, &n);
    wire.query = request_copy(r->query, copies, &n);
    wire.vhost_bucket = request_copy(r->vhost_bucket, copies, &n);

    for (unsigned i = 0; i < r->n; i++) {
        headers[i].name = request_copy(r->headers[i].name, copies, &n);
        headers[i].value = request_copy(r->headers[i].value, copies, &n);
    }

    st = request_run(r, &wire);
    snprintf(r->host, sizeof(r->host), "%.*s", (int) r->claim.host.len,
             (const char *) r->claim.host.data);

    while (n > 0) {
        free(copies[--n]);
    }

    if (st == S3C_OK) {
        return S3C_ERR_NONE;
    }

    assert_int_equal(st, S3C_DENIED);
    assert_int_not_equal(r->claim.refusal.err, S3C_ERR_NONE);

    return r->claim.refusal.err;
}


void
request_check(request_t *r, const char *what, s3c_s3_error_t err,
    const char *message)
{
    s3c_s3_error_t  got = request_verify(r);
    const char     *said = r->claim.refusal.message;

    if (got != err) {
        fail_msg("%s: %s (%s), not %s", what, s3c_s3_error_code(got),
                 said ? said : "", s3c_s3_error_code(err));
    }

    if (message != NULL && (said == NULL || strstr(said, message) == NULL)) {
        fail_msg("%s: \"%s\"", what, said ? said : "");
    }
}

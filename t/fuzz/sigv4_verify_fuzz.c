/* SPDX-License-Identifier: Apache-2.0
 *
 * A head of a request: flags, method, blank, path, "?", query, then a header a
 * line. However it is signed, the answer is sound: what is good has all signed
 * that must be, and is not good with another signature or secret. Without its
 * credentials and signed by us, it is good or refused for what it is.
 */
#include <stdlib.h>

#include "auth/sigv4_verify.h"

#include "s3/s3_uri.h"

#define HEAD_MAX     16384
#define HEADERS_MAX  (S3C_SIGV4_HEADERS_MAX + 8)
#define NOW          1768471872          /* 2026-01-15 10:11:12 */
#define SECRET       S3C_SLICE("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
#define EMPTY        S3C_SLICE("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b" \
                               "934ca495991b7852b855")

typedef struct {
    s3c_sigv4_wire_t    wire;
    s3c_sigv4_rules_t   rules;
    s3c_http_header_t   headers[HEADERS_MAX];
} head_t;

static const s3c_slice_t  hosts[] = { S3C_SLICE("s3.allowed.example") };
static const s3c_slice_t  regions[] = { S3C_SLICE("us-east-1") };


static s3c_slice_t
cut(s3c_slice_t *rest, uint8_t at)
{
    const uint8_t  *p = rest->len > 0 ? memchr(rest->data, at, rest->len)
                                      : NULL;
    size_t          n = p ? (size_t) (p - rest->data) : rest->len;
    s3c_slice_t     first = s3c_slice(rest->data, n);

    n += p ? 1 : 0;
    *rest = s3c_slice(rest->data + n, rest->len - n);

    return first;
}


static void
read_head(head_t *h, uint8_t flags, s3c_slice_t text)
{
    s3c_slice_t  line = cut(&text, '\n');

    memset(&h->wire, 0, sizeof(h->wire));
    h->wire.method = cut(&line, ' ');
    h->wire.path = cut(&line, '?');
    h->wire.query = line;
    h->wire.headers = h->headers;
    h->wire.may_stream = flags & 2;
    h->wire.now_sec = NOW;

    if (flags & 4) {
        h->wire.vhost_bucket = S3C_SLICE("bucket");
    }

    h->rules = (s3c_sigv4_rules_t) S3C_SIGV4_RULES_DEFAULT;
    h->rules.hosts = hosts;
    h->rules.n_hosts = 1;
    h->rules.regions = regions;
    h->rules.n_regions = flags & 8 ? 1 : 0;
    h->rules.allow_v2_presigned = flags & 1;

    while (text.len > 0 && h->wire.n_headers < S3C_SIGV4_HEADERS_MAX) {
        s3c_http_header_t  *header = &h->headers[h->wire.n_headers++];

        line = cut(&text, '\n');
        header->name = cut(&line, ':');
        header->value = line;
    }
}


static s3c_status_t
verify(const head_t *h, s3c_sigv4_claim_t *claim, s3c_slice_t secret)
{
    s3c_status_t  st = s3c_sigv4_parse(&h->wire, &h->rules, claim);

    if (st == S3C_OK) {
        st = s3c_sigv4_check(&h->wire, &h->rules, claim, secret, NULL);
    }

    if (st != S3C_OK
        && (st != S3C_DENIED || claim->refusal.err == S3C_ERR_NONE
            || s3c_s3_error_status(claim->refusal.err) < 400
            || claim->refusal.err == S3C_ERR_INTERNAL_ERROR))
    {
        abort();
    }

    return st;
}


static bool
list_has(s3c_slice_t list, s3c_slice_t name)
{
    while (list.len > 0) {
        if (s3c_slice_eq_nocase(cut(&list, ';'), name)) {
            return true;
        }
    }

    return false;
}


static void
check_good(const head_t *h, s3c_sigv4_claim_t *claim)
{
    bool  v2 = claim->kind == S3C_SIGNED_QUERY_V2;

    if (claim->kind == S3C_SIGNED_NOT || claim->access_key.len == 0
        || claim->end_sec <= NOW || claim->host.len > HEAD_MAX
        || (!v2 && !list_has(claim->signed_headers, S3C_SLICE("host"))))
    {
        abort();
    }

    for (unsigned i = 0; i < h->wire.n_headers && !v2; i++) {
        s3c_slice_t  name = h->headers[i].name;

        if (s3c_slice_starts_nocase(name, S3C_SLICE("x-amz-"))
            && !s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-content-sha256"))
            && !list_has(claim->signed_headers, name))
        {
            abort();
        }
    }

    if (!v2) {
        claim->signature[31] ^= 1;

        if (s3c_sigv4_check(&h->wire, &h->rules, claim, SECRET, NULL)
            != S3C_DENIED)
        {
            abort();
        }
    }

    if (verify(h, claim, S3C_SLICE("another")) == S3C_OK
        || verify(h, claim, S3C_SLICE_NONE) == S3C_OK)
    {
        abort();
    }
}


/* The same head with credentials of ours. */
static void
check_signed_by_us(head_t *h, s3c_sigv4_claim_t *claim)
{
    static uint8_t        path[HEAD_MAX], value[HEAD_MAX];
    static const uint8_t  date[] = "20260115T101112Z";
    s3c_writer_t          w;
    s3c_sigv4_identity_t  id = { .access_key = S3C_SLICE("AK"),
                                 .secret_key = SECRET,
                                 .region = S3C_SLICE("us-east-1") };
    s3c_sigv4_request_t   req = { .method = h->wire.method,
                                  .query = h->wire.query,
                                  .headers = h->headers,
                                  .payload_hash = EMPTY };
    s3c_http_header_t  *end = h->headers + h->wire.n_headers;

    if (h->wire.n_headers > S3C_SIGV4_HEADERS_MAX - 3) {
        return;
    }

    *end++ = (s3c_http_header_t) { S3C_SLICE("Host"), S3C_SLICE("h") };
    *end++ = (s3c_http_header_t) { S3C_SLICE("x-amz-date"),
                                    s3c_slice(date, 16) };
    *end++ = (s3c_http_header_t) { S3C_SLICE("x-amz-content-sha256"), EMPTY };
    req.n_headers = (unsigned) (end - h->headers);

    s3c_writer_init(&w, path, sizeof(path));

    if (s3c_uri_decode(&w, h->wire.path, false) != S3C_OK) {
        return;
    }

    req.path = s3c_writer_slice(&w);
    s3c_writer_init(&w, value, sizeof(value));

    if (s3c_sigv4_sign(&id, &req, date, &w) != S3C_OK) {
        return;
    }

    *end++ = (s3c_http_header_t) { S3C_SLICE("authorization"),
                                    s3c_writer_slice(&w) };
    h->wire.n_headers = (unsigned) (end - h->headers);

    if (verify(h, claim, SECRET) != S3C_OK
        && claim->refusal.err == S3C_ERR_SIGNATURE_DOES_NOT_MATCH)
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static head_t             head;
    static s3c_sigv4_claim_t  claim;

    if (len < 2 || len > HEAD_MAX) {
        return 0;
    }

    read_head(&head, in[0], s3c_slice(in + 1, len - 1));

    if (verify(&head, &claim, SECRET) == S3C_OK) {
        check_good(&head, &claim);
    }

    read_head(&head, in[0], s3c_slice(in + 1, len - 1));
    check_signed_by_us(&head, &claim);

    return 0;
}

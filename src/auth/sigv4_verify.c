/* SPDX-License-Identifier: Apache-2.0
 *
 * Second step of a verification: is what the request claims true? Up to two
 * forms of the path are tried for each host that may have been signed:
 *
 *  path   as it came, which SDKs send as it is signed, and other clients sign
 *         as they send it ("=", "%2f", "+");
 *         decoded and encoded once, as AWS does, if that is another one.
 *  host   as it came; without a port that is a scheme's own; then the names
 *         that the configuration allows.
 *
 * Both forms of the path name the same key, so neither gives a signature
 * another meaning; of the host see s3c_sigv4_check().
 *
 * LIMITS: VERIFY_PATH_MAX bytes of a decoded path, VERIFY_CANONICAL_MAX of a
 * canonical request.
 */
#include "auth/sigv4_parse.h"

#include "base/digest.h"
#include "http/http_text.h"
#include "s3/s3_uri.h"

#define VERIFY_PATH_MAX       4096
#define VERIFY_CANONICAL_MAX  (48u << 10)
#define VERIFY_STRING_MAX     1024

typedef struct {
    s3c_sigv4_request_t  req;
    s3c_http_header_t    headers[S3C_SIGV4_HEADERS_MAX];
    unsigned             host_at;
    s3c_slice_t          raw_path;
    s3c_slice_t          path;             /* decoded, in path_buf */
    uint8_t              key[S3C_SHA256_BYTES];
    uint8_t              path_buf[VERIFY_PATH_MAX];
    uint8_t              canonical[VERIFY_CANONICAL_MAX];
} verify_t;


s3c_status_t
s3c_sigv4_mac(const uint8_t key[S3C_SHA256_BYTES], s3c_slice_t algorithm,
    s3c_slice_t date, s3c_slice_t scope, const s3c_slice_t *lines,
    unsigned n_lines, uint8_t mac[S3C_SHA256_BYTES])
{
    uint8_t       buf[VERIFY_STRING_MAX];
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_write_slice(&w, algorithm);
    s3c_write_byte(&w, '\n');
    s3c_write_slice(&w, date);
    s3c_write_byte(&w, '\n');
    s3c_write_slice(&w, scope);

    for (unsigned i = 0; i < n_lines; i++) {
        s3c_write_byte(&w, '\n');
        s3c_write_slice(&w, lines[i]);
    }

    if (!s3c_writer_ok(&w)) {
        return S3C_FULL;
    }

    return s3c_hmac_sha256(s3c_slice(key, S3C_SHA256_BYTES),
                           s3c_writer_slice(&w), mac);
}


/* OK; MISS: it is another signature; INVALID, FULL: no canonical request can
 * be made; IO. */
static s3c_status_t
verify_once(verify_t *v, const s3c_sigv4_claim_t *claim)
{
    uint8_t       hash[S3C_SHA256_BYTES], hex[2 * S3C_SHA256_BYTES];
    uint8_t       mac[S3C_SHA256_BYTES];
    s3c_slice_t   line;
    s3c_writer_t  w;
    s3c_status_t  st;

    s3c_writer_init(&w, v->canonical, sizeof(v->canonical));
    st = s3c_sigv4_canonical(&v->req, &w);

    if (st == S3C_OK) {
        st = s3c_sha256(s3c_writer_slice(&w), hash);
    }

    if (st != S3C_OK) {
        return st;
    }

    s3c_writer_init(&w, hex, sizeof(hex));
    s3c_write_hex(&w, hash, sizeof(hash));
    line = s3c_writer_slice(&w);

    st = s3c_sigv4_mac(v->key, S3C_SLICE("AWS4-HMAC-SHA256"),
                       s3c_slice(claim->date, sizeof(claim->date)),
                       claim->scope, &line, 1, mac);

    if (st != S3C_OK) {
        return st;
    }

    return s3c_digest_eq(mac, claim->signature, sizeof(mac)) ? S3C_OK
                                                             : S3C_MISS;
}


static s3c_status_t
verify_host(verify_t *v, s3c_sigv4_claim_t *claim, s3c_slice_t host)
{
    s3c_status_t  st;

    v->headers[v->host_at].value = host;
    v->req.path = v->raw_path;
    v->req.path_is_coded = true;
    st = verify_once(v, claim);

    if (st == S3C_MISS && !s3c_uri_is_encoded(v->raw_path, true)) {
        v->req.path = v->path;
        v->req.path_is_coded = false;
        st = verify_once(v, claim);
    }

    if (st == S3C_OK) {
        claim->host = host;
    }

    return st;
}


/* "h:443" to "h"; empty: there is nothing to leave out. */
static s3c_slice_t
verify_without_port(s3c_slice_t host)
{
    static const s3c_slice_t  ports[] = { S3C_SLICE(":443"), S3C_SLICE(":80") };

    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        size_t  n = ports[i].len;

        if (host.len > n
            && memcmp(host.data + host.len - n, ports[i].data, n) == 0)
        {
            return s3c_slice(host.data, host.len - n);
        }
    }

    return S3C_SLICE_NONE;
}


static s3c_status_t
verify_hosts(verify_t *v, const s3c_sigv4_rules_t *rules,
    s3c_sigv4_claim_t *claim)
{
    s3c_slice_t   host = s3c_slice_trim(v->headers[v->host_at].value), bare;
    s3c_status_t  st;

    st = verify_host(v, claim, host);
    bare = verify_without_port(host);

    if (st == S3C_MISS && bare.len > 0) {
        st = verify_host(v, claim, bare);
    }

    for (unsigned i = 0; i < rules->n_hosts && i < S3C_SIGV4_HOSTS_MAX
                         && st == S3C_MISS; i++)
    {
        st = verify_host(v, claim, rules->hosts[i]);
    }

    return st;
}


/* parse() saw that each listed header is there, Host just once. */
static s3c_status_t
verify_gather(verify_t *v, const s3c_sigv4_wire_t *wire,
    const s3c_sigv4_claim_t *claim)
{
    unsigned          n = 0;
    s3c_writer_t      w;
    s3c_sigv4_list_t  list;

    if (!s3c_sigv4_list_cut(claim->signed_headers, &list)) {
        return S3C_FULL;
    }

    for (unsigned i = 0; i < wire->n_headers; i++) {
        if (s3c_sigv4_list_find(&list, wire->headers[i].name) == list.n) {
            continue;
        }

        if (n == S3C_SIGV4_HEADERS_MAX) {
            return S3C_FULL;
        }

        if (s3c_slice_eq_nocase(wire->headers[i].name, S3C_SLICE("host"))) {
            v->host_at = n;
        }

        v->headers[n++] = wire->headers[i];
    }

    s3c_writer_init(&w, v->path_buf, sizeof(v->path_buf));

    if (wire->path.len == 0
        || s3c_uri_decode(&w, wire->path, false) != S3C_OK)
    {
        return S3C_INVALID;
    }

    v->raw_path = wire->path;
    v->path = s3c_writer_slice(&w);
    v->req = (s3c_sigv4_request_t) {
        .method = wire->method,
        .query = wire->query,
        .headers = v->headers,
        .n_headers = n,
        .payload_hash = claim->payload_hash,
    };

    return s3c_writer_ok(&w) ? S3C_OK : S3C_FULL;
}


static s3c_status_t
verify_v4(const s3c_sigv4_wire_t *wire, const s3c_sigv4_rules_t *rules,
    s3c_sigv4_claim_t *claim, s3c_slice_t secret, s3c_sigv4_keys_t *keys)
{
    verify_t      v;
    s3c_status_t  st;

    v.host_at = 0;
    st = verify_gather(&v, wire, claim);

    if (st == S3C_INVALID) {
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_URI, NULL);
    }

    if (st == S3C_OK) {
        st = s3c_sigv4_claim_key(claim, secret, keys, v.key);

        if (st != S3C_OK) {
            return s3c_sigv4_refuse(claim, S3C_ERR_INTERNAL_ERROR, NULL);
        }

        st = verify_hosts(&v, rules, claim);
    }

    if (st == S3C_OK && secret.len > 0) {
        s3c_sigv4_keys_put(keys, claim, secret, v.key);
    }

    s3c_digest_wipe(v.key, sizeof(v.key));

    switch (st) {

    case S3C_OK:
        return S3C_OK;

    case S3C_MISS:
        return s3c_sigv4_refuse(claim, S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);

    case S3C_INVALID:
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_REQUEST, NULL);

    case S3C_FULL:
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_REQUEST,
                                "The request is too large to be verified.");

    default:
        return s3c_sigv4_refuse(claim, S3C_ERR_INTERNAL_ERROR, NULL);
    }
}


s3c_status_t
s3c_sigv4_check(const s3c_sigv4_wire_t *wire, const s3c_sigv4_rules_t *rules,
    s3c_sigv4_claim_t *claim, s3c_slice_t secret, s3c_sigv4_keys_t *keys)
{
    s3c_status_t  st;

    switch (claim->kind) {

    case S3C_SIGNED_HEADER:
    case S3C_SIGNED_QUERY:
        st = verify_v4(wire, rules, claim, secret, keys);
        break;

    case S3C_SIGNED_QUERY_V2:
        st = s3c_sigv4_check_v2(wire, claim, secret);
        break;

    default:
        return s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED, NULL);
    }

    /* the work was done as for a key that is known */
    if (secret.len == 0) {
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_ACCESS_KEY_ID, NULL);
    }

    return st;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The hellos: made, checked, and the keys that both together give. What is
 * MACed lies in a row in the caller's s3c_wire_hello_t, a slot for the label
 * before it, so that nothing is copied together:
 *
 *   [label][client's hello with its MAC][server's hello with its MAC]
 */
#include "cluster/wire.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "what lies on the wire is little-endian, and read as it is"
#endif

/* Zeros fill them up: none is the beginning of another. */
#define LABEL_CLIENT      "s3c client"
#define LABEL_SERVER      "s3c server"
#define LABEL_CLIENT_KEY  "s3c client key"
#define LABEL_SERVER_KEY  "s3c server key"

static_assert(sizeof(LABEL_CLIENT_KEY) <= S3C_WIRE_LABEL_BYTES, "label");
static_assert(sizeof(LABEL_SERVER_KEY) <= S3C_WIRE_LABEL_BYTES, "label");
static_assert(S3C_GMAC_KEY_BYTES <= S3C_WIRE_MAC_BYTES, "keys are its start");


static uint8_t *
client_hello(s3c_wire_hello_t *h)
{
    return h->bytes + S3C_WIRE_LABEL_BYTES;
}


static uint8_t *
server_hello(s3c_wire_hello_t *h)
{
    return client_hello(h) + h->client_bytes;
}


/* Of the label and all before `end`. */
static s3c_status_t
hello_mac(s3c_wire_hello_t *h, s3c_slice_t secret, const char *label,
    const uint8_t *end, uint8_t mac[S3C_WIRE_MAC_BYTES])
{
    memset(h->bytes, 0, S3C_WIRE_LABEL_BYTES);
    memcpy(h->bytes, label, strlen(label));

    return s3c_hmac_sha256(secret,
                           s3c_slice(h->bytes, (size_t) (end - h->bytes)),
                           mac);
}


/* Of the hello that begins at `hello` and, but for its MAC, ends at `end`:
 * adds the MAC, prints it. */
static s3c_status_t
hello_finish(s3c_wire_hello_t *h, s3c_slice_t secret, const char *label,
    const uint8_t *hello, uint8_t *end, s3c_writer_t *text)
{
    s3c_status_t  st;

    st = hello_mac(h, secret, label, end, end);
    if (st != S3C_OK) {
        return st;
    }

    s3c_write_hex(text, hello,
                  (size_t) (end + S3C_WIRE_MAC_BYTES - hello));

    return s3c_writer_ok(text) ? S3C_OK : S3C_FULL;
}


/* `end`: where the MAC that came is. DENIED. */
static s3c_status_t
hello_verify(s3c_wire_hello_t *h, s3c_slice_t secret, const char *label,
    const uint8_t *end)
{
    uint8_t       mac[S3C_WIRE_MAC_BYTES];
    s3c_status_t  st;

    st = hello_mac(h, secret, label, end, mac);
    if (st != S3C_OK) {
        return st;
    }

    if (!s3c_digest_eq(mac, end, sizeof(mac))) {
        h->why = "another secret";
        return S3C_DENIED;
    }

    return S3C_OK;
}


static int
hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


/* Lower case only: one hello has one text. */
static s3c_status_t
hex_parse(s3c_slice_t text, uint8_t *out, size_t max, size_t *bytes)
{
    if (text.len % 2 != 0 || text.len / 2 > max) {
        return S3C_INVALID;
    }

    for (size_t i = 0; i < text.len / 2; i++) {
        int  hi = hex_digit(text.data[2 * i]);
        int  lo = hex_digit(text.data[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            return S3C_INVALID;
        }

        out[i] = (uint8_t) (hi << 4 | lo);
    }

    *bytes = text.len / 2;

    return S3C_OK;
}


static bool
name_ok(s3c_slice_t name)
{
    return name.len >= 1 && name.len <= S3C_WIRE_NAME_MAX;
}


s3c_status_t
s3c_wire_hello_client_make(s3c_wire_hello_t *h, s3c_slice_t secret,
    s3c_slice_t name, s3c_slice_t peer, uint64_t now_ms, s3c_writer_t *text)
{
    uint8_t                *p = client_hello(h);
    s3c_status_t            st;
    s3c_wire_client_rec_t   rec = { .version = S3C_WIRE_VERSION };

    h->why = NULL;
    h->client_bytes = h->server_bytes = 0;

    if (!name_ok(name) || !name_ok(peer)) {
        return S3C_INVALID;
    }

    rec.name_bytes = (uint8_t) name.len;
    rec.peer_bytes = (uint8_t) peer.len;
    rec.time_ms = now_ms;

    st = s3c_random(rec.random, sizeof(rec.random));
    if (st != S3C_OK) {
        return st;
    }

    memcpy(p, &rec, sizeof(rec));
    p += sizeof(rec);
    memcpy(p, name.data, name.len);
    p += name.len;
    memcpy(p, peer.data, peer.len);
    p += peer.len;

    st = hello_finish(h, secret, LABEL_CLIENT, client_hello(h), p, text);
    if (st != S3C_OK) {
        return st;
    }

    h->client_bytes = (size_t) (p - client_hello(h)) + S3C_WIRE_MAC_BYTES;

    return S3C_OK;
}


/* The names in a client's hello whose grammar is right. */
static s3c_slice_t
client_name(s3c_wire_hello_t *h)
{
    s3c_wire_client_rec_t  rec;

    memcpy(&rec, client_hello(h), sizeof(rec));

    return s3c_slice(client_hello(h) + sizeof(rec), rec.name_bytes);
}


static s3c_slice_t
peer_name(s3c_wire_hello_t *h)
{
    s3c_wire_client_rec_t  rec;

    memcpy(&rec, client_hello(h), sizeof(rec));

    return s3c_slice(client_hello(h) + sizeof(rec) + rec.name_bytes,
                     rec.peer_bytes);
}


s3c_status_t
s3c_wire_hello_client_check(s3c_wire_hello_t *h, s3c_slice_t secret,
    s3c_slice_t name, uint64_t now_ms, s3c_slice_t text, s3c_slice_t *client)
{
    size_t                 bytes;
    uint64_t               skew_ms;
    s3c_status_t           st;
    s3c_wire_client_rec_t  rec;

    h->why = NULL;
    h->client_bytes = h->server_bytes = 0;

    st = hex_parse(text, client_hello(h), S3C_WIRE_CLIENT_MAX, &bytes);
    if (st != S3C_OK) {
        return st;
    }

    if (bytes < sizeof(rec) + S3C_WIRE_MAC_BYTES) {
        return S3C_INVALID;
    }

    memcpy(&rec, client_hello(h), sizeof(rec));

    if (rec.version != S3C_WIRE_VERSION || rec.zero != 0
        || rec.name_bytes == 0 || rec.peer_bytes == 0
        || bytes != sizeof(rec) + rec.name_bytes + rec.peer_bytes
                    + S3C_WIRE_MAC_BYTES)
    {
        return S3C_INVALID;
    }

    st = hello_verify(h, secret, LABEL_CLIENT,
                      client_hello(h) + bytes - S3C_WIRE_MAC_BYTES);
    if (st != S3C_OK) {
        return st;
    }

    if (!s3c_slice_eq(peer_name(h), name)) {
        h->why = "meant for another node";
        return S3C_DENIED;
    }

    skew_ms = rec.time_ms > now_ms ? rec.time_ms - now_ms
                                   : now_ms - rec.time_ms;

    if (skew_ms > S3C_WIRE_SKEW_MS) {
        h->why = "the clocks differ too much";
        return S3C_DENIED;
    }

    h->client_bytes = bytes;
    *client = client_name(h);

    return S3C_OK;
}


s3c_status_t
s3c_wire_hello_server_make(s3c_wire_hello_t *h, s3c_slice_t secret,
    s3c_slice_t name, s3c_writer_t *text)
{
    uint8_t                *p = server_hello(h);
    s3c_status_t            st;
    s3c_wire_server_rec_t   rec = { .version = S3C_WIRE_VERSION };

    assert(h->client_bytes > 0);
    h->server_bytes = 0;

    if (!name_ok(name)) {
        return S3C_INVALID;
    }

    rec.name_bytes = (uint8_t) name.len;

    st = s3c_random(rec.random, sizeof(rec.random));
    if (st != S3C_OK) {
        return st;
    }

    memcpy(p, &rec, sizeof(rec));
    p += sizeof(rec);
    memcpy(p, name.data, name.len);
    p += name.len;

    st = hello_finish(h, secret, LABEL_SERVER, server_hello(h), p, text);
    if (st != S3C_OK) {
        return st;
    }

    h->server_bytes = (size_t) (p - server_hello(h)) + S3C_WIRE_MAC_BYTES;

    return S3C_OK;
}


s3c_status_t
s3c_wire_hello_server_check(s3c_wire_hello_t *h, s3c_slice_t secret,
    s3c_slice_t text)
{
    size_t                 bytes;
    s3c_status_t           st;
    s3c_wire_server_rec_t  rec;
    static const uint8_t   zero[sizeof(rec.zero)];

    assert(h->client_bytes > 0);
    h->why = NULL;
    h->server_bytes = 0;

    st = hex_parse(text, server_hello(h), S3C_WIRE_SERVER_MAX, &bytes);
    if (st != S3C_OK) {
        return st;
    }

    if (bytes < sizeof(rec) + S3C_WIRE_MAC_BYTES) {
        return S3C_INVALID;
    }

    memcpy(&rec, server_hello(h), sizeof(rec));

    if (rec.version != S3C_WIRE_VERSION || rec.name_bytes == 0
        || memcmp(rec.zero, zero, sizeof(zero)) != 0
        || bytes != sizeof(rec) + rec.name_bytes + S3C_WIRE_MAC_BYTES)
    {
        return S3C_INVALID;
    }

    st = hello_verify(h, secret, LABEL_SERVER,
                      server_hello(h) + bytes - S3C_WIRE_MAC_BYTES);
    if (st != S3C_OK) {
        return st;
    }

    if (!s3c_slice_eq(s3c_slice(server_hello(h) + sizeof(rec),
                                rec.name_bytes), peer_name(h)))
    {
        h->why = "another node answers";
        return S3C_DENIED;
    }

    h->server_bytes = bytes;

    return S3C_OK;
}


s3c_status_t
s3c_wire_hello_keys(s3c_wire_hello_t *h, s3c_slice_t secret,
    s3c_wire_keys_t *keys)
{
    uint8_t         mac[S3C_WIRE_MAC_BYTES];
    s3c_status_t    st;
    const uint8_t  *end = server_hello(h) + h->server_bytes;

    assert(h->client_bytes > 0 && h->server_bytes > 0);

    st = hello_mac(h, secret, LABEL_CLIENT_KEY, end, mac);
    if (st == S3C_OK) {
        memcpy(keys->client, mac, sizeof(keys->client));
        st = hello_mac(h, secret, LABEL_SERVER_KEY, end, mac);
    }

    if (st == S3C_OK) {
        memcpy(keys->server, mac, sizeof(keys->server));
    }

    s3c_digest_wipe(mac, sizeof(mac));

    return st;
}

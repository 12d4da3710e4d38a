/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: sealed and opened. Owns the MAC of its direction, and the count
 * that is the nonce: it goes up whether or not a tag came of it, so that no
 * nonce is ever used for two messages.
 */
#include "cluster/wire.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "what lies on the wire is little-endian, and read as it is"
#endif


/* The tag's state for record number `n`: its nonce is begun. */
static s3c_status_t
mac_begin(s3c_gmac_t *mac, uint64_t n)
{
    uint8_t  nonce[S3C_GMAC_NONCE_BYTES] = { 0 };

    memcpy(nonce, &n, sizeof(n));

    return s3c_gmac_begin(mac, nonce);
}


s3c_status_t
s3c_wire_sealer_init(s3c_wire_sealer_t *s,
    const uint8_t key[S3C_GMAC_KEY_BYTES])
{
    s->n_records = 0;

    return s3c_gmac_init(&s->mac, key);
}


void
s3c_wire_sealer_fini(s3c_wire_sealer_t *s)
{
    s3c_gmac_fini(&s->mac);
}


s3c_status_t
s3c_wire_opener_init(s3c_wire_opener_t *o,
    const uint8_t key[S3C_GMAC_KEY_BYTES])
{
    o->n_records = 0;
    o->broken = false;

    return s3c_gmac_init(&o->mac, key);
}


void
s3c_wire_opener_fini(s3c_wire_opener_t *o)
{
    s3c_gmac_fini(&o->mac);
}


s3c_status_t
s3c_wire_record_seal(s3c_wire_sealer_t *s, const s3c_slice_t *parts, size_t n,
    uint8_t head[S3C_WIRE_RECORD_HEAD], uint8_t tag[S3C_WIRE_RECORD_TAG])
{
    uint32_t      bytes = 0;
    s3c_status_t  st;

    for (size_t i = 0; i < n; i++) {
        if (parts[i].len > S3C_WIRE_RECORD_MAX - bytes) {
            return S3C_INVALID;
        }

        bytes += (uint32_t) parts[i].len;
    }

    if (bytes == 0) {
        return S3C_INVALID;
    }

    if (s->n_records >= S3C_WIRE_RECORDS_MAX) {
        return S3C_BUSY;
    }

    memcpy(head, &bytes, sizeof(bytes));

    st = mac_begin(&s->mac, s->n_records++);
    if (st == S3C_OK) {
        st = s3c_gmac_add(&s->mac, s3c_slice(head, S3C_WIRE_RECORD_HEAD));
    }

    for (size_t i = 0; i < n && st == S3C_OK; i++) {
        st = s3c_gmac_add(&s->mac, parts[i]);
    }

    return st != S3C_OK ? st : s3c_gmac_end(&s->mac, tag);
}


/* `covered`: length and payload; the tag that came is behind them. DENIED. */
static s3c_status_t
record_verify(s3c_wire_opener_t *o, s3c_slice_t covered)
{
    uint8_t       tag[S3C_WIRE_RECORD_TAG];
    s3c_status_t  st;

    st = mac_begin(&o->mac, o->n_records++);
    if (st == S3C_OK) {
        st = s3c_gmac_add(&o->mac, covered);
    }

    if (st == S3C_OK) {
        st = s3c_gmac_end(&o->mac, tag);
    }

    if (st == S3C_OK
        && !s3c_digest_eq(tag, covered.data + covered.len, sizeof(tag)))
    {
        st = S3C_DENIED;
    }

    /* Else a forger could try until one fits. */
    o->broken = st != S3C_OK;

    return st;
}


s3c_status_t
s3c_wire_record_open(s3c_wire_opener_t *o, s3c_slice_t in,
    s3c_slice_t *payload, size_t *bytes)
{
    uint32_t      n;
    s3c_status_t  st;

    if (o->broken) {
        return S3C_DENIED;
    }

    if (o->n_records >= S3C_WIRE_RECORDS_MAX) {
        return S3C_BUSY;
    }

    *bytes = S3C_WIRE_RECORD_HEAD;

    if (in.len < *bytes) {
        return S3C_AGAIN;
    }

    memcpy(&n, in.data, sizeof(n));

    if (n == 0 || n > S3C_WIRE_RECORD_MAX) {
        o->broken = true;
        return S3C_INVALID;
    }

    *bytes += n + S3C_WIRE_RECORD_TAG;

    if (in.len < *bytes) {
        return S3C_AGAIN;
    }

    st = record_verify(o, s3c_slice(in.data, S3C_WIRE_RECORD_HEAD + n));
    if (st != S3C_OK) {
        return st;
    }

    *payload = s3c_slice(in.data + S3C_WIRE_RECORD_HEAD, n);

    return S3C_OK;
}

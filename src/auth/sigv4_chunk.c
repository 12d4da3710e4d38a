/* SPDX-License-Identifier: Apache-2.0
 *
 *  state    takes                      goes to
 *  BETWEEN  begin                      OPEN
 *  OPEN     add                        OPEN
 *           end                        BETWEEN, after no data LAST
 *  LAST     trailer, if announced      DONE
 *
 * Without a trailer LAST is the end. An allocation of the digest per chunk is
 * all that is allocated.
 */
#include "auth/sigv4_chunk.h"

#include "auth/sigv4_parse.h"

#define CHUNK_EMPTY  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495" \
                     "991b7852b855"

enum {
    CHUNK_BETWEEN = 0,
    CHUNK_OPEN,
    CHUNK_LAST,                          /* a trailer is to come */
    CHUNK_DONE,
    CHUNK_BROKEN
};

#define CHUNK_WITH_TRAILER  0x100u       /* beside the state */
#define chunk_state(c)      ((c)->state & 0xff)


static void
chunk_go(s3c_sigv4_chunks_t *c, unsigned state)
{
    c->state = (c->state & CHUNK_WITH_TRAILER) | state;
}


static s3c_status_t
chunk_break(s3c_sigv4_chunks_t *c, s3c_status_t st)
{
    s3c_sha_fini(&c->sha);
    chunk_go(c, CHUNK_BROKEN);

    return st;
}


s3c_status_t
s3c_sigv4_chunks_init(s3c_sigv4_chunks_t *c, const s3c_sigv4_claim_t *claim,
    s3c_slice_t secret, s3c_sigv4_keys_t *keys)
{
    s3c_writer_t  w;
    s3c_status_t  st = S3C_INVALID;

    memset(c, 0, sizeof(*c));
    c->state = CHUNK_BROKEN;

    if ((claim->payload == S3C_PAYLOAD_SIGNED_CHUNKS
         || claim->payload == S3C_PAYLOAD_SIGNED_TRAILER)
        && claim->scope.len <= sizeof(c->scope) && secret.len > 0)
    {
        st = s3c_sigv4_claim_key(claim, secret, keys, c->key);
    }

    if (st != S3C_OK) {
        return st;
    }

    c->state = CHUNK_BETWEEN;

    if (claim->payload == S3C_PAYLOAD_SIGNED_TRAILER) {
        c->state |= CHUNK_WITH_TRAILER;
    }

    memcpy(c->date, claim->date, sizeof(c->date));
    memcpy(c->scope, claim->scope.data, claim->scope.len);
    c->scope_len = claim->scope.len;
    s3c_writer_init(&w, c->last, sizeof(c->last));
    s3c_write_hex(&w, claim->signature, sizeof(claim->signature));

    return S3C_OK;
}


void
s3c_sigv4_chunks_fini(s3c_sigv4_chunks_t *c)
{
    s3c_sha_fini(&c->sha);
    s3c_digest_wipe(c, sizeof(*c));
    c->state = CHUNK_BROKEN;
}


s3c_status_t
s3c_sigv4_chunk_begin(s3c_sigv4_chunks_t *c, s3c_slice_t signature)
{
    if (chunk_state(c) != CHUNK_BETWEEN
        || !s3c_sigv4_unhex(signature, c->expected))
    {
        return chunk_break(c, S3C_INVALID);
    }

    if (s3c_sha256_init(&c->sha) != S3C_OK) {
        return chunk_break(c, S3C_IO);
    }

    c->is_empty = true;
    chunk_go(c, CHUNK_OPEN);

    return S3C_OK;
}


s3c_status_t
s3c_sigv4_chunk_add(s3c_sigv4_chunks_t *c, s3c_slice_t data)
{
    if (chunk_state(c) != CHUNK_OPEN) {
        return chunk_break(c, S3C_INVALID);
    }

    if (data.len == 0) {
        return S3C_OK;
    }

    c->is_empty = false;

    return s3c_sha_add(&c->sha, data) == S3C_OK ? S3C_OK
                                                : chunk_break(c, S3C_IO);
}


/* The digest that is open, signed after `before`, against c->expected, which
 * is then the signature before. */
static s3c_status_t
chunk_check(s3c_sigv4_chunks_t *c, s3c_slice_t algorithm,
    const s3c_slice_t *before, unsigned n_before)
{
    uint8_t       sha[S3C_SHA256_BYTES], hex[2 * S3C_SHA256_BYTES];
    uint8_t       mac[S3C_SHA256_BYTES];
    s3c_slice_t   lines[3];
    s3c_status_t  st;
    s3c_writer_t  w;

    st = s3c_sha_end(&c->sha, sha);
    s3c_sha_fini(&c->sha);

    if (st != S3C_OK) {
        return chunk_break(c, st);
    }

    for (unsigned i = 0; i < n_before; i++) {
        lines[i] = before[i];
    }

    s3c_writer_init(&w, hex, sizeof(hex));
    s3c_write_hex(&w, sha, sizeof(sha));
    lines[n_before] = s3c_writer_slice(&w);

    st = s3c_sigv4_mac(c->key, algorithm, s3c_slice(c->date, sizeof(c->date)),
                       s3c_slice(c->scope, c->scope_len), lines, n_before + 1,
                       mac);

    if (st != S3C_OK) {
        return chunk_break(c, S3C_IO);
    }

    if (!s3c_digest_eq(mac, c->expected, sizeof(mac))) {
        return chunk_break(c, S3C_CORRUPT);
    }

    s3c_writer_init(&w, c->last, sizeof(c->last));
    s3c_write_hex(&w, mac, sizeof(mac));

    return S3C_OK;
}


s3c_status_t
s3c_sigv4_chunk_end(s3c_sigv4_chunks_t *c)
{
    s3c_status_t       st;
    const s3c_slice_t  before[2] = {
        s3c_slice(c->last, sizeof(c->last)), S3C_SLICE(CHUNK_EMPTY)
    };

    if (chunk_state(c) != CHUNK_OPEN) {
        return chunk_break(c, S3C_INVALID);
    }

    st = chunk_check(c, S3C_SLICE("AWS4-HMAC-SHA256-PAYLOAD"), before, 2);

    if (st == S3C_OK) {
        chunk_go(c, !c->is_empty ? CHUNK_BETWEEN
                    : c->state & CHUNK_WITH_TRAILER ? CHUNK_LAST : CHUNK_DONE);
    }

    return st;
}


/* "name:value" LF, as in a canonical request. */
static s3c_status_t
chunk_add_line(s3c_sigv4_chunks_t *c, const s3c_http_header_t *line)
{
    s3c_status_t  st = S3C_OK;

    for (size_t i = 0; i < line->name.len && st == S3C_OK; i++) {
        uint8_t  ch = line->name.data[i];

        ch = ch >= 'A' && ch <= 'Z' ? ch | 0x20 : ch;
        st = s3c_sha_add(&c->sha, s3c_slice(&ch, 1));
    }

    if (st == S3C_OK) {
        st = s3c_sha_add(&c->sha, S3C_SLICE(":"));
    }

    if (st == S3C_OK) {
        st = s3c_sha_add(&c->sha, s3c_slice_trim(line->value));
    }

    return st == S3C_OK ? s3c_sha_add(&c->sha, S3C_SLICE("\n")) : st;
}


s3c_status_t
s3c_sigv4_chunk_trailer(s3c_sigv4_chunks_t *c, const s3c_http_header_t *lines,
    unsigned n, s3c_slice_t signature)
{
    s3c_status_t       st;
    const s3c_slice_t  before = s3c_slice(c->last, sizeof(c->last));

    if (chunk_state(c) != CHUNK_LAST
        || !s3c_sigv4_unhex(signature, c->expected))
    {
        return chunk_break(c, S3C_INVALID);
    }

    st = s3c_sha256_init(&c->sha);

    for (unsigned i = 0; i < n && st == S3C_OK; i++) {
        st = chunk_add_line(c, &lines[i]);
    }

    if (st != S3C_OK) {
        return chunk_break(c, S3C_IO);
    }

    st = chunk_check(c, S3C_SLICE("AWS4-HMAC-SHA256-TRAILER"), &before, 1);

    if (st == S3C_OK) {
        chunk_go(c, CHUNK_DONE);
    }

    return st;
}


bool
s3c_sigv4_chunks_complete(const s3c_sigv4_chunks_t *c)
{
    return chunk_state(c) == CHUNK_DONE;
}

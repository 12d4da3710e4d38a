/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines are collected, at most S3C_S3_CHUNK_LINE_MAX bytes of one; payload is
 * answered as slices of the input.
 *
 *  state     takes                    goes to
 *  SIZE      size line                DATA, after size 0 TRAILER
 *  DATA      payload                  DATA_END when the chunk is done
 *  DATA_END  CR LF                    SIZE
 *  TRAILER   trailer line             TRAILER
 *            empty line               DONE
 *
 * LIMITS: eight trailer lines.
 */
#include "s3/s3_chunked.h"

#include <string.h>

#define CHUNKED_TRAILERS_MAX  8

enum {
    CHUNKED_SIZE = 0,
    CHUNKED_DATA,
    CHUNKED_DATA_END,
    CHUNKED_TRAILER,
    CHUNKED_DONE,
    CHUNKED_BROKEN
};

#define CHUNKED_PREFIX  "x-amz-checksum-"

static const struct {
    s3c_slice_t     name;
    s3c_sum_kind_t  kind;
} chunked_sums[] = {
    { S3C_SLICE(CHUNKED_PREFIX "crc32"), S3C_SUM_CRC32 },
    { S3C_SLICE(CHUNKED_PREFIX "crc32c"), S3C_SUM_CRC32C },
    { S3C_SLICE(CHUNKED_PREFIX "crc64nvme"), S3C_SUM_CRC64NVME },
    { S3C_SLICE(CHUNKED_PREFIX "sha1"), S3C_SUM_SHA1 },
    { S3C_SLICE(CHUNKED_PREFIX "sha256"), S3C_SUM_SHA256 },
};


static s3c_sum_kind_t
chunked_kind(s3c_slice_t name)
{
    size_t  n = sizeof(chunked_sums) / sizeof(chunked_sums[0]);

    for (size_t i = 0; i < n; i++) {
        if (s3c_slice_eq_nocase(name, chunked_sums[i].name)) {
            return chunked_sums[i].kind;
        }
    }

    return S3C_SUM_NONE;
}


s3c_status_t
s3c_s3_chunked_init(s3c_s3_chunked_t *c, s3c_payload_t payload,
    uint64_t length, s3c_slice_t trailer)
{
    s3c_sum_kind_t  kind = S3C_SUM_NONE;

    memset(c, 0, offsetof(s3c_s3_chunked_t, line));
    memset(&c->verifier, 0, offsetof(s3c_s3_chunked_t, trailer)
                            - offsetof(s3c_s3_chunked_t, verifier));

    c->left = length;
    c->is_signed = payload != S3C_PAYLOAD_UNSIGNED_TRAILER;
    c->has_trailer = payload != S3C_PAYLOAD_SIGNED_CHUNKS;

    trailer = s3c_slice_trim(trailer);

    if (!s3c_s3_payload_is_chunked(payload)
        || (trailer.len > 0 && !c->has_trailer))
    {
        return S3C_INVALID;
    }

    if (trailer.len > 0) {
        kind = chunked_kind(trailer);

        if (kind == S3C_SUM_NONE) {
            return S3C_UNSUPPORTED;
        }
    }

    return s3c_sum_init(&c->sum, kind);
}


void
s3c_s3_chunked_fini(s3c_s3_chunked_t *c)
{
    s3c_sum_fini(&c->sum);
}


static int
chunked_hex(uint8_t ch)
{
    return ch >= '0' && ch <= '9' ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}


static s3c_status_t
chunked_size(s3c_s3_chunked_t *c, s3c_slice_t line)
{
    size_t        n;
    uint64_t      size = 0;
    s3c_slice_t   name = S3C_SLICE(";chunk-signature=");
    s3c_status_t  st = S3C_OK;

    for (n = 0; n < line.len && chunked_hex(line.data[n]) >= 0; n++) {
        if (size > UINT64_MAX >> 5) {
            return S3C_INVALID;
        }

        size = size << 4 | (unsigned) chunked_hex(line.data[n]);
    }

    if (n == 0) {
        return S3C_INVALID;
    }

    line = s3c_slice(line.data + n, line.len - n);

    if (!c->is_signed) {
        if (line.len > 0) {
            return S3C_INVALID;
        }

    } else {
        if (line.len != name.len + S3C_S3_CHUNK_SIGNATURE
            || memcmp(line.data, name.data, name.len) != 0)
        {
            return S3C_INVALID;
        }

        for (n = name.len; n < line.len; n++) {
            if (chunked_hex(line.data[n]) < 0) {
                return S3C_INVALID;
            }
        }
    }

    if (size > c->left || (size == 0 && c->left > 0)) {
        return S3C_CHANGED;
    }

    c->chunk_left = size;
    c->left -= size;
    c->state = size > 0 ? CHUNKED_DATA : CHUNKED_TRAILER;

    if (c->verifier.begin != NULL) {
        st = c->verifier.begin(c->verifier.data,
                               s3c_slice(line.data + name.len,
                                         S3C_S3_CHUNK_SIGNATURE));

        if (st == S3C_OK && size == 0) {
            st = c->verifier.end(c->verifier.data);
        }
    }

    return st == S3C_OK ? S3C_AGAIN : st;
}


/* Standard base64 with padding of exactly `n` bytes. */
static bool
chunked_base64(s3c_slice_t text, uint8_t *out, size_t n)
{
    size_t    len = 0, padding = (3 - n % 3) % 3;
    unsigned  bits = 0;
    uint32_t  v = 0;

    if (text.len != (n + 2) / 3 * 4) {
        return false;
    }

    for (size_t i = 0; i < text.len; i++) {
        uint8_t  ch = text.data[i];
        int      digit = ch >= 'A' && ch <= 'Z' ? ch - 'A'
                         : ch >= 'a' && ch <= 'z' ? ch - 'a' + 26
                         : ch >= '0' && ch <= '9' ? ch - '0' + 52
                         : ch == '+' ? 62 : ch == '/' ? 63 : -1;

        if (i >= text.len - padding) {
            if (ch != '=') {
                return false;
            }

            continue;
        }

        if (digit < 0) {
            return false;
        }

        v = v << 6 | (unsigned) digit;
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            out[len++] = (uint8_t) (v >> bits);
        }
    }

    return len == n;
}


/* The signature is of all lines: kept until the end of the trailer. */
static s3c_status_t
chunked_trailer_signature(s3c_s3_chunked_t *c, s3c_slice_t value)
{
    if (!c->is_signed) {
        return S3C_INVALID;
    }

    if (c->verifier.trailer == NULL) {
        return S3C_AGAIN;
    }

    if (value.len != sizeof(c->signature) || c->signature_len > 0) {
        return S3C_INVALID;
    }

    memcpy(c->signature, value.data, value.len);
    c->signature_len = (unsigned) value.len;

    return S3C_AGAIN;
}


static s3c_status_t
chunked_trailer_end(s3c_s3_chunked_t *c)
{
    s3c_status_t  st;

    if (c->sum.kind != S3C_SUM_NONE && !c->summed) {
        return S3C_INVALID;
    }

    if (c->is_signed && c->has_trailer && c->verifier.trailer != NULL) {

        if (c->signature_len == 0) {
            return S3C_INVALID;
        }

        st = c->verifier.trailer(c->verifier.data,
                                 s3c_slice(c->trailer, c->name_len),
                                 s3c_slice(c->trailer + c->name_len,
                                           c->value_len),
                                 s3c_slice(c->signature, c->signature_len));

        if (st != S3C_OK) {
            return st;
        }
    }

    c->state = CHUNKED_DONE;
    return S3C_OK;
}


static s3c_status_t
chunked_trailer(s3c_s3_chunked_t *c, s3c_slice_t line)
{
    size_t       n;
    uint8_t      ours[S3C_SUM_BYTES_MAX], theirs[S3C_SUM_BYTES_MAX];
    s3c_slice_t  name, value;

    if (line.len == 0) {
        return chunked_trailer_end(c);
    }

    if (!c->has_trailer || ++c->trailer_lines > CHUNKED_TRAILERS_MAX) {
        return S3C_INVALID;
    }

    for (n = 0; n < line.len && line.data[n] != ':'; n++) { /* void */ }

    if (n == 0 || n == line.len) {
        return S3C_INVALID;
    }

    name = s3c_slice(line.data, n);
    value = s3c_slice_trim(s3c_slice(line.data + n + 1, line.len - n - 1));

    if (s3c_slice_eq_nocase(name, S3C_SLICE("x-amz-trailer-signature"))) {
        return chunked_trailer_signature(c, value);
    }

    if (c->summed || c->signature_len > 0 || c->sum.kind == S3C_SUM_NONE
        || chunked_kind(name) != c->sum.kind)
    {
        return S3C_INVALID;            /* not the one that was announced */
    }

    c->summed = true;
    c->name_len = (unsigned) name.len;
    c->value_len = (unsigned) value.len;
    memcpy(c->trailer, name.data, name.len);
    memcpy(c->trailer + name.len, value.data, value.len);

    n = s3c_sum_end(&c->sum, ours);

    if (n == 0) {
        return S3C_IO;
    }

    if (!chunked_base64(value, theirs, n)) {
        return S3C_INVALID;
    }

    return memcmp(ours, theirs, n) == 0 ? S3C_AGAIN : S3C_CORRUPT;
}


/* One more byte of a line. */
static s3c_status_t
chunked_line(s3c_s3_chunked_t *c, uint8_t ch)
{
    s3c_slice_t  line;

    if (ch != '\n') {
        if (c->line_len == sizeof(c->line)
            || (c->line_len > 0 && c->line[c->line_len - 1] == '\r'))
        {
            return S3C_INVALID;
        }

        c->line[c->line_len++] = ch;
        return S3C_AGAIN;
    }

    if (c->line_len == 0 || c->line[c->line_len - 1] != '\r') {
        return S3C_INVALID;
    }

    line = s3c_slice(c->line, c->line_len - 1);
    c->line_len = 0;

    switch (c->state) {

    case CHUNKED_SIZE:
        return chunked_size(c, line);

    case CHUNKED_DATA_END:
        c->state = CHUNKED_SIZE;
        return line.len == 0 ? S3C_AGAIN : S3C_INVALID;

    default: /* CHUNKED_TRAILER */
        return chunked_trailer(c, line);
    }
}


static s3c_status_t
chunked_data(s3c_s3_chunked_t *c, s3c_slice_t part)
{
    s3c_status_t  st = s3c_sum_add(&c->sum, part);

    if (st == S3C_OK && c->verifier.add != NULL) {
        st = c->verifier.add(c->verifier.data, part);

        if (st == S3C_OK && c->chunk_left == 0) {
            st = c->verifier.end(c->verifier.data);
        }
    }

    return st;
}


s3c_status_t
s3c_s3_chunked_step(s3c_s3_chunked_t *c, s3c_slice_t in, s3c_slice_t *data,
    size_t *used)
{
    size_t        pos = 0;
    s3c_status_t  st = S3C_AGAIN;

    *data = S3C_SLICE_NONE;

    if (c->state >= CHUNKED_DONE) {
        *used = 0;
        return in.len > 0 || c->state == CHUNKED_BROKEN ? S3C_INVALID
                                                        : S3C_OK;
    }

    while (pos < in.len && st == S3C_AGAIN) {

        if (c->state == CHUNKED_DATA) {
            size_t  n = in.len - pos;

            n = c->chunk_left < n ? (size_t) c->chunk_left : n;
            *data = s3c_slice(in.data + pos, n);
            c->chunk_left -= n;
            pos += n;

            if (c->chunk_left == 0) {
                c->state = CHUNKED_DATA_END;
            }

            st = chunked_data(c, *data);
            break;
        }

        st = chunked_line(c, in.data[pos]);
        pos++;
    }

    *used = pos;

    if (st == S3C_OK && c->state != CHUNKED_DONE) {
        return S3C_AGAIN;                  /* of the sum */
    }

    if (st != S3C_OK && st != S3C_AGAIN) {
        c->state = CHUNKED_BROKEN;
    }

    return st;
}

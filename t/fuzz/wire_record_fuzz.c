/* SPDX-License-Identifier: Apache-2.0
 *
 * A direction of a link under attack. The input says what is sealed (records
 * of so many bytes each), what is done to the bytes on their way (flipped,
 * left out, doubled; or all of them made up), and in what pieces they arrive.
 * What opens is what was sealed, from the first record on, and nothing behind
 * the first byte that was touched.
 *
 *   [how][piece][records][size of each]... [u16 place][payload]
 */
#include <stdlib.h>

#include "cluster/wire.h"

#define RECORDS_MAX  16u
#define ALL_MAX      ((RECORDS_MAX + 1) * 512u)

enum { UNTOUCHED, FLIPPED, LEFT_OUT, DOUBLED, REPLAYED, MADE_UP, HOWS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t  key[S3C_GMAC_KEY_BYTES] = "a key of 16 byte";

typedef struct {
    uint8_t   bytes[ALL_MAX];
    size_t    len;
    size_t    ends[RECORDS_MAX + 1];     /* of the records, in bytes */
    unsigned  n;
} stream_t;


static void
stream_seal(stream_t *s, const uint8_t *sizes, unsigned n,
    const uint8_t *payload, size_t len)
{
    uint8_t            *out;
    s3c_slice_t         parts[2];
    s3c_wire_sealer_t   sealer;

    if (s3c_wire_sealer_init(&sealer, key) != S3C_OK) {
        abort();
    }

    for (unsigned i = 0; i < n; i++) {
        size_t  bytes = sizes[i] + 1u;

        out = s->bytes + s->len;

        for (size_t k = 0; k < bytes; k++) {
            out[4 + k] = len > 0 ? payload[(s->len + k) % len] : 0;
        }

        parts[0] = s3c_slice(out + 4, bytes / 3);
        parts[1] = s3c_slice(out + 4 + bytes / 3, bytes - bytes / 3);

        if (s3c_wire_record_seal(&sealer, parts, 2, out, out + 4 + bytes)
            != S3C_OK)
        {
            abort();
        }

        s->len += 4 + bytes + 16;
        s->ends[s->n++] = s->len;
    }

    s3c_wire_sealer_fini(&sealer);
}


/* The bytes as they arrive. */
static size_t
attack(uint8_t *out, const stream_t *s, uint8_t how, size_t place,
    const uint8_t *data, size_t len)
{
    place %= s->len;
    memcpy(out, s->bytes, s->len);

    switch (how % HOWS) {

    case FLIPPED:
        out[place] ^= (uint8_t) (1u << how / HOWS % 8);
        return s->len;

    case LEFT_OUT:
        memmove(out + place, s->bytes + place + 1, s->len - place - 1);
        return s->len - 1;

    case DOUBLED:
        memcpy(out + place + 1, s->bytes + place, s->len - place);
        return s->len + 1;

    case REPLAYED:
        memcpy(out + s->len, s->bytes, s->ends[0]);
        return s->len + s->ends[0];

    case MADE_UP:
        len = len < ALL_MAX ? len : ALL_MAX;
        memcpy(out, data, len);
        return len;

    default:
        return s->len;
    }
}


/* The first byte that is not what and where it was. */
static size_t
first_touched(const stream_t *s, const uint8_t *in, size_t len)
{
    size_t  at = 0;

    while (at < s->len && at < len && in[at] == s->bytes[at]) {
        at++;
    }

    return at;
}


static void
stream_open(const stream_t *s, const uint8_t *in, size_t len, size_t piece)
{
    size_t              at = 0, have = 0, bytes, need = 0;
    size_t              touched = first_touched(s, in, len);
    uint8_t            *copy;
    unsigned            n = 0;
    s3c_slice_t         payload;
    s3c_status_t        st = S3C_AGAIN;
    s3c_wire_opener_t   o;

    if (s3c_wire_opener_init(&o, key) != S3C_OK) {
        abort();
    }

    while (have < len) {
        have += len - have < piece ? len - have : piece;

        do {
            copy = malloc(have - at + 1);
            memcpy(copy + 1, in + at, have - at);
            st = s3c_wire_record_open(&o, s3c_slice(copy + 1, have - at),
                                      &payload, &bytes);

            if (st == S3C_OK) {
                if (n >= s->n || at + bytes != s->ends[n]
                    || s->ends[n] > touched || bytes > have - at
                    || bytes < need
                    || payload.data != copy + 5 || payload.len != bytes - 20
                    || memcmp(payload.data, s->bytes + at + 4, payload.len)
                       != 0)
                {
                    abort();
                }

                n++;
                at += bytes;
                need = 0;

            } else if (st == S3C_AGAIN) {
                if (bytes <= have - at || bytes > S3C_WIRE_RECORD_BYTES
                    || bytes < need)
                {
                    abort();
                }

                need = bytes;
            }

            free(copy);
        } while (st == S3C_OK && at < have);

        if (st != S3C_OK && st != S3C_AGAIN) {
            if (st != S3C_INVALID && st != S3C_DENIED) {
                abort();
            }

            /* For good, even if what was sealed comes. */
            if (n < s->n
                && s3c_wire_record_open(&o, s3c_slice(s->bytes + at,
                                                      s->len - at),
                                        &payload, &bytes)
                   != S3C_DENIED)
            {
                abort();
            }

            break;
        }
    }

    /* What came before that must have opened. */
    if (n < s->n && s->ends[n] <= touched) {
        abort();
    }

    s3c_wire_opener_fini(&o);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            len, place;
    unsigned          n;
    static uint8_t    out[2 * ALL_MAX];
    static stream_t   s;

    if (size < 5) {
        return 0;
    }

    n = data[2] % RECORDS_MAX + 1;

    if (size < 5 + n) {
        return 0;
    }

    place = (size_t) data[3 + n] << 8 | data[4 + n];
    s.len = s.n = 0;
    stream_seal(&s, data + 3, n, data + 5 + n, size - 5 - n);
    len = attack(out, &s, data[0], place, data + 5 + n, size - 5 - n);
    stream_open(&s, out, len, data[1] + 1u);

    return 0;
}

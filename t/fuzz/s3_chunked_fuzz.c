/* SPDX-License-Identifier: Apache-2.0
 *
 * An aws-chunked body gives the same payload and status whole and in pieces;
 * the first bytes say the mode, the announced length, the pieces' size, and
 * whether somebody verifies, who is then asked the same in both ways.
 */
#include <stdlib.h>

#include "s3/s3_chunked.h"

#define BODY_MAX  65536


/* what a verifier was asked, FNV-1a of it, and in which turn it is */
static uint64_t  asked;
static enum { BEFORE, OPEN, AFTER } turn;


static s3c_status_t
ask(int from, int to, s3c_slice_t what)
{
    if ((int) turn != from) {
        abort();
    }

    turn = to;

    for (size_t i = 0; i < what.len; i++) {
        asked = (asked ^ what.data[i]) * 0x100000001b3;
    }

    /* some are refused, by what they say and not by when */
    return asked % 61 == 7 && from != to ? S3C_DENIED : S3C_OK;
}


static s3c_status_t
on_begin(void *data, s3c_slice_t signature)
{
    (void) data;
    return ask(BEFORE, OPEN, signature);
}


static s3c_status_t
on_add(void *data, s3c_slice_t part)
{
    (void) data;
    return ask(OPEN, OPEN, part);
}


static s3c_status_t
on_end(void *data)
{
    (void) data;
    return ask(OPEN, BEFORE, S3C_SLICE("."));
}


static s3c_status_t
on_trailer(void *data, s3c_slice_t name, s3c_slice_t value,
    s3c_slice_t signature)
{
    (void) data;
    (void) ask(BEFORE, BEFORE, name);
    (void) ask(BEFORE, BEFORE, value);
    return ask(BEFORE, AFTER, signature);
}


static s3c_status_t
decode(const uint8_t *how, s3c_slice_t in, size_t piece, uint8_t *out,
    size_t *out_len)
{
    static const char  *trailers[] = {
        "", "x-amz-checksum-crc32", "x-amz-checksum-crc32c",
        "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1",
        "x-amz-checksum-sha256"
    };

    size_t            n, left;
    s3c_slice_t       data;
    s3c_status_t      st;
    const char       *trailer = trailers[how[1] % 6];
    s3c_s3_chunked_t  c;

    *out_len = 0;

    st = s3c_s3_chunked_init(&c, S3C_PAYLOAD_SIGNED_CHUNKS + how[0] % 3,
                             (uint64_t) how[2] << 8 | how[3],
                             s3c_slice(trailer, strlen(trailer)));

    asked = 0xcbf29ce484222325;
    turn = BEFORE;

    if ((how[4] & 0x80) && c.is_signed) {
        c.verifier = (s3c_s3_chunk_verifier_t) {
            NULL, on_begin, on_add, on_end, on_trailer
        };
    }

    for (st = st == S3C_OK ? S3C_AGAIN : st;
         in.len > 0 && (st == S3C_AGAIN || st == S3C_OK); /* void */)
    {
        left = in.len < piece ? in.len : piece;
        st = s3c_s3_chunked_step(&c, s3c_slice(in.data, left), &data, &n);

        if (n > left || data.len > n || (n == 0 && st == S3C_AGAIN)
            || (data.len > 0
                && (data.data < in.data
                    || data.data + data.len > in.data + n)))
        {
            abort();
        }

        if (data.len > 0) {
            memcpy(out + *out_len, data.data, data.len);
            *out_len += data.len;
        }

        in = s3c_slice(in.data + n, in.len - n);
    }

    if (st == S3C_OK && *out_len != ((size_t) how[2] << 8 | how[3])) {
        abort();
    }

    s3c_s3_chunked_fini(&c);

    return st;
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static uint8_t  whole[BODY_MAX], pieces[BODY_MAX];
    size_t          whole_len, pieces_len;
    s3c_slice_t     text;
    uint64_t        question;
    s3c_status_t    st;

    if (len < 5 || len > BODY_MAX) {
        return 0;
    }

    text = s3c_slice(in + 5, len - 5);
    st = decode(in, text, BODY_MAX, whole, &whole_len);
    question = asked;

    if (st != decode(in, text, in[4] % 16 + 1, pieces, &pieces_len)
        || asked != question || whole_len != pieces_len
        || memcmp(whole, pieces, whole_len) != 0)
    {
        abort();
    }

    return 0;
}

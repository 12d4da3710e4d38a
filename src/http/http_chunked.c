/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoder of the chunked coding, a byte machine: each state says what it
 * takes and where it goes. Payload is never copied: runs of it are answered
 * as slices of the input. After INVALID it stays INVALID.
 *
 * LIMITS: a chunk-size line with its extensions S3C_HTTP_CHUNK_LINE_MAX, all
 * trailer lines together S3C_HTTP_CHUNK_TRAILER_MAX, a chunk INT64_MAX.
 */
#include "http/http_chunked.h"

#include "http/http_text.h"


/*  state        takes                     goes to
 *  SIZE_FIRST   hex digit                 SIZE
 *  SIZE         hex digit | BWS ; CR      SIZE | SIZE_BWS EXT SIZE_LF
 *  SIZE_BWS     BWS | ;                   SIZE_BWS | EXT
 *  EXT          text | CR                 EXT | SIZE_LF
 *  SIZE_LF      LF                        DATA, after size 0 LINE_FIRST
 *  DATA         payload                   DATA_CR when the chunk is done
 *  DATA_CR      CR                        DATA_LF
 *  DATA_LF      LF                        SIZE_FIRST
 *  LINE_FIRST   token | CR                LINE_NAME | END_LF
 *  LINE_NAME    token | :                 LINE_NAME | LINE_VALUE
 *  LINE_VALUE   text | CR                 LINE_VALUE | LINE_LF
 *  LINE_LF      LF                        LINE_FIRST
 *  END_LF       LF                        DONE
 */
enum {
    CHUNKED_SIZE_FIRST = 0,
    CHUNKED_SIZE,
    CHUNKED_SIZE_BWS,
    CHUNKED_EXT,
    CHUNKED_SIZE_LF,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_LINE_FIRST,
    CHUNKED_LINE_NAME,
    CHUNKED_LINE_VALUE,
    CHUNKED_LINE_LF,
    CHUNKED_END_LF,
    CHUNKED_DONE,
    CHUNKED_BROKEN
};


static unsigned
chunked_size_digit(s3c_http_chunked_t *c, uint8_t ch)
{
    int  digit = s3c_http_hex(ch);

    if (digit < 0 || c->chunk_left > (uint64_t) INT64_MAX >> 4) {
        return CHUNKED_BROKEN;
    }

    c->chunk_left = c->chunk_left << 4 | (unsigned) digit;

    return CHUNKED_SIZE;
}


static unsigned
chunked_size_step(s3c_http_chunked_t *c, uint8_t ch)
{
    if (++c->line_bytes > S3C_HTTP_CHUNK_LINE_MAX) {
        return CHUNKED_BROKEN;
    }

    switch (c->state) {

    case CHUNKED_SIZE_FIRST:
        return chunked_size_digit(c, ch);

    case CHUNKED_SIZE:
        if (ch == '\r') {
            return CHUNKED_SIZE_LF;
        }

        if (ch == ';') {
            return CHUNKED_EXT;
        }

        if (ch == ' ' || ch == '\t') {
            return CHUNKED_SIZE_BWS;
        }

        return chunked_size_digit(c, ch);

    case CHUNKED_SIZE_BWS:
        if (ch == ';') {
            return CHUNKED_EXT;
        }

        return ch == ' ' || ch == '\t' ? CHUNKED_SIZE_BWS : CHUNKED_BROKEN;

    case CHUNKED_EXT:
        if (ch == '\r') {
            return CHUNKED_SIZE_LF;
        }

        return s3c_http_is_text(ch) ? CHUNKED_EXT : CHUNKED_BROKEN;

    default: /* CHUNKED_SIZE_LF */
        if (ch != '\n') {
            return CHUNKED_BROKEN;
        }

        c->line_bytes = 0;
        return c->chunk_left > 0 ? CHUNKED_DATA : CHUNKED_LINE_FIRST;
    }
}


static unsigned
chunked_trailer_step(s3c_http_chunked_t *c, uint8_t ch)
{
    if (++c->trailer_bytes > S3C_HTTP_CHUNK_TRAILER_MAX) {
        return CHUNKED_BROKEN;
    }

    switch (c->state) {

    case CHUNKED_LINE_FIRST:
        if (ch == '\r') {
            return CHUNKED_END_LF;
        }

        return s3c_http_is_token(ch) ? CHUNKED_LINE_NAME : CHUNKED_BROKEN;

    case CHUNKED_LINE_NAME:
        if (ch == ':') {
            return CHUNKED_LINE_VALUE;
        }

        return s3c_http_is_token(ch) ? CHUNKED_LINE_NAME : CHUNKED_BROKEN;

    case CHUNKED_LINE_VALUE:
        if (ch == '\r') {
            return CHUNKED_LINE_LF;
        }

        return s3c_http_is_text(ch) ? CHUNKED_LINE_VALUE : CHUNKED_BROKEN;

    case CHUNKED_LINE_LF:
        return ch == '\n' ? CHUNKED_LINE_FIRST : CHUNKED_BROKEN;

    default: /* CHUNKED_END_LF */
        return ch == '\n' ? CHUNKED_DONE : CHUNKED_BROKEN;
    }
}


static unsigned
chunked_step(s3c_http_chunked_t *c, uint8_t ch)
{
    switch (c->state) {

    case CHUNKED_DATA_CR:
        return ch == '\r' ? CHUNKED_DATA_LF : CHUNKED_BROKEN;

    case CHUNKED_DATA_LF:
        return ch == '\n' ? CHUNKED_SIZE_FIRST : CHUNKED_BROKEN;

    case CHUNKED_SIZE_FIRST:
    case CHUNKED_SIZE:
    case CHUNKED_SIZE_BWS:
    case CHUNKED_EXT:
    case CHUNKED_SIZE_LF:
        return chunked_size_step(c, ch);

    default:
        return chunked_trailer_step(c, ch);
    }
}


s3c_status_t
s3c_http_chunked_step(s3c_http_chunked_t *c, s3c_slice_t in,
    s3c_slice_t *data, size_t *used)
{
    size_t  pos = 0;

    *data = S3C_SLICE_NONE;

    while (pos < in.len && c->state < CHUNKED_DONE) {

        if (c->state == CHUNKED_DATA) {
            size_t  n = in.len - pos;

            n = c->chunk_left < n ? (size_t) c->chunk_left : n;
            *data = s3c_slice(in.data + pos, n);
            c->chunk_left -= n;
            pos += n;

            if (c->chunk_left == 0) {
                c->state = CHUNKED_DATA_CR;
            }

            break;
        }

        c->state = chunked_step(c, in.data[pos]);
        pos++;
    }

    *used = pos;

    if (c->state == CHUNKED_DONE) {
        return S3C_OK;
    }

    return c->state < CHUNKED_DONE ? S3C_AGAIN : S3C_INVALID;
}

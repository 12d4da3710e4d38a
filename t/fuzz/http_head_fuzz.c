/* SPDX-License-Identifier: Apache-2.0
 *
 * A head that is accepted: every slice lies in it, no byte could break a line,
 * and no beginning of it would have been answered otherwise. Then through the
 * meta block and back.
 */
#include <stdlib.h>

#include "http/http_head.h"
#include "s3/s3_meta.h"


static void
check_slice(const uint8_t *in, size_t head_bytes, s3c_slice_t s)
{
    if (s.data < in || s.data + s.len > in + head_bytes) {
        abort();
    }

    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '\r' || s.data[i] == '\n' || s.data[i] == 0) {
            abort();
        }
    }
}


/* What was rendered is walked back, to the last byte. */
static void
check_meta(const s3c_http_head_t *head)
{
    static uint8_t     buf[2 * S3C_HTTP_HEAD_BYTES_MAX];
    size_t             pos = 0;
    unsigned           n = 0;
    s3c_writer_t       w;
    s3c_s3_meta_t      meta;
    s3c_http_header_t  h;

    if (s3c_s3_meta_parse(head, false, &meta) == S3C_OK
        && (meta.generation == 0 || meta.first > meta.last
            || (meta.total > 0 && meta.last >= meta.total)))
    {
        abort();
    }

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_s3_meta_render_error(&w, head);
    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_s3_meta_render(&w, head);

    while (s3c_s3_meta_next(s3c_writer_slice(&w), &pos, &h)) {
        n++;
    }

    if (!s3c_writer_ok(&w) || pos != s3c_writer_slice(&w).len
        || n > head->n_headers)
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    s3c_http_head_t  head, again;

    if (s3c_http_head_parse(s3c_slice(in, len), &head) != S3C_OK) {
        return 0;
    }

    if (head.head_bytes > len || head.n_headers > S3C_HTTP_HEADERS_MAX
        || (head.has_length && head.chunked) || head.length > INT64_MAX)
    {
        abort();
    }

    for (unsigned i = 0; i < head.n_headers; i++) {
        check_slice(in, head.head_bytes, head.headers[i].name);
        check_slice(in, head.head_bytes, head.headers[i].value);
    }

    for (size_t n = 0; n < head.head_bytes; n += 1 + n / 16) {
        if (s3c_http_head_parse(s3c_slice(in, n), &again) != S3C_AGAIN) {
            abort();
        }
    }

    check_meta(&head);

    return 0;
}

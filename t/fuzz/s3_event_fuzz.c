/* SPDX-License-Identifier: Apache-2.0
 *
 * Notifications: what is told lies in its bounds, is as many as was said, and
 * is told again when the same document is read again.
 */
#include <stdlib.h>

#include "s3/s3_event.h"
#include "s3/s3_utf8.h"

#define BODY_MAX  65536


static void
check_text(const s3c_s3_event_t *ev, s3c_slice_t s, size_t max)
{
    size_t    n;
    uint32_t  cp;

    if (s.len > max
        || (s.len > 0 && (s.data < ev->buf
                          || s.data + s.len > ev->buf + sizeof(ev->buf))))
    {
        abort();
    }

    for (size_t pos = 0; pos < s.len; pos += n) {
        n = s3c_s3_utf8_step(s, pos, &cp);

        if (n == 0 || cp == 0) {
            abort();
        }
    }
}


/* How many, and a sum of all that was told; UINT64_MAX: refused. */
static uint64_t
read_events(const uint8_t *in, size_t len)
{
    uint8_t                *copy = malloc(len + 1);
    uint32_t                n = 0;
    uint64_t                sum = 0;
    s3c_status_t            st;
    s3c_s3_events_t         e;
    static s3c_s3_event_t   ev;

    memcpy(copy, in, len);

    if (s3c_s3_event_open(&e, copy, len) != S3C_OK) {
        free(copy);
        return UINT64_MAX;
    }

    while ((st = s3c_s3_event_next(&e, &ev)) == S3C_OK) {
        n++;
        check_text(&ev, ev.bucket, S3C_S3_BUCKET_BYTES_MAX);
        check_text(&ev, ev.version, S3C_S3_EVENT_VERSION_MAX);
        check_text(&ev, ev.sequencer, S3C_S3_EVENT_SEQUENCER_MAX);
        check_text(&ev, ev.name, S3C_S3_EVENT_NAME_MAX);

        for (unsigned i = 0; i < ev.n_keys; i++) {
            check_text(&ev, ev.keys[i], S3C_S3_KEY_BYTES_MAX);

            if (ev.keys[i].len == 0) {
                abort();
            }
        }

        for (size_t i = 0; i < ev.used; i++) {
            sum = sum * 31 + ev.buf[i];
        }
    }

    if (st != S3C_MISS || n != e.n_events || ev.n_keys > 2) {
        abort();
    }

    free(copy);

    return sum >> 1;
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    if (len <= BODY_MAX && read_events(in, len) != read_events(in, len)) {
        abort();
    }

    return 0;
}

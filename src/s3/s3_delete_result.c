/* SPDX-License-Identifier: Apache-2.0
 *
 * Cut at each '<': a tag and the text behind it. That of keys and messages has
 * no '<' of its own, unless it is CDATA, which is not understood.
 */
#include "s3/s3_delete_result.h"

#define RESULT_DENIED  S3C_SLICE("<Code>AccessDenied")


static bool
result_begins(const s3c_s3_delete_result_t *r, s3c_slice_t with)
{
    return r->len >= with.len && memcmp(r->tag, with.data, with.len) == 0;
}


static void
result_tag(s3c_s3_delete_result_t *r)
{
    if (r->len == RESULT_DENIED.len && result_begins(r, RESULT_DENIED)) {
        r->denied++;

    } else if (result_begins(r, S3C_SLICE("<Code"))
               || result_begins(r, S3C_SLICE("<Delete"))
               || result_begins(r, S3C_SLICE("<!")))
    {
        r->others |= !result_begins(r, S3C_SLICE("<DeleteResult"));
    }
}


void
s3c_s3_delete_result_take(s3c_s3_delete_result_t *r, s3c_slice_t in)
{
    for (size_t i = 0; i < in.len; i++) {

        if (in.data[i] == '<') {
            result_tag(r);
            r->len = 0;
        }

        if (r->len < sizeof(r->tag)) {
            r->tag[r->len++] = in.data[i];
        }
    }
}


bool
s3c_s3_delete_result_is_denied(const s3c_s3_delete_result_t *r, uint64_t n)
{
    return n > 0 && r->denied == n && !r->others;
}

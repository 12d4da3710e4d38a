/* SPDX-License-Identifier: Apache-2.0
 *
 * A query, a LF, and what lies under its prefix. A page's name is the same when
 * it is read again, and a key that begins with its prefix lies in its directory.
 */
#include <stdlib.h>
#include <string.h>

#include "s3/s3_list.h"

#define BUF  8192


static void
check_dirs(s3c_slice_t prefix, s3c_slice_t rest)
{
    uint8_t       buf[BUF];
    unsigned      n, m;
    s3c_slice_t   key, looked[S3C_S3_LIST_DIRS], dirs[S3C_S3_LIST_DIRS];
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_write_slice(&w, prefix);
    s3c_write_slice(&w, rest);

    if (!s3c_writer_ok(&w)) {
        return;
    }

    key = s3c_writer_slice(&w);
    n = s3c_s3_list_dirs(prefix, looked);
    m = s3c_s3_list_dirs(key, dirs);

    if (n < 1 || m < n || m > S3C_S3_LIST_DIRS || looked[0].len != 0
        || !s3c_slice_eq(looked[n - 1], dirs[n - 1]))
    {
        abort();
    }

    for (unsigned i = 1; i < m; i++) {
        if (dirs[i].len <= dirs[i - 1].len || dirs[i].len > key.len
            || dirs[i].data[dirs[i].len - 1] != '/')
        {
            abort();
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    uint8_t         buf[4096], again[BUF];
    s3c_slice_t     query, rest, page, prefix, page2, prefix2;
    s3c_writer_t    w;
    const uint8_t  *lf = len ? memchr(in, '\n', len) : NULL;

    query = s3c_slice(in, lf ? (size_t) (lf - in) : len);
    rest = lf ? s3c_slice(lf + 1, len - query.len - 1) : S3C_SLICE_NONE;

    (void) s3c_s3_list_is_whole(query);
    (void) s3c_s3_list_is_whole(rest);

    s3c_writer_init(&w, buf, sizeof(buf));

    if (s3c_s3_list_parse(&w, query, &page, &prefix) != S3C_OK) {
        return 0;
    }

    s3c_writer_init(&w, again, sizeof(again));

    if (s3c_s3_list_parse(&w, page, &page2, &prefix2) != S3C_OK
        || !s3c_slice_eq(page, page2) || !s3c_slice_eq(prefix, prefix2))
    {
        abort();
    }

    check_dirs(prefix, rest);

    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Small texts that people and files say: names, places, settings; and foreign
 * text on its way to a terminal, where nothing may be left that one acts upon.
 */
#include <stdlib.h>

#include "ctl/ctl_file.h"
#include "ctl/ctl_inventory.h"
#include "ctl/ctl_target.h"
#include "ctl/ctl_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check_shown(s3c_slice_t text)
{
    char  shown[CTL_TEXT_CHAR_MAX];

    while (text.len > 0) {
        size_t  before = text.len, n = ctl_text_next(&text, shown);

        if (n == 0 || n > 4 || text.len >= before) {
            abort();
        }

        for (size_t i = 0; i < n; i++) {
            uint8_t  c = (uint8_t) shown[i];

            /* neither C0 nor DEL; C1 would be 0xc2 and 0x80 to 0x9f */
            if (c < 0x20 || c == 0x7f
                || (i == 0 && n == 2 && c == 0xc2
                    && (uint8_t) shown[1] < 0xa0))
            {
                abort();
            }
        }
    }
}


static void
check_file(s3c_slice_t rest)
{
    unsigned      line = 0;
    s3c_slice_t   name, value;
    s3c_status_t  st;

    while ((st = ctl_file_next(&rest, &line, &name, &value)) == S3C_OK) {
        if (name.len == 0 || value.len == 0
            || memchr(name.data, '\n', name.len) != NULL
            || memchr(value.data, '\n', value.len) != NULL)
        {
            abort();
        }
    }
}


static void
check_names(s3c_slice_t text)
{
    const char      *why;
    ctl_target_t     target;
    ctl_endpoint_t   at;

    if (ctl_target_parse(&target, text, &why) == S3C_OK) {
        if (why != NULL || target.bucket.len == 0
            || target.bucket.len > CTL_BUCKET_MAX
            || target.key.len > CTL_KEY_MAX)
        {
            abort();
        }

    } else if (why == NULL) {
        abort();
    }

    if (ctl_endpoint_parse(&at, text, &why) == S3C_OK) {
        if (why != NULL || at.host[0] == '\0'
            || strpbrk(at.host, "\r\n /?#@%") != NULL)
        {
            abort();
        }

    } else if (why == NULL) {
        abort();
    }
}


/* A line of a list has one line break, at its end. */
static void
check_inventory(s3c_slice_t text)
{
    s3c_writer_t    w;
    static uint8_t  out[CTL_INVENTORY_LINE_MAX];

    s3c_writer_init(&w, out, sizeof(out));

    if (ctl_inventory_line(text, &w) == S3C_OK
        && (w.pos == out || memchr(out, '\n', sizeof(out)) != w.pos - 1))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    s3c_slice_t  text = s3c_slice(data, size);

    if (size == 0) {
        return 0;
    }

    for (int utf8 = 0; utf8 < 2; utf8++) {
        ctl_text_utf8(utf8);
        check_shown(text);
    }

    check_file(text);
    check_inventory(text);
    check_names(text);

    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary text as a roster and as answers of Redis: refused, or what is made
 * of it is sorted, without doubles, and read again as it was written.
 */
#include <stdlib.h>

#include "cluster/roster.h"

#define ITEMS_MAX  64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* What was read can be printed, and says the same. */
static void
print_try(const s3c_member_t *m)
{
    uint8_t       buf[S3C_MEMBER_VALUE_MAX];
    s3c_member_t  again;
    s3c_writer_t  w;

    s3c_writer_init(&w, buf, sizeof(buf));

    if (s3c_member_print(&w, m) != S3C_OK
        || s3c_member_parse(m->name, s3c_writer_slice(&w), &again) != S3C_OK
        || !s3c_slice_eq(again.address, m->address)
        || !s3c_slice_eq(again.zone, m->zone)
        || !s3c_slice_eq(again.id, m->id)
        || again.weight != m->weight || again.state != m->state)
    {
        abort();
    }
}


static void
roster_check(s3c_slice_t roster, uint32_t members)
{
    uint32_t      n = 0;
    s3c_slice_t   last = S3C_SLICE_NONE;
    s3c_member_t  m;
    s3c_status_t  st;

    while ((st = s3c_member_next(&roster, &m)) == S3C_OK) {
        size_t  len = last.len < m.name.len ? last.len : m.name.len;
        int     d = len > 0 ? memcmp(last.data, m.name.data, len) : 0;

        if (d > 0 || (d == 0 && last.len >= m.name.len)) {
            abort();
        }

        print_try(&m);
        last = m.name;
        n++;
    }

    if (st != S3C_MISS || n != members) {
        abort();
    }
}


/* Items are "name\0value\0"; the rest is the roster before. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             n = 0, n_items;
    uint8_t           *buf;
    s3c_slice_t        rest, parts[2 * ITEMS_MAX];
    s3c_writer_t       w;
    const uint8_t     *end;
    s3c_roster_item_t  items[ITEMS_MAX];
    s3c_roster_sums_t  sums;

    if (size < 1) {
        return 0;
    }

    rest = s3c_slice(data + 1, size - 1);

    while (n < 2 * ITEMS_MAX && rest.len > 0
           && (end = memchr(rest.data, '\0', rest.len)) != NULL)
    {
        parts[n++] = s3c_slice(rest.data, (size_t) (end - rest.data));
        rest = s3c_slice(end + 1, rest.len - (size_t) (end + 1 - rest.data));
    }

    n_items = n / 2;

    for (size_t i = 0; i < n_items; i++) {
        items[i].name = parts[2 * i];
        items[i].value = parts[2 * i + 1];
    }

    buf = malloc(S3C_ROSTER_BYTES);
    s3c_writer_init(&w, buf, S3C_ROSTER_BYTES);

    if (s3c_roster_merge(&w, rest, items, n_items, data[0] & 1, &sums)
        == S3C_OK)
    {
        roster_check(s3c_writer_slice(&w), sums.members);
    }

    if (sums.refused > n_items || sums.held > sums.members) {
        abort();
    }

    free(buf);

    return 0;
}

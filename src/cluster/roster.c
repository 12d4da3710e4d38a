/* SPDX-License-Identifier: Apache-2.0
 *
 * Which members a node believes in. All candidates, of the answer and of the
 * roster before, are sorted twice: by address, to leave one of each, and by
 * name, to be written.
 */
#include "cluster/roster.h"

#include <stdlib.h>

/* In this order among those of one name. */
typedef enum {
    ANSWERED = 0,
    DAMAGED,                     /* in the answer, but its value is wrong */
    HELD                         /* from the roster before */
} origin_t;

typedef struct {
    s3c_member_t  m;             /* DAMAGED: its name only */
    s3c_slice_t   value;
    origin_t      origin;
    bool          out;
} candidate_t;


static int
slice_cmp(s3c_slice_t a, s3c_slice_t b)
{
    size_t  len = a.len < b.len ? a.len : b.len;
    int     d = len > 0 ? memcmp(a.data, b.data, len) : 0;

    return d != 0 ? d : (a.len > b.len) - (a.len < b.len);
}


static int
name_cmp(const void *one, const void *two)
{
    const candidate_t  *a = one, *b = two;
    int                 d = slice_cmp(a->m.name, b->m.name);

    return d != 0 ? d : (int) a->origin - (int) b->origin;
}


/* The one that stays comes first. */
static int
address_cmp(const void *one, const void *two)
{
    const candidate_t  *a = one, *b = two;
    int                 d = slice_cmp(a->m.address, b->m.address);

    if (d == 0) {
        d = (int) a->origin - (int) b->origin;
    }

    if (d == 0) {
        d = slice_cmp(b->m.id, a->m.id);
    }

    return d != 0 ? d : slice_cmp(a->m.name, b->m.name);
}


/* The text of the value as it stood in a line. */
static s3c_slice_t
line_value(const s3c_member_t *m, s3c_slice_t rest)
{
    const uint8_t  *start = m->name.data + m->name.len + 1;

    return s3c_slice(start, (size_t) (rest.data - 1 - start));
}


static uint32_t
answer_take(candidate_t *c, const s3c_roster_item_t *items, size_t n_items)
{
    uint32_t  damaged = 0;

    for (size_t i = 0; i < n_items; i++) {

        c[i].value = items[i].value;
        c[i].origin = ANSWERED;
        c[i].out = false;

        if (s3c_member_parse(items[i].name, items[i].value, &c[i].m)
            != S3C_OK)
        {
            c[i].m.name = items[i].name;
            c[i].m.address = S3C_SLICE_NONE;
            c[i].origin = DAMAGED;
            damaged++;
        }
    }

    return damaged;
}


/* Behind the candidates of the answer. */
static size_t
before_take(candidate_t *c, s3c_slice_t before)
{
    size_t        n = 0;
    s3c_slice_t   rest = before;
    s3c_member_t  m;

    while (n < S3C_RING_MEMBERS_MAX && s3c_member_next(&rest, &m) == S3C_OK) {

        if (m.state == S3C_MEMBER_LEAVING) {
            continue;
        }

        c[n].m = m;
        c[n].value = line_value(&m, rest);
        c[n].origin = HELD;
        c[n].out = false;
        n++;
    }

    return n;
}


/* One of each name: what the answer says; what was known if that is damaged,
 * or if it says nothing and nobody is dropped. */
static void
names_choose(candidate_t *c, size_t n, bool drop, s3c_roster_sums_t *sums)
{
    bool  first, damaged = false, chosen = false;

    qsort(c, n, sizeof(*c), name_cmp);

    for (size_t i = 0; i < n; i++) {

        first = (i == 0 || !s3c_slice_eq(c[i - 1].m.name, c[i].m.name));

        if (first) {
            damaged = chosen = false;
        }

        if (c[i].origin == DAMAGED) {
            damaged = true;
            c[i].out = true;
            continue;
        }

        c[i].out = chosen || (c[i].origin == HELD && drop && !damaged);
        sums->refused += (chosen && c[i].origin == ANSWERED);
        chosen = true;
    }
}


/* One of each address. */
static void
addresses_choose(candidate_t *c, size_t n, s3c_roster_sums_t *sums)
{
    size_t  last = SIZE_MAX;

    qsort(c, n, sizeof(*c), address_cmp);

    for (size_t i = 0; i < n; i++) {

        if (c[i].out) {
            continue;
        }

        if (last != SIZE_MAX
            && s3c_slice_eq(c[last].m.address, c[i].m.address))
        {
            c[i].out = true;
            sums->refused += (c[i].origin == ANSWERED);
            continue;
        }

        last = i;
    }
}


s3c_status_t
s3c_roster_merge(s3c_writer_t *w, s3c_slice_t before,
    const s3c_roster_item_t *items, size_t n_items, bool drop,
    s3c_roster_sums_t *sums)
{
    size_t        n, room;
    candidate_t  *c;

    memset(sums, 0, sizeof(*sums));
    sums->complete = true;

    if (n_items > S3C_RING_MEMBERS_MAX) {
        return S3C_BUSY;
    }

    c = malloc((n_items + S3C_RING_MEMBERS_MAX) * sizeof(*c));
    if (c == NULL) {
        return S3C_FULL;
    }

    sums->refused = answer_take(c, items, n_items);

    if (sums->refused == n_items && before.len > 0) {
        free(c);
        return S3C_INVALID;
    }

    n = n_items + before_take(c + n_items, before);

    names_choose(c, n, drop, sums);
    addresses_choose(c, n, sums);

    qsort(c, n, sizeof(*c), name_cmp);

    /* who is in the answer has a place; the others have what is left */

    room = S3C_RING_MEMBERS_MAX;

    for (size_t i = 0; i < n; i++) {
        room -= (c[i].origin == ANSWERED && !c[i].out);
    }

    for (size_t i = 0; i < n; i++) {

        if (c[i].out) {
            continue;
        }

        if (c[i].origin == HELD) {
            if (room == 0) {
                sums->complete = false;
                continue;
            }

            room--;
            sums->held++;
        }

        s3c_write_slice(w, c[i].m.name);
        s3c_write_byte(w, ' ');
        s3c_write_slice(w, c[i].value);
        s3c_write_byte(w, '\n');
        sums->members++;
    }

    free(c);

    return s3c_writer_ok(w) ? S3C_OK : S3C_FULL;
}

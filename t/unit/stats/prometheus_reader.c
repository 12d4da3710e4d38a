/* SPDX-License-Identifier: Apache-2.0
 *
 * See prometheus_reader.h.
 */
#include "prometheus_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES   (1 << 20)

char      text[TEXT_BYTES];
sample_t  sample[SERIES_MAX];
size_t    n_samples;


bool
starts(s3c_slice_t s, s3c_slice_t with)
{
    return s.len >= with.len && memcmp(s.data, with.data, with.len) == 0;
}


/* The length of a name at p, 0 if there is none. */
static size_t
name_len(const char *p)
{
    size_t  n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return p[0] >= '0' && p[0] <= '9' ? 0 : n;
}


/* Past a label's value, which begins after its first quote. */
static const char *
skip_label_value(const char *p)
{
    while (*p != '"') {
        s3c_slice_t  rest = s3c_slice(p, strlen(p));

        assert_int_not_equal(*p, '\0');
        assert_int_not_equal(*p, '\n');
        assert_ptr_equal(s3c_stats_text_next(&rest).data, p);

        if (*p == '\\') {
            p++;
            assert_non_null(strchr("\\\"n", *p));
            p++;
            continue;
        }

        p = (const char *) rest.data;
    }

    return p + 1;
}


/* Past name{label="value",...}. */
static const char *
skip_series(const char *p)
{
    size_t  n = name_len(p);

    assert_int_not_equal(n, 0);
    p += n;
    assert_int_equal(*p, '{');

    do {
        p++;
        n = name_len(p);
        assert_int_not_equal(n, 0);
        p += n;
        assert_memory_equal(p, "=\"", 2);
        p = skip_label_value(p + 2);
    } while (*p == ',');

    assert_int_equal(*p, '}');

    return p + 1;
}


/* Does a sample's name belong to the family, by its type? */
static void
assert_belongs(const char *series, s3c_slice_t family, s3c_slice_t type)
{
    const char  *rest = series + family.len;

    assert_memory_equal(series, family.data, family.len);

    if (s3c_slice_eq(type, S3C_SLICE("histogram"))) {
        assert_true(strncmp(rest, "_bucket{", 8) == 0
                    || strncmp(rest, "_sum{", 5) == 0
                    || strncmp(rest, "_count{", 7) == 0);

    } else {
        assert_int_equal(rest[0], '{');
    }
}


static void
read_text(void)
{
    size_t       n_families = 0;
    const char  *p = text, *end;
    s3c_slice_t  family = S3C_SLICE_NONE, type = S3C_SLICE_NONE;
    s3c_slice_t  families[200];

    n_samples = 0;

    while (*p != '\0') {
        end = strchr(p, '\n');
        assert_non_null(end);

        if (strncmp(p, "# HELP ", 7) == 0) {
            family = s3c_slice(p + 7, name_len(p + 7));
            assert_int_not_equal(family.len, 0);
            assert_int_equal(family.data[family.len], ' ');
            assert_true((const char *) family.data + family.len + 1 < end);

            for (size_t i = 0; i < n_families; i++) {
                assert_false(s3c_slice_eq(families[i], family));
            }

            assert_true(n_families < 200);
            families[n_families++] = family;

            p = end + 1;
            end = strchr(p, '\n');
            assert_non_null(end);
            assert_memory_equal(p, "# TYPE ", 7);
            assert_memory_equal(p + 7, family.data, family.len);
            p += 7 + family.len;
            assert_int_equal(*p, ' ');
            type = s3c_slice(p + 1, (size_t) (end - p - 1));
            assert_true(s3c_slice_eq(type, S3C_SLICE("counter"))
                        || s3c_slice_eq(type, S3C_SLICE("gauge"))
                        || s3c_slice_eq(type, S3C_SLICE("histogram")));

        } else {
            const char  *after = skip_series(p);
            char        *number_end;

            assert_belongs(p, family, type);
            assert_int_equal(*after, ' ');
            assert_in_range(after[1], '0', '9');
            (void) strtod(after + 1, &number_end);
            assert_ptr_equal(number_end, end);

            assert_true(n_samples < SERIES_MAX);
            sample[n_samples++] = (sample_t) {
                s3c_slice(p, (size_t) (after - p)),
                s3c_slice(after + 1, (size_t) (end - after - 1))
            };
        }

        p = end + 1;
    }
}


void
print(const s3c_stats_zone_t *zones, unsigned n)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, text, sizeof(text) - 1);
    s3c_stats_print_prometheus(&w, zones, n);
    assert_true(s3c_writer_ok(&w));
    assert_null(memchr(text, '\0', (size_t) (w.pos - w.start)));
    *w.pos = '\0';
    read_text();
}


void
assert_sample(const char *series, const char *want)
{
    for (size_t i = 0; i < n_samples; i++) {
        if (s3c_slice_eq(sample[i].series,
                         s3c_slice(series, strlen(series))))
        {
            if (!s3c_slice_eq(sample[i].value, s3c_slice(want, strlen(want))))
            {
                print_error("%s %.*s, not %s\n", series,
                            (int) sample[i].value.len, sample[i].value.data,
                            want);
                fail();
            }

            return;
        }
    }

    print_error("no %s\n", series);
    fail();
}


void
assert_no_series_twice(void)
{
    for (size_t i = 0; i < n_samples; i++) {
        for (size_t k = i + 1; k < n_samples; k++) {
            assert_false(s3c_slice_eq(sample[i].series, sample[k].series));
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables keep the rules that the printers rely on, the manual knows every
 * metric and no other, and the text helpers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "stats/stats_rows.h"

static const s3c_stats_rows_t  *tables[] = {
    &s3c_stats_counter_rows, &s3c_stats_usage_rows, &s3c_stats_flash_rows,
    &s3c_stats_store_rows, &s3c_stats_bucket_rows, &s3c_stats_hist_rows,
    &s3c_stats_node_rows
};

#define N_TABLES  (sizeof(tables) / sizeof(tables[0]))


static bool
is_word(s3c_slice_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_", s.data[i]) == NULL)
        {
            return false;
        }
    }

    return s.len > 0;
}


static bool
ends(s3c_slice_t s, const char *end)
{
    size_t  n = strlen(end);

    return s.len >= n && memcmp(s.data + s.len - n, end, n) == 0;
}


static void
a_name_is_a_family_and_at_most_one_plain_label(void **state)
{
    (void) state;

    for (size_t t = 0; t < N_TABLES; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            const s3c_stats_row_t  *row = &tables[t]->rows[i];
            s3c_slice_t             family = s3c_stats_row_family(row);
            s3c_slice_t             labels = s3c_stats_row_labels(row);
            size_t                  eq;

            assert_memory_equal(family.data, "s3_cache_", 9);
            assert_true(is_word(family));

            if (labels.len == 0) {
                assert_int_equal(family.len, strlen(row->name));
                continue;
            }

            assert_int_equal(strlen(row->name), family.len + labels.len + 2);
            assert_true(row->name[strlen(row->name) - 1] == '}');

            eq = (size_t) ((uint8_t *) memchr(labels.data, '=', labels.len)
                           - labels.data);
            assert_true(is_word(s3c_slice(labels.data, eq)));
            assert_true(labels.data[eq + 1] == '"');
            assert_true(is_word(s3c_slice(labels.data + eq + 2,
                                          labels.len - eq - 3)));
            assert_true(labels.data[labels.len - 1] == '"');
        }
    }
}


static void
a_suffix_tells_a_counter_from_a_gauge_and_a_histogram(void **state)
{
    (void) state;

    for (size_t t = 0; t < N_TABLES; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            s3c_slice_t  f = s3c_stats_row_family(&tables[t]->rows[i]);

            if (tables[t] == &s3c_stats_usage_rows) {
                assert_int_equal(ends(f, "_total"),
                                 memcmp(f.data, "s3_cache_zone_", 14) != 0);

            } else if (tables[t] == &s3c_stats_flash_rows) {
                assert_false(ends(f, "_total") || ends(f, "_seconds"));

            } else if (tables[t] == &s3c_stats_store_rows) {
                assert_memory_equal(f.data, "s3_cache_store_", 15);
                assert_int_equal(ends(f, "_seconds"),
                                 tables[t]->rows[i].at
                                 == offsetof(s3c_ssd_usage_t, recovery_ms));

            } else {
                assert_int_equal(ends(f, "_total"),
                                 tables[t] != &s3c_stats_hist_rows);
                assert_int_equal(ends(f, "_seconds"),
                                 tables[t] == &s3c_stats_hist_rows);
            }

            assert_false(ends(f, "_bucket") || ends(f, "_count")
                         || ends(f, "_sum"));
        }
    }
}


static void
a_family_stands_together_and_its_first_row_has_its_help(void **state)
{
    size_t       n, n_families = 0;
    s3c_slice_t  families[160];

    (void) state;

    for (size_t t = 0; t < N_TABLES; t++) {
        for (size_t i = 0; i < tables[t]->n; i += n) {
            const s3c_stats_row_t  *row = &tables[t]->rows[i];

            n = s3c_stats_rows_family(tables[t], i);
            assert_string_not_equal(row->help, "");
            assert_null(strpbrk(row->help, "\\\n"));

            for (size_t k = 1; k < n; k++) {
                assert_string_equal(row[k].help, "");
                assert_string_not_equal(row[k].name, row[k - 1].name);
            }

            for (size_t k = 0; k < n_families; k++) {
                assert_false(s3c_slice_eq(families[k],
                                          s3c_stats_row_family(row)));
            }

            assert_true(n_families < 160);
            families[n_families++] = s3c_stats_row_family(row);
        }
    }
}


/* The JSON walk opens every object once, so a parent must not come again. */
static void
assert_parents_together(const char **paths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++) {
            size_t  same = 0, len = strlen(paths[i]);

            assert_string_not_equal(paths[i], paths[k]);
            assert_false(strncmp(paths[i], paths[k], len) == 0
                         && paths[k][len] == '.');
            assert_false(strncmp(paths[k], paths[i], strlen(paths[k])) == 0
                         && paths[i][strlen(paths[k])] == '.');

            for (size_t c = 0; paths[i][c] && paths[i][c] == paths[k][c]; c++)
            {
                same = paths[i][c] == '.' ? c + 1 : same;
            }

            for (size_t m = i + 1; m < k; m++) {
                assert_memory_equal(paths[m], paths[i], same);
            }
        }
    }
}


static void
json_paths_with_one_parent_stand_together(void **state)
{
    size_t       n = 0;
    const char  *paths[240];

    (void) state;

    paths[n++] = "name";
    paths[n++] = "policy";

    for (size_t i = 0; i < s3c_stats_counter_rows.n; i++) {
        paths[n++] = s3c_stats_counter_rows.rows[i].path;
    }

    for (size_t i = 0; i < s3c_stats_usage_rows.n; i++) {
        paths[n++] = s3c_stats_usage_rows.rows[i].path;
    }

    paths[n++] = "flash.io";

    for (size_t i = 0; i < s3c_stats_flash_rows.n; i++) {
        paths[n++] = s3c_stats_flash_rows.rows[i].path;
    }

    paths[n++] = "stores";
    paths[n++] = "ring";
    paths[n++] = "buckets";

    for (size_t i = 0; i < s3c_stats_hist_rows.n; i++) {
        paths[n++] = s3c_stats_hist_rows.rows[i].path;
    }

    paths[n++] = "hit_ratio";
    assert_parents_together(paths, n);

    n = 0;
    paths[n++] = "name";

    for (size_t i = 0; i < s3c_stats_bucket_rows.n; i++) {
        paths[n++] = s3c_stats_bucket_rows.rows[i].path;
    }

    assert_parents_together(paths, n);

    n = 0;
    paths[n++] = "name";
    paths[n++] = "links";

    for (size_t i = 0; i < s3c_stats_node_rows.n; i++) {
        paths[n++] = s3c_stats_node_rows.rows[i].path;
    }

    paths[n++] = "first_byte";
    assert_parents_together(paths, n);

    n = 0;
    paths[n++] = "path";
    paths[n++] = "state";

    for (size_t i = 0; i < s3c_stats_store_rows.n; i++) {
        paths[n++] = s3c_stats_store_rows.rows[i].path;

        if (s3c_stats_store_rows.rows[i].at
            == offsetof(s3c_ssd_usage_t, n_denied))
        {
            paths[n++] = "writes.amplification";
        }
    }

    assert_parents_together(paths, n);
}


/* docs/metrics.md, found from where this file lies. */
static char *
read_manual(void)
{
    long         len;
    char        *text, path[4096];
    FILE        *f;
    const char  *slash = strrchr(__FILE__, '/');

    snprintf(path, sizeof(path), "%.*s/../../../docs/metrics.md",
             slash ? (int) (slash - __FILE__) : 1, slash ? __FILE__ : ".");

    f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    len = ftell(f);
    rewind(f);
    text = malloc((size_t) len + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t) len, f), len);
    text[len] = '\0';
    fclose(f);

    return text;
}


/* A table row of the manual: | `family` | type | `label="value"`, ... | */
static char *
manual_row(char *text, s3c_slice_t family)
{
    char   start[128];
    char  *row;

    snprintf(start, sizeof(start), "\n| `%.*s` |", (int) family.len,
             (const char *) family.data);
    row = strstr(text, start);

    if (row == NULL) {
        print_error("docs/metrics.md has no row%s\n", start);
    }

    return row;
}


static void
the_manual_has_every_metric_with_its_labels(void **state)
{
    char  *text = read_manual();

    (void) state;

    for (size_t t = 0; t < N_TABLES; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            char                    *row, *end, want[128];
            const char              *type;
            const s3c_stats_row_t   *r = &tables[t]->rows[i];
            s3c_slice_t              labels = s3c_stats_row_labels(r);

            row = manual_row(text, s3c_stats_row_family(r));
            assert_non_null(row);
            end = strchr(row + 1, '\n');
            assert_non_null(end);
            *end = '\0';

            type = tables[t] == &s3c_stats_hist_rows ? "| histogram |"
                   : ends(s3c_stats_row_family(r), "_total") ? "| counter |"
                                                             : "| gauge |";
            assert_non_null(strstr(row, type));

            snprintf(want, sizeof(want), "`%.*s`", (int) labels.len,
                     labels.len ? (const char *) labels.data : "");

            if (labels.len > 0 && strstr(row, want) == NULL) {
                print_error("docs/metrics.md: %s lacks %s\n", r->name, want);
                fail();
            }

            *end = '\n';
        }
    }

    for (size_t i = 0; s3c_stats_computed[i].family != NULL; i++) {
        const char  *family = s3c_stats_computed[i].family;

        assert_non_null(manual_row(text, s3c_slice(family, strlen(family))));
    }

    for (size_t i = 0; s3c_stats_ring_families[i].family != NULL; i++) {
        const char  *family = s3c_stats_ring_families[i].family;

        assert_non_null(manual_row(text, s3c_slice(family, strlen(family))));
    }

    for (size_t i = 0; s3c_stats_keys_families[i].family != NULL; i++) {
        const char  *family = s3c_stats_keys_families[i].family;

        assert_non_null(manual_row(text, s3c_slice(family, strlen(family))));
    }

    free(text);
}


static void
the_manual_has_no_metric_that_is_gone(void **state)
{
    char  *text = read_manual();

    (void) state;

    for (char *p = text; (p = strstr(p, "\n| `s3_cache_")) != NULL; p++) {
        s3c_slice_t  name = s3c_slice(p + 4, strcspn(p + 4, "`"));
        bool         found = s3c_slice_eq(name,
                                          S3C_SLICE(S3C_STATS_ALERT_FAMILY));

        for (size_t t = 0; t < N_TABLES; t++) {
            for (size_t i = 0; i < tables[t]->n; i++) {
                found |= s3c_slice_eq(name,
                             s3c_stats_row_family(&tables[t]->rows[i]));
            }
        }

        for (size_t i = 0; s3c_stats_computed[i].family != NULL; i++) {
            found |= s3c_slice_eq(name,
                         s3c_slice(s3c_stats_computed[i].family,
                                   strlen(s3c_stats_computed[i].family)));
        }

        for (size_t i = 0; s3c_stats_ring_families[i].family != NULL; i++) {
            const char  *family = s3c_stats_ring_families[i].family;

            found |= s3c_slice_eq(name, s3c_slice(family, strlen(family)));
        }

        for (size_t i = 0; s3c_stats_keys_families[i].family != NULL; i++) {
            const char  *family = s3c_stats_keys_families[i].family;

            found |= s3c_slice_eq(name, s3c_slice(family, strlen(family)));
        }

        if (!found) {
            print_error("docs/metrics.md: no metric is called %.*s\n",
                        (int) name.len, (const char *) name.data);
        }

        assert_true(found);
    }

    free(text);
}


static void
bytes_that_are_no_utf8_are_replaced_one_by_one(void **state)
{
    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "a\xc3\xa9z", "a\xc3\xa9z" },
        { "\xff", "\xef\xbf\xbd" },
        { "\xc3", "\xef\xbf\xbd" },
        { "\xc3(", "\xef\xbf\xbd(" },
        { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\x9f\xbf", "\xed\x9f\xbf" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xe0\xa0\x80", "\xe0\xa0\x80" },
        { "\xe0\x9f\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xf0\x90\x80\x80", "\xf0\x90\x80\x80" },
        { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
        { "\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xf0\x9f\x98(", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd(" }
    };

    (void) state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t       buf[64];
        s3c_slice_t   s = s3c_slice(cases[i].in, strlen(cases[i].in));
        s3c_writer_t  w;

        s3c_writer_init(&w, buf, sizeof(buf));

        while (s.len > 0) {
            s3c_write_slice(&w, s3c_stats_text_next(&s));
        }

        s3c_write_byte(&w, '\0');
        assert_string_equal(buf, cases[i].out);
    }
}


static void
amplification_is_device_bytes_by_payload(void **state)
{
    static const struct {
        uint64_t     put, written;
        const char  *out;
    } cases[] = {
        { 0, 0, "1" }, { 0, 4096, "1" }, { 1000, 1000, "1" },
        { 1000, 1034, "1.034" }, { 3, 4, "1.333" }, { 1000, 0, "0" },
        { UINT64_MAX, UINT64_MAX, "1" }
    };

    (void) state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t          buf[32];
        s3c_writer_t     w;
        s3c_ssd_usage_t  usage = {
            .put_bytes = cases[i].put, .written_bytes = cases[i].written
        };

        s3c_writer_init(&w, buf, sizeof(buf));
        s3c_stats_write_amplification(&w, &usage);
        s3c_write_byte(&w, '\0');
        assert_string_equal(buf, cases[i].out);
    }
}


static void
a_share_has_six_decimals(void **state)
{
    static const struct {
        double       share;
        const char  *out;
    } cases[] = {
        { 0, "0" }, { 1, "1" }, { 0.25, "0.25" }, { 1.0 / 3, "0.333333" },
        { 2.0 / 3, "0.666667" }, { 1.0 / 262144, "0.000004" }
    };

    (void) state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t       buf[32];
        s3c_writer_t  w;

        s3c_writer_init(&w, buf, sizeof(buf));
        s3c_stats_write_share(&w, cases[i].share);
        s3c_write_byte(&w, '\0');
        assert_string_equal(buf, cases[i].out);
    }
}


static void
seconds_have_no_needless_zeros(void **state)
{
    static const struct {
        uint64_t     usec;
        const char  *out;
    } cases[] = {
        { 0, "0" }, { 1, "0.000001" }, { 16, "0.000016" }, { 10, "0.00001" },
        { 500000, "0.5" }, { 1000000, "1" }, { 1048576, "1.048576" },
        { 134217728, "134.217728" },
        { UINT64_MAX, "18446744073709.551615" }
    };

    (void) state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t       buf[32];
        s3c_writer_t  w;

        s3c_writer_init(&w, buf, sizeof(buf));
        s3c_stats_write_seconds(&w, cases[i].usec);
        s3c_write_byte(&w, '\0');
        assert_string_equal(buf, cases[i].out);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_name_is_a_family_and_at_most_one_plain_label),
        cmocka_unit_test(a_suffix_tells_a_counter_from_a_gauge_and_a_histogram),
        cmocka_unit_test(
            a_family_stands_together_and_its_first_row_has_its_help),
        cmocka_unit_test(json_paths_with_one_parent_stand_together),
        cmocka_unit_test(the_manual_has_every_metric_with_its_labels),
        cmocka_unit_test(the_manual_has_no_metric_that_is_gone),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced_one_by_one),
        cmocka_unit_test(amplification_is_device_bytes_by_payload),
        cmocka_unit_test(a_share_has_six_decimals),
        cmocka_unit_test(seconds_have_no_needless_zeros)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

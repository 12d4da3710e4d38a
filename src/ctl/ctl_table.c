/* SPDX-License-Identifier: Apache-2.0
 *
 * Cells are kept as they will be shown.
 */
#include "ctl/ctl_table.h"

#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/ctl_text.h"

#define TABLE_GAP  2


void *
ctl_alloc(size_t size)
{
    return ctl_realloc(NULL, size);
}


void *
ctl_realloc(void *old, size_t size)
{
    void  *p = realloc(old, size > 0 ? size : 1);

    if (p == NULL) {
        (void) fputs("s3cachectl: no memory\n", stderr);
        exit(CTL_LOCAL);
    }

    return p;
}


char *
ctl_copy(s3c_slice_t text)
{
    char  *copy = ctl_alloc(text.len + 1);

    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }

    copy[text.len] = '\0';

    return copy;
}


void
ctl_table_init(ctl_table_t *table, const char *const *heads,
    unsigned n_columns, unsigned right)
{
    memset(table, 0, sizeof(*table));
    table->heads = heads;
    table->n_columns = n_columns;
    table->right = right;
}


void
ctl_table_fini(ctl_table_t *table)
{
    for (size_t i = 0; i < table->n_cells; i++) {
        free(table->cells[i]);
    }

    free(table->cells);
    table->cells = NULL;
    table->n_cells = 0;
}


static void
table_add(ctl_table_t *table, char *cell)
{
    if (table->n_cells == table->room) {
        table->room = table->room * 2 + 64;
        table->cells = ctl_realloc(table->cells,
                                   table->room * sizeof(char *));
    }

    table->cells[table->n_cells++] = cell;
}


void
ctl_table_word(ctl_table_t *table, const char *word)
{
    table_add(table, ctl_copy(s3c_slice(word, strlen(word))));
}


void
ctl_table_text(ctl_table_t *table, s3c_slice_t text)
{
    char    *cell = ctl_alloc(text.len * 4 + 1);
    size_t   len = 0;

    while (text.len > 0) {
        char    shown[CTL_TEXT_CHAR_MAX];
        size_t  n = ctl_text_next(&text, shown);

        memcpy(cell + len, shown, n);
        len += n;
    }

    cell[len] = '\0';
    table_add(table, cell);
}


static void
table_pad(FILE *out, unsigned n)
{
    (void) fprintf(out, "%*s", (int) n, "");
}


/* Nothing has spaces behind it at the end of a line. */
static void
table_line(const ctl_table_t *table, FILE *out, const char *const *cells,
    const unsigned *widths, unsigned indent)
{
    unsigned  n = table->n_columns;

    while (n > 0 && cells[n - 1][0] == '\0') {
        n--;
    }

    table_pad(out, indent);

    for (unsigned i = 0; i < n; i++) {
        unsigned  width = ctl_text_width(cells[i]);
        unsigned  rest = widths[i] > width ? widths[i] - width : 0;

        if (i > 0) {
            table_pad(out, TABLE_GAP);
        }

        if (table->right & (1u << i)) {
            table_pad(out, rest);
        }

        (void) fputs(cells[i], out);

        if (!(table->right & (1u << i)) && i + 1 < n) {
            table_pad(out, rest);
        }
    }

    (void) fputc('\n', out);
}


void
ctl_table_print(const ctl_table_t *table, FILE *out, unsigned indent)
{
    unsigned  widths[CTL_TABLE_COLUMNS_MAX];

    for (unsigned i = 0; i < table->n_columns; i++) {
        widths[i] = ctl_text_width(table->heads[i]);
    }

    for (size_t i = 0; i < table->n_cells; i++) {
        unsigned  width = ctl_text_width(table->cells[i]);
        unsigned *widest = &widths[i % table->n_columns];

        *widest = width > *widest ? width : *widest;
    }

    table_line(table, out, table->heads, widths, indent);

    for (size_t i = 0; i + table->n_columns <= table->n_cells;
         i += table->n_columns)
    {
        table_line(table, out, (const char *const *) table->cells + i, widths,
                   indent);
    }
}

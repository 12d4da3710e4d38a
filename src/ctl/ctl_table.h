/* SPDX-License-Identifier: Apache-2.0
 *
 * Columns that are as wide as what stands in them.
 */
#ifndef S3C_CTL_CTL_TABLE_H
#define S3C_CTL_CTL_TABLE_H

#include <stdio.h>

#include "base/slice.h"

#define CTL_TABLE_COLUMNS_MAX  12

typedef struct {
    const char *const  *heads;           /* constant words */
    unsigned            n_columns;
    unsigned            right;           /* bits: columns of numbers */
    char              **cells;           /* its own, row by row */
    size_t              n_cells;
    size_t              room;
} ctl_table_t;

void ctl_table_init(ctl_table_t *table, const char *const *heads,
    unsigned n_columns, unsigned right);
void ctl_table_fini(ctl_table_t *table);
/* The next cell: a word of ours, or foreign text. */
void ctl_table_word(ctl_table_t *table, const char *word);
void ctl_table_text(ctl_table_t *table, s3c_slice_t text);
/* With its heads, each line behind so many spaces. */
void ctl_table_print(const ctl_table_t *table, FILE *out, unsigned indent);

/* Memory, or the end of the program. */
void *ctl_alloc(size_t size);
void *ctl_realloc(void *old, size_t size);
char *ctl_copy(s3c_slice_t text);

#endif

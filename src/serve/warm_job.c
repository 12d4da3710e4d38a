/* SPDX-License-Identifier: Apache-2.0
 *
 * The file: a line for each field, in one order, "name value"; texts are
 * percent-coded. Printed and parsed by the same table.
 */
#include "serve/warm_job.h"

#include "base/crc32c.h"
#include "s3/s3_uri.h"

#define FILE_FIRST  "s3_cache_warmup 1\n"
#define SUM_LINE    (sizeof("sum 01234567\n") - 1)
#define DIGITS_MAX  20u

typedef enum {
    FIELD_U64,
    FIELD_TEXT,
    FIELD_MODE,
    FIELD_STATE,
    FIELD_BOOL,
    FIELD_ID
} field_kind_t;

typedef struct {
    const char    *name;
    field_kind_t   kind;
    size_t         offset;
    uint64_t       max;                  /* of a number, or a text's bytes */
} field_t;

#define FIELD(name, kind, max)                                                \
    { #name, kind, offsetof(s3c_warm_job_t, name), max }
#define COUNT(which, text)                                                    \
    { text, FIELD_U64, offsetof(s3c_warm_job_t, count)                        \
                       + S3C_WARM_N_##which * sizeof(uint64_t), UINT64_MAX },

static const field_t  fields[] = {
    FIELD(id, FIELD_ID, 0),
    FIELD(mode, FIELD_MODE, 0),
    FIELD(state, FIELD_STATE, 0),
    FIELD(list, FIELD_BOOL, 0),
    FIELD(zone, FIELD_TEXT, S3C_WARM_NAME_MAX),
    FIELD(origin, FIELD_TEXT, S3C_WARM_KEY_MAX),
    FIELD(bucket, FIELD_TEXT, S3C_WARM_NAME_MAX),
    FIELD(prefix, FIELD_TEXT, S3C_WARM_KEY_MAX),
    FIELD(concurrency, FIELD_U64, S3C_WARM_CONC_MAX),
    FIELD(rate, FIELD_U64, UINT64_MAX),
    FIELD(begun, FIELD_U64, UINT64_MAX),
    FIELD(ended, FIELD_U64, UINT64_MAX),
    FIELD(list_bytes, FIELD_U64, INT64_MAX),
    FIELD(offset, FIELD_U64, INT64_MAX),
    FIELD(after, FIELD_TEXT, S3C_WARM_KEY_MAX),
    FIELD(error, FIELD_TEXT, S3C_WARM_KEY_MAX),
    S3C_WARM_COUNTS(COUNT)
    FIELD(n_nodes, FIELD_U64, S3C_WARM_NODES_MAX)
};

#define FIELDS  (sizeof(fields) / sizeof(fields[0]))

static const char *const  mode_names[S3C_WARM_MODES] = {
    [S3C_WARM_FETCH] = "warm",
    [S3C_WARM_CHECK] = "check",
    [S3C_WARM_EVICT] = "evict"
};

static const char *const  state_names[S3C_WARM_STATES] = {
    [S3C_WARM_RUNNING] = "running",
    [S3C_WARM_DONE] = "done",
    [S3C_WARM_STOPPED] = "stopped",
    [S3C_WARM_FAILED] = "failed"
};

#define COUNT_NAME(which, text)  [S3C_WARM_N_##which] = text,
static const char *const  count_names[S3C_WARM_N] = {
    S3C_WARM_COUNTS(COUNT_NAME)
};


const char *
s3c_warm_mode_name(s3c_warm_mode_t mode)
{
    return mode_names[mode];
}


const char *
s3c_warm_state_name(s3c_warm_state_t state)
{
    return state_names[state];
}


const char *
s3c_warm_count_name(s3c_warm_count_t count)
{
    return count_names[count];
}


bool
s3c_warm_text_set(s3c_warm_text_t *text, s3c_slice_t s)
{
    text->len = 0;

    if (s.len > sizeof(text->data)) {
        return false;
    }

    if (s.len > 0) {
        memcpy(text->data, s.data, s.len);
    }

    text->len = (uint32_t) s.len;

    return true;
}


bool
s3c_warm_id_ok(s3c_slice_t id)
{
    for (size_t i = 0; i < id.len; i++) {
        uint8_t  c = id.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }

    return id.len == S3C_WARM_ID_BYTES;
}


void
s3c_warm_job_node(s3c_warm_job_t *job, s3c_slice_t name, uint64_t objects,
    uint64_t bytes, uint64_t away)
{
    uint64_t          i;
    s3c_warm_node_t  *node;

    for (i = 0; i < job->n_nodes; i++) {
        node = &job->nodes[i];

        if (s3c_slice_eq(name, s3c_slice(node->name, node->len))) {
            break;
        }
    }

    if (i == S3C_WARM_NODES_MAX || name.len > S3C_WARM_NAME_MAX) {
        return;
    }

    node = &job->nodes[i];

    if (i == job->n_nodes) {
        memset(node, 0, sizeof(*node));
        node->len = (uint8_t) name.len;

        if (name.len > 0) {
            memcpy(node->name, name.data, name.len);
        }

        job->n_nodes++;
    }

    node->objects += objects;
    node->bytes += bytes;
    node->away += away;
}


/* --- print ---------------------------------------------------------------- */

static void
field_print(s3c_writer_t *w, const s3c_warm_job_t *job, const field_t *f)
{
    const uint8_t  *at = (const uint8_t *) job + f->offset;

    s3c_write_str(w, f->name);
    s3c_write_byte(w, ' ');

    switch (f->kind) {

    case FIELD_U64:
        s3c_write_u64(w, *(const uint64_t *) (const void *) at);
        break;

    case FIELD_TEXT:
        s3c_uri_encode(w, s3c_warm_text((const s3c_warm_text_t *)
                                        (const void *) at), true);
        break;

    case FIELD_MODE:
        s3c_write_str(w, mode_names[job->mode]);
        break;

    case FIELD_STATE:
        s3c_write_str(w, state_names[job->state]);
        break;

    case FIELD_BOOL:
        s3c_write_byte(w, job->list ? '1' : '0');
        break;

    case FIELD_ID:
        s3c_write_bytes(w, job->id, S3C_WARM_ID_BYTES);
        break;
    }

    s3c_write_byte(w, '\n');
}


static void
sum_print(s3c_writer_t *w, uint32_t sum)
{
    uint8_t  bytes[4] = { (uint8_t) (sum >> 24), (uint8_t) (sum >> 16),
                          (uint8_t) (sum >> 8), (uint8_t) sum };

    s3c_write_lit(w, "sum ");
    s3c_write_hex(w, bytes, sizeof(bytes));
    s3c_write_byte(w, '\n');
}


void
s3c_warm_job_print(s3c_writer_t *w, const s3c_warm_job_t *job)
{
    uint8_t  *start = w->pos;

    s3c_write_lit(w, FILE_FIRST);

    for (size_t i = 0; i < FIELDS; i++) {
        field_print(w, job, &fields[i]);
    }

    for (uint64_t i = 0; i < job->n_nodes; i++) {
        const s3c_warm_node_t  *node = &job->nodes[i];

        s3c_write_lit(w, "node ");
        s3c_write_u64(w, node->objects);
        s3c_write_byte(w, ' ');
        s3c_write_u64(w, node->bytes);
        s3c_write_byte(w, ' ');
        s3c_write_u64(w, node->away);
        s3c_write_byte(w, ' ');
        s3c_uri_encode(w, s3c_slice(node->name, node->len), false);
        s3c_write_byte(w, '\n');
    }

    if (s3c_writer_ok(w)) {
        sum_print(w, s3c_crc32c(0, start, (size_t) (w->pos - start)));
    }
}


/* --- parse ---------------------------------------------------------------- */

/* What stands before `end`, and skips both. */
static bool
word_take(s3c_slice_t *rest, uint8_t end, s3c_slice_t *word)
{
    const uint8_t  *p = rest->len > 0 ? memchr(rest->data, end, rest->len)
                                      : NULL;

    if (p == NULL) {
        return false;
    }

    *word = s3c_slice(rest->data, (size_t) (p - rest->data));
    rest->len -= word->len + 1;
    rest->data += word->len + 1;

    return true;
}


static bool
number_parse(s3c_slice_t text, uint64_t max, uint64_t *n)
{
    uint64_t  v = 0;

    if (text.len == 0 || text.len > DIGITS_MAX
        || (text.len > 1 && text.data[0] == '0'))
    {
        return false;
    }

    for (size_t i = 0; i < text.len; i++) {
        uint64_t  digit = (uint64_t) text.data[i] - '0';

        if (text.data[i] < '0' || digit > 9
            || v > (UINT64_MAX - digit) / 10)
        {
            return false;
        }

        v = v * 10 + digit;
    }

    *n = v;

    return v <= max;
}


static bool
name_find(s3c_slice_t text, const char *const *names, unsigned n,
    unsigned *found)
{
    for (*found = 0; *found < n; ++*found) {
        if (s3c_slice_eq(text, s3c_slice(names[*found],
                                         strlen(names[*found]))))
        {
            return true;
        }
    }

    return false;
}


static bool
text_parse(s3c_slice_t coded, void *to, size_t max, uint32_t *len)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, to, max);

    if (s3c_uri_decode(&w, coded, false) != S3C_OK || !s3c_writer_ok(&w)) {
        return false;
    }

    *len = (uint32_t) s3c_writer_slice(&w).len;

    return true;
}


static bool
field_parse(s3c_warm_job_t *job, const field_t *f, s3c_slice_t value)
{
    unsigned          found;
    uint8_t          *at = (uint8_t *) job + f->offset;
    s3c_warm_text_t  *text;

    switch (f->kind) {

    case FIELD_U64:
        return number_parse(value, f->max, (uint64_t *) (void *) at);

    case FIELD_TEXT:
        text = (s3c_warm_text_t *) (void *) at;
        return text_parse(value, text->data, (size_t) f->max, &text->len);

    case FIELD_MODE:
        if (!name_find(value, mode_names, S3C_WARM_MODES, &found)) {
            return false;
        }

        job->mode = (s3c_warm_mode_t) found;
        return true;

    case FIELD_STATE:
        if (!name_find(value, state_names, S3C_WARM_STATES, &found)) {
            return false;
        }

        job->state = (s3c_warm_state_t) found;
        return true;

    case FIELD_BOOL:
        job->list = s3c_slice_eq(value, S3C_SLICE("1"));
        return job->list || s3c_slice_eq(value, S3C_SLICE("0"));

    case FIELD_ID:
        if (!s3c_warm_id_ok(value)) {
            return false;
        }

        memcpy(job->id, value.data, S3C_WARM_ID_BYTES);
        return true;
    }

    return false;
}


static bool
node_parse(s3c_warm_node_t *node, s3c_slice_t *rest)
{
    uint32_t     len = 0;
    s3c_slice_t  word;

    if (!word_take(rest, ' ', &word)
        || !s3c_slice_eq(word, S3C_SLICE("node"))
        || !word_take(rest, ' ', &word)
        || !number_parse(word, UINT64_MAX, &node->objects)
        || !word_take(rest, ' ', &word)
        || !number_parse(word, UINT64_MAX, &node->bytes)
        || !word_take(rest, ' ', &word)
        || !number_parse(word, UINT64_MAX, &node->away)
        || !word_take(rest, '\n', &word)
        || !text_parse(word, node->name, S3C_WARM_NAME_MAX, &len))
    {
        return false;
    }

    node->len = (uint8_t) len;

    return true;
}


/* Do the fields go together? */
static bool
job_ok(const s3c_warm_job_t *job)
{
    return job->concurrency >= 1 && job->zone.len >= 1
           && (job->list ? job->bucket.len == 0 && job->prefix.len == 0
                           && job->after.len == 0
                           && job->offset <= job->list_bytes
                         : job->bucket.len >= 1 && job->offset == 0
                           && job->list_bytes == 0);
}


s3c_status_t
s3c_warm_job_parse(s3c_warm_job_t *job, s3c_slice_t file, const char **what)
{
    uint8_t       line[SUM_LINE];
    s3c_slice_t   rest, word;
    s3c_writer_t  w;

    memset(job, 0, sizeof(*job));
    *what = "sum";

    if (file.len < SUM_LINE || file.len > S3C_WARM_FILE_MAX) {
        return S3C_CORRUPT;
    }

    rest = s3c_slice(file.data, file.len - SUM_LINE);
    s3c_writer_init(&w, line, sizeof(line));
    sum_print(&w, s3c_crc32c(0, rest.data, rest.len));

    if (!s3c_slice_eq(s3c_slice(line, SUM_LINE),
                      s3c_slice(file.data + rest.len, SUM_LINE)))
    {
        return S3C_CORRUPT;
    }

    *what = "version";

    if (!word_take(&rest, '\n', &word)
        || !s3c_slice_eq(word, s3c_slice(FILE_FIRST, sizeof(FILE_FIRST) - 2)))
    {
        return S3C_CORRUPT;
    }

    for (size_t i = 0; i < FIELDS; i++) {
        *what = fields[i].name;

        if (!word_take(&rest, ' ', &word)
            || !s3c_slice_eq(word, s3c_slice(*what, strlen(*what)))
            || !word_take(&rest, '\n', &word)
            || !field_parse(job, &fields[i], word))
        {
            return S3C_CORRUPT;
        }
    }

    *what = "node";

    for (uint64_t i = 0; i < job->n_nodes; i++) {
        if (!node_parse(&job->nodes[i], &rest)) {
            return S3C_CORRUPT;
        }
    }

    *what = "what it is";

    return rest.len == 0 && job_ok(job) ? S3C_OK : S3C_CORRUPT;
}

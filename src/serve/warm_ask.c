/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments of a warm-up: a table of which there are, and for what.
 */
#include "serve/warm_ask.h"

#include "s3/s3_query.h"
#include "s3/s3_uri.h"
#include "serve/warm_line.h"

#define BIT(kind)  (1u << (kind))
#define JOB        (BIT(S3C_WARM_ASK_PREFIX) | BIT(S3C_WARM_ASK_LIST))
#define ANY        0x1fu

typedef enum {
    ARG_WARMUP,
    ARG_ZONE,
    ARG_ID,
    ARG_BUCKET,
    ARG_PREFIX,
    ARG_MODE,
    ARG_CONCURRENCY,
    ARG_RATE,
    ARG_ORIGIN,
    ARGS
} arg_t;

typedef char  args_fit[ARGS == S3C_WARM_ASK_ARGS ? 1 : -1];

static const struct {
    s3c_slice_t  name;
    unsigned     allowed;                /* by these kinds */
    size_t       max;
    const char  *wrong;
} rules[ARGS] = {
    [ARG_WARMUP] = { S3C_SLICE("warmup"), ANY, 16,
                     "warmup: prefix, list, stop or a job is needed" },
    [ARG_ZONE] = { S3C_SLICE("zone"), ANY, S3C_WARM_NAME_MAX,
                   "argument zone is wrong" },
    [ARG_ID] = { S3C_SLICE("id"), BIT(S3C_WARM_ASK_STOP), S3C_WARM_ID_BYTES,
                 "argument id is wrong" },
    [ARG_BUCKET] = { S3C_SLICE("bucket"), BIT(S3C_WARM_ASK_PREFIX),
                     S3C_WARM_NAME_MAX, "argument bucket is wrong" },
    [ARG_PREFIX] = { S3C_SLICE("prefix"), BIT(S3C_WARM_ASK_PREFIX),
                     S3C_WARM_KEY_MAX, "argument prefix is wrong" },
    [ARG_MODE] = { S3C_SLICE("mode"), JOB, 8,
                   "mode: warm, check or evict is needed" },
    [ARG_CONCURRENCY] = { S3C_SLICE("concurrency"), JOB, 4,
                          "concurrency: 1 to 256 is needed" },
    [ARG_RATE] = { S3C_SLICE("rate"), JOB, 18,
                   "rate: a number of bytes is needed" },
    [ARG_ORIGIN] = { S3C_SLICE("origin"), JOB, S3C_WARM_KEY_MAX,
                     "argument origin is wrong" }
};


static const char *
args_read(s3c_warm_ask_t *ask, s3c_slice_t query, s3c_slice_t values[ARGS],
    unsigned *given)
{
    unsigned      i;
    uint8_t      *pos = ask->buf;
    s3c_slice_t   name, value;
    s3c_writer_t  w;

    while (s3c_s3_query_next(&query, &name, &value)) {

        for (i = 0; i < ARGS && !s3c_slice_eq(name, rules[i].name); i++) {
            /* void */
        }

        if (i == ARGS) {
            return "an argument that is not known";
        }

        if (*given & BIT(i)) {
            return "an argument that is given twice";
        }

        if (value.len > 0 && memchr(value.data, '+', value.len) != NULL) {
            return "a plus sign: write a plus as %2B, a space as %20";
        }

        s3c_writer_init(&w, pos, rules[i].max);

        if (s3c_uri_decode(&w, value, false) != S3C_OK || !s3c_writer_ok(&w)) {
            return rules[i].wrong;
        }

        *given |= BIT(i);
        values[i] = s3c_writer_slice(&w);
        pos = w.pos;

        if (values[i].len == 0 && i != ARG_WARMUP && i != ARG_PREFIX) {
            return rules[i].wrong;
        }
    }

    return NULL;
}


static const char *
kind_read(s3c_warm_ask_t *ask, s3c_slice_t word)
{
    if (word.len == 0) {
        ask->kind = S3C_WARM_ASK_ALL;

    } else if (s3c_slice_eq(word, S3C_SLICE("prefix"))) {
        ask->kind = S3C_WARM_ASK_PREFIX;

    } else if (s3c_slice_eq(word, S3C_SLICE("list"))) {
        ask->kind = S3C_WARM_ASK_LIST;

    } else if (s3c_slice_eq(word, S3C_SLICE("stop"))) {
        ask->kind = S3C_WARM_ASK_STOP;

    } else if (s3c_warm_id_ok(word)) {
        ask->kind = S3C_WARM_ASK_ONE;
        ask->id = word;

    } else {
        return rules[ARG_WARMUP].wrong;
    }

    return NULL;
}


static bool
number(s3c_slice_t text, uint64_t *n)
{
    *n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }

        *n = *n * 10 + (uint64_t) (text.data[i] - '0');
    }

    return text.len > 0;
}


static const char *
job_read(s3c_warm_ask_t *ask, const s3c_slice_t values[ARGS], unsigned given)
{
    unsigned  mode;

    ask->concurrency = S3C_WARM_CONC;

    if (ask->kind == S3C_WARM_ASK_PREFIX && !(given & BIT(ARG_BUCKET))) {
        return "argument bucket is missing";
    }

    if (values[ARG_BUCKET].len > 0
        && !s3c_warm_bucket_is_name(values[ARG_BUCKET]))
    {
        return rules[ARG_BUCKET].wrong;
    }

    if (given & BIT(ARG_MODE)) {

        for (mode = 0; mode < S3C_WARM_MODES; mode++) {
            const char  *name = s3c_warm_mode_name((s3c_warm_mode_t) mode);

            if (s3c_slice_eq(values[ARG_MODE], s3c_slice(name, strlen(name))))
            {
                break;
            }
        }

        if (mode == S3C_WARM_MODES) {
            return rules[ARG_MODE].wrong;
        }

        ask->mode = (s3c_warm_mode_t) mode;
    }

    if ((given & BIT(ARG_CONCURRENCY))
        && (!number(values[ARG_CONCURRENCY], &ask->concurrency)
            || ask->concurrency == 0
            || ask->concurrency > S3C_WARM_CONC_MAX))
    {
        return rules[ARG_CONCURRENCY].wrong;
    }

    if ((given & BIT(ARG_RATE)) && !number(values[ARG_RATE], &ask->rate)) {
        return rules[ARG_RATE].wrong;
    }

    return NULL;
}


s3c_status_t
s3c_warm_ask_parse(s3c_warm_ask_t *ask, s3c_slice_t query, const char **why)
{
    unsigned     given = 0;
    s3c_slice_t  values[ARGS] = { S3C_SLICE_NONE };

    ask->id = S3C_SLICE_NONE;
    ask->mode = S3C_WARM_FETCH;
    ask->concurrency = 0;
    ask->rate = 0;
    ask->kind = S3C_WARM_ASK_ALL;

    *why = args_read(ask, query, values, &given);

    if (*why == NULL) {
        *why = given & BIT(ARG_WARMUP) ? kind_read(ask, values[ARG_WARMUP])
                                       : rules[ARG_WARMUP].wrong;
    }

    for (unsigned i = 0; *why == NULL && i < ARGS; i++) {
        if ((given & BIT(i)) && !(rules[i].allowed & BIT(ask->kind))) {
            *why = "an argument that does not go with this kind of warm-up";
        }
    }

    if (*why == NULL && (BIT(ask->kind) & JOB)) {
        *why = job_read(ask, values, given);
    }

    if (*why == NULL && ask->kind == S3C_WARM_ASK_STOP) {
        ask->id = values[ARG_ID];
        *why = s3c_warm_id_ok(ask->id) ? NULL : rules[ARG_ID].wrong;
    }

    ask->zone = values[ARG_ZONE];
    ask->origin = values[ARG_ORIGIN];
    ask->bucket = values[ARG_BUCKET];
    ask->prefix = values[ARG_PREFIX];

    return *why == NULL ? S3C_OK : S3C_INVALID;
}

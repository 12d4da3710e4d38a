/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts in words. See stats_alert_view.h; the numbers are those of
 * stats_alert_measure.c.
 */
#include "stats/stats_alert_view.h"

#include "stats/stats_rows.h"

typedef struct {
    const char  *name;
    const char  *severity;
} view_row_t;

static const view_row_t  view_rows[S3C_ALERT_N] = {
#define X(word, name, severity, threshold, well)  { name, severity },
    S3C_ALERTS(X)
#undef X
};

static const char *const  view_advice[S3C_ALERT_N] = {
    [S3C_ALERT_HIT_RATIO] =
        "something new is read, or a purge or restart has emptied the zone; "
        "zone_small says whether it lacks memory",
    [S3C_ALERT_ORIGIN_ERRORS] =
        "look at the origin and the way to it: the error log has connections "
        "that failed, the access log what was answered; "
        "s3_cache_stale_if_error bridges it",
    [S3C_ALERT_ORIGIN_LATENCY] =
        "look at the load of the origin and of the way to it",
    [S3C_ALERT_PEER_DOWN] =
        "start it, or take it out of the ring; if other nodes reach it, look "
        "at the network",
    [S3C_ALERT_FLASH_FAILING] =
        "look at the log of the kernel and at smartctl, and replace the "
        "device; reads go to the origin meanwhile",
    [S3C_ALERT_ZONE_SMALL] =
        "give the zone more memory or a store, or cache less by it",
    [S3C_ALERT_RECOVERY_SLOW] =
        "waiting: old workers or another nginx have it, set "
        "worker_shutdown_timeout; recovering: the device is slow"
};


const char *
s3c_alert_name(s3c_alert_which_t which)
{
    return view_rows[which].name;
}


const char *
s3c_alert_severity(s3c_alert_which_t which)
{
    return view_rows[which].severity;
}


const char *
s3c_alert_advice(s3c_alert_which_t which)
{
    return view_advice[which];
}


s3c_alert_which_t
s3c_alert_find(s3c_slice_t name)
{
    int  i;

    for (i = 0; i < S3C_ALERT_N; i++) {
        if (s3c_slice_eq(name, s3c_slice(view_rows[i].name,
                                         strlen(view_rows[i].name))))
        {
            break;
        }
    }

    return (s3c_alert_which_t) i;
}


/* --- words -------------------------------------------------------------------- */

static void
view_percent(s3c_writer_t *w, uint64_t thousandths)
{
    s3c_write_u64(w, thousandths / 10);
    s3c_write_byte(w, '.');
    s3c_write_u64(w, thousandths % 10);
    s3c_write_lit(w, " %");
}


static void
view_bytes(s3c_writer_t *w, uint64_t bytes)
{
    uint64_t  tenths;
    unsigned  i = 0;

    static const char *const  units[] = { " MiB", " GiB", " TiB" };

    /* below 100 KiB it is 0.0: nothing to buy for */

    tenths = bytes / 1024 * 10 / 1024;

    while (tenths >= 10240 && i < 2) {
        tenths /= 1024;
        i++;
    }

    s3c_write_u64(w, tenths / 10);
    s3c_write_byte(w, '.');
    s3c_write_u64(w, tenths % 10);
    s3c_write_str(w, units[i]);
}


static void
view_ms(s3c_writer_t *w, uint64_t usec)
{
    s3c_write_u64(w, (usec + 500) / 1000);
    s3c_write_lit(w, " ms");
}


static void
view_window(s3c_writer_t *w, uint64_t window_ms)
{
    s3c_write_lit(w, " in the last ");
    s3c_stats_write_seconds(w, window_ms * 1000);
    s3c_write_lit(w, " s");
}


/* "2 of 3 " */
static void
view_of(s3c_writer_t *w, uint64_t n, uint64_t all)
{
    s3c_write_u64(w, n);
    s3c_write_lit(w, " of ");
    s3c_write_u64(w, all);
    s3c_write_byte(w, ' ');
}


static void
view_subject(s3c_writer_t *w, const char *before, const s3c_alert_measure_t *m)
{
    s3c_slice_t  rest = s3c_slice(m->subject, m->subject_len);

    if (rest.len > S3C_ALERT_SUBJECT) {
        rest.len = S3C_ALERT_SUBJECT;
    }

    if (rest.len == 0) {
        return;
    }

    s3c_write_str(w, before);

    /* a log is of lines, and who reads it may have a terminal */

    while (rest.len > 0) {
        s3c_slice_t  c = s3c_stats_text_next(&rest);

        if (c.data[0] < 0x20 || c.data[0] == 0x7f) {
            s3c_write_byte(w, '?');

        } else {
            s3c_write_slice(w, c);
        }
    }
}


void
s3c_alert_write_text(s3c_writer_t *w, s3c_alert_which_t which,
    const s3c_alert_measure_t *m, uint64_t window_ms)
{
    const uint64_t  *n = m->number;

    switch (which) {

    case S3C_ALERT_HIT_RATIO:
        view_percent(w, n[0]);
        s3c_write_lit(w, " of ");
        s3c_write_u64(w, n[2]);
        s3c_write_lit(w, " reads were hits");
        view_window(w, window_ms);
        s3c_write_lit(w, ", usually ");
        view_percent(w, n[1]);
        break;

    case S3C_ALERT_ORIGIN_ERRORS:
        view_of(w, n[0], n[1]);
        s3c_write_lit(w, "requests to the origin failed");
        view_window(w, window_ms);
        view_subject(w, ", most of them: ", m);
        break;

    case S3C_ALERT_ORIGIN_LATENCY:
        s3c_write_lit(w, "one in ten of ");
        s3c_write_u64(w, n[2]);
        s3c_write_lit(w, " answers of the origin took over ");
        view_ms(w, n[0]);
        s3c_write_lit(w, " to begin");
        view_window(w, window_ms);
        s3c_write_lit(w, ", usually ");
        view_ms(w, n[1]);
        break;

    case S3C_ALERT_PEER_DOWN:
        view_of(w, n[0], n[1]);
        s3c_write_lit(w, "other nodes do not answer");
        view_subject(w, ": ", m);
        break;

    case S3C_ALERT_FLASH_FAILING:
        view_of(w, n[0], n[1]);
        s3c_write_lit(w, "stores are out of service");
        view_subject(w, ": ", m);
        s3c_write_lit(w, "; ");
        s3c_write_u64(w, n[2]);
        s3c_write_lit(w, " errors of the device");
        view_window(w, window_ms);
        break;

    case S3C_ALERT_ZONE_SMALL:
        view_of(w, n[0], n[1]);
        s3c_write_lit(w, "new entries");
        view_window(w, window_ms);
        s3c_write_lit(w, " had been evicted shortly before; up to ");
        view_bytes(w, n[2]);
        s3c_write_lit(w, " more than the ");
        view_bytes(w, n[3]);
        s3c_write_lit(w, " that it has would have kept what came back");
        break;

    case S3C_ALERT_RECOVERY_SLOW:
        s3c_write_u64(w, n[0]);
        s3c_write_lit(w, " stores are not in service yet, for ");
        s3c_write_u64(w, n[1]);
        s3c_write_lit(w, " s");
        view_subject(w, ": ", m);
        s3c_write_lit(w, "; segments read: ");
        s3c_write_u64(w, n[2]);
        s3c_write_lit(w, " of ");
        s3c_write_u64(w, n[3]);
        break;

    case S3C_ALERT_N:
        break;
    }
}

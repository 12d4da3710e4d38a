/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over a zone's memory (s3_cache_zone ... scrub=): its pace, and what
 * is said of what it finds. One worker walks; the others look every second
 * whether they may. That of flash is the keeper's, src/ssd/ssd_scrub.c.
 */

#include "ngx_http_s3_cache_module.h"

#include "s3/s3_uri.h"


#define SLICE_BYTES  (128 * 1024)      /* in one turn of the event loop */
#define SLOW_MSEC    1000              /* between two passes, two tries */

#define LINES_A_MINUTE  10             /* of a zone, in the log */


static void ngx_http_s3_cache_scrub_tick(ngx_event_t *ev);
static ngx_msec_t ngx_http_s3_cache_scrub_some(
    ngx_http_s3_cache_zone_t *zone);
static void ngx_http_s3_cache_scrub_bad(void *ctx, const s3c_ram_pin_t *pin);


void
ngx_http_s3_cache_scrub_init(ngx_cycle_t *cycle,
    ngx_http_s3_cache_zone_t *zone)
{
    if (zone->scrub == 0) {
        return;
    }

    s3c_ram_sums(zone->ram, s3c_record_skip);

    zone->scrub_event.handler = ngx_http_s3_cache_scrub_tick;
    zone->scrub_event.data = zone;
    zone->scrub_event.log = cycle->log;
    zone->scrub_event.cancelable = 1;

    ngx_add_timer(&zone->scrub_event, SLOW_MSEC);
}


void
ngx_http_s3_cache_scrub_exit(ngx_http_s3_cache_zone_t *zone)
{
    if (zone->scrub_event.timer_set) {
        ngx_del_timer(&zone->scrub_event);
    }

    s3c_ram_scrub_end(zone->ram);
}


static void
ngx_http_s3_cache_scrub_tick(ngx_event_t *ev)
{
    ngx_http_s3_cache_zone_t *zone = ev->data;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        /* it may have clients for hours: a new one goes on */
        s3c_ram_scrub_end(zone->ram);
        return;
    }

    if (s3c_ram_scrub_begin(zone->ram, ngx_http_s3_cache_scrub_bad, zone)
        != S3C_OK)
    {
        ngx_add_timer(ev, SLOW_MSEC);
        return;
    }

    ngx_add_timer(ev, ngx_http_s3_cache_scrub_some(zone));
}


/* One slice; answers when the next is due. */

static ngx_msec_t
ngx_http_s3_cache_scrub_some(ngx_http_s3_cache_zone_t *zone)
{
    off_t                slice;
    s3c_stats_t         *stats;
    s3c_ram_scrubbed_t   found;

    ngx_memzero(&found, sizeof(s3c_ram_scrubbed_t));
    stats = &zone->stats;

    slice = ngx_max(SLICE_BYTES, zone->scrub / 1000);
    slice = ngx_min(slice, zone->scrub);

    s3c_ram_scrub(zone->ram, (uint32_t) slice, &found);

    s3c_stats_add(stats, S3C_STAT_SCRUB_ENTRIES, found.entries);
    s3c_stats_add(stats, S3C_STAT_SCRUB_BYTES, found.bytes);
    s3c_stats_add(stats, S3C_STAT_SCRUB_SEALED, found.sealed);
    s3c_stats_add(stats, S3C_STAT_SCRUB_BAD, found.bad);
    s3c_stats_add(stats, S3C_STAT_SCRUB_PASSES, found.passes);

    if (found.passes > 0) {
        return SLOW_MSEC;
    }

    /* it may have been more, to end an entry; or less, of many that are free */

    slice = ngx_max(slice, (off_t) found.bytes);

    return ngx_max((ngx_msec_t) (slice * 1000 / zone->scrub), 1);
}


/* Its name, if it is an object's record: that of a block is not known. Of many
 * only some are told: they are counted. */

static void
ngx_http_s3_cache_scrub_bad(void *ctx, const s3c_ram_pin_t *pin)
{
    ngx_http_s3_cache_zone_t *zone = ctx;

    int                     n;
    size_t                  size;
    u_char                  buf[1024];
    s3c_slice_t             bucket, key, name;
    s3c_writer_t            w;
    struct iovec            iov;
    const s3c_record_sh_t  *rec;

    if (ngx_time() / 60 != zone->scrub_minute) {
        zone->scrub_minute = ngx_time() / 60;
        zone->scrub_lines = 0;
    }

    if (zone->scrub_lines == LINES_A_MINUTE) {
        return;
    }

    zone->scrub_lines++;
    n = 1;
    size = s3c_ram_size(zone->ram, pin);
    name = S3C_SLICE("a block");

    if (s3c_ram_span(zone->ram, pin, 0, size, &iov, &n) > sizeof(*rec)
        && s3c_record_skip(iov.iov_base, iov.iov_len) > 0)
    {
        rec = iov.iov_base;

        s3c_writer_init(&w, buf, sizeof(buf));
        s3c_write_lit(&w, "an object");

        if (s3c_ident_names(s3c_slice((u_char *) iov.iov_base + sizeof(*rec),
                                      ngx_min(rec->ident_bytes,
                                              iov.iov_len - sizeof(*rec))),
                            &bucket, &key)
            == S3C_OK)
        {
            s3c_write_lit(&w, " of \"");
            s3c_uri_encode(&w, bucket, false);
            s3c_write_byte(&w, '/');
            s3c_uri_encode(&w, key, true);
            s3c_write_byte(&w, '"');
        }

        name = s3c_writer_ok(&w) ? s3c_writer_slice(&w)
                                 : S3C_SLICE("an object");
    }

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "s3_cache_zone \"%V\": %uz bytes in memory have changed, "
                  "%*s is dropped%s", &zone->name, size, name.len, name.data,
                  zone->scrub_lines == LINES_A_MINUTE
                  ? "; more of this minute are only counted" : "");
}

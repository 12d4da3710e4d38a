/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP dates: pure functions, no time zone, no locale, no libc calendar.
 * The name of the weekday must be one, but need not be the right one: the
 * other fields decide, as in every server.
 *
 * LIMITS: a two-digit year (RFC 850 form) is 1970..2069. RFC 9110 5.6.7 asks
 * for "not more than 50 years in the future", which needs the present time;
 * a fixed pivot keeps the function pure and is what nginx does.
 */
#include "http/http_date.h"

#define DATE_SEC_MIN  (-62135596800LL)     /* 0001-01-01 00:00:00 */
#define DATE_SEC_MAX  253402300799LL       /* 9999-12-31 23:59:59 */


static const char  date_days[7][10] = {
    "Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday",
    "Wednesday"                            /* 1970-01-01 was a Thursday */
};

static const char  date_months[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};


/* What is still unread; `bad` sticks. */
typedef struct {
    const uint8_t  *p;
    const uint8_t  *end;
    bool            bad;
} date_reader_t;

typedef struct {
    unsigned  year, month, day;            /* month 0..11 */
    unsigned  hour, minute, second;
} date_fields_t;


static void
date_read_lit(date_reader_t *r, const char *lit)
{
    size_t  n = strlen(lit);

    if (r->bad || (size_t) (r->end - r->p) < n || memcmp(r->p, lit, n) != 0) {
        r->bad = true;
        return;
    }

    r->p += n;
}


static unsigned
date_read_digits(date_reader_t *r, unsigned n)
{
    unsigned  v = 0;

    if (r->bad || (size_t) (r->end - r->p) < n) {
        r->bad = true;
        return 0;
    }

    for (unsigned i = 0; i < n; i++, r->p++) {
        if (*r->p < '0' || *r->p > '9') {
            r->bad = true;
            return 0;
        }

        v = v * 10 + (unsigned) (*r->p - '0');
    }

    return v;
}


static unsigned
date_read_month(date_reader_t *r)
{
    if (!r->bad && r->end - r->p >= 3) {
        for (unsigned i = 0; i < 12; i++) {
            if (memcmp(r->p, date_months[i], 3) == 0) {
                r->p += 3;
                return i;
            }
        }
    }

    r->bad = true;
    return 0;
}


static void
date_read_clock(date_reader_t *r, date_fields_t *f)
{
    f->hour = date_read_digits(r, 2);
    date_read_lit(r, ":");
    f->minute = date_read_digits(r, 2);
    date_read_lit(r, ":");
    f->second = date_read_digits(r, 2);
}


/* Skips the weekday, short or long; answers which of both, 0 when neither. */
static size_t
date_read_weekday(date_reader_t *r)
{
    size_t  left = (size_t) (r->end - r->p);

    for (unsigned i = 0; i < 7; i++) {
        size_t  n = strlen(date_days[i]);

        if (left >= n && memcmp(r->p, date_days[i], n) == 0) {
            r->p += n;
            return n;
        }

        if (left >= 3 && memcmp(r->p, date_days[i], 3) == 0
            && (left == 3 || r->p[3] == ',' || r->p[3] == ' '))
        {
            r->p += 3;
            return 3;
        }
    }

    r->bad = true;
    return 0;
}


/* " 06 Nov 1994 08:49:37 GMT" after "Sun," */
static void
date_read_imf(date_reader_t *r, date_fields_t *f)
{
    date_read_lit(r, ", ");
    f->day = date_read_digits(r, 2);
    date_read_lit(r, " ");
    f->month = date_read_month(r);
    date_read_lit(r, " ");
    f->year = date_read_digits(r, 4);
    date_read_lit(r, " ");
    date_read_clock(r, f);
    date_read_lit(r, " GMT");
}


/* ", 06-Nov-94 08:49:37 GMT" after "Sunday" */
static void
date_read_rfc850(date_reader_t *r, date_fields_t *f)
{
    date_read_lit(r, ", ");
    f->day = date_read_digits(r, 2);
    date_read_lit(r, "-");
    f->month = date_read_month(r);
    date_read_lit(r, "-");
    f->year = date_read_digits(r, 2);
    f->year += f->year < 70 ? 2000 : 1900;
    date_read_lit(r, " ");
    date_read_clock(r, f);
    date_read_lit(r, " GMT");
}


/* " Nov  6 08:49:37 1994" after "Sun" */
static void
date_read_asctime(date_reader_t *r, date_fields_t *f)
{
    date_read_lit(r, " ");
    f->month = date_read_month(r);
    date_read_lit(r, " ");

    if (!r->bad && r->p < r->end && *r->p == ' ') {
        r->p++;
        f->day = date_read_digits(r, 1);

    } else {
        f->day = date_read_digits(r, 2);
    }

    date_read_lit(r, " ");
    date_read_clock(r, f);
    date_read_lit(r, " ");
    f->year = date_read_digits(r, 4);
}


static bool
date_is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}


static bool
date_fields_are_valid(const date_fields_t *f)
{
    static const uint8_t  days[12] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };
    unsigned              last;

    last = days[f->month] + (f->month == 1 && date_is_leap(f->year) ? 1 : 0);

    return f->year >= 1 && f->day >= 1 && f->day <= last && f->hour <= 23
           && f->minute <= 59
           && f->second <= 60;             /* a leap second */
}


/* Days since 1970-01-01 in the proleptic Gregorian calendar; the year begins
 * in March so that the leap day is its last. */
static int64_t
date_days_from_civil(const date_fields_t *f)
{
    int64_t  y = (int64_t) f->year - (f->month < 2 ? 1 : 0);
    int64_t  m = (f->month + 10) % 12;     /* March is 0 */
    int64_t  era = y / 400, yoe = y % 400;
    int64_t  doy = (153 * m + 2) / 5 + (int64_t) f->day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}


s3c_status_t
s3c_http_date_parse(s3c_slice_t text, int64_t *sec)
{
    size_t         weekday;
    date_fields_t  f = { 0, 0, 0, 0, 0, 0 };
    date_reader_t  r;

    if (text.len == 0) {                   /* NULL + 0 is undefined */
        return S3C_INVALID;
    }

    r = (date_reader_t) { text.data, text.data + text.len, false };
    weekday = date_read_weekday(&r);

    if (weekday > 3) {
        date_read_rfc850(&r, &f);

    } else if (r.p < r.end && *r.p == ',') {
        date_read_imf(&r, &f);

    } else {
        date_read_asctime(&r, &f);
    }

    if (r.bad || r.p != r.end || !date_fields_are_valid(&f)) {
        return S3C_INVALID;
    }

    *sec = date_days_from_civil(&f) * 86400
           + f.hour * 3600 + f.minute * 60 + f.second;

    return S3C_OK;
}


static void
date_print_digits(uint8_t *p, unsigned n, int64_t v)
{
    while (n-- > 0) {
        p[n] = (uint8_t) ('0' + v % 10);
        v /= 10;
    }
}


void
s3c_http_date_print(int64_t sec, uint8_t out[S3C_HTTP_DATE_BYTES])
{
    int64_t  days, era, doe, yoe, doy, mp, year, month, day, clock;

    if (sec < DATE_SEC_MIN) {
        sec = DATE_SEC_MIN;
    }

    if (sec > DATE_SEC_MAX) {
        sec = DATE_SEC_MAX;
    }

    sec -= DATE_SEC_MIN;                   /* from here on nothing is < 0 */
    clock = sec % 86400;
    days = sec / 86400;

    doe = days + 306;                      /* since 0000-03-01 */
    era = doe / 146097;
    doe %= 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    day = doy - (153 * mp + 2) / 5 + 1;
    month = (mp + 2) % 12;
    year = era * 400 + yoe + (month < 2 ? 1 : 0);

    memcpy(out, "Mon, 00 Jan 0000 00:00:00 GMT", S3C_HTTP_DATE_BYTES);
    memcpy(out, date_days[(days + 4) % 7], 3);
    date_print_digits(out + 5, 2, day);
    memcpy(out + 8, date_months[month], 3);
    date_print_digits(out + 12, 4, year);
    date_print_digits(out + 17, 2, clock / 3600);
    date_print_digits(out + 20, 2, clock / 60 % 60);
    date_print_digits(out + 23, 2, clock % 60);
}

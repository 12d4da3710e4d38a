/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of ctl_text.h, to be read by people and from them.
 */
#include "ctl/ctl_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define NUMBER_SLOTS  16
#define NUMBER_BYTES  48

static const char  number_units[] = "kmgtpe";


/* One after the other, so that a line can hold many. */
static char *
number_slot(void)
{
    static char      slots[NUMBER_SLOTS][NUMBER_BYTES];
    static unsigned  turn;

    return slots[turn++ % NUMBER_SLOTS];
}


const char *
ctl_count(uint64_t n)
{
    char    digits[24], *slot = number_slot(), *p = slot;
    size_t  len = (size_t) snprintf(digits, sizeof(digits), "%llu",
                                    (unsigned long long) n);

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            *p++ = ',';
        }

        *p++ = digits[i];
    }

    *p = '\0';

    return slot;
}


/* Three digits that count, with a unit of powers of `base`. */
static const char *
number_scaled(double n, double base, const char *const *units,
    const char *after)
{
    char      *slot = number_slot();
    unsigned   i = 0;

    if (!(n >= 0)) {
        n = 0;
    }

    /* 999.5 would be shown as four digits */
    while (n >= (i == 0 ? base : 999.5) && units[i + 1] != NULL) {
        n /= base;
        i++;
    }

    (void) snprintf(slot, NUMBER_BYTES, "%.*f%s%s",
                    i == 0 ? (n < 10 && n != floor(n))
                           : n < 9.995 ? 2 : n < 99.95 ? 1 : 0,
                    n, units[i], after);

    return slot;
}


const char *
ctl_bytes(uint64_t n)
{
    static const char *const  units[] = {
        " B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB", NULL
    };

    return number_scaled((double) n, 1024, units, "");
}


const char *
ctl_byte_rate(double per_s)
{
    static const char *const  units[] = {
        " B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB", NULL
    };

    return number_scaled(per_s, 1024, units, "/s");
}


const char *
ctl_rate(double per_s)
{
    static const char *const  units[] = { "", "k", "M", "G", "T", NULL };

    return number_scaled(per_s, 1000, units, "");
}


const char *
ctl_share(double part, double of)
{
    char  *slot = number_slot();

    if (!(of > 0)) {
        return "-";
    }

    /* rounded down: 100 % says that there is nothing else */
    (void) snprintf(slot, NUMBER_BYTES, "%.1f %%",
                    floor(part / of * 1000) / 10);

    return slot;
}


const char *
ctl_seconds(double s)
{
    char  *slot = number_slot();

    if (!(s >= 0)) {
        return "-";
    }

    if (s < 0.0009995) {
        (void) snprintf(slot, NUMBER_BYTES, "%.0f us", s * 1e6);

    } else if (s < 0.9995) {
        (void) snprintf(slot, NUMBER_BYTES, "%.3g ms", s * 1e3);

    } else {
        (void) snprintf(slot, NUMBER_BYTES, "%.3g s", s < 999 ? s : floor(s));
    }

    return slot;
}


const char *
ctl_span(uint64_t s)
{
    char                *slot = number_slot();
    unsigned long long   n = s;

    if (n < 60) {
        (void) snprintf(slot, NUMBER_BYTES, "%llus", n);

    } else if (n < 3600) {
        (void) snprintf(slot, NUMBER_BYTES, "%llum %02llus", n / 60, n % 60);

    } else if (n < 86400) {
        (void) snprintf(slot, NUMBER_BYTES, "%lluh %02llum", n / 3600,
                        n / 60 % 60);

    } else {
        (void) snprintf(slot, NUMBER_BYTES, "%llud %02lluh", n / 86400,
                        n / 3600 % 24);
    }

    return slot;
}


/* strtod() would take a sign, spaces, "inf" and hexadecimal. */
static bool
number_read(const char *text, double *n, const char **end)
{
    char  *stop;

    if ((text[0] < '0' || text[0] > '9') || strpbrk(text, "xXpP") != NULL) {
        return false;
    }

    errno = 0;
    *n = strtod(text, &stop);
    *end = stop;

    return errno == 0;
}


bool
ctl_size_parse(const char *text, uint64_t *n)
{
    double       value;
    const char  *end, *unit;

    if (!number_read(text, &value, &end)) {
        return false;
    }

    if (*end != '\0') {
        unit = strchr(number_units, *end | 0x20);

        if (unit != NULL && *unit != '\0') {
            value = ldexp(value, 10 * (int) (unit - number_units + 1));
            end++;

            if (*end == 'i' && (end[1] | 0x20) == 'b') {
                end++;
            }
        }

        if ((*end | 0x20) == 'b') {
            end++;
        }
    }

    if (*end != '\0' || !(value < 9007199254740992.0)) {
        return false;
    }

    *n = (uint64_t) value;

    return true;
}


bool
ctl_time_parse(const char *text, double *s)
{
    const char                 *end;
    static const struct {
        const char  *name;
        double       s;
    } units[] = {
        { "", 1 }, { "s", 1 }, { "ms", 0.001 }, { "m", 60 }, { "h", 3600 },
        { "d", 86400 }
    };

    if (!number_read(text, s, &end)) {
        return false;
    }

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].name) == 0) {
            *s *= units[i].s;
            return *s <= 366.0 * 86400;
        }
    }

    return false;
}


bool
ctl_number_parse(const char *text, uint64_t *n)
{
    char  *end;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }

    errno = 0;
    *n = strtoull(text, &end, 10);

    return errno == 0 && *end == '\0';
}

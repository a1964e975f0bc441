/* units.c - see units.h. */
#include "noodle/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scale {
    const char *name;
    double factor;
} scale;

/* clang-format off */
static const scale bytes[] = {
    { "B", 1 },
    { "kB", 1e3 }, { "MB", 1e6 }, { "GB", 1e9 }, { "TB", 1e12 },
    { "KiB", 1024.0 }, { "MiB", 1048576.0 }, { "GiB", 1073741824.0 },
    { "TiB", 1099511627776.0 },
    { NULL, 0 },
};
static const scale sec[] = {
    { "s", 1 }, { "ms", 1e-3 }, { "us", 1e-6 }, { "ns", 1e-9 }, { NULL, 0 },
};
static const scale bytes_per_sec[] = {
    { "B/s", 1 },
    { "kB/s", 1e3 }, { "MB/s", 1e6 }, { "GB/s", 1e9 }, { "TB/s", 1e12 },
    { "KiB/s", 1024.0 }, { "MiB/s", 1048576.0 }, { "GiB/s", 1073741824.0 },
    { "TiB/s", 1099511627776.0 },
    { "Mbit/s", 1e6 / 8 }, { "Gbit/s", 1e9 / 8 }, { "Tbit/s", 1e12 / 8 },
    { NULL, 0 },
};
static const scale flop_per_sec[] = {
    { "FLOP/s", 1 }, { "MFLOP/s", 1e6 }, { "GFLOP/s", 1e9 },
    { "TFLOP/s", 1e12 }, { "PFLOP/s", 1e15 },
    { "FLOPS", 1 }, { "MFLOPS", 1e6 }, { "GFLOPS", 1e9 },
    { "TFLOPS", 1e12 }, { "PFLOPS", 1e15 },
    { NULL, 0 },
};

/* For people: ascending; the binary bytes, since memory is sold in them. */
static const scale show_bytes[] = {
    { "B", 1 }, { "KiB", 1024.0 }, { "MiB", 1048576.0 },
    { "GiB", 1073741824.0 }, { "TiB", 1099511627776.0 }, { NULL, 0 },
};
static const scale show_sec[] = {
    { "ns", 1e-9 }, { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 }, { NULL, 0 },
};
static const scale show_bytes_per_sec[] = {
    { "B/s", 1 }, { "kB/s", 1e3 }, { "MB/s", 1e6 }, { "GB/s", 1e9 },
    { "TB/s", 1e12 }, { NULL, 0 },
};
static const scale show_flop_per_sec[] = {
    { "FLOP/s", 1 }, { "MFLOP/s", 1e6 }, { "GFLOP/s", 1e9 },
    { "TFLOP/s", 1e12 }, { "PFLOP/s", 1e15 }, { NULL, 0 },
};

static const struct unit {
    const scale *read, *show;
    int digits;
} units[] = {
    [NDL_UNIT_BYTES] = { bytes, show_bytes, 1 },
    [NDL_UNIT_SEC] = { sec, show_sec, 1 },
    [NDL_UNIT_BYTES_PER_SEC] = { bytes_per_sec, show_bytes_per_sec, 1 },
    [NDL_UNIT_FLOP_PER_SEC] = { flop_per_sec, show_flop_per_sec, 2 },
};
/* clang-format on */

static const char *skip_digits(const char *at)
{
    return at + strspn(at, "0123456789");
}

/* The end of a decimal number at `text`, NULL if there is none: strtod would
 * also take signs, "inf", "nan" and hexadecimals. */
static const char *number_end(const char *text)
{
    const char *at = skip_digits(text);
    size_t n_digits = (size_t)(at - text);
    if (*at == '.') {
        const char *fraction = at + 1;
        at = skip_digits(fraction);
        n_digits += (size_t)(at - fraction);
    }
    if (n_digits == 0) return NULL;
    if (*at == 'e' || *at == 'E') {
        const char *digits = at + 1 + (at[1] == '+' || at[1] == '-');
        const char *end = skip_digits(digits);
        if (end == digits) return NULL;
        at = end;
    }
    return at;
}

bool ndl_units_parse(const char *text, ndl_unit unit, double *out)
{
    const char *end = number_end(text);
    if (!end) return false;
    double v = strtod(text, NULL);
    end += strspn(end, " ");
    if (*end != '\0') {
        const scale *s = units[unit].read;
        while (s->name && strcmp(s->name, end) != 0) s++;
        if (!s->name) return false;
        v *= s->factor;
    }
    if (!isfinite(v)) return false;
    *out = v;
    return true;
}

char *ndl_units_text(double v, ndl_unit unit, char *buf, size_t cap)
{
    const scale *s = units[unit].show;
    const int digits = units[unit].digits;
    const double rounding = 0.5 * pow(10.0, -digits);
    const double step = unit == NDL_UNIT_BYTES ? 1024.0 : 1000.0;
    if (!isfinite(v)) {
        snprintf(buf, cap, "%s", "?");
        return buf;
    }
    /* What would be rounded up to the next unit is shown in that one. */
    while (s[1].name && v >= (step - rounding) * s->factor) s++;
    if (v == 0 && unit == NDL_UNIT_SEC)
        snprintf(buf, cap, "%s", "0 s");
    else
        snprintf(buf, cap, "%.*f %s",
                 s->factor == 1 && step == 1024 ? 0 : digits, v / s->factor,
                 s->name);
    return buf;
}

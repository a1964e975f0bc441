/* entry.c - see entry.h. */
#include "entry.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

ndl_status ndl_entry_fail(const ndl_entry *f, const char *name,
                          const char *reason)
{
    return NDL_FAIL(NDL_EDATA, "%s: %s%s%.64s: %s", f->what, f->where,
                    f->where[0] ? ": " : "", name, reason);
}

static bool is_in(const char *const *list, const char *name)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0) return true;
    return false;
}

static ndl_status fail_unknown(const ndl_entry *f, const char *name,
                               const char *const *known)
{
    char reason[512] = "unknown field: allowed are";
    for (; *known; known++) {
        const size_t n = strlen(reason);
        snprintf(reason + n, sizeof reason - n, " %s%s", *known,
                 known[1] ? "," : "");
    }
    return ndl_entry_fail(f, name, reason);
}

ndl_status ndl_entry_check(const ndl_entry *f, const char *const *known)
{
    const char *name;
    json_t *value;
    if (!json_is_object(f->object))
        return NDL_FAIL(NDL_EDATA, "%s: %s%snot an object: give fields %s, ...",
                        f->what, f->where, f->where[0] ? ": " : "", known[0]);
    json_object_foreach((json_t *)f->object, name, value)
    {
        (void)value;
        if (!is_in(known, name)) return fail_unknown(f, name, known);
    }
    return NDL_OK;
}

bool ndl_entry_has(const ndl_entry *f, const char *name)
{
    return json_object_get(f->object, name) != NULL;
}

static ndl_status get(const ndl_entry *f, const char *name, const json_t **out)
{
    const json_t *v = json_object_get(f->object, name);
    if (!v) return ndl_entry_fail(f, name, "is missing: give it");
    *out = v;
    return NDL_OK;
}

ndl_status ndl_entry_text(const ndl_entry *f, const char *name, char *out,
                          size_t cap)
{
    const json_t *v = NULL;
    char reason[128];
    NDL_TRY(get(f, name, &v));
    if (!json_is_string(v))
        return ndl_entry_fail(f, name, "not a text: put it in quotes");
    const char *text = json_string_value(v);
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 32 || (unsigned char)text[i] > 126)
            return ndl_entry_fail(f, name,
                                  "has other than printable ASCII: use "
                                  "letters, digits and signs");
    if (n >= cap) {
        snprintf(reason, sizeof reason, "is too long: at most %zu characters",
                 cap - 1);
        return ndl_entry_fail(f, name, reason);
    }
    memcpy(out, text, n + 1);
    return NDL_OK;
}

ndl_status ndl_entry_count(const ndl_entry *f, const char *name, int64_t max,
                           int64_t *out)
{
    const json_t *v = NULL;
    char reason[128];
    NDL_TRY(get(f, name, &v));
    const int64_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    if (n < 0 || n > max) {
        snprintf(reason, sizeof reason,
                 "not allowed: give a whole number from 0 to %" PRId64, max);
        return ndl_entry_fail(f, name, reason);
    }
    *out = n;
    return NDL_OK;
}

ndl_status ndl_entry_int(const ndl_entry *f, const char *name, int min, int max,
                         int *out)
{
    const json_t *v = NULL;
    char reason[128];
    NDL_TRY(get(f, name, &v));
    const json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < min || n > max) {
        snprintf(reason, sizeof reason,
                 "not allowed: give a whole number from %d to %d", min, max);
        return ndl_entry_fail(f, name, reason);
    }
    *out = (int)n;
    return NDL_OK;
}

ndl_status ndl_entry_real(const ndl_entry *f, const char *name, double min,
                          double max, double *out)
{
    const json_t *v = NULL;
    char reason[128];
    NDL_TRY(get(f, name, &v));
    const double x = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(x >= min && x <= max)) {
        snprintf(reason, sizeof reason,
                 "not allowed: give a number from %g to %g", min, max);
        return ndl_entry_fail(f, name, reason);
    }
    *out = x;
    return NDL_OK;
}

ndl_status ndl_entry_bool(const ndl_entry *f, const char *name, bool *out)
{
    const json_t *v = NULL;
    NDL_TRY(get(f, name, &v));
    if (!json_is_boolean(v))
        return ndl_entry_fail(f, name, "not allowed: give true or false");
    *out = json_is_true(v);
    return NDL_OK;
}

ndl_status ndl_entry_quantity(const ndl_entry *f, const char *name,
                              const ndl_quantity *q, double *out)
{
    const json_t *v = NULL;
    char reason[200];
    double x = NAN;
    NDL_TRY(get(f, name, &v));
    if (json_is_number(v))
        x = json_number_value(v);
    else if (json_is_string(v))
        (void)ndl_units_parse(json_string_value(v), q->unit, &x);
    if (!(x >= q->min && x <= q->max)) {
        const char *text = json_string_value(v);
        snprintf(reason, sizeof reason, "%.40s%snot allowed: give %s",
                 text ? text : "", text ? " is " : "", q->allowed);
        return ndl_entry_fail(f, name, reason);
    }
    *out = x;
    return NDL_OK;
}

/* model_fields.c - see model_fields.h. */
#include "model_fields.h"

#include <math.h>

static const char *kind_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a text";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    default: return "a number";
    }
}

static ndl_status fail_missing(const ndl_fields *f, const char *name)
{
    return NDL_FAIL(NDL_EDATA, "%s: no %s: take the model's complete file",
                    f->what, name);
}

static ndl_status fail_kind(const ndl_fields *f, const char *name,
                            const json_t *v, const char *wanted)
{
    return NDL_FAIL(NDL_EDATA, "%s: %s is %s: it must be %s", f->what, name,
                    kind_of(v), wanted);
}

const json_t *ndl_fields_get(const ndl_fields *f, const char *name)
{
    const json_t *v = json_object_get(f->object, name);
    return v && !json_is_null(v) ? v : NULL;
}

/* Whole numbers up to 2^53 are exact as doubles; nobody counts further. */
static bool whole(const json_t *v, double *out)
{
    const double x = json_number_value(v);
    if (!(fabs(x) <= 9007199254740992.0) || x != floor(x)) return false;
    *out = x;
    return true;
}

ndl_status ndl_fields_count(const ndl_fields *f, const char *name, int max,
                            int fallback, int *out)
{
    const json_t *v = ndl_fields_get(f, name);
    double x = 0;
    if (!v && fallback == NDL_FIELD_REQUIRED) return fail_missing(f, name);
    if (!v) {
        *out = fallback;
        return NDL_OK;
    }
    if (!json_is_number(v)) return fail_kind(f, name, v, "a whole number");
    if (!whole(v, &x) || x < 1 || x > max)
        return NDL_FAIL(NDL_EDATA,
                        "%s: %s is %.17g: it must be a whole number from 1 "
                        "to %d",
                        f->what, name, json_number_value(v), max);
    *out = (int)x;
    return NDL_OK;
}

ndl_status ndl_fields_real(const ndl_fields *f, const char *name,
                           double fallback, double *out)
{
    const json_t *v = ndl_fields_get(f, name);
    if (!v && fallback == NDL_FIELD_REQUIRED) return fail_missing(f, name);
    if (!v) {
        *out = fallback;
        return NDL_OK;
    }
    if (!json_is_number(v)) return fail_kind(f, name, v, "a number");
    const double x = json_number_value(v);
    if (!isfinite(x) || x <= 0)
        return NDL_FAIL(NDL_EDATA, "%s: %s is %.17g: it must be above 0",
                        f->what, name, x);
    *out = x;
    return NDL_OK;
}

ndl_status ndl_fields_bool(const ndl_fields *f, const char *name, bool fallback,
                           bool *out)
{
    const json_t *v = ndl_fields_get(f, name);
    if (v && !json_is_boolean(v)) return fail_kind(f, name, v, "true or false");
    *out = v ? json_is_true(v) : fallback;
    return NDL_OK;
}

ndl_status ndl_fields_text(const ndl_fields *f, const char *name,
                           const char *fallback, const char **out)
{
    const json_t *v = ndl_fields_get(f, name);
    if (!v && !fallback) return fail_missing(f, name);
    if (v && !json_is_string(v)) return fail_kind(f, name, v, "a text");
    *out = v ? json_string_value(v) : fallback;
    return NDL_OK;
}

ndl_status ndl_fields_token(const ndl_fields *f, const char *name,
                            const json_t *v, int n_ids, int *out)
{
    double x = 0;
    if (!json_is_number(v)) return fail_kind(f, name, v, "token ids");
    if (!whole(v, &x) || x < -1 || x >= n_ids)
        return NDL_FAIL(NDL_EDATA,
                        "%s: %s is %.17g: ids of this vocabulary are 0 to %d",
                        f->what, name, json_number_value(v), n_ids - 1);
    *out = (int)x;
    return NDL_OK;
}

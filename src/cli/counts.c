/* counts.c - see counts.h. */
#include "counts.h"

#include <ctype.h>
#include <stdlib.h>

/* What a list is made of: one number, or a range of them. */
typedef struct range {
    long first, last, step, factor; /* the step is added, then multiplied */
} range;

/* Digits only: no sign, no blanks.  A number that is out of reach for a long
 * is LONG_MAX, and too large then. */
static bool read_number(const char **at, long *out)
{
    char *end;
    if (!isdigit((unsigned char)**at)) return false;
    *out = strtol(*at, &end, 10);
    *at = end;
    return true;
}

static bool read_range(const char **at, range *r)
{
    if (!read_number(at, &r->first)) return false;
    r->last = r->first;
    r->step = 1;
    r->factor = 1;
    if (**at != '-') return true;
    ++*at;
    if (!read_number(at, &r->last) || r->last < r->first) return false;
    if (**at == '+') {
        ++*at;
        return read_number(at, &r->step) && r->step > 0;
    }
    if (**at != '*') return true;
    ++*at;
    r->step = 0;
    /* Zero times anything stays where it is. */
    return read_number(at, &r->factor) && r->factor > 1 && r->first > 0;
}

static ndl_status add_range(ndl_counts *c, const char *option, const range *r,
                            int least, int most)
{
    if (r->first < least || r->last > most)
        return NDL_FAIL(NDL_EUSAGE, "%s %ld: give numbers from %d to %d",
                        option, r->first < least ? r->first : r->last, least,
                        most);
    for (long v = r->first;;) {
        if (c->n == NDL_COUNTS)
            return NDL_FAIL(NDL_EUSAGE, "%s: more than %d numbers: give fewer",
                            option, NDL_COUNTS);
        c->at[c->n++] = (int)v;
        /* Whether the next one is within reach, without overflow. */
        if (r->step > r->last - v || v > r->last / r->factor) return NDL_OK;
        const long next = (v + r->step) * r->factor;
        if (next > r->last) return NDL_OK;
        v = next;
    }
}

static ndl_status add_text(ndl_counts *c, const char *option, const char *text,
                           int least, int most)
{
    for (const char *at = text;; at++) {
        range r;
        if (!read_range(&at, &r) || (*at != ',' && *at != '\0'))
            return NDL_FAIL(NDL_EUSAGE,
                            "%s %.60s: give numbers like 1,4,16 or ranges "
                            "like 1-8, 0-64+16, 1-64*2",
                            option, text);
        NDL_TRY(add_range(c, option, &r, least, most));
        if (*at == '\0') return NDL_OK;
    }
}

ndl_status ndl_counts_parse(ndl_counts *out, const char *option,
                            const ndl_options_list *list, int fallback,
                            int least, int most)
{
    ndl_counts c = { .n = 0 };
    if (list->n == 0) c.at[c.n++] = fallback;
    for (int i = 0; i < list->n; i++)
        NDL_TRY(add_text(&c, option, list->at[i], least, most));
    *out = c;
    return NDL_OK;
}

ndl_status ndl_counts_pair(int out[2], const char *option, const char *text,
                           int most)
{
    const char *at = text;
    long a = 0, b = 0;
    const bool is_pair = read_number(&at, &a) && *at++ == ',' &&
                         read_number(&at, &b) && *at == '\0';
    if (!is_pair || a > most || b > most)
        return NDL_FAIL(NDL_EUSAGE,
                        "%s %.60s: give tokens of the prompt and tokens to "
                        "write, like 512,128, each at most %d",
                        option, text, most);
    out[0] = (int)a;
    out[1] = (int)b;
    return NDL_OK;
}

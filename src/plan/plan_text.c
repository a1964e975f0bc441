/* plan_text.c - see plan_text.h. */
#include "plan_text.h"

#include "noodle/units.h"

char *ndl_plan_layers_text(const ndl_plan_stage *s, char buf[NDL_PLAN_TEXT])
{
    const char *tail = s->head ? " + head" : "";
    const int last = s->first_layer + s->n_layers - 1;
    if (s->n_layers == 0)
        snprintf(buf, NDL_PLAN_TEXT, "%s%s", s->embed ? "embed" : "head",
                 s->embed ? tail : "");
    else if (s->n_layers == 1)
        snprintf(buf, NDL_PLAN_TEXT, "%d%s", last, tail);
    else
        snprintf(buf, NDL_PLAN_TEXT, "%d-%d%s", s->first_layer, last, tail);
    return buf;
}

char *ndl_plan_host_text(const ndl_plan_stage *s, char buf[NDL_PLAN_TEXT])
{
    for (int i = 0; i < NDL_PLAN_TEXT; i++) {
        const unsigned char c = (unsigned char)s->host[i];
        buf[i] = (char)(c == 0 || (c >= 32 && c < 127) ? c : '?');
    }
    buf[NDL_PLAN_TEXT - 1] = '\0';
    return buf;
}

char *ndl_plan_sec_text(double sec, char buf[NDL_PLAN_TEXT])
{
    if (sec > 0) return ndl_units_text(sec, NDL_UNIT_SEC, buf, NDL_PLAN_TEXT);
    snprintf(buf, NDL_PLAN_TEXT, "%s", "-");
    return buf;
}

bool ndl_plan_has_times(const ndl_plan *p)
{
    for (int i = 0; i < p->n_stages; i++)
        if (p->stages[i].busy_sec > 0) return true;
    return false;
}

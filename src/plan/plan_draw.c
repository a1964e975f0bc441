/*
 * plan_draw.c - plan.h: a plan as a picture for a terminal.
 *
 *   rank 0: tokens in
 *      |
 *      1  big  embed, 0-39  [####################]  812.0 ms   310.0 GiB
 *      |  2.4 ms
 *      2  old  40-79 + head [###########         ]  433.1 ms   240.0 GiB
 *      |
 *   rank 0: tokens out (bar: time per request, then memory)
 *
 * A bar is as long as the stage's busy time for a request; where nothing was
 * measured or estimated, as its parameters.  Between the stages is the time of
 * handing a chunk on.
 */
#include <math.h>
#include <string.h>

#include "plan_text.h"

enum { LEAST_COLUMNS = 60, MOST_COLUMNS = 160, LEAST_BAR = 8 };

/* What all lines have in common. */
typedef struct picture {
    const ndl_plan *plan;
    FILE *out;
    bool times;
    double longest;
    int host_width, layers_width, bar_width;
} picture;

static double length_of(const picture *d, const ndl_plan_stage *s)
{
    return d->times ? s->busy_sec : (double)s->params;
}

/* As the table says it, and the embedding too. */
static const char *layers_of(const ndl_plan_stage *s,
                             char buf[2 * NDL_PLAN_TEXT])
{
    char layers[NDL_PLAN_TEXT];
    const bool both = s->embed && s->n_layers > 0;
    snprintf(buf, 2 * NDL_PLAN_TEXT, "%s%s", both ? "embed, " : "",
             ndl_plan_layers_text(s, layers));
    return buf;
}

static void measure(picture *d, int columns)
{
    for (int i = 0; i < d->plan->n_stages; i++) {
        const ndl_plan_stage *s = &d->plan->stages[i];
        char host[NDL_PLAN_TEXT], layers[2 * NDL_PLAN_TEXT];
        const int h = (int)strlen(ndl_plan_host_text(s, host));
        const int l = (int)strlen(layers_of(s, layers));
        if (h > d->host_width) d->host_width = h;
        if (l > d->layers_width) d->layers_width = l;
        d->longest = fmax(d->longest, length_of(d, s));
    }
    if (d->host_width > 20) d->host_width = 20;
    if (columns < LEAST_COLUMNS) columns = LEAST_COLUMNS;
    if (columns > MOST_COLUMNS) columns = MOST_COLUMNS;
    /* Number, gaps and brackets take 12, the figures behind the bar the rest.
     */
    d->bar_width =
        columns - (d->times ? 35 : 24) - d->host_width - d->layers_width;
    if (d->bar_width < LEAST_BAR) d->bar_width = LEAST_BAR;
}

static void draw_bar(const picture *d, const ndl_plan_stage *s)
{
    const double share = d->longest > 0 ? length_of(d, s) / d->longest : 0.0;
    int n = (int)lround(share * d->bar_width);
    if (n == 0 && share > 0) n = 1; /* it is there */
    fputc('[', d->out);
    for (int i = 0; i < d->bar_width; i++) fputc(i < n ? '#' : ' ', d->out);
    fputc(']', d->out);
}

static void draw_stage(const picture *d, int i)
{
    const ndl_plan_stage *s = &d->plan->stages[i];
    char host[NDL_PLAN_TEXT], layers[2 * NDL_PLAN_TEXT], sec[NDL_PLAN_TEXT],
        need[32];
    fprintf(d->out, "%4d  %-*.*s  %-*s  ", i + 1, d->host_width, d->host_width,
            ndl_plan_host_text(s, host), d->layers_width, layers_of(s, layers));
    draw_bar(d, s);
    if (d->times) fprintf(d->out, "  %9s", ndl_plan_sec_text(s->busy_sec, sec));
    fprintf(d->out, "  %10s\n",
            ndl_plan_bytes_text(s->weight_bytes + s->kv_bytes + s->buffer_bytes,
                                need, sizeof need));
}

/* What lies between a stage and the next. */
static void draw_link(const picture *d, const ndl_plan_stage *s)
{
    char sec[NDL_PLAN_TEXT];
    if (s->link_sec > 0)
        fprintf(d->out, "   |  %s\n", ndl_plan_sec_text(s->link_sec, sec));
    else
        fprintf(d->out, "   |\n");
}

void ndl_plan_draw(const ndl_plan *p, FILE *out, int columns)
{
    picture d = { .plan = p, .out = out, .times = ndl_plan_has_times(p) };
    if (p->n_stages == 0) return;
    measure(&d, columns);
    fprintf(out, "rank 0: tokens in\n   |\n");
    for (int i = 0; i < p->n_stages; i++) {
        draw_stage(&d, i);
        draw_link(&d, &p->stages[i]);
    }
    fprintf(out, "rank 0: tokens out (bar: %s, then memory)\n",
            d.times ? "time per request" : "parameters");
}

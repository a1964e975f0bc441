/* plan_print.c - plan.h: a plan for people, as a table and its figures. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "plan_text.h"

enum { COLUMNS = 120, REASON_COLUMN = 91 };

static void params_text(int64_t n, char *buf, size_t cap)
{
    if (n >= 1000000000)
        snprintf(buf, cap, "%.2f G", (double)n * 1e-9);
    else if (n >= 1000000)
        snprintf(buf, cap, "%.2f M", (double)n * 1e-6);
    else
        snprintf(buf, cap, "%.1f k", (double)n * 1e-3);
}

/* A number from `least` on; below it there is none. */
static const char *number_text(int v, int least, char buf[16])
{
    if (v < least) return "-";
    snprintf(buf, 16, "%d", v);
    return buf;
}

/* The reason is the last column: it wraps within the line. */
static void print_reason(const char *why, FILE *out)
{
    int at = REASON_COLUMN;
    for (const char *word = why; *word;) {
        const int n = (int)strcspn(word, " ");
        if (at > REASON_COLUMN && at + 1 + n > COLUMNS) {
            fprintf(out, "\n%*s", REASON_COLUMN, "");
            at = REASON_COLUMN;
        }
        at += fprintf(out, "%s%.*s", at > REASON_COLUMN ? " " : "", n, word);
        word += n;
        word += strspn(word, " ");
    }
    fputc('\n', out);
}

static void print_stages(const ndl_plan *p, FILE *out)
{
    fprintf(out, "%-5s  %4s  %-16s  %-14s  %9s  %10s  %10s  %7s  %s\n", "stage",
            "rank", "host", "layers", "params", "memory", "free", "threads",
            "why");
    for (int i = 0; i < p->n_stages; i++) {
        const ndl_plan_stage *s = &p->stages[i];
        char layers[NDL_PLAN_TEXT], host[NDL_PLAN_TEXT], params[32], need[32],
            have[32], rank[16], threads[16];
        params_text(s->params, params, sizeof params);
        ndl_plan_bytes_text(s->weight_bytes + s->kv_bytes + s->buffer_bytes,
                            need, sizeof need);
        ndl_plan_bytes_text(s->free_bytes, have, sizeof have);
        fprintf(out, "%-5d  %4s  %-16.16s  %-14s  %9s  %10s  %10s  %7s  ",
                i + 1, number_text(s->rank, 0, rank),
                ndl_plan_host_text(s, host), ndl_plan_layers_text(s, layers),
                params, need, have, number_text(s->n_threads, 1, threads));
        print_reason(s->why, out);
    }
}

/* How much of the time the stage is at work, drawn in tenths. */
static const char *load_text(const ndl_plan *p, const ndl_plan_stage *s,
                             char buf[NDL_PLAN_TEXT])
{
    const double share = p->period_sec > 0 ? s->busy_sec / p->period_sec : 0.0;
    const int tenths = (int)lround(10.0 * fmin(1.0, share));
    snprintf(buf, NDL_PLAN_TEXT, "%4.0f %%  %.*s", 100.0 * share, tenths,
             "##########");
    return buf;
}

static void print_times(const ndl_plan *p, FILE *out)
{
    fprintf(out, "\n%-5s  %12s  %11s  %11s  %10s  %s\n", "stage",
            "prompt chunk", "decode step", "per request", "hand on", "at work");
    for (int i = 0; i < p->n_stages; i++) {
        const ndl_plan_stage *s = &p->stages[i];
        char prompt[NDL_PLAN_TEXT], decode[NDL_PLAN_TEXT], busy[NDL_PLAN_TEXT],
            link[NDL_PLAN_TEXT], load[NDL_PLAN_TEXT];
        fprintf(out, "%-5d  %12s  %11s  %11s  %10s  %s\n", i + 1,
                ndl_plan_sec_text(s->prompt_sec, prompt),
                ndl_plan_sec_text(s->decode_sec, decode),
                ndl_plan_sec_text(s->busy_sec, busy),
                ndl_plan_sec_text(s->link_sec, link), load_text(p, s, load));
    }
}

static void print_slowest(const ndl_plan *p, FILE *out)
{
    char period[NDL_PLAN_TEXT], host[NDL_PLAN_TEXT];
    ndl_plan_sec_text(p->period_sec, period);
    if (p->bottleneck >= 0 && p->bottleneck < p->n_stages)
        fprintf(out, "slowest     stage %d on %s, %s per request\n",
                p->bottleneck + 1,
                ndl_plan_host_text(&p->stages[p->bottleneck], host), period);
    else
        fprintf(out, "slowest     a link, %s per request\n", period);
}

/* Without times there is nothing to say of the whole. */
static void print_figures(const ndl_plan *p, FILE *out)
{
    const ndl_workload *w = &p->workload;
    char latency[NDL_PLAN_TEXT];
    fprintf(out,
            "\nstrategy    %s, from %s times\n"
            "workload    %d sequence%s of %d + %d tokens, prompts in chunks "
            "of %d\n",
            p->strategy, p->source, w->sequences, w->sequences == 1 ? "" : "s",
            w->prompt_tokens, w->new_tokens, w->chunk_rows);
    print_slowest(p, out);
    fprintf(out, "throughput  %.1f tokens/s, prompts included\n",
            p->tokens_per_sec);
    fprintf(out, "latency     %s for one request alone\n",
            ndl_plan_sec_text(p->latency_sec, latency));
    fprintf(out, "balance     %.3f (1: all stages equally busy)\n", p->balance);
    if (p->gap > 0)
        fprintf(out, "gap         at most %.2g %% better is possible\n",
                100.0 * p->gap);
    else
        fprintf(out, "gap         0 (proven: nothing is better)\n");
}

static void print_idle(const ndl_plan *p, FILE *out)
{
    const bool virtual = p->n_stages > 0 && p->stages[0].rank < 0;
    if (p->n_idle == 0) return;
    fprintf(out, "%d %s%s idle: the split needs no more\n", p->n_idle,
            virtual ? "node" : "rank", p->n_idle == 1 ? "" : "s");
}

void ndl_plan_print(const ndl_plan *p, FILE *out)
{
    print_stages(p, out);
    print_idle(p, out);
    if (ndl_plan_has_times(p)) {
        print_times(p, out);
        print_figures(p, out);
    }
    for (int i = 0; i < p->n_notes; i++)
        fprintf(out, "note: %s\n", p->notes[i]);
}

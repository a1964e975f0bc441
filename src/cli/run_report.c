/* run_report.c - see run_report.h. */
#include "run_report.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/doubles.h"

ndl_timings ndl_timings_of(const ndl_texts *t, const ndl_session_result *r)
{
    ndl_timings s = { .total_sec = r->end_sec - r->ready_sec };
    double *ttft = malloc(((size_t)t->n + 1) * sizeof *ttft);
    double first = r->end_sec, last_first = r->ready_sec, last = r->ready_sec;
    int n = 0;
    for (int i = 0; i < t->n; i++) {
        const ndl_text *x = &t->all[i];
        if (x->first_sec == 0.0) continue; /* never began */
        s.prompt_tokens += x->n_ids;
        s.decode_tokens += x->n_out > 1 ? (size_t)x->n_out - 1 : 0;
        if (x->first_sec < first) first = x->first_sec;
        if (x->first_sec > last_first) last_first = x->first_sec;
        if (x->last_sec > last) last = x->last_sec;
        if (ttft) ttft[n] = x->first_sec - r->ready_sec;
        n++;
    }
    s.prompt_sec = last_first - r->ready_sec;
    s.decode_sec = s.decode_tokens > 0 ? last - first : 0.0;
    if (ttft && n > 0) {
        ndl_doubles_sort(ttft, (size_t)n);
        s.ttft_median_sec = ndl_doubles_median(ttft, (size_t)n);
        s.ttft_max_sec = ttft[n - 1];
    }
    free(ttft);
    return s;
}

static double rate(size_t n, double sec)
{
    return sec > 0.0 ? (double)n / sec : 0.0;
}

static void print_rates(const ndl_texts *t, const ndl_timings *s, FILE *out)
{
    fprintf(out, "prompt  %8zu tokens in %8.3f s  %10.1f tokens/s\n",
            s->prompt_tokens, s->prompt_sec,
            rate(s->prompt_tokens, s->prompt_sec));
    fprintf(out, "decode  %8zu tokens in %8.3f s  %10.1f tokens/s\n",
            s->decode_tokens, s->decode_sec,
            rate(s->decode_tokens, s->decode_sec));
    if (t->n == 1)
        fprintf(out, "TTFT    %.1f ms\n", 1e3 * s->ttft_median_sec);
    else
        fprintf(out, "TTFT    median %.1f ms, largest %.1f ms, of %d prompts\n",
                1e3 * s->ttft_median_sec, 1e3 * s->ttft_max_sec, t->n);
}

void ndl_run_report_stages(const ndl_session_result *r, FILE *out)
{
    const double total_sec = r->end_sec - r->ready_sec;
    fprintf(out, "%-5s  %4s  %8s  %9s  %7s  %7s  %7s  %10s  %10s  %10s\n",
            "stage", "rank", "batches", "rows", "busy", "wait", "send", "in",
            "out", "peak RSS");
    for (int i = 0; i < r->plan.n_stages; i++) {
        const ndl_wire_totals *w = &r->totals[i];
        char in[32], sent[32], rss[32];
        const double share = total_sec > 0.0 ? 100.0 / total_sec : 0.0;
        fprintf(out,
                "%-5d  %4d  %8llu  %9llu  %5.1f %%  %5.1f %%  %5.1f %%  %10s  "
                "%10s  %10s\n",
                i + 1, r->plan.stages[i].rank, (unsigned long long)w->batches,
                (unsigned long long)w->rows, w->busy_sec * share,
                w->wait_sec * share, w->send_sec * share,
                ndl_plan_bytes_text(w->bytes_in, in, sizeof in),
                ndl_plan_bytes_text(w->bytes_out, sent, sizeof sent),
                ndl_plan_bytes_text(w->peak_rss_bytes, rss, sizeof rss));
    }
    fprintf(out, "kernels %s\nready after %.3f s", r->kernels,
            r->ready_sec - r->start_sec);
    if (r->probe_sec > 0.0)
        fprintf(out, ", of which measuring %.3f s", r->probe_sec);
    fputc('\n', out);
    if (r->plan.n_stages > 0 && r->plan.stages[0].rank != 0)
        fprintf(out, "rank 0 used %.2f %% of a core\n",
                total_sec > 0 ? 100.0 * r->rank0_cpu_sec / total_sec : 0.0);
}

void ndl_run_report_print(const ndl_texts *t, const ndl_session_result *r,
                          FILE *out)
{
    const ndl_timings s = ndl_timings_of(t, r);
    print_rates(t, &s, out);
    ndl_run_report_stages(r, out);
}

static json_t *ids_json(const int32_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *text_json(const ndl_text *x)
{
    return json_pack("{ss ss% so so ss sf}", "prompt", x->prompt, "text",
                     x->out ? x->out : "", x->n_bytes, "ids",
                     ids_json(x->out_ids, (size_t)x->n_out), "prompt_ids",
                     ids_json(x->ids, x->n_ids), "finish",
                     ndl_finish_name(x->finish), "gap_max_sec", x->gap_sec);
}

static json_t *timings_json(const ndl_timings *s, const ndl_session_result *r)
{
    return json_pack(
        "{sI sf sf sI sf sf sf sf sf sf sf sf}", "prompt_tokens",
        (json_int_t)s->prompt_tokens, "prompt_sec", s->prompt_sec,
        "prompt_tokens_per_sec", rate(s->prompt_tokens, s->prompt_sec),
        "decode_tokens", (json_int_t)s->decode_tokens, "decode_sec",
        s->decode_sec, "decode_tokens_per_sec",
        rate(s->decode_tokens, s->decode_sec), "ttft_median_sec",
        s->ttft_median_sec, "ttft_max_sec", s->ttft_max_sec, "total_sec",
        s->total_sec, "rank0_cpu_sec", r->rank0_cpu_sec, "ready_after_sec",
        r->ready_sec - r->start_sec, "probe_sec", r->probe_sec);
}

static json_t *stages_json(const ndl_session_result *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->plan.n_stages; i++) {
        const ndl_wire_totals *w = &r->totals[i];
        json_array_append_new(
            list, json_pack("{si sI sI sf sf sf sI sI sI sf}", "stage", i + 1,
                            "batches", (json_int_t)w->batches, "rows",
                            (json_int_t)w->rows, "busy_sec", w->busy_sec,
                            "wait_sec", w->wait_sec, "send_sec", w->send_sec,
                            "bytes_in", (json_int_t)w->bytes_in, "bytes_out",
                            (json_int_t)w->bytes_out, "peak_rss_bytes",
                            (json_int_t)w->peak_rss_bytes, "ping_sec",
                            r->ping_sec[i]));
    }
    return list;
}

json_t *ndl_run_report_json(const ndl_texts *t, const ndl_session_result *r)
{
    const ndl_timings s = ndl_timings_of(t, r);
    json_t *all = json_object();
    if (t->n == 1) {
        json_t *only = text_json(&t->all[0]);
        json_object_update(all, only);
        json_decref(only);
    } else {
        json_t *list = json_array();
        for (int i = 0; i < t->n; i++)
            json_array_append_new(list, text_json(&t->all[i]));
        json_object_set_new(all, "results", list);
    }
    json_object_set_new(all, "timings", timings_json(&s, r));
    json_object_set_new(all, "stages", stages_json(r));
    json_object_set_new(all, "kernels", json_string(r->kernels));
    json_object_set_new(all, "type_k",
                        json_string(ndl_dtype_name(r->kv_types.k)));
    json_object_set_new(all, "type_v",
                        json_string(ndl_dtype_name(r->kv_types.v)));
    json_object_set_new(all, "plan", ndl_plan_json(&r->plan));
    return all;
}

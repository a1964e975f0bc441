/* eval_report.c - see eval_report.h. */
#include "eval_report.h"

#include <math.h>

static void print_mean(FILE *out, const char *what, ndl_mean m)
{
    fprintf(out, "%-32s %10.6g +- %.3g\n", what, m.value, m.error);
}

static void print_number(FILE *out, const char *what, double x)
{
    fprintf(out, "%-32s %10.6g\n", what, x);
}

static void print_share(FILE *out, const char *what, ndl_mean m)
{
    fprintf(out, "%-32s %10.4f +- %.4f %%\n", what, 100.0 * m.value,
            100.0 * m.error);
}

/* Said where the two differ: a difference that the weights do not explain. */
static void print_types(const ndl_eval_report *r, FILE *out)
{
    char is[NDL_KV_TYPES_TEXT], was[NDL_KV_TYPES_TEXT];
    if (ndl_kv_types_equal(r->kv_types, r->base_kv_types)) return;
    ndl_kv_types_write(r->kv_types, is);
    ndl_kv_types_write(r->base_kv_types, was);
    fprintf(out, "KV cache in %s, of the base in %s\n", is, was);
}

static void print_comparison(const ndl_comparison *c, FILE *out)
{
    print_mean(out, "  of the base", c->base.ppl);
    print_mean(out, "  ratio to the base", c->ratio);
    print_mean(out, "KL(base || this), mean", c->kl);
    print_number(out, "  median", c->kl_median);
    print_number(out, "  99 % of the tokens below", c->kl_99);
    print_number(out, "  largest", c->kl_max);
    print_share(out, "same likeliest token", c->same_top);
    print_number(out, "largest difference of a logit", c->max_diff);
    print_share(out, "change of the right probability", c->p_change);
    fprintf(out, "%-32s %10.4f %%\n", "  root mean square",
            100.0 * c->p_change_rms);
}

void ndl_eval_report_print(const ndl_eval_report *r, FILE *out)
{
    fprintf(out,
            "%zu tokens in %d windows of %d, of which the last %d count: %zu\n",
            r->text->n_ids, r->text->n, r->text->context, r->text->n_scored,
            r->n_tokens);
    if (r->against) print_types(r, out);
    print_mean(out, "perplexity", r->perplexity.ppl);
    if (r->against) print_comparison(&r->comparison, out);
}

/* The perplexity of a broken model may be infinite, which JSON has not. */
static json_t *real_json(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static void put_mean(json_t *to, const char *name, ndl_mean m)
{
    json_object_set_new(to, name,
                        json_pack("{so so}", "mean", real_json(m.value),
                                  "error", real_json(m.error)));
}

static void put_perplexity(json_t *to, const ndl_perplexity *p)
{
    json_object_set_new(to, "perplexity", real_json(p->ppl.value));
    json_object_set_new(to, "perplexity_error", real_json(p->ppl.error));
    json_object_set_new(to, "nll", real_json(p->nll.value));
    json_object_set_new(to, "nll_error", real_json(p->nll.error));
}

static json_t *kl_json(const ndl_comparison *c)
{
    return json_pack("{so so so so so}", "mean", real_json(c->kl.value),
                     "error", real_json(c->kl.error), "median",
                     real_json(c->kl_median), "quantile_99",
                     real_json(c->kl_99), "max", real_json(c->kl_max));
}

static void put_types(json_t *to, ndl_kv_types t)
{
    json_object_set_new(to, "type_k", json_string(ndl_dtype_name(t.k)));
    json_object_set_new(to, "type_v", json_string(ndl_dtype_name(t.v)));
}

static json_t *comparison_json(const ndl_eval_report *r)
{
    const ndl_comparison *c = &r->comparison;
    json_t *j = json_pack("{so}", "model", ndl_json_text(r->against));
    put_types(j, r->base_kv_types);
    put_perplexity(j, &c->base);
    put_mean(j, "perplexity_ratio", c->ratio);
    put_mean(j, "log_perplexity_ratio", c->log_ratio);
    json_object_set_new(j, "kl", kl_json(c));
    put_mean(j, "same_top", c->same_top);
    json_object_set_new(j, "max_logit_difference", real_json(c->max_diff));
    put_mean(j, "p_change", c->p_change);
    json_object_set_new(j, "p_change_rms", real_json(c->p_change_rms));
    return j;
}

json_t *ndl_eval_report_json(const ndl_eval_report *r)
{
    const ndl_eval_text *t = r->text;
    json_t *j = json_pack(
        "{so sI si si si si sI}", "model", ndl_json_text(r->model),
        "text_tokens", (json_int_t)t->n_ids, "windows", t->n, "context",
        t->context, "stride", t->stride, "scored_of_window", t->n_scored,
        "scored_tokens", (json_int_t)r->n_tokens);
    if (!j) return NULL;
    put_types(j, r->kv_types);
    put_perplexity(j, &r->perplexity);
    if (r->against) json_object_set_new(j, "against", comparison_json(r));
    return j;
}

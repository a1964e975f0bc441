/* request_line.c - see request_line.h. */
#include "request_line.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/hash.h"
#include "noodle/json.h"

enum { MAX_NEW = 1 << 24, MAX_TOP_K = 1 << 24, MAX_TEMPERATURE = 100 };

/* Fields of OpenAI's API that this program does not know how to obey: to run
 * without them would answer another question.  Their neutral value is obeyed
 * already. */
static const struct {
    const char *name;
    double neutral;
} not_obeyed[] = {
    { "best_of", 1.0 },
    { "echo", 0.0 },
    { "frequency_penalty", 0.0 },
    { "logit_bias", 0.0 },
    { "presence_penalty", 0.0 },
    { "repetition_penalty", 1.0 },
    { "suffix", 0.0 },
};

static ndl_status out_of_memory(void)
{
    return NDL_FAIL(NDL_EOS, "requests: out of memory");
}

static ndl_status copy_text(char **out, const json_t *string)
{
    *out = strdup(json_string_value(string));
    return *out ? NDL_OK : out_of_memory();
}

/* A field that is there and not null, or NULL. */
static const json_t *get(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_null(v) ? NULL : v;
}

static ndl_status read_int(const json_t *body, const char *key, int from,
                           int to, int *out)
{
    const json_t *v = get(body, key);
    if (!v) return NDL_OK;
    const json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < from || n > to)
        return NDL_FAIL(NDL_EDATA, "%s: give a whole number from %d to %d", key,
                        from, to);
    *out = (int)n;
    return NDL_OK;
}

static ndl_status read_real(const json_t *body, const char *key, float to,
                            float *out)
{
    const json_t *v = get(body, key);
    if (!v) return NDL_OK;
    const double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= 0.0 && x <= (double)to))
        return NDL_FAIL(NDL_EDATA, "%s: give a number from 0 to %g", key,
                        (double)to);
    *out = (float)x;
    return NDL_OK;
}

static ndl_status read_bool(const json_t *body, const char *key, bool *out)
{
    const json_t *v = get(body, key);
    if (!v) return NDL_OK;
    if (!json_is_boolean(v))
        return NDL_FAIL(NDL_EDATA, "%s: give true or false", key);
    *out = json_is_true(v);
    return NDL_OK;
}

static ndl_status read_seed(const json_t *body, uint64_t *out)
{
    const json_t *v = get(body, "seed");
    if (!v) return NDL_OK;
    if (!json_is_integer(v))
        return NDL_FAIL(NDL_EDATA, "seed: give a whole number");
    *out = (uint64_t)json_integer_value(v);
    return NDL_OK;
}

static ndl_status add_stop(ndl_request_line *x, const json_t *v)
{
    const size_t n = json_string_length(v);
    if (!json_is_string(v) || n == 0 || n > NDL_REQUEST_STOP_BYTES)
        return NDL_FAIL(NDL_EDATA,
                        "stop: give a string of 1 to %d bytes, or a list of "
                        "such",
                        NDL_REQUEST_STOP_BYTES);
    NDL_TRY(copy_text(&x->stops[x->n_stops], v));
    x->n_stops++;
    return NDL_OK;
}

static ndl_status read_stops(ndl_request_line *x, const json_t *body)
{
    const json_t *v = get(body, "stop");
    if (!v) return NDL_OK;
    if (!json_is_array(v)) return add_stop(x, v);
    if (json_array_size(v) > NDL_REQUEST_STOPS)
        return NDL_FAIL(NDL_EDATA, "stop: has %zu strings: give at most %d",
                        json_array_size(v), NDL_REQUEST_STOPS);
    for (size_t i = 0; i < json_array_size(v); i++)
        NDL_TRY(add_stop(x, json_array_get(v, i)));
    return NDL_OK;
}

static ndl_status take_ids(ndl_request_line *x, const json_t *list)
{
    const size_t n = json_array_size(list);
    if (n > INT_MAX)
        return NDL_FAIL(NDL_EDATA, "prompt: has %zu ids: shorten it", n);
    x->ids = malloc((n + 1) * sizeof *x->ids);
    if (!x->ids) return out_of_memory();
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        const json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id > INT32_MAX)
            return NDL_FAIL(NDL_EDATA,
                            "prompt: element %zu is no token id: give one "
                            "string, or a list of ids",
                            i + 1);
        x->ids[i] = (int32_t)id;
    }
    x->n_ids = (int)n;
    return NDL_OK;
}

static ndl_status take_prompt(ndl_request_line *x, const json_t *v)
{
    if (json_is_string(v)) return copy_text(&x->text, v);
    const size_t n = json_array_size(v);
    if (n == 0)
        return NDL_FAIL(NDL_EDATA, "prompt: give a string, or a list of token "
                                   "ids");
    const json_t *first = json_array_get(v, 0);
    if (!json_is_string(first)) return take_ids(x, v);
    if (n == 1) return copy_text(&x->text, first);
    return NDL_FAIL(
        NDL_EDATA, "prompt: a list of %zu strings: write one line for each", n);
}

static bool is_neutral(const json_t *v, double neutral)
{
    const double x = json_number_value(v);
    if (json_is_number(v)) return x >= neutral && x <= neutral;
    return json_is_false(v) || (json_is_string(v) && !json_string_length(v)) ||
           (json_is_object(v) && !json_object_size(v));
}

static ndl_status refuse_others(const json_t *body)
{
    int n = 1;
    NDL_TRY(read_int(body, "n", 1, INT_MAX, &n));
    if (n != 1)
        return NDL_FAIL(NDL_EDATA,
                        "n: %d answers to a line: write %d lines with seeds of "
                        "their own",
                        n, n);
    for (size_t i = 0; i < sizeof not_obeyed / sizeof *not_obeyed; i++) {
        const json_t *v = get(body, not_obeyed[i].name);
        if (!v || is_neutral(v, not_obeyed[i].neutral)) continue;
        return NDL_FAIL(NDL_EDATA,
                        "%s: this program cannot do that: leave it "
                        "out",
                        not_obeyed[i].name);
    }
    return NDL_OK;
}

static ndl_status read_limits(ndl_request_line *x, const json_t *body)
{
    NDL_TRY(read_int(body, "max_tokens", 0, MAX_NEW, &x->max_new));
    return read_int(body, "max_completion_tokens", 0, MAX_NEW, &x->max_new);
}

static ndl_status read_sampling(ndl_sampling *s, const json_t *body)
{
    int top_k = s->top_k;
    NDL_TRY(read_real(body, "temperature", MAX_TEMPERATURE, &s->temperature));
    NDL_TRY(read_real(body, "top_p", 1.0f, &s->top_p));
    NDL_TRY(read_real(body, "min_p", 1.0f, &s->min_p));
    NDL_TRY(read_int(body, "top_k", -1, MAX_TOP_K, &top_k));
    s->top_k = top_k < 0 ? 0 : top_k; /* others write -1 for all */
    return read_seed(body, &s->seed);
}

static ndl_status read_log_probs(ndl_request_line *x, const json_t *body)
{
    int n = -1;
    NDL_TRY(read_int(body, "logprobs", 0, NDL_TOP, &n));
    x->want_log_p = n >= 0;
    x->n_top = n > 0 ? n : 0;
    return NDL_OK;
}

static ndl_status read_body(ndl_request_line *x, const json_t *body)
{
    const json_t *prompt = get(body, "prompt");
    if (!prompt && get(body, "messages"))
        return NDL_FAIL(NDL_EDATA,
                        "messages: chat is not known here: apply the model's "
                        "chat template yourself and give the text as prompt "
                        "to /v1/completions");
    if (!prompt)
        return NDL_FAIL(NDL_EDATA, "prompt: is missing: give a string, or a "
                                   "list of token ids");
    NDL_TRY(take_prompt(x, prompt));
    NDL_TRY(refuse_others(body));
    NDL_TRY(read_limits(x, body));
    NDL_TRY(read_sampling(&x->sampling, body));
    NDL_TRY(read_bool(body, "ignore_eos", &x->ignore_eos));
    NDL_TRY(read_log_probs(x, body));
    return read_stops(x, body);
}

static ndl_status read_id(ndl_request_line *x, const json_t *line)
{
    const json_t *v = get(line, "custom_id");
    char number[32];
    const char *id = number;
    if (!v) v = get(line, "id");
    if (!v) return NDL_OK;
    if (json_is_integer(v))
        snprintf(number, sizeof number, "%lld",
                 (long long)json_integer_value(v));
    else
        id = json_string_value(v);
    const size_t n = id ? strlen(id) : 0;
    if (n == 0 || n > NDL_REQUEST_ID_BYTES)
        return NDL_FAIL(NDL_EDATA, "custom_id: give a string of 1 to %d bytes",
                        NDL_REQUEST_ID_BYTES);
    char *own = strdup(id);
    if (!own) return out_of_memory();
    free(x->custom_id);
    x->custom_id = own;
    return NDL_OK;
}

/* Is field `key` not there, or this text? */
static bool is_text(const json_t *line, const char *key, const char *text)
{
    const json_t *v = get(line, key);
    return !v || (json_is_string(v) && strcmp(json_string_value(v), text) == 0);
}

static ndl_status check_call(const json_t *line)
{
    if (!is_text(line, "method", "POST"))
        return NDL_FAIL(NDL_EDATA, "method: give \"POST\"");
    if (get(line, "url") && is_text(line, "url", "/v1/chat/completions"))
        return NDL_FAIL(NDL_EDATA,
                        "url: /v1/chat/completions is not known here: apply "
                        "the model's chat template yourself and give the text "
                        "as prompt to /v1/completions");
    if (!is_text(line, "url", "/v1/completions"))
        return NDL_FAIL(NDL_EDATA, "url: give \"/v1/completions\"");
    return NDL_OK;
}

static ndl_status read_line(ndl_request_line *x, const json_t *line)
{
    if (json_is_string(line)) return take_prompt(x, line);
    if (!json_is_object(line))
        return NDL_FAIL(NDL_EDATA, "give an object with a \"prompt\", or a "
                                   "string that is the prompt");
    NDL_TRY(read_id(x, line));
    NDL_TRY(check_call(line));
    const json_t *body = get(line, "body");
    if (body && !json_is_object(body))
        return NDL_FAIL(NDL_EDATA, "body: give an object with a \"prompt\"");
    if (!body && get(line, "url"))
        return NDL_FAIL(NDL_EDATA,
                        "body: is missing: give an object with a \"prompt\"");
    return read_body(x, body ? body : line);
}

static void set_defaults(ndl_request_line *x, const ndl_options *o)
{
    x->max_new = o->predict;
    x->ignore_eos = o->ignore_eos;
    x->sampling = (ndl_sampling){ .temperature = (float)o->temperature,
                                  .top_k = o->top_k,
                                  .top_p = (float)o->top_p,
                                  .min_p = (float)o->min_p,
                                  .seed = (uint64_t)o->seed };
}

/* Each text is a field of its own, however long: where one ends and the next
 * begins makes a difference. */
static uint64_t add_text(uint64_t hash, const char *text)
{
    return text ? ndl_hash_bytes(text, strlen(text), hash)
                : ndl_hash_bytes("", 0, hash);
}

/* The line, its name and what the options say in its place. */
static uint64_t hash_of(const ndl_request_line *x, const char *text, size_t n,
                        const ndl_options *o)
{
    char numbers[200];
    const char *slash = o->model ? strrchr(o->model, '/') : NULL;
    snprintf(numbers, sizeof numbers, "%d %d %.9g %d %.9g %.9g %lld %d",
             o->predict, o->ignore_eos, o->temperature, o->top_k, o->top_p,
             o->min_p, (long long)o->seed, o->context);
    uint64_t hash = add_text(0, numbers);
    hash = add_text(hash, o->type_k);
    hash = add_text(hash, o->type_v);
    hash = add_text(hash, slash ? slash + 1 : o->model);
    hash = add_text(hash, x->custom_id);
    return ndl_hash_bytes(text, n, hash);
}

ndl_status ndl_request_line_refuse(ndl_request_line *x, const char *why)
{
    const size_t cap = strlen(why) + 32;
    char *error = malloc(cap);
    if (!error) return out_of_memory();
    snprintf(error, cap, "line %lld: %s", (long long)x->number, why);
    free(x->error);
    x->error = error;
    ndl_request_line_forget(x);
    return NDL_OK;
}

static ndl_status parse(ndl_request_line *x, const char *text, size_t n,
                        const ndl_options *options)
{
    char id[40];
    json_t *line = NULL;
    snprintf(id, sizeof id, "line-%lld", (long long)x->number);
    x->custom_id = strdup(id);
    if (!x->custom_id) return out_of_memory();
    ndl_status_clear();
    ndl_status st = ndl_json_parse_line(&line, text, n);
    if (st == NDL_OK) st = read_line(x, line);
    json_decref(line);
    x->hash = hash_of(x, text, n, options);
    if (st != NDL_EDATA) return st;
    char why[NDL_STATUS_MESSAGE_MAX];
    snprintf(why, sizeof why, "%s", ndl_status_message());
    ndl_status_clear();
    return ndl_request_line_refuse(x, why);
}

ndl_status ndl_request_line_parse(ndl_request_line *out, const char *text,
                                  size_t n, int64_t number,
                                  const ndl_options *options)
{
    ndl_request_line x = { .number = number };
    set_defaults(&x, options);
    const ndl_status st = parse(&x, text, n, options);
    if (st == NDL_OK)
        *out = x;
    else
        ndl_request_line_fini(&x);
    return st;
}

void ndl_request_line_forget(ndl_request_line *x)
{
    free(x->text);
    free(x->ids);
    for (int i = 0; i < x->n_stops; i++) free(x->stops[i]);
    x->text = NULL;
    x->ids = NULL;
    x->n_ids = x->n_stops = 0;
}

void ndl_request_line_fini(ndl_request_line *x)
{
    ndl_request_line_forget(x);
    free(x->custom_id);
    free(x->error);
    *x = (ndl_request_line){ 0 };
}

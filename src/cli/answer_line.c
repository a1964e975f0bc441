/* answer_line.c - see answer_line.h. */
#include "answer_line.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/json.h"

enum { HASH_TEXT = 17 };

/* Nine digits tell a float from its neighbours. */
#define DUMP_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(9))

static void hash_text(char text[HASH_TEXT], uint64_t hash)
{
    snprintf(text, HASH_TEXT, "%016llx", (unsigned long long)hash);
}

/* JSON has no word for what is not finite. */
static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* The text of one token by itself. */
static json_t *token_text(const ndl_answer *a, const ndl_answer_facts *f,
                          int32_t id)
{
    ndl_detokenizer d;
    ndl_detokenizer_init(&d, a->detokenizer.tokenizer, true);
    d.started = true;
    size_t n = ndl_detokenizer_next(&d, id, f->piece, f->piece_cap);
    n += ndl_detokenizer_end(&d, f->piece + n, f->piece_cap - n);
    return json_stringn(f->piece, n);
}

static void add_candidate(json_t *all, json_t *text, float log_p)
{
    const char *key = json_string_value(text);
    /* Several tokens may look alike: pieces of characters.  Of those the
     * likeliest is told. */
    if (key && !json_object_get(all, key))
        json_object_set_new(all, key, real((double)log_p));
    json_decref(text);
}

/* The likeliest tokens, and the one that was drawn. */
static json_t *candidates(const ndl_answer *a, const ndl_answer_facts *f,
                          const ndl_answer_token *t)
{
    json_t *all = json_object();
    for (int i = 0; i < t->n_top; i++) {
        const ndl_wire_candidate *c = &a->tops[t->first_top + (size_t)i];
        add_candidate(all, token_text(a, f, c->id), c->log_p);
    }
    add_candidate(all, token_text(a, f, t->id), t->log_p);
    return all;
}

/* Characters in UTF-8 text: each has one byte that is no continuation. */
static json_int_t n_characters(const char *text, size_t n)
{
    json_int_t all = 0;
    for (size_t i = 0; i < n; i++)
        all += ((unsigned char)text[i] & 0xc0) != 0x80;
    return all;
}

static json_t *log_probs(const ndl_answer *a, const ndl_answer_facts *f)
{
    json_t *tokens = json_array(), *log_ps = json_array();
    json_t *offsets = json_array();
    json_t *tops = a->request->n_top > 0 ? json_array() : json_null();
    json_int_t offset = 0;
    size_t at = 0;
    for (size_t i = 0; i < a->n_tokens; i++) {
        const ndl_answer_token *t = &a->tokens[i];
        offset += n_characters(a->text + at, t->begin - at);
        at = t->begin;
        json_array_append_new(tokens, token_text(a, f, t->id));
        json_array_append_new(log_ps, real((double)t->log_p));
        json_array_append_new(offsets, json_integer(offset));
        if (json_is_array(tops))
            json_array_append_new(tops, candidates(a, f, t));
    }
    return json_pack("{so so so so}", "tokens", tokens, "token_logprobs",
                     log_ps, "top_logprobs", tops, "text_offset", offsets);
}

static json_t *choice(const ndl_answer *a, const ndl_answer_facts *f)
{
    const bool is_end = a->is_stopped || f->finish == NDL_FINISH_EOS;
    return json_pack("{si ss% ss so}", "index", 0, "text",
                     a->text ? a->text : "", a->n_text, "finish_reason",
                     is_end ? "stop" : "length", "logprobs",
                     a->request->want_log_p ? log_probs(a, f) : json_null());
}

static json_t *usage(const ndl_answer *a, const ndl_answer_facts *f)
{
    return json_pack("{si si sI}", "prompt_tokens", f->n_prompt,
                     "completion_tokens", a->n_out, "total_tokens",
                     (json_int_t)f->n_prompt + a->n_out);
}

static json_t *timings(const ndl_answer *a, const ndl_answer_facts *f)
{
    const double sec = a->last_sec - a->first_sec;
    return json_pack("{so so so}", "ttft_ms",
                     real(1e3 * (a->first_sec - f->start_sec)), "total_ms",
                     real(1e3 * (a->last_sec - f->start_sec)),
                     "predicted_per_second",
                     sec > 0.0 ? real((a->n_out - 1) / sec) : json_null());
}

static json_t *body(const ndl_answer *a, const ndl_answer_facts *f,
                    const char *hash)
{
    char id[HASH_TEXT + 8];
    snprintf(id, sizeof id, "cmpl-%s", hash);
    return json_pack("{ss ss sI so s[o] so so}", "id", id, "object",
                     "text_completion", "created", (json_int_t)f->created,
                     "model", ndl_json_text(f->model), "choices", choice(a, f),
                     "usage", usage(a, f), "timings", timings(a, f));
}

/* @param response, error  taken over */
static char *line_of(const ndl_request_line *x, json_t *response, json_t *error)
{
    char hash[HASH_TEXT], id[HASH_TEXT + 8];
    hash_text(hash, x->hash);
    snprintf(id, sizeof id, "noodle-%s", hash);
    json_t *line =
        json_pack("{ss ss ss so so}", "id", id, "custom_id", x->custom_id,
                  "request_hash", hash, "response", response, "error", error);
    char *text = line ? json_dumps(line, DUMP_FLAGS) : NULL;
    json_decref(line);
    return text;
}

char *ndl_answer_line(const ndl_answer *a, const ndl_answer_facts *facts)
{
    char hash[HASH_TEXT], id[HASH_TEXT + 8];
    hash_text(hash, a->request->hash);
    snprintf(id, sizeof id, "req-%s", hash);
    json_t *response = json_pack("{si ss so}", "status_code", 200, "request_id",
                                 id, "body", body(a, facts, hash));
    return response ? line_of(a->request, response, json_null()) : NULL;
}

static char *error_line(const ndl_request_line *x, const char *code,
                        const char *message)
{
    json_t *error =
        json_pack("{ss so}", "code", code, "message", ndl_json_text(message));
    return error ? line_of(x, json_null(), error) : NULL;
}

char *ndl_answer_line_refused(const ndl_request_line *request)
{
    return error_line(request, "invalid_request_error", request->error);
}

char *ndl_answer_line_too_long(const ndl_request_line *request, size_t n)
{
    char message[160];
    snprintf(message, sizeof message,
             "line %lld: the result is %.1f MiB long, a line holds %d: give %s "
             "max_tokens",
             (long long)request->number, (double)n / (1 << 20),
             NDL_LINES_LONGEST >> 20,
             request->want_log_p ? "fewer logprobs or a smaller" : "a smaller");
    return error_line(request, "result_too_long", message);
}

static ndl_status not_ours(const ndl_line *line, const char *path)
{
    ndl_status_clear();
    return NDL_FAIL(NDL_EDATA,
                    "%s: line %lld: is no result of a request: remove the "
                    "line, or give another file for the results",
                    path, (long long)line->number);
}

/* The hash that 16 digits stand for. */
static bool read_hash(const char *digits, uint64_t *hash)
{
    const size_t n = strspn(digits, "0123456789abcdef");
    if (n != HASH_TEXT - 1 || digits[n] != '\0') return false;
    *hash = strtoull(digits, NULL, 16);
    return true;
}

ndl_status ndl_answer_line_read(const ndl_line *line, const char *path,
                                char **custom_id, uint64_t *hash)
{
    json_t *all = NULL;
    const char *id = NULL, *digits = NULL;
    char *own = NULL;
    if (ndl_json_parse_own(&all, line->text, line->n) != NDL_OK)
        return not_ours(line, path);
    ndl_status st = NDL_OK;
    if (json_unpack(all, "{ss ss}", "custom_id", &id, "request_hash",
                    &digits) != 0)
        st = not_ours(line, path);
    else if (!(own = strdup(id)))
        st = NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    else if (!read_hash(digits, hash))
        st = not_ours(line, path);
    json_decref(all);
    if (st == NDL_OK)
        *custom_id = own;
    else
        free(own);
    return st;
}

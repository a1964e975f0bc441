/* answer.c - see answer.h. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/grow.h"
#include "stop_strings.h"

ndl_answer *ndl_answer_create(const ndl_request_line *request,
                              const ndl_tokenizer *tokenizer)
{
    ndl_answer *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->request = request;
    ndl_detokenizer_init(&a->detokenizer, tokenizer, false);
    /* The text goes on where the prompt ended: its leading space stays. */
    a->detokenizer.started = true;
    return a;
}

void ndl_answer_destroy(ndl_answer **a)
{
    if (!*a) return;
    free((*a)->text);
    free((*a)->tokens);
    free((*a)->tops);
    free(*a);
    *a = NULL;
}

static ndl_status out_of_memory(void)
{
    return NDL_FAIL(NDL_EOS, "answer: out of memory");
}

static void cut(ndl_answer *a, size_t at)
{
    a->is_stopped = true;
    a->n_text = at;
    a->text[at] = '\0';
    while (a->n_tokens > 0 && a->tokens[a->n_tokens - 1].begin >= at)
        a->n_tokens--;
}

static ndl_status append(ndl_answer *a, const char *bytes, size_t n)
{
    const size_t known = a->n_text;
    size_t at;
    char *text = ndl_grow(a->text, &a->text_cap, a->n_text + n + 1, 1);
    if (!text) return out_of_memory();
    a->text = text;
    memcpy(a->text + a->n_text, bytes, n);
    a->n_text += n;
    a->text[a->n_text] = '\0';
    if (ndl_stop_strings_find(a->text, a->n_text, known, a->request->stops,
                              a->request->n_stops, &at))
        cut(a, at);
    return NDL_OK;
}

static ndl_status keep_log_p(ndl_answer *a, const ndl_token *token)
{
    const size_t n_top = token->n_top > 0 ? (size_t)token->n_top : 0;
    ndl_answer_token *tokens =
        ndl_grow(a->tokens, &a->tokens_cap, a->n_tokens + 1, sizeof *tokens);
    if (!tokens) return out_of_memory();
    a->tokens = tokens;
    if (n_top > 0) {
        ndl_wire_candidate *tops =
            ndl_grow(a->tops, &a->tops_cap, a->n_tops + n_top, sizeof *tops);
        if (!tops) return out_of_memory();
        a->tops = tops;
        memcpy(tops + a->n_tops, token->top, n_top * sizeof *tops);
    }
    a->tokens[a->n_tokens++] = (ndl_answer_token){ .id = token->id,
                                                   .log_p = token->log_p,
                                                   .n_top = (int)n_top,
                                                   .begin = a->n_text,
                                                   .first_top = a->n_tops };
    a->n_tops += n_top;
    return NDL_OK;
}

ndl_status ndl_answer_add(ndl_answer *a, const ndl_token *token, char *piece,
                          size_t cap)
{
    if (a->is_stopped) return NDL_OK;
    a->n_out++;
    if (a->request->want_log_p) NDL_TRY(keep_log_p(a, token));
    return append(a, piece,
                  ndl_detokenizer_next(&a->detokenizer, token->id, piece, cap));
}

ndl_status ndl_answer_end(ndl_answer *a, char *piece, size_t cap)
{
    if (a->is_stopped) return NDL_OK;
    return append(a, piece, ndl_detokenizer_end(&a->detokenizer, piece, cap));
}

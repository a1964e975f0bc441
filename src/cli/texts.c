/* texts.c - tokens become text, texts become output; see texts.h. */
#include "texts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noodle/grow.h"
#include "output.h"

static bool shows_text(const ndl_texts *t)
{
    return !t->options->json;
}

static void show(ndl_texts *t, const char *bytes, size_t n)
{
    if (shows_text(t)) ndl_output_offer(&t->output, bytes, n);
}

/* The front text's turn: its prompt and what it has so far. */
static void open_front(ndl_texts *t)
{
    const ndl_text *x = &t->all[t->front];
    if (t->started) return;
    t->started = true;
    if (!t->options->no_display_prompt) show(t, x->prompt, strlen(x->prompt));
    show(t, x->out, x->n_bytes);
}

static void next_front(ndl_texts *t)
{
    while (t->front < t->n) {
        open_front(t);
        if (t->all[t->front].finish == NDL_FINISH_NONE) return;
        show(t, "\n", 1);
        t->front++;
        t->started = false;
    }
}

static bool append(ndl_text *x, const char *bytes, size_t n)
{
    char *more = ndl_grow(x->out, &x->cap, x->n_bytes + n + 1, 1);
    if (!more) return false;
    x->out = more;
    memcpy(x->out + x->n_bytes, bytes, n);
    x->n_bytes += n;
    x->out[x->n_bytes] = '\0';
    return true;
}

/* Keep and, if it is its turn, show a piece of text `r`. */
static void add(ndl_texts *t, int r, const char *bytes, size_t n)
{
    if (n == 0) return;
    if (!append(&t->all[r], bytes, n)) {
        t->output.stop.requested = true;
        t->output.stop.status =
            NDL_FAIL(NDL_EOS, "text %d: out of memory", r + 1);
        return;
    }
    if (r == t->front && t->started) show(t, bytes, n);
}

/* Of many prompts a line on stderr tells how far they are, unless the text
 * itself runs over the same terminal. */
static void tell_progress(ndl_texts *t)
{
    ndl_progress_line *p = &t->progress;
    char text[96];
    if (t->n == 1) return;
    if (!p->what) ndl_progress_line_begin(p, "run", NULL);
    if (!ndl_progress_line_is_due(p)) return;
    if (shows_text(t) && isatty(STDOUT_FILENO)) return;
    snprintf(text, sizeof text, "%d of %d prompts, %zu tokens, %.1f tokens/s",
             t->n_finished, t->n, t->n_tokens,
             (double)t->n_tokens / (p->last_sec - p->start_sec));
    ndl_progress_line_print(p, text);
}

static bool on_token(void *arg, int request, const ndl_token *token, double now)
{
    ndl_texts *t = arg;
    ndl_text *x = &t->all[request];
    if (x->first_sec == 0.0)
        x->first_sec = now;
    else if (now - x->last_sec > x->gap_sec)
        x->gap_sec = now - x->last_sec;
    x->last_sec = now;
    if (request == t->front) open_front(t);
    NDL_ASSERT(x->n_out < t->requests[request].max_new);
    x->out_ids[x->n_out++] = token->id;
    t->n_tokens++;
    tell_progress(t);
    add(t, request, t->piece,
        ndl_detokenizer_next(&x->detokenizer, token->id, t->piece,
                             t->piece_cap));
    return !t->output.stop.requested;
}

static void on_finish(void *arg, int request, ndl_finish why, double now)
{
    ndl_texts *t = arg;
    ndl_text *x = &t->all[request];
    if (x->first_sec == 0.0) x->first_sec = x->last_sec = now;
    add(t, request, t->piece,
        ndl_detokenizer_end(&x->detokenizer, t->piece, t->piece_cap));
    x->finish = why;
    t->n_finished++;
    next_front(t);
}

ndl_client ndl_texts_client(ndl_texts *t)
{
    return (
        ndl_client){ .arg = t, .on_token = on_token, .on_finish = on_finish };
}

void ndl_texts_end(ndl_texts *t)
{
    if (t->progress.what) ndl_progress_line_end(&t->progress);
    for (int r = 0; r < t->n; r++) {
        ndl_text *x = &t->all[r];
        if (x->finish != NDL_FINISH_NONE) continue;
        add(t, r, t->piece,
            ndl_detokenizer_end(&x->detokenizer, t->piece, t->piece_cap));
        x->finish = NDL_FINISH_STOPPED;
    }
    /* After an interrupt only what has begun is worth showing. */
    for (; t->front < t->n; t->front++, t->started = false) {
        const ndl_text *x = &t->all[t->front];
        if (!t->started && x->n_out == 0 && x->finish == NDL_FINISH_STOPPED)
            continue;
        open_front(t);
        show(t, "\n", 1);
    }
}

ndl_status ndl_texts_fit(ndl_texts *t, int limit, int *context)
{
    char name[512];
    int most = 1;
    for (int i = 0; i < t->n; i++) {
        ndl_request *r = &t->requests[i];
        if (r->n_prompt > limit)
            return NDL_FAIL(NDL_EDATA,
                            "%s: has %d tokens, the context holds %d: shorten "
                            "it, or give a larger -c if the model knows more",
                            ndl_texts_name(t, i, name, sizeof name),
                            r->n_prompt, limit);
        /* The last token of a full context is drawn, but takes no place. */
        const int room = limit - r->n_prompt + 1;
        /* One more than fits: the context ends such a text, not its length. */
        if (t->options->predict < 0 || r->max_new > room) r->max_new = room + 1;
        const int need = r->n_prompt + r->max_new;
        if (need > most) most = need;
        t->all[i].out_ids =
            malloc((size_t)(r->max_new + 1) * sizeof *t->all[i].out_ids);
        if (!t->all[i].out_ids) return NDL_FAIL(NDL_EOS, "out of memory");
    }
    *context = most < limit ? most : limit;
    return NDL_OK;
}

void ndl_texts_fini(ndl_texts *t)
{
    for (int i = 0; i < t->n; i++) {
        free(t->all[i].prompt);
        free(t->all[i].ids);
        free(t->all[i].out_ids);
        free(t->all[i].out);
    }
    free(t->all);
    free(t->requests);
    free(t->piece);
    free(t->output.held);
    *t = (ndl_texts){ 0 };
}

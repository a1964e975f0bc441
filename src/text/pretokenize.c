/*
 * pretokenize.c - cuts text into the pieces that merges do not cross.
 *
 * Patterns are PCRE2 (Unicode classes, JIT where the machine has it) and come
 * from a file, so they are hostile: a backtracking pattern can take
 * exponential time.  So patterns are anchored and tried character by
 * character, which gives a limit of steps at each.  The first limit is small;
 * only a try that hits it goes on with a larger one, and all these steps have
 * a budget proportional to the text.  (A search by the library would start
 * the count again at every character that it passes.)  What is left to a
 * hostile pattern is quadratic time: runs of one character are not counted.
 */
#define PCRE2_CODE_UNIT_WIDTH 8 /* before pcre2.h */
#include "pretokenize.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "vocab.h"

enum {
    FIRST_LIMIT = 1000,    /* steps; a word needs a few dozen          */
    BUDGET_PER_BYTE = 256, /* steps of failed tries                    */
    BUDGET_MIN = 1 << 22,
    BUDGET_MAX = 1 << 30,
    HEAP_LIMIT_KIB = 64 << 10, /* of the interpreter                       */
    JIT_STACK_MAX = 1 << 20,   /* bytes; more falls to the interpreter     */
    MAX_PATTERN = 1 << 14      /* bytes; real ones have less than 1000     */
};

struct ndl_pattern {
    pcre2_code *code;
};

struct ndl_matching {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack; /* NULL without JIT */
    uint32_t budget;        /* steps left for failed tries */
};

ndl_status ndl_pattern_create(ndl_pattern **out, const char *what,
                              const char *pattern, bool literal)
{
    int err = 0;
    PCRE2_SIZE at = 0;
    if (strlen(pattern) > MAX_PATTERN || pattern[0] == '\0')
        return NDL_FAIL(NDL_EDATA,
                        "%s: pre_tokenizer: pattern of %zu bytes: must have 1 "
                        "to %d",
                        what, strlen(pattern), MAX_PATTERN);
    const uint32_t how =
        literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_ANCHORED | how, &err, &at, NULL);
    if (!code) {
        PCRE2_UCHAR why[128] = "";
        pcre2_get_error_message(err, why, sizeof why);
        return NDL_FAIL(NDL_EDATA,
                        "%s: pre_tokenizer: pattern at offset %zu: %s", what,
                        (size_t)at, (const char *)why);
    }
    /* Without JIT (hardened systems) the interpreter does the same. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    ndl_pattern *p = malloc(sizeof *p);
    if (!p) {
        pcre2_code_free(code);
        return NDL_FAIL(NDL_EOS, "%s: out of memory for a pattern", what);
    }
    p->code = code;
    *out = p;
    return NDL_OK;
}

void ndl_pattern_destroy(ndl_pattern **p)
{
    if (*p) pcre2_code_free((*p)->code);
    free(*p);
    *p = NULL;
}

ndl_status ndl_pieces_init(ndl_pieces *p, size_t n_text)
{
    memset(p, 0, sizeof *p);
    struct ndl_matching *m = calloc(1, sizeof *m);
    if (!m) return NDL_FAIL(NDL_EOS, "text: out of memory");
    p->matching = m;
    m->data = pcre2_match_data_create(1, NULL);
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK_MAX, NULL);
    if (!m->data || !m->context)
        return NDL_FAIL(NDL_EOS, "text: out of memory to match patterns");
    pcre2_set_heap_limit(m->context, HEAP_LIMIT_KIB);
    if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
    m->budget = n_text > (BUDGET_MAX - BUDGET_MIN) / BUDGET_PER_BYTE
                    ? BUDGET_MAX
                    : BUDGET_MIN + BUDGET_PER_BYTE * (uint32_t)n_text;
    return NDL_OK;
}

void ndl_pieces_fini(ndl_pieces *p)
{
    if (p->matching) {
        pcre2_match_data_free(p->matching->data);
        pcre2_match_context_free(p->matching->context);
        pcre2_jit_stack_free(p->matching->stack);
    }
    free(p->matching);
    ndl_buffer_fini(&p->text);
    ndl_buffer_fini(&p->ends);
    ndl_buffer_fini(&p->other_text);
    ndl_buffer_fini(&p->other_ends);
    memset(p, 0, sizeof *p);
}

/* The piece that a pattern cuts; look-arounds see nothing outside it. */
typedef struct subject {
    const pcre2_code *code;
    const uint8_t *s;
    size_t n;
} subject;

/* One try with as many steps as it needs, within the budget. */
static int match_at(struct ndl_matching *m, const subject *j, size_t at)
{
    uint32_t how = PCRE2_NO_UTF_CHECK, limit = FIRST_LIMIT;
    for (;;) {
        pcre2_set_match_limit(m->context, limit);
        const int rc =
            pcre2_match(j->code, j->s, j->n, at, how, m->data, m->context);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT && !(how & PCRE2_NO_JIT)) {
            how |= PCRE2_NO_JIT;
            continue;
        }
        if (rc != PCRE2_ERROR_MATCHLIMIT || limit >= m->budget) return rc;
        m->budget -= limit;
        limit = limit > m->budget / 8 ? m->budget : limit * 8;
    }
}

static ndl_status match_failed(int rc)
{
    PCRE2_UCHAR why[128] = "";
    pcre2_get_error_message(rc, why, sizeof why);
    return NDL_FAIL(NDL_EDATA,
                    "text: the pre_tokenizer's pattern gives up (%s): the "
                    "pattern does not fit this text",
                    (const char *)why);
}

static ndl_status add_end(ndl_pieces *p, size_t end)
{
    const size_t n = p->other_ends.n / sizeof end;
    const size_t *ends = p->other_ends.data;
    if (end == (n ? ends[n - 1] : 0)) return NDL_OK; /* an empty piece */
    return ndl_buffer_add(&p->other_ends, &end, sizeof end);
}

/* The first match at or after `at` that is not empty. */
static ndl_status next_match(struct ndl_matching *m, const subject *j,
                             size_t at, bool *found)
{
    const size_t *span = pcre2_get_ovector_pointer(m->data);
    *found = false;
    while (at < j->n && !*found) {
        const int rc = match_at(m, j, at);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) return match_failed(rc);
        /* \K moves the start, in a look-around even backwards. */
        *found = rc > 0 && span[0] >= at && span[1] > span[0];
        at += (size_t)ndl_utf8_decode(j->s + at, j->n - at, NULL);
    }
    return NDL_OK;
}

/* Cut [start, end) of p->text. */
static ndl_status split_piece(ndl_pieces *p, const ndl_step *step, size_t start,
                              size_t end)
{
    const subject piece = { step->pattern->code,
                            (const uint8_t *)p->text.data + start,
                            end - start };
    const size_t *span = pcre2_get_ovector_pointer(p->matching->data);
    for (size_t at = 0;; at = span[1]) {
        bool found;
        NDL_TRY(next_match(p->matching, &piece, at, &found));
        if (!found) break;
        if (step->ends_before) NDL_TRY(add_end(p, start + span[0]));
        if (step->ends_after) NDL_TRY(add_end(p, start + span[1]));
    }
    return add_end(p, end);
}

static ndl_status split(ndl_pieces *p, const ndl_step *step)
{
    size_t start = 0;
    p->other_ends.n = 0;
    for (size_t i = 0; i < p->ends.n / sizeof start; i++) {
        const size_t end = ((const size_t *)p->ends.data)[i];
        NDL_TRY(split_piece(p, step, start, end));
        start = end;
    }
    const ndl_buffer swap = p->ends;
    p->ends = p->other_ends;
    p->other_ends = swap;
    return NDL_OK;
}

static bool starts_with(const uint8_t *s, size_t n, const char *text)
{
    const size_t len = strlen(text);
    return n >= len && memcmp(s, text, len) == 0;
}

/* One piece with its spaces replaced and the mark put in front. */
static ndl_status rewrite_piece(ndl_pieces *p, const char *space,
                                const uint8_t *s, size_t n, bool prepend)
{
    ndl_buffer *out = &p->other_text;
    if (prepend && !starts_with(s, n, " ") && !starts_with(s, n, space))
        NDL_TRY(ndl_buffer_add(out, space, strlen(space)));
    for (size_t i = 0; i < n; i++) {
        if (s[i] == ' ')
            NDL_TRY(ndl_buffer_add(out, space, strlen(space)));
        else
            NDL_TRY(ndl_buffer_add(out, &s[i], 1));
    }
    return add_end(p, out->n);
}

static ndl_status rewrite(ndl_pieces *p, const ndl_step *step, bool first)
{
    const bool meta = step->kind == NDL_STEP_METASPACE;
    const char *space = meta ? "\xe2\x96\x81" : " ";
    size_t start = 0;
    p->other_text.n = p->other_ends.n = 0;
    for (size_t i = 0; i < p->ends.n / sizeof start; i++) {
        const size_t end = ((const size_t *)p->ends.data)[i];
        const bool prepend =
            !meta || step->prepend == NDL_PREPEND_ALWAYS ||
            (step->prepend == NDL_PREPEND_FIRST && first && i == 0);
        const uint8_t *s = (const uint8_t *)p->text.data + start;
        NDL_TRY(rewrite_piece(p, space, s, end - start, prepend));
        start = end;
    }
    const ndl_buffer text = p->text, ends = p->ends;
    p->text = p->other_text;
    p->ends = p->other_ends;
    p->other_text = text;
    p->other_ends = ends;
    return NDL_OK;
}

ndl_status ndl_pretokenize(const ndl_tokenizer *t, ndl_pieces *p,
                           const uint8_t *s, size_t n, bool first)
{
    p->text.n = p->ends.n = 0;
    NDL_TRY(ndl_buffer_add(&p->text, s, n));
    NDL_TRY(ndl_buffer_add(&p->ends, &n, sizeof n));
    for (int i = 0; i < t->n_steps; i++) {
        const ndl_step *step = &t->steps[i];
        switch (step->kind) {
        case NDL_STEP_SPLIT: NDL_TRY(split(p, step)); break;
        case NDL_STEP_SPACE:
        case NDL_STEP_METASPACE: NDL_TRY(rewrite(p, step, first)); break;
        case NDL_STEP_BYTES: break; /* pieces are bytes already */
        }
    }
    return NDL_OK;
}

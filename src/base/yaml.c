/*
 * yaml.c - see yaml.h.
 *
 * libyaml turns the text into events; here they become JSON values.  Nesting
 * is kept on a stack of our own, so that hostile depth is an error and no
 * recursion; aliases are refused because a few lines of them can stand for
 * gigabytes.
 */
#include "noodle/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "noodle/file.h"

enum { MAX_LEVELS = 64 };

/* A mapping or sequence that is not finished. */
typedef struct level {
    json_t *value; /* owned by its parent; the outermost by `root` */
    char *key;     /* read, its value not yet; owned */
} level;

typedef struct reader {
    yaml_parser_t parser;
    const char *what;
    level levels[MAX_LEVELS];
    int depth;
    int n_documents;
    json_t *root; /* owned; NULL: nothing yet */
} reader;

static ndl_status fail_at(const reader *r, yaml_mark_t at, const char *cause)
{
    return NDL_FAIL(NDL_EDATA, "%s: line %zu, column %zu: %s", r->what,
                    at.line + 1, at.column + 1, cause);
}

static ndl_status fail_parse(const reader *r)
{
    const yaml_parser_t *p = &r->parser;
    char cause[200];
    if (p->error == YAML_MEMORY_ERROR)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", r->what);
    snprintf(cause, sizeof cause, "not valid YAML: %.160s",
             p->problem ? p->problem : "unreadable");
    if (p->error == YAML_READER_ERROR) /* which knows only the offset */
        return NDL_FAIL(NDL_EDATA, "%s: line %zu, column %zu: %s (byte %zu)",
                        r->what, p->mark.line + 1, p->mark.column + 1, cause,
                        p->problem_offset);
    return fail_at(r, p->problem_mark, cause);
}

/* Does the text have the form of a decimal number, and of a whole one? */
static bool is_number(const char *text, bool *whole)
{
    const char *at = text + (*text == '-' || *text == '+');
    const char *digits = "0123456789";
    size_t n = strspn(at, digits);
    at += n;
    *whole = n > 0 && *at == '\0';
    if (*at == '.') {
        const size_t fraction = strspn(at + 1, digits);
        at += 1 + fraction;
        n += fraction;
    }
    if (n == 0) return false;
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '-' || at[1] == '+');
        const size_t exponent = strspn(at, digits);
        if (exponent == 0) return false;
        at += exponent;
    }
    return *at == '\0';
}

/* NULL: out of range or of memory, which jansson does not tell apart. */
static json_t *number_of(const char *text, bool whole)
{
    errno = 0;
    if (whole) {
        const long long v = strtoll(text, NULL, 10);
        return errno ? NULL : json_integer(v);
    }
    const double v = strtod(text, NULL);
    return isfinite(v) ? json_real(v) : NULL;
}

static ndl_status scalar_of(const reader *r, const yaml_event_t *e,
                            json_t **out)
{
    const char *text = (const char *)e->data.scalar.value;
    const size_t n = e->data.scalar.length;
    const bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool whole = false;
    json_t *v;
    if (memchr(text, 0, n))
        return fail_at(r, e->start_mark, "a text with a zero byte");
    if (plain && (n == 0 || !strcmp(text, "null") || !strcmp(text, "~")))
        v = json_null();
    else if (plain && !strcmp(text, "true"))
        v = json_true();
    else if (plain && !strcmp(text, "false"))
        v = json_false();
    else if (plain && is_number(text, &whole))
        v = number_of(text, whole);
    else
        v = json_stringn(text, n);
    if (!v)
        return fail_at(r, e->start_mark,
                       "a number out of range, or a text that is not UTF-8");
    *out = v;
    return NDL_OK;
}

/* Takes the reference, also on error. */
static ndl_status put(reader *r, yaml_mark_t at, json_t *v)
{
    int failed = 0;
    if (r->depth == 0) {
        r->root = v;
        return NDL_OK;
    }
    level *l = &r->levels[r->depth - 1];
    if (json_is_array(l->value)) {
        failed = json_array_append_new(l->value, v);
    } else {
        NDL_ASSERT(l->key);
        failed = json_object_set_new(l->value, l->key, v);
        free(l->key);
        l->key = NULL;
    }
    return failed ? fail_at(r, at, "out of memory") : NDL_OK;
}

static ndl_status open_level(reader *r, const yaml_event_t *e, json_t *v)
{
    if (!v) return NDL_FAIL(NDL_EOS, "%s: out of memory", r->what);
    if (r->depth == MAX_LEVELS) {
        json_decref(v);
        return fail_at(r, e->start_mark, "more than 64 levels");
    }
    NDL_TRY(put(r, e->start_mark, v));
    r->levels[r->depth++] = (level){ v, NULL };
    return NDL_OK;
}

/* Is the next thing at this place a key? */
static bool wants_key(const reader *r)
{
    if (r->depth == 0) return false;
    const level *l = &r->levels[r->depth - 1];
    return json_is_object(l->value) && !l->key;
}

static ndl_status take_key(reader *r, const yaml_event_t *e)
{
    const char *key = (const char *)e->data.scalar.value;
    level *l = &r->levels[r->depth - 1];
    char cause[128];
    if (memchr(key, 0, e->data.scalar.length))
        return fail_at(r, e->start_mark, "a key with a zero byte");
    if (json_object_get(l->value, key)) {
        snprintf(cause, sizeof cause, "duplicate key \"%.80s\"", key);
        return fail_at(r, e->start_mark, cause);
    }
    l->key = strdup(key);
    return l->key ? NDL_OK : NDL_FAIL(NDL_EOS, "%s: out of memory", r->what);
}

static ndl_status take_scalar(reader *r, const yaml_event_t *e)
{
    json_t *v = NULL;
    if (e->data.scalar.tag)
        return fail_at(r, e->start_mark, "tags (!) are not supported");
    if (wants_key(r)) return take_key(r, e);
    NDL_TRY(scalar_of(r, e, &v));
    return put(r, e->start_mark, v);
}

static ndl_status take(reader *r, const yaml_event_t *e)
{
    const bool key = wants_key(r);
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->n_documents++ == 0) return NDL_OK;
        return fail_at(r, e->start_mark, "a second document: give one only");
    case YAML_ALIAS_EVENT:
        return fail_at(r, e->start_mark,
                       "aliases (*) are not supported: write the value again");
    case YAML_SCALAR_EVENT: return take_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        if (key) return fail_at(r, e->start_mark, "a key that is no text");
        if (e->data.sequence_start.tag)
            return fail_at(r, e->start_mark, "tags (!) are not supported");
        return open_level(r, e, json_array());
    case YAML_MAPPING_START_EVENT:
        if (key) return fail_at(r, e->start_mark, "a key that is no text");
        if (e->data.mapping_start.tag)
            return fail_at(r, e->start_mark, "tags (!) are not supported");
        return open_level(r, e, json_object());
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: r->depth--; return NDL_OK;
    default: return NDL_OK;
    }
}

static ndl_status read_events(reader *r)
{
    for (;;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r->parser, &e)) return fail_parse(r);
        const bool end = e.type == YAML_STREAM_END_EVENT;
        const ndl_status st = take(r, &e);
        yaml_event_delete(&e);
        if (st != NDL_OK || end) return st;
    }
}

ndl_status ndl_yaml_parse(json_t **out, const char *text, size_t n,
                          const char *what)
{
    reader r = { .what = what };
    if (!yaml_parser_initialize(&r.parser))
        return NDL_FAIL(NDL_EOS, "%s: out of memory", what);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    ndl_status st = read_events(&r);
    if (st == NDL_OK && !r.root)
        st = NDL_FAIL(NDL_EDATA, "%s: line 1, column 1: the file is empty",
                      what);
    for (int i = 0; i < r.depth; i++) free(r.levels[i].key);
    yaml_parser_delete(&r.parser);
    if (st == NDL_OK)
        *out = r.root;
    else
        json_decref(r.root);
    return st;
}

ndl_status ndl_yaml_load(json_t **out, const char *path, size_t max_bytes)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_file_read(&text, &n, path, max_bytes));
    const ndl_status st = ndl_yaml_parse(out, text, n, path);
    free(text);
    return st;
}

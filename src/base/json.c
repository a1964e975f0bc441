/* json.c - see json.h. */
#include "noodle/json.h"

#include <string.h>

#include <stdlib.h>

#include "noodle/file.h"

ndl_status ndl_json_parse(json_t **out, const char *text, size_t n,
                          const char *what)
{
    json_error_t err;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &err);
    if (!j)
        return NDL_FAIL(NDL_EDATA, "%s: line %d, column %d: not valid JSON: %s",
                        what, err.line, err.column, err.text);
    *out = j;
    return NDL_OK;
}

static ndl_status parse_line(json_t **out, const char *text, size_t n,
                             size_t flags)
{
    json_error_t err;
    json_t *j = json_loadb(
        text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | flags, &err);
    if (!j)
        return NDL_FAIL(NDL_EDATA, "column %d: not valid JSON: %s", err.column,
                        err.text);
    *out = j;
    return NDL_OK;
}

ndl_status ndl_json_parse_line(json_t **out, const char *text, size_t n)
{
    return parse_line(out, text, n, 0);
}

ndl_status ndl_json_parse_own(json_t **out, const char *text, size_t n)
{
    return parse_line(out, text, n, JSON_ALLOW_NUL);
}

ndl_status ndl_json_load(json_t **out, const char *path, size_t max_bytes)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_file_read(&text, &n, path, max_bytes));
    const ndl_status st = ndl_json_parse(out, text, n, path);
    free(text);
    return st;
}

json_t *ndl_json_text(const char *text)
{
    json_t *j = json_string(text);
    if (j) return j;
    char *plain = strdup(text);
    if (!plain) return NULL;
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    j = json_string(plain);
    free(plain);
    return j;
}

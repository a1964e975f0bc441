/* request_list.c - see request_list.h. */
#include "request_list.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/grow.h"

enum { MOST = INT_MAX / 4 };

static bool is_blank(const ndl_line *line)
{
    return strspn(line->text, " \t\r") == line->n;
}

static ndl_status make_room(ndl_request_list *l, const char *path)
{
    if (l->n >= MOST)
        return NDL_FAIL(NDL_EDATA, "%s: more than %d requests: split it", path,
                        l->n);
    ndl_request_line *more =
        ndl_grow(l->all, &l->cap, (size_t)l->n + 1, sizeof *more);
    if (!more) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    l->all = more;
    return NDL_OK;
}

/* With its byte order mark, or by what half of a character is worth. */
static bool is_utf16(const ndl_line *first)
{
    const char *t = first->text;
    return first->n >= 2 && (memcmp(t, "\xff\xfe", 2) == 0 ||
                             memcmp(t, "\xfe\xff", 2) == 0 || !t[0] || !t[1]);
}

/* Of a file in another form every line would be bad in a way of its own, and
 * none would say why. */
static ndl_status check_form(const ndl_line *first, const char *path)
{
    if (is_utf16(first))
        return NDL_FAIL(NDL_EDATA, "%s: is UTF-16 text: save it as UTF-8",
                        path);
    const char *text = first->text + strspn(first->text, " \t");
    const bool is_list = *text == '[';
    if (!is_list && (*text != '{' || text[1 + strspn(text + 1, " \t")]))
        return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: line %lld: begins JSON that is %s: write one request "
                    "a line, as jq -c '%s' %s does",
                    path, (long long)first->number,
                    is_list ? "a list" : "spread over lines",
                    is_list ? ".[]" : ".", path);
}

/* Editors and shells of Windows put a byte order mark in front of UTF-8. */
static void skip_mark(ndl_line *first)
{
    if (first->n < 3 || memcmp(first->text, "\xef\xbb\xbf", 3) != 0) return;
    first->text += 3;
    first->n -= 3;
}

/* Two answers of one name could not be told apart, nor what is done. */
static ndl_status enter(ndl_request_list *l, const char *path)
{
    const int i = l->n - 1;
    int has = i;
    NDL_TRY(ndl_name_index_add(&l->by_id, l->all[i].custom_id, i, &has));
    if (has == i) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: lines %lld and %lld have the same custom_id \"%.80s\":"
                    " give each line its own",
                    path, (long long)l->all[has].number,
                    (long long)l->all[i].number, l->all[i].custom_id);
}

static ndl_status read_all(ndl_request_list *l, ndl_lines *lines,
                           const char *path, const ndl_options *options)
{
    ndl_line line;
    for (;;) {
        NDL_TRY(ndl_lines_next(lines, &line));
        if (!line.text) return NDL_OK;
        if (line.number == 1) skip_mark(&line);
        if (is_blank(&line)) continue;
        if (l->n == 0) NDL_TRY(check_form(&line, path));
        NDL_TRY(make_room(l, path));
        NDL_TRY(ndl_request_line_parse(&l->all[l->n], line.text, line.n,
                                       line.number, options));
        l->n++;
        NDL_TRY(enter(l, path));
    }
}

ndl_status ndl_request_list_read(ndl_request_list *out, const char *path,
                                 const ndl_options *options, ndl_heed heed)
{
    ndl_request_list l = { 0 };
    ndl_lines *lines = NULL;
    NDL_TRY(ndl_lines_open(&lines, path));
    ndl_lines_heed(lines, heed);
    const ndl_status st = read_all(&l, lines, path, options);
    ndl_lines_close(&lines);
    if (st == NDL_OK)
        *out = l;
    else
        ndl_request_list_fini(&l);
    return st;
}

void ndl_request_list_fini(ndl_request_list *l)
{
    for (int i = 0; i < l->n; i++) ndl_request_line_fini(&l->all[i]);
    free(l->all);
    ndl_name_index_fini(&l->by_id);
    *l = (ndl_request_list){ 0 };
}

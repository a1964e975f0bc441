/* request_list.c - see request_list.h. */
#include "request_list.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/lines.h"

static bool is_blank(const ndl_line *line)
{
    return strspn(line->text, " \t\r") == line->n;
}

static ndl_status make_room(ndl_request_list *l, const char *path)
{
    if (l->n < l->cap) return NDL_OK;
    if (l->cap > INT_MAX / 4)
        return NDL_FAIL(NDL_EDATA, "%s: more than %d requests: split it", path,
                        l->n);
    const int cap = 2 * l->cap + 64;
    ndl_request_line *more = realloc(l->all, (size_t)cap * sizeof *more);
    if (!more) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    l->all = more;
    l->cap = cap;
    return NDL_OK;
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
        if (is_blank(&line)) continue;
        NDL_TRY(make_room(l, path));
        NDL_TRY(ndl_request_line_parse(&l->all[l->n], line.text, line.n,
                                       line.number, options));
        l->n++;
        NDL_TRY(enter(l, path));
    }
}

ndl_status ndl_request_list_read(ndl_request_list *out, const char *path,
                                 const ndl_options *options)
{
    ndl_request_list l = { 0 };
    ndl_lines *lines = NULL;
    NDL_TRY(ndl_lines_open(&lines, path));
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

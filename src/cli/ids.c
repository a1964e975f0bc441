/* ids.c - see ids.h. */
#include "ids.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ndl_status ndl_ids_parse(const char *option, const char *text, int vocab,
                         int32_t **out, size_t *n_out)
{
    size_t n = 0;
    int32_t *ids = malloc((strlen(text) / 2 + 1) * sizeof *ids);
    if (!ids) return NDL_FAIL(NDL_EOS, "%s: out of memory", option);
    for (const char *at = text;;) {
        char *end;
        const long v = isdigit((unsigned char)*at) ? strtol(at, &end, 10) : -1;
        if (v < 0 || (*end != ',' && *end != '\0')) {
            free(ids);
            return NDL_FAIL(NDL_EUSAGE,
                            "%s %.40s: not a list of ids: write it like 1,2,3",
                            option, text);
        }
        if (v >= vocab) {
            free(ids);
            return NDL_FAIL(NDL_EUSAGE,
                            "%s: id %ld: the model's vocabulary ends at %d",
                            option, v, vocab - 1);
        }
        ids[n++] = (int32_t)v;
        if (*end == '\0') break;
        at = end + 1;
    }
    *out = ids;
    *n_out = n;
    return NDL_OK;
}

char *ndl_ids_text(const int32_t *ids, size_t n)
{
    char *text = malloc(n * 12 + 2);
    size_t at = 0;
    if (!text) return NULL;
    for (size_t i = 0; i < n; i++)
        at += (size_t)sprintf(text + at, "%s%d", i ? "," : "", (int)ids[i]);
    memcpy(text + at, "\n", 2);
    return text;
}

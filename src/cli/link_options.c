/* link_options.c - see link_options.h. */
#include "link_options.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/units.h"

static const char link_word[] = "link=";

bool ndl_link_options_is_link(const char *text)
{
    return strncmp(text, link_word, sizeof link_word - 1) == 0;
}

static ndl_status bad_link(const char *text)
{
    return NDL_FAIL(NDL_EUSAGE,
                    "--emulate %s: give link=A-B,delay=1ms,bandwidth=1GB/s "
                    "with two ranks or * for any, a delay up to %g s, and at "
                    "least %g bytes/s",
                    text, NDL_LINK_DELAY_MAX_SEC, NDL_LINK_BANDWIDTH_MIN);
}

static ndl_status no_such_link(const char *text, int size)
{
    return NDL_FAIL(NDL_EUSAGE,
                    "--emulate %s: a link joins two different ranks, and the "
                    "last of this run is %d",
                    text, size - 1);
}

/* A rank or a star; a number too large for one is INT32_MAX, which is none. */
static bool read_rank(const char **at, int32_t *rank)
{
    char *end = NULL;
    if (**at == '*') {
        *rank = -1;
        ++*at;
        return true;
    }
    if (**at < '0' || **at > '9') return false;
    const long r = strtol(*at, &end, 10);
    *rank = r < INT32_MAX ? (int32_t)r : INT32_MAX;
    *at = end;
    return true;
}

/* "delay=1ms" or "bandwidth=1GB/s", once each; bytes are bytes a second. */
static bool read_value(const char *word, ndl_comm_link *l)
{
    static const char delay[] = "delay=", bandwidth[] = "bandwidth=";
    if (strncmp(word, delay, sizeof delay - 1) == 0)
        return l->delay_sec == 0.0 &&
               ndl_units_parse(word + sizeof delay - 1, NDL_UNIT_SEC,
                               &l->delay_sec) &&
               l->delay_sec <= NDL_LINK_DELAY_MAX_SEC;
    if (strncmp(word, bandwidth, sizeof bandwidth - 1) != 0 ||
        l->bytes_per_sec != 0.0)
        return false;
    word += sizeof bandwidth - 1;
    if (!ndl_units_parse(word, NDL_UNIT_BYTES_PER_SEC, &l->bytes_per_sec) &&
        !ndl_units_parse(word, NDL_UNIT_BYTES, &l->bytes_per_sec))
        return false;
    return l->bytes_per_sec >= NDL_LINK_BANDWIDTH_MIN &&
           l->bytes_per_sec <= NDL_LINK_BANDWIDTH_MAX;
}

static bool read_values(const char *text, ndl_comm_link *l)
{
    char word[64];
    int n = 0;
    while (*text == ',') {
        const size_t len = strcspn(++text, ",");
        if (len >= sizeof word) return false;
        memcpy(word, text, len);
        word[len] = '\0';
        if (!read_value(word, l)) return false;
        text += len;
        n++;
    }
    return *text == '\0' && n > 0;
}

static ndl_status read_link(const char *text, int size, ndl_comm_link *l)
{
    const char *at = text + sizeof link_word - 1;
    *l = (ndl_comm_link){ 0 };
    if (!read_rank(&at, &l->from) || *at++ != '-' || !read_rank(&at, &l->to) ||
        !read_values(at, l))
        return bad_link(text);
    if (l->from >= size || l->to >= size || (l->from >= 0 && l->from == l->to))
        return no_such_link(text, size);
    return NDL_OK;
}

ndl_status ndl_link_options_read(const ndl_options_list *emulate, int size,
                                 ndl_comm_link **links, int *n)
{
    int count = 0;
    ndl_status st = NDL_OK;
    for (int i = 0; i < emulate->n; i++)
        count += ndl_link_options_is_link(emulate->at[i]);
    if (count == 0) return NDL_OK;
    ndl_comm_link *all = malloc((size_t)count * 2 * sizeof *all);
    if (!all) return NDL_FAIL(NDL_EOS, "--emulate: out of memory");
    count = 0;
    for (int i = 0; i < emulate->n && st == NDL_OK; i++) {
        if (!ndl_link_options_is_link(emulate->at[i])) continue;
        ndl_comm_link *l = &all[count];
        st = read_link(emulate->at[i], size, l);
        if (st != NDL_OK) break;
        all[count + 1] =
            (ndl_comm_link){ l->to, l->from, l->delay_sec, l->bytes_per_sec };
        count += 2;
    }
    if (st != NDL_OK) {
        free(all);
        return st;
    }
    *links = all;
    *n = count;
    return NDL_OK;
}

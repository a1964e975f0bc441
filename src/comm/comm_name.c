/* comm_name.c - see comm_name.h. */
#include "comm_name.h"

#include <stdbool.h>
#include <string.h>

#include "noodle/status.h"

static bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t';
}

/* How many characters at `s` say nothing: the word "Version:", the v before a
 * number, all but the last of several blanks. */
static size_t noise_at(const char *s, bool is_word_start)
{
    static const char word[] = " Version:";
    if (strncmp(s, word, sizeof word - 1) == 0) return sizeof word - 1;
    if (is_word_start && s[0] == 'v' && s[1] >= '0' && s[1] <= '9') return 1;
    return is_blank(s[0]) && is_blank(s[1]);
}

void ndl_comm_name_library(char *name, size_t cap, const char *version)
{
    size_t n = 0;
    NDL_ASSERT(cap > 0);
    while (*version && !strchr(",\r\n", *version) && n + 1 < cap) {
        const size_t skip = noise_at(version, n > 0 && is_blank(name[n - 1]));
        if (skip == 0) name[n++] = is_blank(*version) ? ' ' : *version;
        version += skip ? skip : 1;
    }
    name[n] = '\0';
}

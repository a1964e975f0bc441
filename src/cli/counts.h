/* counts.h - lists of whole numbers on the command line: "1,4,16", ranges
 * "1-8", "0-64+16", "1-64*2", an option given several times. */
#ifndef NDL_COUNTS_H
#define NDL_COUNTS_H

#include "options.h"

enum { NDL_COUNTS = 64 };

typedef struct ndl_counts {
    int at[NDL_COUNTS];
    int n;
} ndl_counts;

/**
 * All numbers of all values of an option, in the order given.
 * @param option  its name, for messages.
 * @param list    empty: the one number `fallback`.
 * @return NDL_OK; NDL_EUSAGE naming option, value and what would do.
 */
ndl_status ndl_counts_parse(ndl_counts *out, const char *option,
                            const ndl_options_list *list, int fallback,
                            int least, int most);

/** Exactly two numbers, "512,128", each within 0 .. most.
 * @return NDL_OK; NDL_EUSAGE. */
ndl_status ndl_counts_pair(int out[2], const char *option, const char *text,
                           int most);

#endif /* NDL_COUNTS_H */

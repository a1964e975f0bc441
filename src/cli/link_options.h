/* link_options.h - --emulate link=...: links that are to be slower than they
 * are.  Private to src/cli. */
#ifndef NDL_CLI_LINK_OPTIONS_H
#define NDL_CLI_LINK_OPTIONS_H

#include <stdbool.h>

#include "noodle/comm.h"
#include "options.h"

/** Is this word of --emulate about a link? */
bool ndl_link_options_is_link(const char *text);

/**
 * The words that are about links: "link=1-2,delay=1ms,bandwidth=1GB/s", both
 * ways; a star is any rank; delay or bandwidth may be missing.
 * @param[out] links  malloc'ed, or NULL if there are none
 * @return NDL_OK; NDL_EUSAGE naming the word; NDL_EOS.
 */
ndl_status ndl_link_options_read(const ndl_options_list *emulate, int size,
                                 ndl_comm_link **links, int *n);

#endif /* NDL_CLI_LINK_OPTIONS_H */

/* ids.h - token ids as users write them: "1,2,3". */
#ifndef NDL_IDS_H
#define NDL_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"

/**
 * @param option  names the list in messages ("--ids").
 * @param vocab   ids must be below it.
 * @param[out] ids  malloc'ed, the caller frees it; at least one.
 * @return NDL_OK; NDL_EUSAGE; NDL_EOS.
 */
ndl_status ndl_ids_parse(const char *option, const char *text, int vocab,
                         int32_t **ids, size_t *n);

/** "1,2,3\n"; malloc'ed, the caller frees it; NULL if out of memory. */
char *ndl_ids_text(const int32_t *ids, size_t n);

#endif /* NDL_IDS_H */

/* request_list.h - all requests of a file, and which of them are answered. */
#ifndef NDL_REQUEST_LIST_H
#define NDL_REQUEST_LIST_H

#include "name_index.h"
#include "noodle/lines.h"
#include "request_line.h"

typedef struct ndl_request_list {
    ndl_request_line *all; /* (n) in the order of the file */
    int n;
    size_t cap;
    ndl_name_index by_id; /* of custom_id */
} ndl_request_list;

/**
 * Read a file of requests, one a line; lines of white space are none, and a
 * byte order mark in front is none of the first.
 * @param heed  asked while it is read.
 * @param[out] out  the caller frees it with ndl_request_list_fini.
 * @return NDL_OK, also if lines are bad: they say so themselves; NDL_EDATA: two
 * lines have one custom_id, or it is no file of lines at all; what reading
 * lines and heed return; NDL_EOS.
 */
ndl_status ndl_request_list_read(ndl_request_list *out, const char *path,
                                 const ndl_options *options, ndl_heed heed);
void ndl_request_list_fini(ndl_request_list *l);

#endif /* NDL_REQUEST_LIST_H */

/*
 * json.h - JSON for everybody, behind one small header.
 *
 * Jansson does the work; whoever parses includes this instead of jansson.h and
 * gets its types.  Two things are decided here for all: duplicate keys are
 * errors, and a message names the file, line and column.
 */
#ifndef NOODLE_JSON_H
#define NOODLE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "noodle/status.h"

/**
 * Parse `n` bytes of JSON text.  The text may be hostile.
 *
 * @param[out] out   new reference, the caller owns it (json_decref).
 * @param[in]  what  names the text in messages (a path).
 * @return NDL_OK; NDL_EDATA with line and column.
 */
ndl_status ndl_json_parse(json_t **out, const char *text, size_t n,
                          const char *what);

/**
 * Parse one line of a file of lines: any value, also one that is no object.
 * @return NDL_OK; NDL_EDATA with the column; the message has no name in front,
 * the caller knows the line.
 */
ndl_status ndl_json_parse_line(json_t **out, const char *text, size_t n);

/** The same of a line that this program wrote: texts may hold zero bytes. */
ndl_status ndl_json_parse_own(json_t **out, const char *text, size_t n);

/**
 * Read a file whole and parse it.
 *
 * @param max_bytes  refuse larger files (NDL_EDATA).
 * @return NDL_OK; NDL_ENOINPUT if it is missing; NDL_EIO; NDL_EDATA.
 */
ndl_status ndl_json_load(json_t **out, const char *path, size_t max_bytes);

/** A new string; of a text that is not UTF-8 (a path) what is not ASCII
 * becomes '?'.  @return NULL: out of memory. */
json_t *ndl_json_text(const char *text);

#endif /* NOODLE_JSON_H */

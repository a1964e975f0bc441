/*
 * yaml.h - YAML files as JSON values, so that everything that reads settings
 * reads both.
 */
#ifndef NOODLE_YAML_H
#define NOODLE_YAML_H

#include <stddef.h>

#include "noodle/json.h"

/**
 * Parse YAML (of which JSON is a part) into a JSON value.  One document;
 * mappings with text keys, sequences, scalars.  Plain scalars that look like
 * numbers, true, false or null become those; quoted ones stay texts.  Aliases,
 * tags, duplicate keys, more than 64 levels, and texts that are not UTF-8 are
 * refused.
 *
 * @param[out] out   new reference, the caller owns it.
 * @param[in]  what  names the text in messages.
 * @return NDL_OK; NDL_EDATA with line and column.
 */
ndl_status ndl_yaml_parse(json_t **out, const char *text, size_t n,
                          const char *what);

/** Read a file whole and parse it.
 * @return as above; NDL_ENOINPUT, NDL_EIO; NDL_EDATA if it is larger. */
ndl_status ndl_yaml_load(json_t **out, const char *path, size_t max_bytes);

#endif /* NOODLE_YAML_H */

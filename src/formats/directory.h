/* directory.h - files beside each other in one directory. */
#ifndef NOODLE_FORMATS_DIRECTORY_H
#define NOODLE_FORMATS_DIRECTORY_H

#include <stdbool.h>

#include "noodle/status.h"

/** DIR/NAME, malloc'ed, the caller frees it.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_directory_path(char **out, const char *dir, const char *name);

/** False only if DIR/NAME is known not to exist: what cannot be looked at is
 * left to the reader, which says why. */
bool ndl_directory_has(const char *dir, const char *name);

#endif /* NOODLE_FORMATS_DIRECTORY_H */

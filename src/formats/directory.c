/* directory.c - see directory.h. */
#define _GNU_SOURCE
#include "directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

ndl_status ndl_directory_path(char **out, const char *dir, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", dir);
    *out = path;
    return NDL_OK;
}

bool ndl_directory_has(const char *dir, const char *name)
{
    char *path = NULL;
    if (ndl_directory_path(&path, dir, name) != NDL_OK) return true;
    const bool missing =
        access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR);
    free(path);
    return !missing;
}

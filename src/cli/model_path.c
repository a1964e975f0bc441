/* model_path.c - where the bundled model lies: beside the program, in the
 * build tree as after installation. */
#define _GNU_SOURCE
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

ndl_status ndl_model_path(const char *given, char **path)
{
    char exe[PATH_MAX];
    char *found = NULL;
    if (given && given[0] == '\0')
        return NDL_FAIL(NDL_EUSAGE, "-m: the path is empty: name a file");
    if (given) {
        *path = strdup(given);
        return *path ? NDL_OK : NDL_FAIL(NDL_EOS, "%s: out of memory", given);
    }
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n < 0) return NDL_FAIL(NDL_EOS, "/proc/self/exe: cannot be read");
    exe[n] = '\0';
    if (asprintf(&found, "%s/../share/noodle-mpi/models/shakespeare.h5",
                 dirname(exe)) < 0)
        return NDL_FAIL(NDL_EOS, "out of memory");
    if (access(found, R_OK) != 0) {
        const ndl_status st = NDL_FAIL(
            NDL_ENOINPUT,
            "%s: the bundled model is not there: build or install the project "
            "whole, or name a model with -m",
            found);
        free(found);
        return st;
    }
    *path = found;
    return NDL_OK;
}

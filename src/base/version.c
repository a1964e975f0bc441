/* version.c - see version.h; the build gives the values. */
#include "noodle/version.h"

const char *ndl_version(void)
{
    return NDL_VERSION;
}

const char *ndl_version_commit(void)
{
    return NDL_COMMIT;
}

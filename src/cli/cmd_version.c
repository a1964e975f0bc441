/* cmd_version.c - noodle-mpi --version: the program and what it stands on. */
#include <dlfcn.h>
#include <stdio.h>

#include "commands.h"
#include "kernels.h"
#include "noodle/session.h"
#include "noodle/store.h"
#include "noodle/topology.h"
#include "noodle/version.h"
#include "output.h"

/* No arithmetic of the program goes through a BLAS: it is the judge in the
 * kernels' tests and benches.  So it is named if it is there. */
static const char *blas_version(void)
{
    static char text[128];
    void *lib = dlopen("libopenblas.so.0", RTLD_LAZY | RTLD_LOCAL);
    if (!lib) return "not installed";
    char *(*config)(void) = NULL;
    *(void **)&config = dlsym(lib, "openblas_get_config");
    snprintf(text, sizeof text, "%s", config ? config() : "OpenBLAS");
    dlclose(lib);
    return text;
}

ndl_status ndl_cmd_version(void)
{
    char text[1024];
    ndl_kernels k;
    unsigned flags = 0;
    NDL_TRY(ndl_session_cpu_flags(&flags));
    ndl_kernels_init(&k, flags);
    snprintf(text, sizeof text,
             "noodle-mpi %s\nMPI      %s\nBLAS     %s (tests only)\n"
             "HDF5     %s\nhwloc    %s\nkernels  %s\n",
             ndl_version(), ndl_comm_library(), blas_version(),
             ndl_store_library(), ndl_topology_library(), k.name);
    return ndl_output_text(text);
}

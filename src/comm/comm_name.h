/* comm_name.h - the name of the MPI library, made readable; private to comm
 * and apart from comm_mpi.h, so that it can be tested without MPI. */
#ifndef NOODLE_COMM_NAME_H
#define NOODLE_COMM_NAME_H

#include <stddef.h>

/**
 * "Open MPI v4.1.4, package: ..." -> "Open MPI 4.1.4";
 * "MPICH Version:\t4.0.2\n..." -> "MPICH 4.0.2".
 * @param[out] name  at most `cap` bytes, zero-terminated; cap > 0.
 * @param version    what MPI_Get_library_version says.
 */
void ndl_comm_name_library(char *name, size_t cap, const char *version);

#endif /* NOODLE_COMM_NAME_H */

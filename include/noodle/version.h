/* version.h - which noodle-mpi this is. */
#ifndef NOODLE_VERSION_H
#define NOODLE_VERSION_H

/** "0.1.0", static. */
const char *ndl_version(void);

/** Abbreviated hash of the commit it was configured from, "" if unknown;
 * static. */
const char *ndl_version_commit(void);

#endif /* NOODLE_VERSION_H */

/* reading.h - a file that is being read, perhaps a pipe, until a signal comes.
 * Private to src/cli. */
#ifndef NDL_READING_H
#define NDL_READING_H

#include <signal.h>

#include "noodle/heed.h"

typedef struct ndl_reading {
    const volatile sig_atomic_t *signal; /* ends it when it is set */
    const char *path;                    /* for the message */
} ndl_reading;

/** @param r  borrowed for the heed's life.
 * @return  what fails with the signal's status. */
ndl_heed ndl_reading_heed(ndl_reading *r);

#endif /* NDL_READING_H */

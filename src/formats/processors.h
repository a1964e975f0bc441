/* processors.h - how many threads a conversion may use. */
#ifndef NOODLE_FORMATS_PROCESSORS_H
#define NOODLE_FORMATS_PROCESSORS_H

/** Processors that this process may run on: at least 1. */
int ndl_processors(void);

#endif /* NOODLE_FORMATS_PROCESSORS_H */

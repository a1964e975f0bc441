/* fuzz.h - what a fuzz target defines; libFuzzer or fuzz_main.c calls it. */
#ifndef NOODLE_FUZZ_H
#define NOODLE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/** Run the code under test on one hostile input.  @return 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* NOODLE_FUZZ_H */

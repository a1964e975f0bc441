/*
 * units.h - quantities as people write them: "64 GiB", "2us", "1.5 TFLOP/s".
 */
#ifndef NOODLE_UNITS_H
#define NOODLE_UNITS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum ndl_unit {
    NDL_UNIT_BYTES,         /* B, kB, MB, GB, TB, KiB, MiB, GiB, TiB   */
    NDL_UNIT_SEC,           /* s, ms, us, ns                           */
    NDL_UNIT_BYTES_PER_SEC, /* bytes + "/s"; Mbit/s, Gbit/s    */
    NDL_UNIT_FLOP_PER_SEC   /* GFLOP/s, TFLOP/s, GFLOPS, ...   */
} ndl_unit;

/** A non-negative finite number with a unit; a bare number is in the base
 * unit.  @return false: malformed, `out` untouched. */
bool ndl_units_parse(const char *text, ndl_unit unit, double *out);

/** "1.50 TFLOP/s", "3.1 GiB", "12.4 us" into buf; returns buf. */
char *ndl_units_text(double v, ndl_unit unit, char *buf, size_t cap);

#endif /* NOODLE_UNITS_H */

/* clock.h - the time, for those who may know it (pumps, progress, benches). */
#ifndef NOODLE_CLOCK_H
#define NOODLE_CLOCK_H

/** Seconds of CLOCK_MONOTONIC. */
double ndl_clock_sec(void);

/** Seconds of processor time that this process has used, all threads. */
double ndl_clock_cpu_sec(void);

/** Sleep for about `sec` seconds (timer slack applies); not interrupted. */
void ndl_clock_sleep(double sec);

#endif /* NOODLE_CLOCK_H */

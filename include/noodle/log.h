/*
 * log.h - one line a fact, to stderr.
 *
 * stdout carries the product (text, ids, JSON); everything said about the work
 * goes through here: `[ 12.345] r03 stage: loaded layers 8-15, 3.1 GiB`.
 */
#ifndef NOODLE_LOG_H
#define NOODLE_LOG_H

#include <stdbool.h>

typedef enum ndl_log_level {
    NDL_LOG_ERROR, /* the run fails; never printed in a clean run       */
    NDL_LOG_WARN,  /* the run goes on, but slower or otherwise than asked */
    NDL_LOG_INFO,  /* what a user wants to know; <= 12 lines a clean run */
    NDL_LOG_DEBUG, /* what a developer wants to know                    */
    NDL_LOG_TRACE  /* every message and step                            */
} ndl_log_level;

/**
 * Set this rank's number and the level, once, before threads start.
 * @param level  from NDL_LOG (error, warn, info, debug, trace) or an option.
 */
void ndl_log_init(int rank, ndl_log_level level);

/** Parse a level's name; false if unknown, `out` untouched. */
bool ndl_log_parse(const char *name, ndl_log_level *out);

/** True where a message of `level` would be printed. */
bool ndl_log_is_on(ndl_log_level level);

/** Print a line from any rank.  Not collective.  Thread-safe. */
void ndl_log(ndl_log_level level, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** The same, on rank 0 only. */
void ndl_log_root(ndl_log_level level, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* NOODLE_LOG_H */

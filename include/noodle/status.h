/*
 * status.h - the one result type of the program.
 *
 * A fallible function returns ndl_status.  Where the fault is found, NDL_FAIL
 * stores one message for the user (file, cause, fix); callers only pass the
 * code upward.  Nobody below main prints or exits.  Codes are the negated
 * sysexits(3) codes, so that main's exit code is -status, and have a fixed
 * width, so that they can travel in a message.
 */
#ifndef NOODLE_STATUS_H
#define NOODLE_STATUS_H

#include <stdint.h>

/* clang-format off */
#define NDL_STATUS_LIST(X)                                              \
    X(NDL_OK,           0, "success")                                   \
    X(NDL_EUSAGE,     -64, "wrong usage")                               \
    X(NDL_EDATA,      -65, "bad data in a file or prompt")              \
    X(NDL_ENOINPUT,   -66, "an input file is missing")                  \
    X(NDL_EUNAVAIL,   -69, "not enough resources")                      \
    X(NDL_ESOFTWARE,  -70, "internal error")                            \
    X(NDL_EOS,        -71, "the operating system refused")              \
    X(NDL_ECREATE,    -73, "an output file cannot be created")          \
    X(NDL_EIO,        -74, "input or output failed")                    \
    X(NDL_ETEMP,      -75, "temporary failure, start again")            \
    X(NDL_EPROTO,     -76, "a peer broke the wire protocol")            \
    X(NDL_EPERM,      -77, "permission denied")                         \
    X(NDL_ECONFIG,    -78, "bad configuration")                         \
    X(NDL_EINT,      -130, "interrupted")                               \
    X(NDL_ETERM,     -143, "terminated")
/* clang-format on */

typedef int32_t ndl_status;
#define X(name, value, text) name = value,
enum { NDL_STATUS_LIST(X) };
#undef X

enum { NDL_STATUS_MESSAGE_MAX = 1024 }; /* bytes, with the final zero */

/** Static text of a code, never NULL, also for unknown codes. */
const char *ndl_status_text(ndl_status s);

/**
 * Store the message of a failure and yield `s`.  Use as
 * `return NDL_FAIL(NDL_EDATA, "%s: no dataset %s: ...", path, name);`.
 * The message is one line without a final newline; the first message since
 * the last clear wins, because it is nearest to the cause.  Thread-safe.
 */
#define NDL_FAIL(s, ...) ndl_status_fail((s), __VA_ARGS__)
ndl_status ndl_status_fail(ndl_status s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/** The stored message of this process, "" if none; borrowed until clear. */
const char *ndl_status_message(void);

/** Forget the stored message. */
void ndl_status_clear(void);

/* Pass an error upward, silently. */
#define NDL_TRY(call)                                                          \
    do {                                                                       \
        const ndl_status ndl_try_ = (call);                                    \
        if (ndl_try_ != NDL_OK) return ndl_try_;                               \
    } while (0)

/* Same, for functions that own something: sets `st` and jumps. */
#define NDL_TRY_GOTO(label, st, call)                                          \
    do {                                                                       \
        if (((st) = (call)) != NDL_OK) goto label;                             \
    } while (0)

/**
 * A programmer's error: print where and stop this process through the abort
 * hook (default: abort()).  On in every build; cheap enough to be liberal.
 */
#define NDL_ASSERT(cond)                                                       \
    do {                                                                       \
        if (!(cond)) ndl_assert_fail(#cond, __FILE__, __LINE__);               \
    } while (0)
void ndl_assert_fail(const char *cond, const char *file, int line)
    __attribute__((noreturn));

#endif /* NOODLE_STATUS_H */

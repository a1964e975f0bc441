/* status.c - texts of the codes and the one stored message. */
#include "noodle/status.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char message[NDL_STATUS_MESSAGE_MAX]; /* under lock */

const char *ndl_status_text(ndl_status s)
{
    switch (s) {
#define X(name, value, text)                                                   \
    case name: return text;
        NDL_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

/* Messages quote names out of hostile files, and a message is one line. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) *text = '?';
}

ndl_status ndl_status_fail(ndl_status s, const char *fmt, ...)
{
    va_list ap;
    pthread_mutex_lock(&lock);
    if (message[0] == '\0') {
        va_start(ap, fmt);
        vsnprintf(message, sizeof message, fmt, ap);
        va_end(ap);
        make_one_line(message);
    }
    pthread_mutex_unlock(&lock);
    return s;
}

const char *ndl_status_message(void)
{
    return message;
}

void ndl_status_clear(void)
{
    pthread_mutex_lock(&lock);
    message[0] = '\0';
    pthread_mutex_unlock(&lock);
}

void ndl_assert_fail(const char *cond, const char *file, int line)
{
    fprintf(stderr, "noodle-mpi: internal error: %s does not hold at %s:%d\n",
            cond, file, line);
    abort();
}

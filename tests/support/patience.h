/* patience.h - who heeds (heed.h), and a writer who makes others wait. */
#ifndef NOODLE_TEST_PATIENCE_H
#define NOODLE_TEST_PATIENCE_H

#include <stdio.h>
#include <time.h>

#include "noodle/heed.h"

/* Says no from call `last` on. */
typedef struct patience {
    int n, last;
} patience;

static inline ndl_status lose_patience(void *arg)
{
    patience *p = arg;
    if (++p->n < p->last) return NDL_OK;
    return NDL_FAIL(NDL_EINT, "enough");
}

static inline void pause_ms(long ms)
{
    const struct timespec t = { .tv_nsec = ms * 1000000 };
    nanosleep(&t, NULL);
}

static const char slow_text[] = "one\ntwo\nlast";

/* Of a thread: opens the pipe of the name `to` late, and speaks in pieces. */
static inline void *write_slowly(void *to)
{
    pause_ms(150);
    FILE *f = fopen(to, "wb");
    if (!f) return NULL;
    setvbuf(f, NULL, _IONBF, 0);
    for (size_t i = 0; i < sizeof slow_text - 1; i++) {
        fputc(slow_text[i], f);
        pause_ms(i % 4 ? 0 : 20);
    }
    fclose(f);
    return to;
}

#endif /* NOODLE_TEST_PATIENCE_H */

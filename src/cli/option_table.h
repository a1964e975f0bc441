/* option_table.h - the tables behind options.h; private to src/cli. */
#ifndef NDL_OPTION_TABLE_H
#define NDL_OPTION_TABLE_H

#include <stddef.h>

typedef enum ndl_option_type {
    NDL_OPTION_FLAG,
    NDL_OPTION_TEXT,
    NDL_OPTION_LIST, /* may be given several times */
    NDL_OPTION_INT,
    NDL_OPTION_INT64,
    NDL_OPTION_REAL
} ndl_option_type;

typedef struct ndl_option {
    const char *names; /* "-n, --predict" */
    ndl_option_type type;
    size_t offset;        /* in ndl_options */
    unsigned commands;    /* bits 1 << ndl_command */
    const char *fallback; /* NULL: zero, NULL or false */
    double min, max;      /* of numbers */
    const char *meta;     /* name of the value in help */
    const char *help;
} ndl_option;

typedef struct ndl_command_entry {
    const char *name;
    const char *args; /* usage of what is not an option */
    int min_args, max_args;
    const char *summary; /* one line                      */
    const char *text;    /* the page: what it does, examples */
} ndl_command_entry;

extern const ndl_option ndl_option_table[];
extern const int ndl_n_option_table;
extern const ndl_command_entry ndl_command_table[]; /* (NDL_N_COMMANDS) */

#endif /* NDL_OPTION_TABLE_H */

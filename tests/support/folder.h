/* folder.h - a folder of one's own for a test, removed at its end. */
#ifndef NOODLE_TEST_FOLDER_H
#define NOODLE_TEST_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct test_folder {
    char path[256];
    char file[320]; /* the last name asked for */
} test_folder;

static inline int test_folder_make(test_folder *f)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(f->path, sizeof f->path, "%s/ndl_test_XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    return mkdtemp(f->path) ? 0 : -1;
}

/* Path of `name` in the folder; borrowed until the next call. */
static inline const char *test_folder_at(test_folder *f, const char *name)
{
    snprintf(f->file, sizeof f->file, "%s/%.60s", f->path, name);
    return f->file;
}

/* How many files are in it. */
static inline int test_folder_count(const test_folder *f)
{
    int n = 0;
    DIR *d = opendir(f->path);
    for (const struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

/* Files only; a folder inside is an error, so that nothing else is lost. */
static inline int test_folder_remove(test_folder *f)
{
    DIR *d = opendir(f->path);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove(test_folder_at(f, e->d_name));
    if (d) closedir(d);
    return rmdir(f->path);
}

#endif /* NOODLE_TEST_FOLDER_H */

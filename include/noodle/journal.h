/*
 * journal.h - a file to which lines are added, one by one, by one writer, and
 * which is right at any moment: whoever is killed or loses power while writing
 * leaves whole lines and at most one torn one, which the next open removes.
 *
 * It knows lines, not what is in them.
 */
#ifndef NOODLE_JOURNAL_H
#define NOODLE_JOURNAL_H

#include "noodle/lines.h"
#include "noodle/status.h"

typedef struct ndl_journal ndl_journal;

typedef struct ndl_journal_setup {
    const char *path;
    const char *begin; /* how every line of it begins: a file with another one
                          is somebody else's and stays as it is */
    /** A line that is there already; an error ends the opening. */
    ndl_status (*on_line)(void *arg, const ndl_line *line);
    void *arg;
    ndl_heed heed; /* asked while the file is read */
} ndl_journal_setup;

/**
 * Create the file or read it, and lock it: there is one writer at a time.  A
 * file with whole lines and a torn one loses the torn one, once on_line has
 * accepted all others; nothing else is ever removed.
 * @param setup  borrowed for the call.
 * @return NDL_OK; NDL_ETEMP: another process writes to it; NDL_EDATA: not a
 * journal of this kind, or a line too long; what on_line and heed return;
 * NDL_ECREATE, NDL_EPERM, NDL_EIO, NDL_EOS.
 */
ndl_status ndl_journal_open(ndl_journal **out, const ndl_journal_setup *setup);

/** Sync and close; NULL is allowed.  Sets *j to NULL.
 * @return NDL_OK; NDL_EIO. */
ndl_status ndl_journal_close(ndl_journal **j);

/**
 * Write a line, which then survives the end of this process, but a power cut
 * only after ndl_journal_sync.  The first failure ends the journal: what it
 * left of the line is removed, and all later calls do nothing.
 * @param line  n <= NDL_LINES_LONGEST bytes without a line end in them.
 * @return NDL_OK; NDL_EIO (a full disk, ...); NDL_EOS.
 */
ndl_status ndl_journal_write(ndl_journal *j, const char *line, size_t n);

/** Wait until all that was written survives a power cut.
 * @return NDL_OK; NDL_EIO. */
ndl_status ndl_journal_sync(ndl_journal *j);

#endif /* NOODLE_JOURNAL_H */

/*
 * stage_in.h - a copy of a part of a weights file in a folder of this node.
 *
 * The copy is the file with holes where other parts' datasets are, so that
 * offsets stay; its name tells the file, its age and the part, so that the next
 * run finds it.
 */
#ifndef NDL_MODEL_STAGE_IN_H
#define NDL_MODEL_STAGE_IN_H

#include "noodle/pool.h"
#include "noodle/progress.h"
#include "noodle/status.h"
#include "noodle/weights.h"

typedef struct ndl_stage_in_job {
    const char *path, *folder;
    const ndl_part *part;
    ndl_pool *pool;         /* NULL: this thread alone */
    ndl_progress *progress; /* what is to be copied is added to `all` */
} ndl_stage_in_job;

/**
 * Copy the part, or find the copy of an earlier run.
 * @param[out] copy  its path, malloc'ed; the file stays when we end.
 * @return NDL_OK; NDL_ECREATE, NDL_EPERM: the folder or its space; NDL_EIO;
 *         as ndl_store_open; what the progress returned.
 */
ndl_status ndl_stage_in(char **copy, const ndl_stage_in_job *job);

#endif /* NDL_MODEL_STAGE_IN_H */

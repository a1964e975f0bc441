/* export.h - export with shards of another size, for tests. */
#ifndef NOODLE_FORMATS_EXPORT_H
#define NOODLE_FORMATS_EXPORT_H

#include "noodle/checkpoint.h"

/** As ndl_checkpoint_export, in shards of at most `shard_bytes`. */
ndl_status ndl_export(const char *weights, const char *dir,
                      uint64_t shard_bytes, ndl_progress_fn progress,
                      void *arg);

#endif /* NOODLE_FORMATS_EXPORT_H */

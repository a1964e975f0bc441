/* request.c - see request.h. */
#include "noodle/request.h"

#include "noodle/hash.h"

const char *ndl_finish_name(ndl_finish f)
{
    switch (f) {
    case NDL_FINISH_NONE: return "running";
    case NDL_FINISH_EOS: return "eos";
    case NDL_FINISH_LENGTH: return "length";
    case NDL_FINISH_CONTEXT: return "context";
    case NDL_FINISH_STOPPED: return "stopped";
    }
    return "unknown";
}

uint64_t ndl_request_seed(uint64_t run_seed, const int32_t *ids, int n)
{
    return ndl_hash_bytes(ids, sizeof *ids * (size_t)n, run_seed);
}

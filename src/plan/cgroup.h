/* cgroup.h - what the control groups of this process allow; private to
 * src/plan. */
#ifndef NDL_CGROUP_H
#define NDL_CGROUP_H

#include <stdint.h>

/** The least memory that a group and those above it leave, page cache that
 * can be dropped included; UINT64_MAX: there is no limit. */
uint64_t ndl_cgroup_left(void);

/** The least of their limits; UINT64_MAX: there is none. */
uint64_t ndl_cgroup_limit(void);

#endif /* NDL_CGROUP_H */

/* cluster_parts.h - what the makers of clusters share; private to src/plan. */
#ifndef NDL_CLUSTER_PARTS_H
#define NDL_CLUSTER_PARTS_H

#include "noodle/cluster.h"

/** Room for `n` kinds of nodes, zeroed.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_cluster_init(ndl_cluster *c, int n);

#endif /* NDL_CLUSTER_PARTS_H */

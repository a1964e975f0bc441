/* probe_links.h - ndl_probe_links with its limit; for the tests. */
#ifndef NDL_PROBE_LINKS_H
#define NDL_PROBE_LINKS_H

#include "noodle/comm.h"
#include "noodle/profile.h"

/** Collective.  As ndl_probe_links, but with more than `most` ranks one rank
 * of a node stands for all of its node. */
ndl_status ndl_probe_links_upto(ndl_comm *comm, ndl_link *row, int most);

/** Whom does participant `me` of `n` meet in a round, 0 .. n - 1 (n odd) or
 * 0 .. n - 2 (n even)?  Every two meet once.  @return -1: nobody. */
int ndl_probe_links_partner(int n, int round, int me);

#endif /* NDL_PROBE_LINKS_H */

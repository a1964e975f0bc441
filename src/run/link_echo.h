/* link_echo.h - measure one link: one side asks, the other echoes.  Private to
 * src/run. */
#ifndef NDL_LINK_ECHO_H
#define NDL_LINK_ECHO_H

#include "noodle/comm.h"
#include "noodle/profile.h"

/* Buffers and operations of a rank, for one link after the other. */
typedef struct ndl_link_echo {
    ndl_comm *comm;
    ndl_comm_op send, recv;
    unsigned char *out, *in;
} ndl_link_echo;

/** @return NDL_OK; NDL_EOS. */
ndl_status ndl_link_echo_init(ndl_link_echo *e, ndl_comm *comm);
void ndl_link_echo_fini(ndl_link_echo *e);

/**
 * Measure the link to `peer`, which calls the same.  The lower rank asks, and
 * tells the other what it found, so that both know the same.
 * @param[out] out  without same_node
 * @return NDL_OK; NDL_ETEMP naming the pair, if there is no answer in 30 s;
 *         NDL_EPROTO; NDL_EOS.
 */
ndl_status ndl_link_echo_run(ndl_link_echo *e, int peer, ndl_link *out);

#endif /* NDL_LINK_ECHO_H */

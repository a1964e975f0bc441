/*
 * comm.c - the functions of comm.h that every implementation shares: they
 * check the arguments, keep the state of an operation, and hand over.
 */
#include "noodle/comm.h"

#include <limits.h>

static void check_begin(const ndl_comm *c, const ndl_comm_op *op, int peer,
                        ndl_tag tag)
{
    NDL_ASSERT(!op->is_active);
    NDL_ASSERT(peer >= 0 && peer < c->size);
    NDL_ASSERT(tag >= NDL_TAG_FIRST && tag < NDL_TAG_LAST);
}

static ndl_status check_length(size_t len)
{
    if (len > INT_MAX)
        return NDL_FAIL(NDL_EPROTO,
                        "message of %zu bytes: a message has at most %d: "
                        "use smaller batches",
                        len, INT_MAX);
    return NDL_OK;
}

ndl_status ndl_comm_send_begin(ndl_comm *c, ndl_comm_op *op, int to,
                               ndl_tag tag, const void *buf, size_t len)
{
    check_begin(c, op, to, tag);
    NDL_ASSERT(buf || len == 0);
    NDL_TRY(check_length(len));
    NDL_TRY(c->ops->send_begin(c, op, to, tag, buf, len));
    op->is_active = true;
    op->is_receive = false;
    op->peer = to;
    return NDL_OK;
}

ndl_status ndl_comm_recv_begin(ndl_comm *c, ndl_comm_op *op, int from,
                               ndl_tag tag, void *buf, size_t cap)
{
    check_begin(c, op, from, tag);
    NDL_ASSERT(buf || cap == 0);
    NDL_TRY(check_length(cap));
    NDL_TRY(c->ops->recv_begin(c, op, from, tag, buf, cap));
    op->is_active = true;
    op->is_receive = true;
    op->is_arriving = false;
    op->peer = from;
    return NDL_OK;
}

ndl_status ndl_comm_test(ndl_comm *c, ndl_comm_op *op, bool *done, size_t *len)
{
    bool is_done = false;
    size_t n = 0;
    if (op->is_active) {
        const ndl_status st = c->ops->test(c, op, &is_done, &n);
        /* An operation that failed is over, too. */
        if (is_done || st != NDL_OK) op->is_active = false;
        NDL_TRY(st);
    }
    *done = is_done;
    if (is_done && len) *len = n;
    return NDL_OK;
}

bool ndl_comm_cancel(ndl_comm *c, ndl_comm_op *op)
{
    bool done = false;
    if (!op->is_active) return false;
    if (!op->is_receive && ndl_comm_test(c, op, &done, NULL) == NDL_OK && done)
        return false;
    /* One that has failed just now is over, but who knows what reads it. */
    if (op->is_active) c->ops->cancel(c, op);
    op->is_active = false;
    return !op->is_receive;
}

void ndl_comm_wait(ndl_comm *c, double max_sec)
{
    c->ops->wait(c, max_sec);
}

double ndl_comm_now(ndl_comm *c)
{
    return c->ops->now(c);
}

void ndl_comm_close(ndl_comm **c)
{
    if (!*c) return;
    (*c)->ops->close(*c);
    *c = NULL;
}

/*
 * attend_avx512bf16.c - attention over one page of bf16 with VDPBF16PS, whose
 * bits are its own (attend.h).  At many rows exp takes the rest of the time:
 *
 *   rows                       1    4    8   48   48, each one key more
 *   share of peak, hd =  64   39   74   69   79   70 %
 *                  hd = 128   44   84   80   85   78 %
 *
 * (Of bf16's peak; pages in L2, one core of a Zen 4 EPYC, GCC 12, exp not
 * counted as work.)
 */
#include "attend_rows_avx512.h"
#include "variants.h"

NDL_DECL_ATTEND(ndl_attend_bf16_avx512bf16, uint16_t)
{
    ndl_attend_page a = { o,
                          m,
                          l,
                          q,
                          n_keys,
                          kpage,
                          vpage,
                          kscale,
                          vscale,
                          scratch,
                          scale,
                          hd,
                          ndl_lanes_round(hd) };
    ndl_attend_run(&a, rows, NDL_LINE_PAIRS);
}

/*
 * exp_ref.c - the bits of exp; see exp_poly.h.
 *
 * fmaf comes from libm in all reference files.  That is no exception to "no
 * libm": fmaf is exactly rounded by definition, so every correct libm, with
 * or without the instruction, gives the same bits.
 */
#include "exp_poly.h"
#include "variants.h"

NDL_DECL_EXP(ndl_exp_ref)
{
    for (int i = 0; i < n; i++) y[i] = ndl_exp_scalar(x[i]);
}

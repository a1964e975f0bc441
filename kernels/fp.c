/* fp.c - denormals are zero, in and out, for the calling thread.
 *
 * A denormal costs a hundred cycles on some CPUs, and ranks that treat them
 * differently would give different bits.  Only x86 has weights with us now;
 * other CPUs keep their default. */
#include "kernels.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

enum { MXCSR_DAZ = 1 << 6, MXCSR_FTZ = 1 << 15 };

void ndl_fp_setup(void)
{
    _mm_setcsr(_mm_getcsr() | MXCSR_DAZ | MXCSR_FTZ);
}
#else
void ndl_fp_setup(void)
{
}
#endif

/* rope_ref.c - the bits of the rotation. */
#include <math.h>

#include "variants.h"

static void rotate(float *a, float *b, float cos, float sin)
{
    float x = *a, y = *b;
    *a = fmaf(x, cos, -(y * sin));
    *b = fmaf(y, cos, x * sin);
}

NDL_DECL_ROPE(ndl_rope_ref)
{
    for (int t = 0; t < rows; t++)
        for (int h = 0; h < heads; h++)
            for (int f = 0; f < hd / 2; f++) {
                const float *cs = table + ((size_t)t * (hd / 2) + f) * 2;
                int j = f / pair, l = f % pair;
                float *head = x + t * ldx + (size_t)h * hd;
                float *a = head + 2 * pair * j + l;
                rotate(a, a + pair, cs[0], cs[1]);
            }
}

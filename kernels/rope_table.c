/*
 * rope_table.c - cosines and sines of RoPE, without libm.
 *
 * Double precision with +, -, *, / only, in the order written and without
 * contraction: IEEE 754 then leaves no freedom, so every CPU gives the same
 * table.  Fused steps are avoided on purpose: this file is compiled for the
 * base instruction set.
 */
#include <stdint.h>
#include <string.h>

#include "kernels.h"

/* x + ROUND - ROUND is rint(x) for |x| < 2^51; the low bits of x + ROUND are
 * the integer itself. */
static const double ROUND = 6755399441055744.0; /* 1.5 * 2^52 */

/* pi/2 in two parts; the first has 27 bits, so that n times it is exact for
 * n < 2^24, which covers angles < 2^24. */
static const double HALF_PI_HIGH = 0x1.921fb54p+0;
static const double HALF_PI_LOW = 0x1.10b4611a62633p-30;
static const double TWO_OVER_PI = 0x1.45f306dc9c883p-1;

static const double LN2_HIGH = 0x1.62e42fefa0000p-1;
static const double LN2_LOW = 0x1.cf79abc9e3b3ap-40;
static const double LOG2_E = 0x1.71547652b82fep+0;

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The Taylor series of sin (first = 1) or cos (first = 0) from its smallest
 * term; at |r| <= pi/4 the term left out is below 1e-17. */
static double series(double r, int first)
{
    double r2 = r * r, sum = 1.0;
    for (int i = first + 16; i > first; i -= 2)
        sum = 1.0 - sum * r2 / (double)(i * (i - 1));
    return first ? r * sum : sum;
}

static void cos_sin(double angle, float *cs)
{
    double sum = angle * TWO_OVER_PI + ROUND;
    double n = sum - ROUND;
    double r = (angle - n * HALF_PI_HIGH) - n * HALF_PI_LOW;
    double c = series(r, 0), s = series(r, 1);
    unsigned quadrant = (unsigned)(bits_of(sum) & 3);
    double cosine = quadrant & 1 ? s : c, sine = quadrant & 1 ? c : s;
    cs[0] = (float)(quadrant == 1 || quadrant == 2 ? -cosine : cosine);
    cs[1] = (float)(quadrant >= 2 ? -sine : sine);
}

void ndl_rope_table(float *table, int position, const double *inv_freq,
                    int n_freq)
{
    for (int f = 0; f < n_freq; f++)
        cos_sin((double)position * inv_freq[f], table + 2 * (size_t)f);
}

/* ln(x) of a positive normal x: mantissa m in [sqrt(1/2), sqrt(2)), then
 * ln(m) = 2 (s + s^3/3 + s^5/5 + ...), s = (m - 1)/(m + 1), |s| < 0.172. */
static double natural_log(double x)
{
    uint64_t bits = bits_of(x);
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    double m = from_bits((bits & 0xfffffffffffffu) | (uint64_t)1023 << 52);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1.0) / (m + 1.0), s2 = s * s, sum = 0.0;
    for (int i = 23; i >= 1; i -= 2) sum = sum * s2 + 1.0 / (double)i;
    double e = (double)exponent;
    return e * LN2_HIGH + (e * LN2_LOW + 2.0 * s * sum);
}

/* exp(x) for |x| < 700. */
static double natural_exp(double x)
{
    double shifted = x * LOG2_E + ROUND;
    double n = shifted - ROUND;
    double r = (x - n * LN2_HIGH) - n * LN2_LOW, sum = 1.0;
    for (int i = 14; i >= 1; i--) sum = 1.0 + sum * r / (double)i;
    return from_bits(bits_of(sum) + (bits_of(shifted) << 52));
}

void ndl_rope_inverse(double *inv, double theta, int hd)
{
    double log_theta = natural_log(theta);
    for (int f = 0; f < hd / 2; f++)
        inv[f] = natural_exp(-2.0 * (double)f / (double)hd * log_theta);
}

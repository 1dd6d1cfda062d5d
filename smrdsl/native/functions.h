// Elementary functions of vectors, right to 2 units in the last place or so. A NaN stays one; what is too small is 0.
#pragma once

#include "lanes.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

typedef int32_t marks __attribute__((vector_size(4 * LANES)));

const float LOG2_E = 1.44269504f, LOG_2 = 0.693147181f;

inline lanes all(float x) { return lanes{} + x; }

// A NaN fails the comparison and is left as it is.
inline lanes at_least(lanes x, float low) { return x < low ? all(low) : x; }
inline lanes at_most(lanes x, float high) { return x > high ? all(high) : x; }

inline lanes size_of(lanes x) { return (lanes)((marks)x & 0x7fffffff); }

// (2^r - 1) / r for r from -1/2 to 1/2.
inline lanes rise(lanes r) {
    lanes p = r * 1.32647239e-3f + 9.67151287e-3f;
    p = p * r + 5.55073375e-2f;
    p = p * r + 0.240222421f;
    return p * r + 0.693146978f;
}

// 2^r for r from -1/2 to 1/2. Near 0 it is as exact as 1 + r log(2) can be.
inline lanes root(lanes r) { return rise(r) * r + 1.0f; }

// A sum with it has no fraction, and the whole number that remains plus 127, the exponent of a float, in its last bits.
const float SHIFT = 12582912.0f + 127.0f;

inline lanes exponent(lanes shifted) { return (lanes)((marks)shifted << 23); }

// 2^(s a), for a product up to 1e13.
inline lanes power(lanes s, lanes a) {
#if defined(__AVX512F__)
    lanes whole = (s * a + SHIFT) - SHIFT;
    return (lanes)_mm512_maskz_scalef_ps((__mmask16)-1, (__m512)root(s * a - whole), (__m512)whole);
#else
    lanes x = at_most(at_least(s * a, -127.0f), 128.0f), shifted = x + SHIFT;
    return root(x - (shifted - SHIFT)) * exponent(shifted);
#endif
}

// e^-|x|: the whole part is taken off in two steps, since a single product would be wrong by its rounding.
inline lanes fading(lanes x) {
    const float high = 0.693359375f, low = -2.12194440e-4f;  // of log(2); the first has few digits
    lanes y = at_most(size_of(x), 88.0f), shifted = SHIFT - y * LOG2_E, whole = SHIFT - shifted;
    return root(((whole * high - y) + whole * low) * LOG2_E) * exponent(shifted);
}

// e^x - 1, for x up to 88.
inline lanes less_one(lanes x) {
    const float high = 0.693359375f, low = -2.12194440e-4f;  // of log(2), as above
    lanes y = at_most(at_least(x, -87.0f), 88.0f), shifted = y * LOG2_E + SHIFT, whole = shifted - SHIFT;
    lanes r = ((y - whole * high) - whole * low) * LOG2_E, two = exponent(shifted);
    return rise(r) * r * two + (two - 1.0f);
}

// The sine and the cosine of y/2, or both times -1. Of an angle above 1e7 a float tells nothing; any is as good.
inline void half_turn(lanes y, lanes* sine, lanes* cosine) {
    const float turn[3] = {6.28125f, 1.93500518798828125e-3f, 3.01991598e-7f}, pi = 3.14159274f;
    y = at_most(at_least(y, -1e7f), 1e7f);
    lanes whole = (y * 0.159154943f + SHIFT) - SHIFT;
    lanes rest = ((y - whole * turn[0]) - whole * turn[1]) - whole * turn[2];
    lanes h = at_most(at_least(rest, -pi), pi) * 0.5f, q = h * h;
    lanes s = q * 2.60182635e-6f - 1.98073846e-4f;
    s = s * q + 8.33302467e-3f;
    s = s * q - 0.166666567f;
    *sine = s * q * h + h;
    lanes c = q * -2.60507616e-7f + 2.47601207e-5f;
    c = c * q - 1.38883606e-3f;
    c = c * q + 4.16666362e-2f;
    c = c * q - 0.499999994f;
    *cosine = c * q + 1.0f;
}

// 1 / x for x from 1 to 2.
inline lanes inverse(lanes x) {
#if defined(__AVX512F__)
    lanes y = (lanes)_mm512_maskz_rcp14_ps((__mmask16)-1, (__m512)x);
    return y + y * (1.0f - x * y);  // a division would take most of the time of a gate
#else
    return 1.0f / x;
#endif
}

// 1 / (1 + e^-x), and its slope, which 1 minus a value near 1 would lose.
inline lanes sigmoid(lanes x, lanes* slope) {
    lanes z = fading(x), part = inverse(1.0f + z), rest = z * part;
    *slope = part * rest;
    return x < 0.0f ? rest : part;
}

// log(1 + e^x), and its slope.
inline lanes softplus(lanes x, lanes* slope) {
    lanes z = fading(x);
    *slope = (x < 0.0f ? z : all(1.0f)) * inverse(1.0f + z);  // is 1 / (1 + e^-x)
    lanes p = z * 5.23262408e-3f - 2.95049575e-2f;
    p = p * z + 7.82254939e-2f;
    p = p * z - 0.136632069f;
    p = p * z + 0.191059885f;
    p = p * z - 0.248429775f;
    p = p * z + 0.333190962f;
    p = p * z - 0.499994931f;
    p = p * z + 0.99999997f;
    return at_least(x, 0.0f) + z * p;
}

// The hyperbolic tangent, and its slope.
inline lanes tangent(lanes x, lanes* slope) {
    lanes z = fading(2.0f * x), part = inverse(1.0f + z), far = (1.0f - z) * part, q = x * x;
    *slope = 4.0f * z * part * part;
    lanes p = q * 1.56404611e-2f - 5.22310928e-2f;
    p = p * q + 0.133135204f;
    p = p * q - 0.333326216f;
    return q < 0.36f ? x + x * q * p : (x < 0.0f ? -far : far);
}

}  // namespace

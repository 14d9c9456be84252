"""The functions that generated C calls: polynomials without branches, so that compilers vectorise them; no libm.

Each is written once in double precision (`iso_exp_d`); `iso_exp` is the one of the model's precision. In single
precision those that networks live on have polynomials of their own, the others are the double ones, rounded. How many
units in the last place each is off is measured by `tests/native/test_routines.py`.
Coefficients: Chebyshev interpolants, computed to forty digits, of what is left after the reduction that each docstring
names; tanh in single precision is Eigen's rational approximation of degree 13/6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def _horner(coefficients: str, variable: str, suffix: str = "") -> str:
    """c0 + v (c1 + v (...))."""
    terms = [f"({item}{suffix})" if item.startswith("-") else f"{item}{suffix}" for item in coefficients.split()]
    text = terms[-1]
    for term in reversed(terms[:-1]):
        text = f"({term} + {variable} * {text})"
    return text


_EXP = (
    "0.50000000000000203 0.16666666666666682 0.041666666666473292 0.0083333333333184623 0.0013888888956219215 "
    "0.00019841269893049545 2.4801481344570323e-5 2.75572377367406e-6 2.7634155490989483e-7 2.5111203257471139e-8"
)
_LOG = (
    "1.0 0.33333333333333823 0.19999999999651169 0.1428571438032084 0.11111098528363023 0.090918158401146644 "
    "0.076562640741820954 0.074048551803276392"
)
_SIN = (
    "1.0 -0.16666666666666667 0.0083333333333333207 -0.00019841269841253478 2.7557319213562224e-6 "
    "-2.5052104779095044e-8 1.6058352428871255e-10 -7.5780901609226864e-13"
)
_COS = (
    "1.0 -0.5 0.041666666666666666 -0.001388888888888886 2.4801587301563195e-5 -2.7557319212693444e-7 "
    "2.0876753880061374e-9 -1.1470246973813004e-11 4.736305380233916e-14"
)
_ATAN = (
    "1.0 -0.33333333333333121 0.19999999999940891 -0.14285714279250245 0.11111110744919658 -0.090908968090640271 "
    "0.07692045330902225 -0.066629518136291901 0.058468782973308725 -0.050351024566015518 0.037965257453865936 "
    "-0.017805397205419445"
)
_ERF = (
    "1.1283791670955126 -0.37612638903183748 0.11283791670954879 -0.026866170645076793 0.0052239776248180145 "
    "-0.00085483269808337899 0.00012055331111642711 -1.4925595266831182e-5 1.6461000484121368e-6 "
    "-1.6350312701054695e-7 1.4659775274047436e-8 -1.1372848856791674e-9 5.9571761477489114e-11"
)
_ERFCX = (
    "1.0740069070883397 -0.88339445316988366 0.59022835710410161 -0.3104672619005623 0.11952776128730833 "
    "-0.026827234624695906 -0.0012124166277399343 0.003034062005264936 -0.00054830968416148782 "
    "-0.00027677788767511359 0.00010756142628457055 3.0398415827091235e-5 -1.7470276946754134e-5 "
    "-4.7502050387015062e-6 2.7645081270955055e-6 1.0013722371824733e-6 -4.0618551837223577e-7 "
    "-2.3761131752337485e-7 4.3628414845292031e-8 5.4874097799138592e-8 1.2682735605486027e-9 "
    "-1.1014234599054843e-8 -2.3223380497760334e-9 1.6548653598909395e-9 6.3163560463996317e-10 "
    "-1.3500642256798213e-10 -7.1902571713222025e-11"
)
_EXP_F = "0.50000000500187971 0.16666405302634304 0.041666340142225576 0.0083759682263114253 0.0013942159833661436"
_SIN_F = "0.99999999691770356 -0.16666650673996773 0.0083320357855973084 -0.00019503904250840799"
_COS_F = "0.99999999995248942 -0.49999999614857608 0.041666616692532826 -0.0013886617999647076 2.4379831251175366e-5"
_LOG_F = "0.99999999931565909 0.33333407669075594 0.19987425258759524 0.14962195239572494"

_DOUBLE = {
    "bits_d": "union iso_bits_d { double number; uint64_t bits; };",
    "power_d": """
/* 2^n for -1022 <= n <= 1023. */
static inline double iso_power_d(int64_t n) {
    const union iso_bits_d u = {.bits = (uint64_t)(n + 1023) << 52};
    return u.number;
}""",
    "whole_d": """
/* The nearest integer of |x| < 2^51, as the low bits of x + 1.5 2^52. */
static inline int64_t iso_whole_d(double shifted) {
    const union iso_bits_d u = {.number = shifted};
    return (int64_t)(u.bits - UINT64_C(0x4338000000000000));
}""",
    "expm1_d": f"""
/* e^x - 1 = 2^n (e^r - 1) + 2^n - 1, x = n log 2 + r. */
static inline double iso_expm1_d(double x) {{
    const double c = x > 710.0 ? 710.0 : (x < -745.2 ? -745.2 : x);
    const double s = c * 1.4426950408889634 + 6755399441055744.0;
    const int64_t n = iso_whole_d(s);
    const double f = s - 6755399441055744.0;
    const double r = (c - f * 0.693147180369123816490) - f * 1.90821492927058770002e-10;
    const double p = r + r * r * {_horner(_EXP, "r")};
    const int64_t half = (n - (n & 1)) / 2;
    const double a = iso_power_d(half < -511 ? -511 : half), b = iso_power_d(n - half < -511 ? -511 : n - half);
    const double y = p * a * b + (a * b - 1.0);
    return x > 709.8 ? iso_inf_d() : y;
}}""",
    "exp_d": f"""
/* e^x = 2^n e^r, x = n log 2 + r; the power in two factors, so that it may be subnormal. */
static inline double iso_exp_d(double x) {{
    const double c = x > 710.0 ? 710.0 : (x < -745.2 ? -745.2 : x);
    const double s = c * 1.4426950408889634 + 6755399441055744.0;
    const int64_t n = iso_whole_d(s);
    const double f = s - 6755399441055744.0;
    const double r = (c - f * 0.693147180369123816490) - f * 1.90821492927058770002e-10;
    const double p = 1.0 + (r + r * r * {_horner(_EXP, "r")});
    const int64_t half = (n - (n & 1)) / 2;
    return p * iso_power_d(half) * iso_power_d(n - half);
}}""",
    "log_d": f"""
/* log x = e log 2 + 2 s P(s^2), s = (m - 1) / (m + 1), x = m 2^e with m in [sqrt(1/2), sqrt(2)). */
static inline double iso_log_d(double x) {{
    const double scaled = x < 2.2250738585072014e-308 ? x * 18014398509481984.0 : x;
    const union iso_bits_d u = {{.number = scaled}};
    const uint64_t moved = u.bits - UINT64_C(0x3fe6a09e667f3bcd);
    const int64_t e = (int64_t)(moved >> 52) - ((moved >> 63) ? 4096 : 0);
    const union iso_bits_d m = {{.bits = u.bits - ((uint64_t)e << 52)}};
    const double s = (m.number - 1.0) / (m.number + 1.0), z = s * s;
    const double power = (double)(e - (x < 2.2250738585072014e-308 ? 54 : 0));
    const double series = 2.0 * s * {_horner(_LOG, "z")};
    const double y = power * 0.693147180369123816490 + (series + power * 1.90821492927058770002e-10);
    const double limit = x == 0.0 ? -iso_inf_d() : iso_nan_d();
    return x > 0.0 ? (x > 1.7976931348623157e308 ? x : y) : limit;
}}""",
    "log1p_d": """
/* log(1 + x) = x log(u) / (u - 1), u = 1 + x rounded (Higham, 2nd ed., 1.14.1). */
static inline double iso_log1p_d(double x) {
    const double u = 1.0 + x, gap = u - 1.0;
    const double y = iso_log_d(u) * (x / (gap == 0.0 ? 1.0 : gap));
    return gap == 0.0 ? x : (u > 1.7976931348623157e308 ? u : y);
}""",
    "tanh_d": """
/* -t / (t + 2), t = e^(-2|x|) - 1. */
static inline double iso_tanh_d(double x) {
    const double size = x < 0.0 ? -x : x, t = iso_expm1_d(-2.0 * size), y = -t / (t + 2.0);
    return x < 0.0 ? -y : y;
}""",
    "sigmoid_d": """
static inline double iso_sigmoid_d(double x) {
    const double size = x < 0.0 ? -x : x, e = iso_exp_d(-size), y = 1.0 / (1.0 + e);
    return x < 0.0 ? e * y : y;
}""",
    "softplus_d": """
/* max(x, 0) + log(1 + e^-|x|). */
static inline double iso_softplus_d(double x) {
    return (x > 0.0 ? x : 0.0) + iso_log1p_d(iso_exp_d(x > 0.0 ? -x : x)) + 0.0 * x;
}""",
    "quadrant_d": """
/* x = n pi / 2 + r, in three parts: |x| up to some 10^6. */
static inline double iso_quadrant_d(double x, int64_t *n) {
    const double s = x * 0.63661977236758138 + 6755399441055744.0, f = s - 6755399441055744.0;
    *n = iso_whole_d(s);
    return ((x - f * 1.57079632673412561417e+00) - f * 6.07710050630396597660e-11) - f * 2.02226624879595063154e-21;
}""",
    "wave_d": f"""
/* sin(r + n pi / 2). */
static inline double iso_wave_d(double r, int64_t n) {{
    const double z = r * r, s = r * {_horner(_SIN, "z")}, c = {_horner(_COS, "z")};
    const double y = (n & 1) ? c : s;
    return (n & 2) ? -y : y;
}}""",
    "sin_d": """
static inline double iso_sin_d(double x) {
    int64_t n;
    const double r = iso_quadrant_d(x, &n);
    return iso_wave_d(r, n);
}""",
    "cos_d": """
static inline double iso_cos_d(double x) {
    int64_t n;
    const double r = iso_quadrant_d(x, &n);
    return iso_wave_d(r, n + 1);
}""",
    "tan_d": """
static inline double iso_tan_d(double x) { return iso_sin_d(x) / iso_cos_d(x); }""",
    "atan_d": f"""
/* x P(x^2) for |x| < tan(pi / 8); around that by the angles pi / 4 and pi / 2. */
static inline double iso_atan_d(double x) {{
    const double a = x < 0.0 ? -x : x;
    const double r = a > 2.414213562373095 ? -1.0 / a : (a > 0.41421356237309503 ? (a - 1.0) / (a + 1.0) : a);
    const double angle = a > 2.414213562373095 ? 1.5707963267948966
                                               : (a > 0.41421356237309503 ? 0.78539816339744828 : 0.0);
    const double z = r * r, y = angle + r * {_horner(_ATAN, "z")};
    return x < 0.0 ? -y : y;
}}""",
    "asin_d": """
static inline double iso_asin_d(double x) { return iso_atan_d(x / iso_sqrt_d((1.0 - x) * (1.0 + x))); }""",
    "acos_d": """
static inline double iso_acos_d(double x) { return 2.0 * iso_atan_d(iso_sqrt_d((1.0 - x) / (1.0 + x))); }""",
    "sinh_d": """
static inline double iso_sinh_d(double x) {
    const double a = x < 0.0 ? -x : x, e = iso_expm1_d(a), y = a > 700.0 ? 0.5 * e : 0.5 * (e + e / (e + 1.0));
    return x < 0.0 ? -y : y;
}""",
    "cosh_d": """
static inline double iso_cosh_d(double x) { return 0.5 * (iso_exp_d(x) + iso_exp_d(-x)); }""",
    "asinh_d": """
static inline double iso_asinh_d(double x) {
    const double a = x < 0.0 ? -x : x, s = a * a, y = iso_log1p_d(a + s / (1.0 + iso_sqrt_d(s + 1.0)));
    return x < 0.0 ? -y : y;
}""",
    "acosh_d": """
static inline double iso_acosh_d(double x) {
    const double t = x - 1.0;
    return iso_log1p_d(t + iso_sqrt_d(t * (t + 2.0)));
}""",
    "atanh_d": """
static inline double iso_atanh_d(double x) {
    const double a = x < 0.0 ? -x : x, y = 0.5 * iso_log1p_d(2.0 * a / (1.0 - a));
    return x < 0.0 ? -y : y;
}""",
    "erf_d": f"""
/* x P(x^2) for |x| < 1, else 1 - e^(-x^2) Q(t) / (x + 3), t = (x - 3) / (x + 3). */
static inline double iso_erf_d(double x) {{
    const double a = x < 0.0 ? -x : x, z = a < 1.0 ? a * a : 1.0;
    const double near = a * {_horner(_ERF, "z")};
    const double b = a < 27.0 ? a : 27.0, t = (b - 3.0) / (b + 3.0);
    const double far = 1.0 - iso_exp_d(-b * b) * {_horner(_ERFCX, "t")} / (b + 3.0);
    const double y = a < 1.0 ? near : far;
    return x < 0.0 ? -y : (x == x ? y : x);
}}""",
    "round_d": """
/* The nearest integer, the even one in the middle. */
static inline double iso_round_d(double x) {
    const double a = x < 0.0 ? -x : x, y = (a + 4503599627370496.0) - 4503599627370496.0;
    return a < 4503599627370496.0 ? (x < 0.0 ? -y : y) : x;
}""",
    "floor_d": """
static inline double iso_floor_d(double x) {
    const double y = iso_round_d(x);
    return y > x ? y - 1.0 : y;
}""",
    "ceil_d": """
static inline double iso_ceil_d(double x) {
    const double y = iso_round_d(x);
    return y < x ? y + 1.0 : y;
}""",
    "pow_d": """
/* e^(b log |a|), with the sign of a for an odd b. */
static inline double iso_pow_d(double a, double b) {
    const double size = a < 0.0 ? -a : a, whole = iso_round_d(b), half = 0.5 * whole;
    const double y = iso_exp_d(b * iso_log_d(size == 0.0 ? 1.0 : size));
    const double odd = iso_round_d(half) != half ? -y : y;
    const double below = whole == b ? odd : iso_nan_d();
    const double zero = b > 0.0 ? 0.0 : iso_inf_d();
    const double found = a < 0.0 ? below : (a == 0.0 ? zero : y);
    return b == 0.0 ? 1.0 : (a == a && b == b ? found : a + b);
}""",
    "sqrt_d": """
#if defined(__GNUC__)
static inline double iso_sqrt_d(double x) { return __builtin_sqrt(x); }
#else
static inline double iso_sqrt_d(double x) {
    double y;
    if (!(x > 0.0) || x > 1.7976931348623157e308) { return x == 0.0 || x > 0.0 ? x : iso_nan_d(); }
    y = iso_exp_d(0.5 * iso_log_d(x));
    return 0.5 * (y + x / y);
}
#endif""",
    "inf_d": """
static inline double iso_inf_d(void) {
    const union iso_bits_d u = {.bits = UINT64_C(0x7ff0000000000000)};
    return u.number;
}""",
    "nan_d": """
static inline double iso_nan_d(void) {
    const union iso_bits_d u = {.bits = UINT64_C(0x7ff8000000000000)};
    return u.number;
}""",
}

_SINGLE = {
    "bits_f": "union iso_bits_f { float number; uint32_t bits; };",
    "power_f": """
static inline float iso_power_f(int32_t n) {
    const union iso_bits_f u = {.bits = (uint32_t)(n + 127) << 23};
    return u.number;
}""",
    "exp": f"""
/* e^x = 2^n e^r, x = n log 2 + r; the power in two factors, so that it may be subnormal. */
static inline float iso_exp(float x) {{
    const float c = x > 89.0f ? 89.0f : (x < -104.0f ? -104.0f : x);
    const union iso_bits_f s = {{.number = c * 1.44269504f + 12582912.0f}};
    const int32_t n = (int32_t)(s.bits - UINT32_C(0x4b400000));
    const float f = s.number - 12582912.0f;
    const float r = (c - f * 0.693359375f) + f * 2.12194440e-4f;
    const float p = 1.0f + (r + r * r * {_horner(_EXP_F, "r", "f")});
    const int32_t half = (n - (n & 1)) / 2;
    return p * iso_power_f(half) * iso_power_f(n - half);
}}""",
    "tanh": """
/* x P(x^2) / Q(x^2) for |x| < 7.9, beyond which it is 1 in this precision (Eigen's coefficients); never above 1. */
static inline float iso_tanh(float x) {
    const float c = x > 7.90531110763549805f ? 7.90531110763549805f
                                             : (x < -7.90531110763549805f ? -7.90531110763549805f : x);
    const float z = c * c;
    const float p = 4.89352455891786e-03f + z * (6.37261928875436e-04f + z * (1.48572235717979e-05f
        + z * (5.12229709037114e-08f + z * (-8.60467152213735e-11f + z * (2.00018790482477e-13f
        + z * -2.76076847742355e-16f)))));
    const float q = 4.89352518554385e-03f + z * (2.26843463243900e-03f + z * (1.18534705686654e-04f
        + z * 1.19825839466702e-06f));
    return c * p / q;
}""",
    "sigmoid": """
static inline float iso_sigmoid(float x) {
    const float a = x < 0.0f ? -x : x, e = iso_exp(-a), y = 1.0f / (1.0f + e);
    return x < 0.0f ? e * y : y;
}""",
    "log": f"""
/* log x = e log 2 + 2 s P(s^2), s = (m - 1) / (m + 1), x = m 2^e with m in [sqrt(1/2), sqrt(2)). */
static inline float iso_log(float x) {{
    const float scaled = x < 1.17549435e-38f ? x * 16777216.0f : x;
    const union iso_bits_f u = {{.number = scaled}};
    const uint32_t moved = u.bits - UINT32_C(0x3f3504f3);
    const int32_t e = (int32_t)(moved >> 23) - ((moved >> 31) ? 512 : 0);
    const union iso_bits_f m = {{.bits = u.bits - ((uint32_t)e << 23)}};
    const float s = (m.number - 1.0f) / (m.number + 1.0f), z = s * s;
    const float power = (float)(e - (x < 1.17549435e-38f ? 24 : 0));
    const float series = 2.0f * s * {_horner(_LOG_F, "z", "f")};
    const float y = power * 0.693359375f + (series - power * 2.12194440e-4f);
    const float limit = x == 0.0f ? -iso_inf() : iso_nan();
    return x > 0.0f ? (x > 3.40282347e38f ? x : y) : limit;
}}""",
    "wave": f"""
/* sin(r + n pi / 2), the remainder of double precision. */
static inline float iso_wave(float r, int64_t n) {{
    const float z = r * r, s = r * {_horner(_SIN_F, "z", "f")}, c = {_horner(_COS_F, "z", "f")};
    const float y = (n & 1) ? c : s;
    return (n & 2) ? -y : y;
}}""",
    "sin": """
static inline float iso_sin(float x) {
    int64_t n;
    const float r = (float)iso_quadrant_d((double)x, &n);
    return iso_wave(r, n);
}""",
    "cos": """
static inline float iso_cos(float x) {
    int64_t n;
    const float r = (float)iso_quadrant_d((double)x, &n);
    return iso_wave(r, n + 1);
}""",
    "sqrt": """
#if defined(__GNUC__)
static inline float iso_sqrt(float x) { return __builtin_sqrtf(x); }
#else
static inline float iso_sqrt(float x) { return (float)iso_sqrt_d((double)x); }
#endif""",
    "round": """
static inline float iso_round(float x) {
    const float a = x < 0.0f ? -x : x, y = (a + 8388608.0f) - 8388608.0f;
    return a < 8388608.0f ? (x < 0.0f ? -y : y) : x;
}""",
    "floor": """
static inline float iso_floor(float x) {
    const float y = iso_round(x);
    return y > x ? y - 1.0f : y;
}""",
    "ceil": """
static inline float iso_ceil(float x) {
    const float y = iso_round(x);
    return y < x ? y + 1.0f : y;
}""",
}
_BINARY = {"pow"}


def library(used: Iterable[str], wide: bool) -> str:
    """The functions that were named, and what they are made of, each before it is called."""
    written: dict[str, str] = {}

    def write(name: str) -> None:
        if name in written:
            return
        text = _text(name, wide)
        written[name] = ""  # claimed: a function may name itself
        for inner in re.findall(r"iso_(\w+)", text):
            if inner != name:
                write(inner)
        del written[name]
        written[name] = text.strip("\n")

    for name in sorted(used):
        write(name)
    return "\n\n".join(text for text in written.values() if text)


def _text(name: str, wide: bool) -> str:
    if name in _DOUBLE:
        return _DOUBLE[name]
    if not wide and name in _SINGLE:
        return _SINGLE[name]
    type_ = "double" if wide else "float"
    if name in ("inf", "nan"):
        return f"static inline {type_} iso_{name}(void) {{ return ({type_})iso_{name}_d(); }}"
    if f"{name}_d" not in _DOUBLE:
        raise KeyError(name)
    names = ("a", "b") if name in _BINARY else ("x",)
    passed = ", ".join(f"(double){item}" for item in names)
    taken = ", ".join(f"{type_} {item}" for item in names)
    return f"static inline {type_} iso_{name}({taken}) {{ return ({type_})iso_{name}_d({passed}); }}"

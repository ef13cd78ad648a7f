//! Gamma-function arithmetic that does not cancel.
//!
//! Everything in pass@k is one function,
//!
//! ```text
//! log F(p; a, k) = lnΓ(p+a) + lnΓ(p+k) − lnΓ(p) − lnΓ(p+a+k),    p > 0, a >= 0, k >= 0
//! ```
//!
//! which is symmetric in a and k and never positive. Four library log-gammas lose every digit when a or k is
//! small beside p, so this module never forms one: it moves p up with exact ratios until Stirling's series
//! converges, and there writes each difference in closed form, as a product.

use crate::lanes;

/// Where Stirling's series, cut after [`STIRLING`], has a relative remainder below 1e-15.
const ASYMPTOTIC: f64 = 12.0;

/// lnΓ(x) = (x−½) ln x − x + ½ ln 2π + u·Σ `STIRLING[m]` u^(2m) with u = 1/x.
const STIRLING: [f64; 7] =
    [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0];

/// ψ(x) = ln x − u/2 − u²·Σ `DIGAMMA[m]` u^(2m) with u = 1/x.
const DIGAMMA: [f64; 7] =
    [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32_760.0, 1.0 / 12.0];

/// ln(1 + x) for x > −1, to about one unit in the last place.
///
/// `f64::ln` is several times faster than `f64::ln_1p`; what rounding 1 + x loses is added back to first order.
#[inline]
pub(crate) fn log1p(x: f64) -> f64 {
    let y = 1.0 + x;
    y.ln() + (x - (y - 1.0)) / y
}

/// ln(1 − part/whole), given rest = whole − part computed without cancellation.
#[inline]
fn log_rest(part: f64, rest: f64, whole: f64) -> f64 {
    let fraction = part / whole;
    if fraction <= 0.5 { log1p(-fraction) } else { (rest / whole).ln() }
}

/// The four points p, p+a, p+k, p+a+k as values of u = 1/x and w = u², with the differences between them as products.
///
/// Suffixes: `_0` at the unshifted other argument, `_1` at the shifted one; `da` is the step p → p+a, `dk` the
/// step p → p+k, `dd` the mixed second difference f(p+a+k) − f(p+a) − f(p+k) + f(p).
struct Corners {
    u: Differences,
    w: Differences,
}

struct Differences {
    at_0: f64,
    at_a: f64,
    at_k: f64,
    at_ak: f64,
    da_0: f64,
    da_1: f64,
    dk_0: f64,
    dk_1: f64,
    dd: f64,
}

/// What [`Differences`] a power series in w needs to carry along Horner's scheme.
#[derive(Clone, Copy)]
struct Series {
    at_ak: f64,
    da_1: f64,
    dk_1: f64,
    dd: f64,
}

impl Series {
    /// Differences of the product self · g, by the product rule for finite differences: no subtraction.
    #[inline(always)]
    fn times(self, g: &Differences) -> Series {
        Series {
            at_ak: self.at_ak * g.at_ak,
            da_1: self.at_ak * g.da_1 + self.da_1 * g.at_k,
            dk_1: self.at_ak * g.dk_1 + self.dk_1 * g.at_a,
            dd: self.at_ak * g.dd + self.da_1 * g.dk_0 + self.dk_1 * g.da_0 + self.dd * g.at_0,
        }
    }

    #[inline(always)]
    fn sum(coefficients: &[f64; 7], w: &Differences) -> Series {
        let mut series = Series { at_ak: coefficients[6], da_1: 0.0, dk_1: 0.0, dd: 0.0 };
        for c in coefficients[..6].iter().rev() {
            series = series.times(w);
            series.at_ak += c;
        }
        series
    }
}

impl Corners {
    #[inline(always)]
    fn new(p: f64, a: f64, k: f64) -> Corners {
        let (at_0, at_a, at_k, at_ak) = (1.0 / p, 1.0 / (p + a), 1.0 / (p + k), 1.0 / (p + a + k));
        let (low, high) = (at_0 * at_a, at_k * at_ak);
        let u = Differences {
            at_0,
            at_a,
            at_k,
            at_ak,
            da_0: -a * low,
            da_1: -a * high,
            dk_0: -k * (at_0 * at_k),
            dk_1: -k * (at_a * at_ak),
            dd: (a * low) * (k * high) * (p + p + a + k),
        };
        let w = Differences {
            at_0: at_0 * at_0,
            at_a: at_a * at_a,
            at_k: at_k * at_k,
            at_ak: at_ak * at_ak,
            da_0: u.da_0 * (at_a + at_0),
            da_1: u.da_1 * (at_ak + at_k),
            dk_0: u.dk_0 * (at_k + at_0),
            dk_1: u.dk_1 * (at_ak + at_a),
            dd: u.dd * (at_ak + at_0) + u.da_1 * u.dk_0 + u.dk_1 * u.da_0,
        };
        Corners { u, w }
    }
}

/// The logarithms that Stirling's formula leaves: ln of (p+a)(p+k)/(pt), (p+a)/t and (p+k)/t with t = p+a+k.
#[inline]
fn logarithms(p: f64, a: f64, k: f64) -> [f64; 3] {
    let t = p + a + k;
    [log1p((a / p) * (k / t)), log_rest(k, p + a, t), log_rest(a, p + k, t)]
}

#[inline(always)]
fn stirling(p: f64, a: f64, k: f64, corners: &Corners, [mixed, log_a, log_k]: [f64; 3]) -> f64 {
    let correction = Series::sum(&STIRLING, &corners.w).times(&corners.u).dd;
    (p - 0.5) * mixed + a * log_a + k * log_k - correction
}

/// Steps p → p+1 taken together, so that the compiler can use vector registers.
const BLOCK: usize = 4;
const STEPS: [f64; BLOCK] = [0.0, 1.0, 2.0, 3.0];

/// Π (1 − x_j) kept twice: as the product and as its complement, which is exact to rounding when the x_j are small.
struct Quotient {
    product: f64,
    complement: f64,
}

impl Quotient {
    const ONE: Quotient = Quotient { product: 1.0, complement: 0.0 };

    #[inline(always)]
    fn push(&mut self, ratio: [f64; BLOCK], x: [f64; BLOCK]) {
        let either = |x: f64, y: f64| x + y * (1.0 - x);
        let block = either(either(x[0], x[1]), either(x[2], x[3]));
        self.complement = either(self.complement, block);
        self.product *= (ratio[0] * ratio[1]) * (ratio[2] * ratio[3]);
    }

    #[inline]
    fn log(&self) -> f64 {
        if self.complement < 0.5 { log1p(-self.complement) } else { self.product.ln() }
    }
}

/// log F(p; a, k) = lnΓ(p+a) + lnΓ(p+k) − lnΓ(p) − lnΓ(p+a+k), relative error about 1e-15.
///
/// For p > 0, a >= 0, k >= 0; NaN outside. Products of two arguments must not overflow. Rational arithmetic up to
/// p >= 12 by log F(p) = log F(p+1) + log1p(−ak/((p+a)(p+k))), then, with t = p+a+k,
/// (p−½)·log1p(ak/(pt)) + a·ln((p+a)/t) + k·ln((p+k)/t) minus the second difference of Stirling's series.
pub fn log_rising_quotient(p: f64, a: f64, k: f64) -> f64 {
    if !(p > 0.0 && a >= 0.0 && k >= 0.0) {
        return f64::NAN;
    }
    if k == f64::INFINITY || a == f64::INFINITY {
        return if a.min(k) > 0.0 { f64::NEG_INFINITY } else { 0.0 };
    }
    log_rising_quotient_signed(p, a, k)
}

/// [`log_rising_quotient`] without its checks, for finite arguments and any a > −min(p, 6): positive where a < 0.
#[inline]
pub(crate) fn log_rising_quotient_signed(p: f64, a: f64, k: f64) -> f64 {
    let mut p = p;
    let mut quotient = Quotient::ONE;
    while p < ASYMPTOTIC {
        let (mut ratio, mut x) = ([0.0; BLOCK], [0.0; BLOCK]);
        for j in 0..BLOCK {
            let p = p + STEPS[j];
            let inverse = 1.0 / ((p + a) * (p + k));
            ratio[j] = p * (p + a + k) * inverse;
            x[j] = a * k * inverse;
        }
        quotient.push(ratio, x);
        p += BLOCK as f64;
    }
    stirling(p, a, k, &Corners::new(p, a, k), logarithms(p, a, k)) + quotient.log()
}

/// [`log_rising_quotient`] without its checks and without a branch: in a loop it runs in vector registers. The products
/// of eight arguments must not overflow, p always moves up, and errors are a few 1e-15.
#[inline(always)]
pub(crate) fn log_rising_quotient_flat<const FMA: bool>(p: f64, a: f64, k: f64) -> f64 {
    // Of the steps' ratios the product, and what it lacks of 1.
    let (mut p, mut product, mut complement) = (p, 1.0, 0.0);
    for _ in 0..3 {
        // A step is upper/lower with lower − upper = a k, so what four lack of 1 takes one division and no subtraction.
        let [p0, p1, p2, p3] = [p, p + 1.0, p + 2.0, p + 3.0];
        let (upper_0, lower_0) = (p0 * (p0 + (a + k)), (p0 + a) * (p0 + k));
        let (upper_1, lower_1) = (p1 * (p1 + (a + k)), (p1 + a) * (p1 + k));
        let (upper_2, lower_2) = (p2 * (p2 + (a + k)), (p2 + a) * (p2 + k));
        let (upper_3, lower_3) = (p3 * (p3 + (a + k)), (p3 + a) * (p3 + k));
        let (upper_01, lower_23) = (upper_0 * upper_1, lower_2 * lower_3);
        let inverse = 1.0 / (lower_0 * lower_1 * lower_23);
        let lack = a * k * ((lower_1 + upper_0) * lower_23 + upper_01 * (lower_3 + upper_2)) * inverse;
        complement += lack * (1.0 - complement);
        product *= upper_01 * (upper_2 * upper_3) * inverse;
        p += 4.0;
    }
    let corners = Corners::new(p, a, k);
    let (by_p, by_t) = (corners.u.at_0, corners.u.at_ak);
    let ratio = (a * by_p) * (k * by_t);
    let y = 1.0 + ratio;
    let mixed = lanes::log::<FMA>(y, ratio - (y - 1.0));
    let log_a = log_complement::<FMA>(k * by_t, (p + a) * by_t);
    let log_k = log_complement::<FMA>(a * by_t, (p + k) * by_t);
    stirling(p, a, k, &corners, [mixed, log_a, log_k]) + log_complement::<FMA>(complement, product)
}

/// ln(1 − part) by `rest`, which is 1 − part, where part is large.
#[inline(always)]
fn log_complement<const FMA: bool>(part: f64, rest: f64) -> f64 {
    let y = 1.0 - part;
    let small = part <= 0.5;
    lanes::log::<FMA>(if small { y } else { rest }, if small { (1.0 - y) - part } else { 0.0 })
}

/// [`log_rising_quotient`] and its derivatives in p, a and k:
/// ψ(p+a) + ψ(p+k) − ψ(p) − ψ(p+a+k), ψ(p+a) − ψ(p+a+k) and ψ(p+k) − ψ(p+a+k), without cancellation either.
pub fn log_rising_quotient_gradient(p: f64, a: f64, k: f64) -> (f64, [f64; 3]) {
    if !(p > 0.0 && a >= 0.0 && k >= 0.0 && a.is_finite() && k.is_finite()) {
        return (log_rising_quotient(p, a, k), [f64::NAN; 3]);
    }
    let mut p = p;
    let mut quotient = Quotient::ONE;
    let (mut by_p, mut by_a, mut by_k) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
    while p < ASYMPTOTIC {
        let (mut ratio, mut x) = ([0.0; BLOCK], [0.0; BLOCK]);
        for j in 0..BLOCK {
            let p = p + STEPS[j];
            let (pa, pk, t) = (p + a, p + k, p + a + k);
            let (ends, middle) = (p * t, pa * pk);
            let inverse = 1.0 / (ends * middle);
            ratio[j] = ends * ends * inverse;
            x[j] = a * k * (ends * inverse);
            by_p[j] += a * k * (p + t) * inverse;
            by_a[j] -= k * p * pk * inverse;
            by_k[j] -= a * p * pa * inverse;
        }
        quotient.push(ratio, x);
        p += BLOCK as f64;
    }
    let [mut by_p, mut by_a, mut by_k] = [by_p, by_a, by_k].map(|by| (by[0] + by[1]) + (by[2] + by[3]));
    let corners = Corners::new(p, a, k);
    let logs @ [mixed, log_a, log_k] = logarithms(p, a, k);
    let value = stirling(p, a, k, &corners, logs) + quotient.log();
    // ψ = ln x − u/2 − w·series(w), so each difference of ψ is the same difference of these three parts.
    let digamma = Series::sum(&DIGAMMA, &corners.w).times(&corners.w);
    by_p += mixed + 0.5 * corners.u.dd + digamma.dd;
    by_a += log_a + 0.5 * corners.u.dk_1 + digamma.dk_1;
    by_k += log_k + 0.5 * corners.u.da_1 + digamma.da_1;
    (value, [by_p, by_a, by_k])
}

//! Elementary functions on sixteen lanes, the same bits on every instruction set.

use super::simd::Isa;

#[inline(always)]
fn polynomial<S: Isa>(s: S, x: S::F, coefficients: &[f32]) -> S::F {
    let (&last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
    let mut y = s.splat(last);
    for &c in rest.iter().rev() {
        y = s.fma(y, x, s.splat(c));
    }
    y
}

/// e^x within 2 ulp; 0 below −87.33 (no subnormal results), infinity above 88.72, NaN kept.
#[inline(always)]
pub(crate) fn exp<S: Isa>(s: S, x: S::F) -> S::F {
    // (e^r − 1 − r) / r² on |r| ≤ ln(2)/2, minimax for the relative error of e^r (5e-11).
    const P: [f32; 6] = [0.5, 0.166_666_66, 0.041_666_295, 0.008_333_497, 0.001_394_464_9, 0.000_197_903_52];
    let low = s.splat(-87.33);
    let high = s.splat(88.72);
    let kept = s.select(s.gt(low, x), low, s.select(s.gt(x, high), high, x));
    let n = s.round_i32(s.mul(kept, s.splat(std::f32::consts::LOG2_E)));
    let nf = s.float_of_i32(n);
    // ln 2 in two parts: the high one has few bits, so n times it is exact.
    let r = s.fma(nf, s.splat(-0.693_359_4), kept);
    let r = s.fma(nf, s.splat(2.121_944_4e-4), r);
    let p = polynomial(s, r, &P);
    let y = s.add(s.fma(s.mul(r, r), p, r), s.splat(1.0));
    // 2^n in two steps, for n = 128 has no float.
    let half = s.sar(n, 1);
    let y = s.mul(s.mul(y, power_of_two(s, half)), power_of_two(s, s.sub_u(n, half)));
    let y = s.select(s.gt(low, x), s.splat(0.0), y);
    s.select(s.gt(x, high), s.splat(f32::INFINITY), y)
}

/// 2^e for e from −126 to 127.
#[inline(always)]
fn power_of_two<S: Isa>(s: S, e: S::I) -> S::F {
    s.as_floats(s.shl(s.add_u(e, s.splat_u(127)), 23))
}

/// ln(1 + f) + e·ln 2 for f in [√½ − 1, √2 − 1] and integral e.
#[inline(always)]
fn ln_reduced<S: Isa>(s: S, f: S::F, e: S::F) -> S::F {
    // (ln(1+f) − f + f²/2) / f³, minimax for the relative error of ln(1+f) (8e-10).
    const P: [f32; 9] = [
        0.333_333_12,
        -0.250_000_1,
        0.200_021_19,
        -0.166_679_96,
        0.142_195_52,
        -0.124_055_89,
        0.118_881_62,
        -0.116_756_52,
        0.067_466_41,
    ];
    let square = s.mul(f, f);
    let tail = s.mul(s.mul(square, f), polynomial(s, f, &P));
    let tail = s.fma(e, s.splat(-2.121_944_4e-4), tail);
    let tail = s.fma(square, s.splat(-0.5), tail);
    s.fma(e, s.splat(0.693_359_4), s.add(f, tail))
}

/// (f, e) with x = (1 + f)·2^e, f in [√½ − 1, √2 − 1], for normal positive x.
#[inline(always)]
fn split<S: Isa>(s: S, x: S::F) -> (S::F, S::F) {
    let bits = s.to_bits(x);
    let e = s.sar(s.sub_u(bits, s.splat_u(0x3f35_04f3)), 23);
    let m = s.as_floats(s.sub_u(bits, s.shl(e, 23)));
    (s.sub(m, s.splat(1.0)), s.float_of_i32(e))
}

/// Natural logarithm of normal positive numbers.
#[inline(always)]
pub(crate) fn ln<S: Isa>(s: S, x: S::F) -> S::F {
    let (f, e) = split(s, x);
    ln_reduced(s, f, e)
}

/// (x + ½)·2⁻³².
#[inline(always)]
fn unit<S: Isa>(s: S, x: S::I) -> S::F {
    const SCALE: f32 = 1.0 / 4_294_967_296.0;
    s.mul(s.add(s.float_of_u32(x), s.splat(0.5)), s.splat(SCALE))
}

/// Gumbel noise of random bits: u = (x + ½)·2⁻³², g = −ln(−ln(1 − u)).
#[inline(always)]
pub(crate) fn gumbel<S: Isa>(s: S, bits: S::I) -> S::F {
    let u = unit(s, bits);
    // 1 − u is formed from the complement of the bits, so nothing cancels; near 1 the series in −u takes over.
    let (f, e) = split(s, unit(s, s.xor(bits, s.splat_u(u32::MAX))));
    let near_one = s.gt(s.splat(0.29), u);
    let f = s.select(near_one, s.sub(s.splat(0.0), u), f);
    let e = s.select(near_one, s.splat(0.0), e);
    let w = s.sub(s.splat(0.0), ln_reduced(s, f, e));
    s.sub(s.splat(0.0), ln(s, w))
}

/// x · sigmoid(x).
#[inline(always)]
pub(crate) fn silu<S: Isa>(s: S, x: S::F) -> S::F {
    s.div(x, s.add(s.splat(1.0), exp(s, s.sub(s.splat(0.0), x))))
}

/// ½ x (1 + erf(x/√2)).
#[inline(always)]
pub(crate) fn gelu<S: Isa>(s: S, x: S::F) -> S::F {
    // erf(z)/z in z² on [0, 1] and erfc(z)·e^{z²}/t in t = 1/(1 + z/2) beyond; minimax, relative 3e-9 or better.
    const ERF: [f32; 8] = [
        std::f32::consts::FRAC_2_SQRT_PI,
        -0.376_126_4,
        0.112_837_82,
        -0.026_865_4,
        0.005_220_945_4,
        -0.000_848_282_9,
        0.000_112_569_49,
        -9.641_519e-6,
    ];
    const ERFC: [f32; 9] = [
        0.282_086_43,
        0.282_332_86,
        0.243_939_07,
        0.195_961_63,
        0.002_137_393_5,
        0.207_258_06,
        -0.386_473_3,
        0.207_611_54,
        -0.034_609_96,
    ];
    let one = s.splat(1.0);
    let z = s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2));
    let size = s.max(z, s.sub(s.splat(0.0), z));
    let square = s.mul(size, size);
    let small = s.mul(z, polynomial(s, square, &ERF));
    let t = s.div(one, s.fma(size, s.splat(0.5), one));
    let tail = s.mul(s.mul(t, polynomial(s, t, &ERFC)), exp(s, s.sub(s.splat(0.0), square)));
    let half = s.mul(x, s.splat(0.5));
    // Beyond 1 use erfc itself: no cancellation for large negative x.
    let positive = s.gt(x, s.splat(0.0));
    let large = s.mul(half, s.select(positive, s.sub(s.splat(2.0), tail), tail));
    s.select(s.gt(size, one), large, s.mul(half, s.add(one, small)))
}

/// ½ x (1 + tanh(√(2/π)(x + 0.044715 x³))).
#[inline(always)]
pub(crate) fn gelu_tanh<S: Isa>(s: S, x: S::F) -> S::F {
    let cube = s.mul(s.mul(x, x), x);
    let inner = s.mul(s.fma(cube, s.splat(0.044_715), x), s.splat(0.797_884_6));
    // ½(1 + tanh y) = sigmoid(2y).
    let e = exp(s, s.mul(inner, s.splat(-2.0)));
    s.div(x, s.add(s.splat(1.0), e))
}

/// c · tanh(scale · x / c) of every element, in place; the length is a multiple of sixteen.
#[inline(always)]
pub(crate) fn softcap<S: Isa>(s: S, x: &mut [f32], scale: f32, cap: f32) {
    for lanes in x.as_chunks_mut::<16>().0 {
        let y = s.mul(s.load(lanes), s.splat(scale / cap));
        // tanh y = 1 − 2 / (1 + exp 2y); near 0, where that cancels, y − y³/3 + 2y⁵/15.
        let e = exp(s, s.mul(y, s.splat(2.0)));
        let far = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(s.splat(1.0), e)));
        let square = s.mul(y, y);
        let inner = s.fma(square, s.splat(2.0 / 15.0), s.splat(-1.0 / 3.0));
        let near = s.fma(s.mul(y, square), inner, y);
        let tanh = s.select(s.gt(s.splat(0.01), square), near, far);
        s.store(s.mul(tanh, s.splat(cap)), lanes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::portable::Portable;
    use crate::naive;

    fn each(f: impl Fn(Portable, [f32; 16]) -> [f32; 16], xs: impl Iterator<Item = f32>) -> Vec<(f32, f32)> {
        xs.map(|x| (x, f(Portable, [x; 16])[3])).collect()
    }

    fn grid(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..=20_000).map(move |i| from + (to - from) * i as f32 / 20_000.0)
    }

    #[test]
    fn elementary_functions_are_accurate() {
        for (x, y) in each(exp, grid(-87.0, 88.7)) {
            let exact = f64::from(x).exp();
            assert!((f64::from(y) - exact).abs() <= 2.5e-7 * exact, "exp({x}) = {y}");
        }
        assert_eq!(exp(Portable, [f32::NEG_INFINITY; 16])[0], 0.0);
        assert_eq!(exp(Portable, [f32::INFINITY; 16])[0], f32::INFINITY);
        for (x, y) in each(ln, grid(1e-6, 30.0)) {
            let exact = f64::from(x).ln();
            assert!((f64::from(y) - exact).abs() <= 2e-7 * exact.abs() + 1e-9, "ln({x}) = {y}");
        }
        for (x, y) in each(silu, grid(-30.0, 30.0)) {
            let exact = f64::from(x) / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(y) - exact).abs() <= 5e-7 * exact.abs(), "silu({x}) = {y}");
        }
        for (x, y) in each(gelu, grid(-7.0, 7.0)) {
            let x = f64::from(x);
            let exact = 0.5 * x * (1.0 + naive::erf(x / 2f64.sqrt()));
            assert!((f64::from(y) - exact).abs() <= 4e-7 * x.abs().max(exact.abs()), "gelu({x}) = {y}");
        }
        for (x, y) in each(gelu_tanh, grid(-7.0, 7.0)) {
            let x = f64::from(x);
            let exact =
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
            assert!((f64::from(y) - exact).abs() <= 2e-6 * exact.abs() + 1e-7, "gelu_tanh({x}) = {y}");
        }
    }

    #[test]
    fn gumbel_noise_is_the_float64_formula() {
        let ends = [0, 1, 2, 1 << 31, u32::MAX - 2, u32::MAX - 1, u32::MAX];
        let steps = (0..200_000u32).map(|i| i.wrapping_mul(2_654_435_761));
        for bits in ends.into_iter().chain(steps) {
            let u = (f64::from(bits) + 0.5) / 4_294_967_296.0;
            let exact = -(-(-u).ln_1p()).ln();
            let found = f64::from(gumbel(Portable, [bits; 16])[5]);
            assert!((found - exact).abs() <= 1e-6 * exact.abs().max(1.0), "{bits}: {found}, exactly {exact}");
        }
    }

    #[test]
    fn softcap_is_a_scaled_tanh() {
        for (scale, cap) in [(1.0f32, 30.0f32), (0.5, 50.0), (1.0, 0.7)] {
            for x in grid(-200.0, 200.0) {
                let mut lanes = [x; 16];
                softcap(Portable, &mut lanes, scale, cap);
                let expected = f64::from(cap) * (f64::from(x) * f64::from(scale) / f64::from(cap)).tanh();
                assert!((f64::from(lanes[5]) - expected).abs() <= 4e-6 * f64::from(cap), "{x} {scale} {cap}");
            }
        }
    }
}

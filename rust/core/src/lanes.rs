//! Numbers eight at once: the same steps for each without a branch, so that they run in vector registers. Every lane is
//! computed by itself: what it is grouped with changes no bit.
//!
//! The functions are inlined into one that is compiled for the processor's features; `FMA` says whether it has fused
//! multiplication and addition.

/// Numbers at once.
pub(crate) const LANES: usize = 8;

/// One number a lane.
pub(crate) type Lanes = [f64; LANES];

/// An expression in every lane. A closure would not be compiled for the features of the function that it is in.
macro_rules! lanes {
    (|$i:ident| $value:expr) => {{
        let mut out = [0.0; $crate::lanes::LANES];
        for $i in 0..$crate::lanes::LANES {
            out[$i] = $value;
        }
        out
    }};
}
pub(crate) use lanes;

/// a b + c.
#[inline(always)]
pub(crate) fn fused<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

// 1.5 · 2^52: what is added to it is rounded to a whole number
const SHIFT: f64 = 6_755_399_441_055_744.0;
// The upper bits of ln 2, whose products with whole numbers are exact, and the rest.
const HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEFA_3800);
const LOW: f64 = (std::f64::consts::LN_2 - HIGH) + 2.319_046_813_846_299_6e-17; // what LN_2 lacks of ln 2

/// e^x to a few units in the last place, between e^−708 and e^709: x = n ln 2 + r with |r| <= ln 2/2, and the Taylor
/// series of e^r.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f64) -> f64 {
    let x = x.clamp(-708.0, 709.0);
    let shifted = fused::<FMA>(x, std::f64::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = fused::<FMA>(-n, LOW, fused::<FMA>(-n, HIGH, x));
    let mut sum = 1.0 / 6_227_020_800.0;
    for factorial in [
        479_001_600.0,
        39_916_800.0,
        3_628_800.0,
        362_880.0,
        40_320.0,
        5_040.0,
        720.0,
        120.0,
        24.0,
        6.0,
        2.0,
        1.0,
        1.0,
    ] {
        sum = fused::<FMA>(sum, r, 1.0 / factorial);
    }
    f64::from_bits(sum.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// ln(1 + s) for s in [0, 1], relative error a few 1e-16: 2 artanh(s/(2 + s)) by its series.
#[inline(always)]
pub(crate) fn log_1p<const FMA: bool>(s: f64) -> f64 {
    let z = s / (2.0 + s);
    let square = z * z;
    let mut sum = 1.0 / 35.0;
    for odd in
        [33.0, 31.0, 29.0, 27.0, 25.0, 23.0, 21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0]
    {
        sum = fused::<FMA>(sum, square, 1.0 / odd);
    }
    2.0 * z * sum
}

/// ln(y + rest) for a normal y > 0 and what rounding took from it, relative error a few 1e-16 also near 1:
/// y = 2^n (1 + f) with 1 + f between √½ and √2, and ln(1 + f) as in [`log_1p`].
#[inline(always)]
pub(crate) fn log<const FMA: bool>(y: f64, rest: f64) -> f64 {
    const ROOT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    const EXPONENT: u64 = 0xFFF0_0000_0000_0000;
    let power = y.to_bits().wrapping_sub(ROOT_HALF) & EXPONENT;
    // The exponent as a number: its bits, moved down by 52 places, in the lowest bits of SHIFT.
    let n = f64::from_bits(SHIFT.to_bits().wrapping_add(((power as i64) >> 52) as u64)) - SHIFT;
    let f = f64::from_bits(y.to_bits().wrapping_sub(power)) - 1.0;
    let f = fused::<FMA>(rest, f64::from_bits(ONE.wrapping_sub(power)), f);
    let z = f / (2.0 + f);
    let square = z * z;
    let mut sum = 1.0 / 21.0;
    for odd in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = fused::<FMA>(sum, square, 1.0 / odd);
    }
    fused::<FMA>(n, HIGH, fused::<FMA>(2.0 * z, sum, n * LOW))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exponentials_and_logarithms_are_those_of_the_library(
            x in -700.0f64..700.0, s in 0.0f64..1.0, near in -0.5f64..1.0, tiny in -40.0f64..0.0,
        ) {
            prop_assert!((exp::<true>(x) / x.exp() - 1.0).abs() < 1e-15);
            prop_assert!((exp::<false>(x) / x.exp() - 1.0).abs() < 1e-15);
            prop_assert!((log_1p::<true>(s) - s.ln_1p()).abs() <= 1e-15 * s.ln_1p());
            prop_assert!((log_1p::<false>(s) - s.ln_1p()).abs() <= 1e-15 * s.ln_1p());
            prop_assert!((log::<true>(x.exp(), 0.0) - x.exp().ln()).abs() <= 1e-15 * x.abs());
            prop_assert!((log::<false>(x.exp(), 0.0) - x.exp().ln()).abs() <= 1e-15 * x.abs());
            for x in [near, tiny.exp(), -0.5 * tiny.exp()] {
                let (y, exact) = (1.0 + x, x.ln_1p());
                prop_assert!((log::<true>(y, x - (y - 1.0)) - exact).abs() <= 1e-15 * exact.abs());
                prop_assert!((log::<false>(y, x - (y - 1.0)) - exact).abs() <= 1e-15 * exact.abs());
            }
        }
    }
}

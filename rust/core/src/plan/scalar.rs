//! Roots and maxima of functions of one number.

/// Accuracy of a root.
const ROOT: f64 = 1e-12;
/// Accuracy of a maximum: functions are flat there.
pub(super) const PEAK: f64 = 1e-8;
/// 1 − 1/φ.
const GOLDEN: f64 = 0.381_966_011_250_105_1;
/// Parts of a range in each of which a crossing, or a top, is looked for.
const STRETCHES: usize = 12;

/// A root of f between two points (x, f(x)) of opposite sign, by inverse quadratic steps kept inside a shrinking
/// bracket (Chandrupatla 1997).
pub(super) fn root(f: impl Fn(f64) -> f64, a: (f64, f64), b: (f64, f64)) -> f64 {
    let ((mut a, mut fa), (mut b, mut fb)) = (a, b);
    let mut t: f64 = 0.5;
    for _ in 0..100 {
        let x = a + t * (b - a);
        let fx = f(x);
        let (c, fc);
        if (fx > 0.0) == (fa > 0.0) {
            (c, fc) = (a, fa);
        } else {
            (c, fc) = (b, fb);
            (b, fb) = (a, fa);
        }
        (a, fa) = (x, fx);
        let (best, least) = if fa.abs() < fb.abs() { (a, fa) } else { (b, fb) };
        let limit = 0.5 * ROOT / (b - a).abs();
        if least == 0.0 || limit > 0.5 || least.is_nan() {
            return best;
        }
        let (xi, phi) = ((a - b) / (c - b), (fa - fb) / (fc - fb));
        t = if phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi {
            fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        } else {
            0.5
        };
        t = t.clamp(limit, 1.0 - limit);
    }
    a
}

/// The maximum between a and b around x, to [`PEAK`].
pub(super) fn polish(a: f64, x: f64, b: f64, fx: f64, height: &impl Fn(f64) -> f64) -> (f64, f64) {
    polish_to(PEAK, (a, x, b), fx, height)
}

/// The maximum between a and b around x to an accuracy, by golden sections sped up with parabolas (Brent 1973,
/// chapter 5).
pub(super) fn polish_to(
    accuracy: f64,
    (mut a, x, mut b): (f64, f64, f64),
    fx: f64,
    height: &impl Fn(f64) -> f64,
) -> (f64, f64) {
    let (mut x, mut fx) = (x, fx);
    let ((mut w, mut fw), (mut v, mut fv)) = ((x, fx), (x, fx));
    let (mut step, mut before) = (0.0_f64, 0.0_f64);
    for _ in 0..60 {
        let middle = 0.5 * (a + b);
        if (x - middle).abs() <= 2.0 * accuracy - 0.5 * (b - a) {
            break;
        }
        let mut golden = true;
        if before.abs() > accuracy {
            let (r, q) = ((x - w) * (fx - fv), (x - v) * (fx - fw));
            let (mut p, mut q) = ((x - v) * q - (x - w) * r, 2.0 * (q - r));
            if q > 0.0 {
                p = -p;
            }
            q = q.abs();
            let last = std::mem::replace(&mut before, step);
            if p.abs() < (0.5 * q * last).abs() && p > q * (a - x) && p < q * (b - x) {
                step = p / q;
                let there = x + step;
                if there - a < 2.0 * accuracy || b - there < 2.0 * accuracy {
                    step = accuracy.copysign(middle - x);
                }
                golden = false;
            }
        }
        if golden {
            before = if x >= middle { a - x } else { b - x };
            step = GOLDEN * before;
        }
        let u = x + if step.abs() >= accuracy { step } else { accuracy.copysign(step) };
        let fu = height(u);
        if fu >= fx {
            if u >= x {
                a = x
            } else {
                b = x
            }
            ((v, fv), (w, fw), (x, fx)) = ((w, fw), (x, fx), (u, fu));
        } else {
            if u < x {
                a = u
            } else {
                b = u
            }
            if fu >= fw || w == x {
                ((v, fv), (w, fw)) = ((w, fw), (u, fu));
            } else if fu >= fv || v == x || v == w {
                (v, fv) = (u, fu);
            }
        }
    }
    (x, fx)
}

/// A root of f between a point where it is negative and one where it is not, on the side of the latter: what is asked
/// of f holds there in floating point too.
fn reached(f: impl Fn(f64) -> f64, below: (f64, f64), above: (f64, f64)) -> f64 {
    let mut x = root(&f, below, above);
    let mut step = (f64::EPSILON * x.abs()).max(f64::MIN_POSITIVE).copysign(above.0 - below.0);
    while f(x) < 0.0 && (above.0 - x).abs() > step.abs() {
        x += step;
        step *= 2.0;
    }
    if f(x) < 0.0 { above.0 } else { x }
}

/// The least x from which f, which may fall again, is not negative, as far as `STRETCHES` show and the peaks between
/// them; `None` where it is so nowhere: a forecast may lose what it gained with fewer tokens.
pub(super) fn first_crossing(f: impl Fn(f64) -> f64, lo: f64, hi: f64) -> Option<f64> {
    if hi <= lo {
        return (f(lo) >= 0.0).then_some(lo);
    }
    let at = |i: usize| place([lo, hi], i.min(STRETCHES), STRETCHES + 1);
    // Before each place stands the one before it; the first and the last are their own neighbours.
    let mut here = f(lo);
    let mut left = here;
    if here >= 0.0 {
        return Some(lo);
    }
    for i in 0..=STRETCHES {
        let next = if i < STRETCHES { f(at(i + 1)) } else { here };
        // Between its neighbours a hill is no higher than the steeper of its sides goes on.
        if here >= left && here >= next && here + (here - left).max(here - next) >= 0.0 {
            let (top, height) = polish(at(i.saturating_sub(1)), at(i), at(i + 1), here, &f);
            if height >= 0.0 {
                return Some(reached(f, (at(i.saturating_sub(1)), left), (top, height)));
            }
        }
        if next >= 0.0 {
            return Some(reached(f, (at(i), here), (at(i + 1), next)));
        }
        (left, here) = (here, next);
    }
    None
}

/// Where f is highest, as far as [`STRETCHES`] show and the peak about the highest of their ends.
pub(super) fn top(f: impl Fn(f64) -> f64, lo: f64, hi: f64) -> f64 {
    let at = |i: usize| place([lo, hi], i, STRETCHES + 1);
    let heights: [f64; STRETCHES + 1] = std::array::from_fn(|i| f(at(i)));
    let top = (0..=STRETCHES).max_by(|&a, &b| heights[a].total_cmp(&heights[b])).unwrap_or(STRETCHES);
    if hi <= lo {
        return hi;
    }
    let (left, right) = (at(top.saturating_sub(1)), at((top + 1).min(STRETCHES)));
    let (x, inside) = polish(left, at(top), right, heights[top], &f);
    if inside > heights[top] { x } else { at(top) }
}

/// Place i of so many evenly spaced ones between two ends, both among them.
pub(super) fn place([lo, hi]: [f64; 2], i: usize, places: usize) -> f64 {
    if i + 1 == places { hi } else { lo + (hi - lo) * (i as f64 / (places - 1) as f64) }
}

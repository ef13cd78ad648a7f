//! Repeated sampling under a check that errs: of k samples a random one that the check accepts is the answer.
//!
//! A sample is right with probability p, and accepted with probability t where it is right, f where it is wrong:
//! x = p t + (1−p) f altogether. Some of k are accepted with 1 − (1−x)^k, and an accepted one is right with p t/x. Where
//! p ~ Beta(a, b) these are means over the problems.

use crate::logit::{Logit, MOST};

/// Shares of right and of wrong samples that a check accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// t.
    pub true_positive: f64,
    /// f.
    pub false_positive: f64,
}

impl Check {
    /// Samples that are drawn of a problem without a right one until one is accepted, k at most.
    pub fn drawn(&self, k: f64) -> f64 {
        answered_share(self.false_positive, k)
    }
}

/// Shares of problems that are answered rightly and wrongly; the rest has no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Rightly.
    pub right: f64,
    /// Wrongly.
    pub wrong: f64,
}

/// (1 − (1−x)^k)/x, which is k at x = 0.
fn answered_share(x: f64, k: f64) -> f64 {
    if x == 0.0 { k } else { -(k * (-x).ln_1p()).exp_m1() / x }
}

/// What k samples bring where p ~ Beta(a, b): E[p t (1−(1−x)^k)/x] and E[(1−p) f (1−(1−x)^k)/x], x = p t + (1−p) f.
///
/// For real k >= 0 and rates in [0, 1]; NaN outside.
pub fn outcome(a: f64, b: f64, k: f64, check: Check) -> Outcome {
    let Check { true_positive: t, false_positive: f } = check;
    let rate = 0.0..=1.0;
    if !(a > 0.0 && b > 0.0 && k >= 0.0 && rate.contains(&t) && rate.contains(&f)) {
        return Outcome { right: f64::NAN, wrong: f64::NAN };
    }
    Problems::new([a, b], k, check, Accuracy::Full).outcome(k)
}

/// Share of problems of one kind below which there are none.
const FEWEST: f64 = 1e-200;

/// How exact means over the problems are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accuracy {
    /// To rounding.
    Full,
    /// To some 1e-10 of what they are, in half the time.
    Search,
}

/// Problems of p ~ Beta(a, b), laid out for one check and any k up to a most.
pub struct Problems {
    /// Of what they were laid out.
    pub ab: [f64; 2],
    check: Check,
    /// Right and wrong have changed places, since wrong samples are accepted more often.
    swapped: bool,
    mean: f64,
    rest: f64,
    /// None where all problems are alike to the check, or as good as all always, or never, solved. Weights of p and of 1 − p, x, and ln(1 − x) at each node.
    nodes: Vec<[f64; 4]>,
}

impl Problems {
    /// For k up to `most`.
    pub fn new(ab: [f64; 2], most: f64, check: Check, accuracy: Accuracy) -> Self {
        let swapped = check.true_positive < check.false_positive;
        let ([a, b], check) = if swapped {
            let other = Check { true_positive: check.false_positive, false_positive: check.true_positive };
            ([ab[1], ab[0]], other)
        } else {
            (ab, check)
        };
        let mut nodes = Vec::new();
        let Check { true_positive: t, false_positive: f } = check;
        let (mean, rest) = (a / (a + b), b / (a + b));
        if t > f && mean.min(rest) > FEWEST {
            let (width, least) = if accuracy == Accuracy::Full { (0.3, 1e-17) } else { (0.5, 1e-11) };
            let logit = Logit::new(a, b, width);
            // (1−x)^k falls as (1 − sp)^k does, s = (t−f)/(1−f), and where it counts most by so much.
            let rate = most * (t - f) / (1.0 - f);
            let rise = (answered_share(f, most) / answered_share(t, most)).max(1.0);
            let (mut total, mut of_p, mut of_q) = (0.0, 0.0, 0.0);
            let mut add = |steps: f64| {
                let (density, p, q) = logit.at(steps);
                let x = if p < 0.5 { f + (t - f) * p } else { t - (t - f) * q };
                nodes.push([density * p, density * q, x, (-x).ln_1p()]);
                total += density;
                of_p += density * p;
                of_q += density * q;
                (density, p, q, least * of_p, least * of_q)
            };
            add(0.0);
            // What is left out of a sum is below `least` of it for every k, what `outcome` takes off at an end regarded.
            for j in 1..MOST {
                let (density, p, _, of_p, of_q) = add(-f64::from(j));
                let remains = if a < 1.0 { (rate * p).min(1.0) } else { 1.0 };
                if density * p * rise <= of_p && density * remains * rise <= of_q {
                    break;
                }
            }
            for j in 1..MOST {
                let (density, _, q, of_p, of_q) = add(f64::from(j));
                let remains = if b < 1.0 { 100.0 * q } else { 1.0 };
                if density * remains <= of_p && density * q <= of_q {
                    break;
                }
            }
            let norm = if logit.slow() { logit.density() } else { 1.0 / total };
            for node in &mut nodes {
                node[0] *= norm;
                node[1] *= norm;
            }
        }
        Self { ab, check, swapped, mean, rest, nodes }
    }

    /// What k samples bring.
    pub fn outcome(&self, k: f64) -> Outcome {
        if k == 0.0 {
            return Outcome { right: 0.0, wrong: 0.0 };
        }
        let [a, b] = if self.swapped { [self.ab[1], self.ab[0]] } else { self.ab };
        let Check { true_positive: t, false_positive: f } = self.check;
        let (at_0, at_1) = (answered_share(f, k), answered_share(t, k));
        let (right, wrong) = if self.nodes.is_empty() {
            (self.mean * at_1, self.rest * at_0)
        } else {
            // Where the density falls slowly towards an end, the line to the value there is taken off, its mean added back.
            let (wrong_0, right_1) = (if a < 1.0 { at_0 } else { 0.0 }, if b < 1.0 { at_1 } else { 0.0 });
            let (mut right, mut wrong) = (0.0, 0.0);
            for &[of_p, of_q, x, log] in &self.nodes {
                let share = if x == 0.0 { k } else { -(k * log).exp_m1() / x };
                right += of_p * (share - right_1);
                wrong += of_q * (share - wrong_0);
            }
            (right + self.mean * right_1, wrong + self.rest * wrong_0)
        };
        let (right, wrong) = (t * right, f * wrong);
        if self.swapped { Outcome { right: wrong, wrong: right } } else { Outcome { right, wrong } }
    }
}

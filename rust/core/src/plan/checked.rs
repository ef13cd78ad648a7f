//! Plans where the check errs: right answers less what wrong ones cost, which has its best at a finite k.
//!
//! Training spends its budget, so D follows from N; k is free below what the inference budget pays for. For every N the
//! best k is looked for, and along N the best of these.

use std::cell::RefCell;

use super::choice::Bound;
use super::error::Error;
use super::listed;
use super::request::{Budget, Constraints, Rule, Sizes};
use super::scalar::{place, polish_to};
use super::span::{Span, largest_below, spend};
use super::surface::{Population, Surface};
use crate::verified::{Accuracy, Check, Outcome, Problems};

/// Points of a scan of ln N, and of ln k.
const SIZES: usize = 64;
const SAMPLES: usize = 8;
/// Accuracy of the best ln N, and of the ln k that is looked for at each: what is maximised is flat there.
const FLAT: f64 = 3e-5;
/// Accuracy of the ln k that is chosen.
const SETTLED: f64 = 1e-7;

/// What decides between right and wrong, and what errors cost.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// The check.
    pub check: Check,
    /// Cost of a wrong answer, in right ones.
    pub harm: f64,
}

impl Judge {
    fn worth(&self, Outcome { right, wrong }: Outcome) -> f64 {
        right - self.harm * wrong
    }

    /// How problems differ is asked at as many samples as are drawn of one that has no right one: what comes later is
    /// not seen.
    fn seen(&self, k: f64) -> f64 {
        self.check.drawn(k).clamp(1.0, k.max(1.0)).ln()
    }

    /// Right and wrong answers as they are reported.
    pub fn reported<S: Population>(&self, surface: &S, log_n: f64, log_d: f64, log_k: f64) -> Outcome {
        let (spot, k) = (surface.spot(log_n, log_d), log_k.exp());
        let ab = surface.reported_problems(&spot, self.seen(k));
        Problems::new(ab, k, self.check, Accuracy::Full).outcome(k)
    }
}

/// A forecast of what samples are worth under a check, to plan with under one budget.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a, S: Population> {
    /// The forecast that knows how problems differ.
    pub surface: &'a S,
    /// The check.
    pub judge: Judge,
}

impl<S: Population> Judged<'_, S> {
    /// -infinity far from all data, where a law may say nothing.
    fn believed(&self, spot: &S::Spot, log_k: f64, accuracy: Accuracy) -> f64 {
        let worth = self.worth(self.surface.problems(spot, self.judge.seen(log_k.exp())), log_k, accuracy);
        if worth.is_nan() { f64::NEG_INFINITY } else { worth }
    }

    fn worth(&self, ab: [f64; 2], log_k: f64, accuracy: Accuracy) -> f64 {
        let k = log_k.exp();
        self.judge.worth(Problems::new(ab, k, self.judge.check, accuracy).outcome(k))
    }
}

impl<S: Population> Surface for Judged<'_, S> {
    type Spot = S::Spot;

    fn spot(&self, log_n: f64, log_d: f64) -> Self::Spot {
        self.surface.spot(log_n, log_d)
    }

    fn height(&self, spot: &Self::Spot, log_k: f64) -> f64 {
        self.believed(spot, log_k, Accuracy::Full)
    }

    fn rough(&self, spot: &Self::Spot, log_k: f64) -> f64 {
        self.believed(spot, log_k, Accuracy::Search)
    }

    fn value(&self, spot: &Self::Spot, log_k: f64) -> f64 {
        let ab = self.surface.reported_problems(spot, self.judge.seen(log_k.exp()));
        self.worth(ab, log_k, Accuracy::Full)
    }

    fn natural(&self, height: f64) -> f64 {
        height
    }

    fn score(&self, value: f64) -> f64 {
        value
    }

    fn smooth(&self) -> bool {
        self.surface.smooth()
    }

    /// Tokens take all that samples leave, as under two budgets.
    fn rises(&self) -> bool {
        true
    }

    fn samples_help(&self) -> bool {
        false
    }
}

/// What k samples are worth at a spot, for several k up to a most.
struct Stall<'a, S: Population> {
    surface: &'a S,
    spot: &'a S::Spot,
    judge: Judge,
    most: f64,
    accuracy: Accuracy,
    /// Of the k last asked about: laws of a formula have the same problems for all.
    last: RefCell<Option<Problems>>,
}

impl<S: Population> Stall<'_, S> {
    fn worth(&self, log_k: f64) -> f64 {
        let k = log_k.exp();
        let ab = self.surface.problems(self.spot, self.judge.seen(k));
        let mut last = self.last.borrow_mut();
        let problems = match last.take() {
            Some(problems) if problems.ab == ab => problems,
            _ => Problems::new(ab, self.most.max(k), self.judge.check, self.accuracy),
        };
        let worth = self.judge.worth(problems.outcome(k));
        *last = Some(problems);
        // Far from all data a law may say nothing.
        if worth.is_nan() { f64::NEG_INFINITY } else { worth }
    }
}

/// N, D and k with the answers they bring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// N.
    pub n: f64,
    /// D.
    pub d: f64,
    /// k.
    pub k: f64,
    /// Answers.
    pub outcome: Outcome,
    /// The best k at this N and D if samples cost nothing.
    pub free_k: f64,
    /// The bound it sits on; for Chinchilla the one that moved it.
    pub bound: Bound,
}

/// The best choice, and Chinchilla's with the k that is best for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// What is best.
    pub best: Choice,
    /// What training alone would recommend.
    pub chinchilla: Choice,
}

/// The best choice under a check, and Chinchilla's; the inference budget and the most samples are finite.
pub fn plan<S: Population>(
    surface: &S,
    budget: Budget,
    constraints: &Constraints,
    rule: Rule,
    judge: Judge,
) -> Result<Plan, Error> {
    let chinchilla = listed::plan(surface, 0, budget, constraints, rule)?.chinchilla;
    let most = constraints.most_samples;
    let task = |held| Task::new(surface, budget, held, judge, most);
    let pairs: Vec<Constraints> = listed::pairs(constraints).collect();
    let best = listed::highest(pairs.iter().map(|held| {
        let task = task(held)?;
        let best = task.best();
        Ok((best, task.believed(&best)))
    }))?;
    let best =
        Choice { bound: listed::bound(best.bound, [best.n, best.d, best.k], budget, constraints), ..best };
    let by_samples: Vec<Constraints> = listed::by_samples(constraints).collect();
    let other = listed::highest(by_samples.iter().filter_map(|held| {
        // Its N stands: so many samples of it are paid for, or are not among what it chooses from.
        let task = task(held).ok().filter(|task| chinchilla.n <= task.span.most)?;
        let choice = task.choose(chinchilla.n, None);
        Some(Ok((choice, task.believed(&choice))))
    }))?;
    let other = Choice { bound: chinchilla.bound, ..other };
    let finite = [best, other].iter().all(|choice| judge.worth(choice.outcome).is_finite());
    if finite { Ok(Plan { best, chinchilla: other }) } else { Err(Error::NotFinite { draw: 0 }) }
}

struct Task<'a, S: Population> {
    surface: &'a S,
    span: Span,
    constraints: &'a Constraints,
    judge: Judge,
    /// The most k that samples for nothing may be.
    most_free: f64,
}

impl<'a, S: Population> Task<'a, S> {
    fn new(
        surface: &'a S,
        budget: Budget,
        constraints: &'a Constraints,
        judge: Judge,
        most_free: f64,
    ) -> Result<Self, Error> {
        Ok(Self { surface, span: Span::new(0, budget, constraints)?, constraints, judge, most_free })
    }

    /// What a choice is worth, by what is believed rather than by what is reported.
    fn believed(&self, choice: &Choice) -> f64 {
        let spot = self.surface.spot(choice.n.ln(), choice.d.ln());
        self.worth(&spot, choice.k.ln(), Accuracy::Full)
    }

    fn spot(&self, x: f64) -> S::Spot {
        self.surface.spot(x, (self.span.log_train - x).min(self.constraints.tokens.1.ln()))
    }

    fn stall<'s>(&'s self, spot: &'s S::Spot, log_most: f64, accuracy: Accuracy) -> Stall<'s, S> {
        let (surface, judge, most) = (self.surface, self.judge, log_most.exp());
        Stall { surface, spot, judge, most, accuracy, last: RefCell::new(None) }
    }

    fn worth(&self, spot: &S::Spot, log_k: f64, accuracy: Accuracy) -> f64 {
        self.stall(spot, log_k, accuracy).worth(log_k)
    }

    /// The least ln k, and the most that the inference budget and the limits allow at ln N.
    fn range(&self, x: f64) -> [f64; 2] {
        let least = self.constraints.least_samples.ln();
        [least, (self.span.log_inference - x).min(self.constraints.most_samples.ln()).max(least)]
    }

    /// The best ln k between two, with what it is worth.
    ///
    /// Of a Beta distribution a further sample is worth E[(1−x)^k (p t − harm (1−p) f)]: as k grows the weight moves to
    /// the problems of small p, so that what k samples are worth rises and then falls.
    fn samples(&self, spot: &S::Spot, [least, most]: [f64; 2], accuracy: Accuracy) -> (f64, f64) {
        let stall = self.stall(spot, most, accuracy);
        let worth = |log_k: f64| stall.worth(log_k);
        let flat = if accuracy == Accuracy::Full { SETTLED } else { FLAT };
        if most - least <= flat {
            return (most, worth(most));
        }
        let at = |i: usize| place([least, most], i, SAMPLES);
        let values: [f64; SAMPLES] = std::array::from_fn(|i| worth(at(i)));
        let top = (0..SAMPLES).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        let end = (at(top), values[top]);
        // Mostly it is an end, from which a little further in is no better.
        let inward = match top {
            0 => Some(least + flat),
            _ if top == SAMPLES - 1 => Some(most - flat),
            _ => None,
        };
        if inward.is_some_and(|inward| worth(inward) <= end.1) {
            return end;
        }
        let around = (at(top.saturating_sub(1)), at(top), at((top + 1).min(SAMPLES - 1)));
        let inside = polish_to(flat, around, values[top], &worth);
        if inside.1 > end.1 { inside } else { end }
    }

    fn best(&self) -> Choice {
        let Span { most, log_least, log_most, .. } = self.span;
        match &self.constraints.sizes {
            Sizes::List(sizes) => {
                self.better(sizes.iter().filter(|&&n| n <= most).map(|&n| self.choose(n, None)))
            }
            Sizes::Range(..) => {
                let tops = self.tops(log_least, log_most, &|x| {
                    self.samples(&self.spot(x), self.range(x), Accuracy::Search).1
                });
                if !self.constraints.whole_k {
                    return self.better(tops.into_iter().map(|x| self.choose(self.size(x), None)));
                }
                // The best whole k is next to the best real one, with an N of its own.
                let whole = tops.into_iter().flat_map(|x| {
                    let k = self.samples(&self.spot(x), self.range(x), Accuracy::Search).0.exp().floor();
                    [k - 1.0, k, k + 1.0, k + 2.0]
                });
                let inference = self.span.budget.inference;
                let payable = |k: f64| largest_below(inference / 2.0 / k, |n| 2.0 * n * k <= inference);
                let mut whole: Vec<f64> = whole
                    .filter(|&k| {
                        k >= self.constraints.least_samples
                            && k <= self.constraints.most_samples
                            && payable(k) >= self.span.least
                    })
                    .collect();
                whole.sort_by(f64::total_cmp);
                whole.dedup();
                self.better(whole.into_iter().flat_map(|k| {
                    let largest = payable(k).min(most);
                    let tops = self.tops(log_least, largest.ln(), &|x| {
                        self.worth(&self.spot(x), k.ln(), Accuracy::Search)
                    });
                    tops.into_iter().map(move |x| self.choose(self.size(x).min(largest), Some(k)))
                }))
            }
        }
    }

    /// N at ln N, exactly the most allowed where it ends there.
    fn size(&self, x: f64) -> f64 {
        if x >= self.span.log_most { self.span.most } else { x.exp() }
    }

    /// The local maxima over ln N, on each side of where tokens, or samples, stop moving.
    fn tops(&self, lo: f64, hi: f64, height: &impl Fn(f64) -> f64) -> Vec<f64> {
        let mut corners = [
            self.span.log_train - self.constraints.tokens.1.ln(),
            self.span.log_inference - self.constraints.most_samples.ln(),
        ]
        .map(|x| x.min(hi).max(lo));
        corners.sort_by(f64::total_cmp);
        let ends = [lo, corners[0], corners[1], hi];
        let mut found = Vec::new();
        for pair in ends.windows(2).filter(|pair| pair[1] - pair[0] > FLAT) {
            let (from, to) = (pair[0], pair[1]);
            // As many points as the stretch is a share of all.
            let points = (SIZES as f64 * (to - from) / (hi - lo)).ceil().max(8.0) as usize;
            let at = |i: usize| {
                if i + 1 == points { to } else { from + (to - from) * i as f64 / (points - 1) as f64 }
            };
            let heights: Vec<f64> = (0..points).map(|i| height(at(i))).collect();
            for i in 0..points {
                let left = if i == 0 { f64::NEG_INFINITY } else { heights[i - 1] };
                let right = if i + 1 == points { f64::NEG_INFINITY } else { heights[i + 1] };
                if heights[i] > left && heights[i] >= right {
                    let around = (at(i.saturating_sub(1)), at(i), at((i + 1).min(points - 1)));
                    let inside = polish_to(FLAT, around, heights[i], height);
                    found.push(if inside.1 > heights[i] { inside.0 } else { at(i) });
                }
            }
        }
        if found.is_empty() {
            found.push(lo);
        }
        found
    }

    /// The best of some choices, the first of equals.
    fn better(&self, choices: impl Iterator<Item = Choice>) -> Choice {
        let mut best: Option<(Choice, f64)> = None;
        for choice in choices {
            let worth = self.believed(&choice);
            if best.is_none_or(|(_, top)| worth > top) {
                best = Some((choice, worth));
            }
        }
        best.map_or_else(|| self.choose(self.span.least, None), |(choice, _)| choice)
    }

    /// N and what is best to do with it, with every constraint kept in floating point too.
    fn choose(&self, n: f64, k: Option<f64>) -> Choice {
        let Span { budget, least, most, .. } = self.span;
        let n = n.max(least).min(most);
        let (d, most_k) = spend(&budget, self.constraints, n);
        let spot = self.surface.spot(n.ln(), d.ln());
        let k = k.unwrap_or_else(|| {
            let least = self.constraints.least_samples.ln();
            let k = self.samples(&spot, [least, most_k.ln().max(least)], Accuracy::Full).0.exp();
            if !self.constraints.whole_k {
                return k;
            }
            let (below, above) =
                (k.floor().max(self.constraints.least_samples.ceil()), (k.floor() + 1.0).min(most_k));
            let worth = |k: f64| self.worth(&spot, k.ln(), Accuracy::Full);
            if worth(above) > worth(below) { above } else { below }
        });
        // The most k is reached but for rounding where its logarithm is.
        let k = if k >= most_k * (1.0 - 1e-6) { most_k } else { k };
        let free_k = self.samples(&spot, [0.0, self.most_free.ln()], Accuracy::Full).0.exp();
        let outcome = self.judge.reported(self.surface, n.ln(), d.ln(), k.ln());
        let bound = self.span.bound(self.constraints, n, d, k);
        Choice { n, d, k, outcome, free_k, bound }
    }
}

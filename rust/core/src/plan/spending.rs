//! One budget for training and all queries together, and the least cost of a target: N, D and k at once.
//!
//! A model of size N costs c D for training, u for the prompts of all queries and v k for their samples. With c, u and
//! v proportional to N that is N (6 p D + 2 Q (P p + T q k)), prices p and q a FLOP (Sardana et al. 2024, arXiv
//! 2401.00448, for k = 1); an architecture brings its own.
//!
//! Two of the three are searched, ln N and ln k; the third follows: what is left of the budget trains, or the tokens
//! are the fewest that reach the target. Slopes are of no use where it matters: a forecast has corners at every k that
//! was measured, and any law has one where the text ends. So grids close in on every hill of a coarse one, and the
//! curves on which D stays at an end of its range, or a query at its limit, are searched by themselves, since a grid
//! strays from a sharp ridge that runs askew.

use super::line::root;
use super::surface::{Surface, polish};
use crate::data_wall::gained;

/// Points along each side of the first grid, and of those that close in.
const COARSE: usize = 25;
const FINE: usize = 5;
/// Hills of the first grid that are climbed.
const HILLS: usize = 3;
/// Parts of the range of ln D in each of which tokens are looked for that reach a target.
const STRETCHES: usize = 12;
/// Where grids stop, in ln N and ln k: the value is flat to the square of it.
const TOLERANCE: f64 = 1e-7;
/// Step of the curvature.
const STEP: f64 = 1e-4;

/// What a model costs: training a token, the prompts of all queries, a sample of each.
pub type Prices = [f64; 3];

/// Which N may be chosen.
#[derive(Clone, Debug)]
pub enum Sizes {
    /// Anything in between, at prices a parameter.
    Range(f64, f64, Prices),
    /// One of these, each at its own prices.
    List(Vec<(f64, Prices)>),
}

/// What is sought.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// The best for a budget, of which the tokens take all that samples leave.
    Budget(f64),
    /// The best for at most a budget with as many samples as there may be: the tokens need not take what those leave,
    /// where more of them would do harm.
    Within(f64),
    /// The best for a budget with so many tokens a parameter.
    Ratio(f64, f64),
    /// The least cost of a value.
    Target(f64),
}

/// Text that is read more than once (Muennighoff et al. 2023, equation 5).
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// Unique tokens U.
    pub unique: f64,
    /// R_D*.
    pub repeats: f64,
}

impl Wall {
    /// ln of what e^log_d tokens are worth.
    fn worth(&self, log_d: f64) -> f64 {
        let log_unique = self.unique.ln();
        log_d.min(log_unique) + gained((log_d - log_unique).exp(), self.repeats).ln_1p()
    }
}

/// A ceiling on N (prompt + max(sample k, floor)): what a query costs, or how long it takes by the roofline, where
/// `floor` is the time of moving the weights.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// For the prompt, a parameter.
    pub prompt: f64,
    /// For a sample, a parameter.
    pub sample: f64,
    /// At least for all samples, a parameter.
    pub floor: f64,
    /// The most.
    pub most: f64,
}

impl Limit {
    fn most_params(&self, k: f64) -> f64 {
        self.most / (self.prompt + (self.sample * k).max(self.floor))
    }

    /// Below 1 where even one sample is too much.
    fn most_samples(&self, n: f64) -> f64 {
        let left = self.most / n - self.prompt;
        if left >= self.floor * (1.0 - 1e-12) { left / self.sample } else { 0.0 }
    }
}

/// What a choice must respect.
#[derive(Clone, Debug)]
pub struct Constraints {
    /// Parameters and what they cost.
    pub sizes: Sizes,
    /// Least and most tokens.
    pub tokens: (f64, f64),
    /// Least and most samples.
    pub samples: (f64, f64),
    /// Whether k has to be a whole number.
    pub whole_k: bool,
    /// Whether text ends.
    pub wall: Option<Wall>,
    /// What a query may cost, or how long it may take.
    pub limits: Vec<Limit>,
}

/// N, D and k, and what they cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// N.
    pub n: f64,
    /// D.
    pub d: f64,
    /// k.
    pub k: f64,
    /// The forecast there.
    pub value: f64,
    /// Cost of training, and of all queries.
    pub costs: (f64, f64),
    /// How much better the best could still be by the curvature there, in the value or, where a target is sought, in
    /// ln cost: half the Newton decrement. NaN at a corner, where there is no curvature.
    pub gap: f64,
}

/// A point of the search: ln N, ln D, ln k and what is maximised.
#[derive(Clone, Copy, Debug)]
struct Point {
    log_n: f64,
    log_d: f64,
    log_k: f64,
    score: f64,
}

/// The best choice on a surface; `None` where nothing is affordable, or nowhere good enough.
pub fn best(surface: &impl Surface, constraints: &Constraints, goal: Goal) -> Option<Choice> {
    let search = |constraints: &Constraints| Search { surface, constraints, goal }.best();
    let free = match goal {
        Goal::Target(target) => {
            search(constraints).or_else(|| near_the_highest(surface, constraints, target))?
        }
        _ => search(constraints)?,
    };
    if let Goal::Budget(budget) = goal
        && !surface.rises()
        && (free.costs.0 + free.costs.1 < budget * (1.0 - 1e-9) || falls(surface, constraints, &free))
    {
        let spared = best(surface, constraints, Goal::Within(budget));
        let better = |choice: &Choice| surface.score(choice.value) > surface.score(free.value);
        return spared.filter(better).or(Some(free));
    }
    if !constraints.whole_k {
        return Some(free);
    }
    // The best is next to a whole k; one that is whole but for rounding counts as such.
    let (least, most) = constraints.samples;
    let floor = (free.k * (1.0 + 1e-9)).floor();
    let whole = [floor, floor + 1.0].into_iter().filter(|k| (least..=most).contains(k));
    let choices = whole.filter_map(|k| search(&Constraints { samples: (k, k), ..constraints.clone() }));
    let score = |choice: &Choice| match goal {
        Goal::Target(_) => -(choice.costs.0 + choice.costs.1),
        _ => surface.score(choice.value),
    };
    choices.max_by(|a, b| score(a).total_cmp(&score(b)))
}

/// The least cost of a target that only places too near the highest for any grid reach: the grid closes in on it.
fn near_the_highest(surface: &impl Surface, constraints: &Constraints, target: f64) -> Option<Choice> {
    let peaks = Search { surface, constraints, goal: Goal::Within(f64::INFINITY) };
    let peak = peaks.best()?;
    if surface.score(peak.value) < peaks.goal_height(target) {
        return None;
    }
    let about =
        |(least, most): (f64, f64), at: f64, factor: f64| (least.max(at / factor), most.min(at * factor));
    let within = |factor: f64| {
        let sizes = match &constraints.sizes {
            &Sizes::Range(least, most, prices) => {
                let (least, most) = about((least, most), peak.n, factor);
                Sizes::Range(least, most, prices)
            }
            Sizes::List(sizes) => Sizes::List(sizes.clone()),
        };
        let near =
            Constraints { sizes, samples: about(constraints.samples, peak.k, factor), ..constraints.clone() };
        Search { surface, constraints: &near, goal: Goal::Target(target) }.best()
    };
    [2.0, 1.2, 1.04, 1.008].into_iter().find_map(within).or(Some(peak))
}

/// Whether a hundredth fewer tokens would be better: a forecast may lose what it gained with fewer.
fn falls(surface: &impl Surface, constraints: &Constraints, choice: &Choice) -> bool {
    let search = Search { surface, constraints, goal: Goal::Within(f64::INFINITY) };
    let height = |d: f64| surface.height(&search.spot(choice.n.ln(), d.ln()), choice.k.ln());
    let (here, fewer) = (height(choice.d), height((0.99 * choice.d).max(constraints.tokens.0)));
    fewer > here + 1e-12 * here.abs()
}

struct Search<'a, S: Surface> {
    surface: &'a S,
    constraints: &'a Constraints,
    goal: Goal,
}

impl<S: Surface> Search<'_, S> {
    fn best(&self) -> Option<Choice> {
        let found = match &self.constraints.sizes {
            &Sizes::Range(least, most, prices) => {
                let prices = |log_n: f64| prices.map(|price| price * log_n.exp());
                self.among([least.ln(), most.ln()], &prices).map(|found| (found, (least, most)))
            }
            Sizes::List(sizes) => {
                let one =
                    |&(n, prices): &(f64, Prices)| Some((self.among([n.ln(); 2], &|_| prices)?, (n, n)));
                sizes.iter().filter_map(one).max_by(|a, b| a.0.0.score.total_cmp(&b.0.0.score))
            }
        };
        let ((point, prices, gap), sizes) = found?;
        // An end of a range exactly, not but for rounding.
        let within = |log: f64, (least, most): (f64, f64)| log.exp().clamp(least, most);
        let (n, k) = (within(point.log_n, sizes), within(point.log_k, self.constraints.samples));
        let d = within(point.log_d, self.constraints.tokens);
        let spot = self.spot(point.log_n, point.log_d);
        let value = self.surface.value(&spot, point.log_k);
        Some(Choice { n, d, k, value, costs: (prices[0] * d, prices[1] + prices[2] * k), gap })
    }

    fn spot(&self, log_n: f64, log_d: f64) -> S::Spot {
        let worth = self.constraints.wall.map_or(log_d, |wall| wall.worth(log_d));
        self.surface.spot(log_n, worth)
    }

    /// The most samples of a size, limits kept.
    fn most_samples(&self, log_n: f64) -> f64 {
        let limits = self.constraints.limits.iter().map(|limit| limit.most_samples(log_n.exp()));
        limits.fold(self.constraints.samples.1, f64::min)
    }

    /// The best of a range of ln N, with its prices and gap.
    fn among(&self, mut sizes: [f64; 2], prices: &impl Fn(f64) -> Prices) -> Option<(Point, Prices, f64)> {
        let (least, most) = self.constraints.samples;
        for limit in &self.constraints.limits {
            sizes[1] = sizes[1].min(limit.most_params(least).ln());
        }
        if sizes[1] < sizes[0] - 1e-12 {
            return None;
        }
        sizes[1] = sizes[1].max(sizes[0]);
        let samples = match self.goal {
            Goal::Ratio(..) | Goal::Within(_) => [0.0; 2], // k follows from N
            _ => [least.ln(), most.ln()],
        };
        let at = |x: [f64; 2]| self.point(x, &prices(x[0]));
        let mut found = climb([sizes, samples], |x| at(x).map_or(f64::NEG_INFINITY, |point| point.score))
            .and_then(|x| Some((at(x)?, Some(x))));
        let mut also = |along: &dyn Fn(f64) -> Option<Point>| {
            let score = |x: [f64; 2]| along(x[0]).map_or(f64::NEG_INFINITY, |point| point.score);
            if let Some(point) = climb([sizes, [0.0; 2]], score).and_then(|x| along(x[0]))
                && found.is_none_or(|(best, _)| point.score > best.score)
            {
                found = Some((point, None));
            }
        };
        if !matches!(self.goal, Goal::Ratio(..) | Goal::Within(_)) {
            for tokens in [self.constraints.tokens.0, self.constraints.tokens.1] {
                also(&|x| self.along(x, tokens.ln(), &prices(x)));
            }
            if !self.constraints.limits.is_empty() {
                also(&|x| at([x, self.most_samples(x).max(least).ln()]));
            }
        }
        let (point, inside) = found?;
        let score = |x: [f64; 2]| at(x).map_or(f64::NEG_INFINITY, |point| point.score);
        let end = |limit: f64| (point.log_d - limit.ln()).abs() < 1e-6;
        let gap = match inside {
            Some(x) if !end(self.constraints.tokens.0) && !end(self.constraints.tokens.1) => {
                self.reported(point.score, decrement(&score, x, [sizes, samples]))
            }
            _ => f64::NAN,
        };
        Some((point, prices(point.log_n), gap))
    }

    /// A gap in the value, or in ln cost, from one in the score.
    fn reported(&self, score: f64, gap: f64) -> f64 {
        match self.goal {
            Goal::Target(_) => gap,
            _ => (self.surface.natural(score + gap) - self.surface.natural(score)).abs(),
        }
    }

    /// The height of a target but for rounding, which must not refuse the best that there is.
    fn goal_height(&self, target: f64) -> f64 {
        let goal = self.surface.score(target);
        goal - 1e-12 * goal.abs().max(1.0)
    }

    /// The ln D of the highest place with at most so many tokens.
    fn highest(&self, log_n: f64, log_k: f64, most: f64) -> f64 {
        let height = |log_d: f64| self.surface.height(&self.spot(log_n, log_d), log_k);
        let (lo, hi) = (self.constraints.tokens.0.ln(), most.ln());
        let at = |i: usize| place([lo, hi], i, STRETCHES + 1);
        let heights: [f64; STRETCHES + 1] = std::array::from_fn(|i| height(at(i)));
        let top = (0..=STRETCHES).max_by(|&a, &b| heights[a].total_cmp(&heights[b])).unwrap_or(STRETCHES);
        if hi <= lo {
            return hi;
        }
        let (left, right) = (at(top.saturating_sub(1)), at((top + 1).min(STRETCHES)));
        let (x, inside) = polish(left, at(top), right, heights[top], &height);
        if inside > heights[top] { x } else { at(top) }
    }

    /// What follows from ln N and ln k; `None` where it cannot be had.
    fn point(&self, [log_n, log_k]: [f64; 2], &[train, prompt, sample]: &Prices) -> Option<Point> {
        let (fewest, most) = self.constraints.tokens;
        let allowed = enough(self.most_samples(log_n), self.constraints.samples.0)?;
        if !matches!(self.goal, Goal::Ratio(..) | Goal::Within(_)) {
            enough(allowed, log_k.exp())?;
        }
        let (log_d, log_k) = match self.goal {
            Goal::Budget(budget) => {
                let d = enough((budget - prompt - sample * log_k.exp()) / train, fewest)?;
                (d.clamp(fewest, most).ln(), log_k)
            }
            Goal::Within(budget) => {
                let least = self.constraints.samples.0;
                let k = enough((budget - prompt - train * fewest) / sample, least)?;
                let k = k.clamp(least, allowed.max(least));
                let d = ((budget - prompt - sample * k) / train).clamp(fewest, most);
                (self.highest(log_n, k.ln(), d), k.ln())
            }
            Goal::Ratio(budget, ratio) => {
                let log_d = log_n + ratio.ln();
                let least = self.constraints.samples.0;
                let k = enough((budget - train * log_d.exp() - prompt) / sample, least)?;
                (log_d, k.clamp(least, allowed.max(least)).ln())
            }
            Goal::Target(target) => {
                let goal = self.goal_height(target);
                let short = |log_d: f64| self.surface.height(&self.spot(log_n, log_d), log_k) - goal;
                (first_crossing(short, fewest.ln(), most.ln())?, log_k)
            }
        };
        Some(self.scored(log_n, log_d, log_k, &[train, prompt, sample]))
    }

    /// The k that follows from ln N where D is held; `None` where there is none.
    fn along(&self, log_n: f64, log_d: f64, prices: &Prices) -> Option<Point> {
        let &[train, prompt, sample] = prices;
        let least = self.constraints.samples.0;
        let most = enough(self.most_samples(log_n), least)?.max(least);
        let log_k = match self.goal {
            Goal::Budget(budget) | Goal::Within(budget) | Goal::Ratio(budget, _) => {
                let k = enough((budget - prompt - train * log_d.exp()) / sample, least)?;
                k.clamp(least, most).ln()
            }
            Goal::Target(target) => {
                let (spot, goal) = (self.spot(log_n, log_d), self.goal_height(target));
                crossing(|log_k| self.surface.height(&spot, log_k) - goal, least.ln(), most.ln())?
            }
        };
        Some(self.scored(log_n, log_d, log_k, prices))
    }

    fn scored(&self, log_n: f64, log_d: f64, log_k: f64, &[train, prompt, sample]: &Prices) -> Point {
        let score = match self.goal {
            Goal::Target(_) => -(train * log_d.exp() + prompt + sample * log_k.exp()).ln(),
            _ => self.surface.height(&self.spot(log_n, log_d), log_k),
        };
        Point { log_n, log_d, log_k, score: if score.is_nan() { f64::NEG_INFINITY } else { score } }
    }
}

/// What is not below `least` but for rounding, which must not refuse what costs all of a budget.
fn enough(value: f64, least: f64) -> Option<f64> {
    (value >= least * (1.0 - 1e-12)).then_some(value)
}

/// The least x from which a rising f is not negative; `None` where it is so nowhere.
fn crossing(f: impl Fn(f64) -> f64, lo: f64, hi: f64) -> Option<f64> {
    let low = f(lo);
    if low >= 0.0 {
        return Some(lo);
    }
    let high = f(hi);
    if high < 0.0 {
        return None;
    }
    Some(root(f, (lo, low), (hi, high)))
}

/// The least x from which f, which may fall again, is not negative, as far as `STRETCHES` show and the peaks between
/// them; `None` where it is so nowhere: a forecast may lose what it gained with fewer tokens.
fn first_crossing(f: impl Fn(f64) -> f64, lo: f64, hi: f64) -> Option<f64> {
    if hi <= lo {
        return crossing(f, lo, hi);
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
                return Some(root(f, (at(i.saturating_sub(1)), left), (top, height)));
            }
        }
        if next >= 0.0 {
            return Some(root(f, (at(i), here), (at(i + 1), next)));
        }
        (left, here) = (here, next);
    }
    None
}

/// The highest place of a box, by grids that close in on the hills of a coarse one; `None` where all is -infinity.
fn climb(ends: [[f64; 2]; 2], score: impl Fn([f64; 2]) -> f64) -> Option<[f64; 2]> {
    let sides = ends.map(|[lo, hi]| if hi > lo { COARSE } else { 1 });
    let at = |i: usize, axis: usize| place(ends[axis], i, sides[axis]);
    let heights: Vec<f64> = (0..sides[0] * sides[1])
        .map(|cell| score([at(cell / sides[1], 0), at(cell % sides[1], 1)]))
        .collect();
    let height = |i: usize, j: usize| heights[i * sides[1] + j];
    let mut hills: Vec<(f64, [f64; 2])> = Vec::new();
    for i in 0..sides[0] {
        for j in 0..sides[1] {
            let here = height(i, j);
            let around = (i.saturating_sub(1)..(i + 2).min(sides[0]))
                .flat_map(|a| (j.saturating_sub(1)..(j + 2).min(sides[1])).map(move |b| (a, b)));
            // The first of equals.
            let top = around.into_iter().all(|(a, b)| {
                let there = height(a, b);
                here > there || (here == there && (a, b) >= (i, j))
            });
            if here > f64::NEG_INFINITY && top {
                hills.push((here, [at(i, 0), at(j, 1)]));
            }
        }
    }
    hills.sort_by(|a, b| b.0.total_cmp(&a.0));
    hills.truncate(HILLS);
    let cells: [f64; 2] = std::array::from_fn(|axis| {
        if sides[axis] > 1 { (ends[axis][1] - ends[axis][0]) / (COARSE - 1) as f64 } else { 0.0 }
    });
    let climbed = hills.into_iter().map(|(top, x)| close_in(top, x, cells, ends, &score));
    climbed.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, x)| x)
}

/// Grids of two cells of the last a side about its best point. One whose best point is at its edge moves before it
/// shrinks.
fn close_in(
    mut top: f64,
    mut x: [f64; 2],
    mut half: [f64; 2],
    ends: [[f64; 2]; 2],
    score: &impl Fn([f64; 2]) -> f64,
) -> (f64, [f64; 2]) {
    // Twice what shrinking takes: enough to walk along a ridge, too few to crawl along one.
    for _ in 0..48 {
        let sides = half.map(|half| if half > 0.0 { FINE } else { 1 });
        let here: [[f64; 2]; 2] = std::array::from_fn(|axis| {
            [(x[axis] - half[axis]).max(ends[axis][0]), (x[axis] + half[axis]).min(ends[axis][1])]
        });
        let mut at_edge = false;
        for i in 0..sides[0] {
            for j in 0..sides[1] {
                let there = [place(here[0], i, sides[0]), place(here[1], j, sides[1])];
                let height = score(there);
                if height > top {
                    (top, x) = (height, there);
                    let edge = |i: usize, axis: usize| {
                        sides[axis] > 1
                            && (i == 0 && here[axis][0] > ends[axis][0]
                                || i + 1 == sides[axis] && here[axis][1] < ends[axis][1])
                    };
                    at_edge = edge(i, 0) || edge(j, 1);
                }
            }
        }
        if !at_edge {
            half = half.map(|half| half * 2.0 / (FINE - 1) as f64);
            if half[0].max(half[1]) < TOLERANCE {
                break;
            }
        }
    }
    (top, x)
}

/// Place i of so many evenly spaced ones between two ends, both among them.
fn place([lo, hi]: [f64; 2], i: usize, places: usize) -> f64 {
    if i + 1 == places { hi } else { lo + (hi - lo) * (i as f64 / (places - 1) as f64) }
}

/// gᵀH⁻¹g/2 over the coordinates that no end holds, by differences; 0 where all are held, NaN without a top.
fn decrement(score: &impl Fn([f64; 2]) -> f64, x: [f64; 2], ends: [[f64; 2]; 2]) -> f64 {
    let free = |axis: usize| ends[axis][0] + STEP < x[axis] && x[axis] < ends[axis][1] - STEP;
    let at = |a: f64, b: f64| score([x[0] + a * STEP, x[1] + b * STEP]);
    let centre = at(0.0, 0.0);
    let slope = |a: f64, b: f64| (at(a, b) - at(-a, -b)) / (2.0 * STEP);
    let bend = |a: f64, b: f64| (at(a, b) - 2.0 * centre + at(-a, -b)) / (STEP * STEP);
    let alone = |g: f64, h: f64| if h < 0.0 { -g * g / (2.0 * h) } else { f64::NAN };
    match (free(0), free(1)) {
        (false, false) => 0.0,
        (true, false) => alone(slope(1.0, 0.0), bend(1.0, 0.0)),
        (false, true) => alone(slope(0.0, 1.0), bend(0.0, 1.0)),
        (true, true) => {
            let (g, h) = ([slope(1.0, 0.0), slope(0.0, 1.0)], [bend(1.0, 0.0), bend(0.0, 1.0)]);
            let cross = (bend(1.0, 1.0) - bend(1.0, -1.0)) / 4.0;
            let det = h[0] * h[1] - cross * cross;
            if !(h[0] < 0.0 && det > 0.0) {
                return f64::NAN;
            }
            let step = [(h[1] * g[0] - cross * g[1]) / det, (h[0] * g[1] - cross * g[0]) / det];
            -(g[0] * step[0] + g[1] * step[1]) / 2.0
        }
    }
}

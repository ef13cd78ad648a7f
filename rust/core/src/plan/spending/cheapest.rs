//! The least cost of a target: for every N the tokens with which it costs least, samples being the fewest that reach it.
//!
//! Heights rise in ln k, so that at (N, D) one root has the fewest samples, and what of a place does not depend on k is
//! worked out once. Along ln D the cost is smooth but for corners, which are roots too: where the most samples are
//! enough, where the least are (more tokens are of no use from there on), and where the fewest samples are a number at
//! which heights bend. The lowest of all D, as a function of ln N, is scanned and polished.

use super::point::{Point, Search, enough};
use super::request::Prices;
use crate::plan::scalar::{PEAK, first_crossing, place, polish, polish_to, root};
use crate::plan::surface::Surface;

/// Places of a scan over ln N, and over ln D: of 60,000 surfaces like those of the test none kept a cheaper hill between
/// them, where 25 of each missed one in 3,000, by at most 1%.
const SIZES: usize = 49;
const TOKENS: usize = 33;
/// Hills over ln N that are climbed.
const HILLS: usize = 3;
/// Accuracy in ln D, where N are compared and where one is polished.
const COARSE: f64 = 1e-3;
const FINE: f64 = 1e-9;
/// How far from a corner is looked which way it costs less.
const BESIDE: f64 = 1e-6;
/// Rounds in which what is looked at about a hill follows it.
const ROUNDS: usize = 8;

/// The cheapest point at a range of ln N at which a height is reached.
pub(super) fn cheapest<S: Surface>(
    search: &Search<'_, S>,
    goal: f64,
    sizes: [f64; 2],
    corner: Option<f64>,
    prices: &impl Fn(f64) -> Prices,
) -> Option<Point> {
    let (fewest, most) = search.conditions.tokens;
    let all = [fewest.ln(), most.ln()];
    let step = (all[1] - all[0]) / (TOKENS - 1) as f64;
    let at = |log_n: f64, tokens: [f64; 2], accuracy: f64| {
        let least = search.conditions.samples.0;
        let most = enough(search.most_samples(log_n), least)?.max(least);
        let (prices, samples) = (prices(log_n), [least.ln(), most.ln()]);
        Size { search, goal, log_n, prices, samples }.cheapest(tokens, step, accuracy)
    };
    if sizes[1] <= sizes[0] {
        return at(sizes[0], all, FINE);
    }
    // Where a limit begins to take samples away is a corner, and may be a narrow hill of its own; others are where a
    // limit, or the price of a sample, goes over from bytes to arithmetic.
    let limits = &search.conditions.limits;
    let corners = limits.iter().map(|limit| limit.most_params(search.conditions.samples.1).ln());
    let bends = limits.iter().filter_map(|limit| limit.corner(sizes));
    // And where the fewest tokens with the fewest samples begin to be enough: nothing larger costs less.
    let spared = {
        let log_k = search.conditions.samples.0.ln();
        let short = |log_n: f64| search.surface.height(&search.spot(log_n, all[0]), log_k) - goal;
        first_crossing(short, sizes[0], sizes[1])
    };
    let corners = corners
        .chain(bends)
        .chain(corner)
        .chain(spared)
        .filter(|&corner| corner > sizes[0] && corner < sizes[1]);
    let mut x: Vec<f64> = (0..SIZES).map(|i| place(sizes, i, SIZES)).chain(corners).collect();
    x.sort_by(f64::total_cmp);
    let rough: Vec<Option<Point>> = x.iter().map(|&x| at(x, all, COARSE)).collect();
    let score = |i: usize| rough[i].map_or(f64::NEG_INFINITY, |point| point.score);
    let mut best: Option<Point> = None;
    for hill in hills(x.len(), &score).into_iter().take(HILLS) {
        if best.is_some_and(|best| hill.bound < best.score) {
            continue;
        }
        let around = [hill.at.saturating_sub(1), hill.at, (hill.at + 1).min(x.len() - 1)];
        let (mut lo, mut hi) = (f64::INFINITY, f64::NEG_INFINITY);
        for point in around.iter().filter_map(|&i| rough[i]) {
            (lo, hi) = (lo.min(point.log_d), hi.max(point.log_d));
        }
        let mut keep = |found: Option<Point>| {
            if let Some(found) = found
                && best.is_none_or(|best| found.score > best.score)
            {
                best = Some(found);
            }
        };
        keep(at(x[hill.at], all, FINE));
        for _ in 0..ROUNDS {
            let tokens = [(lo - step).max(all[0]), (hi + step).min(all[1])];
            let height = |log_n: f64| at(log_n, tokens, FINE).map_or(f64::NEG_INFINITY, |point| point.score);
            let [left, middle, right] = around.map(|i| x[i]);
            let (top, _) = polish_to(PEAK, (left, middle, right), height(middle), &height);
            let found = at(top, all, FINE);
            keep(found);
            // Next to an end of what was looked at, too: there the end held it.
            let ends = [tokens[0], tokens[1]].map(|end| if all.contains(&end) { f64::INFINITY } else { end });
            let held = |d: f64| {
                d < tokens[0] || d > tokens[1] || ends.iter().any(|end| (d - end).abs() < 0.25 * step)
            };
            let Some(log_d) = found.map(|point| point.log_d).filter(|&d| held(d)) else {
                break;
            };
            (lo, hi) = (lo.min(log_d), hi.max(log_d));
        }
    }
    best
}

/// One N, with what it costs and the least and most ln k.
struct Size<'a, S: Surface> {
    search: &'a Search<'a, S>,
    goal: f64,
    log_n: f64,
    prices: Prices,
    samples: [f64; 2],
}

/// A place along ln D.
#[derive(Clone, Copy)]
struct Place {
    point: Point,
    /// How far the least and the most samples are above the goal.
    above: [f64; 2],
    corner: bool,
}

impl<S: Surface> Size<'_, S> {
    /// How far above the goal ln k is at ln D.
    fn above(&self, log_d: f64, log_k: f64) -> f64 {
        self.search.surface.height(&self.search.spot(self.log_n, log_d), log_k) - self.goal
    }

    fn cost(&self, log_d: f64, log_k: f64) -> Point {
        let [train, prompt, sample] = self.prices;
        let score = -(train * log_d.exp() + prompt + sample * log_k.exp()).ln();
        Point { log_n: self.log_n, log_d, log_k, score }
    }

    /// With the fewest samples that reach the goal; of score -infinity where none do.
    fn at(&self, log_d: f64) -> Place {
        let spot = self.search.spot(self.log_n, log_d);
        let above = |log_k: f64| self.search.surface.height(&spot, log_k) - self.goal;
        let [least, most] = self.samples;
        let low = above(least);
        let high = if most > least { above(most) } else { low };
        let point = if low >= 0.0 {
            self.cost(log_d, least)
        } else if high >= 0.0 {
            self.cost(log_d, root(above, (least, low), (most, high)))
        } else {
            Point { score: f64::NEG_INFINITY, ..self.cost(log_d, most) }
        };
        Place { point, above: [low, high], corner: false }
    }

    /// Where so many samples begin to be enough, between two ln D that are so far above the goal.
    fn corner(&self, log_k: f64, left: (f64, f64), right: (f64, f64)) -> Place {
        let log_d = root(|log_d| self.above(log_d, log_k), left, right);
        Place { point: self.cost(log_d, log_k), above: [0.0; 2], corner: true }
    }

    /// The cheapest of a range of ln D.
    fn cheapest(&self, tokens: [f64; 2], step: f64, accuracy: f64) -> Option<Point> {
        let row = self.row(tokens, step);
        let score = |i: usize| row[i].point.score;
        let mut best: Option<Point> = None;
        for hill in hills(row.len(), &score) {
            if best.is_none_or(|best| hill.bound > best.score) {
                let found = self.polished(&row, hill.at, accuracy);
                if best.is_none_or(|best| found.score > best.score) {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// Places a step apart with the corners between them at which the most and the least samples begin to be enough.
    fn row(&self, tokens: [f64; 2], step: f64) -> Vec<Place> {
        let places = if step > 0.0 { ((tokens[1] - tokens[0]) / step).ceil() as usize + 1 } else { 1 };
        let mut seen: Vec<Place> = Vec::with_capacity(places);
        for i in 0..places {
            let here = self.at(if places > 1 { place(tokens, i, places) } else { tokens[0] });
            seen.push(here);
            if here.above[0] >= 0.0 {
                break;
            }
        }
        let end = |place: &Place, which: usize| (place.point.log_d, place.above[which]);
        let [least, most] = self.samples;
        let mut row = Vec::with_capacity(seen.len() + 2);
        for (i, here) in seen.iter().enumerate() {
            let (left, next) = (&seen[i.saturating_sub(1)], &seen[(i + 1).min(seen.len() - 1)]);
            if here.above[1] < 0.0 {
                let Some(top) = self.hill(left, here, next) else {
                    row.push(*here);
                    continue;
                };
                let before = if left.point.log_d < top.point.log_d { left } else { here };
                row.extend([self.corner(most, end(before, 1), end(&top, 1)), top]);
                continue;
            }
            if left.above[1] < 0.0 {
                row.push(self.corner(most, end(left, 1), end(here, 1)));
            }
            if i > 0 && here.above[0] >= 0.0 {
                row.push(self.corner(least, end(left, 0), end(here, 0)));
            } else {
                row.push(*here);
            }
        }
        row
    }

    /// The place about `here`, where the most samples are too few, at which they are enough after all: a forecast may
    /// lose what it gained with fewer tokens. Between its neighbours a hill is no higher than the steeper of its sides
    /// goes on.
    fn hill(&self, left: &Place, here: &Place, next: &Place) -> Option<Place> {
        let [low, middle, high] = [left, here, next].map(|place| place.above[1]);
        if next.point.log_d <= left.point.log_d
            || middle < low
            || middle < high
            || middle + (middle - low).max(middle - high) < 0.0
        {
            return None;
        }
        let above = |log_d: f64| self.above(log_d, self.samples[1]);
        let (top, _) = polish(left.point.log_d, here.point.log_d, next.point.log_d, middle, &above);
        Some(self.at(top)).filter(|top| top.above[1] >= 0.0)
    }

    /// The cheapest about place i of a row, with the corners where the fewest samples are a number at which heights bend.
    fn polished(&self, row: &[Place], i: usize, accuracy: f64) -> Point {
        let feasible = |place: &&Place| place.point.score > f64::NEG_INFINITY;
        let left = i.checked_sub(1).map(|i| &row[i]).filter(feasible);
        let right = row.get(i + 1).filter(feasible);
        let mut about: Vec<Place> = left.into_iter().copied().collect();
        for next in [Some(&row[i]), right].into_iter().flatten() {
            if let Some(last) = about.last().copied() {
                about.extend(self.bends(&last, next));
            }
            about.push(*next);
        }
        let score = |place: &Place| place.point.score;
        let best =
            (0..about.len()).fold(0, |best, i| if score(&about[i]) > score(&about[best]) { i } else { best });
        let (here, before, after) = (about[best], best.checked_sub(1), best + 1);
        let ends = [before.map(|i| about[i]), about.get(after).copied()]
            .map(|end| end.map_or(here.point.log_d, |end| end.point.log_d));
        let height = |log_d: f64| self.at(log_d).point.score;
        let climbed = |lo: f64, x: f64, hi: f64, top: f64| {
            let found = self.at(polish_to(accuracy, (lo, x, hi), top, &height).0).point;
            if found.score > here.point.score { found } else { here.point }
        };
        let x = here.point.log_d;
        if !here.corner {
            return climbed(ends[0], x, ends[1], here.point.score);
        }
        for (end, beside) in ends.into_iter().zip([x - BESIDE, x + BESIDE]) {
            let top = height(beside);
            if (end - x).abs() > 2.0 * BESIDE && top > here.point.score {
                return climbed(end.min(x), beside, end.max(x), top);
            }
        }
        here.point
    }

    /// The corners between two places at which the fewest samples are a number where heights bend, by rising D.
    fn bends(&self, left: &Place, right: &Place) -> Vec<Place> {
        let (from, to) = (left.point.log_k, right.point.log_k);
        let between = |&&log_k: &&f64| log_k > from.min(to) && log_k < from.max(to);
        let corner = |&log_k: &f64| {
            let end = |place: &Place| (place.point.log_d, self.above(place.point.log_d, log_k));
            self.corner(log_k, end(left), end(right))
        };
        let mut found: Vec<Place> = self.search.surface.bends().iter().filter(between).map(corner).collect();
        found.sort_by(|a, b| a.point.log_d.total_cmp(&b.point.log_d));
        found
    }
}

/// A local maximum of a row of numbers.
struct Hill {
    at: usize,
    height: f64,
    /// What it is not above if it is no steeper than on its sides; infinity beside -infinity.
    bound: f64,
}

/// The local maxima of a row of numbers, the highest first.
fn hills(count: usize, height: &impl Fn(usize) -> f64) -> Vec<Hill> {
    let mut found: Vec<Hill> = Vec::new();
    for at in 0..count {
        let here = height(at);
        let left = if at == 0 { f64::NEG_INFINITY } else { height(at - 1) };
        let right = if at + 1 == count { f64::NEG_INFINITY } else { height(at + 1) };
        if here > left && here >= right {
            found.push(Hill { at, height: here, bound: here + (here - left).max(here - right) });
        }
    }
    found.sort_by(|a, b| b.height.total_cmp(&a.height));
    found
}

#[cfg(test)]
mod tests {
    use super::super::request::{Bytes, Conditions, Goal, Limit, PricedSizes, Prices, priced};
    use super::super::{Purchase, best};
    use super::*;
    use proptest::prelude::*;

    /// A forecast that bends in ln k, and loses in waves what it gained with tokens.
    struct Waves {
        waves: [f64; 3],
        bends: Vec<f64>,
        slopes: [f64; 3],
    }

    impl Surface for Waves {
        type Spot = (f64, f64);

        fn spot(&self, log_n: f64, log_d: f64) -> (f64, f64) {
            (log_n - 20.0, log_d - 24.0)
        }

        fn height(&self, &(n, d): &(f64, f64), log_k: f64) -> f64 {
            let [size, length, phase] = self.waves;
            let wave = size * (d / length + 0.4 * n / length + phase).sin();
            let [first, second] = [self.bends[0], self.bends[1]];
            // Slopes of the stretches depend on the place, so that corners move with it.
            let [a, b, c] = self.slopes.map(|slope| slope * (1.0 + 0.1 * (n - 0.5 * d).sin()));
            let gained = a * log_k.min(first)
                + b * (log_k - first).clamp(0.0, second - first)
                + c * (log_k - second).max(0.0);
            wave - (-0.4 * n).exp() - (-0.35 * d).exp() + gained
        }

        fn value(&self, spot: &(f64, f64), log_k: f64) -> f64 {
            self.height(spot, log_k)
        }

        fn natural(&self, height: f64) -> f64 {
            height
        }

        fn score(&self, value: f64) -> f64 {
            value
        }

        fn bends(&self) -> &[f64] {
            &self.bends
        }
    }

    const PRICES: Prices = [6.0, 1e9, 4e9];
    const SIZES: [f64; 2] = [1e7, 1e11];
    const TOKENS: [f64; 2] = [1e9, 1e13];

    fn asked(most: f64, bytes: Bytes, limits: Vec<Limit>) -> Conditions {
        Conditions {
            sizes: PricedSizes::Range(SIZES[0], SIZES[1], PRICES, bytes),
            tokens: (TOKENS[0], TOKENS[1]),
            samples: (1.0, most),
            whole_k: false,
            wall: None,
            limits,
        }
    }

    /// The least cost over a grid of ln N and ln D, k by bisection.
    fn on_a_grid(surface: &Waves, conditions: &Conditions, bytes: &Bytes, target: f64, places: usize) -> f64 {
        let ends = [SIZES, TOKENS].map(|ends| ends.map(f64::ln));
        let mut least = f64::INFINITY;
        for i in 0..places {
            let log_n = place(ends[0], i, places);
            let n = log_n.exp();
            let most = conditions.limits.iter().map(|limit| limit.most_samples(n));
            let most = most.fold(conditions.samples.1, f64::min);
            for j in 0..places {
                let log_d = place(ends[1], j, places);
                let spot = surface.spot(log_n, log_d);
                if most < 1.0 || surface.height(&spot, most.ln()) < target {
                    continue;
                }
                let (mut low, mut high) = (0.0, most.ln());
                for _ in 0..40 {
                    let middle = 0.5 * (low + high);
                    let enough = surface.height(&spot, middle) >= target;
                    (low, high) = if enough { (low, middle) } else { (middle, high) };
                }
                let [train, prompt, sample] = priced(PRICES, bytes, n);
                least = least.min(train * log_d.exp() + prompt + sample * high.exp());
            }
        }
        least
    }

    fn cost(found: Purchase) -> f64 {
        found.costs.0 + found.costs.1
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_on_a_grid_is_cheaper(
            size in 0.0f64..0.3, length in 0.7f64..3.0, phase in 0.0f64..6.0, first in 0.5f64..2.0, next in 0.5f64..2.0,
            slopes in proptest::array::uniform3(0.05f64..0.8), most in 1.0f64..200.0, target in -2.0f64..1.5,
            limit in proptest::option::of(2e9f64..1e12), floor in 0.0f64..3.0,
            moved in proptest::option::of((0.0f64..1.2, 14.0f64..27.0, proptest::sample::select(vec![0.0, 0.5, 2.0 / 3.0]))),
        ) {
            // Bytes that cost as much as arithmetic does at a size, of which weights are a share.
            let bytes = |sample: f64| moved.map_or(Bytes::default(), |(share, log_n, power)| Bytes {
                weights: sample * share,
                caches: sample * (1.0 - share).abs() * (log_n * (1.0 - power)).exp(),
                power,
            });
            let surface = Waves { waves: [size, length, phase], bends: vec![first, first + next], slopes };
            let limits = limit.map(|most| Limit { prompt: 1.0, sample: 1.0, floor, most, bytes: bytes(1.0) });
            let conditions = asked(most, bytes(PRICES[2]), limits.into_iter().collect());
            let grid = on_a_grid(&surface, &conditions, &bytes(PRICES[2]), target, 150);
            let found = best(&surface, &conditions, Goal::Target(target));
            let Some(found) = found else {
                prop_assert!(grid == f64::INFINITY, "none found, {grid} on a grid");
                return Ok(());
            };
            let spot = surface.spot(found.n.ln(), found.d.ln());
            prop_assert!(surface.height(&spot, found.k.ln()) >= target - 1e-8);
            prop_assert!((1.0..=most).contains(&found.k) && (TOKENS[0]..=TOKENS[1]).contains(&found.d));
            for limit in &conditions.limits {
                prop_assert!(found.k <= limit.most_samples(found.n) * (1.0 + 1e-9));
            }
            prop_assert!(cost(found) <= grid * (1.0 + 1e-9), "{found:?} {grid}");
        }
    }

    #[test]
    fn a_corner_where_heights_bend_is_met_to_the_last_digits() {
        // A steep stretch before a flat one: the samples end where it does.
        let surface = Waves { waves: [0.0, 1.0, 0.0], bends: vec![2.0, 4.0], slopes: [0.5, 0.001, 0.001] };
        let found = best(&surface, &asked(1e3, Bytes::default(), vec![]), Goal::Target(0.2)).unwrap();
        assert!((found.k.ln() - 2.0).abs() < 1e-9, "{found:?}");
    }
}

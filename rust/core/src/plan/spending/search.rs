//! The search for one purchase over ln N and ln k; D follows from them.

use super::cheapest::cheapest;
use super::climb::climb;
use super::newton::decrement;
use super::point::{Point, Search, enough};
use super::purchase::Purchase;
use super::request::{Goal, PricedSizes, Prices, corner, priced};
use crate::plan::scalar::{first_crossing, top};
use crate::plan::surface::Surface;

impl<S: Surface> Search<'_, S> {
    pub fn best(&self) -> Option<Purchase> {
        let found = match &self.conditions.sizes {
            &PricedSizes::Range(least, most, per_param, bytes) => {
                let prices = |log_n: f64| priced(per_param, &bytes, log_n.exp());
                let corner = corner(per_param[2], &bytes);
                self.among([least.ln(), most.ln()], corner, &prices).map(|found| (found, (least, most)))
            }
            PricedSizes::List(sizes) => {
                let one = |&(n, prices): &(f64, Prices)| {
                    Some((self.among([n.ln(); 2], None, &|_| prices)?, (n, n)))
                };
                sizes.iter().filter_map(one).max_by(|a, b| a.0.0.score.total_cmp(&b.0.0.score))
            }
        };
        let ((point, prices, gap), sizes) = found?;
        // An end of a range exactly, not but for rounding.
        let within = |log: f64, (least, most): (f64, f64)| log.exp().clamp(least, most);
        let (n, k) = (within(point.log_n, sizes), within(point.log_k, self.conditions.samples));
        let d = within(point.log_d, self.conditions.tokens);
        let spot = self.spot(point.log_n, point.log_d);
        let value = self.surface.value(&spot, point.log_k);
        let height = self.surface.height(&spot, point.log_k);
        Some(Purchase { n, d, k, value, height, costs: (prices[0] * d, prices[1] + prices[2] * k), gap })
    }

    /// The best of a range of ln N, with its prices and gap; at `corner` these bend.
    fn among(
        &self,
        mut sizes: [f64; 2],
        corner: Option<f64>,
        prices: &impl Fn(f64) -> Prices,
    ) -> Option<(Point, Prices, f64)> {
        let (least, most) = self.conditions.samples;
        for limit in &self.conditions.limits {
            sizes[1] = sizes[1].min(limit.most_params(least).ln());
        }
        if sizes[1] < sizes[0] - 1e-12 {
            return None;
        }
        sizes[1] = sizes[1].max(sizes[0]);
        let samples = match self.goal {
            // A share of the samples that there may be.
            Goal::Ratio(..) if !self.surface.samples_help() && most > least => [0.0, 1.0],
            // k follows from N.
            Goal::Ratio(..) | Goal::Within(_) => [0.0; 2],
            _ => [least.ln(), most.ln()],
        };
        let at = |x: [f64; 2]| self.point(x, &prices(x[0]));
        let corner = corner.filter(|&corner| corner > sizes[0] && corner < sizes[1]);
        let (point, inside) = match self.goal {
            Goal::Target(target) => {
                let point = cheapest(self, self.goal_height(target), sizes, corner, prices)?;
                (point, Some([point.log_n, point.log_k]))
            }
            _ => self.highest_of(sizes, samples, corner, prices)?,
        };
        let score = |x: [f64; 2]| at(x).map_or(f64::NEG_INFINITY, |point| point.score);
        let end = |limit: f64| (point.log_d - limit.ln()).abs() < 1e-6;
        let gap = match inside {
            Some(x) if !end(self.conditions.tokens.0) && !end(self.conditions.tokens.1) => {
                self.reported(point.score, decrement(&score, x, [sizes, samples]))
            }
            _ => f64::NAN,
        };
        Some((point, prices(point.log_n), gap))
    }

    /// The best of a box of ln N and ln k, or of the curves along which D, or a query, is at an end; where in the box.
    fn highest_of(
        &self,
        sizes: [f64; 2],
        samples: [f64; 2],
        corner: Option<f64>,
        prices: &impl Fn(f64) -> Prices,
    ) -> Option<(Point, Option<[f64; 2]>)> {
        let least = self.conditions.samples.0;
        let at = |x: [f64; 2]| self.point(x, &prices(x[0]));
        let top_of = |ends: [[f64; 2]; 2], place: &dyn Fn([f64; 2]) -> Option<[f64; 3]>| {
            let smooth = self.surface.smooth();
            climb(ends, smooth, |x| self.rough(place(x)), |x| self.height(place(x)))
        };
        let place = |x: [f64; 2]| self.place(x, &prices(x[0]));
        let mut found = top_of([sizes, samples], &place).and_then(|x| Some((at(x)?, Some(x))));
        // A ridge that a bend of the prices makes, too sharp for steps along ln N.
        if let Some(corner) = corner
            && let Some(point) = top_of([[corner; 2], samples], &place).and_then(at)
            && found.is_none_or(|(best, _)| point.score > best.score)
        {
            found = Some((point, None));
        }
        let mut also = |along: &dyn Fn(f64) -> Option<[f64; 3]>| {
            if let Some(x) = top_of([sizes, [0.0; 2]], &|x| along(x[0]))
                && let Some(point) = along(x[0]).map(|at| self.scored(at, &prices(x[0])))
                && found.is_none_or(|(best, _)| point.score > best.score)
            {
                found = Some((point, None));
            }
        };
        if !matches!(self.goal, Goal::Ratio(..) | Goal::Within(_)) {
            for tokens in [self.conditions.tokens.0, self.conditions.tokens.1] {
                also(&|x| self.along(x, tokens.ln(), &prices(x)));
            }
            if !self.conditions.limits.is_empty() {
                also(&|x| place([x, self.most_samples(x).max(least).ln()]));
            }
        }
        found
    }

    /// A gap in the value, or in ln cost, from one in the score.
    fn reported(&self, score: f64, gap: f64) -> f64 {
        match self.goal {
            Goal::Target(_) => gap,
            _ => (self.surface.natural(score + gap) - self.surface.natural(score)).abs(),
        }
    }

    /// The ln D of the highest place with at most so many tokens.
    fn highest(&self, log_n: f64, log_k: f64, most: f64) -> f64 {
        let height = |log_d: f64| self.surface.height(&self.spot(log_n, log_d), log_k);
        top(height, self.conditions.tokens.0.ln(), most.ln())
    }

    /// What follows from ln N and ln k; `None` where it cannot be had.
    fn point(&self, x: [f64; 2], prices: &Prices) -> Option<Point> {
        self.place(x, prices).map(|at| self.scored(at, prices))
    }

    /// The ln N, ln D and ln k that follow from ln N and ln k, or the share of ln k of a ratio; `None` where these cannot be
    /// had.
    fn place(&self, [log_n, log_k]: [f64; 2], &[train, prompt, sample]: &Prices) -> Option<[f64; 3]> {
        let (fewest, most) = self.conditions.tokens;
        let allowed = enough(self.most_samples(log_n), self.conditions.samples.0)?;
        if !matches!(self.goal, Goal::Ratio(..) | Goal::Within(_)) {
            enough(allowed, log_k.exp())?;
        }
        let (log_d, log_k) = match self.goal {
            Goal::Budget(budget) => {
                let d = enough((budget - prompt - sample * log_k.exp()) / train, fewest)?;
                (d.clamp(fewest, most).ln(), log_k)
            }
            Goal::Within(budget) => {
                let least = self.conditions.samples.0;
                let k = enough((budget - prompt - train * fewest) / sample, least)?;
                let k = k.clamp(least, allowed.max(least));
                let d = ((budget - prompt - sample * k) / train).clamp(fewest, most);
                (self.highest(log_n, k.ln(), d), k.ln())
            }
            Goal::Ratio(budget, ratio) => {
                let log_d = log_n + ratio.ln();
                let least = self.conditions.samples.0;
                let k = enough((budget - train * log_d.exp() - prompt) / sample, least)?;
                let most = k.clamp(least, allowed.max(least)).ln();
                let share = if self.surface.samples_help() { 1.0 } else { log_k };
                (log_d, least.ln() + share * (most - least.ln()))
            }
            Goal::Target(target) => {
                let goal = self.goal_height(target);
                let short = |log_d: f64| self.surface.height(&self.spot(log_n, log_d), log_k) - goal;
                (first_crossing(short, fewest.ln(), most.ln())?, log_k)
            }
        };
        Some([log_n, log_d, log_k])
    }

    /// The k that follows from ln N where D is held; `None` where there is none.
    fn along(&self, log_n: f64, log_d: f64, prices: &Prices) -> Option<[f64; 3]> {
        let &[train, prompt, sample] = prices;
        let least = self.conditions.samples.0;
        let most = enough(self.most_samples(log_n), least)?.max(least);
        let log_k = match self.goal {
            Goal::Budget(budget) | Goal::Within(budget) | Goal::Ratio(budget, _) => {
                let k = enough((budget - prompt - train * log_d.exp()) / sample, least)?;
                k.clamp(least, most).ln()
            }
            Goal::Target(_) => return None, // found by `cheapest`
        };
        Some([log_n, log_d, log_k])
    }

    /// What is maximised under a budget; -infinity where nothing can be had.
    fn height(&self, place: Option<[f64; 3]>) -> f64 {
        self.known(place, |spot, log_k| self.surface.height(spot, log_k))
    }

    /// The same as closely as a grid needs it.
    fn rough(&self, place: Option<[f64; 3]>) -> f64 {
        self.known(place, |spot, log_k| self.surface.rough(spot, log_k))
    }

    fn known(&self, place: Option<[f64; 3]>, height: impl Fn(&S::Spot, f64) -> f64) -> f64 {
        let height = place.map(|[log_n, log_d, log_k]| height(&self.spot(log_n, log_d), log_k));
        height.filter(|height| !height.is_nan()).unwrap_or(f64::NEG_INFINITY)
    }

    fn scored(&self, [log_n, log_d, log_k]: [f64; 3], &[train, prompt, sample]: &Prices) -> Point {
        let score = match self.goal {
            Goal::Target(_) => -(train * log_d.exp() + prompt + sample * log_k.exp()).ln(),
            _ => self.height(Some([log_n, log_d, log_k])),
        };
        Point { log_n, log_d, log_k, score: if score.is_nan() { f64::NEG_INFINITY } else { score } }
    }
}

//! One budget for training and all queries together, and the least cost of a target: N, D and k at once.
//!
//! A model of size N costs c D for training, u for the prompts of all queries and v k for their samples. With c, u and
//! v proportional to N that is N (6 p D + 2 Q (P p + T q k)), prices p and q a FLOP (Sardana et al. 2024, arXiv
//! 2401.00448, for k = 1); where bytes bind, v is what moving weights, keys and values costs; an architecture brings
//! its own.
//!
//! Two of the three are searched and the third follows: for a budget ln N and ln k, and what is left of it trains; for
//! a target ln N and ln D, and the samples are the fewest that reach it ([`cheapest`]). Slopes are of no use where it
//! matters: a forecast has corners at every k that was measured, and any law has one where the text ends. So grids
//! close in on every hill of a coarse one, and since they stray from a sharp ridge that runs askew, each is then
//! searched along ln N for the best in ln k; of laws with a formula, smooth elsewhere, Newton's steps by differences end
//! most hills before that. The curves on which D stays at an end of its range, or a query at its
//! limit, are searched by themselves.

mod cheapest;
mod climb;
mod newton;
mod point;
mod purchase;
mod request;
mod search;

use super::surface::Surface;
use point::Search;
pub use purchase::Purchase;
pub use request::{Bytes, Conditions, Goal, Limit, PricedSizes, Prices, Wall, priced};

/// The best choice on a surface; `None` where nothing is affordable, or nowhere good enough.
pub fn best(surface: &impl Surface, conditions: &Conditions, goal: Goal) -> Option<Purchase> {
    let score = |choice: &Purchase| match goal {
        Goal::Target(_) => -(choice.costs.0 + choice.costs.1),
        _ => choice.height,
    };
    if let PricedSizes::List(sizes) = &conditions.sizes
        && sizes.len() > 1
    {
        // Each by itself: what is best with any k may lose most by a whole one.
        let alone =
            |size: &(f64, Prices)| Conditions { sizes: PricedSizes::List(vec![*size]), ..conditions.clone() };
        let choices = sizes.iter().filter_map(|size| best(surface, &alone(size), goal));
        return choices.max_by(|a, b| score(a).total_cmp(&score(b)));
    }
    let free = with_any_samples(surface, conditions, goal)?;
    if !conditions.whole_k {
        return Some(free);
    }
    // The best is next to a whole k; one that is whole but for rounding counts as such.
    let (least, most) = conditions.samples;
    let floor = (free.k * (1.0 + 1e-9)).floor();
    let whole = [floor, floor + 1.0].into_iter().filter(|k| (least..=most).contains(k));
    let choices = whole.filter_map(|k| {
        with_any_samples(surface, &Conditions { samples: (k, k), ..conditions.clone() }, goal)
    });
    choices.max_by(|a, b| score(a).total_cmp(&score(b)))
}

/// The best choice, k being real, among sizes in a range or one size.
fn with_any_samples(surface: &impl Surface, conditions: &Conditions, goal: Goal) -> Option<Purchase> {
    let found = Search { surface, conditions, goal }.best();
    match goal {
        Goal::Target(target) => found.or_else(|| near_the_highest(surface, conditions, target)),
        Goal::Budget(budget) if !surface.rises() => {
            let found = found?;
            let left = found.costs.0 + found.costs.1 < budget * (1.0 - 1e-9);
            if !left && !falls(surface, conditions, &found) {
                return Some(found);
            }
            let spared = Search { surface, conditions, goal: Goal::Within(budget) }.best();
            spared.filter(|choice| choice.height > found.height).or(Some(found))
        }
        _ => found,
    }
}

/// The least cost of a target that only places too near the highest for any grid reach: the grid closes in on it.
fn near_the_highest(surface: &impl Surface, conditions: &Conditions, target: f64) -> Option<Purchase> {
    let peaks = Search { surface, conditions, goal: Goal::Within(f64::INFINITY) };
    let peak = peaks.best()?;
    if peak.height < peaks.goal_height(target) {
        return None;
    }
    let about =
        |(least, most): (f64, f64), at: f64, factor: f64| (least.max(at / factor), most.min(at * factor));
    let within = |factor: f64| {
        let sizes = match &conditions.sizes {
            &PricedSizes::Range(least, most, prices, bytes) => {
                let (least, most) = about((least, most), peak.n, factor);
                PricedSizes::Range(least, most, prices, bytes)
            }
            PricedSizes::List(sizes) => PricedSizes::List(sizes.clone()),
        };
        let near =
            Conditions { sizes, samples: about(conditions.samples, peak.k, factor), ..conditions.clone() };
        Search { surface, conditions: &near, goal: Goal::Target(target) }.best()
    };
    [2.0, 1.2, 1.04, 1.008].into_iter().find_map(within).or(Some(peak))
}

/// Whether a hundredth fewer tokens would be better: a forecast may lose what it gained with fewer.
fn falls(surface: &impl Surface, conditions: &Conditions, choice: &Purchase) -> bool {
    let search = Search { surface, conditions, goal: Goal::Within(f64::INFINITY) };
    let height = |d: f64| surface.height(&search.spot(choice.n.ln(), d.ln()), choice.k.ln());
    let (here, fewer) = (height(choice.d), height((0.99 * choice.d).max(conditions.tokens.0)));
    fewer > here + 1e-12 * here.abs()
}

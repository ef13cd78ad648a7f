//! D and k from lists: every pair of them is held by itself, and the highest is kept.

use super::choice::{Bound, Choice, Plan};
use super::error::Error;
use super::request::{Budget, Constraints, Listed, Rule};
use super::surface::{self, Surface};

/// The best choice on a surface and Chinchilla's; budget `index` in what an error says.
///
/// Chinchilla's rule [`Rule::Law`] is the N that training alone would choose: the highest at k = 1.
pub fn plan(
    surface: &impl Surface,
    index: usize,
    budget: Budget,
    constraints: &Constraints,
    rule: Rule,
) -> Result<Plan, Error> {
    let plan = if constraints.listed.is_empty() {
        surface::free(surface, index, budget, constraints, rule)?
    } else {
        from_lists(surface, index, budget, constraints, rule)?
    };
    let finite = plan.best.value.is_finite() && plan.chinchilla.value.is_finite();
    if finite { Ok(plan) } else { Err(Error::NotFinite { draw: 0 }) }
}

/// Constraints that hold every listed D with every listed k, the least first; one where nothing is listed.
pub(super) fn pairs(constraints: &Constraints) -> impl Iterator<Item = Constraints> {
    let tokens = match &constraints.listed.tokens[..] {
        [] => vec![constraints.tokens],
        listed => listed.iter().map(|&d| (d, d)).collect(),
    };
    let every = by_samples(constraints).collect::<Vec<_>>();
    tokens
        .into_iter()
        .flat_map(move |tokens| every.clone().into_iter().map(move |one| Constraints { tokens, ..one }))
}

/// The same of k alone, D being free in its range.
pub(super) fn by_samples(constraints: &Constraints) -> impl Iterator<Item = Constraints> {
    let free = Constraints { listed: Listed::default(), ..constraints.clone() };
    let held = constraints.listed.samples.iter();
    let held =
        held.map(|&k| Constraints { least_samples: k, most_samples: k, whole_k: false, ..free.clone() });
    let held: Vec<_> = held.collect();
    if held.is_empty() { vec![free] } else { held }.into_iter()
}

/// The highest of what budgets buy, the first of equals; why there is nothing, if there is.
pub(super) fn highest<T>(found: impl Iterator<Item = Result<(T, f64), Error>>) -> Result<T, Error> {
    let (mut best, mut refused): (Option<(T, f64)>, Option<Error>) = (None, None);
    for one in found {
        match one {
            Ok((choice, height)) if best.as_ref().is_none_or(|(_, top)| height > *top || top.is_nan()) => {
                best = Some((choice, height));
            }
            Ok(_) => {}
            Err(error @ Error::Infeasible { .. }) => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match (best, refused) {
        (Some((choice, _)), _) => Ok(choice),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::NotFinite { draw: 0 }),
    }
}

/// The best of all pairs, and Chinchilla's with the most samples that leave its N where it is.
fn from_lists(
    surface: &impl Surface,
    index: usize,
    budget: Budget,
    constraints: &Constraints,
    rule: Rule,
) -> Result<Plan, Error> {
    let best = highest(pairs(constraints).map(|held| surface::best(surface, index, budget, &held)))?;
    let others = by_samples(constraints).map(|held| {
        let choice = surface::chinchilla(surface, index, budget, &held, rule)?;
        // Fewer samples never make N smaller.
        Ok((choice, choice.n * (1.0 + 1e-9 * choice.k.ln().clamp(0.0, 100.0))))
    });
    let chinchilla = highest(others)?;
    Ok(Plan {
        best: Choice { bound: bound(best.bound, [best.n, best.d, best.k], budget, constraints), ..best },
        chinchilla,
    })
}

/// The limit that a choice from lists sits on: an end of a list binds where the budget would pay for more.
pub(super) fn bound(found: Bound, [n, d, k]: [f64; 3], budget: Budget, constraints: &Constraints) -> Bound {
    let Listed { tokens, samples } = &constraints.listed;
    let last = |list: &[f64]| list.iter().copied().fold(0.0, f64::max);
    let unspent = |cost: f64, budget: f64| cost < budget * (1.0 - 1e-9);
    let held = match found {
        Bound::LeastTokens | Bound::MostTokens => !tokens.is_empty(),
        Bound::LeastSamples | Bound::MostSamples => !samples.is_empty(),
        Bound::None => true,
        _ => false,
    };
    if !held {
        found
    } else if d == last(tokens) && unspent(6.0 * n * d, budget.train) {
        Bound::MostTokens
    } else if k == last(samples) && unspent(2.0 * n * k, budget.inference) {
        Bound::MostSamples
    } else {
        Bound::None
    }
}

//! A law with its draws, as rows to plan with: row 0 is the law itself, the others are its draws.

use std::ops::Range;

use t2fast_core::cancel::Cancel;
use t2fast_core::forecast::noise::{Noise, WIDTH};
use t2fast_core::forecast::state::{Kind, Refit, State};
use t2fast_core::forecast::view::{Seen, View, Which, plan_each};
use t2fast_core::forecast::{Quantity, Table};
use t2fast_core::laws::Law;
use t2fast_core::plan::plan;
use t2fast_core::plan::spending::{Conditions, Goal, Purchase, best};
use t2fast_core::plan::surface::Formula;
use t2fast_core::plan::{Budget, Constraints, Plan, Problem, Rule};

/// A law to explore.
pub enum Explored {
    /// A law of a formula, with parameters a row.
    Formula(Law, Vec<f64>),
    /// A forecast law.
    Forecast(Box<State>),
}

/// How the numbers of a forecast law are laid out: `places` (checkpoints, 2), `ks`, `z` and its variance (checkpoints,
/// ks), θ and scales of the members, the widening, then a row a draw of noise, θ and z.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// What was measured.
    pub quantity: Quantity,
    /// Measured ones.
    pub checkpoints: usize,
    /// Numbers of samples at which they were.
    pub ks: usize,
    /// Refits.
    pub draws: usize,
}

impl Explored {
    /// A law of a formula. `None` where its numbers are no rows of its parameters.
    pub fn formula(name: &str, numbers: Vec<f64>) -> Option<Self> {
        let law = Law::named(name)?;
        let whole = !numbers.is_empty() && numbers.len().is_multiple_of(law.parameters().len());
        whole.then_some(Self::Formula(law, numbers))
    }

    /// A forecast law. `None` where its numbers are not as many as the layout says.
    pub fn forecast(layout: Layout, numbers: &[f64]) -> Option<Self> {
        let Layout { quantity, checkpoints, ks, draws } = layout;
        let members = quantity.powers().len();
        let (thetas, z) = (members * quantity.parameters().len(), checkpoints * ks);
        let mut rest = numbers;
        let mut take = |count: usize| {
            let (part, after) = rest.split_at_checked(count)?;
            rest = after;
            Some(part)
        };
        let table = Table {
            quantity,
            places: take(2 * checkpoints)?.as_chunks().0.to_vec(),
            ks: take(ks)?.to_vec(),
            z: take(z)?.to_vec(),
            variance: take(z)?.to_vec(),
        };
        let (theta, scales, widening) = (take(thetas)?, take(members)?, take(1)?[0]);
        let rows = (0..draws).map(|_| Some((take(WIDTH)?, take(thetas)?, take(z)?)));
        let rows: Vec<_> = rows.collect::<Option<_>>()?;
        let refits: Vec<Refit> = rows
            .iter()
            .map(|(noise, thetas, z)| {
                let noise = Noise::from_row(&noise.as_chunks().0[0], scales.len())?;
                Some(Refit { thetas, z, noise })
            })
            .collect::<Option<_>>()?;
        let state = State::new(table, theta, scales, &refits, widening, &Cancel::new(false))?;
        Some(Self::Forecast(Box::new(state)))
    }

    /// The law and its draws.
    pub fn rows(&self) -> usize {
        match self {
            Self::Formula(law, params) => params.len() / law.parameters().len(),
            Self::Forecast(state) => 1 + state.draws(),
        }
    }

    fn params(&self, law: Law, rows: Range<usize>) -> &[f64] {
        let Self::Formula(_, params) = self else { return &[] };
        let width = law.parameters().len();
        &params[rows.start * width..rows.end * width]
    }

    /// Plans for every budget and some rows, rows varying fastest; in words why there are none.
    pub fn plans(
        &self,
        rows: Range<usize>,
        budgets: &[Budget],
        constraints: &Constraints,
        rule: Rule,
    ) -> Result<Vec<Plan>, String> {
        let found = match self {
            Self::Formula(law, _) => {
                let problem = Problem::new(*law, self.params(*law, rows), budgets, constraints, rule);
                problem.and_then(|problem| problem.solve(0..problem.len()))
            }
            Self::Forecast(state) => {
                let views: Vec<_> = rows.map(|row| view(state, row)).collect();
                let each = |(index, &budget)| plan_each(&views, index, budget, constraints, rule);
                let found: Result<Vec<_>, _> = budgets.iter().enumerate().map(each).collect();
                found.map(|found| found.concat())
            }
        };
        found.map_err(|error| error.to_string())
    }

    /// The plan of the law without its process, where it has one.
    pub fn without_process(&self, budget: Budget, constraints: &Constraints, rule: Rule) -> Option<Plan> {
        let Self::Forecast(state) = self else { return None };
        plan(&View { state, which: Which::Members, seen: None }, 0, budget, constraints, rule).ok()
    }

    /// The best purchase of every row; `None` where there is none.
    pub fn purchases(
        &self,
        rows: Range<usize>,
        conditions: &Conditions,
        goal: Goal,
    ) -> Vec<Option<Purchase>> {
        match self {
            Self::Formula(law, _) => {
                let of = |row: usize| Formula { law: *law, params: self.params(*law, row..row + 1) };
                rows.map(|row| best(&of(row), conditions, goal)).collect()
            }
            Self::Forecast(state) if rows.len() < 2 => {
                rows.map(|row| best(&view(state, row), conditions, goal)).collect()
            }
            Self::Forecast(state) => {
                let (seen, _) = Seen::by(view(state, rows.start), |visit| best(visit, conditions, goal));
                let one = |row| best(&View { seen: Some(&seen), ..view(state, row) }, conditions, goal);
                rows.map(one).collect()
            }
        }
    }

    /// Values of a row at points (N, D, k).
    pub fn values(&self, row: usize, points: &[[f64; 3]]) -> Vec<f64> {
        match self {
            Self::Formula(law, _) => {
                let params = self.params(*law, row..row + 1);
                points.iter().map(|&[n, d, k]| law.value(params, n, d, k)).collect()
            }
            Self::Forecast(state) => {
                let z = |&[n, d, k]: &[f64; 3]| {
                    let spot = state.spot(n.ln(), d.ln());
                    match row.checked_sub(1) {
                        None => state.z(&spot, k.ln()).0,
                        Some(draw) => state.drawn(draw, Kind::Checkpoint, &spot, k.ln(), state.centre(&spot)),
                    }
                };
                points.iter().map(|point| state.quantity().natural(z(point))).collect()
            }
        }
    }
}

fn view(state: &State, row: usize) -> View<'_> {
    View { state, which: row.checked_sub(1).map_or(Which::Point, Which::Draw), seen: None }
}

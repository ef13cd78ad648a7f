//! A forecast law as a surface to plan on: the law itself, its members alone, or one of its draws.
//!
//! What takes long about a place is the same for all of them, and a search begins with a grid that is the same, too: so
//! the places that one of them was looked at are kept for the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::field::Spot;
use super::quantity::Quantity;
use super::state::{Kind, State};
use crate::beta;
use crate::plan::surface::{Population, Surface};
use crate::plan::{Budget, Constraints, Error, Plan, Rule, plan};

/// Numbers of places that are kept at most: 32 MB.
const KEPT: usize = 1 << 22;

/// Which forecast is planned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The law.
    Point,
    /// The law without its process.
    Members,
    /// A draw: the place that is best on average of checkpoints, and what a new checkpoint would be there.
    Draw(usize),
}

/// A forecast to plan with.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The law.
    pub state: &'a State,
    /// Which of its forecasts.
    pub which: Which,
    /// Places that are known already.
    pub seen: Option<&'a Seen>,
}

/// Places that a forecast of a law was looked at, by the bits of ln N and ln D.
#[derive(Debug, Default)]
pub struct Seen {
    spots: HashMap<[u64; 2], Arc<Spot>>,
    numbers: usize,
}

impl Seen {
    /// What a search finds by a forecast, and the places that it looked at, those that it came to first.
    pub fn by<T>(view: View<'_>, search: impl FnOnce(&Visit<'_>) -> T) -> (Self, T) {
        let visit = Visit { view, seen: Mutex::default() };
        let found = search(&visit);
        (visit.seen.into_inner().unwrap_or_default(), found)
    }
}

/// A forecast that keeps the places it is looked at.
#[derive(Debug)]
pub struct Visit<'a> {
    view: View<'a>,
    seen: Mutex<Seen>,
}

/// Plans by several forecasts of one law under a budget; budget `index` in what an error says.
pub fn plan_each(
    views: &[View<'_>],
    index: usize,
    budget: Budget,
    constraints: &Constraints,
    rule: Rule,
) -> Result<Vec<Plan>, Error> {
    let Some((&first, others)) = views.split_first() else { return Ok(Vec::new()) };
    if others.is_empty() {
        return Ok(vec![plan(&first, index, budget, constraints, rule)?]);
    }
    let (seen, begun) = Seen::by(first, |visit| plan(visit, index, budget, constraints, rule));
    let mut found = vec![begun?];
    let one = |&view: &View| plan(&View { seen: Some(&seen), ..view }, index, budget, constraints, rule);
    found.extend(others.par_iter().map(one).collect::<Result<Vec<_>, _>>()?);
    Ok(found)
}

/// Where a forecast is wanted, with all of it that does not depend on k.
#[derive(Clone, Debug)]
pub struct Column {
    spot: Arc<Spot>,
    corrections: Vec<f64>,
}

impl View<'_> {
    fn draw(&self) -> Option<usize> {
        match self.which {
            Which::Point | Which::Members => None,
            Which::Draw(draw) => Some(draw),
        }
    }

    /// z of checkpoints on average.
    fn z(&self, Column { spot, corrections }: &Column, log_k: f64) -> f64 {
        let (z, process) = self.state.z_given(self.draw(), spot, corrections, self.log_k(log_k));
        if self.which == Which::Members { z - process } else { z }
    }

    /// z to be reported: of a draw that of a new checkpoint.
    fn reported(&self, column: &Column, log_k: f64) -> f64 {
        let Some(draw) = self.draw() else { return self.z(column, log_k) };
        let centre = self.state.centre(&column.spot);
        self.state.drawn(draw, Kind::Checkpoint, &column.spot, self.log_k(log_k), centre)
    }

    fn column(&self, spot: Arc<Spot>) -> Column {
        Column { corrections: self.state.corrections(self.draw(), &spot), spot }
    }

    fn log_k(&self, log_k: f64) -> f64 {
        if self.state.quantity() == Quantity::Passing { log_k } else { 0.0 }
    }
}

impl Surface for View<'_> {
    type Spot = Column;

    fn spot(&self, log_n: f64, log_d: f64) -> Column {
        let known = self.seen.and_then(|seen| seen.spots.get(&[log_n, log_d].map(f64::to_bits)));
        self.column(known.cloned().unwrap_or_else(|| Arc::new(self.state.spot(log_n, log_d))))
    }

    fn height(&self, column: &Column, log_k: f64) -> f64 {
        let z = self.z(column, log_k);
        if self.state.quantity() == Quantity::Loss { -z } else { z }
    }

    fn value(&self, column: &Column, log_k: f64) -> f64 {
        self.state.quantity().natural(self.reported(column, log_k))
    }

    fn natural(&self, height: f64) -> f64 {
        let quantity = self.state.quantity();
        quantity.natural(if quantity == Quantity::Loss { -height } else { height })
    }

    fn score(&self, value: f64) -> f64 {
        let z = self.state.quantity().z(value);
        if self.state.quantity() == Quantity::Loss { -z } else { z }
    }

    fn bends(&self) -> &[f64] {
        self.state.bends()
    }
}

impl Surface for Visit<'_> {
    type Spot = Column;

    fn spot(&self, log_n: f64, log_d: f64) -> Column {
        let spot = Arc::new(self.view.state.spot(log_n, log_d));
        if let Ok(mut seen) = self.seen.lock()
            && seen.numbers + spot.size() <= KEPT
            && seen.spots.insert([log_n, log_d].map(f64::to_bits), spot.clone()).is_none()
        {
            seen.numbers += spot.size();
        }
        self.view.column(spot)
    }

    fn height(&self, column: &Column, log_k: f64) -> f64 {
        self.view.height(column, log_k)
    }

    fn value(&self, column: &Column, log_k: f64) -> f64 {
        self.view.value(column, log_k)
    }

    fn natural(&self, height: f64) -> f64 {
        self.view.natural(height)
    }

    fn score(&self, value: f64) -> f64 {
        self.view.score(value)
    }

    fn bends(&self) -> &[f64] {
        self.view.bends()
    }
}

/// A mean of transforms is no mixture of Beta distributions: at every k that one is taken whose pass@1 and pass@k are
/// forecast.
impl Population for View<'_> {
    fn problems(&self, column: &Column, log_k: f64) -> [f64; 2] {
        beta::through(self.z(column, 0.0), self.z(column, log_k), log_k.exp())
    }

    fn reported_problems(&self, column: &Column, log_k: f64) -> [f64; 2] {
        beta::through(self.reported(column, 0.0), self.reported(column, log_k), log_k.exp())
    }
}

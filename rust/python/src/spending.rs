//! Plans under one budget, or for a target at least cost, of every row of a law.

use std::sync::atomic::Ordering;

use numpy::{IntoPyArray, PyArrayMethods, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use t2fast_core::plan::checked::Judged;
use t2fast_core::plan::spending::{
    Bytes, Conditions, Goal, Limit, PricedSizes, Prices, Purchase, Wall, best,
};
use t2fast_core::plan::surface::{Formula, Population};

use crate::cancel::cancellable;
use crate::checked::{formulas, judges};
use crate::plan::{Table, check_width, contiguous, law_named};

/// `t2fast.plans.spending.Search`.
#[derive(FromPyObject)]
pub(crate) struct Search {
    n_params: (f64, f64),
    prices: Prices,
    bytes: [f64; 3],
    sizes: Option<Vec<(f64, Prices)>>,
    n_tokens: (f64, f64),
    k: (f64, f64),
    whole_k: bool,
    wall: Option<(f64, f64)>,
    limits: Vec<([f64; 4], [f64; 3])>,
    goal: String,
    amount: f64,
    tokens_per_param: f64,
}

impl Search {
    pub(crate) fn parts(self) -> PyResult<(Conditions, Goal)> {
        let goal = match self.goal.as_str() {
            "budget" => Goal::Budget(self.amount),
            "ratio" => Goal::Ratio(self.amount, self.tokens_per_param),
            "target" => Goal::Target(self.amount),
            "highest" => Goal::Within(f64::INFINITY),
            other => {
                let message = format!("goal {other:?} is not 'budget', 'ratio', 'target' or 'highest'");
                return Err(PyValueError::new_err(message));
            }
        };
        let (least, most) = self.n_params;
        let conditions = Conditions {
            sizes: self
                .sizes
                .map_or(PricedSizes::Range(least, most, self.prices, bytes(self.bytes)), PricedSizes::List),
            tokens: self.n_tokens,
            samples: self.k,
            whole_k: self.whole_k,
            wall: self.wall.map(|(unique, repeats)| Wall { unique, repeats }),
            limits: self
                .limits
                .into_iter()
                .map(|([prompt, sample, floor, most], of)| Limit {
                    prompt,
                    sample,
                    floor,
                    most,
                    bytes: bytes(of),
                })
                .collect(),
        };
        Ok((conditions, goal))
    }
}

fn bytes([weights, caches, power]: [f64; 3]) -> Bytes {
    Bytes { weights, caches, power }
}

/// N, D, k, value, cost of training, cost of queries, gap and what is maximised, of every row in parallel: (rows, 8); NaN
/// where there is no choice.
pub(crate) fn rows<'py>(
    py: Python<'py>,
    count: usize,
    one: impl Fn(usize) -> Option<Purchase> + Sync + Send,
) -> PyResult<Table<'py>> {
    table(py, count, |i| {
        one(i).map(|bought| {
            let Purchase { n, d, k, value, height, costs: (training, serving), gap } = bought;
            [n, d, k, value, training, serving, gap, height]
        })
    })
}

/// As [`rows`] for checks that err, as many as surfaces or beside one of them: N, D, k, right answers, wrong answers, both
/// costs, gap and what is maximised, (rows, 9).
pub(crate) fn checked_rows<'py, S: Population + Send>(
    py: Python<'py>,
    surfaces: &[S],
    search: Search,
    checks: &PyReadonlyArray2<'py, f64>,
    harm: f64,
) -> PyResult<Table<'py>> {
    let judges = judges(checks, harm, surfaces.len())?;
    let (conditions, goal) = search.parts()?;
    table(py, judges.len(), |i| {
        let (surface, judge) = (&surfaces[i % surfaces.len()], judges[i]);
        best(&Judged { surface, judge }, &conditions, goal).map(|bought| {
            let Purchase { n, d, k, height, costs: (training, serving), gap, .. } = bought;
            let read = conditions.wall.map_or(d.ln(), |wall| wall.worth(d.ln()));
            let answers = judge.reported(surface, n.ln(), read, k.ln());
            [n, d, k, answers.right, answers.wrong, training, serving, gap, height]
        })
    })
}

/// Rows in parallel, NaN where there is none.
fn table<'py, const W: usize>(
    py: Python<'py>,
    count: usize,
    one: impl Fn(usize) -> Option<[f64; W]> + Sync + Send,
) -> PyResult<Table<'py>> {
    let found = cancellable(py, |cancel| {
        let row = |i: usize| (!cancel.load(Ordering::Relaxed)).then(|| one(i).unwrap_or([f64::NAN; W]));
        (0..count).into_par_iter().map(row).collect::<Option<Vec<_>>>()
    })?;
    found.into_flattened().into_pyarray(py).reshape([count, W])
}

/// Plans under one budget, or of a target at least cost, of every parameter row: see [`rows`].
#[pyfunction]
pub fn spend_batch<'py>(
    py: Python<'py>,
    name: &str,
    params: PyReadonlyArray2<'py, f64>,
    search: Search,
) -> PyResult<Table<'py>> {
    let law = law_named(name)?;
    check_width(law, &params)?;
    let (width, count) = (law.parameters().len(), params.as_array().nrows());
    let params = params.as_slice().map_err(contiguous)?;
    let (conditions, goal) = search.parts()?;
    rows(py, count, |row| best(&Formula { law, params: &params[row * width..][..width] }, &conditions, goal))
}

/// Plans as [`spend_batch`] makes them under a check that errs: see [`checked_rows`].
#[pyfunction]
pub fn spend_checked<'py>(
    py: Python<'py>,
    name: &str,
    params: PyReadonlyArray2<'py, f64>,
    search: Search,
    checks: PyReadonlyArray2<'py, f64>,
    harm: f64,
) -> PyResult<Table<'py>> {
    checked_rows(py, &formulas(name, &params)?, search, &checks, harm)
}

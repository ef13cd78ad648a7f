//! Plans over arrays of budgets and parameter draws.

use std::ops::Range;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::{Bound as Handle, *};
use rayon::prelude::*;
use t2fast_core::laws::{Law, Link, range_of, theta};
use t2fast_core::mixture;
use t2fast_core::plan::{
    Bound, Budget, Choice, Constraints, Error, Listed, Plan, Problem, Rule, Sizes, spend,
};

/// Best choices and Chinchilla's, (plans, 4) each, and the bounds of both, (plans, 2).
pub(crate) type Plans<'py> = (Table<'py>, Table<'py>, Handle<'py, PyArray2<u8>>);

/// Plans of a formula between two looks at pending signals: a fraction of a second at worst.
const CHUNK: usize = 16_384;

/// `t2fast.plans.planned.Constraints`.
#[derive(FromPyObject)]
pub(crate) struct Limits {
    n_params: (f64, f64),
    sizes: Option<Vec<f64>>,
    n_tokens: (f64, f64),
    least_samples: f64,
    most_samples: f64,
    integer_k: bool,
    tokens: Vec<f64>,
    samples: Vec<f64>,
}

impl From<Limits> for Constraints {
    fn from(limits: Limits) -> Self {
        let (least, most) = limits.n_params;
        Self {
            sizes: limits.sizes.map_or(Sizes::Range(least, most), Sizes::List),
            tokens: limits.n_tokens,
            least_samples: limits.least_samples,
            most_samples: limits.most_samples,
            whole_k: limits.integer_k,
            listed: Listed { tokens: limits.tokens, samples: limits.samples },
        }
    }
}

/// Chinchilla's rule: a ratio of tokens to parameters, or None for the law's own optimum of training.
pub(crate) fn rule_of(tokens_per_param: Option<f64>) -> Rule {
    tokens_per_param.map_or(Rule::Law, Rule::TokensPerParam)
}

pub(crate) fn law_named(name: &str) -> PyResult<Law> {
    Law::named(name).ok_or_else(|| {
        PyValueError::new_err(format!(
            "no law is called {name:?}: use chinchilla, loss, accuracy, counts or direct"
        ))
    })
}

pub(crate) fn contiguous<E>(_: E) -> PyErr {
    PyValueError::new_err("arrays must be contiguous float64")
}

pub(crate) fn check_width(law: Law, params: &PyReadonlyArray2<'_, f64>) -> PyResult<()> {
    let (width, names) = (params.as_array().ncols(), law.parameters());
    if width == names.len() {
        return Ok(());
    }
    let (name, expected) = (law.name(), names.len());
    Err(PyValueError::new_err(format!(
        "the {name} law has {expected} parameters {names:?}, a row of {width} came"
    )))
}

/// Names of a law's parameters, in the order of every parameter row.
#[pyfunction]
pub fn law_parameters(name: &str) -> PyResult<Vec<&'static str>> {
    Ok(law_named(name)?.parameters().to_vec())
}

/// Where every parameter of a law would have to lie, in words, if its value is not there; else None.
#[pyfunction]
pub fn law_refusal(name: &str, params: Vec<f64>) -> PyResult<Option<String>> {
    let named = law_named(name)?.parameters().iter().zip(params);
    Ok(named.into_iter().find(|(name, value)| !range_of(name).holds(*value)).map(|(parameter, value)| {
        let range = range_of(parameter).describe();
        format!("parameter {parameter} = {value:?} of the {name} law must be {range}")
    }))
}

/// a and b of the Beta distribution of success probabilities at points (n[j], d[j]), `effect[j]` being added to the
/// training loss there: (points, 2).
#[pyfunction]
pub fn beta_parameters<'py>(
    py: Python<'py>,
    name: &str,
    params: PyReadonlyArray1<'py, f64>,
    n: PyReadonlyArray1<'py, f64>,
    d: PyReadonlyArray1<'py, f64>,
    effect: PyReadonlyArray1<'py, f64>,
) -> PyResult<Table<'py>> {
    let law = law_named(name)?;
    let (params, n, d, effect) = (params.as_slice()?, n.as_slice()?, d.as_slice()?, effect.as_slice()?);
    if !law.knows_problems() || params.len() != law.parameters().len() {
        return Err(PyValueError::new_err(format!(
            "{name} with {} parameters has no Beta link",
            params.len()
        )));
    }
    if n.len() != d.len() || n.len() != effect.len() {
        return Err(PyValueError::new_err("n, d and effect must agree in length"));
    }
    let theta = theta(params);
    let at = |j: usize| Link::new(&theta, law.latent(params, n[j].ln(), d[j].ln()).0 + effect[j]).ab;
    let values: Vec<f64> = (0..n.len()).flat_map(at).collect();
    values.into_pyarray(py).reshape([n.len(), 2])
}

/// Success probabilities and weights whose pass@k is nearest to exp(-g/k^gamma) for k up to samples, the largest relative
/// error, and the k where it is.
#[pyfunction]
pub fn loss_mixture<'py>(
    py: Python<'py>,
    g: f64,
    gamma: f64,
    samples: u64,
) -> (Handle<'py, PyArray1<f64>>, Handle<'py, PyArray1<f64>>, f64, f64) {
    let found = py.detach(|| mixture::of_loss(g, gamma, samples));
    (found.p.into_pyarray(py), found.weights.into_pyarray(py), found.error, found.at)
}

/// D and k that the budgets buy at every n[j], within the constraints: (points, 2).
#[pyfunction]
pub fn budget_line<'py>(
    py: Python<'py>,
    train: f64,
    inference: f64,
    n: PyReadonlyArray1<'py, f64>,
    constraints: Limits,
) -> PyResult<Table<'py>> {
    let (n, constraints) = (n.as_slice()?, constraints.into());
    let at = |&n: &f64| <[f64; 2]>::from(spend(&Budget { train, inference }, &constraints, n));
    let values: Vec<f64> = n.iter().flat_map(at).collect();
    values.into_pyarray(py).reshape([n.len(), 2])
}

/// The law's value for every row of params at every point (n[j], d[j], k[j]), of shape (rows, points).
#[pyfunction]
pub fn law_values<'py>(
    py: Python<'py>,
    name: &str,
    params: PyReadonlyArray2<'py, f64>,
    n: PyReadonlyArray1<'py, f64>,
    d: PyReadonlyArray1<'py, f64>,
    k: PyReadonlyArray1<'py, f64>,
) -> PyResult<Table<'py>> {
    let law = law_named(name)?;
    check_width(law, &params)?;
    let width = law.parameters().len();
    let (rows, params) = (params.as_array().nrows(), params.as_slice().map_err(contiguous)?);
    let (n, d, k) = (n.as_slice()?, d.as_slice()?, k.as_slice()?);
    if n.len() != d.len() || n.len() != k.len() {
        return Err(PyValueError::new_err("n, d and k must agree in length"));
    }
    let points = n.len();
    let values: Vec<f64> = py.detach(|| {
        let at = |i: usize| {
            let (row, j) = (i / points, i % points);
            law.value(&params[row * width..][..width], n[j], d[j], k[j])
        };
        (0..rows * points).into_par_iter().with_min_len(64).map(at).collect()
    });
    values.into_pyarray(py).reshape([rows, points])
}

pub(crate) type Table<'py> = Handle<'py, PyArray2<f64>>;

/// Plans for every budget (train[i], inference[i]) and every parameter row j, at row i * rows + j of three arrays:
/// the best (N, D, k, value), Chinchilla's, and which bound each of the two sits on (0 none, 1 least N, 2 most N,
/// 3 least k, 4 least D, 5 most D, 6 most k).
///
/// tokens_per_param: see [`rule_of`].
#[pyfunction]
pub fn plan_batch<'py>(
    py: Python<'py>,
    name: &str,
    params: PyReadonlyArray2<'py, f64>,
    train: PyReadonlyArray1<'py, f64>,
    inference: PyReadonlyArray1<'py, f64>,
    constraints: Limits,
    tokens_per_param: Option<f64>,
) -> PyResult<Plans<'py>> {
    let law = law_named(name)?;
    check_width(law, &params)?;
    let (budgets, constraints) = (budgets(&train, &inference)?, constraints.into());
    let params = params.as_slice().map_err(contiguous)?;
    let problem = Problem::new(law, params, &budgets, &constraints, rule_of(tokens_per_param))
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let count = problem.len();
    collect(py, count, CHUNK, |range| problem.solve(range))
}

pub(crate) fn budgets(
    train: &PyReadonlyArray1<'_, f64>,
    inference: &PyReadonlyArray1<'_, f64>,
) -> PyResult<Vec<Budget>> {
    let (train, inference) = (train.as_slice()?, inference.as_slice()?);
    if train.len() != inference.len() {
        return Err(PyValueError::new_err("train and inference must agree in length"));
    }
    Ok(train.iter().zip(inference).map(|(&train, &inference)| Budget { train, inference }).collect())
}

/// `count` plans, solved `chunk` at a time with a look at pending signals between.
pub(crate) fn collect<'py>(
    py: Python<'py>,
    count: usize,
    chunk: usize,
    solve: impl Fn(Range<usize>) -> Result<Vec<Plan>, Error> + Sync,
) -> PyResult<Plans<'py>> {
    let (mut best, mut chinchilla) = (Vec::with_capacity(4 * count), Vec::with_capacity(4 * count));
    let mut bounds = Vec::with_capacity(2 * count);
    for first in (0..count).step_by(chunk) {
        let plans = py
            .detach(|| solve(first..count.min(first + chunk)))
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        for plan in plans {
            best.extend(row(&plan.best));
            chinchilla.extend(row(&plan.chinchilla));
            bounds.extend([code(plan.best.bound), code(plan.chinchilla.bound)]);
        }
        py.check_signals()?;
    }
    Ok((
        best.into_pyarray(py).reshape([count, 4])?,
        chinchilla.into_pyarray(py).reshape([count, 4])?,
        PyArray1::from_vec(py, bounds).reshape([count, 2])?,
    ))
}

fn row(choice: &Choice) -> [f64; 4] {
    [choice.n, choice.d, choice.k, choice.value]
}

pub(crate) fn code(bound: Bound) -> u8 {
    match bound {
        Bound::None => 0,
        Bound::LeastParams => 1,
        Bound::MostParams => 2,
        Bound::LeastSamples => 3,
        Bound::LeastTokens => 4,
        Bound::MostTokens => 5,
        Bound::MostSamples => 6,
    }
}

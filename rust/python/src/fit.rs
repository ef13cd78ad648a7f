//! Bindings of the fits. Each takes `m` sets of measurements and weights at once, (m, rows), and fits them in parallel.

// A column of a table each: a struct would only be taken apart again.
#![allow(clippy::too_many_arguments)]

use numpy::{PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use t2fast_core::cancel::Cancel;
use t2fast_core::fit::counts::Likelihood;
use t2fast_core::fit::huber::Huber;
use t2fast_core::fit::points::Point;
use t2fast_core::fit::power_sum::{self, Data};
use t2fast_core::fit::problems::Count;
use t2fast_core::fit::{Outcome, data_wall, direct, joint, link, restarts};
use t2fast_core::means;

use crate::cancel::cancellable;

type Column<'py> = PyReadonlyArray1<'py, f64>;
type Rows<'py> = PyReadonlyArray2<'py, f64>;

/// One vector a set.
type Sets = Vec<Vec<f64>>;

fn rows(array: &Rows) -> PyResult<Sets> {
    Ok(array.as_array().outer_iter().map(|row| row.to_vec()).collect())
}

fn same_length(name: &str, found: usize, expected: usize) -> PyResult<()> {
    if found == expected {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{name} has {found} entries, expected {expected}")))
}

fn checkpoint_of(checkpoint: &PyReadonlyArray1<i64>, checkpoints: usize) -> PyResult<Vec<usize>> {
    let bad = || PyValueError::new_err(format!("checkpoint must be in 0..{checkpoints}"));
    let slice = checkpoint.as_slice()?;
    slice.iter().map(|&i| usize::try_from(i).ok().filter(|&i| i < checkpoints).ok_or_else(bad)).collect()
}

fn array_of<const N: usize>(name: &str, values: &[f64]) -> PyResult<[f64; N]> {
    values
        .try_into()
        .map_err(|_| PyValueError::new_err(format!("{name} has {} entries, expected {N}", values.len())))
}

/// What a search found: a law's parameters and how sure of them it is.
#[pyclass(frozen, get_all, module = "t2fast._core")]
pub struct FitOutcome {
    /// Parameters in the order of the law.
    params: Py<PyArray1<f64>>,
    /// The objective that was minimised, there.
    objective: f64,
    /// Whether the end point is a minimum as far as the search can tell.
    converged: bool,
    /// Why the search ended, in words.
    reason: &'static str,
    /// Evaluations of the objective.
    evaluations: usize,
    /// For each parameter whether the data determine it; empty where nobody asked.
    identified: Vec<bool>,
    /// For each parameter whether it sits on a bound.
    on_bound: Vec<bool>,
}

impl FitOutcome {
    fn new(py: Python<'_>, outcome: Outcome) -> Self {
        Self {
            params: PyArray1::from_vec(py, outcome.params).unbind(),
            objective: outcome.objective,
            converged: outcome.reason.converged(),
            reason: outcome.reason.describe(),
            evaluations: outcome.evaluations,
            identified: outcome.identified,
            on_bound: outcome.on_bound,
        }
    }
}

/// Fits every set in parallel.
fn fit_all(
    py: Python<'_>,
    sets: usize,
    one: impl Fn(usize, &Cancel) -> Option<Outcome> + Sync + Send,
) -> PyResult<Vec<FitOutcome>> {
    let outcomes = cancellable(py, |cancel| {
        (0..sets).into_par_iter().map(|i| one(i, cancel)).collect::<Option<Vec<_>>>()
    })?;
    Ok(outcomes.into_iter().map(|outcome| FitOutcome::new(py, outcome)).collect())
}

/// Measurements and weights of all sets, checked against each other.
fn sets(y: &Rows, w: &Rows, expected: usize) -> PyResult<(Sets, Sets)> {
    let (y, w) = (rows(y)?, rows(w)?);
    same_length("w", w.len(), y.len())?;
    for (y, w) in y.iter().zip(&w) {
        same_length("y", y.len(), expected)?;
        same_length("w", w.len(), expected)?;
    }
    Ok((y, w))
}

/// Least squares for y = E + sum of C x^-e over two or three coordinates, by variable projection.
#[pyfunction]
#[pyo3(signature = (x, y, w, e_max, start=None, regularise=false))]
pub fn fit_power_sum<'py>(
    py: Python<'py>,
    x: Vec<Column<'py>>,
    y: Rows<'py>,
    w: Rows<'py>,
    e_max: f64,
    start: Option<Vec<f64>>,
    regularise: bool,
) -> PyResult<Vec<FitOutcome>> {
    let x: Sets = x.iter().map(|c| Ok(c.as_slice()?.to_vec())).collect::<PyResult<_>>()?;
    let length = x.first().map_or(0, Vec::len);
    for column in &x {
        same_length("x", column.len(), length)?;
    }
    let (y, w) = sets(&y, &w, length)?;
    match x.len() {
        2 => {
            let start = start.map(|s| array_of::<2>("start", &s)).transpose()?;
            fit_all(py, y.len(), |i, cancel| {
                let data = Data { x: [&x[0], &x[1]], y: &y[i], w: Some(&w[i]), e_max };
                let fit = if regularise { power_sum::fit_regularised } else { power_sum::fit };
                fit(&data, start, cancel)
            })
        }
        3 => {
            let start = start.map(|s| array_of::<3>("start", &s)).transpose()?;
            fit_all(py, y.len(), |i, cancel| {
                let data = Data { x: [&x[0], &x[1], &x[2]], y: &y[i], w: Some(&w[i]), e_max };
                let fit = if regularise { power_sum::fit_regularised } else { power_sum::fit };
                fit(&data, start, cancel)
            })
        }
        other => Err(PyValueError::new_err(format!("x has {other} columns, expected 2 or 3"))),
    }
}

/// The data wall's law from many starts, rows of (ln A, ln B, ln E, alpha, beta, ln R_D*, ln R_N*).
#[pyfunction]
pub fn fit_data_wall<'py>(
    py: Python<'py>,
    n: Column<'py>,
    d: Column<'py>,
    unique: Column<'py>,
    loss: Column<'py>,
    starts: Rows<'py>,
) -> PyResult<FitOutcome> {
    let (n, d, unique, loss) = (n.as_slice()?, d.as_slice()?, unique.as_slice()?, loss.as_slice()?);
    for (name, column) in [("d", d), ("unique", unique), ("loss", loss)] {
        same_length(name, column.len(), n.len())?;
    }
    let starts =
        rows(&starts)?.iter().map(|start| array_of::<7>("starts", start)).collect::<PyResult<Vec<_>>>()?;
    if starts.is_empty() {
        return Err(PyValueError::new_err("starts is empty"));
    }
    let runs = data_wall::Runs { n, d, unique, loss };
    let outcome = cancellable(py, |cancel| data_wall::fit(runs, &starts, cancel))?;
    Ok(FitOutcome::new(py, outcome))
}

/// The loss law from many starts (log E, log A, log B, log G, alpha, beta, gamma); also each start's objective.
#[pyfunction]
pub fn fit_loss_restarts<'py>(
    py: Python<'py>,
    n: Column<'py>,
    d: Column<'py>,
    k: Column<'py>,
    y: Column<'py>,
    w: Column<'py>,
    starts: Rows<'py>,
) -> PyResult<(FitOutcome, Bound<'py, PyArray1<f64>>)> {
    let x = [n.as_slice()?, d.as_slice()?, k.as_slice()?];
    let (y, w) = (y.as_slice()?, w.as_slice()?);
    for column in [x[0], x[1], x[2], w] {
        same_length("a column", column.len(), y.len())?;
    }
    let starts =
        rows(&starts)?.iter().map(|s| array_of("a start", s)).collect::<PyResult<Vec<[f64; 7]>>>()?;
    let data = Data { x, y, w: Some(w), e_max: f64::INFINITY };
    let fit = cancellable(py, |cancel| restarts::fit::<3, 7>(&data, &starts, cancel))?;
    Ok((FitOutcome::new(py, fit.best), PyArray1::from_vec(py, fit.objectives)))
}

/// Chinchilla by the Huber loss of log residuals, from starts (log A, log B, log E, alpha, beta); also each start's
/// objective for the last set.
#[pyfunction]
pub fn fit_huber<'py>(
    py: Python<'py>,
    n: Column<'py>,
    d: Column<'py>,
    loss: Rows<'py>,
    w: Rows<'py>,
    delta: f64,
    starts: Rows<'py>,
) -> PyResult<(Vec<FitOutcome>, Bound<'py, PyArray1<f64>>)> {
    let (n, d) = (n.as_slice()?, d.as_slice()?);
    same_length("d", d.len(), n.len())?;
    let (loss, w) = sets(&loss, &w, n.len())?;
    let starts =
        rows(&starts)?.iter().map(|s| array_of("a start", s)).collect::<PyResult<Vec<[f64; 5]>>>()?;
    let fits = cancellable(py, |cancel| {
        (0..loss.len())
            .into_par_iter()
            .map(|i| Huber::new(n, d, &loss[i], Some(&w[i]), delta).fit(&starts, cancel))
            .collect::<Option<Vec<_>>>()
    })?;
    let objectives = fits.last().map_or_else(Vec::new, |f| f.objectives.clone());
    let outcomes = fits.into_iter().map(|f| FitOutcome::new(py, f.best)).collect();
    Ok((outcomes, PyArray1::from_vec(py, objectives)))
}

fn points(checkpoint: &[usize], k: &[f64], y: &[f64], w: &[f64]) -> Vec<Point> {
    (0..k.len()).map(|i| Point { checkpoint: checkpoint[i], k: k[i], y: y[i], w: w[i] }).collect()
}

/// theta0 to theta4 by least squares on pass@k, the losses of the checkpoints being known: (m, checkpoints).
#[pyfunction]
#[pyo3(signature = (losses, checkpoint, k, y, w, start=None))]
pub fn fit_link<'py>(
    py: Python<'py>,
    losses: Rows<'py>,
    checkpoint: PyReadonlyArray1<'py, i64>,
    k: Column<'py>,
    y: Rows<'py>,
    w: Rows<'py>,
    start: Option<Vec<f64>>,
) -> PyResult<Vec<FitOutcome>> {
    let losses = rows(&losses)?;
    let k = k.as_slice()?;
    let checkpoint = checkpoint_of(&checkpoint, losses.first().map_or(0, Vec::len))?;
    same_length("checkpoint", checkpoint.len(), k.len())?;
    let (y, w) = sets(&y, &w, k.len())?;
    same_length("losses", losses.len(), y.len())?;
    let start = start.map(|s| array_of::<5>("start", &s)).transpose()?;
    fit_all(py, y.len(), |i, cancel| {
        link::fit(&losses[i], &points(&checkpoint, k, &y[i], &w[i]), start, cancel)
    })
}

/// The accuracy law in one stage, by least squares on pass@k.
#[pyfunction]
#[pyo3(signature = (n, d, checkpoint, k, y, w, start=None, regularise=false))]
pub fn fit_joint<'py>(
    py: Python<'py>,
    n: Column<'py>,
    d: Column<'py>,
    checkpoint: PyReadonlyArray1<'py, i64>,
    k: Column<'py>,
    y: Rows<'py>,
    w: Rows<'py>,
    start: Option<Vec<f64>>,
    regularise: bool,
) -> PyResult<Vec<FitOutcome>> {
    let (n, d, k) = (n.as_slice()?, d.as_slice()?, k.as_slice()?);
    same_length("d", d.len(), n.len())?;
    let checkpoint = checkpoint_of(&checkpoint, n.len())?;
    same_length("checkpoint", checkpoint.len(), k.len())?;
    let (y, w) = sets(&y, &w, k.len())?;
    if let Some(s) = &start {
        same_length("start", s.len(), 10)?;
    }
    fit_all(py, y.len(), |i, cancel| {
        let fit = if regularise { joint::fit_regularised } else { joint::fit };
        fit(n, d, &points(&checkpoint, k, &y[i], &w[i]), start.as_deref(), cancel)
    })
}

/// The counts law by maximum likelihood; `row_w` (m, rows) weights problems, `checkpoint_w` (m, checkpoints) checkpoints.
///
/// refit: whether `starts` is one law that was fitted to much the same counts.
#[pyfunction]
pub fn fit_counts<'py>(
    py: Python<'py>,
    n: Column<'py>,
    d: Column<'py>,
    checkpoint: PyReadonlyArray1<'py, i64>,
    samples: Column<'py>,
    correct: Column<'py>,
    row_w: Rows<'py>,
    checkpoint_w: Rows<'py>,
    starts: Rows<'py>,
    effect: bool,
    refit: bool,
    regularise: bool,
) -> PyResult<Vec<FitOutcome>> {
    let (n, d) = (n.as_slice()?, d.as_slice()?);
    let (samples, correct) = (samples.as_slice()?, correct.as_slice()?);
    same_length("d", d.len(), n.len())?;
    same_length("correct", correct.len(), samples.len())?;
    let checkpoint = checkpoint_of(&checkpoint, n.len())?;
    same_length("checkpoint", checkpoint.len(), samples.len())?;
    let (row_w, checkpoint_w, starts) = (rows(&row_w)?, rows(&checkpoint_w)?, rows(&starts)?);
    same_length("checkpoint_w", checkpoint_w.len(), row_w.len())?;
    for (r, c) in row_w.iter().zip(&checkpoint_w) {
        same_length("row_w", r.len(), samples.len())?;
        same_length("checkpoint_w", c.len(), n.len())?;
    }
    for start in &starts {
        same_length("a start", start.len(), 11)?;
    }
    if starts.is_empty() || (refit && starts.len() != 1) {
        return Err(PyValueError::new_err(format!("{} starts are too few or too many", starts.len())));
    }
    fit_all(py, row_w.len(), |i, cancel| {
        let row = |j: usize| Count {
            checkpoint: checkpoint[j],
            samples: samples[j],
            correct: correct[j],
            w: row_w[i][j],
        };
        let counts: Vec<Count> = (0..samples.len()).map(row).collect();
        let likelihood = Likelihood::new(n, d, &counts, &checkpoint_w[i]);
        let likelihood = if regularise { likelihood.regularised() } else { likelihood };
        if refit {
            likelihood.refit(&starts[0], effect, cancel)
        } else {
            likelihood.fit(&starts, effect, cancel)
        }
    })
}

/// The direct law by least squares on ln(-ln y), points without weight left out.
#[pyfunction]
pub fn fit_direct<'py>(
    py: Python<'py>,
    compute: Column<'py>,
    k: Column<'py>,
    y: Rows<'py>,
    w: Rows<'py>,
) -> PyResult<Vec<FitOutcome>> {
    let (compute, k) = (compute.as_slice()?, k.as_slice()?);
    same_length("k", k.len(), compute.len())?;
    let (y, w) = sets(&y, &w, k.len())?;
    fit_all(py, y.len(), |i, _| Some(direct::fit(compute, k, &y[i], &w[i])))
}

/// Weighted means over problems, (m, checkpoints, columns), for `m` sets of weights of the problems, (m, problems).
///
/// values (rows, columns), NaN where there is none, of one problem at one checkpoint a row; NaN where nothing is left.
#[pyfunction]
pub fn weighted_means<'py>(
    py: Python<'py>,
    values: Rows<'py>,
    checkpoint: PyReadonlyArray1<'py, i64>,
    problem: PyReadonlyArray1<'py, i64>,
    checkpoints: usize,
    weights: Rows<'py>,
) -> PyResult<Bound<'py, PyArray3<f64>>> {
    let [length, columns] = [values.as_array().nrows(), values.as_array().ncols()];
    let [sets, problems] = [weights.as_array().nrows(), weights.as_array().ncols()];
    let (checkpoint, problem) =
        (checkpoint_of(&checkpoint, checkpoints)?, checkpoint_of(&problem, problems)?);
    same_length("checkpoint", checkpoint.len(), length)?;
    same_length("problem", problem.len(), length)?;
    let (values, weights) = (values.as_slice()?, weights.as_slice()?);
    let rows = means::Rows { values, columns, checkpoint: &checkpoint, problem: &problem };
    let mut out = vec![0.0; sets * checkpoints * columns];
    py.detach(|| {
        let size = (checkpoints * columns).max(1);
        let sets = weights.par_chunks(problems.max(1)).zip(out.par_chunks_mut(size));
        sets.for_each(|(weights, out)| rows.weighted(weights, out));
    });
    PyArray1::from_vec(py, out).reshape([sets, checkpoints, columns])
}

//! pass@k beyond the samples drawn.

use numpy::{PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use t2fast_core::beyond::{Average, Counts, Point, bootstrap, dependence};

use crate::cancel::cancellable;
use crate::passk::whole;

/// (unknowns, log-likelihood, probability of the shape, converged).
type Fitted = (Point, f64, f64, bool);

/// Fits, mean (K,) and draws (draws, K).
type Beyond<'py> = (Vec<Fitted>, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>);

fn counts(n: &PyReadonlyArray1<i64>, c: &PyReadonlyArray1<i64>) -> PyResult<Counts> {
    let (n, c) = (whole(n.as_array().iter()), whole(c.as_array().iter()));
    let counts = n.zip(c).and_then(|(n, c)| Counts::new(&n, &c));
    counts.ok_or_else(|| PyValueError::new_err("n and c must agree in length, with 1 <= n and 0 <= c <= n"))
}

/// Fits of the shapes "beta", "ceiling" and "logit-normal" to counts; pass@k (K,), their average by probability; and
/// (draws, K), of as many draws of problems and shape.
#[pyfunction]
pub fn fit_beyond<'py>(
    py: Python<'py>,
    n: PyReadonlyArray1<'py, i64>,
    c: PyReadonlyArray1<'py, i64>,
    cluster: PyReadonlyArray1<'py, i64>,
    k: PyReadonlyArray1<'py, f64>,
    seed: u64,
    draws: u64,
) -> PyResult<Beyond<'py>> {
    let counts = counts(&n, &c)?;
    let cluster = whole(cluster.as_array().iter()).unwrap_or_default();
    let cluster: Vec<usize> = cluster.into_iter().map(|id| id as usize).collect();
    let size = n.as_array().len();
    if cluster.len() != size || cluster.iter().any(|&id| id >= size) {
        return Err(PyValueError::new_err("cluster must number the clusters of all problems from 0"));
    }
    let ks: Vec<f64> = k.as_array().iter().copied().collect();
    let (average, curves) = cancellable(py, |cancel| {
        let average = Average::fit(&counts, cancel)?;
        let curves = bootstrap::draws(&counts, &cluster, &average, &ks, seed, 0..draws, cancel)?;
        Some((average, curves))
    })?;
    let mean: Vec<f64> = ks.iter().map(|&k| average.pass_at_k(k)).collect();
    let fits = average.fits.iter().zip(&average.weights);
    let fitted = fits.map(|(fit, &w)| (fit.x, fit.log_likelihood, w, fit.converged)).collect();
    let curves = if curves.is_empty() {
        PyArray2::zeros(py, [0, ks.len()], false)
    } else {
        PyArray2::from_vec2(py, &curves)?
    };
    Ok((fitted, PyArray1::from_vec(py, mean), curves))
}

/// Standard score of the association of few samples with success; None where n or outcomes do not vary.
#[pyfunction]
pub fn samples_follow_outcome(
    py: Python<'_>,
    n: PyReadonlyArray1<'_, i64>,
    c: PyReadonlyArray1<'_, i64>,
) -> PyResult<Option<f64>> {
    let counts = counts(&n, &c)?;
    cancellable(py, |cancel| Some(dependence::test(&counts, cancel)))
}

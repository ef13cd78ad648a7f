//! Means over problems, compared.

use numpy::{PyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use t2fast_core::compare;

/// Mean, standard error and critical value of the columns of `values`, one row a problem.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "three results of one call")]
pub fn simultaneous_band<'py>(
    py: Python<'py>,
    values: PyReadonlyArray2<'py, f64>,
    draws: usize,
    level: f64,
    seed: u64,
) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>, f64)> {
    let columns = values.shape()[1];
    let values = values.as_slice().map_err(|_| PyValueError::new_err("values must be a contiguous array"))?;
    let found = py.detach(|| compare::band(values, columns, draws, level, seed)).ok_or_else(refused)?;
    Ok((PyArray1::from_vec(py, found.mean), PyArray1::from_vec(py, found.stderr), found.critical))
}

/// The probability of each column of `values` to have the largest mean.
#[pyfunction]
pub fn probability_best<'py>(
    py: Python<'py>,
    values: PyReadonlyArray2<'py, f64>,
    draws: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let columns = values.shape()[1];
    let values = values.as_slice().map_err(|_| PyValueError::new_err("values must be a contiguous array"))?;
    let shares = py.detach(|| compare::best(values, columns, draws, seed)).ok_or_else(refused)?;
    Ok(PyArray1::from_vec(py, shares))
}

fn refused() -> PyErr {
    PyValueError::new_err("two rows of finite values and one draw are needed at the least")
}

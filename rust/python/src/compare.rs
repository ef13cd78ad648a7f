//! Means over problems, compared.

use numpy::ndarray::Axis;
use numpy::{PyArray1, PyArray2, PyReadonlyArray2, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
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

/// The probability of each side to have the largest mean in each column of `values`, (rows, columns, sides).
#[pyfunction]
pub fn probability_best<'py>(
    py: Python<'py>,
    values: PyReadonlyArray3<'py, f64>,
    draws: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let values = values.as_array();
    let (columns, sides) = (values.shape()[1], values.shape()[2]);
    let tables: Vec<Vec<f64>> =
        (0..columns).map(|j| values.index_axis(Axis(1), j).iter().copied().collect()).collect();
    let shares: Option<Vec<Vec<f64>>> =
        py.detach(|| tables.par_iter().map(|table| compare::best(table, sides, draws, seed)).collect());
    PyArray2::from_vec2(py, &shares.ok_or_else(refused)?).map_err(|_| refused())
}

fn refused() -> PyErr {
    PyValueError::new_err("two rows of finite values and one draw are needed at the least")
}

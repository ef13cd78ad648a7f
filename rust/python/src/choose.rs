//! Choices among models that exist, over resampled problems.

use numpy::{PyReadonlyArray2, PyReadwriteArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use t2fast_core::choose::resample;

/// Products between two looks at pending signals: a fraction of a second at worst.
const CHUNK: usize = 1 << 28;

fn contiguous<E>(_: E) -> PyErr {
    PyValueError::new_err("values, weights and out must be contiguous float64")
}

/// Fill out[o, d] with the sum over problems of values[o, :] * weights[d, :].
#[pyfunction]
pub fn resampled_means<'py>(
    py: Python<'py>,
    values: PyReadonlyArray2<'py, f64>,
    weights: PyReadonlyArray2<'py, f64>,
    mut out: PyReadwriteArray2<'py, f64>,
) -> PyResult<()> {
    let (options, problems) = values.as_array().dim();
    let (draws, width) = weights.as_array().dim();
    if width != problems || out.as_array().dim() != (options, draws) || problems * draws == 0 {
        return Err(PyValueError::new_err("values, weights and out must agree in shape"));
    }
    let (values, weights) = (values.as_slice().map_err(contiguous)?, weights.as_slice().map_err(contiguous)?);
    let out = out.as_slice_mut().map_err(contiguous)?;
    let rows = (CHUNK / (problems * draws)).max(1);
    for (values, out) in values.chunks(rows * problems).zip(out.chunks_mut(rows * draws)) {
        py.detach(|| resample::weighted_means(values, weights, problems, out));
        py.check_signals()?;
    }
    Ok(())
}

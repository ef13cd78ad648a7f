//! pass@k and its relatives over arrays of counts.

use numpy::{PyReadonlyArray1, PyReadonlyArrayDyn, PyReadwriteArray1, PyReadwriteArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use t2fast_core::passk;

/// Cells between two looks at pending signals: a fraction of a second at worst.
const CHUNK: usize = 1 << 20;

/// Whole numbers of a strided view, or None if one is negative.
fn whole<'a>(values: impl Iterator<Item = &'a i64>) -> Option<Vec<u64>> {
    values.map(|&value| u64::try_from(value).ok()).collect()
}

fn contiguous<E>(_: E) -> PyErr {
    PyValueError::new_err("out must be a contiguous array")
}

/// Fill out[i, j] with P(at least m[j] of k[j] samples are correct), given n[i] samples of which c[i] are.
///
/// Returns False, with out untouched, unless 1 <= n, 0 <= c <= n and 1 <= k everywhere.
#[pyfunction]
pub fn tail_grid<'py>(
    py: Python<'py>,
    n: PyReadonlyArray1<'py, i64>,
    c: PyReadonlyArray1<'py, i64>,
    k: PyReadonlyArray1<'py, i64>,
    m: PyReadonlyArray1<'py, i64>,
    mut out: PyReadwriteArray2<'py, f64>,
) -> PyResult<bool> {
    let (n, c) = (whole(n.as_array().iter()), whole(c.as_array().iter()));
    let (k, m) = (whole(k.as_array().iter()), whole(m.as_array().iter()));
    let (Some(n), Some(c), Some(k), Some(m)) = (n, c, k, m) else { return Ok(false) };
    let out = out.as_slice_mut().map_err(contiguous)?;
    if n.len() != c.len() || k.len() != m.len() || out.len() != n.len() * k.len() {
        return Err(PyValueError::new_err("n and c, k and m, and out must agree in length"));
    }
    if k.contains(&0) || n.iter().zip(&c).any(|(&n, &c)| n == 0 || c > n) {
        return Ok(false);
    }
    let rows = CHUNK / k.len().max(1) + 1;
    for ((n, c), out) in n.chunks(rows).zip(c.chunks(rows)).zip(out.chunks_mut(rows * k.len().max(1))) {
        py.detach(|| passk::grid(passk::Counts { n, c }, passk::Tails { k: &k, m: &m }, out));
        py.check_signals()?;
    }
    Ok(true)
}

/// Fill the flat out with P(at least m of k samples are correct) over four arrays of one shape, strided at will.
///
/// Returns False, with out partly filled, unless 1 <= n, 0 <= c <= n and 1 <= k everywhere.
#[pyfunction]
pub fn tail_cells<'py>(
    py: Python<'py>,
    n: PyReadonlyArrayDyn<'py, i64>,
    c: PyReadonlyArrayDyn<'py, i64>,
    k: PyReadonlyArrayDyn<'py, i64>,
    m: PyReadonlyArrayDyn<'py, i64>,
    mut out: PyReadwriteArray1<'py, f64>,
) -> PyResult<bool> {
    let out = out.as_slice_mut().map_err(contiguous)?;
    let (n, c, k, m) = (n.as_array(), c.as_array(), k.as_array(), m.as_array());
    if [n.len(), c.len(), k.len(), m.len()] != [out.len(); 4] {
        return Err(PyValueError::new_err("n, c, k, m and out must agree in length"));
    }
    // Copies of one chunk at a time, so that broadcast views are never written out in full.
    let (mut n, mut c, mut k, mut m) = (n.iter(), c.iter(), k.iter(), m.iter());
    for out in out.chunks_mut(CHUNK / 16) {
        let size = out.len();
        let (n, c) = (whole(n.by_ref().take(size)), whole(c.by_ref().take(size)));
        let (k, m) = (whole(k.by_ref().take(size)), whole(m.by_ref().take(size)));
        let (Some(n), Some(c), Some(k), Some(m)) = (n, c, k, m) else { return Ok(false) };
        if k.contains(&0) || n.iter().zip(&c).any(|(&n, &c)| n == 0 || c > n) {
            return Ok(false);
        }
        py.detach(|| passk::cells(passk::Counts { n: &n, c: &c }, passk::Tails { k: &k, m: &m }, out));
        py.check_signals()?;
    }
    Ok(true)
}

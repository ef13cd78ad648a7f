//! pass@k and its relatives over arrays of counts.

use numpy::{PyReadonlyArray1, PyReadwriteArray1, PyReadwriteArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use t2fast_core::beyond::logit_normal;
use t2fast_core::{beta, incomplete_beta, passk};

/// Cells between two looks at pending signals: a fraction of a second at worst.
pub(crate) const CHUNK: usize = 1 << 20;

/// As [`CHUNK`], for tails summed over some 64·√k terms.
fn chunk(k: &[u64], m: &[u64]) -> usize {
    let summed = k.iter().zip(m).filter(|(k, m)| (2..**k).contains(*m)).map(|(k, _)| *k);
    let terms = summed.max().map_or(1.0, |k| 64.0 * (k as f64).sqrt());
    (((1 << 27) as f64 / terms) as usize).clamp(64, CHUNK)
}

/// Whole numbers of a strided view, or None if one is negative.
pub(crate) fn whole<'a>(values: impl Iterator<Item = &'a i64>) -> Option<Vec<u64>> {
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
    let rows = chunk(&k, &m) / k.len().max(1) + 1;
    for ((n, c), out) in n.chunks(rows).zip(c.chunks(rows)).zip(out.chunks_mut(rows * k.len().max(1))) {
        py.detach(|| passk::grid(passk::Counts { n, c }, passk::Tails { k: &k, m: &m }, out));
        py.check_signals()?;
    }
    Ok(true)
}

/// Fill out[i] with P(at least m[i] of k[i] samples are correct), given n[i] samples of which c[i] are.
///
/// Returns False, with out untouched, unless 1 <= n, 0 <= c <= n and 1 <= k everywhere.
#[pyfunction]
pub fn tail_cells<'py>(
    py: Python<'py>,
    n: PyReadonlyArray1<'py, i64>,
    c: PyReadonlyArray1<'py, i64>,
    k: PyReadonlyArray1<'py, i64>,
    m: PyReadonlyArray1<'py, i64>,
    mut out: PyReadwriteArray1<'py, f64>,
) -> PyResult<bool> {
    let (n, c) = (whole(n.as_array().iter()), whole(c.as_array().iter()));
    let (k, m) = (whole(k.as_array().iter()), whole(m.as_array().iter()));
    let (Some(n), Some(c), Some(k), Some(m)) = (n, c, k, m) else { return Ok(false) };
    let out = out.as_slice_mut().map_err(contiguous)?;
    if [n.len(), c.len(), k.len(), m.len()] != [out.len(); 4] {
        return Err(PyValueError::new_err("n, c, k, m and out must agree in length"));
    }
    if k.contains(&0) || n.iter().zip(&c).any(|(&n, &c)| n == 0 || c > n) {
        return Ok(false);
    }
    let size = chunk(&k, &m);
    for (part, out) in out.chunks_mut(size).enumerate() {
        let range = part * size..part * size + out.len();
        let counts = passk::Counts { n: &n[range.clone()], c: &c[range.clone()] };
        let tails = passk::Tails { k: &k[range.clone()], m: &m[range] };
        py.detach(|| passk::cells(counts, tails, out));
        py.check_signals()?;
    }
    Ok(true)
}

/// Fill out with function over arrays of its length, `chunk` cells between two looks at pending signals.
pub(crate) fn fill<'py, const N: usize>(
    py: Python<'py>,
    arguments: [PyReadonlyArray1<'py, f64>; N],
    mut out: PyReadwriteArray1<'py, f64>,
    chunk: usize,
    function: impl Fn([f64; N]) -> f64 + Sync,
) -> PyResult<()> {
    let out = out.as_slice_mut().map_err(contiguous)?;
    let views = arguments.each_ref().map(|array| array.as_array());
    if views.iter().any(|view| view.len() != out.len()) {
        return Err(PyValueError::new_err("the arrays and out must agree in length"));
    }
    for (part, out) in out.chunks_mut(chunk).enumerate() {
        let cell = |i: usize| function(views.each_ref().map(|view| view[part * chunk + i]));
        py.detach(|| out.par_iter_mut().with_min_len(16).enumerate().for_each(|(i, out)| *out = cell(i)));
        py.check_signals()?;
    }
    Ok(())
}

/// A function of numbers, and of what is fixed in brackets, as one over arrays, which fills `out`; so many cells between
/// two looks at pending signals.
macro_rules! over_arrays {
    ($(#[$doc:meta])* $name:ident $([$fixed:ident: $type:ty])? ($($argument:ident),+), $chunk:expr, $value:expr) => {
        $(#[$doc])*
        #[pyfunction]
        pub fn $name<'py>(
            py: Python<'py>,
            $($fixed: $type,)?
            $($argument: PyReadonlyArray1<'py, f64>,)+
            out: PyReadwriteArray1<'py, f64>,
        ) -> PyResult<()> {
            $crate::passk::fill(py, [$($argument),+], out, $chunk, |[$($argument),+]| $value)
        }
    };
}
pub(crate) use over_arrays;

over_arrays! {
    /// Fill out with pass@k of p ~ Beta(a, b).
    beta_pass_at_k(a, b, k), CHUNK, beta::pass_at_k(a, b, k)
}
over_arrays! {
    /// Fill out with the expected samples until the first success, p ~ Beta(a, b), stopping after max_k.
    expected_samples(a, b, max_k), CHUNK, beta::expected_samples(a, b, max_k)
}
over_arrays! {
    /// Fill out with P(all k samples fail) for p = scale·X, X ~ Beta(a, b). Up to milliseconds a cell.
    scaled_beta_failure(a, b, scale, k), 64, beta::scaled_failure(a, b, scale, k)
}
over_arrays! {
    /// Fill out with the exact variance of the unbiased pass@k of n samples, each correct with probability p.
    pass_at_k_variance(n, p, k), 256, passk::variance(n as u64, p, k as u64)
}
over_arrays! {
    /// Fill out with pass@k of problems whose p are known, by their logarithms.
    likely_pass_at_k(log_p, k), CHUNK, passk::likely_pass_at_k(log_p, k)
}
over_arrays! {
    /// Fill out with pass@k of logit p ~ N(m, s²).
    logit_normal_pass_at_k(m, s, k), 1024, logit_normal::pass_at_k(m, s, k)
}
over_arrays! {
    /// Fill out with the quantiles of Beta(a, b).
    beta_quantile(probability, a, b), 1024, incomplete_beta::quantile(probability, a, b)
}

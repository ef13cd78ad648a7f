//! Plans under a check that errs.

use numpy::{IntoPyArray, PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use t2fast_core::plan::checked::{Choice, Judge, plan};
use t2fast_core::plan::surface::Formula;
use t2fast_core::plan::surface::Population;
use t2fast_core::plan::{Budget, Constraints, Error};
use t2fast_core::verified::{Check, outcome};

use crate::plan::{Limits, Plans, check_width, code, contiguous, law_named, rule_of};

type Column<'py> = PyReadonlyArray1<'py, f64>;
type Values<'py> = Bound<'py, PyArray1<f64>>;

/// Plans between two looks at pending signals.
const CHUNK: usize = 32;

/// `t2fast.plans.checked.Asked`.
#[derive(FromPyObject)]
pub(crate) struct Asked {
    train_flops: f64,
    inference_flops: f64,
    constraints: Limits,
    tokens_per_param: Option<f64>,
}

/// Chances of a right and of a wrong answer within k[i] samples of p ~ Beta(a[i], b[i]), by a check's rates.
#[pyfunction]
pub fn verified_beta<'py>(
    py: Python<'py>,
    a: PyReadonlyArray1<'py, f64>,
    b: PyReadonlyArray1<'py, f64>,
    k: PyReadonlyArray1<'py, f64>,
    true_positive: PyReadonlyArray1<'py, f64>,
    false_positive: PyReadonlyArray1<'py, f64>,
) -> PyResult<(Values<'py>, Values<'py>)> {
    let (a, b, k) = (a.as_slice()?, b.as_slice()?, k.as_slice()?);
    let (t, f) = (true_positive.as_slice()?, false_positive.as_slice()?);
    if [b.len(), k.len(), t.len(), f.len()] != [a.len(); 4] {
        return Err(PyValueError::new_err("a, b, k and the rates must agree in length"));
    }
    let at = |i: usize| {
        let found = outcome(a[i], b[i], k[i], Check { true_positive: t[i], false_positive: f[i] });
        (found.right, found.wrong)
    };
    let (right, wrong): (Vec<f64>, Vec<f64>) = py
        .detach(|| (0..a.len()).into_par_iter().with_min_len(16).map(at).collect::<Vec<_>>())
        .into_iter()
        .unzip();
    Ok((right.into_pyarray(py), wrong.into_pyarray(py)))
}

/// Checks of a plan, (rows, 2) of true- and false-positive rates, beside one law or as many.
pub(crate) fn judges(checks: &PyReadonlyArray2<'_, f64>, harm: f64, laws: usize) -> PyResult<Vec<Judge>> {
    let (rows, width) = checks.as_array().dim();
    if width != 2 || rows == 0 || !(laws == 1 || laws == rows) {
        return Err(PyValueError::new_err(format!("{rows} checks of {width} rates for {laws} laws")));
    }
    let rates = checks.as_slice().map_err(contiguous)?.as_chunks::<2>().0;
    let judge = |&[true_positive, false_positive]: &[f64; 2]| Judge {
        check: Check { true_positive, false_positive },
        harm,
    };
    Ok(rates.iter().map(judge).collect())
}

/// Best choices and Chinchilla's as (N, D, k, right, wrong, best k if samples were free), (rows, 6) each, and the
/// bounds of both, (rows, 2).
pub(crate) fn plans<'py>(
    py: Python<'py>,
    surfaces: &[impl Population],
    asked: Asked,
    checks: &PyReadonlyArray2<'py, f64>,
    harm: f64,
) -> PyResult<Plans<'py>> {
    let judges = judges(checks, harm, surfaces.len())?;
    let constraints: Constraints = asked.constraints.into();
    let rule = rule_of(asked.tokens_per_param);
    let budget = Budget { train: asked.train_flops, inference: asked.inference_flops };
    let one = |row: usize| plan(&surfaces[row % surfaces.len()], budget, &constraints, rule, judges[row]);
    let (mut best, mut chinchilla, mut bounds) = (Vec::new(), Vec::new(), Vec::new());
    for first in (0..judges.len()).step_by(CHUNK) {
        let range = first..judges.len().min(first + CHUNK);
        let found: Result<Vec<_>, Error> = py.detach(|| range.into_par_iter().map(one).collect());
        for plan in found.map_err(|error| PyValueError::new_err(error.to_string()))? {
            best.extend(row(&plan.best));
            chinchilla.extend(row(&plan.chinchilla));
            bounds.extend([code(plan.best.bound), code(plan.chinchilla.bound)]);
        }
        py.check_signals()?;
    }
    let count = judges.len();
    Ok((
        best.into_pyarray(py).reshape([count, 6])?,
        chinchilla.into_pyarray(py).reshape([count, 6])?,
        PyArray1::from_vec(py, bounds).reshape([count, 2])?,
    ))
}

fn row(choice: &Choice) -> [f64; 6] {
    [choice.n, choice.d, choice.k, choice.outcome.right, choice.outcome.wrong, choice.free_k]
}

/// Right and wrong answers at points (N, D, k) of every row of checks, (rows, points, 2).
pub(crate) fn outcomes<'py>(
    py: Python<'py>,
    surfaces: &[impl Population],
    (n, d, k): (&[f64], &[f64], &[f64]),
    checks: &PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyArray3<f64>>> {
    let judges = judges(checks, 0.0, surfaces.len())?;
    let at = |i: usize| {
        let (row, j) = (i / n.len(), i % n.len());
        let surface = &surfaces[row % surfaces.len()];
        let found = judges[row].reported(surface, n[j].ln(), d[j].ln(), k[j].ln());
        [found.right, found.wrong]
    };
    let values: Vec<[f64; 2]> =
        py.detach(|| (0..judges.len() * n.len()).into_par_iter().with_min_len(16).map(at).collect());
    values.into_flattened().into_pyarray(py).reshape([judges.len(), n.len(), 2])
}

/// The laws of the rows of parameters.
pub(crate) fn formulas<'a>(name: &str, params: &'a PyReadonlyArray2<'_, f64>) -> PyResult<Vec<Formula<'a>>> {
    let law = law_named(name)?;
    check_width(law, params)?;
    if !law.knows_problems() {
        return Err(PyValueError::new_err(format!("the {name} law does not say how problems differ")));
    }
    let rows = params.as_slice().map_err(contiguous)?.chunks_exact(law.parameters().len());
    Ok(rows.map(|params| Formula { law, params }).collect())
}

/// Plans with every parameter row under a check that errs, see [`plans`].
#[pyfunction]
pub fn plan_checked<'py>(
    py: Python<'py>,
    name: &str,
    params: PyReadonlyArray2<'py, f64>,
    asked: Asked,
    checks: PyReadonlyArray2<'py, f64>,
    harm: f64,
) -> PyResult<Plans<'py>> {
    plans(py, &formulas(name, &params)?, asked, &checks, harm)
}

/// Right and wrong answers of every parameter row at points, see [`outcomes`].
#[pyfunction]
pub fn law_outcomes<'py>(
    py: Python<'py>,
    name: &str,
    params: PyReadonlyArray2<'py, f64>,
    n: PyReadonlyArray1<'py, f64>,
    d: PyReadonlyArray1<'py, f64>,
    k: PyReadonlyArray1<'py, f64>,
    checks: PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyArray3<f64>>> {
    let points = points(&n, &d, &k)?;
    outcomes(py, &formulas(name, &params)?, points, &checks)
}

/// Columns of one length.
pub(crate) fn points<'a>(
    n: &'a Column,
    d: &'a Column,
    k: &'a Column,
) -> PyResult<(&'a [f64], &'a [f64], &'a [f64])> {
    let (n, d, k) = (n.as_slice()?, d.as_slice()?, k.as_slice()?);
    if n.len() != d.len() || n.len() != k.len() {
        return Err(PyValueError::new_err("n, d and k must agree in length"));
    }
    Ok((n, d, k))
}

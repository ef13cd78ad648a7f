//! Bindings of the forecast law.

// A column of a table each: a struct would only be taken apart again.
#![allow(clippy::too_many_arguments)]

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use t2fast_core::forecast::draws::{self, Draw};
use t2fast_core::forecast::noise::{Noise, WIDTH};
use t2fast_core::forecast::state::{GROWTH, Kind, Refit, State};
use t2fast_core::forecast::view::{Seen, View, Which, plan_each};
use t2fast_core::forecast::{self, Member, Quantity, Table};
use t2fast_core::plan::plan;
use t2fast_core::plan::spending::best;

use crate::cancel::cancellable;
use crate::checked::{self, Asked, points};
use crate::plan::{Limits, Plans, budgets, collect, rule_of};
use crate::spending;

/// Plans between two looks at pending signals: a fraction of a second at worst.
const CHUNK: usize = 128;

type Column<'py> = PyReadonlyArray1<'py, f64>;
type Rows<'py> = PyReadonlyArray2<'py, f64>;

fn quantity_of(metric: &str, chance: f64) -> PyResult<Quantity> {
    match metric {
        "pass@k" => Ok(Quantity::Passing),
        "accuracy" => Ok(Quantity::Accuracy { guessing: -(-chance).ln_1p() }),
        "loss" => Ok(Quantity::Loss),
        other => {
            Err(PyValueError::new_err(format!("metric {other:?} is not 'pass@k', 'accuracy' or 'loss'")))
        }
    }
}

/// Measurements: z (checkpoints, K) with its variance, at `places` (checkpoints, 2) of ln N and ln D.
#[pyclass(frozen, module = "t2fast._core")]
pub struct ForecastTable(Table);

#[pymethods]
impl ForecastTable {
    #[new]
    fn new(
        metric: &str,
        chance: f64,
        places: Rows<'_>,
        ks: Column<'_>,
        z: Rows<'_>,
        variance: Rows<'_>,
    ) -> PyResult<Self> {
        let quantity = quantity_of(metric, chance)?;
        let ((checkpoints, axes), width) = (places.as_array().dim(), ks.len()?);
        if checkpoints == 0 || width == 0 || axes != 2 {
            return Err(PyValueError::new_err(
                "places must be (checkpoints, 2), and neither they nor ks empty",
            ));
        }
        for (name, array) in [("z", &z), ("variance", &variance)] {
            let shape = array.as_array().dim();
            if shape != (checkpoints, width) {
                return Err(PyValueError::new_err(format!(
                    "{name} is {shape:?}, expected ({checkpoints}, {width})"
                )));
            }
        }
        Ok(Self(Table {
            quantity,
            places: places.as_array().outer_iter().map(|p| [p[0], p[1]]).collect(),
            ks: ks.as_slice()?.to_vec(),
            z: z.as_slice()?.to_vec(),
            variance: variance.as_slice()?.to_vec(),
        }))
    }
}

/// Parameters (members, parameters) and error scales, checked against what is forecast.
fn members_of(quantity: Quantity, thetas: &Rows, scales: &[f64]) -> PyResult<Vec<f64>> {
    let expected = (quantity.powers().len(), quantity.parameters().len());
    let found = thetas.as_array().dim();
    if found != expected || scales.len() != expected.0 {
        return Err(PyValueError::new_err(format!(
            "thetas are {found:?} with {} scales, expected {expected:?} and {}",
            scales.len(),
            expected.0
        )));
    }
    Ok(thetas.as_slice()?.to_vec())
}

/// Names of a member's parameters, and the exponent of each member's transform.
#[pyfunction]
pub fn forecast_members(metric: &str) -> PyResult<(Vec<&'static str>, Vec<f64>)> {
    let quantity = quantity_of(metric, 0.0)?;
    Ok((quantity.parameters().to_vec(), quantity.powers().to_vec()))
}

/// What the search of one member found.
#[pyclass(frozen, get_all, module = "t2fast._core")]
pub struct ForecastMember {
    /// Exponent l of its transform.
    power: f64,
    /// Its parameters.
    theta: Py<PyArray1<f64>>,
    /// Root mean square residual of a checkpoint in units of the transform.
    scale: f64,
    /// Half the penalised sum of squares.
    objective: f64,
    /// Whether the end point is a minimum as far as the search can tell.
    converged: bool,
    /// Why the search ended, in words.
    reason: &'static str,
    /// Evaluations of the objective.
    evaluations: usize,
}

impl ForecastMember {
    fn new(py: Python<'_>, member: Member) -> Self {
        Self {
            power: member.power,
            theta: member.theta.into_pyarray(py).unbind(),
            scale: member.scale,
            objective: member.objective,
            converged: member.reason.converged(),
            reason: member.reason.describe(),
            evaluations: member.evaluations,
        }
    }
}

/// How the widening of a law's intervals grows, for each unit of ln N or ln D from the nearest checkpoint.
#[pyfunction]
pub fn forecast_growth() -> f64 {
    GROWTH
}

/// Fits the members of the forecast law.
#[pyfunction]
pub fn fit_forecast(py: Python<'_>, table: &ForecastTable) -> PyResult<Vec<ForecastMember>> {
    let members = cancellable(py, |cancel| forecast::fit(&table.0, cancel))?;
    Ok(members.into_iter().map(|member| ForecastMember::new(py, member)).collect())
}

/// Refits of the members to perturbed measurements, one a row.
#[pyclass(frozen, get_all, module = "t2fast._core")]
pub struct ForecastRefits {
    /// (refits, members x parameters).
    thetas: Py<PyArray2<f64>>,
    /// (refits, checkpoints x K).
    z: Py<PyArray2<f64>>,
    /// (refits, 5).
    noise: Py<PyArray2<f64>>,
    /// For each refit whether every search converged.
    converged: Vec<bool>,
}

/// Refits `first..first + count` of the members. `bases` (count, checkpoints x K) replaces the measurements.
#[pyfunction]
#[pyo3(signature = (table, thetas, scales, bases, seed, first, count))]
pub fn draw_forecast(
    py: Python<'_>,
    table: &ForecastTable,
    thetas: Rows<'_>,
    scales: Column<'_>,
    bases: Option<Rows<'_>>,
    seed: u64,
    first: u64,
    count: usize,
) -> PyResult<ForecastRefits> {
    let (table, scales) = (&table.0, scales.as_slice()?);
    let thetas = members_of(table.quantity, &thetas, scales)?;
    if let Some(bases) = &bases
        && bases.as_array().dim() != (count, table.z.len())
    {
        let shape = bases.as_array().dim();
        return Err(PyValueError::new_err(format!("bases are {shape:?}, not ({count}, {})", table.z.len())));
    }
    let bases = bases.as_ref().map(|b| b.as_slice()).transpose()?;
    let job = draws::Job { table, thetas: &thetas, scales, bases, seed };
    let draws = cancellable(py, |cancel| job.draw(first, count, cancel))?;
    let rows = |of: &dyn Fn(&Draw) -> Vec<f64>| {
        PyArray2::from_vec2(py, &draws.iter().map(of).collect::<Vec<_>>()).map(Bound::unbind)
    };
    Ok(ForecastRefits {
        thetas: rows(&|draw| draw.thetas.clone())?,
        z: rows(&|draw| draw.z.clone())?,
        noise: rows(&|draw| draw.noise.row().to_vec())?,
        converged: draws.iter().map(|draw| draw.converged).collect(),
    })
}

type Values<'py> = Bound<'py, PyArray1<f64>>;

/// A forecast law ready to predict and plan.
#[pyclass(frozen)]
pub struct ForecastState(State);

#[pymethods]
impl ForecastState {
    #[new]
    #[pyo3(signature = (table, thetas, scales, draws=None, widening=0.0))]
    fn new(
        py: Python<'_>,
        table: &ForecastTable,
        thetas: Rows<'_>,
        scales: Column<'_>,
        draws: Option<(Rows<'_>, Rows<'_>, Rows<'_>)>,
        widening: f64,
    ) -> PyResult<Self> {
        let (table, scales) = (&table.0, scales.as_slice()?);
        let thetas = members_of(table.quantity, &thetas, scales)?;
        let mut refits = Vec::new();
        if let Some((theta, z, noise)) = &draws {
            let rows = noise.as_array().nrows();
            if theta.as_array().dim() != (rows, thetas.len())
                || z.as_array().dim() != (rows, table.z.len())
                || noise.as_array().ncols() != WIDTH
            {
                return Err(PyValueError::new_err(format!(
                    "draws must be thetas ({rows}, {}), z ({rows}, {}) and noise ({rows}, {WIDTH})",
                    thetas.len(),
                    table.z.len()
                )));
            }
            let (theta, z) = (theta.as_slice()?, z.as_slice()?);
            let pairs = theta.chunks_exact(thetas.len()).zip(z.chunks_exact(table.z.len()));
            let noise = noise.as_slice()?.as_chunks::<WIDTH>().0;
            for ((thetas, z), row) in pairs.zip(noise) {
                let noise = Noise::from_row(row, scales.len()).ok_or_else(|| {
                    PyValueError::new_err(format!(
                        "the last noise of a draw is {}, which is none of {} members",
                        row[WIDTH - 1],
                        scales.len()
                    ))
                })?;
                refits.push(Refit { thetas, z, noise });
            }
        }
        Ok(Self(cancellable(py, |cancel| {
            State::new(table.clone(), &thetas, scales, &refits, widening, cancel)
        })?))
    }

    /// Values at points (N, D, k), and the part of z that is the process.
    fn values<'py>(
        &self,
        py: Python<'py>,
        n: Column<'py>,
        d: Column<'py>,
        k: Column<'py>,
    ) -> PyResult<(Values<'py>, Values<'py>)> {
        let (n, d, k) = points(&n, &d, &k)?;
        let (values, process): (Vec<f64>, Vec<f64>) =
            py.detach(|| self.0.values(n, d, k)).into_iter().unzip();
        Ok((values.into_pyarray(py), process.into_pyarray(py)))
    }

    /// Values of every draw at points (N, D, k), (draws, points); kind is "parameters", "mean" or "checkpoint".
    fn draw_values<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        n: Column<'py>,
        d: Column<'py>,
        k: Column<'py>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let kind = match kind {
            "parameters" => Kind::Parameters,
            "mean" => Kind::Mean,
            "checkpoint" => Kind::Checkpoint,
            other => {
                let message = format!("kind {other:?} is not 'parameters', 'mean' or 'checkpoint'");
                return Err(PyValueError::new_err(message));
            }
        };
        let (n, d, k) = points(&n, &d, &k)?;
        let values = py.detach(|| self.0.draw_values(kind, n, d, k));
        values.into_pyarray(py).reshape([self.0.draws(), n.len()])
    }

    /// Plans as `plan_batch` makes them, for every budget and each forecast of `which`: "point", the law; "members",
    /// the law without its process; "draws", each draw.
    fn plan<'py>(
        &self,
        py: Python<'py>,
        which: &str,
        train: Column<'py>,
        inference: Column<'py>,
        constraints: Limits,
        tokens_per_param: Option<f64>,
    ) -> PyResult<Plans<'py>> {
        let (rows, budgets) = (self.views(which)?, budgets(&train, &inference)?);
        let (constraints, rule) = (constraints.into(), rule_of(tokens_per_param));
        if let [row] = rows[..] {
            let one = |index: usize| plan(&row, index, budgets[index], &constraints, rule);
            return collect(py, budgets.len(), CHUNK, |range| range.into_par_iter().map(one).collect());
        }
        let (width, count) = (rows.len(), budgets.len() * rows.len());
        collect(py, count, CHUNK, |range| {
            let mut found = Vec::with_capacity(range.len());
            while found.len() < range.len() {
                let pair = range.start + found.len();
                let (index, row) = (pair / width, pair % width);
                let views = &rows[row..width.min(row + range.end - pair)];
                found.extend(plan_each(views, index, budgets[index], &constraints, rule)?);
            }
            Ok(found)
        })
    }

    /// Plans as `plan_checked` makes them, with each forecast of `which`.
    fn plan_checked<'py>(
        &self,
        py: Python<'py>,
        which: &str,
        asked: Asked,
        checks: Rows<'py>,
        harm: f64,
    ) -> PyResult<Plans<'py>> {
        checked::plans(py, &self.passing(which)?, asked, &checks, harm)
    }

    /// Answers as `law_outcomes` has them, with each forecast of `which`.
    fn outcomes<'py>(
        &self,
        py: Python<'py>,
        which: &str,
        n: Column<'py>,
        d: Column<'py>,
        k: Column<'py>,
        checks: Rows<'py>,
    ) -> PyResult<Bound<'py, PyArray3<f64>>> {
        checked::outcomes(py, &self.passing(which)?, points(&n, &d, &k)?, &checks)
    }

    /// Plans as `spend_batch` makes them, with each forecast of `which`.
    fn spend<'py>(
        &self,
        py: Python<'py>,
        which: &str,
        search: spending::Search,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (rows, (constraints, goal)) = (self.views(which)?, search.parts()?);
        if let [row] = rows[..] {
            return spending::rows(py, 1, |_| best(&row, &constraints, goal));
        }
        let seen = match rows.first() {
            Some(&first) => py.detach(|| Seen::by(first, |visit| best(visit, &constraints, goal)).0),
            None => Seen::default(),
        };
        spending::rows(py, rows.len(), |row| {
            best(&View { seen: Some(&seen), ..rows[row] }, &constraints, goal)
        })
    }

    /// Plans as `spend_checked` makes them, with each forecast of `which`.
    fn spend_checked<'py>(
        &self,
        py: Python<'py>,
        which: &str,
        search: spending::Search,
        checks: Rows<'py>,
        harm: f64,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        spending::checked_rows(py, &self.passing(which)?, search, &checks, harm)
    }
}

impl ForecastState {
    /// Forecasts of pass@k, which alone says how problems differ.
    fn passing(&self, which: &str) -> PyResult<Vec<View<'_>>> {
        match self.0.quantity() {
            Quantity::Passing => self.views(which),
            _ => Err(PyValueError::new_err("this law does not say how problems differ")),
        }
    }

    /// Forecasts to plan with: "point", "members" or "draws".
    fn views(&self, which: &str) -> PyResult<Vec<View<'_>>> {
        let view = |which| View { state: &self.0, which, seen: None };
        match which {
            "point" => Ok(vec![view(Which::Point)]),
            "members" => Ok(vec![view(Which::Members)]),
            "draws" => Ok((0..self.0.draws()).map(|draw| view(Which::Draw(draw))).collect()),
            other => Err(PyValueError::new_err(format!("{other:?} is not 'point', 'members' or 'draws'"))),
        }
    }
}

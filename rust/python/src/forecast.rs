//! Binding of the forecast law.

// A column of a table each: a struct would only be taken apart again.
#![allow(clippy::too_many_arguments)]

use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use t2fast_core::forecast::draws::{Draw, draw};
use t2fast_core::forecast::{self, Field, Forecast, Member, Quantity, Table};

use crate::cancel::cancellable;

/// A table with the forecast law's state for it.
#[pyclass(frozen)]
pub struct ForecastState {
    table: Table,
    point: Forecast,
    draws: Vec<Forecast>,
}

fn table_of(
    chance: Option<f64>,
    places: PyReadonlyArray2<'_, f64>,
    ks: PyReadonlyArray1<'_, f64>,
    z: PyReadonlyArray2<'_, f64>,
    variance: PyReadonlyArray2<'_, f64>,
) -> PyResult<Table> {
    let quantity = chance.map_or(Quantity::Loss, |c| Quantity::Passing { guessing: -(-c).ln_1p() });
    let (m, width) = (places.as_array().nrows(), ks.len()?);
    if m == 0 || width == 0 || places.as_array().ncols() != 2 {
        return Err(PyValueError::new_err("places must be (checkpoints, 2), and neither they nor ks empty"));
    }
    for (name, array) in [("z", &z), ("variance", &variance)] {
        let shape = array.as_array().dim();
        if shape != (m, width) {
            return Err(PyValueError::new_err(format!("{name} is {shape:?}, expected ({m}, {width})")));
        }
    }
    let places = places.as_array().outer_iter().map(|p| [p[0], p[1]]).collect();
    Ok(Table {
        quantity,
        places,
        ks: ks.as_slice()?.to_vec(),
        z: z.as_slice()?.to_vec(),
        variance: variance.as_slice()?.to_vec(),
    })
}

/// Fits the members of the forecast law.
#[pyfunction]
pub fn fit_forecast<'py>(
    py: Python<'py>,
    chance: Option<f64>,
    places: PyReadonlyArray2<'py, f64>,
    ks: PyReadonlyArray1<'py, f64>,
    z: PyReadonlyArray2<'py, f64>,
    variance: PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let table = table_of(chance, places, ks, z, variance)?;
    let members = cancellable(py, |cancel| forecast::fit(&table, cancel))?;
    let dict = PyDict::new(py);
    let thetas: Vec<Vec<f64>> = members.iter().map(|m| m.theta.clone()).collect();
    dict.set_item("thetas", PyArray2::from_vec2(py, &thetas)?)?;
    dict.set_item("scales", members.iter().map(|m| m.scale).collect::<Vec<_>>())?;
    dict.set_item("objective", members.iter().map(|m| m.objective).collect::<Vec<_>>())?;
    dict.set_item("converged", members.iter().map(|m| m.reason.converged()).collect::<Vec<_>>())?;
    dict.set_item("reason", members.iter().map(|m| m.reason.describe()).collect::<Vec<_>>())?;
    dict.set_item("evaluations", members.iter().map(|m| m.evaluations).collect::<Vec<_>>())?;
    Ok(dict)
}

/// Refits of the members to perturbed measurements: parameters, measurements and effects of new checkpoints.
#[pyfunction]
pub fn draw_forecast<'py>(
    py: Python<'py>,
    chance: Option<f64>,
    places: PyReadonlyArray2<'py, f64>,
    ks: PyReadonlyArray1<'py, f64>,
    z: PyReadonlyArray2<'py, f64>,
    variance: PyReadonlyArray2<'py, f64>,
    thetas: PyReadonlyArray2<'py, f64>,
    scales: Vec<f64>,
    scatter: f64,
    bases: Option<PyReadonlyArray2<'py, f64>>,
    seed: u64,
    count: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let table = table_of(chance, places, ks, z, variance)?;
    let powers = table.quantity.powers();
    let members: Vec<Member> = (0..powers.len())
        .map(|i| Member {
            power: powers[i],
            theta: thetas.as_array().row(i).to_vec(),
            scale: scales[i],
            objective: 0.0,
            reason: t2fast_core::levenberg::Reason::Converged,
            evaluations: 0,
        })
        .collect();
    let bases = bases.as_ref().map(|b| b.as_slice()).transpose()?;
    let draws = cancellable(py, |cancel| draw(&table, &members, scatter, bases, seed, count, cancel))?;
    let dict = PyDict::new(py);
    let rows = |of: fn(&Draw) -> &Vec<f64>| {
        PyArray2::from_vec2(py, &draws.iter().map(|d| of(d).clone()).collect::<Vec<_>>())
    };
    dict.set_item("thetas", rows(|d| &d.thetas)?)?;
    dict.set_item("z", rows(|d| &d.z)?)?;
    dict.set_item("effects", PyArray1::from_iter(py, draws.iter().map(|d| d.effect)))?;
    dict.set_item("converged", draws.iter().map(|d| d.converged).collect::<Vec<_>>())?;
    Ok(dict)
}

#[pymethods]
impl ForecastState {
    #[new]
    #[pyo3(signature = (chance, places, ks, z, variance, thetas, draw_thetas=None, draw_z=None))]
    fn new(
        py: Python<'_>,
        chance: Option<f64>,
        places: PyReadonlyArray2<'_, f64>,
        ks: PyReadonlyArray1<'_, f64>,
        z: PyReadonlyArray2<'_, f64>,
        variance: PyReadonlyArray2<'_, f64>,
        thetas: PyReadonlyArray2<'_, f64>,
        draw_thetas: Option<PyReadonlyArray2<'_, f64>>,
        draw_z: Option<PyReadonlyArray2<'_, f64>>,
    ) -> PyResult<Self> {
        let table = table_of(chance, places, ks, z, variance)?;
        let thetas = thetas.as_slice()?.to_vec();
        let dt = draw_thetas.as_ref().map(|b| b.as_slice()).transpose()?.unwrap_or(&[]);
        let dz = draw_z.as_ref().map(|b| b.as_slice()).transpose()?.unwrap_or(&[]);
        let mut rows: Vec<(&[f64], &[f64])> = vec![(&thetas, &table.z)];
        rows.extend(dt.chunks_exact(thetas.len()).zip(dz.chunks_exact(table.z.len())));
        let mut all = cancellable(py, |cancel| {
            let field = Field::new(&table);
            let scales = field.scales(&thetas);
            field.forecasts(&rows, &scales, cancel)
        })?;
        let draws = all.split_off(1);
        let point = all.pop().ok_or_else(|| PyValueError::new_err("none"))?;
        Ok(Self { table, point, draws })
    }

    /// z at (N, D, k).
    fn predict<'py>(
        &self,
        py: Python<'py>,
        n: PyReadonlyArray1<'py, f64>,
        d: PyReadonlyArray1<'py, f64>,
        k: PyReadonlyArray1<'py, f64>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let (n, d, k) = (n.as_slice()?, d.as_slice()?, k.as_slice()?);
        let field = Field::new(&self.table);
        let z: Vec<f64> =
            (0..n.len()).map(|i| field.z(&self.point, &field.spot(n[i].ln(), d[i].ln()), k[i]).0).collect();
        Ok(PyArray1::from_vec(py, z))
    }

    /// z of all draws at (N, D, k): (draws, points).
    fn predict_draws<'py>(
        &self,
        py: Python<'py>,
        n: PyReadonlyArray1<'py, f64>,
        d: PyReadonlyArray1<'py, f64>,
        k: PyReadonlyArray1<'py, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (n, d, k) = (n.as_slice()?, d.as_slice()?, k.as_slice()?);
        let field = Field::new(&self.table);
        let spots: Vec<_> = (0..n.len()).map(|i| field.spot(n[i].ln(), d[i].ln())).collect();
        let z: Vec<Vec<f64>> = self
            .draws
            .iter()
            .map(|f| (0..n.len()).map(|i| field.z(f, &spots[i], k[i]).0).collect())
            .collect();
        Ok(PyArray2::from_vec2(py, &z)?)
    }
}

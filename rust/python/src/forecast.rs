//! Binding of the forecast law.

use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use t2fast_core::forecast::{self, Field, Forecast, Quantity, Table};

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

#[pymethods]
impl ForecastState {
    #[new]
    fn new(
        py: Python<'_>,
        chance: Option<f64>,
        places: PyReadonlyArray2<'_, f64>,
        ks: PyReadonlyArray1<'_, f64>,
        z: PyReadonlyArray2<'_, f64>,
        variance: PyReadonlyArray2<'_, f64>,
        thetas: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Self> {
        let table = table_of(chance, places, ks, z, variance)?;
        let thetas = thetas.as_slice()?.to_vec();
        let point = cancellable(py, |cancel| {
            let field = Field::new(&table);
            let scales = field.scales(&thetas);
            field.forecasts(&[(&thetas, &table.z)], &scales, cancel)?.pop()
        })?;
        Ok(Self { table, point, draws: Vec::new() })
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
        let _ = &self.draws;
        let field = Field::new(&self.table);
        let z: Vec<f64> =
            (0..n.len()).map(|i| field.z(&self.point, &field.spot(n[i].ln(), d[i].ln()), k[i]).0).collect();
        Ok(PyArray1::from_vec(py, z))
    }
}

//! Model files seen from Python: GGUF metadata and dequantised tensors.

use std::path::PathBuf;

use numpy::{PyArrayDyn, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use t2fast_decode::tensor::{DType, Tensor};
use t2fast_decode::{dequant, gguf, load};

/// All metadata of a GGUF file: keys to int, float, bool, str or lists of these.
///
/// Raises ValueError naming the file and what is wrong with it.
#[pyfunction]
pub fn gguf_metadata<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let metadata = py.detach(|| gguf::metadata(&path)).map_err(value_error)?;
    let dict = PyDict::new(py);
    for (key, value) in &metadata {
        let value = to_python(py, value)
            .map_err(|e| PyValueError::new_err(format!("{}: metadata {key:?}: {e}", path.display())))?;
        dict.set_item(key, value)?;
    }
    Ok(dict)
}

/// What loads: model types of folders, architectures of GGUF files, and types of their tensors, by name.
#[pyfunction]
pub fn model_formats() -> (Vec<&'static str>, Vec<&'static str>, Vec<&'static str>) {
    (load::FOLDERS.to_vec(), load::GGUFS.to_vec(), DType::ALL.map(DType::name).to_vec())
}

/// One tensor of a GGUF or safetensors file (or a folder of these) as float32, in its stored shape, outermost
/// dimension first.
///
/// Raises ValueError for a tensor that is not there or has a type that [`model_formats`] does not name.
#[pyfunction]
pub fn dequantize<'py>(
    py: Python<'py>,
    path: PathBuf,
    tensor_name: &str,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let weights = py.detach(|| load::weights(&path)).map_err(value_error)?;
    let shape = weights.shape(tensor_name).map_err(value_error)?.to_vec();
    let tensor = weights.tensor(tensor_name).map_err(value_error)?;
    to_array(py, &tensor, shape)
}

/// A stored tensor as a float32 array of `shape`.
pub(crate) fn to_array<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    shape: Vec<usize>,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let array = PyArrayDyn::<f32>::zeros(py, shape, false);
    let mut out = array.readwrite();
    let out = out.as_slice_mut()?;
    py.detach(|| {
        for (row, out) in out.chunks_exact_mut(tensor.cols.max(1)).enumerate() {
            dequant::row_to_f32(tensor, row, out);
        }
    });
    Ok(array)
}

fn to_python<'py>(py: Python<'py>, value: &gguf::Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        gguf::Value::Unsigned(n) => n.into_pyobject(py)?.into_any(),
        gguf::Value::Signed(n) => n.into_pyobject(py)?.into_any(),
        gguf::Value::Float(x) => x.into_pyobject(py)?.into_any(),
        gguf::Value::Bool(b) => b.into_pyobject(py)?.to_owned().into_any(),
        gguf::Value::String(s) => s.into_pyobject(py)?.into_any(),
        gguf::Value::Array(array) => {
            let list = PyList::empty(py);
            for element in array.iter() {
                list.append(to_python(py, &element.map_err(PyValueError::new_err)?)?)?;
            }
            list.into_any()
        }
    })
}

pub(crate) fn value_error(error: load::LoadError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

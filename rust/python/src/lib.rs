//! The Python module `t2fast._core`: parse arguments, release the interpreter, call `t2fast_core`, map errors.

use pyo3::prelude::*;

mod plan;

/// Rust core of t2fast.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::plan::{law_parameters, law_values, plan_batch};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

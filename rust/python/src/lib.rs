//! The Python module `t2fast._core`: parse arguments, release the interpreter, call `t2fast_core`, map errors.

use pyo3::prelude::*;

mod cancel;
mod fit;

/// Rust core of t2fast.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::fit::{
        fit_counts, fit_huber, fit_joint, fit_link, fit_loss_restarts, fit_power_sum, law_latent,
        law_parameters, law_value,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

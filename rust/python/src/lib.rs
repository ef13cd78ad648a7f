//! The Python module `t2fast._core`: parse arguments, release the interpreter, call `t2fast_core`, map errors.

use pyo3::prelude::*;

mod beyond;
mod cancel;
mod decode;
mod decode_files;
mod decode_model;
mod fit;
mod passk;
mod plan;

/// Rust core of t2fast.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::beyond::{fit_beyond, samples_follow_outcome};
    #[pymodule_export]
    use super::decode::DecodeEngine;
    #[pymodule_export]
    use super::decode_files::{dequantize, gguf_metadata};
    #[pymodule_export]
    use super::decode_model::ModelFile;
    #[pymodule_export]
    use super::fit::{fit_counts, fit_huber, fit_joint, fit_link, fit_loss_restarts, fit_power_sum};
    #[pymodule_export]
    use super::passk::{
        beta_pass_at_k, beta_quantile, expected_samples, logit_normal_pass_at_k, pass_at_k_variance,
        scaled_beta_failure, tail_cells, tail_grid,
    };
    #[pymodule_export]
    use super::plan::{law_parameters, law_values, plan_batch};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

//! The Python module `t2fast._core`: parse arguments, release the interpreter, call `t2fast_core`, map errors.

use pyo3::prelude::*;

mod beyond;
mod cancel;
mod checked;
mod choose;
mod compare;
mod data_wall;
mod decode;
mod decode_files;
mod decode_model;
mod decode_request;
mod fit;
mod forecast;
mod passk;
mod plan;
mod spending;

/// Rust core of t2fast.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::beyond::{fit_beyond, samples_follow_outcome};
    #[pymodule_export]
    use super::checked::{law_outcomes, plan_checked, verified_beta};
    #[pymodule_export]
    use super::choose::resampled_means;
    #[pymodule_export]
    use super::compare::{probability_best, simultaneous_band};
    #[pymodule_export]
    use super::data_wall::{data_wall_amount, data_wall_best_params, data_wall_effective, data_wall_loss};
    #[pymodule_export]
    use super::decode::DecodeEngine;
    #[pymodule_export]
    use super::decode_files::{dequantize, gguf_metadata, model_formats};
    #[pymodule_export]
    use super::decode_model::ModelFile;
    #[pymodule_export]
    use super::decode_request::ModelDescription;
    #[pymodule_export]
    use super::fit::{
        FitOutcome, fit_counts, fit_data_wall, fit_direct, fit_huber, fit_joint, fit_link, fit_loss_restarts,
        fit_power_sum, weighted_means,
    };
    #[pymodule_export]
    use super::forecast::{
        ForecastMember, ForecastRefits, ForecastState, ForecastTable, draw_forecast, fit_forecast,
        forecast_growth, forecast_members,
    };
    #[pymodule_export]
    use super::passk::{
        beta_pass_at_k, beta_quantile, expected_samples, likely_pass_at_k, logit_normal_pass_at_k,
        pass_at_k_variance, scaled_beta_failure, tail_cells, tail_grid,
    };
    #[pymodule_export]
    use super::plan::{
        beta_parameters, budget_line, law_parameters, law_refusal, law_values, loss_mixture, plan_batch,
    };
    #[pymodule_export]
    use super::spending::{spend_batch, spend_checked};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

//! A CPU engine that draws k samples from one prompt for small decoder-only transformers.
//!
//! Files are read by `gguf`, `safetensors` and `load` into one [`model::Model`]; nothing here knows a task or Python.

mod aligned;
mod batch;
mod cache;
mod engine;
mod head;
mod kernels;
pub mod model;
mod pack;
mod philox;
mod pool;
mod prefill;
mod sampling;
mod score;
mod step;
pub mod tensor;
mod weights;

pub use engine::{Engine, Error, Finish, Observer, Options, Precision, Request, Sample, Silent};
pub use kernels::Kernel;
pub use sampling::Sampling;

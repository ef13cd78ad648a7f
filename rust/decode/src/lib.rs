//! A CPU engine that draws k samples from one prompt for small decoder-only transformers.
//!
//! Files are read by `gguf`, `safetensors` and `load` into one [`model::Model`]; nothing here knows a task or Python.

mod aligned;
mod batch;
mod cache;
mod checks;
pub mod dequant;
mod engine;
mod error;
mod families;
pub mod gguf;
mod grid;
pub mod half;
mod head;
mod kernels;
pub mod load;
pub mod machine;
pub mod model;
#[cfg(test)]
mod naive;
mod network;
mod pack;
mod phases;
mod philox;
mod pool;
mod prefill;
mod request;
mod rope;
pub mod safetensors;
mod sampling;
mod score;
mod settings;
mod step;
pub mod tensor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod weights;

pub use engine::{Engine, Options, Precision};
pub use kernels::Kernel;
pub use request::{Drawn, Error, Finish, Observer, Request, Sample, Silent};
pub use sampling::Sampling;
pub use score::{logits_tokens, score_prompts};
pub use weights::Weights;

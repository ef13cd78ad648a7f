//! A CPU engine that draws k samples from one prompt for small decoder-only transformers.
//!
//! Files are read by `gguf`, `safetensors` and `load` into one [`model::Model`]; nothing here knows a task or Python.

pub mod dequant;
mod error;
mod families;
pub mod gguf;
pub mod load;
pub mod model;
mod rope;
pub mod safetensors;
mod settings;
pub mod tensor;
mod weights;

pub use weights::Weights;

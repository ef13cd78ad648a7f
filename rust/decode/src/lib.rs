//! A CPU engine that draws k samples from one prompt for small decoder-only transformers.
//!
//! Files are read by `gguf`, `safetensors` and `load` into one [`model::Model`]; nothing here knows a task or Python.

pub mod model;
pub mod tensor;

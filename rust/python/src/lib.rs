//! The Python module `t2fast._core`: parse arguments, release the interpreter, call `t2fast_core`, map errors.

mod decode;
mod decode_files;

use pyo3::prelude::*;

/// Rust core of t2fast.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use crate::decode::DecodeEngine;
    #[pymodule_export]
    use crate::decode_files::{dequantize, gguf_metadata};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

//! pass@k estimators, Train-to-Test scaling laws, their fits and the plans that follow from them.
//!
//! Pure Rust: slices in, structs out. Nothing here knows Python, files or tables.

pub mod beta;
pub mod bfgs;
pub mod fit;
pub mod laws;
pub mod levenberg;
pub mod linalg;
pub mod plan;
pub mod special;

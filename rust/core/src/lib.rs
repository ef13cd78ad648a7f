//! pass@k estimators, Train-to-Test scaling laws, their fits and the plans that follow from them.
//!
//! Pure Rust: slices in, structs out. Nothing here knows Python, files or tables.

pub mod beta;
pub mod beyond;
pub mod fit;
pub mod incomplete_beta;
pub mod laws;
pub mod levenberg;
pub mod linalg;
pub mod passk;
pub mod plan;
pub mod random;
pub mod special;

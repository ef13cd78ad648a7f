//! pass@k estimators, Train-to-Test scaling laws, their fits and the plans that follow from them.
//!
//! Pure Rust: slices in, structs out. Nothing here knows Python, files or tables.

pub mod beta;
pub mod beyond;
pub mod cancel;
pub mod choose;
pub mod compare;
pub mod data_wall;
pub mod fit;
pub mod forecast;
pub mod gaussian_process;
pub mod incomplete_beta;
mod lanes;
pub mod laws;
pub mod levenberg;
pub mod linalg;
mod logit;
pub mod means;
pub mod mixture;
pub mod passk;
pub mod plan;
pub mod random;
pub mod random_field;
pub mod rising;
pub mod special;
pub mod verified;

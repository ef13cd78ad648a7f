//! The data wall over arrays; a law is E, A, B, alpha, beta, R_D* and R_N*.

use numpy::{PyReadonlyArray1, PyReadwriteArray1};
use pyo3::prelude::*;
use t2fast_core::data_wall::{self, DataWall};

use crate::passk::{CHUNK, over_arrays};

fn law([floor, a, b, alpha, beta, r_d, r_n]: [f64; 7]) -> DataWall {
    DataWall { floor, scales: [a, b], exponents: [alpha, beta], repeats: [r_d, r_n] }
}

over_arrays! {
    /// Fill out with what amounts are worth of which `unique` counts in full.
    data_wall_effective(amount, unique, repeats), CHUNK, data_wall::effective(amount, unique, repeats)
}
over_arrays! {
    /// Fill out with the amounts that are worth so much; infinite where none is.
    data_wall_amount(effective, unique, repeats), CHUNK, data_wall::amount_worth(effective, unique, repeats)
}
over_arrays! {
    /// Fill out with the parameters for which tokens read once are Chinchilla-optimal.
    data_wall_best_params[params: [f64; 7]](tokens), CHUNK, law(params).best_params(tokens)
}
over_arrays! {
    /// Fill out with the loss at N and D tokens, `unique` of which are.
    data_wall_loss[params: [f64; 7]](n, d, unique), CHUNK, law(params).loss(n, d, unique)
}

//! Dense linear algebra for a handful of unknowns.
//!
//! Eigenvectors are nalgebra's: at 7 unknowns 2 µs (faer 4, Jacobi rotations by hand 57). Its Cholesky factors always
//! have all P unknowns, and the fits solve for few of them, many thousand times: with 1 to 3 of 4 they take 95 ns where
//! loops take 11 to 41, with 4 of 9 some 900 where loops take 110 (7 of 7: 130 and 275). A fit by variable projection
//! was a quarter longer with them.

use nalgebra::{DMatrix, SymmetricEigen};

/// A symmetric `P × P` matrix; only the leading `n × n` block is used where a function takes `n`.
pub type Matrix<const P: usize> = [[f64; P]; P];

/// Solves `a x = b` for the leading `n × n` block of a positive definite `a`; `None` where it is not, to working
/// precision.
pub fn cholesky_solve<const P: usize>(a: &Matrix<P>, b: &[f64; P], n: usize) -> Option<[f64; P]> {
    let mut l = *a;
    for j in 0..n {
        for p in 0..j {
            let factor = l[j][p];
            for i in j..n {
                l[i][j] -= l[i][p] * factor;
            }
        }
        // A pivot that lost all its digits means a dependent column: its solution would be noise.
        if l[j][j].is_nan() || l[j][j] <= 4.0 * f64::EPSILON * a[j][j] {
            return None;
        }
        let pivot = l[j][j].sqrt();
        (j..n).for_each(|i| l[i][j] /= pivot);
    }
    let mut x = *b;
    for i in 0..n {
        (0..i).for_each(|p| x[i] -= l[i][p] * x[p]);
        x[i] /= l[i][i];
    }
    for i in (0..n).rev() {
        (i + 1..n).for_each(|p| x[i] -= l[p][i] * x[p]);
        x[i] /= l[i][i];
    }
    Some(x)
}

/// Which of `P` parameters the data determine, from the normal matrix `JᵀJ` of their sensitivities.
///
/// A parameter is not identified if nothing depends on it, or if a direction along which the objective is flat to
/// working precision has a part in it.
pub fn identified<const P: usize>(normal: &Matrix<P>) -> [bool; P] {
    let mut out = [false; P];
    let scaled = DMatrix::from_fn(P, P, |i, j| {
        let scale = (normal[i][i] * normal[j][j]).sqrt();
        if scale > 0.0 { normal[i][j] / scale } else { 0.0 }
    });
    if scaled.iter().any(|v| !v.is_finite()) {
        return out;
    }
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(scaled);
    for i in 0..P {
        let flat: f64 =
            (0..P).filter(|&j| eigenvalues[j] < 1e-12).map(|j| eigenvectors[(i, j)].powi(2)).sum();
        out[i] = normal[i][i] > 0.0 && flat < 1e-3;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn solves_to_rounding(entries in proptest::array::uniform16(-1.0f64..1.0), b in proptest::array::uniform4(-1.0f64..1.0)) {
            let mut a = [[0.0; 4]; 4];
            for i in 0..4 { for j in 0..4 {
                a[i][j] = (0..4).map(|p| entries[4 * i + p] * entries[4 * j + p]).sum::<f64>() + if i == j { 0.1 } else { 0.0 };
            }}
            let x = cholesky_solve(&a, &b, 4).unwrap();
            for i in 0..4 {
                let ax: f64 = (0..4).map(|j| a[i][j] * x[j]).sum();
                prop_assert!((ax - b[i]).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn a_duplicated_column_is_not_identified() {
        // Columns 0 and 1 of J are equal, column 2 is independent, column 3 is zero.
        let normal = [[2.0, 2.0, 0.5, 0.0], [2.0, 2.0, 0.5, 0.0], [0.5, 0.5, 1.0, 0.0], [0.0; 4]];
        assert_eq!(identified(&normal), [false, false, true, false]);
        assert!(cholesky_solve(&normal, &[1.0; 4], 2).is_none());
    }
}

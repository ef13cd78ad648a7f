//! Dense linear algebra for a handful of unknowns, on nalgebra's factorisations.
//!
//! Of nalgebra and faer the first: at 7 unknowns its Cholesky solve takes 0.2 µs, as loops by hand did (faer 0.7), its
//! eigenvectors 2 µs (faer 4, Jacobi rotations by hand 57).

use nalgebra::{Cholesky, DMatrix, SMatrix, SVector, SymmetricEigen};

/// A symmetric `P × P` matrix; only the leading `n × n` block is used where a function takes `n`.
pub type Matrix<const P: usize> = [[f64; P]; P];

/// Solves `a x = b` for the leading `n × n` block of a positive definite `a`; `None` where it is not, to working
/// precision.
pub fn cholesky_solve<const P: usize>(a: &Matrix<P>, b: &[f64; P], n: usize) -> Option<[f64; P]> {
    // The identity stands in for what is beyond the block.
    let one = |same: bool| if same { 1.0 } else { 0.0 };
    let block = SMatrix::<f64, P, P>::from_fn(|i, j| if i.max(j) < n { a[i][j] } else { one(i == j) });
    let factor = Cholesky::new(block)?;
    // A pivot that lost all its digits means a dependent column: its solution would be noise.
    let pivots = factor.l_dirty().diagonal();
    if (0..n).any(|i| pivots[i] * pivots[i] <= 4.0 * f64::EPSILON * a[i][i]) {
        return None;
    }
    let mut x: [f64; P] = factor.solve(&SVector::from(*b)).into();
    x[n..].copy_from_slice(&b[n..]);
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

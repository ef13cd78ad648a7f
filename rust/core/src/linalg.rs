//! Dense linear algebra for a handful of unknowns: Cholesky, and the eigenvectors of a symmetric matrix.

/// A symmetric `P × P` matrix; only the leading `n × n` block is used where a function takes `n`.
pub type Matrix<const P: usize> = [[f64; P]; P];

/// Solves `a x = b` for the leading `n × n` block of a positive definite `a`; `None` where it is not, to working
/// precision.
pub fn cholesky_solve<const P: usize>(a: &Matrix<P>, b: &[f64; P], n: usize) -> Option<[f64; P]> {
    let mut l = *a;
    for j in 0..n {
        for p in 0..j {
            let ljp = l[j][p];
            for i in j..n {
                l[i][j] -= l[i][p] * ljp;
            }
        }
        // A pivot that lost all its digits means a dependent column: its solution would be noise.
        if l[j][j].is_nan() || l[j][j] <= 4.0 * f64::EPSILON * a[j][j] {
            return None;
        }
        let pivot = l[j][j].sqrt();
        for i in j..n {
            l[i][j] /= pivot;
        }
    }
    let mut x = *b;
    for i in 0..n {
        for p in 0..i {
            x[i] -= l[i][p] * x[p];
        }
        x[i] /= l[i][i];
    }
    for i in (0..n).rev() {
        for p in i + 1..n {
            x[i] -= l[p][i] * x[p];
        }
        x[i] /= l[i][i];
    }
    Some(x)
}

/// Eigenvalues and eigenvectors (columns of the second matrix) of a symmetric matrix, by cyclic Jacobi rotations.
pub fn symmetric_eigen<const P: usize>(matrix: &Matrix<P>) -> ([f64; P], Matrix<P>) {
    let mut a = *matrix;
    let mut v = [[0.0; P]; P];
    for (i, row) in v.iter_mut().enumerate() {
        row[i] = 1.0;
    }
    for _sweep in 0..60 {
        let off: f64 = (0..P).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        if off.sqrt() < 1e-300 {
            break;
        }
        for p in 0..P {
            for q in p + 1..P {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for i in 0..P {
                    let (x, y) = (a[i][p], a[i][q]);
                    (a[i][p], a[i][q]) = (c * x - s * y, s * x + c * y);
                }
                for i in 0..P {
                    let (x, y) = (a[p][i], a[q][i]);
                    (a[p][i], a[q][i]) = (c * x - s * y, s * x + c * y);
                }
                for row in &mut v {
                    let (x, y) = (row[p], row[q]);
                    (row[p], row[q]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
    }
    let mut values = [0.0; P];
    for (i, value) in values.iter_mut().enumerate() {
        *value = a[i][i];
    }
    (values, v)
}

/// Which of `P` parameters the data determine, from the normal matrix `JᵀJ` of their sensitivities.
///
/// A parameter is not identified if nothing depends on it, or if a direction along which the objective is flat to
/// working precision has a part in it.
pub fn identified<const P: usize>(normal: &Matrix<P>) -> [bool; P] {
    let mut scaled = [[0.0; P]; P];
    let mut out = [false; P];
    for i in 0..P {
        for j in 0..P {
            let scale = (normal[i][i] * normal[j][j]).sqrt();
            scaled[i][j] = if scale > 0.0 { normal[i][j] / scale } else { 0.0 };
        }
    }
    let (values, vectors) = symmetric_eigen(&scaled);
    for i in 0..P {
        let flat: f64 = (0..P).filter(|&j| values[j] < 1e-12).map(|j| vectors[i][j] * vectors[i][j]).sum();
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
        fn solves_and_decomposes(entries in proptest::array::uniform16(-1.0f64..1.0), b in proptest::array::uniform4(-1.0f64..1.0)) {
            let mut a = [[0.0; 4]; 4];
            for i in 0..4 { for j in 0..4 {
                a[i][j] = (0..4).map(|p| entries[4 * i + p] * entries[4 * j + p]).sum::<f64>() + if i == j { 0.1 } else { 0.0 };
            }}
            let x = cholesky_solve(&a, &b, 4).unwrap();
            for i in 0..4 {
                let ax: f64 = (0..4).map(|j| a[i][j] * x[j]).sum();
                prop_assert!((ax - b[i]).abs() < 1e-11);
            }
            let (values, v) = symmetric_eigen(&a);
            for i in 0..4 { for j in 0..4 {
                let back: f64 = (0..4).map(|p| v[i][p] * values[p] * v[j][p]).sum();
                prop_assert!((back - a[i][j]).abs() < 1e-12);
            }}
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

//! Means over problems, and what they would be over problems drawn anew.

/// Values of problems at checkpoints: one row a problem and checkpoint, NaN where a column has none.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Row-major.
    pub values: &'a [f64],
    /// Columns.
    pub columns: usize,
    /// The checkpoint of each row.
    pub checkpoint: &'a [usize],
    /// The problem of each row.
    pub problem: &'a [usize],
}

impl Rows<'_> {
    /// Fills `out`, (checkpoints, columns), with the mean of each column, problems weighted; NaN where no weight is left.
    pub fn weighted(&self, weights: &[f64], out: &mut [f64]) {
        let mut total = vec![0.0; out.len()];
        out.fill(0.0);
        for (row, values) in self.values.chunks_exact(self.columns).enumerate() {
            let weight = weights[self.problem[row]];
            // Nothing times an infinite value is nothing.
            if weight == 0.0 {
                continue;
            }
            let first = self.checkpoint[row] * self.columns;
            for (j, value) in values.iter().enumerate() {
                if !value.is_nan() {
                    out[first + j] += weight * value;
                    total[first + j] += weight;
                }
            }
        }
        out.iter_mut().zip(total).for_each(|(sum, weight)| *sum /= weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_count_and_gaps_do_not() {
        let values = [1.0, f64::NAN, 3.0, 5.0, f64::INFINITY, 7.0, 2.0, f64::NAN];
        let rows = Rows { values: &values, columns: 2, checkpoint: &[0, 0, 0, 1], problem: &[0, 1, 2, 0] };
        let mut out = [0.0; 4];
        rows.weighted(&[1.0, 3.0, 0.0], &mut out);
        assert_eq!(out[..3], [2.5, 5.0, 2.0]);
        assert!(out[3].is_nan());
    }
}

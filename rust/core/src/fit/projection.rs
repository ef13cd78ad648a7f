//! The exponents' side of a sum of powers: for fixed ones the coefficients solve a non-negative linear problem.
//!
//! So only the exponents are searched, over the objective that is left: its value, its slopes, and the basins of it that a
//! grid shows, which costs a table of dot products.

use crate::levenberg::Model;
use crate::linalg::{Matrix, cholesky_solve};

/// Least and greatest exponent searched.
pub const EXPONENTS: (f64, f64) = (0.01, 5.0);
/// Centre and deviation of the prior on ln α and ln β.
pub(super) const PRIOR: (f64, f64) = (-1.049_822_124_498_678, 0.3);
const GRID: usize = 18;
const BASINS: usize = 12;
/// E plus at most three terms.
const COLUMNS: usize = 4;

/// The data: `y[i]` measured at `x[j][i]`, with weight `w[i]`.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a, const J: usize> {
    /// Positive coordinates, one slice a term.
    pub x: [&'a [f64]; J],
    /// Measurements.
    pub y: &'a [f64],
    /// Weights; all one where absent.
    pub w: Option<&'a [f64]>,
    /// Greatest E allowed; infinite for no limit.
    pub e_max: f64,
}

/// Logarithms about their mean, so that every column is of order one, and the roots of the weights.
pub(super) struct Centred<const J: usize> {
    pub(super) logs: [Vec<f64>; J],
    pub(super) mean: [f64; J],
    pub(super) root: Vec<f64>,
    pub(super) y: Vec<f64>,
    pub(super) e_max: f64,
    /// Weight of the prior on the first two exponents; 0 for none.
    pub(super) penalty: f64,
}

/// The exponents' non-negative least squares problem, solved.
pub(super) struct Projection<const J: usize> {
    /// E, then C at the mean of the logs.
    pub(super) coefficients: [f64; COLUMNS],
    /// √w (Φc − y).
    pub(super) residuals: Vec<f64>,
    pub(super) columns: [Vec<f64>; J],
    pub(super) gram: Matrix<COLUMNS>,
}

impl<const J: usize> Centred<J> {
    pub(super) fn new(data: &Data<J>) -> Self {
        let root: Vec<f64> = match data.w {
            Some(w) => w.iter().map(|w| w.sqrt()).collect(),
            None => vec![1.0; data.y.len()],
        };
        let mut mean = [0.0; J];
        let logs = std::array::from_fn(|j| {
            let logs: Vec<f64> = data.x[j].iter().map(|x| x.ln()).collect();
            mean[j] = logs.iter().sum::<f64>() / logs.len() as f64;
            logs.iter().map(|l| l - mean[j]).collect()
        });
        let y = data.y.iter().zip(&root).map(|(y, r)| y * r).collect();
        Self { logs, mean, root, y, e_max: data.e_max, penalty: 0.0 }
    }

    fn column(&self, j: usize, exponent: f64) -> Vec<f64> {
        self.logs[j].iter().zip(&self.root).map(|(l, r)| r * (-exponent * l).exp()).collect()
    }

    /// Best non-negative coefficients for these exponents. A second solve on the residuals recovers the digits that
    /// the normal equations lose.
    pub(super) fn project(&self, exponents: &[f64; J]) -> Projection<J> {
        let columns: [Vec<f64>; J] = std::array::from_fn(|j| self.column(j, exponents[j]));
        let all: Vec<&[f64]> =
            std::iter::once(self.root.as_slice()).chain(columns.iter().map(Vec::as_slice)).collect();
        let (mut gram, mut rhs) = ([[0.0; COLUMNS]; COLUMNS], [0.0; COLUMNS]);
        for p in 0..=J {
            rhs[p] = dot(all[p], &self.y);
            for q in 0..=p {
                gram[p][q] = dot(all[p], all[q]);
                gram[q][p] = gram[p][q];
            }
        }
        let mut c = self.non_negative(&gram, &rhs, dot(&self.y, &self.y)).1;
        let mut residuals = vec![0.0; self.y.len()];
        for last in [false, true] {
            for (i, r) in residuals.iter_mut().enumerate() {
                *r = (0..=J).map(|p| c[p] * all[p][i]).sum::<f64>() - self.y[i];
            }
            if last {
                break;
            }
            let free: Vec<usize> =
                (0..=J).filter(|&p| c[p] > 0.0 && !(p == 0 && c[0] >= self.e_max)).collect();
            let (mut a, mut b) = ([[0.0; COLUMNS]; COLUMNS], [0.0; COLUMNS]);
            for (p, &i) in free.iter().enumerate() {
                b[p] = -dot(all[i], &residuals);
                for (q, &j) in free.iter().enumerate() {
                    a[p][q] = gram[i][j];
                }
            }
            if let Some(s) = cholesky_solve(&a, &b, free.len()) {
                for (p, &i) in free.iter().enumerate() {
                    c[i] = (c[i] + s[p]).max(0.0);
                }
            }
        }
        Projection { coefficients: c, residuals, columns, gram }
    }

    /// Minimum of |Φc − y|² over 0 ≤ c (and E ≤ e_max) from ΦᵀΦ, Φᵀy and yᵀy. With at most four columns every active
    /// set can be tried; the unconstrained solution is taken at once where it is feasible.
    fn non_negative(&self, gram: &Matrix<COLUMNS>, rhs: &[f64; COLUMNS], yy: f64) -> (f64, [f64; COLUMNS]) {
        let everything = (1usize << (J + 1)) - 1;
        let mut best = (yy, [0.0; COLUMNS]);
        for set in (1..=everything).rev() {
            for capped in [false, true] {
                if capped && (set & 1 == 0 || self.e_max.is_infinite()) {
                    continue;
                }
                let (mut used, mut m) = ([0; COLUMNS], 0);
                for p in 0..=J {
                    if set >> p & 1 == 1 && !(capped && p == 0) {
                        used[m] = p;
                        m += 1;
                    }
                }
                let fixed = if capped { self.e_max } else { 0.0 };
                let (mut a, mut b) = ([[0.0; COLUMNS]; COLUMNS], [0.0; COLUMNS]);
                for p in 0..m {
                    b[p] = rhs[used[p]] - gram[used[p]][0] * fixed;
                    for q in 0..m {
                        a[p][q] = gram[used[p]][used[q]];
                    }
                }
                let Some(s) = cholesky_solve(&a, &b, m) else { continue };
                if s[..m].iter().any(|&v| v < 0.0) || (!capped && used[0] == 0 && s[0] > self.e_max) {
                    continue;
                }
                let mut value = yy + fixed * (fixed * gram[0][0] - 2.0 * rhs[0]);
                let mut c = [0.0; COLUMNS];
                c[0] = fixed;
                for p in 0..m {
                    value -= s[p] * b[p];
                    c[used[p]] = s[p];
                }
                if value < best.0 {
                    best = (value, c);
                }
                if set == everything && !capped {
                    return best;
                }
            }
        }
        best
    }

    /// Value, gradient and Gauss-Newton Hessian of the projected objective ½|r|² in the exponents.
    pub(super) fn model(&self, exponents: &[f64; J]) -> Model<J> {
        let p = self.project(exponents);
        let mut m = Model::zero();
        m.value = 0.5 * dot(&p.residuals, &p.residuals);
        let slopes: Vec<Vec<f64>> = (0..J)
            .map(|j| {
                p.columns[j].iter().zip(&self.logs[j]).map(|(f, l)| -p.coefficients[j + 1] * l * f).collect()
            })
            .collect();
        let used: Vec<usize> = (0..=J)
            .filter(|&q| p.coefficients[q] > 0.0 && !(q == 0 && p.coefficients[0] >= self.e_max))
            .collect();
        let mut a = [[0.0; COLUMNS]; COLUMNS];
        for (s, &i) in used.iter().enumerate() {
            for (t, &j) in used.iter().enumerate() {
                a[s][t] = p.gram[i][j];
            }
        }
        // What of each slope the columns in use cannot follow.
        let mut outside = Vec::with_capacity(J);
        for slope in &slopes {
            let column = |q: usize| if q == 0 { &self.root } else { &p.columns[q - 1] };
            let mut b = [0.0; COLUMNS];
            for (s, &q) in used.iter().enumerate() {
                b[s] = dot(column(q), slope);
            }
            let mut rest = slope.clone();
            if let Some(c) = cholesky_solve(&a, &b, used.len()) {
                for (s, &q) in used.iter().enumerate() {
                    rest.iter_mut().zip(column(q)).for_each(|(r, f)| *r -= c[s] * f);
                }
            }
            outside.push(rest);
        }
        for i in 0..J {
            m.gradient[i] = dot(&slopes[i], &p.residuals);
            for j in 0..=i {
                m.hessian[i][j] = dot(&outside[i], &outside[j]);
            }
        }
        if self.penalty > 0.0 {
            for j in 0..2 {
                let mut gradient = [0.0; J];
                gradient[j] = 1.0 / (PRIOR.1 * exponents[j]);
                m.add((exponents[j].ln() - PRIOR.0) / PRIOR.1, &gradient, self.penalty);
            }
        }
        m.symmetrise();
        m
    }

    /// Grid points that are no worse than their neighbours, best first.
    pub(super) fn basins(&self) -> Vec<[f64; J]> {
        let ratio = (EXPONENTS.1 / EXPONENTS.0).powf(1.0 / (GRID - 1) as f64);
        let value = |g: usize| EXPONENTS.0 * ratio.powi(g as i32);
        let columns: Vec<Vec<f64>> = (0..J)
            .flat_map(|j| (0..GRID).map(move |g| (j, g)))
            .map(|(j, g)| self.column(j, value(g)))
            .collect();
        let count = columns.len();
        let mut dots = vec![0.0; count * count];
        for p in 0..count {
            for q in 0..=p {
                if p == q || p / GRID != q / GRID {
                    dots[p * count + q] = dot(&columns[p], &columns[q]);
                    dots[q * count + p] = dots[p * count + q];
                }
            }
        }
        let ones: Vec<f64> = columns.iter().map(|c| dot(&self.root, c)).collect();
        let rhs: Vec<f64> = columns.iter().map(|c| dot(&self.y, c)).collect();
        let (n, yy, y1) = (dot(&self.root, &self.root), dot(&self.y, &self.y), dot(&self.root, &self.y));
        let at = |cell: usize| -> [usize; J] { std::array::from_fn(|j| cell / GRID.pow(j as u32) % GRID) };
        let values: Vec<f64> = (0..GRID.pow(J as u32))
            .map(|cell| {
                let id: [usize; J] = std::array::from_fn(|j| j * GRID + at(cell)[j]);
                let (mut gram, mut b) = ([[0.0; COLUMNS]; COLUMNS], [0.0; COLUMNS]);
                gram[0][0] = n;
                b[0] = y1;
                for p in 0..J {
                    gram[0][p + 1] = ones[id[p]];
                    gram[p + 1][0] = ones[id[p]];
                    b[p + 1] = rhs[id[p]];
                    for q in 0..J {
                        gram[p + 1][q + 1] = dots[id[p] * count + id[q]];
                    }
                }
                self.non_negative(&gram, &b, yy).0
            })
            .collect();
        let mut cells: Vec<usize> = (0..values.len())
            .filter(|&cell| {
                (0..J).all(|j| {
                    let (i, step) = (at(cell)[j], GRID.pow(j as u32));
                    (i == 0 || values[cell] <= values[cell - step])
                        && (i + 1 == GRID || values[cell] <= values[cell + step])
                })
            })
            .collect();
        cells.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        cells.truncate(BASINS);
        cells.into_iter().map(|cell| at(cell).map(value)).collect()
    }
}

/// Sum of products in eight interleaved partial sums: a fixed order that the compiler can vectorise.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for l in 0..8 {
            sums[l] += x[l] * y[l];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}

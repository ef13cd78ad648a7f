//! Least squares for y = E + Σⱼ Cⱼ xⱼ^(−eⱼ) with E, C ≥ 0, by variable projection (Golub and Pereyra 1973).
//!
//! Chinchilla is the case x = (N, D), the loss law x = (N, D, k). For fixed exponents the coefficients solve a
//! non-negative linear problem, so only the exponents are searched: a grid over all of them at once, which costs a
//! table of dot products, and damped Gauss-Newton steps (Kaufman 1975) from every basin the grid shows.

use crate::fit::{Cancel, Outcome};
use crate::levenberg::{self, Minimum, Model, Stop};
use crate::linalg::{Matrix, cholesky_solve, identified};

/// Least and greatest exponent searched.
pub const EXPONENTS: (f64, f64) = (0.01, 5.0);
/// Centre and deviation of the prior on ln α and ln β.
const PRIOR: (f64, f64) = (-1.049_822_124_498_678, 0.3);
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
struct Centred<const J: usize> {
    logs: [Vec<f64>; J],
    mean: [f64; J],
    root: Vec<f64>,
    y: Vec<f64>,
    e_max: f64,
    /// Weight of the prior on the first two exponents; 0 for none.
    penalty: f64,
}

/// The exponents' non-negative least squares problem, solved.
struct Projection<const J: usize> {
    /// E, then C at the mean of the logs.
    coefficients: [f64; COLUMNS],
    /// √w (Φc − y).
    residuals: Vec<f64>,
    columns: [Vec<f64>; J],
    gram: Matrix<COLUMNS>,
}

impl<const J: usize> Centred<J> {
    fn new(data: &Data<J>) -> Self {
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
    fn project(&self, exponents: &[f64; J]) -> Projection<J> {
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
    fn model(&self, exponents: &[f64; J]) -> Model<J> {
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
    fn basins(&self) -> Vec<[f64; J]> {
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

/// As [`fit`], with a prior on the exponents of N and D, ln e about ln 0.35 with a deviation of 0.3, as the forecast of
/// losses has it. It weighs as much as an error of 3s does, s the root mean square of the residuals without it.
pub fn fit_regularised<const J: usize>(
    data: &Data<J>,
    start: Option<[f64; J]>,
    cancel: &Cancel,
) -> Option<Outcome> {
    let free = fit(data, start, cancel)?;
    let weight = data.w.map_or(data.y.len() as f64, |w| w.iter().sum());
    let scale = free.objective / (weight - (2 * J + 1) as f64).max(2.0);
    let mut centred = Centred::new(data);
    centred.penalty = 9.0 * scale;
    let from = std::array::from_fn(|j| free.params[J + 1 + j]);
    let usual = std::array::from_fn(|j| if j < 2 { PRIOR.0.exp() } else { free.params[J + 1 + j] });
    let outcome = centred.best(&[from, usual], cancel)?;
    Some(Outcome { evaluations: free.evaluations + outcome.evaluations, ..outcome })
}

/// Fits E, C₁…C_J and e₁…e_J; parameters in that order. `start` replaces the grid by one point (a bootstrap draw
/// starts from the fit to all data). Returns `None` when cancelled.
pub fn fit<const J: usize>(data: &Data<J>, start: Option<[f64; J]>, cancel: &Cancel) -> Option<Outcome> {
    let centred = Centred::new(data);
    let starts = start.map_or_else(|| centred.basins(), |s| vec![s]);
    centred.best(&starts, cancel)
}

/// E, C and the exponents where one start ends, roughly.
pub(crate) fn descend<const J: usize>(
    data: &Data<J>,
    start: [f64; J],
    cancel: &Cancel,
) -> Option<(Vec<f64>, [f64; J])> {
    let centred = Centred::new(data);
    let stop = Stop { evaluations: 100, decrease: 1e-6 };
    let minimum = centred.search(start, stop, cancel)?;
    Some((centred.natural(&centred.project(&minimum.x), &minimum.x), minimum.x))
}

impl<const J: usize> Centred<J> {
    /// The lowest end of all starts.
    fn best(&self, starts: &[[f64; J]], cancel: &Cancel) -> Option<Outcome> {
        let mut best: Option<Minimum<J>> = None;
        let mut evaluations = 0;
        for &start in starts {
            let stop = Stop { evaluations: 300, decrease: 1e-14 };
            let minimum = self.search(start, stop, cancel)?;
            evaluations += minimum.evaluations;
            if best.as_ref().is_none_or(|b| minimum.value < b.value) {
                best = Some(minimum);
            }
        }
        best.map(|minimum| self.outcome(&minimum, evaluations))
    }

    fn search(&self, start: [f64; J], stop: Stop, cancel: &Cancel) -> Option<Minimum<J>> {
        let (lower, upper) = ([EXPONENTS.0; J], [EXPONENTS.1; J]);
        levenberg::minimise(|e| self.model(e), start, &lower, &upper, stop, cancel)
    }

    /// E and C, no longer about the mean of the logs.
    fn natural(&self, p: &Projection<J>, exponents: &[f64; J]) -> Vec<f64> {
        let mut out = vec![p.coefficients[0]];
        out.extend((0..J).map(|j| p.coefficients[j + 1] * (exponents[j] * self.mean[j]).exp()));
        out
    }

    fn outcome(&self, minimum: &Minimum<J>, evaluations: usize) -> Outcome {
        let p = self.project(&minimum.x);
        let mut params = self.natural(&p, &minimum.x);
        params.extend(minimum.x);
        // Sensitivities: the columns themselves, and c ∂φ/∂e, all about the mean of the logs (a change of basis that
        // cannot make a flat direction curved).
        let mut sensitivities: Vec<Vec<f64>> = vec![self.root.clone()];
        sensitivities.extend(p.columns.iter().cloned());
        for j in 0..J {
            let c = p.coefficients[j + 1];
            sensitivities.push(p.columns[j].iter().zip(&self.logs[j]).map(|(f, l)| -c * l * f).collect());
        }
        let mut normal = [[0.0; 7]; 7];
        for i in 0..=2 * J {
            for j in 0..=2 * J {
                normal[i][j] = dot(&sensitivities[i], &sensitivities[j]);
            }
        }
        let mut known = identified(&normal)[..=2 * J].to_vec();
        let mut on_bound: Vec<bool> = (0..=J).map(|i| p.coefficients[i] <= 0.0).collect();
        on_bound[0] |= p.coefficients[0] >= self.e_max;
        on_bound.extend(minimum.x.iter().map(|&e| e <= EXPONENTS.0 || e >= EXPONENTS.1));
        for j in 0..J {
            known[J + 1 + j] &= p.coefficients[j + 1] > 0.0;
        }
        Outcome {
            params,
            objective: dot(&p.residuals, &p.residuals),
            reason: minimum.reason,
            evaluations,
            identified: known,
            on_bound,
        }
    }
}

/// Sum of products in eight interleaved partial sums: a fixed order that the compiler can vectorise.
fn dot(a: &[f64], b: &[f64]) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn recovers_noise_free_laws(e in 0.2f64..3.0, at in proptest::array::uniform3(0.1f64..1.5),
                                    exponents in proptest::array::uniform3(0.15f64..0.9)) {
            let (mut n, mut d, mut k) = (vec![], vec![], vec![]);
            for i in 0..7 { for j in 0..7 { for l in 0..6 {
                n.push(5e6 * 4f64.powi(i)); d.push(1e8 * 5f64.powi(j)); k.push(3f64.powi(l));
            }}}
            // Terms of order one in the middle of the grid, so that each is visible.
            let c = [at[0] * 3e8f64.powf(exponents[0]), at[1] * 1e10f64.powf(exponents[1]), at[2] * 4f64.powf(exponents[2])];
            let y: Vec<f64> = (0..n.len()).map(|i| e + c[0] * n[i].powf(-exponents[0]) + c[1] * d[i].powf(-exponents[1])
                + c[2] * k[i].powf(-exponents[2])).collect();
            let data = Data { x: [&n, &d, &k], y: &y, w: None, e_max: f64::INFINITY };
            let fit = fit(&data, None, &Cancel::new(false)).unwrap();
            let truth = [e, c[0], c[1], c[2], exponents[0], exponents[1], exponents[2]];
            for (found, true_value) in fit.params.iter().zip(truth) {
                prop_assert!((found / true_value - 1.0).abs() < 1e-6, "{:?} {:?}", fit, truth);
            }
            prop_assert!(fit.identified.iter().all(|&b| b) && !fit.on_bound.iter().any(|&b| b));
        }
    }

    #[test]
    fn one_k_cannot_tell_the_samples_term_from_the_floor() {
        let (mut n, mut d, mut y) = (vec![], vec![], vec![]);
        for i in 0..6 {
            for j in 0..6 {
                n.push(1e7 * 4f64.powi(i));
                d.push(1e9 * 4f64.powi(j));
                y.push(1.7 + 400.0 * n.last().unwrap().powf(-0.34) + 410.0 * d.last().unwrap().powf(-0.28));
            }
        }
        let ones = vec![1.0; n.len()];
        let data = Data { x: [&n, &d, &ones], y: &y, w: None, e_max: f64::INFINITY };
        let fit = fit(&data, None, &Cancel::new(false)).unwrap();
        assert!(fit.objective < 1e-20);
        assert!(!fit.identified[0] && !fit.identified[3] && !fit.identified[6], "{fit:?}");
        assert!(fit.identified[1] && fit.identified[2] && fit.identified[4] && fit.identified[5]);
    }

    #[test]
    fn a_term_that_the_data_refuse_is_zero_and_says_so() {
        // The loss grows with D: B must be zero, and beta means nothing.
        let (mut n, mut d, mut y) = (vec![], vec![], vec![]);
        for i in 0..6 {
            for j in 0..6 {
                n.push(1e7 * 4f64.powi(i));
                d.push(1e9 * 4f64.powi(j));
                y.push(1.7 + 400.0 * n.last().unwrap().powf(-0.34) + 0.01 * j as f64);
            }
        }
        let data = Data { x: [&n, &d], y: &y, w: None, e_max: f64::INFINITY };
        let fit = fit(&data, None, &Cancel::new(false)).unwrap();
        assert_eq!(fit.params[2], 0.0);
        assert!(fit.on_bound[2] && !fit.identified[4]);
    }
}

//! Estimators from counts: n samples of one problem, c of them correct, k drawn without replacement.
//!
//! Every function here is a tail of the hypergeometric distribution of the number of correct samples among k of
//! the n. All are NaN for k > n, where no unbiased estimator exists, and want 0 <= c <= n and k >= 1.

use crate::special::log_rising_quotient;
use rayon::prelude::*;

/// Up to this many factors a product beats log F in time; its error stays below 40 units in the last place.
const FACTORS: u64 = 12;
/// Entries of a table that one recurrence may fill before it starts again from a direct value.
const ANCHOR: u64 = 256;
/// Table entries that cost as much as one direct evaluation.
const TABLE_GAIN: usize = 8;
/// Longest recurrence over k, and steps of it that cost as much as one direct evaluation; its rows go side by side.
const STEPS: usize = 256;
const STEPS_PER_CELL: usize = 32;
const LANES: usize = 8;
/// Cells below which starting threads costs more than it saves.
const CELLS_PER_THREAD: usize = 1 << 13;

/// Unbiased pass@k, 1 − C(n−c, k)/C(n, k) (Chen et al. 2021, equation 1), relative error below 1e-13 for n <= 1e6.
pub fn pass_at_k(n: u64, c: u64, k: u64) -> f64 {
    if k > n || c > n {
        return f64::NAN;
    }
    if c == 0 {
        return 0.0;
    }
    // Failure is at most (1 − c/n)^k <= e^(−ck/n), which vanishes beside 1 long before the product underflows.
    if c > n - k || c as f64 * k as f64 > 40.0 * n as f64 {
        return 1.0;
    }
    let (few, many) = (c.min(k), c.max(k) as f64);
    if few > FACTORS {
        return -log_rising_quotient((n - c - k + 1) as f64, c as f64, k as f64).exp_m1();
    }
    (0..few).fold(0.0, |pass, j| pass + many / (n - j) as f64 * (1.0 - pass))
}

/// pass@k of a problem whose p is known by its logarithm, 1 − (1−p)^k, without cancellation for p near 0 or 1.
pub fn likely_pass_at_k(log_p: f64, k: f64) -> f64 {
    let log_q = if log_p < -std::f64::consts::LN_2 { (-log_p.exp()).ln_1p() } else { (-log_p.exp_m1()).ln() };
    -(k * log_q).exp_m1()
}

/// pass^k, the probability that all k are correct: C(c, k)/C(n, k) (Yao et al. 2024, τ-bench, section 3).
///
/// Relative error below 1e-13, growing to 4e-15·|ln pass^k| where the value is below 1e-10.
pub fn pass_hat_k(n: u64, c: u64, k: u64) -> f64 {
    if k > n || c > n {
        return f64::NAN;
    }
    if k > c {
        return 0.0;
    }
    let wrong = n - c;
    let (few, many) = (wrong.min(k), wrong.max(k));
    if few > ANCHOR {
        return log_rising_quotient((c - k + 1) as f64, wrong as f64, k as f64).exp();
    }
    (0..few).fold(1.0, |all, j| all * ((n - j - many) as f64 / (n - j) as f64))
}

/// The probability that at least m of the k are correct: Σ_{j>=m} C(c, j) C(n−c, k−j)/C(n, k).
///
/// m = 1 is pass@k and m = k is pass^k. Between them, weights by their ratio, outwards from the mode, tail over
/// total: only positive terms; O(k) at worst, usually O(√k).
pub fn at_least(n: u64, c: u64, k: u64, m: u64) -> f64 {
    if k > n || c > n {
        return f64::NAN;
    }
    if m <= 1 {
        return if m == 0 { 1.0 } else { pass_at_k(n, c, k) };
    }
    if m == k {
        return pass_hat_k(n, c, k);
    }
    let wrong = n - c;
    let (low, high) = (k.saturating_sub(wrong), c.min(k));
    if m <= low {
        return 1.0;
    }
    if m > high {
        return 0.0;
    }
    let mode = (((k + 1) as f64 * (c + 1) as f64 / (n + 2) as f64) as u64).clamp(low, high);
    // C(c, j) C(n−c, k−j) at j+1 over the same at j; every factor is a whole number below 2^53.
    let up = |j: u64| ((c - j) as f64 * (k - j) as f64) / ((j + 1) as f64 * (wrong + j + 1 - k) as f64);
    let (mut above, mut below) = if mode >= m { (1.0, 0.0) } else { (0.0, 1.0) };
    let mut add = |j: u64, weight: f64| {
        *(if j >= m { &mut above } else { &mut below }) += weight;
        // What follows is a falling series, too small to matter once it is past m on its way.
        weight < 1e-20 * if j >= mode { above } else { 1.0 } || weight == 0.0
    };
    let mut weight = 1.0;
    for j in mode..high {
        weight *= up(j);
        if add(j + 1, weight) {
            break;
        }
    }
    weight = 1.0;
    for j in (low..mode).rev() {
        weight /= up(j);
        if add(j, weight) {
            break;
        }
    }
    above / (above + below)
}

/// Exact variance of the unbiased pass@k when each of n samples is correct with probability p.
///
/// With q = 1−p and J the overlap of two random k-subsets of the n samples, E q^(2k−J) − q^(2k), summed as
/// q^(2k−J)·(1 − q^J): only positive terms.
pub fn variance(n: u64, p: f64, k: u64) -> f64 {
    if k > n || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return 0.0;
    }
    let (low, log_q) = (k.saturating_sub(n - k), (-p).ln_1p());
    let mode = (((k + 1) as f64 * (k + 1) as f64 / (n + 2) as f64) as u64).clamp(low, k);
    let up = |j: u64| ((k - j) as f64 * (k - j) as f64) / ((j + 1) as f64 * (n - k + j + 1 - k) as f64);
    let term = |j: u64| -((2 * k - j) as f64 * log_q).exp() * (j as f64 * log_q).exp_m1();
    let (mut sum, mut total, mut weight) = (term(mode), 1.0, 1.0);
    for j in mode..k {
        weight *= up(j);
        total += weight;
        let part = weight * term(j + 1);
        sum += part;
        if weight < 1e-20 && part <= 1e-20 * sum {
            break;
        }
    }
    weight = 1.0;
    for j in (low..mode).rev() {
        weight /= up(j);
        total += weight;
        sum += weight * term(j);
        if weight < 1e-20 {
            break;
        }
    }
    sum / total
}

/// Problems by rows, each with its n and c.
#[derive(Clone, Copy)]
pub struct Counts<'a> {
    /// Samples drawn.
    pub n: &'a [u64],
    /// Samples correct, at most n.
    pub c: &'a [u64],
}

/// What is asked of the counts: at least m correct among k.
#[derive(Clone, Copy)]
pub struct Tails<'a> {
    /// Samples drawn from the n.
    pub k: &'a [u64],
    /// Samples among them that must be correct.
    pub m: &'a [u64],
}

/// Fills `out` (counts x tails, row-major) with [`at_least`], on all threads; the bits do not depend on their number.
///
/// pass@k alone comes from a table over c wherever enough rows share their n.
pub fn grid(counts: Counts, tails: Tails, out: &mut [f64]) {
    if tails.k.is_empty() {
        return;
    }
    if tails.m.iter().any(|&m| m != 1) {
        return evaluate(counts, tails, out);
    }
    let last = tails.k.iter().max().map_or(0, |&k| k as usize);
    match Table::worth(counts, tails.k) {
        Some(table) => table.fill(counts, out),
        None if last <= STEPS && last <= STEPS_PER_CELL * tails.k.len() => climb(counts, tails.k, out),
        None => evaluate(counts, tails, out),
    }
}

/// [`pass_at_k`] for a block of rows side by side, by the recurrence from k to k+1, written out wherever k is asked for.
fn climb(counts: Counts, ks: &[u64], out: &mut [f64]) {
    let width = ks.len();
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by_key(|&j| ks[j]);
    let rows = (counts.n.par_chunks(LANES), counts.c.par_chunks(LANES), out.par_chunks_mut(LANES * width));
    rows.into_par_iter().with_min_len(CELLS_PER_THREAD / (LANES * width) + 1).for_each(|(n, c, out)| {
        let (mut left, mut correct, mut pass) = ([1.0; LANES], [0.0; LANES], [0.0; LANES]);
        for (i, (&n, &c)) in n.iter().zip(c).enumerate() {
            (left[i], correct[i]) = (n as f64, c as f64);
        }
        let mut drawn = 0;
        for &j in &order {
            for _ in drawn..ks[j] {
                for i in 0..LANES {
                    let next = pass[i] + correct[i] / left[i] * (1.0 - pass[i]);
                    pass[i] = if correct[i] < left[i] { next } else { 1.0 };
                    left[i] -= 1.0;
                }
            }
            drawn = ks[j];
            for ((row, &pass), &n) in out.chunks_mut(width).zip(&pass).zip(n) {
                row[j] = if drawn > n { f64::NAN } else { pass };
            }
        }
    });
}

/// Fills `out` with [`at_least`] cell by cell: counts and tails have its length.
pub fn cells(counts: Counts, tails: Tails, out: &mut [f64]) {
    let rows = (counts.n, counts.c, tails.k, tails.m).into_par_iter().with_min_len(CELLS_PER_THREAD / 8);
    rows.zip(out).for_each(|((&n, &c, &k, &m), out)| *out = at_least(n, c, k, m));
}

fn evaluate(counts: Counts, tails: Tails, out: &mut [f64]) {
    let Tails { k: ks, m } = tails;
    let rows = (CELLS_PER_THREAD / 8 / ks.len()).max(1);
    out.par_chunks_mut(ks.len()).with_min_len(rows).zip(counts.n).zip(counts.c).for_each(
        |((out, &n), &c)| {
            for ((out, &k), &m) in out.iter_mut().zip(ks).zip(m) {
                *out = at_least(n, c, k, m);
            }
        },
    );
}

/// pass@k for every n that occurs and every c up to the largest that occurs with it; the ks of one (n, c) together.
struct Table {
    width: usize,
    /// By n: index of the first row of its part; rows are numbered by c from there.
    first: Vec<usize>,
    values: Vec<f64>,
}

impl Table {
    /// The table, unless filling it would cost more than evaluating each cell.
    fn worth(counts: Counts, ks: &[u64]) -> Option<Table> {
        let largest = *counts.n.iter().max()? as usize;
        if ks.is_empty() || largest > TABLE_GAIN * counts.n.len() {
            return None;
        }
        let mut height = vec![0; largest + 1];
        for (&n, &c) in counts.n.iter().zip(counts.c) {
            height[n as usize] = height[n as usize].max(c as usize + 1);
        }
        let total: usize = height.iter().sum();
        if total > TABLE_GAIN * counts.n.len() {
            return None;
        }
        let width = ks.len();
        let mut values = vec![0.0; total * width];
        let mut parts = Vec::new();
        let mut rest = values.as_mut_slice();
        let mut first = vec![0; largest + 1];
        let mut rows = 0;
        for (n, &height) in height.iter().enumerate().filter(|(_, height)| **height > 0) {
            first[n] = rows;
            rows += height;
            let (part, tail) = rest.split_at_mut(height * width);
            rest = tail;
            parts.extend(
                part.chunks_mut(ANCHOR as usize * width)
                    .zip((0..).step_by(ANCHOR as usize))
                    .map(|(part, c)| (n as u64, c, part)),
            );
        }
        parts
            .into_par_iter()
            .with_min_len(CELLS_PER_THREAD / (ANCHOR as usize * width) + 1)
            .for_each(|(n, c, part)| Table::recur(n, c, ks, part));
        Some(Table { width, first, values })
    }

    /// Rows c, c+1, … of one n: 1 − pass falls by the factor (n−c−k)/(n−c) from c to c+1.
    fn recur(n: u64, c: u64, ks: &[u64], part: &mut [f64]) {
        let width = ks.len();
        let real: Vec<f64> = ks.iter().map(|&k| if k > n { f64::NAN } else { k as f64 }).collect();
        for (out, &k) in part.iter_mut().zip(ks) {
            *out = pass_at_k(n, c, k);
        }
        for (row, c) in (1..part.len() / width).zip(c..) {
            let (before, after) = part.split_at_mut(row * width);
            let left = (n - c) as f64;
            for ((pass, last), k) in after[..width].iter_mut().zip(&before[(row - 1) * width..]).zip(&real) {
                *pass = if *k >= left { 1.0 } else { last + k / left * (1.0 - last) };
            }
        }
    }

    fn fill(&self, counts: Counts, out: &mut [f64]) {
        let rows = CELLS_PER_THREAD / self.width + 1;
        out.par_chunks_mut(self.width).with_min_len(rows).zip(counts.n).zip(counts.c).for_each(
            |((out, &n), &c)| {
                let at = (self.first[n as usize] + c as usize) * self.width;
                out.copy_from_slice(&self.values[at..at + self.width]);
            },
        );
    }
}

//! Whether the number of samples goes with their outcome, as it does where sampling ends at a success.

use super::{Counts, Shape};
use crate::beta::log_beta_binomial;
use crate::cancel::Cancel;
use crate::special::log_rising_quotient;

/// Standard score of problems with fewer samples being solved more often than chance and a common spread of difficulty
/// explain: minus the correlation of the rank of n with the place of c in its distribution for that n.
///
/// Given n, c is Beta-binomial if n was chosen without regard to the outcome. Its place is P(C < c) + ½ P(C = c),
/// which has mean ½ whatever n, so that its covariance with the rank of n has mean 0. The Beta distribution is fitted to
/// the counts, whose likelihood is the same however sampling ended. None where all n are equal or places do not
/// vary, or when cancelled.
pub fn test(counts: &Counts, cancel: &Cancel) -> Option<f64> {
    let fit = counts.fit(Shape::Beta, cancel)?;
    let (a, b) = Shape::beta(&fit.x);
    let weights = counts.weights(|_| 1.0);
    let total: f64 = weights.iter().sum();
    // Groups are sorted by n: those of one n share the middle of their ranks.
    let mut ranks = Vec::with_capacity(weights.len());
    let mut before = 0.0;
    for same in counts.groups.chunk_by(|x, y| x.n == y.n) {
        let here: f64 = weights[ranks.len()..ranks.len() + same.len()].iter().sum();
        ranks.extend(std::iter::repeat_n(before + 0.5 * here - 0.5 * total, same.len()));
        before += here;
    }
    let (mut product, mut rank, mut place) = (0.0, 0.0, 0.0);
    for ((group, w), r) in counts.groups.iter().zip(&weights).zip(&ranks) {
        let v = middle(group.n, group.c, a, b) - 0.5;
        product += w * r * v;
        rank += w * r * r;
        place += w * v * v;
    }
    (rank > 0.0 && place > 0.0).then(|| -product / (rank * place / total).sqrt())
}

/// P(C < c) + ½ P(C = c) for C ~ BetaBinomial(n, a, b), by the ratio of neighbouring terms from c to the nearer end.
fn middle(n: f64, c: f64, a: f64, b: f64) -> f64 {
    if c > n - c {
        return 1.0 - middle(n, n - c, b, a);
    }
    let mut term = (log_beta_binomial(c, n, a, b) - log_rising_quotient(1.0, c, n - c)).exp();
    let mut sum = 0.5 * term;
    let mut j = c;
    while j > 0.0 {
        // P(C = j−1)/P(C = j).
        term *= j * (b + n - j) / ((n - j + 1.0) * (a + j - 1.0));
        sum += term;
        j -= 1.0;
    }
    sum
}

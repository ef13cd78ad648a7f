//! The problems of one checkpoint, and the Beta-binomial likelihood of their counts.

use crate::rising::rising;

/// Counts of one problem at one checkpoint (or of several problems that are alike, by weight).
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Which checkpoint.
    pub checkpoint: usize,
    /// Samples drawn.
    pub samples: f64,
    /// Samples correct.
    pub correct: f64,
    /// How often this row counts.
    pub w: f64,
}

/// The problems of one checkpoint: merged by (n, c), and as what the likelihood sums over, each number with its weight.
#[derive(Clone, Debug)]
pub(super) struct Problems {
    pub(super) counts: Vec<Count>,
    correct: Vec<(f64, f64)>,
    failed: Vec<(f64, f64)>,
    samples: Vec<(f64, f64)>,
}

/// Weights of equal numbers added up, ascending; without zeros, which add nothing to a sum over rising factorials.
fn merged(values: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut values: Vec<(f64, f64)> = values.filter(|&(m, _)| m > 0.0).collect();
    values.sort_by(|x, y| x.0.total_cmp(&y.0));
    values.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0.0 };
        same
    });
    values
}

impl Problems {
    pub(super) fn new(mut counts: Vec<Count>) -> Self {
        counts.sort_by(|a, b| a.samples.total_cmp(&b.samples).then(a.correct.total_cmp(&b.correct)));
        counts.dedup_by(|next, kept| {
            let same = next.samples == kept.samples && next.correct == kept.correct;
            kept.w += if same { next.w } else { 0.0 };
            same
        });
        Self {
            correct: merged(counts.iter().map(|c| (c.correct, c.w))),
            failed: merged(counts.iter().map(|c| (c.samples - c.correct, c.w))),
            samples: merged(counts.iter().map(|c| (c.samples, c.w))),
            counts,
        }
    }

    /// Σ w ln [B(c+a, n−c+b)/B(a, b)], its slopes in ln a and ln b, and a²∂²/∂a², b²∂²/∂b² and ab ∂²/∂a∂b of minus it.
    pub(super) fn beta_binomial(&self, [a, b]: [f64; 2]) -> (f64, [f64; 2], [f64; 3]) {
        let (of_a, of_b) = (rising(a, &self.correct), rising(b, &self.failed));
        let both = rising(a + b, &self.samples);
        (
            of_a.value + of_b.value - both.value,
            [a * (of_a.slope - both.slope), b * (of_b.slope - both.slope)],
            [a * a * (both.bend - of_a.bend), b * b * (both.bend - of_b.bend), a * b * both.bend],
        )
    }
    /// Share of all samples that were correct.
    pub(super) fn share_correct(&self) -> f64 {
        let sum = |counts: &[(f64, f64)]| counts.iter().map(|(m, w)| m * w).sum::<f64>();
        sum(&self.correct) / sum(&self.samples).max(1.0)
    }
}

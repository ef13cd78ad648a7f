//! The problems of one checkpoint, and the Beta-binomial likelihood of their counts.

use crate::rising::Counts;

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
    correct: Counts,
    failed: Counts,
    samples: Counts,
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
            correct: Counts::new(counts.iter().map(|c| (c.correct, c.w))),
            failed: Counts::new(counts.iter().map(|c| (c.samples - c.correct, c.w))),
            samples: Counts::new(counts.iter().map(|c| (c.samples, c.w))),
            counts,
        }
    }

    /// Σ w ln [B(c+a, n−c+b)/B(a, b)], its slopes in ln a and ln b, and a²∂²/∂a², b²∂²/∂b² and ab ∂²/∂a∂b of minus it.
    pub(super) fn beta_binomial(&self, [a, b]: [f64; 2]) -> (f64, [f64; 2], [f64; 3]) {
        let (of_a, of_b) = (self.correct.rising(a), self.failed.rising(b));
        let both = self.samples.rising(a + b);
        (
            of_a.value + of_b.value - both.value,
            [a * (of_a.slope - both.slope), b * (of_b.slope - both.slope)],
            [a * a * (both.bend - of_a.bend), b * b * (both.bend - of_b.bend), a * b * both.bend],
        )
    }
    /// Share of all samples that were correct.
    pub(super) fn share_correct(&self) -> f64 {
        self.correct.total() / self.samples.total().max(1.0)
    }
}

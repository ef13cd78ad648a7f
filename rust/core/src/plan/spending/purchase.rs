//! What is bought: N, D and k.

/// N, D and k, and what they cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Purchase {
    /// N.
    pub n: f64,
    /// D.
    pub d: f64,
    /// k.
    pub k: f64,
    /// The forecast there, as it is reported.
    pub value: f64,
    /// What is maximised there: of a draw what is believed, without what sets a new checkpoint apart.
    pub height: f64,
    /// Cost of training, and of all queries.
    pub costs: (f64, f64),
    /// How much better the best could still be by the curvature there, in the value or, where a target is sought, in
    /// ln cost: half the Newton decrement. NaN at a corner, where there is no curvature.
    pub gap: f64,
}

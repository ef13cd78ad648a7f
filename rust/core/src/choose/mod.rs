//! Choices among models that exist, over resampled problems.

pub mod resample;

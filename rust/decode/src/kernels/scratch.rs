//! What a thread works in.

use std::sync::{Mutex, MutexGuard};

use super::simd::Arith;
use crate::aligned::{Buffer, Plain};
use crate::pack::BLOCK;

/// Blocks expanded at a time: 128 inner elements × 32 outputs stay in the first-level cache.
pub(crate) const CHUNK: usize = 4;

/// Most scales (and minima) that 32 inner elements of an output have.
const PARTS: usize = 2;

/// Expanded weights of a chunk of a panel.
pub(crate) struct Chunk<X: Plain> {
    pub(crate) values: Buffer<X>,
    pub(crate) scales: Vec<f32>,
    pub(crate) minima: Vec<f32>,
}

/// Work space of one thread.
pub(crate) struct Scratch<A: Arith> {
    pub(crate) chunk: Chunk<A::X>,
    /// Sums of a panel, and of the gate's.
    pub(crate) sums: Vec<f32>,
    pub(crate) gates: Vec<f32>,
    pub(crate) logits: Vec<f32>,
    pub(crate) attention: AttentionScratch<A>,
    /// One row or head, padded.
    pub(crate) row: Vec<f32>,
}

impl<A: Arith> Scratch<A> {
    pub(crate) fn new() -> Self {
        let lines = CHUNK * BLOCK;
        Scratch {
            chunk: Chunk {
                values: Buffer::zeroed(lines * BLOCK),
                scales: vec![0.0; PARTS * lines],
                minima: vec![0.0; PARTS * lines],
            },
            sums: Vec::new(),
            gates: Vec::new(),
            logits: Vec::new(),
            attention: AttentionScratch::new(),
            row: Vec::new(),
        }
    }
}

/// Work space of attention.
pub(crate) struct AttentionScratch<A: Arith> {
    pub(crate) queries: Vec<A::X>,
    pub(crate) probabilities: Vec<A::X>,
    pub(crate) scores: Vec<f32>,
    pub(crate) out: Vec<f32>,
    pub(crate) max: Vec<f32>,
    pub(crate) sum: Vec<f32>,
}

impl<A: Arith> AttentionScratch<A> {
    pub(crate) fn new() -> Self {
        AttentionScratch {
            queries: Vec::new(),
            probabilities: Vec::new(),
            scores: Vec::new(),
            out: Vec::new(),
            max: Vec::new(),
            sum: Vec::new(),
        }
    }
}

/// The work space of a thread: of its own, so nothing waits.
pub(crate) fn space<T>(scratch: &[Mutex<T>], worker: usize) -> MutexGuard<'_, T> {
    scratch[worker].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

//! Linear maps over a step's rows, with what follows each: bias, residual sum or activation.

use super::gemm::Panel;
use super::math;
use super::scratch::Scratch;
use super::simd::{Arith, Op};
use super::xpack::XView;
use crate::aligned::Shared;
use crate::model::Activation;
use crate::pack::{BLOCK, Packed};

/// A packed linear map, its bias padded to whole panels.
pub(crate) struct Linear {
    pub(crate) weights: Packed,
    pub(crate) bias: Option<Vec<f32>>,
}

/// Row-major float32 rows, `stride` floats apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) data: Shared<'a, f32>,
    pub(crate) stride: usize,
}

/// What becomes of a panel's sums.
pub(crate) enum Then<'a, A: Arith> {
    /// Stored at a column offset.
    Store { to: Rows<'a>, column: usize },
    /// Added to the residual stream.
    Add { to: Rows<'a> },
    /// Activation of the gate's and this map's sums, packed as the next map's input.
    Activate { gate: Option<&'a Linear>, activation: Activation, to: XView<'a, A> },
}

/// Some panels of a linear map.
pub(crate) struct Apply<'a, A: Arith> {
    pub(crate) linear: &'a Linear,
    pub(crate) panels: std::ops::Range<usize>,
    pub(crate) x: XView<'a, A>,
    pub(crate) then: Then<'a, A>,
    pub(crate) scratch: &'a mut Scratch<A>,
}

impl<A: Arith> Op<A> for Apply<'_, A> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        let rows = self.x.rows;
        let mut sums = std::mem::take(&mut self.scratch.sums);
        let mut gates = std::mem::take(&mut self.scratch.gates);
        for buffer in [&mut sums, &mut gates] {
            if buffer.len() < rows * BLOCK {
                buffer.resize(rows * BLOCK, 0.0);
            }
        }
        for panel in self.panels {
            product(a, self.linear, panel, self.x, &mut sums, self.scratch);
            match self.then {
                Then::Store { to, column } => {
                    for (row, sums) in sums.chunks_exact(BLOCK).take(rows).enumerate() {
                        // SAFETY: this task owns the panel's columns of every row.
                        let to = unsafe { to.data.slice(row * to.stride + column + panel * BLOCK, BLOCK) };
                        to.copy_from_slice(sums);
                    }
                }
                Then::Add { to } => {
                    for (row, sums) in sums.chunks_exact(BLOCK).take(rows).enumerate() {
                        // SAFETY: this task owns the panel's columns of every row.
                        let to = unsafe { to.data.slice(row * to.stride + panel * BLOCK, BLOCK) };
                        for (y, s) in to.iter_mut().zip(sums) {
                            *y += s;
                        }
                    }
                }
                Then::Activate { gate, activation, to } => {
                    if let Some(gate) = gate {
                        product(a, gate, panel, self.x, &mut gates, self.scratch);
                    }
                    for (row, (up, gate)) in
                        sums.chunks_exact(BLOCK).zip(gates.chunks_exact(BLOCK)).take(rows).enumerate()
                    {
                        let mut out = [a.splat(0.0); 2];
                        for (half, out) in out.iter_mut().enumerate() {
                            let up = half_of(a, up, half);
                            *out = match activation {
                                Activation::SwiGlu => a.mul(math::silu(a, half_of(a, gate, half)), up),
                                Activation::GeGluTanh => {
                                    a.mul(math::gelu_tanh(a, half_of(a, gate, half)), up)
                                }
                                Activation::Gelu => math::gelu(a, up),
                                Activation::GeluTanh => math::gelu_tanh(a, up),
                            };
                        }
                        // SAFETY: this task owns the panel's block of every row.
                        unsafe { to.put(a, row, panel, out) };
                    }
                }
            }
        }
        self.scratch.sums = sums;
        self.scratch.gates = gates;
    }
}

#[inline(always)]
fn half_of<A: Arith>(a: A, block: &[f32], half: usize) -> A::F {
    a.load(block[16 * half..16 * half + 16].try_into().expect("16 floats"))
}

/// Sums of one panel for all rows, bias included.
#[inline(always)]
pub(crate) fn product<A: Arith>(
    a: A,
    linear: &Linear,
    panel: usize,
    x: XView<'_, A>,
    sums: &mut [f32],
    scratch: &mut Scratch<A>,
) {
    a.call(Panel { weights: &linear.weights, panel, x, acc: sums, scratch });
    if let Some(bias) = &linear.bias {
        let bias = &bias[panel * BLOCK..][..BLOCK];
        for row in sums.chunks_exact_mut(BLOCK).take(x.rows) {
            for (y, b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
    }
}

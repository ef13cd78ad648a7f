//! Stored weights to f32, exactly: the plain definition that every faster kernel must reproduce.

use crate::grid::{self, Grid};
use crate::half::{bf16_to_f32, f16_to_f32};
use crate::tensor::{DType, Tensor};

/// Elements in a block of the quantised kinds.
pub const BLOCK: usize = 32;

/// Row `row` of `tensor` as f32, bit for bit what the `gguf` package computes (one rounding per operation, no fused
/// multiply-add).
///
/// # Panics
/// If `row` is out of range or `out` is not `tensor.cols` long.
pub fn row_to_f32(tensor: &Tensor, row: usize, out: &mut [f32]) {
    assert_eq!(out.len(), tensor.cols, "a row of {} elements", tensor.cols);
    bytes_to_f32(tensor.dtype, &tensor.bytes(row..row + 1), out);
}

/// `bytes` of a whole number of blocks to `out`, as [`row_to_f32`].
pub(crate) fn bytes_to_f32(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    if let Some(grid) = Grid::of(dtype) {
        let (_, elements, size) = dtype.layout();
        for (bytes, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(elements)) {
            for (j, out) in out.chunks_exact_mut(BLOCK).enumerate() {
                let block = grid::block(dtype, bytes, j);
                out.iter_mut().enumerate().for_each(|(i, x)| *x = grid.element(&block, i));
            }
        }
        return;
    }
    match dtype {
        DType::F32 => each(bytes, out, |b: [u8; 4]| f32::from_le_bytes(b)),
        DType::F16 => each(bytes, out, |b| f16_to_f32(u16::from_le_bytes(b))),
        DType::BF16 => each(bytes, out, |b| bf16_to_f32(u16::from_le_bytes(b))),
        _ => unreachable!("a type with a grid"),
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    let (elements, rest) = bytes.as_chunks::<N>();
    assert!(rest.is_empty() && elements.len() == out.len(), "bytes and elements disagree");
    for (x, &element) in out.iter_mut().zip(elements) {
        *x = convert(element);
    }
}

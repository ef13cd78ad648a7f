//! Stored weights to f32, exactly: the plain definition that every faster kernel must reproduce.

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
    let length = tensor.dtype.row_bytes(tensor.cols);
    let bytes = &tensor.bytes()[row * length..(row + 1) * length];
    bytes_to_f32(tensor.dtype, bytes, out);
}

/// `bytes` of a whole number of blocks to `out`, as [`row_to_f32`].
pub(crate) fn bytes_to_f32(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        DType::F32 => each(bytes, out, |b: [u8; 4]| f32::from_le_bytes(b)),
        DType::F16 => each(bytes, out, |b| f16_to_f32(u16::from_le_bytes(b))),
        DType::BF16 => each(bytes, out, |b| bf16_to_f32(u16::from_le_bytes(b))),
        DType::Q8_0 => blocks::<34>(bytes, out, |block, out| {
            let scale = half_at(block, 0);
            for (x, &q) in out.iter_mut().zip(&block[2..]) {
                *x = scale * f32::from(q.cast_signed());
            }
        }),
        DType::Q4_0 => blocks::<18>(bytes, out, |block, out| {
            let scale = half_at(block, 0);
            nibbles(&block[2..], out, |q| scale * (f32::from(q) - 8.0));
        }),
        DType::Q4_1 => blocks::<20>(bytes, out, |block, out| {
            let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
            nibbles(&block[4..], out, |q| scale * f32::from(q) + minimum);
        }),
    }
}

/// IEEE half to single precision; exact, as every half is a single.
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let mantissa = u32::from(bits) & 0x3ff;
    let magnitude = match exponent {
        // Zero and subnormals: mantissa · 2⁻²⁴.
        0 => (mantissa as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        31 => 0x7f80_0000 | mantissa << 13,
        _ => (exponent + 127 - 15) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// bfloat16 to single precision: the upper half of its bits.
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    let (elements, rest) = bytes.as_chunks::<N>();
    assert!(rest.is_empty() && elements.len() == out.len(), "bytes and elements disagree");
    for (x, &element) in out.iter_mut().zip(elements) {
        *x = convert(element);
    }
}

fn blocks<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn(&[u8; N], &mut [f32])) {
    let (blocks, rest) = bytes.as_chunks::<N>();
    assert!(rest.is_empty() && blocks.len() * BLOCK == out.len(), "bytes and elements disagree");
    for (block, out) in blocks.iter().zip(out.chunks_exact_mut(BLOCK)) {
        convert(block, out);
    }
}

/// Low nibbles are the first half of a block, high nibbles the second.
fn nibbles(packed: &[u8], out: &mut [f32], convert: impl Fn(u8) -> f32) {
    let (low, high) = out.split_at_mut(BLOCK / 2);
    for ((&byte, low), high) in packed.iter().zip(low).zip(high) {
        *low = convert(byte & 0x0f);
        *high = convert(byte >> 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a half by its definition, in f64.
    fn half_by_definition(bits: u16) -> f64 {
        let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
        let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
        match exponent {
            0 => sign * mantissa * 2f64.powi(-24),
            31 if mantissa == 0.0 => sign * f64::INFINITY,
            31 => f64::NAN,
            _ => sign * (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15),
        }
    }

    #[test]
    fn every_half_is_exact() {
        for bits in 0..=u16::MAX {
            let (got, want) = (f16_to_f32(bits), half_by_definition(bits));
            assert!(f64::from(got) == want || got.is_nan() && want.is_nan(), "{bits:#06x}: {got} {want}");
            assert_eq!(got.is_sign_negative(), bits & 0x8000 != 0, "{bits:#06x}");
        }
    }

    #[test]
    fn every_bfloat_is_the_upper_half_of_a_single() {
        for bits in 0..=u16::MAX {
            assert_eq!(bf16_to_f32(bits).to_bits(), u32::from(bits) << 16);
        }
    }
}

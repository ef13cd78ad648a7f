//! The arithmetic of the engine, written once over sixteen lanes and compiled for each instruction set.
//!
//! Every float32 path (portable, AVX2, AVX-512) performs the same operations in the same order on every element, so
//! their results agree bit for bit: lanes hold outputs, the inner dimension is accumulated in sequence by fused
//! multiply-adds, and horizontal sums use one fixed tree. Nothing is chosen from the number of rows.

// Register tiles walk several arrays by constant bounds; iterators would hide the tile.
#![allow(clippy::needless_range_loop)]

pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512_bf16;
pub(crate) mod draw;
pub(crate) mod expand;
mod factors;
pub(crate) mod gemm;
pub(crate) mod linear;
pub(crate) mod math;
mod one_row;
pub(crate) mod portable;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod simd;
pub(crate) mod xpack;

/// An instruction set the engine has kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// AVX-512 with BF16 dot products (bfloat16 arithmetic only).
    Avx512Bf16,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// Plain Rust, any machine.
    Portable,
}

impl Kernel {
    /// Name as the Python side spells it.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Avx512Bf16 => "avx512_bf16",
            Kernel::Avx512 => "avx512",
            Kernel::Avx2 => "avx2",
            Kernel::Portable => "portable",
        }
    }

    /// The kernels this CPU can run, fastest first.
    pub fn available() -> Vec<Kernel> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if avx512_bf16::Avx512Bf16::new().is_some() {
                found.push(Kernel::Avx512Bf16);
            }
            if avx512::Avx512::new().is_some() {
                found.push(Kernel::Avx512);
            }
            if avx2::Avx2::new().is_some() {
                found.push(Kernel::Avx2);
            }
        }
        found.push(Kernel::Portable);
        found
    }
}

//! What an instruction set must offer: sixteen lanes of float32 and uint32, and a dot step for matrix products.
//!
//! A value of a type that implements [`Isa`] is a proof that the CPU has its instructions: each is made only by a
//! constructor that checks. Generic code is `#[inline(always)]` and enters the instruction set through
//! [`Isa::call`], the one function compiled with the target features.

use crate::aligned::Plain;
use crate::grid::Table;

/// Work to be compiled for an instruction set.
pub(crate) trait Op<S> {
    type Out;
    fn run(self, s: S) -> Self::Out;
}

/// Sixteen-lane vectors.
pub(crate) trait Isa: Copy + Send + Sync + 'static {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen u32.
    type I: Copy;
    /// Sixteen booleans.
    type M: Copy;
    /// Eight 4-bit codes of each of sixteen outputs.
    type Line: Copy;

    /// Runs `op` compiled with this instruction set's target features.
    fn call<O: Op<Self>>(self, op: O) -> O::Out;

    fn splat(self, x: f32) -> Self::F;
    fn load(self, x: &[f32; 16]) -> Self::F;
    fn store(self, x: Self::F, to: &mut [f32; 16]);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a·b + c, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger; `b` where the comparison a > b is false.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn gt(self, a: Self::F, b: Self::F) -> Self::M;
    fn any(self, m: Self::M) -> bool;
    /// Sum of the lanes by one tree: lane i + lane i + 8, then + 4, + 2, + 1.
    fn sum(self, a: Self::F) -> f32;
    /// Largest lane, by the same tree of [`Isa::max`].
    fn top(self, a: Self::F) -> f32;
    /// `a` where the mask is set, else `b`.
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// What whole numbers of codes are multiplied by, a power of two, where that saves instructions.
    const UNIT: f32;
    /// Packed 4-bit codes of eight inner elements and sixteen outputs, ready to be taken one by one. The low half of each
    /// lane has the even elements, the high half the odd ones, lowest bits first.
    fn line(self, table: &'static Table, packed: &[u32; 16]) -> Self::Line;
    /// What element `i` of a line stands for, times [`Isa::UNIT`].
    fn code(self, line: Self::Line, i: usize) -> Self::F;
    /// Two inner elements of sixteen outputs in signed bytes, times [`Isa::UNIT`].
    fn bytes(self, packed: &[[u8; 2]; 16]) -> [Self::F; 2];

    fn splat_u(self, x: u32) -> Self::I;
    fn load_u(self, x: &[u32; 16]) -> Self::I;
    fn store_u(self, x: Self::I, to: &mut [u32; 16]);
    fn add_u(self, a: Self::I, b: Self::I) -> Self::I;
    fn sub_u(self, a: Self::I, b: Self::I) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn xor(self, a: Self::I, b: Self::I) -> Self::I;
    fn shl(self, a: Self::I, n: u32) -> Self::I;
    /// Shift right, zeros in.
    fn shr(self, a: Self::I, n: u32) -> Self::I;
    /// Shift right, sign in.
    fn sar(self, a: Self::I, n: u32) -> Self::I;
    /// High and low words of the 64-bit products.
    fn mul_wide(self, a: Self::I, b: Self::I) -> (Self::I, Self::I);
    /// Transposes the 4 × 4 matrix that the four vectors form in each group of four lanes.
    fn transpose4(self, x: [Self::I; 4]) -> [Self::I; 4];

    /// Bits of the floats.
    fn to_bits(self, a: Self::F) -> Self::I;
    /// Floats of the bits.
    fn as_floats(self, a: Self::I) -> Self::F;
    /// Signed integers to floats, to nearest.
    fn float_of_i32(self, a: Self::I) -> Self::F;
    /// Unsigned integers to floats, to nearest.
    fn float_of_u32(self, a: Self::I) -> Self::F;
    /// Floats to signed integers, to nearest even; the argument must fit.
    fn round_i32(self, a: Self::F) -> Self::I;
    /// Sixteen half-precision floats.
    fn load_f16(self, x: &[u16; 16]) -> Self::F;
    /// Sixteen i16, sign-extended.
    fn load_i16(self, x: &[i16; 16]) -> Self::I;
    /// Sixteen i8, sign-extended.
    fn load_i8(self, x: &[i8; 16]) -> Self::I;
}

/// Arithmetic of matrix products: float32, or bfloat16 inputs with float32 accumulation.
pub(crate) trait Arith: Isa {
    /// An activation or expanded weight: f32, or bfloat16 as u16.
    type X: Plain + Default + Send + Sync + 'static;
    /// Expanded weights of sixteen outputs and [`Arith::STEP`] inner elements.
    type W: Copy;
    /// Inner elements consumed by one dot step.
    const STEP: usize;
    /// Rows of one register tile, at most.
    const MR: usize;
    /// Vectors of sixteen outputs in one register tile (1 or 2).
    const NV: usize;
    /// Whether inputs are rounded to bfloat16.
    const BF16: bool;

    /// # Safety
    /// `x` points at `16 * STEP` readable elements.
    unsafe fn load_w(self, x: *const Self::X) -> Self::W;
    /// acc + Σ over STEP of w · x, `x` broadcast to all lanes.
    ///
    /// # Safety
    /// `x` points at `STEP` readable elements.
    unsafe fn dot(self, acc: Self::F, x: *const Self::X, w: Self::W) -> Self::F;
    /// Writes 32 consecutive inner elements, each group of STEP `stride` elements after the one before; returns the
    /// sums of what was written, of the first sixteen and the last.
    ///
    /// # Safety
    /// `to + i * stride + 0..STEP` is writable for `i < 32 / STEP`.
    unsafe fn scatter(self, v: [Self::F; 2], to: *mut Self::X, stride: usize) -> [f32; 2];
    /// Expands the values (not the scales) of one block of 32 outputs × 32 inner elements.
    ///
    /// # Safety
    /// `from` points at the block's value bytes of the given kind, `to` at 1,024 writable elements.
    unsafe fn expand(self, kind: crate::pack::Kind, from: *const u8, to: *mut Self::X);
    /// c + Σ w·x over one block of a matrix of floats, for one row: what [`Arith::expand`] and [`Arith::dot`] compute in
    /// the same order, without the way through memory.
    ///
    /// # Safety
    /// `from` points at a block of such a kind, `x` at 32 readable elements.
    unsafe fn chain(
        self,
        kind: crate::pack::Kind,
        from: *const u8,
        x: *const Self::X,
        c: [Self::F; 2],
    ) -> [Self::F; 2];
    /// Σ q·x over eighths `FROM` to `TO` of one block of a format with scales, likewise.
    ///
    /// # Safety
    /// `from` points at the value bytes of a block of such codes, `x` at 32 readable elements.
    unsafe fn block<const FROM: usize, const TO: usize>(
        self,
        codes: crate::grid::Codes,
        from: *const u8,
        x: *const Self::X,
    ) -> [Self::F; 2];
}

/// Asks for a cache line that will be read soon; any address will do.
#[inline(always)]
pub(crate) fn prefetch(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that never faults; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

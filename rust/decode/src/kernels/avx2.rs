//! AVX2 with FMA: two registers hold the sixteen lanes.

use std::arch::x86_64::*;

use super::expand;
use super::portable::float32_arith;
use super::simd::{Arith, Isa, Op};
use crate::grid::{Codes, Table};
use crate::pack::Kind;

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn new() -> Option<Self> {
        let ok = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        ok.then_some(Avx2(()))
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn enter<O: Op<Avx2>>(s: Avx2, op: O) -> O::Out {
    op.run(s)
}

/// Sum of eight lanes: i + i + 4, then + 2, + 1.
///
/// # Safety
/// The CPU has AVX.
#[inline(always)]
pub(crate) unsafe fn sum8(x: __m256) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
    }
}

/// Largest of eight lanes, by the same tree.
///
/// # Safety
/// The CPU has AVX.
#[inline(always)]
pub(crate) unsafe fn top8(x: __m256) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
    }
}

/// Byte `i` of each lane as the float of a signed byte, times 2^24: the lowest byte is as good as shifted up.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn byte8(lanes: __m256i, i: usize) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        _mm256_cvtepi32_ps(match i {
            0 => _mm256_slli_epi32::<24>(lanes),
            1 => _mm256_shuffle_epi8(lanes, top_bytes([1, 5, 9, 13], [1, 5, 9, 13])),
            2 => _mm256_shuffle_epi8(lanes, top_bytes([2, 6, 10, 14], [2, 6, 10, 14])),
            _ => _mm256_and_si256(lanes, _mm256_set1_epi32(0xff00_0000_u32.cast_signed())),
        })
    }
}

/// Indices that shuffle the bytes named to the tops of eight lanes, and zeros below them.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn top_bytes(low: [u32; 4], high: [u32; 4]) -> __m256i {
    let at = |i: u32| (i << 24 | 0x0080_8080).cast_signed();
    let ([a, b, c, d], [e, f, g, h]) = (low, high);
    // SAFETY: the caller's promise.
    unsafe { _mm256_setr_epi32(at(a), at(b), at(c), at(d), at(e), at(f), at(g), at(h)) }
}

/// High and low words of eight 64-bit products.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn products8(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    // SAFETY: the caller's promise.
    unsafe {
        let even = _mm256_mul_epu32(a, b);
        let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
        let high = _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(even), odd);
        let low = _mm256_blend_epi32::<0xaa>(even, _mm256_slli_epi64::<32>(odd));
        (high, low)
    }
}

/// Transposes the 4 × 4 matrix in each group of four lanes.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn transpose8(x: [__m256i; 4]) -> [__m256i; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let a = _mm256_unpacklo_epi32(x[0], x[1]);
        let b = _mm256_unpacklo_epi32(x[2], x[3]);
        let c = _mm256_unpackhi_epi32(x[0], x[1]);
        let d = _mm256_unpackhi_epi32(x[2], x[3]);
        [
            _mm256_unpacklo_epi64(a, b),
            _mm256_unpackhi_epi64(a, b),
            _mm256_unpacklo_epi64(c, d),
            _mm256_unpackhi_epi64(c, d),
        ]
    }
}

type F = [__m256; 2];
type I = [__m256i; 2];

// SAFETY of every block below: a value of the type exists only where the constructor found the instructions, and
// loads and stores go through references to whole arrays.
impl Isa for Avx2 {
    type F = F;
    type I = I;
    type M = F;
    /// Low, then high nibbles of the bytes, looked up.
    type Line = [[__m256i; 2]; 2];
    /// A byte at the top of a lane needs no shift down; sums of products may be as large as 2^104.
    const UNIT: f32 = 16_777_216.0;

    #[inline(always)]
    fn call<O: Op<Self>>(self, op: O) -> O::Out {
        // SAFETY: `self` proves that the CPU has the features of the function.
        unsafe { enter(self, op) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F {
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    fn load(self, x: &[f32; 16]) -> F {
        unsafe { [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn store(self, x: F, to: &mut [f32; 16]) {
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), x[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn gt(self, a: F, b: F) -> F {
        unsafe { [_mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1])] }
    }
    #[inline(always)]
    fn any(self, m: F) -> bool {
        unsafe { _mm256_movemask_ps(_mm256_or_ps(m[0], m[1])) != 0 }
    }
    #[inline(always)]
    fn sum(self, a: F) -> f32 {
        unsafe { sum8(_mm256_add_ps(a[0], a[1])) }
    }
    #[inline(always)]
    fn top(self, a: F) -> f32 {
        unsafe { top8(_mm256_max_ps(a[0], a[1])) }
    }
    #[inline(always)]
    fn select(self, m: F, a: F, b: F) -> F {
        unsafe { [_mm256_blendv_ps(b[0], a[0], m[0]), _mm256_blendv_ps(b[1], a[1], m[1])] }
    }
    #[inline(always)]
    fn line(self, table: &'static Table, packed: &[u32; 16]) -> Self::Line {
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.bytes.as_ptr().cast()));
            let mask = _mm256_set1_epi8(15);
            let [a, b] = self.load_u(packed);
            let low = [_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)];
            let high = [
                _mm256_and_si256(_mm256_srli_epi16::<4>(a), mask),
                _mm256_and_si256(_mm256_srli_epi16::<4>(b), mask),
            ];
            [
                [_mm256_shuffle_epi8(table, low[0]), _mm256_shuffle_epi8(table, low[1])],
                [_mm256_shuffle_epi8(table, high[0]), _mm256_shuffle_epi8(table, high[1])],
            ]
        }
    }
    #[inline(always)]
    fn code(self, line: Self::Line, i: usize) -> F {
        let (byte, [a, b]) = (2 * (i % 2) + i / 4, line[i / 2 % 2]);
        unsafe { [byte8(a, byte), byte8(b, byte)] }
    }
    #[inline(always)]
    fn bytes(self, packed: &[[u8; 2]; 16]) -> [F; 2] {
        unsafe {
            let from = packed.as_ptr().cast::<__m128i>();
            let a = _mm256_broadcastsi128_si256(_mm_loadu_si128(from));
            let b = _mm256_broadcastsi128_si256(_mm_loadu_si128(from.add(1)));
            let first = top_bytes([0, 2, 4, 6], [8, 10, 12, 14]);
            let second = top_bytes([1, 3, 5, 7], [9, 11, 13, 15]);
            [
                self.float_of_i32([_mm256_shuffle_epi8(a, first), _mm256_shuffle_epi8(b, first)]),
                self.float_of_i32([_mm256_shuffle_epi8(a, second), _mm256_shuffle_epi8(b, second)]),
            ]
        }
    }
    #[inline(always)]
    fn splat_u(self, x: u32) -> I {
        unsafe { [_mm256_set1_epi32(x as i32); 2] }
    }
    #[inline(always)]
    fn load_u(self, x: &[u32; 16]) -> I {
        unsafe { [_mm256_loadu_si256(x.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().add(8).cast())] }
    }
    #[inline(always)]
    fn store_u(self, x: I, to: &mut [u32; 16]) {
        unsafe {
            _mm256_storeu_si256(to.as_mut_ptr().cast(), x[0]);
            _mm256_storeu_si256(to.as_mut_ptr().add(8).cast(), x[1]);
        }
    }
    #[inline(always)]
    fn add_u(self, a: I, b: I) -> I {
        unsafe { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
    }
    #[inline(always)]
    fn sub_u(self, a: I, b: I) -> I {
        unsafe { [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])] }
    }
    #[inline(always)]
    fn and(self, a: I, b: I) -> I {
        unsafe { [_mm256_and_si256(a[0], b[0]), _mm256_and_si256(a[1], b[1])] }
    }
    #[inline(always)]
    fn xor(self, a: I, b: I) -> I {
        unsafe { [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])] }
    }
    #[inline(always)]
    fn shl(self, a: I, n: u32) -> I {
        unsafe {
            let n = _mm256_set1_epi32(n as i32);
            [_mm256_sllv_epi32(a[0], n), _mm256_sllv_epi32(a[1], n)]
        }
    }
    #[inline(always)]
    fn shr(self, a: I, n: u32) -> I {
        unsafe {
            let n = _mm256_set1_epi32(n as i32);
            [_mm256_srlv_epi32(a[0], n), _mm256_srlv_epi32(a[1], n)]
        }
    }
    #[inline(always)]
    fn sar(self, a: I, n: u32) -> I {
        unsafe {
            let n = _mm256_set1_epi32(n as i32);
            [_mm256_srav_epi32(a[0], n), _mm256_srav_epi32(a[1], n)]
        }
    }
    #[inline(always)]
    fn mul_wide(self, a: I, b: I) -> (I, I) {
        unsafe {
            let ((h0, l0), (h1, l1)) = (products8(a[0], b[0]), products8(a[1], b[1]));
            ([h0, h1], [l0, l1])
        }
    }
    #[inline(always)]
    fn transpose4(self, x: [I; 4]) -> [I; 4] {
        let [a, b, c, d] = x;
        let (low, high) =
            unsafe { (transpose8([a[0], b[0], c[0], d[0]]), transpose8([a[1], b[1], c[1], d[1]])) };
        [[low[0], high[0]], [low[1], high[1]], [low[2], high[2]], [low[3], high[3]]]
    }
    #[inline(always)]
    fn to_bits(self, a: F) -> I {
        unsafe { [_mm256_castps_si256(a[0]), _mm256_castps_si256(a[1])] }
    }
    #[inline(always)]
    fn as_floats(self, a: I) -> F {
        unsafe { [_mm256_castsi256_ps(a[0]), _mm256_castsi256_ps(a[1])] }
    }
    #[inline(always)]
    fn float_of_i32(self, a: I) -> F {
        unsafe { [_mm256_cvtepi32_ps(a[0]), _mm256_cvtepi32_ps(a[1])] }
    }
    #[inline(always)]
    fn float_of_u32(self, a: I) -> F {
        // Both halves are exact, so the one rounding is the fused multiply-add's: to nearest, as a conversion.
        let high = self.float_of_i32(self.shr(a, 16));
        let low = self.float_of_i32(self.and(a, self.splat_u(0xffff)));
        self.fma(high, self.splat(65536.0), low)
    }
    #[inline(always)]
    fn round_i32(self, a: F) -> I {
        unsafe { [_mm256_cvtps_epi32(a[0]), _mm256_cvtps_epi32(a[1])] }
    }
    #[inline(always)]
    fn load_f16(self, x: &[u16; 16]) -> F {
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().add(8).cast())),
            ]
        }
    }
    #[inline(always)]
    fn load_i16(self, x: &[i16; 16]) -> I {
        unsafe {
            [
                _mm256_cvtepi16_epi32(_mm_loadu_si128(x.as_ptr().cast())),
                _mm256_cvtepi16_epi32(_mm_loadu_si128(x.as_ptr().add(8).cast())),
            ]
        }
    }
    #[inline(always)]
    fn load_i8(self, x: &[i8; 16]) -> I {
        unsafe {
            [
                _mm256_cvtepi8_epi32(_mm_loadl_epi64(x.as_ptr().cast())),
                _mm256_cvtepi8_epi32(_mm_loadl_epi64(x.as_ptr().add(8).cast())),
            ]
        }
    }
}

float32_arith!(Avx2, 6, 1);

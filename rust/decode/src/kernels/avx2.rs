//! AVX2 with FMA: two registers hold the sixteen lanes.

use std::arch::x86_64::*;

use super::expand;
use super::portable::float32_arith;
use super::simd::{Arith, Isa, Op};
use crate::grid::Codes;
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

/// Entries of a table of two registers; bit 3 of an index says which, and as the sign selects.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn pick8(low: __m256, high: __m256, i: __m256i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let upper = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(i));
        _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, i), _mm256_permutevar8x32_ps(high, i), upper)
    }
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
    fn pick(self, table: &[f32; 16], i: I) -> F {
        unsafe {
            let (low, high) = (_mm256_loadu_ps(table.as_ptr()), _mm256_loadu_ps(table.as_ptr().add(8)));
            [pick8(low, high, i[0]), pick8(low, high, i[1])]
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
    fn load_u16(self, x: &[u16; 16]) -> I {
        unsafe {
            [
                _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().cast())),
                _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().add(8).cast())),
            ]
        }
    }
}

float32_arith!(Avx2, 6, 1);

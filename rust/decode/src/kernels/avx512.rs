//! AVX-512: one register holds the sixteen lanes.

use std::arch::x86_64::*;

use super::expand;
use super::portable::float32_arith;
use super::simd::{Arith, Isa, Op};
use crate::grid::Codes;
use crate::pack::Kind;

/// Proof that the CPU has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn new() -> Option<Self> {
        let ok = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        ok.then_some(Avx512(()))
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")]
fn enter<O: Op<Avx512>>(s: Avx512, op: O) -> O::Out {
    op.run(s)
}

// SAFETY of every block below: a value of the type exists only where the constructor found the instructions, and
// loads and stores go through references to whole arrays.
macro_rules! isa_512 {
    ($t:ty, $enter:path) => {
        impl Isa for $t {
            type F = __m512;
            type I = __m512i;
            type M = __mmask16;
            type Line = (__m512, __m512i);
            const UNIT: f32 = 1.0;

            #[inline(always)]
            fn call<O: Op<Self>>(self, op: O) -> O::Out {
                // SAFETY: `self` proves that the CPU has the features of the function.
                unsafe { $enter(self, op) }
            }
            #[inline(always)]
            fn splat(self, x: f32) -> __m512 {
                unsafe { _mm512_set1_ps(x) }
            }
            #[inline(always)]
            fn load(self, x: &[f32; 16]) -> __m512 {
                unsafe { _mm512_loadu_ps(x.as_ptr()) }
            }
            #[inline(always)]
            fn store(self, x: __m512, to: &mut [f32; 16]) {
                unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
            }
            #[inline(always)]
            fn add(self, a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_add_ps(a, b) }
            }
            #[inline(always)]
            fn sub(self, a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_sub_ps(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_mul_ps(a, b) }
            }
            #[inline(always)]
            fn div(self, a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_div_ps(a, b) }
            }
            #[inline(always)]
            fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
                unsafe { _mm512_fmadd_ps(a, b, c) }
            }
            #[inline(always)]
            fn max(self, a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_max_ps(a, b) }
            }
            #[inline(always)]
            fn gt(self, a: __m512, b: __m512) -> __mmask16 {
                unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
            }
            #[inline(always)]
            fn any(self, m: __mmask16) -> bool {
                m != 0
            }
            #[inline(always)]
            fn sum(self, a: __m512) -> f32 {
                // SAFETY: as for the whole implementation; AVX-512 implies AVX.
                unsafe {
                    let low = _mm512_castps512_ps256(a);
                    $crate::kernels::avx2::sum8(_mm256_add_ps(low, _mm512_extractf32x8_ps::<1>(a)))
                }
            }
            #[inline(always)]
            fn top(self, a: __m512) -> f32 {
                // SAFETY: as above.
                unsafe {
                    let low = _mm512_castps512_ps256(a);
                    $crate::kernels::avx2::top8(_mm256_max_ps(low, _mm512_extractf32x8_ps::<1>(a)))
                }
            }
            #[inline(always)]
            fn select(self, m: __mmask16, a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_mask_blend_ps(m, b, a) }
            }
            #[inline(always)]
            fn line(self, table: &'static $crate::grid::Table, packed: &[u32; 16]) -> Self::Line {
                (self.load(&table.floats), self.load_u(packed))
            }
            #[inline(always)]
            fn code(self, (table, packed): Self::Line, i: usize) -> __m512 {
                // The low four bits of an index count.
                let code = self.shr(packed, (16 * (i % 2) + 4 * (i / 2)) as u32);
                unsafe { _mm512_permutexvar_ps(code, table) }
            }
            #[inline(always)]
            fn bytes(self, packed: &[[u8; 2]; 16]) -> [__m512; 2] {
                let packed = unsafe { _mm512_cvtepi16_epi32(_mm256_loadu_si256(packed.as_ptr().cast())) };
                let first = self.sar(self.shl(packed, 24), 24);
                [self.float_of_i32(first), self.float_of_i32(self.sar(packed, 8))]
            }
            #[inline(always)]
            fn splat_u(self, x: u32) -> __m512i {
                unsafe { _mm512_set1_epi32(x as i32) }
            }
            #[inline(always)]
            fn load_u(self, x: &[u32; 16]) -> __m512i {
                unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
            }
            #[inline(always)]
            fn store_u(self, x: __m512i, to: &mut [u32; 16]) {
                unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
            }
            #[inline(always)]
            fn add_u(self, a: __m512i, b: __m512i) -> __m512i {
                unsafe { _mm512_add_epi32(a, b) }
            }
            #[inline(always)]
            fn sub_u(self, a: __m512i, b: __m512i) -> __m512i {
                unsafe { _mm512_sub_epi32(a, b) }
            }
            #[inline(always)]
            fn and(self, a: __m512i, b: __m512i) -> __m512i {
                unsafe { _mm512_and_si512(a, b) }
            }
            #[inline(always)]
            fn xor(self, a: __m512i, b: __m512i) -> __m512i {
                unsafe { _mm512_xor_si512(a, b) }
            }
            #[inline(always)]
            fn shl(self, a: __m512i, n: u32) -> __m512i {
                unsafe { _mm512_sllv_epi32(a, _mm512_set1_epi32(n as i32)) }
            }
            #[inline(always)]
            fn shr(self, a: __m512i, n: u32) -> __m512i {
                unsafe { _mm512_srlv_epi32(a, _mm512_set1_epi32(n as i32)) }
            }
            #[inline(always)]
            fn sar(self, a: __m512i, n: u32) -> __m512i {
                unsafe { _mm512_srav_epi32(a, _mm512_set1_epi32(n as i32)) }
            }
            #[inline(always)]
            fn mul_wide(self, a: __m512i, b: __m512i) -> (__m512i, __m512i) {
                unsafe {
                    let even = _mm512_mul_epu32(a, b);
                    let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
                    let high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64::<32>(even), odd);
                    let low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64::<32>(odd));
                    (high, low)
                }
            }
            #[inline(always)]
            fn transpose4(self, x: [__m512i; 4]) -> [__m512i; 4] {
                unsafe {
                    let a = _mm512_unpacklo_epi32(x[0], x[1]);
                    let b = _mm512_unpacklo_epi32(x[2], x[3]);
                    let c = _mm512_unpackhi_epi32(x[0], x[1]);
                    let d = _mm512_unpackhi_epi32(x[2], x[3]);
                    [
                        _mm512_unpacklo_epi64(a, b),
                        _mm512_unpackhi_epi64(a, b),
                        _mm512_unpacklo_epi64(c, d),
                        _mm512_unpackhi_epi64(c, d),
                    ]
                }
            }
            #[inline(always)]
            fn to_bits(self, a: __m512) -> __m512i {
                unsafe { _mm512_castps_si512(a) }
            }
            #[inline(always)]
            fn as_floats(self, a: __m512i) -> __m512 {
                unsafe { _mm512_castsi512_ps(a) }
            }
            #[inline(always)]
            fn float_of_i32(self, a: __m512i) -> __m512 {
                unsafe { _mm512_cvtepi32_ps(a) }
            }
            #[inline(always)]
            fn float_of_u32(self, a: __m512i) -> __m512 {
                unsafe { _mm512_cvtepu32_ps(a) }
            }
            #[inline(always)]
            fn round_i32(self, a: __m512) -> __m512i {
                unsafe { _mm512_cvtps_epi32(a) }
            }
            #[inline(always)]
            fn load_f16(self, x: &[u16; 16]) -> __m512 {
                unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())) }
            }
            #[inline(always)]
            fn load_i16(self, x: &[i16; 16]) -> __m512i {
                unsafe { _mm512_cvtepi16_epi32(_mm256_loadu_si256(x.as_ptr().cast())) }
            }
            #[inline(always)]
            fn load_i8(self, x: &[i8; 16]) -> __m512i {
                unsafe { _mm512_cvtepi8_epi32(_mm_loadu_si128(x.as_ptr().cast())) }
            }
        }
    };
}
pub(crate) use isa_512;

isa_512!(Avx512, enter);
float32_arith!(Avx512, 9, 2);

//! AVX-512 with BF16: inputs rounded to bfloat16, products of pairs accumulated in float32.

use std::arch::x86_64::*;

use super::avx2;
use super::avx512::{Avx512, isa_512};
use super::simd::{Arith, Isa, Op};
use crate::grid::{Codes, Grid};
use crate::pack::Kind;

/// Proof that the CPU has AVX-512 F, BW, DQ, VL and BF16.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Bf16(());

impl Avx512Bf16 {
    pub(crate) fn new() -> Option<Self> {
        (Avx512::new().is_some() && is_x86_feature_detected!("avx512bf16")).then_some(Avx512Bf16(()))
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma,f16c")]
fn enter<O: Op<Avx512Bf16>>(s: Avx512Bf16, op: O) -> O::Out {
    op.run(s)
}

isa_512!(Avx512Bf16, enter);

/// The four nibbles of each of 32 words, lowest first, as bfloat16.
#[inline(always)]
unsafe fn nibbles(from: *const u8, table: __m512i) -> [__m512i; 4] {
    // SAFETY: the caller promises 64 bytes, and the instructions.
    unsafe {
        let low = _mm512_set1_epi16(15);
        let packed = _mm512_loadu_si512(from.cast());
        let planes = [
            packed,
            _mm512_srli_epi16::<4>(packed),
            _mm512_srli_epi16::<8>(packed),
            _mm512_srli_epi16::<12>(packed),
        ];
        let mut found = planes;
        for t in 0..4 {
            found[t] = _mm512_permutexvar_epi16(_mm512_and_si512(planes[t], low), table);
        }
        found
    }
}

impl Arith for Avx512Bf16 {
    type X = u16;
    type W = __m512bh;
    const STEP: usize = 2;
    const MR: usize = 9;
    const NV: usize = 2;
    const BF16: bool = true;

    #[inline(always)]
    unsafe fn load_w(self, x: *const u16) -> __m512bh {
        // SAFETY: the caller promises 32 readable elements; both types are 512 plain bits.
        unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(x.cast())) }
    }
    #[inline(always)]
    unsafe fn dot(self, acc: __m512, x: *const u16, w: __m512bh) -> __m512 {
        // SAFETY: the caller promises two readable elements; the type proves the instruction.
        unsafe {
            let pair = _mm512_set1_epi32(x.cast::<i32>().read_unaligned());
            _mm512_dpbf16_ps(acc, w, std::mem::transmute::<__m512i, __m512bh>(pair))
        }
    }
    #[inline(always)]
    unsafe fn scatter(self, v: [__m512; 2], to: *mut u16, stride: usize) -> [f32; 2] {
        // SAFETY: the caller promises sixteen writable pairs `stride` apart; the type proves the instructions.
        unsafe {
            let packed = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(v[1], v[0]));
            let mut pairs = [0u32; 16];
            self.store_u(packed, &mut pairs);
            for (i, &pair) in pairs.iter().enumerate() {
                to.add(i * stride).cast::<u32>().write_unaligned(pair);
            }
            let even = self.as_floats(self.shl(packed, 16));
            let odd = self.as_floats(self.and(packed, self.splat_u(0xffff_0000)));
            let sums = self.add(even, odd);
            [avx2::sum8(_mm512_castps512_ps256(sums)), avx2::sum8(_mm512_extractf32x8_ps::<1>(sums))]
        }
    }
    #[inline(always)]
    unsafe fn expand(self, kind: Kind, from: *const u8, to: *mut u16) {
        // SAFETY: the caller promises the block's bytes and room for 1,024 elements.
        unsafe {
            match kind {
                Kind::Grid(Grid { codes: Codes::Table(table), .. }) => {
                    let table = _mm512_loadu_si512(table.bfloats.as_ptr().cast());
                    for line in 0..8 {
                        let values = nibbles(from.add(64 * line), table);
                        for t in 0..4 {
                            let pair = 4 * (line / 2) + t;
                            _mm512_storeu_si512(to.add(64 * pair + 32 * (line % 2)).cast(), values[t]);
                        }
                    }
                }
                Kind::Grid(Grid { codes: Codes::Byte, .. }) => {
                    for vector in 0..32 {
                        let bytes = from.add(32 * vector);
                        let first = _mm512_cvtepi8_epi32(_mm_loadu_si128(bytes.cast()));
                        let second = _mm512_cvtepi8_epi32(_mm_loadu_si128(bytes.add(16).cast()));
                        let both = _mm512_cvtne2ps_pbh(_mm512_cvtepi32_ps(second), _mm512_cvtepi32_ps(first));
                        _mm512_storeu_si512(
                            to.add(32 * vector).cast(),
                            std::mem::transmute::<__m512bh, __m512i>(both),
                        );
                    }
                }
                Kind::Bf16 => std::ptr::copy_nonoverlapping(from, to.cast::<u8>(), 2048),
                Kind::F32 | Kind::F16 => unreachable!("packed as bfloat16 for bfloat16 arithmetic"),
            }
        }
    }

    #[inline(always)]
    unsafe fn chain(self, _: Kind, from: *const u8, x: *const u16, mut c: [__m512; 2]) -> [__m512; 2] {
        // SAFETY: the caller promises a block, of bfloat16 as all floats are packed here, and 32 elements of x.
        unsafe {
            for pair in 0..16 {
                let from = from.cast::<u16>().add(64 * pair);
                c[0] = self.dot(c[0], x.add(2 * pair), self.load_w(from));
                c[1] = self.dot(c[1], x.add(2 * pair), self.load_w(from.add(32)));
            }
        }
        c
    }
    #[inline(always)]
    unsafe fn block<const FROM: usize, const TO: usize>(
        self,
        codes: Codes,
        from: *const u8,
        x: *const u16,
    ) -> [__m512; 2] {
        let mut c = [self.splat(0.0); 2];
        // SAFETY: the caller promises the block's bytes and 32 elements of x.
        unsafe {
            match codes {
                Codes::Table(table) => {
                    let table = _mm512_loadu_si512(table.bfloats.as_ptr().cast());
                    for line in FROM..TO {
                        let values = nibbles(from.add(64 * line), table);
                        for t in 0..4 {
                            let values = std::mem::transmute::<__m512i, __m512bh>(values[t]);
                            c[line % 2] = self.dot(c[line % 2], x.add(8 * (line / 2) + 2 * t), values);
                        }
                    }
                }
                Codes::Byte => {
                    for vector in 4 * FROM..4 * TO {
                        let bytes = from.add(32 * vector);
                        let first = _mm512_cvtepi8_epi32(_mm_loadu_si128(bytes.cast()));
                        let second = _mm512_cvtepi8_epi32(_mm_loadu_si128(bytes.add(16).cast()));
                        let both = _mm512_cvtne2ps_pbh(_mm512_cvtepi32_ps(second), _mm512_cvtepi32_ps(first));
                        c[vector % 2] = self.dot(c[vector % 2], x.add(2 * (vector / 2)), both);
                    }
                }
            }
        }
        c
    }
}

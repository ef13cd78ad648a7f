//! The portable kernels: plain Rust, the reference that the vector kernels equal bit for bit.

use super::expand;
use super::simd::{Arith, Isa, Op};
use crate::grid::{Codes, Table};
use crate::half::f16_to_f32;
use crate::pack::Kind;

/// Any machine.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn zip<T: Copy, U: Copy, R: Copy + Default>(a: [T; 16], b: [U; 16], f: impl Fn(T, U) -> R) -> [R; 16] {
    let mut out = [R::default(); 16];
    for i in 0..16 {
        out[i] = f(a[i], b[i]);
    }
    out
}

#[inline(always)]
fn map<T: Copy, R: Copy + Default>(a: [T; 16], f: impl Fn(T) -> R) -> [R; 16] {
    zip(a, a, |x, _| f(x))
}

#[inline(always)]
fn tree(mut a: [f32; 16], f: impl Fn(f32, f32) -> f32) -> f32 {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            a[i] = f(a[i], a[i + width]);
        }
    }
    a[0]
}

impl Isa for Portable {
    type F = [f32; 16];
    type I = [u32; 16];
    type M = [bool; 16];
    type Line = (&'static Table, [u32; 16]);
    const UNIT: f32 = 1.0;

    #[inline(always)]
    fn call<O: Op<Self>>(self, op: O) -> O::Out {
        op.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; 16]
    }
    #[inline(always)]
    fn load(self, x: &[f32; 16]) -> Self::F {
        *x
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; 16]) {
        *to = x;
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        let mut out = c;
        for i in 0..16 {
            out[i] = a[i].mul_add(b[i], c[i]);
        }
        out
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn gt(self, a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a > b)
    }
    #[inline(always)]
    fn any(self, m: Self::M) -> bool {
        m.contains(&true)
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        tree(a, |x, y| x + y)
    }
    #[inline(always)]
    fn top(self, a: Self::F) -> f32 {
        tree(a, |x, y| if x > y { x } else { y })
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        let mut out = b;
        for i in 0..16 {
            out[i] = if m[i] { a[i] } else { b[i] };
        }
        out
    }

    #[inline(always)]
    fn line(self, table: &'static Table, packed: &[u32; 16]) -> Self::Line {
        (table, *packed)
    }
    #[inline(always)]
    fn code(self, (table, packed): Self::Line, i: usize) -> Self::F {
        map(packed, |lane| table.floats[(lane >> (16 * (i % 2) + 4 * (i / 2))) as usize & 15])
    }
    #[inline(always)]
    fn bytes(self, packed: &[[u8; 2]; 16]) -> [Self::F; 2] {
        [0, 1].map(|i| map(*packed, |pair| f32::from(pair[i].cast_signed())))
    }
    #[inline(always)]
    fn splat_u(self, x: u32) -> Self::I {
        [x; 16]
    }
    #[inline(always)]
    fn load_u(self, x: &[u32; 16]) -> Self::I {
        *x
    }
    #[inline(always)]
    fn store_u(self, x: Self::I, to: &mut [u32; 16]) {
        *to = x;
    }
    #[inline(always)]
    fn add_u(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, u32::wrapping_add)
    }
    #[inline(always)]
    fn sub_u(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, u32::wrapping_sub)
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn shl(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| a << n)
    }
    #[inline(always)]
    fn shr(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| a >> n)
    }
    #[inline(always)]
    fn sar(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| ((a as i32) >> n) as u32)
    }
    #[inline(always)]
    fn mul_wide(self, a: Self::I, b: Self::I) -> (Self::I, Self::I) {
        let wide = |a, b| u64::from(a) * u64::from(b);
        (zip(a, b, |a: u32, b: u32| (wide(a, b) >> 32) as u32), zip(a, b, u32::wrapping_mul))
    }
    #[inline(always)]
    fn transpose4(self, x: [Self::I; 4]) -> [Self::I; 4] {
        let mut out = x;
        for (i, row) in out.iter_mut().enumerate() {
            for group in 0..4 {
                for j in 0..4 {
                    row[4 * group + j] = x[j][4 * group + i];
                }
            }
        }
        out
    }
    #[inline(always)]
    fn to_bits(self, a: Self::F) -> Self::I {
        map(a, f32::to_bits)
    }
    #[inline(always)]
    fn as_floats(self, a: Self::I) -> Self::F {
        map(a, f32::from_bits)
    }
    #[inline(always)]
    fn float_of_i32(self, a: Self::I) -> Self::F {
        map(a, |a| a as i32 as f32)
    }
    #[inline(always)]
    fn float_of_u32(self, a: Self::I) -> Self::F {
        map(a, |a| a as f32)
    }
    #[inline(always)]
    fn round_i32(self, a: Self::F) -> Self::I {
        map(a, |a| a.round_ties_even() as i32 as u32)
    }
    #[inline(always)]
    fn load_f16(self, x: &[u16; 16]) -> Self::F {
        map(*x, f16_to_f32)
    }
    #[inline(always)]
    fn load_i16(self, x: &[i16; 16]) -> Self::I {
        map(*x, |x| i32::from(x).cast_unsigned())
    }
    #[inline(always)]
    fn load_i8(self, x: &[i8; 16]) -> Self::I {
        map(*x, |x| i32::from(x).cast_unsigned())
    }
}

/// Float32 arithmetic is the same for every instruction set but for the size of the register tile.
macro_rules! float32_arith {
    ($isa:ty, $mr:expr, $nv:expr) => {
        impl Arith for $isa {
            type X = f32;
            type W = <$isa as Isa>::F;
            const STEP: usize = 1;
            const MR: usize = $mr;
            const NV: usize = $nv;
            const BF16: bool = false;

            #[inline(always)]
            unsafe fn load_w(self, x: *const f32) -> Self::W {
                // SAFETY: the caller promises sixteen readable floats.
                self.load(unsafe { &*x.cast::<[f32; 16]>() })
            }
            #[inline(always)]
            unsafe fn dot(self, acc: Self::F, x: *const f32, w: Self::W) -> Self::F {
                // SAFETY: the caller promises one readable float.
                self.fma(w, self.splat(unsafe { *x }), acc)
            }
            #[inline(always)]
            unsafe fn scatter(self, v: [Self::F; 2], to: *mut f32, stride: usize) -> [f32; 2] {
                for (half, &part) in v.iter().enumerate() {
                    let mut flat = [0f32; 16];
                    self.store(part, &mut flat);
                    for (i, &x) in flat.iter().enumerate() {
                        // SAFETY: the caller promises 32 writable elements `stride` apart.
                        unsafe { *to.add((half * 16 + i) * stride) = x };
                    }
                }
                [self.sum(v[0]), self.sum(v[1])]
            }
            #[inline(always)]
            unsafe fn expand(self, kind: Kind, from: *const u8, to: *mut f32) {
                // SAFETY: passed on from the caller.
                unsafe { expand::float32(self, kind, from, to) }
            }
            #[inline(always)]
            unsafe fn chain(
                self,
                kind: Kind,
                from: *const u8,
                x: *const f32,
                c: [Self::F; 2],
            ) -> [Self::F; 2] {
                // SAFETY: passed on from the caller.
                unsafe { expand::chain_float32(self, kind, from, x, c) }
            }
            #[inline(always)]
            unsafe fn block<const FROM: usize, const TO: usize>(
                self,
                codes: Codes,
                from: *const u8,
                x: *const f32,
            ) -> [Self::F; 2] {
                // SAFETY: passed on from the caller.
                unsafe { expand::block_float32::<Self, FROM, TO>(self, codes, from, x) }
            }
        }
    };
}
pub(crate) use float32_arith;

float32_arith!(Portable, 4, 2);

//! Packed blocks expanded to float32, sixteen outputs at a time.
//!
//! What computes with vectors is called in one place or always inlined: a closure that is not inlined has none of its
//! caller's instructions, and each of its vectors goes through memory.

use super::simd::Isa;
use crate::grid::{Codes, Grid};
use crate::pack::Kind;

/// Expands the values of one block of 32 outputs × 32 inner elements to `to[inner][output]`; scales stay apart.
///
/// # Safety
/// `from` points at the value bytes of a block of the given kind, `to` at 1,024 writable floats.
#[inline(always)]
pub(crate) unsafe fn float32<S: Isa>(s: S, kind: Kind, from: *const u8, to: *mut f32) {
    let unit = s.splat(1.0 / S::UNIT);
    // SAFETY: every access stays within the block and the 1,024 floats that the caller promises.
    unsafe {
        match kind {
            Kind::Grid(Grid { codes: Codes::Table(table), .. }) => {
                for at in 0..8 {
                    let line = s.line(table, &from.add(64 * at).cast::<[u32; 16]>().read_unaligned());
                    for i in 0..8 {
                        put(s, to, 8 * (at / 2) + i, at % 2, s.mul(s.code(line, i), unit));
                    }
                }
            }
            Kind::Grid(Grid { codes: Codes::Byte, .. }) => {
                for vector in 0..32 {
                    let both = s.bytes(&from.add(32 * vector).cast::<[[u8; 2]; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    put(s, to, 2 * pair, half, s.mul(both[0], unit));
                    put(s, to, 2 * pair + 1, half, s.mul(both[1], unit));
                }
            }
            Kind::Bf16 | Kind::F16 | Kind::F32 => {
                for vector in 0..32 {
                    let (pair, half) = (vector / 2, vector % 2);
                    let both = floats(s, kind, from, pair, half);
                    put(s, to, 2 * pair, half, both[0]);
                    put(s, to, 2 * pair + 1, half, both[1]);
                }
            }
        }
    }
}

/// A pair of inner elements of sixteen outputs of a block of floats.
#[inline(always)]
unsafe fn floats<S: Isa>(s: S, kind: Kind, from: *const u8, pair: usize, half: usize) -> [S::F; 2] {
    // SAFETY: every access stays within the block that the caller promises.
    unsafe {
        let (first, second) = (64 * pair + 16 * half, 64 * pair + 32 + 16 * half);
        match kind {
            Kind::F16 => {
                let from = from.cast::<u16>();
                [
                    s.load_f16(&from.add(first).cast::<[u16; 16]>().read_unaligned()),
                    s.load_f16(&from.add(second).cast::<[u16; 16]>().read_unaligned()),
                ]
            }
            Kind::F32 => {
                let from = from.cast::<f32>();
                [
                    s.load(&from.add(first).cast::<[f32; 16]>().read_unaligned()),
                    s.load(&from.add(second).cast::<[f32; 16]>().read_unaligned()),
                ]
            }
            Kind::Bf16 => {
                let packed = from.add(128 * pair + 64 * half).cast::<[u32; 16]>();
                let packed = s.load_u(&packed.read_unaligned());
                [s.as_floats(s.shl(packed, 16)), s.as_floats(s.and(packed, s.splat_u(0xffff_0000)))]
            }
            Kind::Grid(_) => unreachable!("codes, not floats"),
        }
    }
}

/// c + Σ w·x over one block of floats for one row, in the order of the inner dimension.
///
/// # Safety
/// `from` points at a block of floats of the given kind, `x` at 32 readable floats.
#[inline(always)]
pub(crate) unsafe fn chain_float32<S: Isa>(
    s: S,
    kind: Kind,
    from: *const u8,
    x: *const f32,
    mut c: [S::F; 2],
) -> [S::F; 2] {
    // SAFETY: every access stays within the block and the 32 floats that the caller promises.
    unsafe {
        for pair in 0..16 {
            let (low, high) = (floats(s, kind, from, pair, 0), floats(s, kind, from, pair, 1));
            for i in 0..2 {
                let x = s.splat(*x.add(2 * pair + i));
                c[0] = s.fma(low[i], x, c[0]);
                c[1] = s.fma(high[i], x, c[1]);
            }
        }
    }
    c
}

/// Stores one inner element of sixteen outputs.
#[inline(always)]
unsafe fn put<S: Isa>(s: S, to: *mut f32, inner: usize, half: usize, v: S::F) {
    // SAFETY: the caller promises 1,024 writable floats.
    s.store(v, unsafe { &mut *to.add(32 * inner + 16 * half).cast::<[f32; 16]>() });
}

/// Σ q·x over eighths `FROM` to `TO` of one block for one row, in the order of the inner dimension.
///
/// # Safety
/// `from` points at the value bytes of a block of a kind with scales, `x` at 32 readable floats.
#[inline(always)]
pub(crate) unsafe fn block_float32<S: Isa, const FROM: usize, const TO: usize>(
    s: S,
    codes: Codes,
    from: *const u8,
    x: *const f32,
) -> [S::F; 2] {
    let mut c = [s.splat(0.0); 2];
    // SAFETY: every access stays within the block and the 32 floats that the caller promises.
    unsafe {
        match codes {
            Codes::Table(table) => {
                for group in FROM / 2..TO / 2 {
                    let at = from.add(128 * group).cast::<[u32; 16]>();
                    let low = s.line(table, &at.read_unaligned());
                    let high = s.line(table, &at.add(1).read_unaligned());
                    for i in 0..8 {
                        let x = s.splat(*x.add(8 * group + i));
                        c[0] = s.fma(s.code(low, i), x, c[0]);
                        c[1] = s.fma(s.code(high, i), x, c[1]);
                    }
                }
            }
            Codes::Byte => {
                for pair in 2 * FROM..2 * TO {
                    let at = from.add(64 * pair).cast::<[[u8; 2]; 16]>();
                    let low = s.bytes(&at.read_unaligned());
                    let high = s.bytes(&at.add(1).read_unaligned());
                    for i in 0..2 {
                        let x = s.splat(*x.add(2 * pair + i));
                        c[0] = s.fma(low[i], x, c[0]);
                        c[1] = s.fma(high[i], x, c[1]);
                    }
                }
            }
        }
    }
    // Exact: the products were of whole numbers, so that even the smallest sum has no bit below a float's last.
    let unit = s.splat(1.0 / S::UNIT);
    [s.mul(c[0], unit), s.mul(c[1], unit)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::portable::Portable;
    use crate::kernels::simd::Op;
    use crate::tensor::DType;
    use crate::testing::Numbers;

    /// The sums of a block's products, by its codes and by its expanded values.
    struct Sums<'a> {
        grid: Grid,
        block: &'a [u8; 1024],
        x: &'a [f32; 32],
    }

    impl<S: Isa> Op<S> for Sums<'_> {
        type Out = [[[f32; 16]; 2]; 2];

        #[inline(always)]
        fn run(self, s: S) -> Self::Out {
            let mut values = [[0f32; 16]; 64];
            // SAFETY: a block has 512 or 1,024 bytes of codes; 1,024 floats take its values.
            let coded = unsafe {
                float32(s, Kind::Grid(self.grid), self.block.as_ptr(), values.as_mut_ptr().cast());
                block_float32::<S, 0, 8>(s, self.grid.codes, self.block.as_ptr(), self.x.as_ptr())
            };
            let mut out = [[[0f32; 16]; 2]; 2];
            for half in 0..2 {
                let mut sum = s.splat(0.0);
                for i in 0..32 {
                    sum = s.fma(s.load(&values[2 * i + half]), s.splat(self.x[i]), sum);
                }
                s.store(coded[half], &mut out[0][half]);
                s.store(sum, &mut out[1][half]);
            }
            out
        }
    }

    #[test]
    fn sums_by_codes_are_those_by_values_down_to_the_smallest_inputs() {
        let mut numbers = Numbers::new(1);
        for grid in DType::ALL.into_iter().filter_map(Grid::of) {
            for exponent in [0u32, 1, 24, 100, 127, 200] {
                let block: [u8; 1024] = std::array::from_fn(|_| (numbers.bits() >> 40) as u8);
                let x: [f32; 32] = std::array::from_fn(|_| {
                    f32::from_bits((numbers.bits() >> 32) as u32 & 0x807f_ffff | exponent << 23)
                });
                let sums = Sums { grid, block: &block, x: &x };
                let bits =
                    |found: [[[f32; 16]; 2]; 2]| found.map(|way| way.map(|half| half.map(f32::to_bits)));
                let [expected, also] = bits(sums.run(Portable));
                assert_eq!(expected, also);
                #[cfg(target_arch = "x86_64")]
                {
                    let sums = || Sums { grid, block: &block, x: &x };
                    let avx2 = crate::kernels::avx2::Avx2::new().map(|s| s.call(sums()));
                    let avx512 = crate::kernels::avx512::Avx512::new().map(|s| s.call(sums()));
                    for found in [avx2, avx512].into_iter().flatten() {
                        assert_eq!(bits(found), [expected, expected], "{grid:?}, exponent {exponent}");
                    }
                }
            }
        }
    }
}

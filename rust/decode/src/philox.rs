//! Philox4x32-10 (Salmon et al. 2011), on sixteen counters at once.
//!
//! key = 64 bits per problem, counter = (token >> 2, position, sample, domain), word = token & 3.

use crate::kernels::simd::Isa;

const M0: u32 = 0xd251_1f53;
const M1: u32 = 0xcd9e_8d57;
const W0: u32 = 0x9e37_79b9;
const W1: u32 = 0xbb67_ae85;

/// Ten rounds on sixteen counters that differ in their first word.
#[inline(always)]
pub(crate) fn philox<S: Isa>(s: S, key: u64, first: S::I, rest: [u32; 3]) -> [S::I; 4] {
    let mut c = [first, s.splat_u(rest[0]), s.splat_u(rest[1]), s.splat_u(rest[2])];
    let (mut k0, mut k1) = (key as u32, (key >> 32) as u32);
    let (m0, m1) = (s.splat_u(M0), s.splat_u(M1));
    for _ in 0..10 {
        let (h0, l0) = s.mul_wide(c[0], m0);
        let (h1, l1) = s.mul_wide(c[2], m1);
        c = [s.xor(s.xor(h1, c[1]), s.splat_u(k0)), l1, s.xor(s.xor(h0, c[3]), s.splat_u(k1)), l0];
        k0 = k0.wrapping_add(W0);
        k1 = k1.wrapping_add(W1);
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::portable::Portable;

    fn one(key: u64, counter: [u32; 4]) -> [u32; 4] {
        philox(Portable, key, [counter[0]; 16], [counter[1], counter[2], counter[3]]).map(|lanes| lanes[7])
    }

    /// Known answers published with the Random123 library.
    #[test]
    fn known_answers() {
        assert_eq!(one(0, [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(one(u64::MAX, [u32::MAX; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            one(0x299f_31d0_a409_3822, [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}

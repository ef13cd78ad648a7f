//! GGML's quantised types whose scales are finer, or whose steps are uneven: codes, scales and minima of 32 elements.
//!
//! A value is scale · grid\[code\] + minimum, each operation rounded once in float32, as the `gguf` package computes it.

use crate::half::f16_to_f32;
use crate::tensor::DType;

/// What sixteen codes stand for, in numbers that bfloat16 has.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) floats: [f32; 16],
    /// The same as bfloat16, twice: a lookup of 32 takes an index of five bits, and four are used.
    pub(crate) bfloats: [u16; 32],
    /// What code 0 stands for, where each further code is one more.
    pub(crate) first: Option<i32>,
}

impl Table {
    const fn new(floats: [f32; 16], first: Option<i32>) -> Table {
        let mut bfloats = [0; 32];
        let mut i = 0;
        while i < 32 {
            // Small integers need few bits: the float's high half is the number itself.
            bfloats[i] = (floats[i % 16].to_bits() >> 16) as u16;
            i += 1;
        }
        Table { floats, bfloats, first }
    }
}

/// What the codes of a type stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Codes {
    /// Four bits or fewer, by this table.
    Table(&'static Table),
    /// A signed byte, the value itself.
    Byte,
}

/// How a type's blocks of 32 are made up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) codes: Codes,
    /// Scales (and minima) for each 32 elements: 1 or 2.
    pub(crate) parts: usize,
    pub(crate) minima: bool,
}

/// 32 elements of one row.
pub(crate) struct Block {
    pub(crate) codes: [i8; 32],
    pub(crate) scales: [f32; 2],
    pub(crate) minima: [f32; 2],
}

const fn steps(first: i32) -> Table {
    let mut table = [0.0; 16];
    let mut i = 0;
    while i < 16 {
        table[i] = (first + i as i32) as f32;
        i += 1;
    }
    Table::new(table, Some(first))
}
pub(crate) static FROM_0: Table = steps(0);
static FROM_MINUS_4: Table = steps(-4);
pub(crate) static FROM_MINUS_8: Table = steps(-8);
/// The uneven steps of IQ4_NL and IQ4_XS.
static UNEVEN: Table = Table::new(
    [
        -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0,
        113.0,
    ],
    None,
);
/// Twice the values of E2M1, whose scale is half of MXFP4's.
static E2M1: Table = Table::new(
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0],
    None,
);

impl Grid {
    /// Of a type; none for those that the kernels compute with as they are.
    pub(crate) fn of(dtype: DType) -> Option<Grid> {
        let (codes, parts, minima) = match dtype {
            DType::Q4K => (Codes::Table(&FROM_0), 1, true),
            DType::Q2K => (Codes::Table(&FROM_0), 2, true),
            DType::Q3K => (Codes::Table(&FROM_MINUS_4), 2, false),
            DType::Iq4Nl | DType::Iq4Xs => (Codes::Table(&UNEVEN), 1, false),
            DType::Mxfp4 => (Codes::Table(&E2M1), 1, false),
            DType::Q5_0 => (Codes::Byte, 1, false),
            DType::Q5_1 | DType::Q5K => (Codes::Byte, 1, true),
            DType::Q6K => (Codes::Byte, 2, false),
            DType::F32 | DType::F16 | DType::BF16 | DType::Q8_0 | DType::Q4_0 | DType::Q4_1 => return None,
        };
        Some(Grid { codes, parts, minima })
    }

    /// Whether products are of the weights themselves: their inputs are summed by 32, which serves no finer minimum.
    pub(crate) const fn whole(self) -> bool {
        self.minima && self.parts > 1
    }

    /// The value of element `i` of a block.
    pub(crate) fn value(self, block: &Block, i: usize) -> f32 {
        let part = i * self.parts / 32;
        let code = block.codes[i];
        let step = match self.codes {
            Codes::Table(table) => table.floats[code as usize & 15],
            Codes::Byte => f32::from(code),
        };
        let scaled = block.scales[part] * step;
        if self.minima { scaled + block.minima[part] } else { scaled }
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Element `i` of 32 4-bit values: low nibbles are the first half.
fn nibble(bytes: &[u8], i: usize) -> u8 {
    if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 }
}

/// The six-bit scale and minimum of part `j` of Q4_K and Q5_K.
fn six_bits(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        let high = |k: usize| packed[k] >> 2 & 0x30;
        (packed[j + 4] & 15 | high(j - 4), packed[j + 4] >> 4 | high(j))
    }
}

/// Elements 32·j to 32·j + 31 of one of the file's blocks, for a type that has a [`Grid`].
pub(crate) fn block(dtype: DType, bytes: &[u8], j: usize) -> Block {
    let mut codes = [0i8; 32];
    let mut fill = |code: &dyn Fn(usize) -> i32| {
        codes.iter_mut().enumerate().for_each(|(i, c)| *c = code(i) as i8);
    };
    let one = |x: f32| [x; 2];
    let (scales, minima) = match dtype {
        DType::Q5_0 | DType::Q5_1 => {
            let at = if dtype == DType::Q5_0 { 2 } else { 4 };
            let high = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            let centre = if dtype == DType::Q5_0 { 16 } else { 0 };
            fill(&|i| i32::from(nibble(&bytes[at + 4..], i)) + ((high >> i & 1) << 4) as i32 - centre);
            (one(half(bytes, 0)), one(if at == 4 { half(bytes, 2) } else { 0.0 }))
        }
        DType::Iq4Nl => {
            fill(&|i| i32::from(nibble(&bytes[2..], i)));
            (one(half(bytes, 0)), one(0.0))
        }
        DType::Mxfp4 => {
            fill(&|i| i32::from(nibble(&bytes[1..], i)));
            let e = u32::from(bytes[0]);
            (one(f32::from_bits(if e < 2 { 0x0020_0000 << e } else { (e - 1) << 23 })), one(0.0))
        }
        DType::Iq4Xs => {
            fill(&|i| i32::from(nibble(&bytes[8 + 16 * j..], i)));
            let low = bytes[4 + j / 2] >> (4 * (j % 2)) & 15;
            let high = u16::from_le_bytes([bytes[2], bytes[3]]) >> (2 * j) & 3;
            (one(half(bytes, 0) * (f32::from(low) + f32::from(high << 4) - 32.0)), one(0.0))
        }
        DType::Q4K | DType::Q5K => {
            let (scale, minimum) = six_bits(&bytes[4..16], j);
            let quants = &bytes[if dtype == DType::Q4K { 16 } else { 48 } + 32 * (j / 2)..];
            let low = |i: usize| i32::from(quants[i] >> (4 * (j % 2)) & 15);
            if dtype == DType::Q4K {
                fill(&low);
            } else {
                fill(&|i| low(i) | i32::from(bytes[16 + i] >> j & 1) << 4);
            }
            (one(half(bytes, 0) * f32::from(scale)), one(-(half(bytes, 2) * f32::from(minimum))))
        }
        DType::Q2K => {
            let quants = &bytes[16 + 32 * (j / 4)..];
            fill(&|i| i32::from(quants[i] >> (2 * (j % 4)) & 3));
            let (d, m) = (half(bytes, 80), half(bytes, 82));
            let of = |part: usize| bytes[2 * j + part];
            (
                [0, 1].map(|part| d * f32::from(of(part) & 15)),
                [0, 1].map(|part| -(m * f32::from(of(part) >> 4))),
            )
        }
        DType::Q3K => {
            let quants = &bytes[32 + 32 * (j / 4)..];
            // The third bit is stored inverted: set where nothing is to be subtracted.
            fill(&|i| i32::from(quants[i] >> (2 * (j % 4)) & 3) + i32::from(bytes[i] >> j & 1) * 4);
            let scale = |part: usize| {
                let n = 2 * j + part;
                let low = bytes[96 + n % 8] >> (4 * (n / 8)) & 15;
                let high = bytes[104 + n % 4] >> (2 * (n / 4)) & 3;
                half(bytes, 108) * (f32::from(low | high << 4) - 32.0)
            };
            ([scale(0), scale(1)], one(0.0))
        }
        DType::Q6K => {
            let low = &bytes[64 * (j / 4) + 32 * (j % 2)..];
            let high = &bytes[128 + 32 * (j / 4)..];
            fill(&|i| {
                let four = low[i] >> (4 * (j % 4 / 2)) & 15;
                i32::from(four | (high[i] >> (2 * (j % 4)) & 3) << 4) - 32
            });
            let scale = |part: usize| half(bytes, 208) * f32::from(bytes[192 + 2 * j + part].cast_signed());
            ([scale(0), scale(1)], one(0.0))
        }
        DType::F32 | DType::F16 | DType::BF16 | DType::Q8_0 | DType::Q4_0 | DType::Q4_1 => {
            unreachable!("a type without a grid")
        }
    };
    Block { codes, scales, minima }
}

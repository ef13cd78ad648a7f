//! GGML's quantised types: codes, scales and minima of 32 elements.
//!
//! A value is scale · grid\[code\] + minimum, each operation rounded once in float32, as the `gguf` package computes it.

use crate::half::{bf16_to_f32, f16_to_f32};
use crate::tensor::DType;

/// What sixteen codes stand for, in whole numbers that bfloat16 has.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) floats: [f32; 16],
    /// The same as bfloat16, twice: a lookup of 32 takes an index of five bits, and four are used.
    pub(crate) bfloats: [u16; 32],
    /// The same as bytes.
    pub(crate) bytes: [i8; 16],
}

impl Table {
    const fn new(bytes: [i8; 16]) -> Table {
        let (mut floats, mut bfloats) = ([0.0; 16], [0; 32]);
        let mut i = 0;
        while i < 32 {
            floats[i % 16] = bytes[i % 16] as f32;
            // Small integers need few bits: the float's high half is the number itself.
            bfloats[i] = (floats[i % 16].to_bits() >> 16) as u16;
            i += 1;
        }
        Table { floats, bfloats, bytes }
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

/// How scales and minima are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// In half precision.
    Half,
    /// A half that is multiplied by a small whole number.
    Multiple,
    /// A power of two, as the upper half of a float: bfloat16.
    Power,
}

/// How a type's blocks of 32 are made up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) codes: Codes,
    pub(crate) form: Form,
    /// Scales (and minima) for each 32 elements: 1 or 2, several by [`Form::Multiple`] alone.
    pub(crate) parts: usize,
    pub(crate) minima: bool,
}

/// 32 elements of one row.
pub(crate) struct Block {
    pub(crate) codes: [i8; 32],
    pub(crate) scale: Factor,
    pub(crate) minimum: Factor,
}

/// The scales or the minima of a block: 16 bits that all have in common, and the multiple that each part is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Factor {
    pub(crate) unit: [u8; 2],
    pub(crate) multiples: [i8; 2],
}

impl Factor {
    fn half(bytes: &[u8], at: usize) -> Factor {
        Factor { unit: [bytes[at], bytes[at + 1]], multiples: [1; 2] }
    }

    /// The half with its sign turned, so that even a minimum of zero is what is subtracted.
    fn negative(self) -> Factor {
        Factor { unit: [self.unit[0], self.unit[1] ^ 0x80], ..self }
    }

    fn times(self, multiples: [i32; 2]) -> Factor {
        Factor { multiples: multiples.map(|m| m as i8), ..self }
    }
}

impl Form {
    /// A unit's multiple, rounded once.
    pub(crate) fn value(self, unit: [u8; 2], multiple: i8) -> f32 {
        let unit = u16::from_le_bytes(unit);
        match self {
            Form::Half => f16_to_f32(unit),
            Form::Multiple => f16_to_f32(unit) * f32::from(multiple),
            Form::Power => bf16_to_f32(unit),
        }
    }
}

const fn steps(first: i8) -> Table {
    let mut table = [0; 16];
    let mut i = 0;
    while i < 16 {
        table[i] = first + i as i8;
        i += 1;
    }
    Table::new(table)
}
static FROM_0: Table = steps(0);
static FROM_MINUS_4: Table = steps(-4);
static FROM_MINUS_8: Table = steps(-8);
/// The uneven steps of IQ4_NL and IQ4_XS.
static UNEVEN: Table = Table::new([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]);
/// Twice the values of E2M1, whose scale is half of MXFP4's.
static E2M1: Table = Table::new([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]);

impl Grid {
    /// Of a type; none for floats.
    pub(crate) fn of(dtype: DType) -> Option<Grid> {
        let (codes, form, parts, minima) = match dtype {
            DType::Q4_0 => (Codes::Table(&FROM_MINUS_8), Form::Half, 1, false),
            DType::Q4_1 => (Codes::Table(&FROM_0), Form::Half, 1, true),
            DType::Q4K => (Codes::Table(&FROM_0), Form::Multiple, 1, true),
            DType::Q2K => (Codes::Table(&FROM_0), Form::Multiple, 2, true),
            DType::Q3K => (Codes::Table(&FROM_MINUS_4), Form::Multiple, 2, false),
            DType::Iq4Nl => (Codes::Table(&UNEVEN), Form::Half, 1, false),
            DType::Iq4Xs => (Codes::Table(&UNEVEN), Form::Multiple, 1, false),
            DType::Mxfp4 => (Codes::Table(&E2M1), Form::Power, 1, false),
            DType::Q8_0 | DType::Q5_0 => (Codes::Byte, Form::Half, 1, false),
            DType::Q5_1 => (Codes::Byte, Form::Half, 1, true),
            DType::Q5K => (Codes::Byte, Form::Multiple, 1, true),
            DType::Q6K => (Codes::Byte, Form::Multiple, 2, false),
            DType::F32 | DType::F16 | DType::BF16 => return None,
        };
        Some(Grid { codes, form, parts, minima })
    }

    /// What a code stands for under a scale and a minimum.
    pub(crate) fn value(self, code: i8, scale: f32, minimum: f32) -> f32 {
        let step = match self.codes {
            Codes::Table(table) => table.floats[code as usize & 15],
            Codes::Byte => f32::from(code),
        };
        let scaled = scale * step;
        if self.minima { scaled + minimum } else { scaled }
    }

    /// The value of element `i` of a block.
    pub(crate) fn element(self, block: &Block, i: usize) -> f32 {
        let part = i * self.parts / 32;
        let of = |factor: &Factor| self.form.value(factor.unit, factor.multiples[part]);
        self.value(block.codes[i], of(&block.scale), of(&block.minimum))
    }
}

/// Element `i` of 32 4-bit values: low nibbles are the first half.
fn nibble(bytes: &[u8], i: usize) -> i32 {
    i32::from(if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 })
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

/// 32 codes, one by one.
fn codes(code: impl Fn(usize) -> i32) -> [i8; 32] {
    std::array::from_fn(|i| code(i) as i8)
}

/// Elements 32·j to 32·j + 31 of one of the file's blocks, for a type that has a [`Grid`].
pub(crate) fn block(dtype: DType, bytes: &[u8], j: usize) -> Block {
    let unit = |at: usize| Factor::half(bytes, at);
    let none = Factor::default();
    let (codes, scale, minimum) = match dtype {
        DType::Q8_0 => (codes(|i| i32::from(bytes[2 + i].cast_signed())), unit(0), none),
        DType::Q4_0 | DType::Iq4Nl => (codes(|i| nibble(&bytes[2..18], i)), unit(0), none),
        DType::Q4_1 => (codes(|i| nibble(&bytes[4..20], i)), unit(0), unit(2)),
        DType::Q5_0 | DType::Q5_1 => {
            let at = if dtype == DType::Q5_0 { 2 } else { 4 };
            let high = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            let centre = if dtype == DType::Q5_0 { 16 } else { 0 };
            let codes = codes(|i| nibble(&bytes[at + 4..], i) + ((high >> i & 1) << 4) as i32 - centre);
            (codes, unit(0), if at == 4 { unit(2) } else { none })
        }
        DType::Mxfp4 => {
            let e = u16::from(bytes[0]);
            let unit = if e < 2 { 0x0020 << e } else { (e - 1) << 7 };
            let scale = Factor { unit: unit.to_le_bytes(), multiples: [1; 2] };
            (codes(|i| nibble(&bytes[1..17], i)), scale, none)
        }
        DType::Iq4Xs => {
            let low = bytes[4 + j / 2] >> (4 * (j % 2)) & 15;
            let high = u16::from_le_bytes([bytes[2], bytes[3]]) >> (2 * j) & 3;
            let scale = i32::from(low) + i32::from(high << 4) - 32;
            (codes(|i| nibble(&bytes[8 + 16 * j..], i)), unit(0).times([scale; 2]), none)
        }
        DType::Q4K | DType::Q5K => {
            let (scale, minimum) = six_bits(&bytes[4..16], j);
            let quants = &bytes[if dtype == DType::Q4K { 16 } else { 48 } + 32 * (j / 2)..][..32];
            let low = |i: usize| i32::from(quants[i] >> (4 * (j % 2)) & 15);
            let codes = if dtype == DType::Q4K {
                codes(low)
            } else {
                codes(|i| low(i) | i32::from(bytes[16 + i] >> j & 1) << 4)
            };
            (codes, unit(0).times([i32::from(scale); 2]), unit(2).negative().times([i32::from(minimum); 2]))
        }
        DType::Q2K => {
            let quants = &bytes[16 + 32 * (j / 4)..][..32];
            let of = |part: usize| i32::from(bytes[2 * j + part]);
            (
                codes(|i| i32::from(quants[i] >> (2 * (j % 4)) & 3)),
                unit(80).times([0, 1].map(|part| of(part) & 15)),
                unit(82).negative().times([0, 1].map(|part| of(part) >> 4)),
            )
        }
        DType::Q3K => {
            let quants = &bytes[32 + 32 * (j / 4)..][..32];
            // The third bit is stored inverted: set where nothing is to be subtracted.
            let code =
                |i: usize| i32::from(quants[i] >> (2 * (j % 4)) & 3) + i32::from(bytes[i] >> j & 1) * 4;
            let scale = |part: usize| {
                let n = 2 * j + part;
                let low = bytes[96 + n % 8] >> (4 * (n / 8)) & 15;
                let high = bytes[104 + n % 4] >> (2 * (n / 4)) & 3;
                i32::from(low | high << 4) - 32
            };
            (codes(code), unit(108).times([scale(0), scale(1)]), none)
        }
        DType::Q6K => {
            let low = &bytes[64 * (j / 4) + 32 * (j % 2)..];
            let high = &bytes[128 + 32 * (j / 4)..];
            let code = |i: usize| {
                let four = low[i] >> (4 * (j % 4 / 2)) & 15;
                i32::from(four | (high[i] >> (2 * (j % 4)) & 3) << 4) - 32
            };
            let scale = |part: usize| i32::from(bytes[192 + 2 * j + part].cast_signed());
            (codes(code), unit(208).times([scale(0), scale(1)]), none)
        }
        DType::F32 | DType::F16 | DType::BF16 => unreachable!("a type without a grid"),
    };
    Block { codes, scale, minimum }
}

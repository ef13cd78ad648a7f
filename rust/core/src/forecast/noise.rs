//! What sets checkpoints apart in a draw: a smooth function of N and D, and a part of each one's own.

use crate::gaussian_process::Setting;
use crate::random::Normals;
use crate::random_field::RandomField;

/// To five decimals, so that a draw read back from a file is the same.
pub(super) fn rounded(x: f64) -> f64 {
    (x * 1e5).round() / 1e5
}

/// Both parts, in units of the scatter of checkpoints; the function is drawn anew from its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Amplitude of the smooth part.
    pub amplitude: f64,
    /// Its length.
    pub length: f64,
    /// Number of the random stream that it comes from: whole, below 2^32.
    pub stream: f64,
    /// Standard deviation of a checkpoint's own part.
    pub nugget: f64,
    /// That part of a new checkpoint, in standard deviations: a number of Student's distribution, since the scatter was
    /// found from few checkpoints.
    pub own: f64,
    /// Which member's scatter it is in units of, by index.
    pub member: usize,
}

/// Numbers in a row of a file.
pub const WIDTH: usize = 6;

impl Noise {
    /// A member's scatter and a setting by their probability, and all else at random; `freedom` is that of the scatter.
    pub(super) fn draw(settings: &[(usize, Setting, f64)], freedom: f64, normals: &mut Normals) -> Self {
        let mut left = normals.uniform();
        let (mut member, mut chosen, _) = settings[0];
        for &(whose, setting, share) in settings {
            (member, chosen) = (whose, setting);
            left -= share;
            if left < 0.0 {
                break;
            }
        }
        Self {
            amplitude: rounded(chosen.amplitude),
            length: chosen.length,
            stream: (normals.uniform() * 4_294_967_296.0).floor(),
            nugget: rounded(chosen.nugget),
            own: rounded(normals.student(freedom as usize)),
            member,
        }
    }

    /// From a row of numbers; `None` if its member is none of `members`.
    pub fn from_row(row: &[f64; WIDTH], members: usize) -> Option<Self> {
        let [amplitude, length, stream, nugget, own, member] = *row;
        let member = (0..members).find(|&one| one as f64 == member)?;
        Some(Self { amplitude, length, stream, nugget, own, member })
    }

    /// As a row of numbers.
    pub fn row(&self) -> [f64; WIDTH] {
        [self.amplitude, self.length, self.stream, self.nugget, self.own, self.member as f64]
    }

    /// The smooth part.
    pub fn field(&self) -> RandomField {
        RandomField::new(self.amplitude, self.length, &mut Normals::new(0, self.stream as u64))
    }
}

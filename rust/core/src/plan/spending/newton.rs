//! Newton's steps to a top of a smooth height, slopes and curvatures by differences: some fifty heights in place of the
//! thousand that closing grids take.

use crate::plan::scalar::polish_to;

/// Lengths of differences: of steps, and of the curvatures that they are held against.
const SHORT: f64 = 1e-4;
const LONG: f64 = 1e-3;
/// How far both curvatures may differ: by ten times about a corner, whose slope jumps. At the corner of a box, how far
/// what both ways bring together may differ from the sum of what each brings.
const ALIKE: f64 = 0.1;
/// A step from which on the next would change nothing.
const SETTLED: f64 = 1e-5;
const STEPS: usize = 16;
/// How often a step that leads down is shortened, and how much.
const SHORTENED: usize = 6;
const SHORTER: f64 = 0.3;
/// Accuracy along one side: a top may be a corner there.
const ALONG: f64 = 1e-10;
/// How far in from an end, in cells, nothing may be higher.
const INWARD: f64 = 1e-5;

/// A place and how high it is.
type Place = (f64, [f64; 2]);

/// The top near x, `top` high; `None` where steps lead nowhere, or to a corner.
pub(super) fn top_near(
    mut top: f64,
    mut x: [f64; 2],
    cells: [f64; 2],
    ends: [[f64; 2]; 2],
    score: &impl Fn([f64; 2]) -> f64,
) -> Option<Place> {
    for _ in 0..STEPS {
        let held = [0, 1].map(|axis| nearest_end(x[axis], ends[axis]));
        if held != [None; 2] {
            return at_ends((top, x), held, cells, ends, score);
        }
        let here = Curved::at(score, x, top, SHORT);
        let newton = here.to_top();
        let step = newton.unwrap_or_else(|| here.upwards(cells));
        let farthest = |axis: usize| 2.0 * cells[axis] / step[axis].abs();
        let mut share = farthest(0).min(farthest(1)).min(1.0);
        if !share.is_finite() || step.iter().any(|step| !step.is_finite()) {
            return None;
        }
        let settled = newton.is_some() && step[0].abs().max(step[1].abs()) < SETTLED;
        let mut next = None;
        for _ in 0..SHORTENED {
            let there: [f64; 2] = std::array::from_fn(|axis| {
                (x[axis] + share * step[axis]).clamp(ends[axis][0], ends[axis][1])
            });
            let height = score(there);
            if height > top || settled {
                next = Some((height, there));
                break;
            }
            share *= SHORTER;
        }
        let (height, there) = next?;
        if height > top {
            (top, x) = (height, there);
        }
        if settled {
            let wide = Curved::at(score, x, top, LONG);
            let smooth = (0..2).all(|axis| alike(here.bends[axis], wide.bends[axis]));
            return smooth.then_some((top, x));
        }
    }
    None
}

/// The end that a place is at, but for the length of differences; a side without length is its own end.
fn nearest_end(x: f64, [lo, hi]: [f64; 2]) -> Option<f64> {
    if x - lo < 2.0 * LONG {
        Some(lo)
    } else if hi - x < 2.0 * LONG {
        Some(hi)
    } else {
        None
    }
}

/// The highest place at these ends; of a box with one side, along it. `None` where something further in is higher, or may
/// be: about a corner of heights, that each way alone leads down says nothing of ways between them.
fn at_ends(
    (top, x): Place,
    held: [Option<f64>; 2],
    cells: [f64; 2],
    ends: [[f64; 2]; 2],
    score: &impl Fn([f64; 2]) -> f64,
) -> Option<Place> {
    let mut x: [f64; 2] = std::array::from_fn(|axis| held[axis].unwrap_or(x[axis]));
    let mut height = score(x);
    let along = (0..2).find(|&axis| cells[axis] > 0.0 && (held[axis].is_none() || cells[1 - axis] == 0.0));
    if let Some(axis) = along {
        let at = |there: f64| if axis == 0 { [there, x[1]] } else { [x[0], there] };
        let (lo, hi) =
            ((x[axis] - cells[axis]).max(ends[axis][0]), (x[axis] + cells[axis]).min(ends[axis][1]));
        let (found, there) = polish_to(ALONG, (lo, x[axis], hi), height, &|there| score(at(there)));
        if there > height {
            (height, x) = (there, at(found));
        }
    }
    if height < top {
        return None;
    }
    let gain = |step: [f64; 2]| score([x[0] + step[0], x[1] + step[1]]) - height;
    let inward = |axis: usize| if x[axis] > ends[axis][0] { -INWARD } else { INWARD } * cells[axis];
    let only = |axis: usize, step: f64| if axis == 0 { [step, 0.0] } else { [0.0, step] };
    let highest = match along {
        Some(axis) if cells[1 - axis] > 0.0 => {
            let bend =
                |length: f64| (gain(only(axis, length)) + gain(only(axis, -length))) / (length * length);
            nearest_end(x[axis], ends[axis]).is_none()
                && gain(only(1 - axis, inward(1 - axis))) <= 0.0
                && alike(bend(SHORT), bend(LONG))
        }
        None if cells[0] > 0.0 && cells[1] > 0.0 => {
            let alone = [0, 1].map(|axis| gain(only(axis, inward(axis))));
            let both = gain([inward(0), inward(1)]);
            let sum = alone[0] + alone[1];
            alone[0].max(alone[1]) <= 0.0 && both - sum <= ALIKE * sum.abs()
        }
        _ => true,
    };
    highest.then_some((height, x))
}

/// Whether curvatures by differences of two lengths are those of something smooth.
fn alike(short: f64, long: f64) -> bool {
    (long - short).abs() <= ALIKE * short.abs()
}

/// gᵀH⁻¹g/2 over the coordinates that no end holds, by differences; 0 where all are held, NaN without a top.
pub(super) fn decrement(score: &impl Fn([f64; 2]) -> f64, x: [f64; 2], ends: [[f64; 2]; 2]) -> f64 {
    let free = |axis: usize| ends[axis][0] + SHORT < x[axis] && x[axis] < ends[axis][1] - SHORT;
    let centre = score(x);
    let alone = |axis: usize| {
        let at = |sign: f64| {
            let mut there = x;
            there[axis] += sign * SHORT;
            score(there)
        };
        let (below, above) = (at(-1.0), at(1.0));
        let (g, h) = ((above - below) / (2.0 * SHORT), (above - 2.0 * centre + below) / (SHORT * SHORT));
        if h < 0.0 { -g * g / (2.0 * h) } else { f64::NAN }
    };
    match (free(0), free(1)) {
        (false, false) => 0.0,
        (true, false) => alone(0),
        (false, true) => alone(1),
        (true, true) => {
            let here = Curved::at(score, x, centre, SHORT);
            let gain = |step: [f64; 2]| (here.slopes[0] * step[0] + here.slopes[1] * step[1]) / 2.0;
            here.to_top().map_or(f64::NAN, gain)
        }
    }
}

/// Slopes and curvatures at a place, by differences of a length.
struct Curved {
    slopes: [f64; 2],
    bends: [f64; 2],
    cross: f64,
}

impl Curved {
    fn at(score: &impl Fn([f64; 2]) -> f64, x: [f64; 2], centre: f64, length: f64) -> Self {
        let at = |a: f64, b: f64| score([x[0] + a * length, x[1] + b * length]);
        let sides = [[at(-1.0, 0.0), at(1.0, 0.0)], [at(0.0, -1.0), at(0.0, 1.0)]];
        let corners = [at(1.0, 1.0), at(1.0, -1.0), at(-1.0, 1.0), at(-1.0, -1.0)];
        Self {
            slopes: sides.map(|[below, above]| (above - below) / (2.0 * length)),
            bends: sides.map(|[below, above]| (above - 2.0 * centre + below) / (length * length)),
            cross: (corners[0] - corners[1] - corners[2] + corners[3]) / (4.0 * length * length),
        }
    }

    /// The step to the top of the paraboloid; `None` where it has none.
    fn to_top(&self) -> Option<[f64; 2]> {
        let ([g, f], [h, i], cross) = (self.slopes, self.bends, self.cross);
        let det = h * i - cross * cross;
        (h < 0.0 && det > 0.0).then(|| [-(i * g - cross * f) / det, -(h * f - cross * g) / det])
    }

    /// A step of a cell the steepest way up.
    fn upwards(&self, cells: [f64; 2]) -> [f64; 2] {
        let steepest = self.slopes[0].abs().max(self.slopes[1].abs());
        std::array::from_fn(|axis| self.slopes[axis] / steepest * cells[axis])
    }
}

#[cfg(test)]
mod tests {
    use super::super::climb::climb;
    use proptest::prelude::*;
    use std::cell::Cell;

    const BOX: [[f64; 2]; 2] = [[18.0, 24.0], [0.0, 5.5]];

    /// A hill that runs askew, its top in the box or beyond it, with a corner across it if asked for: (top, turn, widths).
    fn hill(top: [f64; 2], turn: f64, wide: [f64; 2], corner: Option<f64>) -> impl Fn([f64; 2]) -> f64 {
        move |x| {
            let from = [x[0] - top[0], x[1] - top[1]];
            let along = (turn.cos() * from[0] + turn.sin() * from[1]) / wide[0];
            let across = (turn.cos() * from[1] - turn.sin() * from[0]) / wide[1];
            let fall = along.exp() - along + across.cosh();
            let bend = corner.map_or(0.0, |at| (x[0] + x[1] - at).max(0.0));
            3.0 - fall - 0.7 * bend
        }
    }

    proptest! {
        #[test]
        fn newtons_steps_end_where_grids_close_in(
            top in [17.0f64..25.0, -1.0f64..6.5], turn in 0.0f64..3.2, wide in [0.5f64..4.0, 0.5f64..4.0],
            corner in proptest::option::of(19.0f64..28.0), side in 0u8..3,
        ) {
            let mut ends = BOX;
            if side < 2 {
                ends[usize::from(side)] = [top[usize::from(side)]; 2];
            }
            let asked = Cell::new(0);
            let height = hill(top, turn, wide, corner);
            let counted = |x: [f64; 2]| {
                asked.set(asked.get() + 1);
                height(x)
            };
            let closed = climb(ends, false, &height, &height).unwrap();
            let found = climb(ends, true, &height, counted).unwrap();
            prop_assert!(height(found) >= height(closed) - 1e-10, "{found:?} {closed:?}");
            prop_assert!((0..2).all(|axis| (ends[axis][0]..=ends[axis][1]).contains(&found[axis])));
            // Without corners, and too far inside the box for a step to end at its edge, it takes a few steps of nine heights.
            let inside = (0..2).all(|axis| (found[axis] - BOX[axis][0]).min(BOX[axis][1] - found[axis]) > 1.2);
            if corner.is_none() && inside && side == 2 {
                prop_assert!(asked.get() <= 200, "{} heights", asked.get());
            }
        }
    }
}

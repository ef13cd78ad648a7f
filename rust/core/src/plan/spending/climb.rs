//! The highest place of a box, without slopes.

use crate::plan::scalar::{place, polish_to, top};

/// Points along each side of the first grid, and of those that close in.
const COARSE: usize = 25;
const FINE: usize = 5;
/// Hills of the first grid that are climbed.
const HILLS: usize = 3;
/// Where grids stop: a top may be the end of what is allowed, where it is not flat.
const TOLERANCE: f64 = 1e-10;
/// Most cells of the first grid that a ridge is followed.
const ROUNDS: usize = 12;
/// Step of the curvature.
const STEP: f64 = 1e-4;
/// Newton's steps at most, where they are small enough, and how far curvatures by two step lengths may differ.
const STEPS: usize = 12;
const SETTLED: f64 = 1e-6;
const ALIKE: f64 = 0.02;

/// The highest place of a box, by grids that close in on the hills of a coarse one; `None` where all is -infinity. Where
/// heights are `smooth` but for corners here and there, Newton's steps come first.
pub(super) fn climb(ends: [[f64; 2]; 2], smooth: bool, score: impl Fn([f64; 2]) -> f64) -> Option<[f64; 2]> {
    let sides = ends.map(|[lo, hi]| if hi > lo { COARSE } else { 1 });
    let at = |i: usize, axis: usize| place(ends[axis], i, sides[axis]);
    let heights: Vec<f64> = (0..sides[0] * sides[1])
        .map(|cell| score([at(cell / sides[1], 0), at(cell % sides[1], 1)]))
        .collect();
    let height = |i: usize, j: usize| heights[i * sides[1] + j];
    let mut hills: Vec<(f64, [f64; 2])> = Vec::new();
    for i in 0..sides[0] {
        for j in 0..sides[1] {
            let here = height(i, j);
            let around = (i.saturating_sub(1)..(i + 2).min(sides[0]))
                .flat_map(|a| (j.saturating_sub(1)..(j + 2).min(sides[1])).map(move |b| (a, b)));
            // The first of equals.
            let top = around.into_iter().all(|(a, b)| {
                let there = height(a, b);
                here > there || (here == there && (a, b) >= (i, j))
            });
            if here > f64::NEG_INFINITY && top {
                hills.push((here, [at(i, 0), at(j, 1)]));
            }
        }
    }
    hills.sort_by(|a, b| b.0.total_cmp(&a.0));
    hills.truncate(HILLS);
    let cells: [f64; 2] = std::array::from_fn(|axis| {
        if sides[axis] > 1 { (ends[axis][1] - ends[axis][0]) / (COARSE - 1) as f64 } else { 0.0 }
    });
    let climbed = hills.into_iter().map(|(top, x)| match cells {
        [0.0, 0.0] => (top, x),
        [_, 0.0] if smooth => along(0, top, x, cells, ends, &score),
        [0.0, _] if smooth => along(1, top, x, cells, ends, &score),
        [_, 0.0] | [0.0, _] => close_in(top, x, cells, ends, &score),
        _ => {
            let found = if smooth { newton(top, x, cells, ends, &score) } else { None };
            found.unwrap_or_else(|| follow(close_in(top, x, cells, ends, &score), cells, ends, &score))
        }
    });
    climbed.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, x)| x)
}

/// The highest place within a cell of x along one side.
fn along(
    axis: usize,
    top: f64,
    x: [f64; 2],
    cells: [f64; 2],
    ends: [[f64; 2]; 2],
    score: &impl Fn([f64; 2]) -> f64,
) -> (f64, [f64; 2]) {
    let at = |there: f64| if axis == 0 { [there, x[1]] } else { [x[0], there] };
    let (lo, hi) = ((x[axis] - cells[axis]).max(ends[axis][0]), (x[axis] + cells[axis]).min(ends[axis][1]));
    let (found, height) = polish_to(TOLERANCE, (lo, x[axis], hi), top, &|there| score(at(there)));
    if height > top { (height, at(found)) } else { (top, x) }
}

/// The top near x by Newton's steps, slopes and curvatures by differences; `None` where steps lead out of the box or
/// away, or where a corner is: there curvatures depend on the length of the differences.
fn newton(
    top: f64,
    mut x: [f64; 2],
    cells: [f64; 2],
    ends: [[f64; 2]; 2],
    score: &impl Fn([f64; 2]) -> f64,
) -> Option<(f64, [f64; 2])> {
    let mut height = top;
    for _ in 0..STEPS {
        let here = Curved::at(score, x, 10.0 * STEP);
        let step = here.to_top()?;
        if (0..2).any(|axis| step[axis].abs() > 2.0 * cells[axis]) {
            return None;
        }
        let next = [x[0] + step[0], x[1] + step[1]];
        let inside = |axis: usize| {
            ends[axis][0] + 20.0 * STEP < next[axis] && next[axis] < ends[axis][1] - 20.0 * STEP
        };
        let found = score(next);
        if !(inside(0) && inside(1) && found >= height - 1e-12 * height.abs()) {
            return None;
        }
        (height, x) = (found, next);
        if step[0].abs().max(step[1].abs()) < SETTLED {
            let near = Curved::at(score, x, 2.0 * STEP);
            let alike = (0..2)
                .all(|axis| (near.bends[axis] - here.bends[axis]).abs() <= ALIKE * here.bends[axis].abs());
            return (alike && height >= top).then_some((height, x));
        }
    }
    None
}

/// Grids of two cells of the last a side about its best point. One whose best point is at its edge moves before it
/// shrinks.
fn close_in(
    mut top: f64,
    mut x: [f64; 2],
    mut half: [f64; 2],
    ends: [[f64; 2]; 2],
    score: &impl Fn([f64; 2]) -> f64,
) -> (f64, [f64; 2]) {
    // Twice what shrinking takes: enough to walk along a ridge, too few to crawl along one.
    for _ in 0..48 {
        let sides = half.map(|half| if half > 0.0 { FINE } else { 1 });
        let here: [[f64; 2]; 2] = std::array::from_fn(|axis| {
            [(x[axis] - half[axis]).max(ends[axis][0]), (x[axis] + half[axis]).min(ends[axis][1])]
        });
        let mut at_edge = false;
        for i in 0..sides[0] {
            for j in 0..sides[1] {
                let there = [place(here[0], i, sides[0]), place(here[1], j, sides[1])];
                let height = score(there);
                if height > top {
                    (top, x) = (height, there);
                    let edge = |i: usize, axis: usize| {
                        sides[axis] > 1
                            && (i == 0 && here[axis][0] > ends[axis][0]
                                || i + 1 == sides[axis] && here[axis][1] < ends[axis][1])
                    };
                    at_edge = edge(i, 0) || edge(j, 1);
                }
            }
        }
        if !at_edge {
            half = half.map(|half| half * 2.0 / (FINE - 1) as f64);
            if half[0].max(half[1]) < TOLERANCE {
                break;
            }
        }
    }
    (top, x)
}

/// Along one side the highest of what is highest across it, from where grids have closed in: they stray from a ridge that
/// is sharp and runs askew.
fn follow(
    (mut height, mut x): (f64, [f64; 2]),
    cells: [f64; 2],
    ends: [[f64; 2]; 2],
    score: &impl Fn([f64; 2]) -> f64,
) -> (f64, [f64; 2]) {
    for _ in 0..ROUNDS {
        let about = |axis: usize, cell: f64| {
            let [lo, hi] = ends[axis];
            ((x[axis] - cell).max(lo), (x[axis] + cell).min(hi))
        };
        let ((lo, hi), (low, high)) = (about(0, cells[0]), about(1, 2.0 * cells[1]));
        let across = |a: f64| top(|b| score([a, b]), low, high);
        let a = top(|a| score([a, across(a)]), lo, hi);
        let there = [a, across(a)];
        let found = score(there);
        if found <= height {
            break;
        }
        let moved = (a - x[0]).abs() > 0.5 * cells[0] || (there[1] - x[1]).abs() > cells[1];
        (height, x) = (found, there);
        if !moved {
            break;
        }
    }
    (height, x)
}

/// Slopes and curvatures at a place, by differences of a length.
struct Curved {
    slopes: [f64; 2],
    bends: [f64; 2],
    cross: f64,
}

impl Curved {
    fn at(score: &impl Fn([f64; 2]) -> f64, x: [f64; 2], length: f64) -> Self {
        let at = |a: f64, b: f64| score([x[0] + a * length, x[1] + b * length]);
        let centre = at(0.0, 0.0);
        let sides = [[at(-1.0, 0.0), at(1.0, 0.0)], [at(0.0, -1.0), at(0.0, 1.0)]];
        let corners = [at(1.0, 1.0), at(1.0, -1.0), at(-1.0, 1.0), at(-1.0, -1.0)];
        Self {
            slopes: sides.map(|[below, above]| (above - below) / (2.0 * length)),
            bends: sides.map(|[below, above]| (above - 2.0 * centre + below) / (length * length)),
            cross: (corners[0] - corners[1] - corners[2] + corners[3]) / (4.0 * length * length),
        }
    }

    /// Newton's step to the top; `None` where there is none.
    fn to_top(&self) -> Option<[f64; 2]> {
        let Self { slopes: [g0, g1], bends: [h0, h1], cross } = *self;
        let det = h0 * h1 - cross * cross;
        (h0 < 0.0 && det > 0.0).then(|| [-(h1 * g0 - cross * g1) / det, -(h0 * g1 - cross * g0) / det])
    }
}

/// gᵀH⁻¹g/2 over the coordinates that no end holds, by differences; 0 where all are held, NaN without a top.
pub(super) fn decrement(score: &impl Fn([f64; 2]) -> f64, x: [f64; 2], ends: [[f64; 2]; 2]) -> f64 {
    let free = |axis: usize| ends[axis][0] + STEP < x[axis] && x[axis] < ends[axis][1] - STEP;
    let here = Curved::at(score, x, STEP);
    let alone = |axis: usize| {
        let (g, h) = (here.slopes[axis], here.bends[axis]);
        if h < 0.0 { -g * g / (2.0 * h) } else { f64::NAN }
    };
    match (free(0), free(1)) {
        (false, false) => 0.0,
        (true, false) => alone(0),
        (false, true) => alone(1),
        (true, true) => {
            here.to_top().map_or(f64::NAN, |step| (here.slopes[0] * step[0] + here.slopes[1] * step[1]) / 2.0)
        }
    }
}

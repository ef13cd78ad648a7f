//! The highest place of a box, without slopes.

use super::newton;
use crate::plan::scalar::{place, top};

/// Points along each side of the first grid, and of those that close in.
const COARSE: usize = 25;
const FINE: usize = 5;
/// Hills of the first grid that are climbed.
const HILLS: usize = 3;
/// Where grids stop: a top may be the end of what is allowed, where it is not flat.
const TOLERANCE: f64 = 1e-10;
/// Most cells of the first grid that a ridge is followed.
const ROUNDS: usize = 12;

/// The highest place of a box, by a coarse grid of `rough` heights and grids that close in on its hills; `None` where all
/// is -infinity. Where heights are `smooth` but for corners here and there, Newton's steps come first.
pub(super) fn climb(
    ends: [[f64; 2]; 2],
    smooth: bool,
    rough: impl Fn([f64; 2]) -> f64,
    score: impl Fn([f64; 2]) -> f64,
) -> Option<[f64; 2]> {
    let sides = ends.map(|[lo, hi]| if hi > lo { COARSE } else { 1 });
    let at = |i: usize, axis: usize| place(ends[axis], i, sides[axis]);
    let heights: Vec<f64> = (0..sides[0] * sides[1])
        .map(|cell| rough([at(cell / sides[1], 0), at(cell % sides[1], 1)]))
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
    let climbed = hills.into_iter().map(|(_, x)| {
        let top = score(x);
        let quick = if smooth { newton::top_near(top, x, cells, ends, &score) } else { None };
        quick.unwrap_or_else(|| {
            let found = close_in(top, x, cells, ends, &score);
            if cells[0] > 0.0 && cells[1] > 0.0 { follow(found, cells, ends, &score) } else { found }
        })
    });
    climbed.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, x)| x)
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

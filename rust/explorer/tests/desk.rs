//! What a page does: numbers are written, a function is called, answers or words are read.

use t2fast_core::laws::Law;
use t2fast_core::plan::spending::{Bytes, Conditions, Goal, PricedSizes, best};
use t2fast_core::plan::surface::Formula;
use t2fast_core::plan::{Budget, Constraints, Listed, Problem, Rule, Sizes};
use t2fast_explorer as page;

const LOSS: [f64; 14] = [0.2, 60.0, 90.0, 1.5, 0.3, 0.26, 0.5, 0.2, 61.0, 88.0, 1.4, 0.31, 0.25, 0.52];
const OPEN: [f64; 7] = [1.0, f64::INFINITY, 1.0, f64::INFINITY, f64::INFINITY, 0.0, 20.0];

fn write(numbers: &[f64]) {
    let place = page::numbers(numbers.len());
    // SAFETY: there is room for so many numbers there until the next call.
    unsafe { std::slice::from_raw_parts_mut(place, numbers.len()) }.copy_from_slice(numbers);
}

fn read(count: i32) -> Vec<f64> {
    assert!(count >= 0, "{}", words());
    // SAFETY: the last call left so many answers there.
    unsafe { std::slice::from_raw_parts(page::answers(), count as usize) }.to_vec()
}

fn words() -> String {
    // SAFETY: the last refusal left so many bytes there.
    let bytes = unsafe { std::slice::from_raw_parts(page::words(), page::words_length()) };
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn keep_loss() {
    write(&LOSS);
    assert_eq!(page::formula(1), 2);
}

#[test]
fn plans_of_all_rows_are_the_cores() {
    keep_loss();
    write(&[&OPEN[..], &[1e20, 1e10, 1e22, 1e11]].concat());
    let found = read(page::plans(0, 2));
    let constraints = Constraints {
        sizes: Sizes::Range(1.0, f64::INFINITY),
        tokens: (1.0, f64::INFINITY),
        least_samples: 1.0,
        most_samples: f64::INFINITY,
        whole_k: false,
        listed: Listed::default(),
    };
    let budgets = [Budget { train: 1e20, inference: 1e10 }, Budget { train: 1e22, inference: 1e11 }];
    let problem = Problem::new(Law::Loss, &LOSS, &budgets, &constraints, Rule::TokensPerParam(20.0)).unwrap();
    let plans = problem.solve(0..4).unwrap();
    assert_eq!(found.len(), 40);
    for (row, plan) in found.chunks(10).zip(plans) {
        let (ours, theirs) = (plan.best, plan.chinchilla);
        assert_eq!(row[..4], [ours.n, ours.d, ours.k, ours.value]);
        assert_eq!(row[5..9], [theirs.n, theirs.d, theirs.k, theirs.value]);
    }
}

#[test]
fn purchases_of_one_row_are_the_cores() {
    keep_loss();
    let prices = [6.0, 1e9, 1e9];
    let bytes = Bytes { weights: 2e9, caches: 1e12, power: 0.6 };
    let moved = [bytes.weights, bytes.caches, bytes.power];
    let asked = [
        &[1e6, 1e12][..],
        &prices,
        &moved,
        &[1e6, 1e15, 1.0, 1e4, 0.0, f64::INFINITY, 15.0, 0.0, 1e21, f64::NAN],
    ];
    write(&asked.concat());
    let found = read(page::purchases(1, 1));
    let conditions = Conditions {
        sizes: PricedSizes::Range(1e6, 1e12, prices, bytes),
        tokens: (1e6, 1e15),
        samples: (1.0, 1e4),
        whole_k: false,
        wall: None,
        limits: vec![],
    };
    let bought =
        best(&Formula { law: Law::Loss, params: &LOSS[7..] }, &conditions, Goal::Budget(1e21)).unwrap();
    assert_eq!(found[..4], [bought.n, bought.d, bought.k, bought.value]);
}

#[test]
fn what_a_line_buys_and_what_rows_say_there() {
    keep_loss();
    write(&[&OPEN[..], &[6e20, 2e10, 1e8, 1e10]].concat());
    assert_eq!(read(page::line()), [1e12, 100.0, 1e10, 1.0]);
    write(&[1e8, 1e12, 100.0]);
    let point = |params: &[f64]| Law::Loss.value(params, 1e8, 1e12, 100.0);
    assert_eq!(read(page::values(0, 2)), [point(&LOSS[..7]), point(&LOSS[7..])]);
}

#[test]
fn what_cannot_be_answered_is_said() {
    assert_eq!(page::plans(0, 1), -1);
    assert_eq!(words(), "there is no law yet");
    write(&LOSS[..13]);
    assert_eq!(page::formula(1), -1);
    write(&LOSS);
    assert_eq!(page::formula(9), -1);
    write(&[0.0; 20]);
    assert_eq!(page::forecast(0, 0.0, 3, 2, 4), -1);
    keep_loss();
    write(&OPEN);
    assert_eq!(page::plans(0, 1), -1);
    assert_eq!(words(), "no budget");
    write(&[&OPEN[..], &[1e20, 1e10]].concat());
    assert_eq!(page::plans(1, 2), -1);
    assert_eq!(words(), "the law has 2 rows");
    let poor = [1e9, f64::INFINITY, 1e9, f64::INFINITY, f64::INFINITY, 0.0, 20.0, 1e10, 1e10];
    write(&poor);
    assert_eq!(page::plans(0, 1), -1);
    assert!(words().contains("no model size fits budget 0"));
}

//! The core's plans for a page, without any generated code between: numbers are written where [`numbers`] says, a
//! function is called, and its answers are read where [`answers`] says. A count below 0 is a refusal, in [`words`].
//!
//! Meant for `wasm32-unknown-unknown`, where there is one thread and one law.

mod law;

use std::cell::RefCell;
use std::ops::Range;

pub use law::{Explored, Layout};
use t2fast_core::forecast::Quantity;
use t2fast_core::plan::spending::{Bytes, Conditions, Goal, PricedSizes, Wall, priced};
use t2fast_core::plan::{Bound, Budget, Choice, Constraints, Listed, Rule, Sizes, spend};

/// Names of the laws of a formula, by number.
const NAMES: [&str; 5] = ["chinchilla", "loss", "accuracy", "counts", "direct"];

#[derive(Default)]
struct Desk {
    asked: Vec<f64>,
    answers: Vec<f64>,
    words: String,
    law: Option<Explored>,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::new(Desk::default());
}

/// Answers `work` with the numbers that were asked, and says how many there are.
fn answer(work: impl FnOnce(&[f64], &Explored) -> Result<Vec<f64>, String>) -> i32 {
    DESK.with_borrow_mut(|desk| {
        let found = match &desk.law {
            Some(law) => work(&desk.asked, law),
            None => Err("there is no law yet".into()),
        };
        match found {
            Ok(answers) => {
                desk.answers = answers;
                desk.answers.len() as i32
            }
            Err(words) => {
                desk.words = words;
                -1
            }
        }
    })
}

fn keep(law: Option<Explored>) -> i32 {
    DESK.with_borrow_mut(|desk| {
        desk.law = law;
        desk.law.as_ref().map_or(-1, |law| law.rows() as i32)
    })
}

/// Room for so many numbers that the next call is asked with.
#[unsafe(no_mangle)]
pub extern "C" fn numbers(count: usize) -> *mut f64 {
    DESK.with_borrow_mut(|desk| {
        desk.asked = vec![0.0; count];
        desk.asked.as_mut_ptr()
    })
}

/// Where the answers of the last call are.
#[unsafe(no_mangle)]
pub extern "C" fn answers() -> *const f64 {
    DESK.with_borrow(|desk| desk.answers.as_ptr())
}

/// Where the words of the last refusal are, UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn words() -> *const u8 {
    DESK.with_borrow(|desk| desk.words.as_ptr())
}

/// How many bytes they have.
#[unsafe(no_mangle)]
pub extern "C" fn words_length() -> usize {
    DESK.with_borrow(|desk| desk.words.len())
}

/// Keeps law number `name` of a formula, its rows the numbers given; how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn formula(name: usize) -> i32 {
    let given = DESK.with_borrow_mut(|desk| std::mem::take(&mut desk.asked));
    keep(NAMES.get(name).and_then(|name| Explored::formula(name, given)))
}

/// Keeps a forecast law, its numbers laid out as [`Layout`] says; `metric` is 0 for pass@k, 1 for an accuracy above
/// `chance`, 2 for a loss. How many rows it has.
#[unsafe(no_mangle)]
pub extern "C" fn forecast(metric: u32, chance: f64, checkpoints: usize, ks: usize, draws: usize) -> i32 {
    let quantity = match metric {
        0 => Quantity::Passing,
        1 => Quantity::Accuracy { guessing: -(-chance).ln_1p() },
        _ => Quantity::Loss,
    };
    let given = DESK.with_borrow_mut(|desk| std::mem::take(&mut desk.asked));
    keep(Explored::forecast(Layout { quantity, checkpoints, ks, draws }, &given))
}

/// N, D, k, value and bound of the best choice, then of Chinchilla's, for every budget and so many rows from `first` on.
///
/// Asked with: see [`limits`], then pairs of budgets.
#[unsafe(no_mangle)]
pub extern "C" fn plans(first: usize, rows: usize) -> i32 {
    answer(|asked, law| {
        let (constraints, rule, budgets) = limits(asked)?;
        let found = law.plans(within(law, first, rows)?, &budgets, &constraints, rule)?;
        Ok(found.iter().flat_map(|plan| [plan.best, plan.chinchilla]).flat_map(row).collect())
    })
}

/// As [`plans`] for one pair of budgets, with the law without its process; nothing for a law that has none.
#[unsafe(no_mangle)]
pub extern "C" fn without_process() -> i32 {
    answer(|asked, law| {
        let (constraints, rule, budgets) = limits(asked)?;
        let plan = law.without_process(budgets[0], &constraints, rule);
        Ok(plan.into_iter().flat_map(|plan| [plan.best, plan.chinchilla]).flat_map(row).collect())
    })
}

/// D and k that a pair of budgets buys at every N. Asked with: see [`limits`], one pair of budgets, then N.
#[unsafe(no_mangle)]
pub extern "C" fn line() -> i32 {
    answer(|asked, _| {
        let (sizes, asked) = (asked.get(9..).unwrap_or_default(), &asked[..asked.len().min(9)]);
        let (constraints, _, budgets) = limits(asked)?;
        Ok(sizes.iter().flat_map(|&n| <[f64; 2]>::from(spend(&budgets[0], &constraints, n))).collect())
    })
}

/// Values of so many rows from `first` on. Asked with: N, D and k of every point.
#[unsafe(no_mangle)]
pub extern "C" fn values(first: usize, rows: usize) -> i32 {
    answer(|asked, law| {
        let (points, _) = asked.as_chunks();
        Ok(within(law, first, rows)?.flat_map(|row| law.values(row, points)).collect())
    })
}

/// N, D, k, value, cost of training, cost of queries and gap for so many rows from `first` on; NaN where there is no
/// choice.
///
/// Asked with: least and most N, three prices a parameter, three numbers of [`Bytes`], least and most D, least and most
/// k, whether k is whole, unique tokens (infinite: no wall) and R_D*, the goal (0: the best for a budget, 1: the same at a
/// ratio D/N, 2: the least cost of a value, 3: the highest), its amount, the ratio.
#[unsafe(no_mangle)]
pub extern "C" fn purchases(first: usize, rows: usize) -> i32 {
    answer(|asked, law| {
        let &[
            low,
            high,
            train,
            prompt,
            sample,
            weights,
            caches,
            power,
            fewest,
            longest,
            least,
            most,
            whole,
            unique,
            repeats,
            goal,
            amount,
            ratio,
        ] = asked.first_chunk::<18>().ok_or("too few numbers")?;
        let (prices, bytes) = ([train, prompt, sample], Bytes { weights, caches, power });
        let sizes = if low == high {
            PricedSizes::List(vec![(low, priced(prices, &bytes, low))])
        } else {
            PricedSizes::Range(low, high, prices, bytes)
        };
        let conditions = Conditions {
            sizes,
            tokens: (fewest, longest),
            samples: (least, most),
            whole_k: whole != 0.0,
            wall: unique.is_finite().then_some(Wall { unique, repeats }),
            limits: vec![],
        };
        let goal = match goal as u8 {
            0 => Goal::Budget(amount),
            1 => Goal::Ratio(amount, ratio),
            2 => Goal::Target(amount),
            _ => Goal::Within(f64::INFINITY),
        };
        let found = law.purchases(within(law, first, rows)?, &conditions, goal);
        let row = |bought: &Option<_>| {
            bought.map_or([f64::NAN; 7], |b: t2fast_core::plan::spending::Purchase| {
                [b.n, b.d, b.k, b.value, b.costs.0, b.costs.1, b.gap]
            })
        };
        Ok(found.iter().flat_map(row).collect())
    })
}

/// Rows that the law has.
fn within(law: &Explored, first: usize, rows: usize) -> Result<Range<usize>, String> {
    let end = first.saturating_add(rows);
    if end <= law.rows() { Ok(first..end) } else { Err(format!("the law has {} rows", law.rows())) }
}

/// Least and most N, least and most D, most k, whether k is whole, and Chinchilla's tokens per parameter (0: by the
/// law); then training and inference FLOPs of every pair of budgets.
fn limits(asked: &[f64]) -> Result<(Constraints, Rule, Vec<Budget>), String> {
    let (head, budgets) = asked.split_first_chunk::<7>().ok_or("too few numbers")?;
    let &[least, most, fewest, longest, most_samples, whole, ratio] = head;
    let constraints = Constraints {
        sizes: Sizes::Range(least, most),
        tokens: (fewest, longest),
        least_samples: 1.0,
        most_samples,
        whole_k: whole != 0.0,
        listed: Listed::default(),
    };
    let rule = if ratio > 0.0 { Rule::TokensPerParam(ratio) } else { Rule::Law };
    let budgets: Vec<_> =
        budgets.as_chunks().0.iter().map(|&[train, inference]| Budget { train, inference }).collect();
    if budgets.is_empty() { Err("no budget".into()) } else { Ok((constraints, rule, budgets)) }
}

fn row(choice: Choice) -> [f64; 5] {
    [choice.n, choice.d, choice.k, choice.value, code(choice.bound)]
}

/// As the Python module numbers them.
fn code(bound: Bound) -> f64 {
    match bound {
        Bound::None => 0.0,
        Bound::LeastParams => 1.0,
        Bound::MostParams => 2.0,
        Bound::LeastSamples => 3.0,
        Bound::LeastTokens => 4.0,
        Bound::MostTokens => 5.0,
        Bound::MostSamples => 6.0,
    }
}

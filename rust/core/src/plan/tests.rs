use proptest::prelude::*;

use super::*;
use crate::laws::{Law, Range};

const LOSS: [f64; 7] = [1.69, 406.4, 410.7, 2.0, 0.34, 0.28, 0.5];
const ACCURACY: [f64; 10] = [1.69, 406.4, 410.7, 0.34, 0.28, 3.0, 1.5, 0.9, 1.0, -0.5];
const FREE: Constraints = Constraints {
    sizes: Sizes::Range(1.0, f64::INFINITY),
    tokens: (1.0, f64::INFINITY),
    least_samples: 1.0,
    most_samples: f64::INFINITY,
    whole_k: false,
    listed: Listed { tokens: Vec::new(), samples: Vec::new() },
};

fn one(law: Law, params: &[f64], budget: Budget, constraints: &Constraints) -> Result<Plan, Error> {
    let budgets = [budget];
    Ok(Problem::new(law, params, &budgets, constraints, Rule::Law)?.solve(0..1)?[0])
}

fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance * b.abs(), "{a} {b}");
}

/// What rounding leaves of a value: e^x has a relative error of |x| units in the last place.
fn rounding(value: f64) -> f64 {
    let size = value.abs();
    (1e-13 + 2.0 * f64::EPSILON * size.max(f64::MIN_POSITIVE).ln().abs()) * size + 1e-290
}

#[test]
fn loss_law_at_independent_values() {
    let plan = one(Law::Loss, &LOSS, Budget { train: 2.56e19, inference: 2e9 }, &FREE).unwrap();
    close(plan.best.n, 51941296.776, 1e-10);
    close(plan.best.d, 82144015099.7, 1e-10);
    close(plan.best.k, 19.252503539, 1e-10);
    close(plan.best.value, 3.47432289269, 1e-11);
    assert_eq!(plan.best.bound, Bound::None);
    let plan = one(Law::Loss, &LOSS, Budget { train: 5.88e23, inference: 1.4e11 }, &FREE).unwrap();
    close(plan.best.n, 881328756.077, 1e-10);
    close(plan.best.value, 2.33183888687, 1e-11);
    close(
        plan.chinchilla.n,
        ((0.34 * 406.4) / (0.28 * 410.7) * f64::powf(5.88e23 / 6.0, 0.28)).powf(1.0 / 0.62),
        1e-12,
    );
}

#[test]
fn without_samples_the_loss_law_is_chinchilla() {
    let mut params = LOSS;
    params[3] = 0.0;
    let plan = one(Law::Loss, &params, Budget { train: 2.56e19, inference: 2e9 }, &FREE).unwrap();
    close(plan.best.n, 3.48512e8, 1e-5);
    close(plan.best.n, plan.chinchilla.n, 1e-13);
}

#[test]
fn missing_terms_end_on_bounds() {
    let budget = Budget { train: 2.56e19, inference: 2e9 };
    let without = |zeros: &[usize]| {
        let mut params = LOSS;
        zeros.iter().for_each(|&i| params[i] = 0.0);
        one(Law::Loss, &params, budget, &FREE).unwrap().best
    };
    assert_eq!((without(&[1]).n, without(&[1]).bound), (1.0, Bound::LeastParams));
    assert_eq!((without(&[2, 3]).n, without(&[2, 3]).bound), (1e9, Bound::LeastSamples));
    assert!(without(&[1, 2, 3]).value == 1.69);
}

#[test]
fn no_room_names_both_sides() {
    let budget = Budget { train: 2.56e19, inference: 2e9 };
    let large = Constraints { sizes: Sizes::Range(2e9, 3e9), ..FREE };
    let error = one(Law::Loss, &LOSS, budget, &large).unwrap_err();
    assert_eq!(
        error,
        Error::Infeasible { budget: 0, least: 2e9, most: 1e9, samples: 1.0, bound: Bound::LeastSamples }
    );
    assert!(error.to_string().contains("2.000x"));
    let hungry = Constraints { sizes: Sizes::List(vec![1e8, 2e8]), tokens: (1e12, 1e13), ..FREE };
    let error = one(Law::Loss, &LOSS, budget, &hungry).unwrap_err();
    assert!(matches!(error, Error::Infeasible { least: 1e8, bound: Bound::LeastTokens, .. }));
    let mut params = LOSS;
    params[4] = -0.1;
    let error = one(Law::Loss, &params, budget, &FREE).unwrap_err();
    assert_eq!(error, Error::Parameter { draw: 0, name: "alpha", value: -0.1, range: Range::NotNegative });
}

#[test]
fn chinchillas_limit_is_the_one_in_the_way() {
    // By the rule of 20 tokens a parameter N would be 4.6e8. The n_tokens maximum alone asks for 5.2e8, the n_params
    // minimum for 1e9: it is the minimum that moves N, and D = 4.2e9 is below its maximum.
    let budget = [Budget { train: 2.5e19, inference: 1e11 }];
    let plan = |least: f64, most_tokens: f64| {
        let constraints =
            Constraints { sizes: Sizes::Range(least, 1e12), tokens: (1.0, most_tokens), ..FREE };
        let rule = Rule::TokensPerParam(20.0);
        let problem = Problem::new(Law::Loss, &LOSS, &budget, &constraints, rule);
        let found = problem.unwrap().solve(0..1).unwrap()[0].chinchilla;
        let formula = surface::Formula { law: Law::Loss, params: &LOSS };
        let scanned = listed::plan(&formula, 0, budget[0], &constraints, rule).unwrap().chinchilla;
        close(found.n, scanned.n, 1e-14);
        assert_eq!(found.bound, scanned.bound);
        found
    };
    let both = plan(1e9, 8e9);
    assert_eq!((both.n, both.bound), (1e9, Bound::LeastParams));
    assert!(both.d < 8e9);
    // The other way round it is the tokens.
    assert_eq!(plan(1e8, 5e9).bound, Bound::MostTokens);
    close(plan(1e8, 5e9).d, 5e9, 1e-12);
    assert_eq!(plan(1e6, 1e12).bound, Bound::None);
}

fn laws() -> impl Strategy<Value = (Law, Vec<f64>)> {
    let terms = || (0.0..3.0, 0.0..9.0, 0.0..9.0, 0.05..1.0, 0.05..1.0);
    let loss = (terms(), -2.0..3.0, 0.05..1.5).prop_map(|((e, a, b, alpha, beta), g, gamma)| {
        (Law::Loss, vec![e, f64::exp(a), f64::exp(b), f64::exp(g), alpha, beta, gamma])
    });
    let link = (0.5..5.0, 0.2..4.0, 0.3..1.0, -3.0..3.0, -1.5..1.5);
    let accuracy = (terms(), link).prop_map(|((e, a, b, alpha, beta), (t0, t1, t2, t3, t4))| {
        (Law::Accuracy, vec![e, f64::exp(a), f64::exp(b), alpha, beta, t0, t1, t2, t3, t4])
    });
    prop_oneof![loss, accuracy]
}

#[test]
fn a_law_far_below_rounding_keeps_its_optimum() {
    // With 60 digits, nu at its limit of 1e12: pass@k = mu nu (digamma(nu + k) - digamma(nu)) along the budget line is
    // largest here. Every one of these values is the difference of 1 and of 1 - 1e-246.
    let params = [0.0, 1102.71, 5461.36, 0.7167, 0.1116, 0.5, 3.2287, 0.3, 0.0, 0.8913];
    let budget = Budget { train: f64::exp(38.869), inference: f64::exp(27.383) };
    let most = f64::exp(57.379);
    let best =
        one(Law::Accuracy, &params, budget, &Constraints { tokens: (1.0, most), ..FREE }).unwrap().best;
    let value = 1.117_681_038_303_331_8e-246;
    assert!((best.value - value).abs() <= rounding(value), "{best:?}");
    close(best.n, 197.971_064_165_449_14, 1e-7);
    // A place that a scan came by, 3e-4 worse.
    let (n, scanned) = (197.273_454_127_993_75, 1.117_349_050_830_184_8e-246);
    let found =
        Law::Accuracy.value(&params, n, most.min(budget.train / (6.0 * n)), budget.inference / (2.0 * n));
    assert!((found - scanned).abs() <= rounding(scanned), "{found}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_point_of_the_line_is_better(
        (law, params) in laws(),
        log_train in 38.0..58.0,
        log_inference in 18.0..30.0,
        log_most_tokens in 20.0..60.0,
        log_most_samples in 0.0..24.0,
    ) {
        let budget = Budget { train: f64::exp(log_train), inference: f64::exp(log_inference) };
        let (most, most_samples) = (f64::exp(log_most_tokens), f64::exp(log_most_samples));
        let constraints = Constraints { tokens: (1.0, most), most_samples, ..FREE };
        let best = one(law, &params, budget, &constraints).unwrap().best;
        let sign = if law.maximised() { 1.0 } else { -1.0 };
        let top = (budget.inference / 2.0).min(budget.train / 6.0);
        let best_of = |whole: bool, n: f64| {
            let k = (budget.inference / (2.0 * n)).min(most_samples);
            let d = (budget.train / (6.0 * n)).min(most);
            law.value(&params, n, d, if whole { k.floor() } else { k })
        };
        for i in 0..=3000 {
            let n = top.powf(i as f64 / 3000.0).min(top);
            let other = best_of(false, n);
            prop_assert!(sign * (best.value - other) >= -rounding(other), "{best:?} {n} {other}");
        }
        let whole = one(law, &params, budget, &Constraints { whole_k: true, ..constraints }).unwrap().best;
        prop_assert!(whole.k >= 1.0 && whole.k.fract() == 0.0);
        prop_assert!(sign * (whole.value - best.value) <= rounding(best.value));
        for k in 1..1000 {
            let n = budget.inference / (2.0 * f64::from(k));
            let other = best_of(true, n.min(top));
            prop_assert!(sign * (whole.value - other) >= -rounding(other), "{whole:?} {n} {other}");
        }
    }

    #[test]
    fn no_size_of_a_list_is_better(
        (law, params) in laws(),
        log_train in 38.0..58.0,
        log_inference in prop_oneof![18.0..30.0, Just(f64::INFINITY)],
        log_most_tokens in 20.0..60.0,
        log_most_samples in 0.0..24.0,
        log_sizes in proptest::collection::vec(1.0..28.0, 1..30),
        by_ratio: bool,
        whole_k: bool,
    ) {
        let budget = Budget { train: f64::exp(log_train), inference: f64::exp(log_inference) };
        let (most, most_samples) = (f64::exp(log_most_tokens), f64::exp(log_most_samples));
        // Without an inference budget no k is asked for.
        let most_samples = if budget.inference.is_finite() { most_samples } else { f64::INFINITY };
        let sizes: Vec<f64> = log_sizes.iter().map(|x: &f64| x.exp()).collect();
        let constraints =
            Constraints { sizes: Sizes::List(sizes.clone()), tokens: (1.0, most), least_samples: 1.0, most_samples, whole_k, listed: Listed::default() };
        let rule = if by_ratio { Rule::TokensPerParam(20.0) } else { Rule::Law };
        let budgets = [budget];
        let problem = Problem::new(law, &params, &budgets, &constraints, rule);
        let payable: Vec<f64> =
            sizes.into_iter().filter(|n| 2.0 * n <= budget.inference && 6.0 * n <= budget.train).collect();
        prop_assert_eq!(problem.is_err(), payable.is_empty());
        prop_assume!(!payable.is_empty());
        let Plan { best, chinchilla } = problem.unwrap().solve(0..1).unwrap()[0];
        prop_assert!(payable.contains(&best.n) && payable.contains(&chinchilla.n));
        let sign = if law.maximised() { 1.0 } else { -1.0 };
        let trained = |n: f64| law.latent(&params, n.ln(), (budget.train / (6.0 * n)).min(most).ln()).0;
        let reached = (0.5 * (budget.train / 120.0).ln()).max((budget.train / 6.0 / most).ln());
        for n in payable {
            let (d, k) = spend(&budget, &constraints, n);
            let other = law.value(&params, n, d, k);
            prop_assert!(sign * (best.value - other) >= -rounding(other), "{best:?} {n} {other}");
            if by_ratio {
                let apart = |n: f64| (n.ln() - reached).abs();
                prop_assert!(apart(chinchilla.n) <= apart(n) + 1e-12, "{chinchilla:?} {n}");
            } else {
                let (here, there) = (trained(chinchilla.n), trained(n));
                prop_assert!(here <= there + rounding(there), "{chinchilla:?} {n} {here} {there}");
            }
        }
    }

    #[test]
    fn failures_eight_at_once_are_those_of_one(
        (law, params) in laws(),
        log_train in 38.0..58.0,
        log_inference in 18.0..30.0,
        log_most_tokens in 20.0..60.0,
        log_most_samples in 0.0..24.0,
        log_k in prop_oneof![Just(None), (0.0..20.0).prop_map(Some)],
        log_n in proptest::collection::vec(0.0..30.0, 1..20),
    ) {
        prop_assume!(law.maximised());
        let slopes = line::Slopes::new(law, &params);
        let fixed_k = log_k.map(f64::exp);
        let line = line::Line {
            law, params: &params, slopes: &slopes, log_train, log_inference, log_most_tokens, log_most_samples, fixed_k,
        };
        let mut values = vec![0.0; log_n.len()];
        line.costs(&log_n, &mut values);
        for (&x, value) in log_n.iter().zip(values) {
            let exact = line.failure(x);
            prop_assert!((value - exact).abs() <= 1e-12 * exact.abs() + 1e-300, "{x} {value} {exact}");
        }
    }

    #[test]
    fn a_single_size_always_has_a_whole_k(n in 1e6..1e9, k in 1_u32..50, law in laws()) {
        let constraints = Constraints { sizes: Sizes::Range(n, n), whole_k: true, ..FREE };
        let exact = 2.0 * n * f64::from(k);
        for inference in [exact.next_down(), exact, exact.next_up()] {
            let budget = Budget { train: 1e20, inference };
            if let Ok(plan) = one(law.0, &law.1, budget, &constraints) {
                prop_assert!(plan.best.k == f64::from(k) || (inference < exact && plan.best.k == f64::from(k - 1)));
                prop_assert!(plan.best.n == n && 2.0 * n * plan.best.k <= inference);
            } else {
                prop_assert!(k == 1 && inference < exact);
            }
        }
    }

    #[test]
    fn budgets_are_kept_to_the_last_bit(
        train in 1e17..1e25, inference in 1e8..1e12, most in 1e8..1e14, whole_k: bool, least in 1.0..1e7,
        most_samples in 1.0..1e4,
    ) {
        let sizes = Sizes::Range(least, 1e10);
        let constraints = Constraints { sizes, tokens: (1e6, most), least_samples: 1.0, most_samples, whole_k, listed: Listed::default() };
        let plan = one(Law::Accuracy, &ACCURACY, Budget { train, inference }, &constraints).unwrap();
        for choice in [plan.best, plan.chinchilla] {
            prop_assert!(6.0 * choice.n * choice.d <= train && 2.0 * choice.n * choice.k <= inference);
            prop_assert!(choice.k <= most_samples);
            prop_assert!(choice.k >= 1.0 && (least..=1e10).contains(&choice.n) && (1e6..=most).contains(&choice.d));
        }
    }
}

/// A forecast that is best at one N and D, and better with every sample.
struct Peak;

const TOP: (f64, f64) = (20.3, 24.7);

impl surface::Surface for Peak {
    type Spot = (f64, f64);

    fn spot(&self, log_n: f64, log_d: f64) -> (f64, f64) {
        (log_n, log_d)
    }

    fn height(&self, &(n, d): &(f64, f64), log_k: f64) -> f64 {
        0.1 * log_k - (n - TOP.0).powi(2) - (d - TOP.1).powi(2)
    }

    fn value(&self, spot: &(f64, f64), log_k: f64) -> f64 {
        self.height(spot, log_k)
    }

    fn natural(&self, height: f64) -> f64 {
        height
    }

    fn score(&self, value: f64) -> f64 {
        value
    }
}

fn free() -> spending::Conditions {
    spending::Conditions {
        sizes: spending::PricedSizes::Range(1e7, 1e11, [6.0, 1e3, 1e3], spending::Bytes::default()),
        tokens: (1e9, 1e13),
        samples: (1.0, 64.0),
        whole_k: false,
        wall: None,
        limits: vec![],
    }
}

#[test]
fn a_target_as_high_as_the_peak_is_reached_at_the_peak() {
    let highest = 0.1 * 64f64.ln();
    let (n, d) = (TOP.0.exp(), TOP.1.exp());
    let there = 6.0 * n * d + 1e3 * n * 65.0;
    let at = |target: f64| {
        spending::best(&Peak, &free(), spending::Goal::Target(target)).map(|c| c.costs.0 + c.costs.1)
    };
    close(at(highest).unwrap(), there, 1e-4);
    // A little below it, less is enough: by a = sqrt(short) in ln N and ln D together, each sqrt(2) less.
    for short in [1e-6f64, 1e-4, 1e-2] {
        let along = (-(2.0 * short).sqrt()).exp(); // of what training costs, the most that can be saved
        let cost = at(highest - short).unwrap();
        assert!(cost < there, "{short} {cost} {there}");
        close(cost / there, along, short.max(1e-5));
    }
    assert!(at(highest + 1e-6).is_none());
}

#[test]
fn a_whole_k_is_whole_where_more_tokens_do_harm() {
    let whole = spending::Conditions { samples: (1.0, 4.6), whole_k: true, ..free() };
    let (n, d) = (TOP.0.exp(), TOP.1.exp());
    for budget in [1e19, 1e22, 1e26] {
        let found = spending::best(&Peak, &whole, spending::Goal::Budget(budget)).unwrap();
        assert_eq!(found.k.fract(), 0.0, "{budget} {}", found.k);
    }
    let rich = spending::best(&Peak, &whole, spending::Goal::Budget(1e26)).unwrap();
    close(rich.n.ln(), TOP.0, 1e-4);
    close(rich.k, 4.0, 1e-12);
    // The highest that four samples reach is a target, too, and what a part of a fifth would add is none.
    let highest = 0.1 * 4f64.ln();
    let at = |target: f64| spending::best(&Peak, &whole, spending::Goal::Target(target));
    let found = at(highest).unwrap();
    close(found.costs.0 + found.costs.1, 6.0 * n * d + 1e3 * n * 5.0, 1e-4);
    close(found.k, 4.0, 1e-12);
    assert!(at(highest + 1e-6).is_none());
}

#[test]
fn money_is_left_where_more_tokens_do_harm() {
    for budget in [1e22, 1e26] {
        let found = spending::best(&Peak, &free(), spending::Goal::Budget(budget)).unwrap();
        close(found.n.ln(), TOP.0, 1e-4);
        close(found.d.ln(), TOP.1, 1e-4);
        close(found.k, 64.0, 1e-12);
        assert!(found.costs.0 + found.costs.1 < budget);
    }
    let poor = spending::best(&Peak, &free(), spending::Goal::Budget(1e19)).unwrap();
    close(poor.costs.0 + poor.costs.1, 1e19, 1e-9);
}

#[test]
fn a_plan_does_not_depend_on_its_neighbours() {
    let mut params = Vec::new();
    for i in 0..21 {
        let wobble = 1.0 + 0.01 * f64::from(i);
        params.extend(LOSS.map(|value| value * wobble));
    }
    // Missing terms among others.
    params[3 * 7 + 3] = 0.0;
    params[5 * 7 + 1] = 0.0;
    let budgets = [1e18, 1e21, 1e24].map(|train| Budget { train, inference: train / 1e9 });
    let constraints = Constraints { tokens: (1.0, 1e13), most_samples: 1e4, ..FREE };
    let problem = Problem::new(Law::Loss, &params, &budgets, &constraints, Rule::Law).unwrap();
    let all = problem.solve(0..63).unwrap();
    for range in [0..1, 5..6, 17..20, 40..63] {
        assert_eq!(problem.solve(range.clone()).unwrap(), all[range]);
    }
}

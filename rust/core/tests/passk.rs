//! Estimators from counts: tables against single cells, and what combinatorics demands.

use proptest::prelude::*;
use t2fast_core::passk::{Counts, Tails, at_least, cells, grid, pass_at_k, pass_hat_k, variance};

/// n, c <= n and k <= n.
fn triple(largest: u64) -> impl Strategy<Value = (u64, u64, u64)> {
    (1..=largest).prop_flat_map(|n| (Just(n), 0..=n, 1..=n))
}

fn close(value: f64, exact: f64, tolerance: f64) -> bool {
    (value - exact).abs() <= tolerance * exact.abs()
}

proptest! {
    #[test]
    fn drawing_and_being_correct_are_symmetric((n, c, k) in triple(1_000_000)) {
        prop_assert!(c == 0 || close(pass_at_k(n, c, k), pass_at_k(n, k, c), 1e-13));
    }

    #[test]
    fn more_samples_and_more_successes_help((n, c, k) in triple(100_000)) {
        let here = pass_at_k(n, c, k) * (1.0 - 1e-13);
        prop_assert!(k == n || pass_at_k(n, c, k + 1) >= here);
        prop_assert!(c == n || pass_at_k(n, c + 1, k) >= here);
    }

    #[test]
    fn tails_fall_from_pass_at_k_to_pass_hat_k((n, c, k) in triple(300)) {
        let tails: Vec<f64> = (0..=k + 1).map(|m| at_least(n, c, k, m)).collect();
        prop_assert!(tails.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-13)));
        prop_assert_eq!((tails[0], tails[1]), (1.0, pass_at_k(n, c, k)));
        prop_assert_eq!((tails[k as usize], tails[k as usize + 1]), (pass_hat_k(n, c, k), 0.0));
    }

    #[test]
    fn expected_successes_are_k_times_the_share((n, c, k) in triple(300)) {
        let expected: f64 = (1..=k).map(|m| at_least(n, c, k, m)).sum();
        prop_assert!((expected - (k * c) as f64 / n as f64).abs() <= 1e-11 * k as f64);
    }

    #[test]
    fn variance_of_one_draw_is_binomial(n in 1_u64..100_000, p in 0.0..1.0) {
        prop_assert!(close(variance(n, p, 1), p * (1.0 - p) / n as f64, 1e-12));
    }

    #[test]
    fn a_table_holds_the_cells(rows in prop::collection::vec((0_u64..=1200, 0_u64..3), 1000..1500), ks in prop::collection::vec(1_u64..1500, 1..10)) {
        // Three values of n over so many rows make the table worth while.
        let n: Vec<u64> = rows.iter().map(|row| [1200, 1300, 1201][row.1 as usize]).collect();
        let c: Vec<u64> = rows.iter().map(|row| row.0).collect();
        let m = vec![1; ks.len()];
        let mut table = vec![f64::INFINITY; n.len() * ks.len()];
        grid(Counts { n: &n, c: &c }, Tails { k: &ks, m: &m }, &mut table);
        for (i, row) in table.chunks(ks.len()).enumerate() {
            for (&value, &k) in row.iter().zip(&ks) {
                let exact = pass_at_k(n[i], c[i], k);
                prop_assert!(close(value, exact, 1e-13) || (value.is_nan() && exact.is_nan() && k > n[i]));
            }
        }
    }

    #[test]
    fn the_recurrence_over_k_holds_the_cells(rows in prop::collection::vec(triple(1_000_000), 1..40), ks in prop::collection::vec(1_u64..=256, 8..12)) {
        let n: Vec<u64> = rows.iter().map(|row| row.0).collect();
        let c: Vec<u64> = rows.iter().map(|row| row.1).collect();
        let m = vec![1; ks.len()];
        let mut out = vec![f64::INFINITY; n.len() * ks.len()];
        grid(Counts { n: &n, c: &c }, Tails { k: &ks, m: &m }, &mut out);
        for (i, row) in out.chunks(ks.len()).enumerate() {
            for (&value, &k) in row.iter().zip(&ks) {
                let exact = pass_at_k(n[i], c[i], k);
                prop_assert!(close(value, exact, 1e-13) || (value.is_nan() && exact.is_nan() && k > n[i]));
            }
        }
    }

    #[test]
    fn cells_are_single_calls(rows in prop::collection::vec(triple(500), 1..50)) {
        let n: Vec<u64> = rows.iter().map(|row| row.0).collect();
        let c: Vec<u64> = rows.iter().map(|row| row.1).collect();
        let k: Vec<u64> = rows.iter().map(|row| row.2).collect();
        let m: Vec<u64> = k.iter().map(|k| k / 2 + 1).collect();
        let mut out = vec![f64::NAN; n.len()];
        cells(Counts { n: &n, c: &c }, Tails { k: &k, m: &m }, &mut out);
        for (i, value) in out.into_iter().enumerate() {
            prop_assert_eq!(value, at_least(n[i], c[i], k[i], m[i]));
        }
    }
}

#[test]
fn more_samples_than_there_are_is_nan() {
    assert!(pass_at_k(3, 1, 4).is_nan() && pass_hat_k(3, 1, 4).is_nan());
    assert!(at_least(3, 1, 4, 2).is_nan() && variance(3, 0.5, 4).is_nan());
}

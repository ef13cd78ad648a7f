//! What ends a sample, a problem or a call; and what is refused.

use super::*;

#[test]
fn stop_strings_cross_tokens_and_say_which() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 1);
    let token_bytes: Vec<Vec<u8>> = (0..301).map(|t| format!("<{t}>").into_bytes()).collect();
    let free = draw(&mut engine, &request(vec![prompt(15, 4)], 20));
    engine.set_vocabulary(token_bytes);
    let text = |tokens: &[u32]| tokens.iter().map(|t| format!("<{t}>")).collect::<String>();
    let stop = vec![b"no such text".to_vec(), b"7><2".to_vec(), b"><1".to_vec()];
    let request = Request { stop: stop.clone(), ..request(vec![prompt(15, 4)], 20) };
    let mut fired = 0;
    for (stopped, free) in draw(&mut engine, &request).iter().zip(&free) {
        assert!(free.tokens.starts_with(&stopped.tokens));
        let holds = |n: usize, s: &[u8]| text(&free.tokens[..n]).contains(std::str::from_utf8(s).unwrap());
        let first = (1..=free.tokens.len()).find(|&n| stop.iter().any(|s| holds(n, s)));
        match first {
            Some(n) => {
                fired += 1;
                assert_eq!(stopped.tokens.len(), n);
                assert!(matches!(stopped.finish, Finish::StopString(i) if holds(n, &stop[i])));
            }
            None => assert_eq!(stopped.finish, Finish::Length),
        }
    }
    assert!(fired > 3);
}

struct StopFirst(usize);

impl Observer for StopFirst {
    fn finished(&mut self, sample: &Sample) -> Result<bool, Error> {
        Ok(sample.problem == self.0)
    }
    fn step(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn a_stopped_problem_leaves_the_others_alone() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let request =
        Request { max_rows: Some(5), ..request(vec![prompt(16, 3), prompt(17, 9), prompt(18, 2)], 12) };
    let all = draw(&mut engine, &request);
    let stopped = engine.sample(&request, &mut StopFirst(1)).unwrap();
    assert!(!stopped.interrupted);
    assert_eq!(stopped.samples.len(), all.len());
    for (stopped, free) in stopped.samples.iter().zip(&all) {
        assert_eq!((stopped.problem, stopped.sample), (free.problem, free.sample));
        if stopped.problem == 1 {
            assert!(free.tokens.starts_with(&stopped.tokens));
        } else {
            assert_eq!(stopped, free);
        }
    }
    assert!(stopped.samples.iter().any(|s| s.finish == Finish::Cancelled && s.tokens.is_empty()));
}

pub(super) struct Interrupt(pub(super) usize);

impl Observer for Interrupt {
    fn finished(&mut self, _: &Sample) -> Result<bool, Error> {
        Ok(false)
    }
    fn step(&mut self, _: usize) -> Result<(), Error> {
        self.0 -= 1;
        if self.0 == 0 { Err(Error::Interrupted) } else { Ok(()) }
    }
}

#[test]
fn an_interrupted_call_returns_what_it_has() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let request = Request { max_rows: Some(4), ..request(vec![prompt(19, 3), prompt(21, 9)], 6) };
    let all = draw(&mut engine, &request);
    for after in [1, 2, 5, 12] {
        let part = engine.sample(&request, &mut Interrupt(after)).unwrap();
        assert!(part.interrupted);
        assert_eq!(part.samples.len(), 12);
        for (part, free) in part.samples.iter().zip(&all) {
            assert_eq!((part.problem, part.sample), (free.problem, free.sample));
            assert!(free.tokens.starts_with(&part.tokens));
            assert!(part.finish == Finish::Cancelled || part == free);
        }
    }
}

#[test]
fn bad_requests_are_errors() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 1);
    let good = request(vec![prompt(1, 3)], 1);
    let bad = [
        Request { prompts: vec![vec![]], ..good.clone() },
        Request { prompts: vec![vec![301]], ..good.clone() },
        Request { prompts: vec![vec![0; 510]], ..good.clone() },
        Request { keys: vec![], ..good.clone() },
        Request { max_tokens: 0, ..good.clone() },
        Request { max_rows: Some(0), ..good.clone() },
        Request { ahead: Some(0), ..good.clone() },
        Request { have: vec![vec![1]], ..good.clone() },
        Request { have: vec![vec![0], vec![]], ..good.clone() },
        Request { have: vec![vec![0, 0]], k: vec![2], ..good.clone() },
        Request { stop: vec![vec![]], ..good.clone() },
        Request { stop: vec![b"x".to_vec()], ..good.clone() },
        Request { stop_tokens: vec![1000], ..good.clone() },
        Request { first_sample: u32::MAX, k: vec![2], ..good.clone() },
        Request { sampling: Sampling { temperature: -1.0, ..Sampling::default() }, ..good.clone() },
        Request { sampling: Sampling { temperature: f32::NAN, ..Sampling::default() }, ..good.clone() },
        Request { sampling: Sampling { top_p: 0.0, ..Sampling::default() }, ..good.clone() },
        Request { sampling: Sampling { min_p: 1.5, ..Sampling::default() }, ..good.clone() },
    ];
    for request in bad {
        let error = engine.sample(&request, &mut Silent).unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if !text.is_empty()));
    }
    assert!(engine.logits(&[], &mut Silent).is_err());
    assert!(engine.score(&[vec![1]], &[vec![vec![301]]], &mut Silent).is_err());
    assert_eq!(draw(&mut engine, &Request { k: vec![0], ..good }), vec![]);
}

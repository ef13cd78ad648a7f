//! What is drawn beside a sample changes nothing about it.

use super::ends::Interrupt;
use super::*;

#[test]
fn a_sample_does_not_depend_on_its_company() {
    for shape in shapes() {
        for (precision, kernel) in precisions() {
            if kernel == Kernel::Portable {
                continue;
            }
            let prompts = vec![prompt(6, 67), prompt(7, 1), prompt(8, 30)];
            let mut wide = engine(&shape, precision, Some(kernel), 3);
            let all = draw(&mut wide, &request(prompts.clone(), 33));
            assert_eq!(all.len(), 99);
            let few = draw(&mut wide, &Request { max_rows: Some(7), ..request(prompts.clone(), 33) });
            assert_eq!(all, few);
            let mut narrow = engine(&shape, precision, Some(kernel), 1);
            for (problem, alone) in prompts.iter().enumerate() {
                for i in [0, 5, 32] {
                    let keys = vec![request(prompts.clone(), 1).keys[problem]];
                    let one = Request { keys, first_sample: i, ..request(vec![alone.clone()], 1) };
                    let one = draw(&mut narrow, &one).remove(0);
                    assert_eq!(Sample { problem, ..one }, all[problem * 33 + i as usize]);
                }
            }
        }
    }
}

#[test]
fn prompts_that_begin_alike_are_as_if_read_alone() {
    for shape in shapes() {
        for (precision, kernel) in precisions() {
            let start = prompt(22, 150);
            // Within a block and at its end, all of a prompt, and none.
            let prompts: Vec<Vec<u32>> = [(100, 40), (100, 3), (64, 70), (1, 9), (0, 5), (150, 0), (149, 0)]
                .iter()
                .map(|&(shared, own)| [&start[..shared], &prompt(shared as u64 + 23, own)[..]].concat())
                .collect();
            let request = request(prompts.clone(), 3);
            for rows in [2, 40] {
                let request = Request { max_rows: Some(rows), ..request.clone() };
                let together = draw(&mut engine(&shape, precision, Some(kernel), 2), &request);
                for (problem, alone) in prompts.iter().enumerate() {
                    let one = Request {
                        prompts: vec![alone.clone()],
                        keys: vec![request.keys[problem]],
                        k: vec![3],
                        ..request.clone()
                    };
                    let one = draw(&mut engine(&shape, precision, Some(kernel), 1), &one);
                    for (one, shared) in one.into_iter().zip(&together[3 * problem..]) {
                        assert_eq!(&Sample { problem, ..one }, shared);
                    }
                }
            }
            let answers: Vec<Vec<Vec<u32>>> = prompts.iter().map(|_| vec![prompt(24, 4)]).collect();
            let mut one = engine(&shape, precision, Some(kernel), 2);
            let scores = one.score(&prompts, &answers, &mut Silent).unwrap();
            for (problem, alone) in prompts.iter().enumerate() {
                let mut fresh = engine(&shape, precision, Some(kernel), 2);
                let score = fresh.score(std::slice::from_ref(alone), &answers[..1], &mut Silent).unwrap();
                assert_eq!(score[0], scores[problem]);
            }
        }
    }
}

#[test]
fn samples_that_are_there_are_left_out() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let plain = Request { first_sample: 3, ..request(vec![prompt(25, 5), prompt(26, 9), prompt(27, 2)], 8) };
    let all = draw(&mut engine, &plain);
    let have = vec![vec![3, 4, 10], (3..11).collect(), vec![]];
    let expected: Vec<Sample> =
        all.iter().filter(|s| !have[s.problem].contains(&s.sample)).cloned().collect();
    for (max_rows, ahead) in [(None, None), (Some(3), None), (Some(6), Some(2))] {
        let request = Request { have: have.clone(), max_rows, ahead, ..plain.clone() };
        assert_eq!(draw(&mut engine, &request), expected);
        let part = engine.sample(&request, &mut Interrupt(2)).unwrap();
        let indices = |samples: &[Sample]| samples.iter().map(|s| (s.problem, s.sample)).collect::<Vec<_>>();
        assert_eq!(indices(&part.samples), indices(&expected));
    }
    let unkept = engine.sample(&Request { have, keep: false, ..plain }, &mut Silent).unwrap();
    assert_eq!(unkept.samples, vec![]);
}

/// Counts the samples of each problem that have begun and not ended; a problem is stopped at its `self.stop`-th.
struct InFlight {
    begun: Vec<usize>,
    ended: Vec<usize>,
    stop: Vec<usize>,
    few: usize,
    problems_at_once: usize,
}

impl Observer for InFlight {
    fn finished(&mut self, sample: &Sample) -> Result<bool, Error> {
        self.ended[sample.problem] += 1;
        Ok(self.ended[sample.problem] >= self.stop[sample.problem])
    }
    fn token(&mut self, sample: &Sample) -> Result<(), Error> {
        if sample.tokens.len() == 1 {
            self.begun[sample.problem] += 1;
        }
        let (begun, ended) = (self.begun[sample.problem], self.ended[sample.problem]);
        assert!(begun - ended <= self.few.max(ended / 2));
        Ok(())
    }
    fn step(&mut self, _: usize) -> Result<(), Error> {
        let open = |(problem, &begun): (usize, &usize)| begun > 0 && self.ended[problem] < self.stop[problem];
        let open = self.begun.iter().enumerate().filter(|&x| open(x)).count();
        self.problems_at_once = self.problems_at_once.max(open);
        Ok(())
    }
}

#[test]
fn few_samples_are_ahead_of_what_may_stop_their_problem() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let prompts: Vec<Vec<u32>> = (0..9).map(|i| prompt(30 + i, 3 + i as usize)).collect();
    let plain = Request { max_rows: Some(12), ..request(prompts, 40) };
    let all = draw(&mut engine, &plain);
    let stop = vec![1, 2, 41, 1, 7, 41, 1, 1, 3];
    let mut watch = InFlight { begun: vec![0; 9], ended: vec![0; 9], stop, few: 3, problems_at_once: 0 };
    let found = engine.sample(&Request { ahead: Some(3), ..plain.clone() }, &mut watch).unwrap().samples;
    assert_eq!(found.len(), all.len());
    for (found, free) in found.iter().zip(&all) {
        assert_eq!((found.problem, found.sample), (free.problem, free.sample));
        assert!(found == free || found.finish == Finish::Cancelled && free.tokens.starts_with(&found.tokens));
    }
    assert_eq!(watch.problems_at_once, 4); // the rows that one leaves are other problems'
    for problem in 0..9 {
        let cut_off = watch.begun[problem] - watch.ended[problem];
        assert!(cut_off <= 3.max(watch.ended[problem] / 2), "problem {problem}: {cut_off}");
        assert!(watch.stop[problem] < 41 || watch.ended[problem] == 40);
    }
}

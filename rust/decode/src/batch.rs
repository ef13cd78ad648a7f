//! Which samples share a step: rows of several problems, each leaving as soon as it ends.

use std::collections::VecDeque;

use crate::aligned::Plain;
use crate::kernels::draw::Noise;
use crate::kernels::simd::Arith;
use crate::prefill::prefill_last;
use crate::request::{Drawn, Error, Finish, Observer, Request, Sample};
use crate::sampling::Choice;
use crate::step::{Core, Prompt, Row, Slots};

/// Rows of a step unless the caller says otherwise: beyond, the matrix products gain little and the caches grow.
const MAX_ROWS: usize = 128;

/// A prompt with samples still to start or to end.
struct Live<X: Plain> {
    problem: usize,
    prompt: Prompt<X>,
    /// After the prompt's last token.
    logits: Vec<f32>,
    /// Index of the next sample to start.
    next: u32,
    /// Samples still to start.
    left: usize,
    /// Samples being drawn.
    active: usize,
    /// Samples that ended.
    ended: usize,
    cancelled: bool,
}

impl<X: Plain> Live<X> {
    /// Samples that may start now.
    fn room(&self, ahead: Option<usize>) -> usize {
        ahead.map_or(self.left, |few| few.max(self.ended / 2).saturating_sub(self.active).min(self.left))
    }
}

/// A sample being drawn.
struct Active {
    slot: usize,
    sample: Sample,
    /// The last bytes of its text: as many as the longest stop string has, less one.
    tail: Vec<u8>,
}

/// Draws all samples of a request.
pub(crate) fn sample<A: Arith>(
    core: &mut Core<A>,
    request: &Request,
    vocabulary: &[Vec<u8>],
    observer: &mut dyn Observer,
) -> Result<Drawn, Error> {
    let prompts = request.check(&core.network.config, vocabulary.len())?;
    let total: usize = (0..prompts.len()).map(|problem| request.todo(problem)).sum();
    let rows = request.max_rows.unwrap_or(MAX_ROWS).min(total);
    // A sample's last token is never read, so it needs no place in the cache.
    let mut slots = core.slots(rows, (request.max_tokens - 1).max(1));
    let mut batch = Batch {
        request,
        vocabulary,
        prompts,
        next_problem: 0,
        live: VecDeque::new(),
        active: Vec::new(),
        free: (0..rows).rev().collect(),
        used: vec![false; rows],
        done: Vec::with_capacity(if request.keep { total } else { 0 }),
    };
    let interrupted = match batch.run(core, &mut slots, observer) {
        Ok(()) => false,
        Err(Error::Interrupted) => {
            batch.abandon();
            true
        }
        Err(error) => return Err(error),
    };
    if let Some(live) = batch.live.pop_back() {
        core.recent = Some(live.prompt);
    }
    batch.done.sort_by_key(|s| (s.problem, s.sample));
    Ok(Drawn { samples: batch.done, interrupted })
}

struct Batch<'r, X: Plain> {
    request: &'r Request,
    vocabulary: &'r [Vec<u8>],
    prompts: Vec<Vec<u32>>,
    next_problem: usize,
    /// In the order of problems, and so are the rows in `active`.
    live: VecDeque<Live<X>>,
    active: Vec<Active>,
    free: Vec<usize>,
    /// Slots that once held a sample.
    used: Vec<bool>,
    done: Vec<Sample>,
}

impl<X: Plain + Default> Batch<'_, X> {
    fn run<A: Arith<X = X>>(
        &mut self,
        core: &mut Core<A>,
        slots: &mut Slots<X>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        loop {
            self.admit(core, slots, observer)?;
            if self.active.is_empty() {
                return Ok(());
            }
            self.step(core, slots, observer)?;
        }
    }

    /// Cancels everything that has not ended.
    fn abandon(&mut self) {
        for active in std::mem::take(&mut self.active) {
            self.give(active.sample);
        }
        let unstarted: Vec<(usize, u32)> =
            self.live.iter().filter(|l| l.left > 0).map(|l| (l.problem, l.next)).collect();
        for (problem, next) in unstarted {
            self.cancel_from(problem, next);
        }
        for problem in self.next_problem..self.prompts.len() {
            self.cancel_from(problem, self.request.first_sample);
        }
    }

    /// Returns a sample, if they are wanted.
    fn give(&mut self, sample: Sample) {
        if self.request.keep {
            self.done.push(sample);
        }
    }

    /// Returns the samples of a problem from index `next` on as cancelled before their first token.
    fn cancel_from(&mut self, problem: usize, next: u32) {
        if self.request.keep {
            let rest = self.request.rest(problem, next);
            self.done.extend(rest.map(|sample| Sample::empty(problem, sample)));
        }
    }

    /// Starts samples until the rows are full or none may start.
    fn admit<A: Arith<X = X>>(
        &mut self,
        core: &mut Core<A>,
        slots: &mut Slots<X>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        loop {
            self.retire(core);
            if self.free.is_empty() {
                break;
            }
            let waiting = self.live.iter().position(|l| l.room(self.request.ahead) > 0);
            if waiting.is_none() && !self.open(core, observer)? {
                break;
            }
            self.start(waiting.unwrap_or(self.live.len() - 1), core, slots, observer)?;
        }
        self.active.sort_by_key(|active| active.sample.problem);
        Ok(())
    }

    /// Lets the prompts go that have no sample left; the last stays with the engine, for its beginning.
    fn retire<A: Arith<X = X>>(&mut self, core: &mut Core<A>) {
        for live in std::mem::take(&mut self.live) {
            if live.active > 0 || live.left > 0 {
                self.live.push_back(live);
            } else {
                core.recent = Some(live.prompt);
            }
        }
    }

    /// Reads the next problem's prompt; false if there is none.
    fn open<A: Arith<X = X>>(
        &mut self,
        core: &mut Core<A>,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let mut problems = self.next_problem..self.prompts.len();
        let Some(problem) = problems.find(|&p| self.request.todo(p) > 0) else { return Ok(false) };
        let known: Vec<&Prompt<X>> = self.live.iter().map(|l| &l.prompt).collect();
        let (prompt, logits) = prefill_last(core, &self.prompts[problem], &known, observer)?;
        self.next_problem = problem + 1;
        self.live.push_back(Live {
            problem,
            prompt,
            logits,
            next: self.request.first_sample,
            left: self.request.todo(problem),
            active: 0,
            ended: 0,
            cancelled: false,
        });
        Ok(true)
    }

    /// Draws the first tokens of as many samples of a live problem as may start.
    fn start<A: Arith<X = X>>(
        &mut self,
        live: usize,
        core: &mut Core<A>,
        slots: &mut Slots<X>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let live = &mut self.live[live];
        let problem = live.problem;
        let count = self.free.len().min(live.room(self.request.ahead));
        let key = self.request.keys[problem];
        let rest = self.request.rest(problem, live.next).take(count);
        let noises: Vec<Noise> = rest.map(|sample| Noise { key, position: 0, sample }).collect();
        let choices = core.sample_from(&live.logits, &noises, &self.request.sampling);
        live.next = noises.last().map_or(live.next, |noise| noise.sample + 1);
        live.left -= count;
        live.active += count;
        let from = self.active.len();
        for noise in &noises {
            let Some(slot) = self.free.pop() else { break };
            if std::mem::replace(&mut self.used[slot], true) {
                slots.clear(slot);
            }
            self.active.push(Active { slot, sample: Sample::empty(problem, noise.sample), tail: Vec::new() });
        }
        self.take(from, &choices, observer)
    }

    /// One token for every active sample.
    fn step<A: Arith<X = X>>(
        &mut self,
        core: &mut Core<A>,
        slots: &mut Slots<X>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let mut at = 0;
        let mut rows = Vec::with_capacity(self.active.len());
        let mut noises = Vec::with_capacity(self.active.len());
        for active in &self.active {
            let sample = &active.sample;
            while self.live[at].problem != sample.problem {
                at += 1;
            }
            let drawn = sample.tokens.len();
            rows.push(Row {
                token: sample.tokens[drawn - 1],
                prompt: at,
                slot: Some(active.slot),
                index: drawn - 1,
            });
            noises.push(Noise {
                key: self.request.keys[sample.problem],
                position: drawn as u32,
                sample: sample.sample,
            });
        }
        let mut prompts: Vec<&mut Prompt<X>> = self.live.iter_mut().map(|l| &mut l.prompt).collect();
        core.forward(&rows, &mut prompts, slots);
        let picked: Vec<usize> = (0..rows.len()).collect();
        let choices = core.sample_rows(&picked, &noises, &self.request.sampling);
        self.take(0, &choices, observer)
    }

    /// Appends a choice to each active sample from `from` on, and lets those that end leave.
    fn take(&mut self, from: usize, choices: &[Choice], observer: &mut dyn Observer) -> Result<(), Error> {
        let mut ended = Vec::new();
        for (i, choice) in choices.iter().enumerate() {
            let active = &mut self.active[from + i];
            active.sample.tokens.push(choice.token);
            active.sample.logprobs.push(choice.raw);
            active.sample.processed.push(choice.processed);
            observer.token(&active.sample)?;
            if let Some(finish) = finish(self.request, self.vocabulary, active) {
                active.sample.finish = finish;
                ended.push(from + i);
            }
        }
        observer.step(choices.len())?;
        for &i in &ended {
            let sample = &self.active[i].sample;
            let stop = observer.finished(sample)?;
            let live = self.live.iter_mut().find(|l| l.problem == sample.problem);
            if let Some(live) = live.filter(|_| stop) {
                live.cancelled = true;
            }
        }
        self.leave(&ended);
        Ok(())
    }

    /// Removes samples that have ended or whose problem was stopped.
    fn leave(&mut self, ended: &[usize]) {
        if ended.is_empty() {
            return;
        }
        let cancelled =
            |live: &VecDeque<Live<X>>, problem| live.iter().any(|l| l.problem == problem && l.cancelled);
        let mut ended = ended.iter().peekable();
        let mut kept = Vec::with_capacity(self.active.len());
        for (i, active) in std::mem::take(&mut self.active).into_iter().enumerate() {
            let complete = ended.next_if_eq(&&i).is_some();
            if !complete && !cancelled(&self.live, active.sample.problem) {
                kept.push(active);
                continue;
            }
            self.free.push(active.slot);
            if let Some(live) = self.live.iter_mut().find(|l| l.problem == active.sample.problem) {
                live.active -= 1;
                live.ended += usize::from(complete);
            }
            self.give(active.sample);
        }
        self.active = kept;
        let mut stopped = Vec::new();
        for live in self.live.iter_mut().filter(|l| l.cancelled && l.left > 0) {
            stopped.push((live.problem, live.next));
            live.left = 0;
        }
        for (problem, next) in stopped {
            self.cancel_from(problem, next);
        }
    }
}

/// Whether a sample ends with its last token, and why.
fn finish(request: &Request, vocabulary: &[Vec<u8>], active: &mut Active) -> Option<Finish> {
    let token = *active.sample.tokens.last()?;
    if let Some(i) = request.stop_tokens.iter().position(|&t| t == token) {
        return Some(Finish::StopToken(i));
    }
    if !request.stop.is_empty() {
        let text = &mut active.tail;
        text.extend_from_slice(&vocabulary[token as usize]);
        // The match that begins first; of those, the string listed first.
        let found = request
            .stop
            .iter()
            .enumerate()
            .filter_map(|(i, stop)| {
                text.windows(stop.len()).position(|window| window == stop.as_slice()).map(|at| (at, i))
            })
            .min();
        if let Some((_, i)) = found {
            return Some(Finish::StopString(i));
        }
        let keep = request.stop.iter().map(Vec::len).max().unwrap_or(1) - 1;
        text.drain(..text.len().saturating_sub(keep));
    }
    (active.sample.tokens.len() >= request.max_tokens).then_some(Finish::Length)
}

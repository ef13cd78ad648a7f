//! Which samples share a step: rows of several problems, each leaving as soon as it ends.

use std::collections::VecDeque;

use crate::aligned::Plain;
use crate::kernels::draw::Noise;
use crate::kernels::simd::Arith;
use crate::model::Config;
use crate::prefill::{check_tokens, checked, prefill_last};
use crate::request::{Drawn, Error, Finish, Observer, Request, Sample, invalid};
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
    /// Samples started.
    started: usize,
    /// Samples being drawn.
    active: usize,
    cancelled: bool,
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
    let total: usize = request.k.iter().sum();
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
        done: Vec::with_capacity(total),
    };
    let interrupted = match batch.run(core, &mut slots, observer) {
        Ok(()) => false,
        Err(Error::Interrupted) => {
            batch.abandon();
            true
        }
        Err(error) => return Err(error),
    };
    batch.done.sort_by_key(|s| (s.problem, s.sample));
    Ok(Drawn { samples: batch.done, interrupted })
}

impl Request {
    /// The prompts as the model reads them; stop strings need a `vocabulary` of that many tokens' bytes.
    ///
    /// # Errors
    /// What is wrong with the request, for a model of this configuration.
    pub fn check(&self, config: &Config, vocabulary: usize) -> Result<Vec<Vec<u32>>, Error> {
        let Request { prompts, keys, k, stop, .. } = self;
        if keys.len() != prompts.len() || k.len() != prompts.len() {
            return invalid(format!(
                "{} prompts but {} keys and {} values of k",
                prompts.len(),
                keys.len(),
                k.len()
            ));
        }
        self.sampling.check().map_err(Error::Invalid)?;
        if self.max_tokens == 0 {
            return invalid("max_tokens must be at least 1");
        }
        if self.max_rows == Some(0) {
            return invalid("max_rows must be at least 1");
        }
        let most = k.iter().max().copied().unwrap_or(0);
        if most.checked_add(self.first_sample as usize).is_none_or(|last| last > u32::MAX as usize) {
            return invalid(format!(
                "k = {most} from sample {} passes 2^32 samples of a problem",
                self.first_sample
            ));
        }
        if let Some(i) = stop.iter().position(Vec::is_empty) {
            return invalid(format!(
                "stop string {i} is empty: it would end every sample before its first token"
            ));
        }
        if !stop.is_empty() && vocabulary < config.vocab {
            return invalid(format!(
                "stop strings need the bytes of all {} tokens, and the vocabulary that was set has {vocabulary}",
                config.vocab
            ));
        }
        check_tokens(config, "stop_tokens", &self.stop_tokens)?;
        let more = self.max_tokens;
        prompts.iter().enumerate().map(|(i, p)| checked(config, &format!("prompt {i}"), p, more)).collect()
    }
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
        self.done.extend(self.active.drain(..).map(|active| active.sample));
        let started: Vec<(usize, usize)> = self.live.iter().map(|l| (l.problem, l.started)).collect();
        for (problem, started) in started {
            self.cancel_from(problem, started);
        }
        for problem in self.next_problem..self.prompts.len() {
            self.cancel_from(problem, 0);
        }
    }

    /// Reports the samples of a problem from the `started`-th on as cancelled before their first token.
    fn cancel_from(&mut self, problem: usize, started: usize) {
        for i in started..self.request.k[problem] {
            self.done.push(Sample::empty(problem, self.request.first_sample + i as u32));
        }
    }

    /// Starts samples until the rows are full or none is left.
    fn admit<A: Arith<X = X>>(
        &mut self,
        core: &mut Core<A>,
        slots: &mut Slots<X>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        loop {
            self.live.retain(|l| l.active > 0 || l.started < self.request.k[l.problem]);
            let waiting = |l: &Live<X>| l.started < self.request.k[l.problem];
            if self.free.is_empty() {
                return Ok(());
            }
            if !self.live.back().is_some_and(waiting) {
                let Some(problem) = (self.next_problem..self.prompts.len()).find(|&p| self.request.k[p] > 0)
                else {
                    return Ok(());
                };
                let (prompt, logits) = prefill_last(core, &self.prompts[problem], observer)?;
                self.next_problem = problem + 1;
                self.live.push_back(Live {
                    problem,
                    prompt,
                    logits,
                    started: 0,
                    active: 0,
                    cancelled: false,
                });
            }
            self.start(core, slots, observer)?;
        }
    }

    /// Draws the first tokens of as many samples of the newest problem as there are free rows.
    fn start<A: Arith<X = X>>(
        &mut self,
        core: &mut Core<A>,
        slots: &mut Slots<X>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let Some(live) = self.live.back_mut() else { return Ok(()) };
        let problem = live.problem;
        let count = self.free.len().min(self.request.k[problem] - live.started);
        let first = self.request.first_sample + live.started as u32;
        let key = self.request.keys[problem];
        let noises: Vec<Noise> =
            (0..count as u32).map(|i| Noise { key, position: 0, sample: first + i }).collect();
        let choices = core.sample_from(&live.logits, &noises, &self.request.sampling);
        live.started += count;
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
            let over = ended.next_if_eq(&&i).is_some() || cancelled(&self.live, active.sample.problem);
            if !over {
                kept.push(active);
                continue;
            }
            self.free.push(active.slot);
            if let Some(live) = self.live.iter_mut().find(|l| l.problem == active.sample.problem) {
                live.active -= 1;
            }
            self.done.push(active.sample);
        }
        self.active = kept;
        let mut stopped = Vec::new();
        for live in self.live.iter_mut().filter(|l| l.cancelled) {
            stopped.push((live.problem, live.started));
            live.started = self.request.k[live.problem];
        }
        for (problem, started) in stopped {
            self.cancel_from(problem, started);
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

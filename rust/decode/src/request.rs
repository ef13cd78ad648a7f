//! What a caller asks of the engine, and what comes back.

use std::fmt;

use crate::sampling::Sampling;

/// Why the engine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// An argument or a model that cannot be served; the text says what to change.
    Invalid(String),
    /// The observer asked to stop.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(text) => f.write_str(text),
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

pub(crate) fn invalid<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(text.into()))
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct Request {
    /// Prompts, one a problem; an empty one stands for the beginning-of-sequence token.
    pub prompts: Vec<Vec<u32>>,
    /// Random key of each problem.
    pub keys: Vec<u64>,
    /// Samples of each problem.
    pub k: Vec<usize>,
    /// Index of each problem's first sample.
    pub first_sample: u32,
    /// Samples of each problem that are there already and not drawn again, ascending; empty: none of any problem.
    pub have: Vec<Vec<u32>>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Longest sample.
    pub max_tokens: usize,
    /// Tokens that end a sample.
    pub stop_tokens: Vec<u32>,
    /// Strings that end a sample, as bytes.
    pub stop: Vec<Vec<u8>>,
    /// Most samples drawn at once; `None` for the engine's choice.
    pub max_rows: Option<usize>,
    /// Samples of a problem drawn at once, where the observer may stop it: so many are cut off then. Half as many as have
    /// ended, if that is more. `None`: as many as there are rows.
    pub ahead: Option<usize>,
    /// Whether the samples are returned; else the observer alone sees them.
    pub keep: bool,
}

impl Request {
    /// Samples of a problem that are not to be drawn.
    pub(crate) fn have(&self, problem: usize) -> &[u32] {
        self.have.get(problem).map_or(&[], Vec::as_slice)
    }

    /// How many samples of a problem are to be drawn.
    pub(crate) fn todo(&self, problem: usize) -> usize {
        self.k[problem] - self.have(problem).len()
    }

    /// The samples of a problem from `next` on that are to be drawn.
    pub(crate) fn rest(&self, problem: usize, next: u32) -> impl Iterator<Item = u32> + '_ {
        let have = self.have(problem);
        (next..self.first_sample + self.k[problem] as u32).filter(|i| have.binary_search(i).is_err())
    }
}

/// Why a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop token, by its index among the stop tokens.
    StopToken(usize),
    /// A stop string, by its index.
    StopString(usize),
    /// The longest length.
    Length,
    /// Its problem was stopped.
    Cancelled,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Index of its problem.
    pub problem: usize,
    /// Its index within the problem.
    pub sample: u32,
    /// Tokens, a stop token included.
    pub tokens: Vec<u32>,
    /// Log-probability of each token under the model's logits.
    pub logprobs: Vec<f32>,
    /// The same after temperature and filters; 0 when greedy.
    pub processed: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

impl Sample {
    /// A sample without tokens, cancelled unless it goes on.
    pub(crate) fn empty(problem: usize, sample: u32) -> Sample {
        Sample {
            problem,
            sample,
            tokens: Vec::new(),
            logprobs: Vec::new(),
            processed: Vec::new(),
            finish: Finish::Cancelled,
        }
    }
}

/// What a call drew.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// All samples asked for, ordered by problem and sample; none if they were not to be kept.
    pub samples: Vec<Sample>,
    /// Whether the observer interrupted the call; what had not ended is then cancelled.
    pub interrupted: bool,
}

/// Who watches a call.
pub trait Observer {
    /// A sample ended; true stops its problem's others.
    fn finished(&mut self, sample: &Sample) -> Result<bool, Error>;
    /// A sample has a new token, its last; called for each, before [`Observer::finished`].
    fn token(&mut self, _: &Sample) -> Result<(), Error> {
        Ok(())
    }
    /// Called between steps with the tokens drawn since the last call.
    fn step(&mut self, tokens: usize) -> Result<(), Error>;
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {
    fn finished(&mut self, _: &Sample) -> Result<bool, Error> {
        Ok(false)
    }
    fn step(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

//! Where a family's weights lie: names and arrangement of its tensors.

use crate::error::LoadError;
use crate::settings::Settings;
use crate::weights::Weights;

/// Names and arrangement of a model's tensors; names without `.weight` and `.bias`.
pub(crate) struct Layout {
    pub embedding: String,
    /// Rows of the embedding, padding included.
    pub rows: usize,
    pub final_norm: String,
    pub head: Head,
    /// What stands before the layer's number.
    pub layers: String,
    /// Before attention and before the feed-forward block.
    pub pre_norms: [Option<&'static str>; 2],
    /// After them.
    pub post_norms: [Option<&'static str>; 2],
    pub qkv: Qkv,
    /// Norms of queries and of keys, and what each is over.
    pub qk_norm: Option<(&'static str, &'static str, Over)>,
    pub o: &'static str,
    pub feed_forward: FeedForward,
    pub down: &'static str,
    pub attention_bias: Bias,
    /// Bias of the attention's output projection.
    pub o_bias: Bias,
    pub ffn_bias: Bias,
    pub norms: NormWeights,
}

/// Where the output head lies.
pub(crate) enum Head {
    /// In a matrix of its own.
    Own(String),
    /// It is the embedding; the name under which files may store it once more.
    Tied(Option<String>),
}

impl Head {
    /// A folder's: tied or not as its configuration says, or else the family.
    pub fn configured(config: &Settings, name: &str, family: bool) -> Result<Head, LoadError> {
        let tied = config.flag("tie_word_embeddings")?.unwrap_or(family);
        Ok(if tied { Head::Tied(Some(name.into())) } else { Head::Own(name.into()) })
    }

    /// A GGUF file's, which is tied where no head is stored.
    pub fn stored(weights: &Weights) -> Head {
        if weights.contains("output.weight") { Head::Own("output".into()) } else { Head::Tied(None) }
    }
}

/// What a norm of queries or keys is over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Each head by itself, all with the same weights.
    Head,
    /// All heads as one row.
    Row,
    /// Each head by itself, with weights of its own: in vectors `NAME.0`, `NAME.1`, …, or the rows of one matrix `NAME`.
    OwnHead,
}

/// How queries, keys and values are stored.
pub(crate) enum Qkv {
    Separate([&'static str; 3]),
    /// One matrix: all queries, then all keys, then all values.
    Stacked(&'static str),
    /// One matrix: the query, key and value rows of the first head, of the second, … (GPT-NeoX).
    ByHead(&'static str),
}

/// How the first feed-forward matrix or matrices are stored.
pub(crate) enum FeedForward {
    Gated {
        gate: &'static str,
        up: &'static str,
    },
    /// One matrix: all gates, then all ups.
    Stacked(&'static str),
    Plain(&'static str),
}

/// Whether a linear map has a bias.
#[derive(Clone, Copy)]
pub(crate) enum Bias {
    Absent,
    Present,
    /// GGUF configurations do not say.
    IfStored,
}

/// Which parameters a normalisation has.
#[derive(Clone, Copy)]
pub(crate) enum NormWeights {
    WeightAndBias,
    Weight,
    Nothing,
}

impl Bias {
    pub fn when(present: bool) -> Self {
        if present { Bias::Present } else { Bias::Absent }
    }
}

impl Layout {
    /// The names that GGUF files share; `rows` of the embedding. Biases are there or not, as each file has it.
    pub fn of_gguf(rows: usize, weights: &Weights) -> Layout {
        Layout {
            embedding: "token_embd".into(),
            rows,
            final_norm: "output_norm".into(),
            head: Head::stored(weights),
            layers: "blk.".into(),
            pre_norms: [Some("attn_norm"), Some("ffn_norm")],
            post_norms: [None, None],
            qkv: Qkv::Separate(["attn_q", "attn_k", "attn_v"]),
            qk_norm: None,
            o: "attn_output",
            feed_forward: FeedForward::Gated { gate: "ffn_gate", up: "ffn_up" },
            down: "ffn_down",
            attention_bias: Bias::IfStored,
            o_bias: Bias::IfStored,
            ffn_bias: Bias::IfStored,
            norms: NormWeights::Weight,
        }
    }
}

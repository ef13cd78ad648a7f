//! The supported families. Each says where its weights lie (a [`layout::Layout`]); one builder makes the model of them.

mod build;
pub(crate) mod defaults;
pub(crate) mod gemma;
pub(crate) mod gpt2;
pub(crate) mod gpt_neox;
pub(crate) mod granite;
mod layout;
pub(crate) mod llama;
pub(crate) mod olmo;
pub(crate) mod open_lm;
pub(crate) mod phi3;
mod shared;
pub(crate) mod smollm3;
pub(crate) mod stablelm;
pub(crate) mod starcoder2;

"""`Operations` as Triton kernels."""

from t2fast.kernels.advance import advance
from t2fast.kernels.compact import compact
from t2fast.kernels.embed import embed
from t2fast.kernels.filters import choose
from t2fast.kernels.head import draw, logits
from t2fast.kernels.mlp import hidden
from t2fast.kernels.norm import add, norm
from t2fast.kernels.prefix_attention import prefix_attention
from t2fast.kernels.projection import project
from t2fast.kernels.prompt_attention import prompt_attention
from t2fast.kernels.qkv import qkv
from t2fast.kernels.suffix_attention import suffix_attention

__all__ = [
    "CAPTURED",
    "add",
    "advance",
    "choose",
    "compact",
    "draw",
    "embed",
    "hidden",
    "logits",
    "norm",
    "prefix_attention",
    "project",
    "prompt_attention",
    "qkv",
    "suffix_attention",
]

CAPTURED = True

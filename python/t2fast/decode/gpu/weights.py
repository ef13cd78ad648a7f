"""A model file's weights on a GPU, in the one form that the kernels know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from t2fast import _core
from t2fast.kernels.model import Layer, Linear, Norm, Shape, Weights


def load(file: _core.ModelFile, dtype: torch.dtype, device: torch.device) -> Weights:
    """The model's weights on `device`: matrices as `dtype`, norms and biases float32.

    One tensor at a time is expanded to float32 on the host.
    """
    config = file.config
    if config["head_dim"] % 2:
        raise ValueError(
            f"heads of {config['head_dim']} coordinates cannot be paired: use device='cpu' for this model"
        )
    reader = _Reader(file, config, dtype, device)
    embedding = reader.matrix("embedding")
    head = Linear(embedding if file.tied else reader.matrix("head.weight"), reader.vector("head.bias"))
    whole = shape(file)
    frequencies = {"local": config["local_inv_freq"], "absent": config["inv_freq"][:0]}
    others = {*config["rotations"]} - {"global"}
    tables = {turn: rotation(config, frequencies[turn], 1.0).to(device) for turn in others}
    layers = []
    for i, (window, turn) in enumerate(zip(config["windows"], config["rotations"], strict=True)):
        layer = reader.layer(i)
        layer.shape = replace(whole, window=window) if window != whole.window else None
        layer.rotation = tables.get(turn)
        layers.append(layer)
    norm = reader.norm("norm")
    # A factor on logits is one on what they are made of.
    for values in (norm.weight, norm.bias, head.bias):
        if values is not None:
            values.mul_(config["logit_scale"])
    return Weights(
        shape=whole,
        embedding=embedding,
        layers=layers,
        norm=norm,
        head=head,
        rotation=rotation(config, config["inv_freq"], config["rope_scale"]).to(device),
        positions=reader.vector("positions"),
    )


def shape(file: _core.ModelFile) -> Shape:
    """The sizes of a model and the choices that its kernels are compiled for."""
    config = file.config
    same: tuple[str, ...] = (
        "layers",
        "width",
        "heads",
        "kv_heads",
        "head_dim",
        "hidden",
        "vocab",
        "eps",
        "layer_norm",
    )
    head_norm: Literal["head", "own", "row"] | None = None
    norm = file.tensor("layers.0.q_norm.weight")
    if norm is not None:
        head_norm = "head" if len(norm) == config["head_dim"] else "row"
        head_norm = "own" if config["own_head_norms"] else head_norm
    same += ("activation", "parallel", "window", "attention_cap", "logit_cap", "embedding_scale")
    same += ("residual_scale",)
    scale, usual = config["attention_scale"], config["head_dim"] ** -0.5
    return Shape(
        **{name: config[name] for name in same},
        attention_scale=scale if abs(scale - usual) > 1e-6 * usual else None,
        head_norm=head_norm,
        post_norms=file.tensor_dtype("layers.0.post_attn_norm.weight") is not None,
    )


def pair_order(config: dict[str, Any]) -> NDArray[np.int64]:
    """The coordinates of a head in the order that puts the two of a rotated pair d/2 apart.

    First come the pairs' first elements and half of the coordinates that are not rotated, then the pairs'
    second elements and the other half. A product of a query and a key does not depend on the order.
    """
    d, rotated = config["head_dim"], config["rotary_dim"]
    pairs = np.arange(rotated).reshape((-1, 2) if config["interleaved"] else (2, -1))
    first, second = pairs.T if config["interleaved"] else pairs
    rest = np.arange(rotated, d).reshape(2, -1)
    return np.concatenate([first, rest[0], second, rest[1]])


def rotation(config: dict[str, Any], frequencies: NDArray[np.float32], scale: float) -> torch.Tensor:
    """Cosines and sines of every position's angles, float32 (2, positions, head_dim / 2).

    Angles are position · inverse frequency, in float64; coordinates that are not rotated have angle 0, and
    the `scale` that some models put on cosine and sine (YaRN) leaves them alone.
    """
    angle = np.outer(np.arange(config["max_positions"]), frequencies.astype(np.float64))
    still = config["head_dim"] // 2 - angle.shape[1]
    tables = []
    for values, rest in ((np.cos(angle), 1.0), (np.sin(angle), 0.0)):
        scaled = values * scale
        tables.append(np.pad(scaled, ((0, 0), (0, still)), constant_values=rest).astype(np.float32))
    return torch.from_numpy(np.stack(tables))


class _Reader:
    """Tensors by name, on the device."""

    def __init__(
        self, file: _core.ModelFile, config: dict[str, Any], dtype: torch.dtype, device: torch.device
    ):
        self.file, self.dtype, self.device = file, dtype, device
        self.head_dim, self.order = config["head_dim"], pair_order(config)

    def matrix(self, name: str) -> torch.Tensor:
        values = self.file.tensor(name)
        assert values is not None, name  # the loader lets no model pass without it
        return torch.from_numpy(values).to(self.device, self.dtype)

    def vector(self, name: str) -> torch.Tensor | None:
        values = self.file.tensor(name)
        return None if values is None else torch.from_numpy(values).to(self.device)

    def norm(self, name: str) -> Norm:
        weight = self.vector(f"{name}.weight")
        assert weight is not None, name
        return Norm(weight, self.vector(f"{name}.bias"))

    def norm_or_none(self, name: str) -> Norm | None:
        return None if self.file.tensor_dtype(f"{name}.weight") is None else self.norm(name)

    def linear(self, name: str) -> Linear:
        return Linear(self.matrix(f"{name}.weight"), self.vector(f"{name}.bias"))

    def layer(self, i: int) -> Layer:
        at = f"layers.{i}"
        gated = self.file.tensor_dtype(f"{at}.gate.weight") is not None
        return Layer(
            attn_norm=self.norm_or_none(f"{at}.attn_norm"),
            qkv=self.joined([f"{at}.{part}" for part in "qkv"], paired=2),
            head_norm=self.head_norm(at),
            o=self.linear(f"{at}.o"),
            ffn_norm=self.norm_or_none(f"{at}.ffn_norm"),
            gate=self.linear(f"{at}.gate") if gated else None,
            up=self.linear(f"{at}.up"),
            down=self.linear(f"{at}.down"),
            post_attn_norm=self.norm_or_none(f"{at}.post_attn_norm"),
            post_ffn_norm=self.norm_or_none(f"{at}.post_ffn_norm"),
        )

    def in_pairs(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of each head in the order of `pair_order`."""
        heads = rows.unflatten(0, (-1, self.head_dim))
        return heads[:, torch.from_numpy(self.order).to(rows.device)].flatten(0, 1)

    def joined(self, names: list[str], paired: int) -> Linear:
        """Several maps of one input as one, the first `paired` of them in pairs' order."""
        weights = [self.matrix(f"{name}.weight") for name in names]
        biases = [self.vector(f"{name}.bias") for name in names]
        for i in range(paired):
            weights[i] = self.in_pairs(weights[i])
            own = biases[i]
            biases[i] = None if own is None else self.in_pairs(own)
        bias = None
        if any(own is not None for own in biases):
            bias = torch.cat(
                [
                    torch.zeros(len(w), device=self.device) if own is None else own
                    for w, own in zip(weights, biases, strict=True)
                ]
            )
        return Linear(torch.cat(weights), bias)

    def head_norm(self, at: str) -> Norm | None:
        if self.file.tensor_dtype(f"{at}.q_norm.weight") is None:
            return None
        norms = [self.norm(f"{at}.{part}_norm") for part in "qk"]
        biases = [self.in_pairs(norm.bias) for norm in norms if norm.bias is not None]
        return Norm(
            torch.cat([self.in_pairs(norm.weight) for norm in norms]), torch.cat(biases) if biases else None
        )

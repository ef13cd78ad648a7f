"""What a training in progress needs to go on with the same bits: weights, moments, losses so far."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from t2fast import atomic

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class State:
    """The state of a run under its folder; one file, whole or absent. The data's place is the step itself."""

    def __init__(self, folder: Path):
        # A folder of its own: an engine takes every safetensors file beside a config.json for weights.
        self.path = folder / "state" / "state.safetensors"

    def save(self, model: nn.Module, optimiser: torch.optim.Optimizer, losses: Tensor) -> None:
        """Keep the state after as many steps as there are losses."""
        from safetensors.torch import save as to_bytes

        tensors = {f"weight.{name}": weight for name, weight in model.named_parameters()}
        for i, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.{i}": moments[name] for name in _MOMENTS}
        tensors["losses"] = losses
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        atomic.write(self.path, [to_bytes(kept)])

    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> Tensor:
        """Put back what was kept, if anything was: the losses of the steps that are done."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        if not self.path.exists():
            return torch.zeros(0)
        try:
            tensors = load(self.path.read_bytes())
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    weight.copy_(tensors[f"weight.{name}"])
            states: dict[str, Any] = optimiser.state_dict()
            count = sum(len(group["params"]) for group in states["param_groups"])
            states["state"] = {i: {name: tensors[f"{name}.{i}"] for name in _MOMENTS} for i in range(count)}
            optimiser.load_state_dict(states)
            return tensors["losses"]
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise ValueError(
                f"{self.path} is damaged ({error}): remove it, and the run begins anew"
            ) from error

    def remove(self) -> None:
        """Forget the state: the run is done."""
        shutil.rmtree(self.path.parent, ignore_errors=True)

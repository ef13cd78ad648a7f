from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

__version__: str

def law_parameters(name: str) -> list[str]: ...
def law_values(name: str, params: Floats, n: Floats, d: Floats, k: Floats) -> Floats: ...
def plan_batch(
    name: str,
    params: Floats,
    train: Floats,
    inference: Floats,
    params_range: tuple[float, float],
    sizes: list[float] | None,
    tokens_range: tuple[float, float],
    whole_k: bool,
    tokens_per_param: float | None,
) -> tuple[Floats, Floats, npt.NDArray[np.uint8]]: ...

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

def gguf_metadata(path: str | os.PathLike[str]) -> dict[str, Any]: ...
def dequantize(path: str | os.PathLike[str], tensor_name: str) -> NDArray[np.float32]: ...

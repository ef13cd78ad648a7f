"""Draw many samples from one prompt, reproducibly, on the CPU or a GPU.

    engine = t2fast.decode.load("SmolLM2-135M.gguf")
    samples = engine.sample(["The capital of France is"], k=64, seed=0)
    samples.table            # problem, sample, text, tokens, logprob, processed_logprob, finish_reason, stop

Sample i of a problem depends on (seed, problem, i) alone: not on k, on the other prompts or on the number
of threads. With ``load(..., device="cuda")`` a GPU does the work.
"""

from t2fast.decode.engine import Engine
from t2fast.decode.opening import load
from t2fast.decode.samples import Samples

__all__ = ["Engine", "Samples", "load"]

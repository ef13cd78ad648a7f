"""t2fast: how big a model, how many tokens, how many samples.

Train-to-Test (T²) scaling laws (Roberts et al. 2026, arXiv 2604.01411): pass@k as a function of parameters N,
training tokens D and samples per problem k; estimated from counts, fitted, and turned into a plan.
"""

from t2fast._core import __version__

__all__ = ["__version__"]

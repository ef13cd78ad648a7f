"""Triton kernels for drawing many samples from one prompt on a GPU.

One operation a file: the kernel, the function that launches it and, beside them, `naive`, the same operation
in plain PyTorch. `step` puts them together into one token for every row. See README.md in this folder for
the model of bytes and arithmetic behind them. Nothing is imported here: the package works without torch.
"""

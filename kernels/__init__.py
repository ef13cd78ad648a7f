"""Triton kernels for drawing many samples from one prompt on a GPU.

One operation a file: the kernel and the function that launches it. `ops` says what each does, `triton_ops`
gathers them, `torch_ops` has the same in plain PyTorch; `step` makes one token for every row of them.
README.md in this folder has the model of bytes and arithmetic behind them. Nothing is imported here: the
package works without torch.
"""

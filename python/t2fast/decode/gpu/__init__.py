"""The GPU back end: what `_core.DecodeEngine` is on the CPU, over the Triton kernels of `t2fast.kernels`."""

"""Cost models, one a file: FLOPs of training and queries, tokens as sold, time and dollars on named
hardware.
"""

from t2fast.compute import train_flops
from t2fast.costs.architectures import read_architectures
from t2fast.costs.flops import Architecture, query_flops
from t2fast.costs.hardware import ACCELERATORS, Accelerator, Machine, Served, accelerator
from t2fast.costs.memory import Room, cache_bytes
from t2fast.costs.tokens import QueryPrice

__all__ = [
    "ACCELERATORS",
    "Accelerator",
    "Architecture",
    "Machine",
    "QueryPrice",
    "Room",
    "Served",
    "accelerator",
    "cache_bytes",
    "query_flops",
    "read_architectures",
    "train_flops",
]

"""Samples from a server that runs already and speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, hosted ones.

    model = Served(Endpoint("http://localhost:8000/v1"), "my-model")
    model.each({"p1": "2 + 2 ="}, keep, Sampling(max_tokens=4), k=64)

`pacing` says when a request may go, `client` sends it until it is answered, `protocol` writes and reads
what is sent, `guard` doubts servers whose samples are not independent, and `served` puts them together.
"""

from t2fast.decode.endpoint.client import Endpoint
from t2fast.decode.endpoint.protocol import Spent
from t2fast.decode.endpoint.served import Served

__all__ = ["Endpoint", "Served", "Spent"]

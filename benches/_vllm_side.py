"""vLLM as a side of `decode.py`: `python _vllm_side.py FOLDER THREADS`, JSON requests and answers by lines.

`{}` asks for the version; `{"prompts", "k", "new"}` for the number of tokens drawn; `{"score"}` for the
log-probability of each token but the first.
"""

from __future__ import annotations

import json
import os
import sys


def main(folder: str, threads: str) -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what vLLM prints is no answer
    os.environ |= {
        "OMP_NUM_THREADS": threads,
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "WARNING"),
    }
    import vllm

    llm = vllm.LLM(
        folder,
        dtype="bfloat16",
        skip_tokenizer_init=True,
        enable_prefix_caching=True,
        max_model_len=1024,
        max_num_seqs=256,
    )
    for line in sys.stdin:
        asked = json.loads(line)
        if "prompts" in asked:
            prompts = [{"prompt_token_ids": tokens} for tokens in asked["prompts"]]
            how = vllm.SamplingParams(
                n=asked["k"],
                max_tokens=asked["new"],
                temperature=1.0,
                ignore_eos=True,
                detokenize=False,
            )
            llm.reset_prefix_cache()  # a prompt of an earlier call would be read for nothing
            drawn = llm.generate(prompts, how, use_tqdm=False)
            answer: object = sum(len(one.token_ids) for request in drawn for one in request.outputs)
        elif "score" in asked:
            how = vllm.SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
            tokens = asked["score"]
            found = llm.generate([{"prompt_token_ids": tokens}], how, use_tqdm=False)[0].prompt_logprobs
            answer = [given[token].logprob for token, given in zip(tokens[1:], found[1:], strict=True)]
        else:
            answer = vllm.__version__
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

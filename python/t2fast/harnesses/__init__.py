"""This engine as the model of harnesses that people run already, one harness a file."""

from __future__ import annotations

import sys


def lm_eval_command() -> None:
    """lm-eval's own command with the model `t2fast` among its models, as `t2fast-lm-eval`."""
    try:
        from lm_eval.__main__ import cli_evaluate

        from t2fast.harnesses import lm_eval  # noqa: F401
    except ImportError as error:
        sys.exit(f"t2fast-lm-eval: {error}: pip install 'lm-eval[hf]' 't2fast[decode]'")
    sys.exit(cli_evaluate())

"""A testbed of one's own: train small models, measure them, fit laws, plan, and train the plan.

    settings = read_settings("small")
    print(run_testbed(settings, "testbed"))

A testbed is a folder: the corpus, a folder for each checkpoint with its model and its run of samples and
likelihoods, and the tables and the report that are made of them. What is finished survives a kill.
"""

from t2fast.testbed.bed import estimate_seconds, pack, run_share, run_testbed
from t2fast.testbed.findings import Findings, find
from t2fast.testbed.report import Testbed
from t2fast.testbed.settings import PRESETS, Settings, parse_settings, read_settings, settings_text

__all__ = [
    "PRESETS",
    "Findings",
    "Settings",
    "Testbed",
    "estimate_seconds",
    "find",
    "pack",
    "parse_settings",
    "read_settings",
    "run_share",
    "run_testbed",
    "settings_text",
]

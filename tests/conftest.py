"""Published measurements that some tests need; they lie beside the repository and are not part of it."""

import os
from pathlib import Path

# BLAS's own threads only hold up SciPy's searches over a handful of unknowns. Read on NumPy's first import.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import polars as pl
import pytest
from hypothesis import settings
from t2fast.tables import Counts, Losses, read_counts, read_losses

# A property holds however slow the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published tables, or a skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the published tables in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def pythia(shared_data: Path) -> Counts:
    """GSM8K counts of 81 Pythia checkpoints."""
    return read_counts(shared_data / "pythia_gsm8k_counts.csv")


@pytest.fixture(scope="session")
def grown_pythia(pythia: Counts) -> Counts:
    """The 54 of them that have seen at least 2e9 tokens: something was solved at each."""
    return pythia.filter(min_tokens=2e9)


@pytest.fixture(scope="session")
def chinchilla_245(shared_data: Path) -> Losses:
    return read_losses(shared_data / "chinchilla_figure4_losses.csv")


@pytest.fixture(scope="session")
def chinchilla_240(shared_data: Path) -> Losses:
    """The Chinchilla runs without the five highest losses."""
    runs = pl.read_csv(shared_data / "chinchilla_figure4_losses.csv")
    return read_losses(runs.sort("loss").head(240))

"""Names to files, offline: a cache is prepared by hand the way huggingface_hub lays it out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from t2fast.decode.hub import resolve

pytest.importorskip("huggingface_hub", reason="needs the decode-test extra (huggingface_hub)")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path):
    """A cache with `org/tiny` (a folder model) and `org/quants` (two GGUF files)."""
    for repo, files in {"tiny": ["config.json", "model.safetensors"], "quants": ["a.gguf", "b.gguf"]}.items():
        root = tmp_path / f"models--org--{repo}"
        snapshot = root / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        (root / "refs").mkdir()
        (root / "refs" / "main").write_text(COMMIT)
        for file in files:
            (snapshot / file).write_text("{}")
    return tmp_path


def resolve_offline(cache, name):
    """`resolve` in a fresh interpreter: huggingface_hub reads its settings when it is imported."""
    code = "import sys; from t2fast.decode.hub import resolve; print(resolve(sys.argv[1]))"
    env = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, name], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["org/tiny", "org/tiny@main", f"org/tiny@{COMMIT}"])
def test_a_cached_model_is_found(cache, name):
    done = resolve_offline(cache, name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(cache / "models--org--tiny" / "snapshots" / COMMIT)


def test_a_cached_file_is_found(cache):
    done = resolve_offline(cache, "org/quants/b.gguf")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f"{COMMIT}/b.gguf")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("org/absent", "the hub could not give it"),
        ("org/tiny@other", "the hub could not give it"),
        ("org/quants", "name one: org/quants/FILE.gguf"),
    ],
)
def test_what_the_cache_lacks_is_an_error(cache, name, message):
    done = resolve_offline(cache, name)
    assert done.returncode != 0
    assert "ValueError" in done.stderr.splitlines()[-1]
    assert message in done.stderr.splitlines()[-1]


def test_a_folder_of_the_cache_is_its_main_snapshot(cache):
    root = cache / "models--org--tiny"
    assert resolve(root) == root / "snapshots" / COMMIT
    (root / "refs" / "main").write_text("0" * 40)  # only another revision was fetched
    assert resolve(root) == root


def test_a_path_stays_a_path(tmp_path):
    assert resolve(tmp_path) == tmp_path
    with pytest.raises(ValueError, match="no such file or folder, and no hub id"):
        resolve(tmp_path / "missing.gguf")


def test_importing_the_package_imports_no_heavy_package():
    code = (
        "import sys, t2fast.decode; "
        "print([m for m in ('torch', 'transformers', 'tokenizers', 'jinja2', 'huggingface_hub', 'gguf') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

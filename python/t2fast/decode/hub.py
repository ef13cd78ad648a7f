"""From a model's name to its files: a path stays a path, a hub id is looked up through huggingface_hub."""

from __future__ import annotations

import re
from pathlib import Path

_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(?P<file>/[^@]+\.gguf)?(@(?P<revision>[\w./-]+))?")
_WANTED = ["*.json", "*.safetensors", "*.jinja"]
_UNWANTED = ["*/*", "consolidated*.safetensors"]
"""What is in folders, and the same weights once more in the names of those who trained them (Mistral)."""


def resolve(name: str | Path) -> Path:
    """The folder or `.gguf` file that ``name`` stands for.

    ``name`` is a path, or ``org/model``, ``org/model/file.gguf``, each with ``@revision`` if wanted. Hub
    ids need the package huggingface_hub, which answers from its cache or the network (``HF_HUB_OFFLINE=1``:
    the cache alone) and decides where the cache is and which token is used. Anything else is a ValueError
    that says what was tried.
    """
    path = Path(name).expanduser()
    if path.exists():
        return _snapshot(path) or path
    match = _HUB_ID.fullmatch(str(name))
    if match is None:
        raise ValueError(f"no such file or folder, and no hub id (org/model): {str(name)!r}")
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"no such file or folder: {str(name)!r}; to read it from the hub: pip install huggingface_hub"
        ) from error
    repo, file, revision = match["repo"], match["file"], match["revision"]
    try:
        if file is not None:
            return Path(huggingface_hub.hf_hub_download(repo, file[1:], revision=revision))
        folder = Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
            )
        )
    except Exception as error:  # huggingface_hub raises many kinds: its own, requests' and the system's
        raise ValueError(
            f"no such file or folder: {str(name)!r}, and the hub could not give it "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason'})"
        ) from error
    if not (folder / "config.json").is_file():
        raise ValueError(f"{repo} has no config.json; if it holds GGUF files, name one: {repo}/FILE.gguf")
    return folder


def _snapshot(path: Path) -> Path | None:
    """The main snapshot in a model's folder of the hub's cache (``models--org--name``)."""
    main = path / "refs" / "main"
    if not main.is_file():
        return None
    found = path / "snapshots" / main.read_text("utf-8").strip()
    return found if found.is_dir() else None

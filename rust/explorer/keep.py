"""Compile the core of `t2fast explore` to WebAssembly, and keep it in the package with a mark of its sources.

`make explorer` runs this after a change of the Rust core; it needs the target wasm32-unknown-unknown (`rustup
target add wasm32-unknown-unknown`). What it writes is kept in the repository, since whoever installs t2fast
from there needs a Rust compiler, but not one for browsers. A test holds the mark against the sources.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "python/t2fast/reports/explorer/core.wasm"
TARGET = "wasm32-unknown-unknown"


def sources() -> str:
    """SHA-256 of all that the core is made of, whatever the line endings of a checkout."""
    crates = [ROOT / "rust/core", ROOT / "rust/explorer"]
    files = [crate / "Cargo.toml" for crate in crates]
    files += [file for crate in crates for file in sorted((crate / "src").rglob("*.rs"))]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def marked(module: bytes, mark: str) -> bytes:
    """A module with a mark as its last bytes, in a section that engines pass over."""
    payload = bytes([len(b"sources")]) + b"sources" + mark.encode()
    return module + bytes([0, len(payload)]) + payload


def main() -> None:
    """Build, mark and keep."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    # Messages of panics name files, which are not to say where this machine keeps them.
    flags = f"--remap-path-prefix={home}=cargo --remap-path-prefix={ROOT}=t2fast"
    build = ["cargo", "build", "--locked", "--profile", "explorer", "--package", "t2fast-explorer"]
    folder = ROOT / "target/explorer"
    subprocess.run(
        [*build, "--target", TARGET, "--target-dir", str(folder)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "RUSTFLAGS": flags},
    )
    module = (folder / TARGET / "explorer/t2fast_explorer.wasm").read_bytes()
    KEPT.write_bytes(marked(module, sources()))
    print(f"{KEPT.relative_to(ROOT)}: {KEPT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

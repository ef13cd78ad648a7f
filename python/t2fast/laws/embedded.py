"""The laws that come with the package, by name."""

from __future__ import annotations

import os
from pathlib import Path

from t2fast.arguments import require_kind
from t2fast.laws import file
from t2fast.laws.forecast import ForecastLaw
from t2fast.laws.law import Law
from t2fast.text import nearest

_FOLDER = Path(__file__).parent.parent / "data" / "laws"
_DEFAULT = "pythia-gsm8k"


def embedded_laws() -> list[str]:
    """The names of the laws that come with t2fast, that of `default_law` first.

    Returns:
        The names, each for `embedded_law` and for `--law`.
    """
    return sorted((path.stem for path in _FOLDER.glob("*.json")), key=lambda name: (name != _DEFAULT, name))


def embedded_law(name: str) -> Law:
    """A law that comes with t2fast.

    Those of the testbed are accuracy laws (Roberts et al. 2026, arXiv 2604.01411) of one task each, fitted to
    the likelihoods of `t2fast.data.testbed()`.

    Args:
        name: see `embedded_laws`.

    Returns:
        The law, with its draws.

    Raises:
        ValueError: for a name that none of them has.
        TypeError: for what is no text.
    """
    names = embedded_laws()
    require_kind("embedded_law", name, (str,), "a name that t2fast.embedded_laws() lists")
    if name not in names:
        hint = nearest(name, names)
        meant = f" (did you mean {hint!r}?)" if hint else ""
        raise ValueError(
            f"no law is called {name!r}{meant}: those that come with t2fast are {', '.join(names)}"
        )
    return Law.from_dict(file.read(_FOLDER / f"{name}.json"), f"the embedded law {name}")


def default_law() -> Law:
    """The law that ships with t2fast: the accuracy law of Pythia's GSM8K counts (Schaeffer et al. 2025).

    Returns:
        The law, with its draws.
    """
    return embedded_law(_DEFAULT)


def find_law(name: str | None) -> Law | ForecastLaw:
    """The law that `--law` names: one that comes with t2fast, or a file.

    Args:
        name: of an embedded law, or a path; None: `default_law`.

    Returns:
        The law.

    Raises:
        ValueError: for what is neither, and for a file that holds no law.
    """
    if name is None:
        return default_law()
    if name not in embedded_laws() and (Path(name).suffix or os.sep in name or Path(name).exists()):
        return Law.load(name)
    return embedded_law(name)

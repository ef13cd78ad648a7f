"""What a user installs: stubs that agree with the extension, few dependencies, a wheel that stands alone."""

import ast
import inspect
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import t2fast
from t2fast import _core

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(t2fast.__file__).parent
MODULE_ATTRIBUTES = {"__all__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__spec__"}
CORE_DEPENDENCIES = {"numpy", "polars", "rich"}
HEAVY_MODULES = {"altair", "pandas", "scipy", "torch", "transformers", "vl_convert"}


def parameters(arguments: ast.arguments) -> str:
    """The parameter list without its receiver, annotations and the values of its defaults."""
    positional = arguments.posonlyargs or arguments.args
    if positional and positional[0].arg in {"self", "cls"}:
        del positional[0]
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    arguments.defaults = [ast.Constant(...) for _ in arguments.defaults]
    arguments.kw_defaults = [default and ast.Constant(...) for default in arguments.kw_defaults]
    return f"({ast.unparse(arguments)})"


def described_by_stub(body: list[ast.stmt], prefix: str = "") -> dict[str, str]:
    """Map each public name of a stub, and of its classes, to its parameters, `value` or `class`."""
    found = {}
    for node in body:
        match node:
            case ast.ClassDef(name=name, body=members):
                found |= {f"{prefix}{name}": "class"} | described_by_stub(members, f"{prefix}{name}.")
            case ast.FunctionDef(name=name, args=arguments, decorator_list=decorators):
                kinds = {ast.unparse(decorator).rpartition(".")[2] for decorator in decorators}
                if kinds & {"property", "setter"}:
                    found[f"{prefix}{name}"] = "value"
                else:
                    name = "__new__" if name == "__init__" else name
                    found[f"{prefix}{name}"] = parameters(arguments)
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                found[f"{prefix}{name}"] = "value"
    return {name: what for name, what in found.items() if is_public(name)}


def described_by_extension() -> dict[str, str]:
    """The same map, read from the compiled module."""
    found = {}
    for name in set(dir(_core)) - MODULE_ATTRIBUTES:
        member = getattr(_core, name)
        if not inspect.isclass(member):
            found[name] = signature(member) if callable(member) else "value"
            continue
        found[name] = "class"
        for attribute, inner in vars(member).items():
            if attribute == "__new__":
                found[f"{name}.__new__"] = signature(member)
            elif isinstance(inner, staticmethod | classmethod) or callable(inner):
                found[f"{name}.{attribute}"] = signature(getattr(member, attribute))
            else:
                found[f"{name}.{attribute}"] = "value"
    return {name: what for name, what in found.items() if is_public(name)}


def is_public(name: str) -> bool:
    """Stubs owe nothing on operators, on what every class has and on what is the stub's own: only on plain
    names and constructors.
    """
    owner, _, last = name.rpartition(".")
    return (not last.startswith("_") or last == "__new__" or name == "__version__") and owner[:1] != "_"


def signature(member: object) -> str:
    text = getattr(member, "__text_signature__", None)
    if text is None:
        return "not inspectable"
    function = ast.parse(f"def f{text.replace('$', '')}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    return parameters(function.args)


def test_stub_describes_the_extension() -> None:
    stub = described_by_stub(ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8")).body)
    extension = described_by_extension()
    for name in stub.keys() & extension.keys():
        if extension[name] == "not inspectable":
            del stub[name], extension[name]
    assert stub == extension


def test_the_stub_knows_no_room_above_it() -> None:
    tree = ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [ast.unparse(node) for node in imports if "t2fast" in ast.unparse(node)]


def run(command: list[str], environment: dict[str, str], directory: Path) -> str:
    """What the command prints; its errors in the assertion if it fails."""
    done = subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_core_dependencies_stay_few() -> None:
    required = metadata.requires("t2fast")
    assert required is not None
    core = {re.split(r"[\s<>=!~;(\[]", line)[0] for line in required if "extra ==" not in line}
    assert core == CORE_DEPENDENCIES


def test_import_leaves_heavy_modules_alone() -> None:
    code = "import sys, t2fast; print(*{name.partition('.')[0] for name in sys.modules})"
    imported = run([sys.executable, "-c", code], dict(os.environ), ROOT).split()
    assert "t2fast" in imported
    assert not HEAVY_MODULES & set(imported)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    into = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(into), str(ROOT)]
    subprocess.run(pip, check=True)
    (built,) = into.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment for subprocesses whose `python` has this wheel and its dependencies, nothing else."""
    home = tmp_path_factory.mktemp("empty")
    venv.create(home, with_pip=True)
    scripts = Path(sysconfig.get_path("scripts", "venv", {"base": str(home)}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(home)}
    pip = [str(scripts / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run(pip, env=environment, check=True)
    return environment


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    assert "-cp310-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.split("/")[0] for name in names}
    assert roots == {"t2fast", f"t2fast-{t2fast.__version__}.dist-info"}
    packed = {name for name in names if name.startswith("t2fast/") and "/_core.abi3" not in name}
    python = ROOT / "python"
    # The kernels are a link to a folder at the top, which a walk has to be told to follow.
    walked = [Path(top) / name for top, _, names in os.walk(python, followlinks=True) for name in names]
    sources = {path.relative_to(python).as_posix() for path in walked}
    assert packed == {name for name in sources if not re.search(r"__pycache__/|\.(so|pyd|md)$", name)}
    assert "t2fast/kernels/step.py" in packed
    assert f"t2fast-{t2fast.__version__}.dist-info/licenses/LICENSE" in names
    assert any(name.endswith(".cyclonedx.json") for name in names), "no list of the crates inside (SBOM)"


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {t2fast.__version__}\n" in text
    # Whoever is a person there has a whole name; others are named as a body is.
    assert text.count("family-names:") == text.count("given-names:")
    assert text.count("- name: ") >= 2


@pytest.mark.slow
def test_installed_wheel_imports_and_is_typed(installed: dict[str, str], tmp_path: Path) -> None:
    code = "import t2fast as t, t2fast.kernels as k; print(t.__version__, t.__file__, k.__file__, sep='\\n')"
    version, init, kernels = run(["python", "-c", code], installed, tmp_path).splitlines()
    assert version == t2fast.__version__
    home = Path(init).parent
    assert Path(kernels) == home / "kernels" / "__init__.py"
    assert home.is_relative_to(installed["VIRTUAL_ENV"])
    assert {"py.typed", "_core.pyi"} <= {path.name for path in home.iterdir()}


@pytest.mark.slow
def test_installed_tables_and_laws_are_those_of_the_checkout(
    installed: dict[str, str], tmp_path: Path
) -> None:
    code = (
        "import t2fast as t; bed = t.data.testbed(); laws = [t.embedded_law(n) for n in t.embedded_laws()];"
        "print(len(bed.counts.frame), len(bed.likelihoods.frame), len(bed.losses.frame), len(laws))"
    )
    bed = t2fast.data.testbed()
    here = [len(bed.counts.frame), len(bed.likelihoods.frame), len(bed.losses.frame)]
    said = run(["python", "-c", code], installed, tmp_path)
    assert [int(word) for word in said.split()] == [*here, len(t2fast.embedded_laws())]
    planned = ["t2fast", "plan", "--law", "testbed-arithmetic"]
    planned += ["--train-flops", "1e10", "--inference-flops", "1e6"]
    assert "law: accuracy, t2fast's own testbed" in run(planned, installed, tmp_path)


@pytest.mark.slow
def test_sdist_holds_tables_and_laws(tmp_path: Path) -> None:
    pytest.importorskip("maturin", reason="a source distribution is made by maturin (the dev extra)")
    run([sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)], dict(os.environ), ROOT)
    (made,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    data = ROOT / "python/t2fast/data"
    shipped = {path.relative_to(ROOT).as_posix() for path in (*data.glob("laws/*"), *data.glob("testbed/*"))}
    assert len(shipped) > 4
    assert shipped <= names


@pytest.mark.slow
def test_installed_command_knows_its_version(installed: dict[str, str], tmp_path: Path) -> None:
    assert t2fast.__version__ in run(["t2fast", "--version"], installed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(ROOT.glob("examples/*.sh")), ids=lambda script: script.name)
def test_tour_runs_on_the_installed_wheel(script: Path, installed: dict[str, str], tmp_path: Path) -> None:
    assert run(["bash", str(script)], installed, tmp_path)

"""The shape of the house: what every file must be like, who may import whom, what the locks pin."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway.adapters import embedded

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEPENDENCIES = PROJECT["project"]["dependencies"]
MOST_LINES = 300
MOST_FUNCTION_LINES = 40
MOST_PARAMETERS = 6
NAMES_THAT_SAY_NOTHING = {"common", "data", "helper", "info", "manager", "misc", "util"}
# Written in pieces, or this file would be the first offender.
REGISTRIES = re.compile("pypi" r"\.org|" "pythonhosted" r"\.org|" "npmjs" r"\.(?:org|com)")
MACHINE_PATHS = re.compile(r"(?<![\w.~*{}<>$)-])/(?:home|root|tmp|work|Users)/[\w.-]")


def _tracked() -> list[Path]:
    """Files that git has or would take, relative to the root; in an unpacked archive, all."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = filter(None, listed.stdout.split("\0"))
        return sorted({Path(name) for name in names if (ROOT / name).is_file()})
    return sorted(
        file.relative_to(ROOT)
        for file in ROOT.rglob("*")
        if file.is_file() and not {".venv", "__pycache__"} & set(file.parts)
    )


TRACKED = _tracked()
PYTHON = [file for file in TRACKED if file.suffix == ".py"]
MACHINE = [file for file in PYTHON if file.parts[0] in ("gateway", "policies")]
LOCKS = [file for file in TRACKED if file.suffix == ".lock"]


def read(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def tree(file: Path) -> ast.Module:
    return ast.parse(read(file), str(file))


def imported(file: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it, by their full names."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


# ---- Files ---------------------------------------------------------------------------------------


def test_every_file_of_the_machine_has_its_test_file_at_the_same_place() -> None:
    missing = []
    for file in MACHINE:
        if file.name in ("__init__.py", "__main__.py"):
            continue  # they put together what other files hold
        if "migrations" in file.parts:
            continue  # tests/adapters/test_schema.py goes through all of them, on both databases
        folders = file.parts[1:-1] if file.parts[0] == "gateway" else file.parts[:-1]
        mirror = Path("tests", *folders, f"test_{file.name}")
        if not (ROOT / mirror).is_file():
            missing.append(f"{file} -> {mirror}")
    assert not missing, "write these:\n" + "\n".join(missing)


def test_every_file_begins_by_saying_what_lives_there() -> None:
    silent = [
        str(file)
        for file in PYTHON
        if not re.match(r'"""\S.{10,}', read(file)) or not ast.get_docstring(tree(file))
    ]
    assert not silent, "line 1 is a docstring: " + ", ".join(silent)


def test_no_file_of_the_machine_is_too_long() -> None:
    long = {str(file): lines for file in MACHINE if (lines := read(file).count("\n")) > MOST_LINES}
    assert not long, f"split them, at most {MOST_LINES} lines: {long}"


def test_no_file_has_a_name_that_says_nothing() -> None:
    empty = [
        str(file)
        for file in PYTHON
        for part in (*file.parts[:-1], file.stem)
        if {word.rstrip("s") for word in part.split("_")} & NAMES_THAT_SAY_NOTHING
    ]
    assert not empty, f"name what is in it: {empty}"


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    found = []
    for file in TRACKED:
        if file.suffix == ".md":
            continue
        try:
            lines = read(file).splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            for pattern in (REGISTRIES, MACHINE_PATHS):
                if match := pattern.search(line):
                    found.append(f"{file}:{number}: {match[0]}")
    assert not found, "\n".join(found)


# ---- Functions -----------------------------------------------------------------------------------


def test_no_function_of_the_machine_is_too_long() -> None:
    long = [
        f"{file}:{node.lineno} {node.name} has {lines}"
        for file in MACHINE
        for node in functions(file)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MOST_FUNCTION_LINES
    ]
    assert not long, f"at most {MOST_FUNCTION_LINES} lines:\n" + "\n".join(long)


def test_no_function_of_the_machine_takes_too_many_parameters() -> None:
    greedy = []
    for file in MACHINE:
        for node in functions(file):
            given = node.args
            names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > MOST_PARAMETERS and not _is_command(node):
                greedy.append(f"{file}:{node.lineno} {node.name} takes {count}")
    assert not greedy, f"at most {MOST_PARAMETERS}:\n" + "\n".join(greedy)


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command line's function: each of its options is a parameter, and click wants them all."""
    return any(".command" in ast.unparse(decorator) for decorator in node.decorator_list)


# ---- Who imports whom ----------------------------------------------------------------------------


def test_one_file_imports_litellm() -> None:
    importers = {
        str(file)
        for file in MACHINE
        for module in imported(file)
        if module.partition(".")[0] == "litellm"
    }
    assert importers == {"gateway/adapters/litellm_sdk.py"}


def test_a_policy_imports_only_gateway_and_what_is_installed_with_it() -> None:
    allowed = sys.stdlib_module_names | {"pydantic", "regex"}
    foreign = [
        f"{file}: {module}"
        for file in MACHINE
        if file.parts[0] == "policies"
        for module in imported(file)
        if module != "gateway" and module.partition(".")[0] not in allowed
    ]
    assert not foreign, foreign


def test_what_the_machine_imports_is_declared() -> None:
    """A package that only comes along with another one is gone when that one changes its mind."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = {canonicalize_name(Requirement(text).name) for text in DEPENDENCIES}
    declared |= {canonicalize_name(Requirement(text).name) for extra in extras for text in extra}
    # Starlette is a part of FastAPI, pydantic-core of pydantic; xllamacpp is optional, and found or
    # missed by the embedded model; pytest is there where gateway/testing/plugin.py is loaded.
    declared |= {"starlette", "pydantic-core", "xllamacpp", "pytest"}
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        f"{file}: {module}"
        for file in MACHINE
        for module in imported(file)
        if (top := module.partition(".")[0]) not in sys.stdlib_module_names | {"gateway"}
        and not {canonicalize_name(name) for name in distributions.get(top, [top])} & declared
    }
    assert not undeclared, "name them in pyproject.toml:\n" + "\n".join(sorted(undeclared))


def test_importing_gateway_loads_no_framework() -> None:
    heavy = "aiohttp fastapi litellm opentelemetry openai prometheus_client starlette uvicorn"
    code = f"import sys, gateway; print(*(set(sys.modules) & set({heavy.split()!r})))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, ""), ran.stderr


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the package in `folder`, under the contracts of pyproject.toml there."""
    command = "import sys; from importlinter.cli import lint_imports_command as c; c(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-logo", "--no-cache"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_import_contracts_hold() -> None:
    ran = lint_imports(ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("file", "statement", "contract"),
    [
        ("flow/engine.py", "import gateway.adapters.transport", "The layers"),
        ("adapters/transport.py", "import gateway.flow.engine", "The layers"),
        ("settings/tree.py", "import gateway.bootstrap", "The layers"),
        ("newcomer.py", "x = 1", "The layers"),
        ("flow/engine.py", "import litellm", "Only gateway/adapters/litellm_sdk.py"),
        ("adapters/records.py", "import redis", "Only gateway/adapters/redis_records.py"),
        ("domain/retry.py", "import time", "The domain is pure"),
        ("flow/engine.py", "import aiohttp", "The rooms know no outside thing"),
        ("adapters/transport.py", "import starlette", "Only the HTTP edge"),
        ("__init__.py", "import gateway.settings", "`import gateway` gives"),
    ],
)
def test_the_import_contracts_break_when_broken_on_purpose(
    file: str, statement: str, contract: str, tmp_path: Path
) -> None:
    shutil.copytree(
        ROOT / "gateway", tmp_path / "gateway", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "gateway" / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{statement}\n")
    ran = lint_imports(tmp_path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert re.search(rf"^{re.escape(contract)}.* BROKEN", ran.stdout, re.M), ran.stdout


# ---- Locks ---------------------------------------------------------------------------------------


def pins(lock: Path) -> dict[str, tuple[str, int]]:
    """Package → version and number of hashes, of one lock."""
    found: dict[str, tuple[str, int]] = {}
    name = ""
    for line in read(lock).splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", line):
            name = canonicalize_name(match[1])
            found[name] = (match[2], 0)
        elif re.match(r"\s+--hash=sha256:[0-9a-f]{64}\b", line):
            found[name] = (found[name][0], found[name][1] + 1)
        else:
            assert not line.strip() or line.lstrip().startswith("#"), f"{lock}: {line}"
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_package_of_a_lock_is_pinned_by_hash(lock: Path) -> None:
    locked = pins(lock)
    assert locked
    assert not [name for name, (_, hashes) in locked.items() if not hashes]


def test_the_locks_are_those_of_the_project_file() -> None:
    runtime, dev = pins(Path("requirements.lock")), pins(Path("requirements-dev.lock"))
    assert {name: dev.get(name) for name in runtime} == runtime
    for lock, wanted in (
        (runtime, DEPENDENCIES),
        (runtime, PROJECT["project"]["optional-dependencies"]["redis"]),
        (dev, PROJECT["dependency-groups"]["dev"]),
    ):
        for requirement in map(Requirement, wanted):
            version = lock.get(canonicalize_name(requirement.name), ("missing", 0))[0]
            assert version in requirement.specifier, f"run `make lock`: {requirement} but {version}"


def test_litellm_is_pinned_exactly_and_installed_as_pinned() -> None:
    version = pins(Path("requirements.lock"))["litellm"][0]
    assert f"litellm=={version}" in DEPENDENCIES
    assert importlib.metadata.version("litellm") == version


def test_no_litellm_file_runs_at_the_start_of_python() -> None:
    """The malware of LiteLLM 1.82.8 came as litellm_init.pth."""
    site = Path(sysconfig.get_path("purelib"))
    assert not list(site.glob("*litellm*.pth"))


def test_the_embedded_model_asks_for_the_wheels_that_are_locked() -> None:
    locked = pins(Path("requirements-model.lock"))
    named = {canonicalize_name((r := Requirement(text)).name): r for text in embedded.PACKAGES}
    assert set(named) == set(locked)
    for name, requirement in named.items():
        assert locked[name][0] in requirement.specifier


# ---- Commands ------------------------------------------------------------------------------------


def test_make_alone_lists_the_commands() -> None:
    ran = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("install", "serve", "test", "check", "live", "lock", "docs", "build", "clean"):
        assert f"make {target} " in ran.stdout


def test_ci_can_run_its_script() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for command in ("make test", "make live"):
        assert command in read(Path(".ci/run"))

"""Where policies are looked up by name: files of a folder, entry points, dotted paths."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from gateway.domain.document import did_you_mean
from gateway.domain.policy import Policy

GROUP = "gateway.policies"

_FORMS = "`use: NAME` is NAME.py in the policies folder, `use: package.module:Class` anything else"
_MEND = "mend it there, or take the entry out"


class Unusable(Exception):
    """An entry of the chain cannot be used: each fault with the way to mend it."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__(faults)
        self.faults = faults


class Shelf:
    """Finds policy classes. Each file is run once in the life of a Shelf, and anew by the next;
    the folder is never put on sys.path. What a folder of an operator's own lacks is taken from the
    `shipped` one."""

    def __init__(self, folder: Path, shipped: Path | None = None) -> None:
        self._folder = folder
        self._shipped = shipped
        self._modules: dict[str, ModuleType] = {}
        self._points: dict[str, EntryPoint] = {
            point.name: point for point in entry_points(group=GROUP)
        }

    def names(self) -> tuple[str, ...]:
        """What `use:` can say without a dot, sorted: files and installed entry points."""
        folders = [self._folder] if self._shipped is None else [self._folder, self._shipped]
        stems = (path.stem for folder in folders for path in folder.glob("*.py"))
        return tuple(sorted({stem for stem in stems if _names_a_policy(stem)} | {*self._points}))

    def find(self, use: str) -> type[Policy]:
        """The class that `use:` names; Unusable when there is none. A file goes before an entry
        point of the same name: what lies in the folder is what the operator sees."""
        if ":" in use:
            module, _, name = use.partition(":")
            return self._dotted(use, module, name)
        stem, _, name = use.partition(".")
        mine = _names_a_policy(stem) and "." not in name
        if mine and (self._folder / f"{stem}.py").is_file():
            return self._in_file(stem, name)
        if use in self._points:
            return _installed(self._points[use])
        if mine and self._came_with_us(stem):
            return self._in_file(stem, name)
        if name:
            module, _, name = use.rpartition(".")
            return self._dotted(use, module, name)
        raise self._unknown(use)

    def _path(self, stem: str) -> Path:
        """Where its file is: in the operator's folder before all else."""
        own = self._folder / f"{stem}.py"
        if self._shipped is not None and not own.is_file() and self._came_with_us(stem):
            return self._shipped / own.name
        return own

    def _came_with_us(self, stem: str) -> bool:
        return self._shipped is not None and (self._shipped / f"{stem}.py").is_file()

    def _unknown(self, use: str) -> Unusable:
        message = f"no policy {use!r} in {self._folder.name}/, nor installed"
        return Unusable((message, f"{did_you_mean(use, self.names())} {_FORMS}"))

    def _in_file(self, stem: str, name: str) -> type[Policy]:
        path = self._path(stem)
        where = f"{self._folder.name}/{path.name}"
        if stem not in self._modules:
            try:
                self._modules[stem] = _run(path)
            except Exception as error:  # the edge: whatever the file does when it is run
                raise _broken(where, error, path) from None
        found = _defined_in(self._modules[stem])
        if name and name not in found:
            raise Unusable((f"{where} has no policy {name!r}", did_you_mean(name, found)))
        if not found:
            fix = "add a class that inherits from gateway.Policy"
            raise Unusable((f"{where} has no policy", fix))
        if not name and len(found) > 1:
            uses = " or ".join(f"`use: {stem}.{each}`" for each in sorted(found))
            raise Unusable((f"{where} has {len(found)} policies", f"say which: {uses}"))
        return found[name or next(iter(found))]

    def _dotted(self, use: str, module: str, name: str) -> type[Policy]:
        if not all(part.isidentifier() for part in (*module.split("."), name)):
            raise self._unknown(use)
        try:
            found = import_module(module)
        except ModuleNotFoundError as error:
            # Only the module asked for is the entry's mistake; one that it imports is its own.
            if error.name and f"{module}.".startswith(f"{error.name}."):
                raise self._unknown(use) from None
            raise _broken(f"the module {module!r}", error) from None
        except Exception as error:  # the edge: importing somebody's package
            raise _broken(f"the module {module!r}", error) from None
        if not hasattr(found, name):
            fix = did_you_mean(name, _defined_in(found))
            raise Unusable((f"the module {module!r} has no {name!r}", fix))
        return _policy(getattr(found, name), repr(use))


def _installed(point: EntryPoint) -> type[Policy]:
    where = f"the entry point {point.name!r} ({point.value})"
    try:
        found = point.load()
    except Exception as error:  # the edge: importing somebody's package
        raise _broken(where, error) from None
    return _policy(found, where)


def _names_a_policy(stem: str) -> bool:
    return stem.isidentifier() and stem != "conftest" and not stem.startswith(("_", "test_"))


def _run(path: Path) -> ModuleType:
    """The module of a policy file. No import system in between: it would want the folder on
    sys.path, and might answer an edit with stale bytecode."""
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    module = ModuleType(f"gateway_policy_{path.stem}_{key}")
    module.__file__ = str(path)
    code = compile(path.read_bytes(), str(path), "exec")
    # Pydantic and dataclasses resolve annotations through sys.modules.
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)
    return module


def _defined_in(module: ModuleType) -> dict[str, type[Policy]]:
    """The policies that a module itself defines, without private ones."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Policy)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


def _policy(found: object, where: str) -> type[Policy]:
    if inspect.isclass(found) and issubclass(found, Policy) and found is not Policy:
        return found
    raise Unusable((f"{where} is not a policy", "name a class that inherits from gateway.Policy"))


def _broken(where: str, error: Exception, path: Path | None = None) -> Unusable:
    line, text = _line_in(path, error), str(error)
    # A syntax error may also be in what the file imports: then its text names that file.
    if isinstance(error, SyntaxError) and error.filename == str(path):
        line, text = error.lineno or 0, error.msg
    place = f"{where}:{line}" if line else where
    return Unusable((f"{place} cannot be loaded: {type(error).__name__}: {text}", _MEND))


def _line_in(path: Path | None, error: Exception) -> int:
    lines = [
        frame.lineno or 0
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return lines[-1] if lines else 0

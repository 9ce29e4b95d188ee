"""Where the tests of a file go when nobody says: by the convention of its language."""

from __future__ import annotations

import re
from collections.abc import Collection

_NEXT_TO_IT: dict[str, str] = {
    "go": "{stem}_test{ext}",
    "javascript": "{stem}.test{ext}",
    "javascriptreact": "{stem}.test{ext}",
    "typescript": "{stem}.test{ext}",
    "typescriptreact": "{stem}.test{ext}",
    "vue": "{stem}.test.ts",
    "svelte": "{stem}.test.ts",
    "java": "{stem}Test{ext}",
    "kotlin": "{stem}Test.kt",
    "scala": "{stem}Test{ext}",
    "groovy": "{stem}Test{ext}",
    "csharp": "{stem}Tests{ext}",
    "swift": "{stem}Tests{ext}",
}
"""The name of a test file beside the file that it tests."""

_APART: dict[str, tuple[str, str]] = {
    "ruby": ("spec", "{stem}_spec{ext}"),
    "lua": ("spec", "{stem}_spec{ext}"),
    "dart": ("test", "{stem}_test{ext}"),
    "elixir": ("test", "{stem}_test.exs"),
    "php": ("tests", "{stem}Test{ext}"),
    "rust": ("tests", "{stem}{ext}"),
}
"""The folder of tests, and the name of a test file in it; of other languages as of Python."""
_PYTHON = ("tests", "test_{stem}{ext}")

_ROOTS = frozenset({"src", "lib", "app"})
_HEADERS = {".h": ".c", ".hpp": ".cpp", ".hh": ".cpp", ".hxx": ".cpp", ".pyi": ".py", ".pyw": ".py"}


def convention(path: str, language: str, taken: Collection[str] = ()) -> str:
    """A path for the tests of `path`, none of `taken`: a number is put behind its name if need be.

    Beside the file where the language does so (Go, JavaScript, Java outside src/main …); else in a
    folder of tests that mirrors the folders below `src`, `lib` or `app`, or those of the project.
    """
    parts = path.split("/")
    folders, name = parts[:-1], parts[-1]
    dot = name.rfind(".")
    stem, ext = (name[:dot], name[dot:]) if dot > 0 else (name, "")
    if language in _NEXT_TO_IT:
        found = "/".join([*_source_to_test(folders, language), _NEXT_TO_IT[language]])
    else:
        folder, pattern = _APART.get(language, _PYTHON)
        found = "/".join([*_mirrored(folders, folder, language), pattern])
        if stem.strip("_") in ("mod", "lib", "main") and language == "rust" and folders:
            stem = next((part for part in reversed(folders) if part not in _ROOTS), stem)
    stem = stem.strip("_").lstrip(".") or "file"
    of_cpp = language == "cpp" and ext == ".h"  # the client knows; the name does not tell
    ext = ".cpp" if of_cpp else _HEADERS.get(ext, ext)
    return _free(found, stem, ext, taken)


def _free(pattern: str, stem: str, ext: str, taken: Collection[str]) -> str:
    folder, _, name = pattern.rpartition("/")
    lead = f"{folder}/" if folder else ""
    number = 1
    while True:
        numbered = stem if number == 1 else f"{stem}_{number}"
        found = lead + name.format(stem=numbered, ext=ext)
        if found not in taken:
            return found
        number += 1


def _source_to_test(folders: list[str], language: str) -> list[str]:
    """src/main/java/… has its tests in src/test/java/…, and Sources/X in Tests/XTests."""
    joined = "/".join(folders)
    if language == "swift":
        joined = re.sub(r"(^|/)Sources/([^/]+)", r"\1Tests/\2Tests", joined, count=1)
    else:
        joined = re.sub(r"(^|/)src/main(/|$)", r"\1src/test\2", joined, count=1)
    return joined.split("/") if joined else []


def _mirrored(folders: list[str], tests: str, language: str) -> list[str]:
    """The folder of tests stands where the root of the sources does."""
    root = next((at for at, part in enumerate(folders) if part in _ROOTS), None)
    if root is None:
        return [tests, *([] if language == "rust" else folders)]
    below = [] if language == "rust" else folders[root + 1 :]
    return [*folders[:root], tests, *below]

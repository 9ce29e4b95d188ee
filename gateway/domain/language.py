"""The language of a file: what the client says, else its name, else its first line."""

from __future__ import annotations

import re

UNKNOWN = "plaintext"

_ALIASES = {
    "bash": "shellscript",
    "c#": "csharp",
    "c++": "cpp",
    "golang": "go",
    "js": "javascript",
    "jsx": "javascriptreact",
    "kt": "kotlin",
    "md": "markdown",
    "objc": "objective-c",
    "py": "python",
    "python3": "python",
    "rb": "ruby",
    "rs": "rust",
    "sh": "shellscript",
    "shell": "shellscript",
    "text": UNKNOWN,
    "ts": "typescript",
    "tsx": "typescriptreact",
    "txt": UNKNOWN,
    "yml": "yaml",
    "zsh": "shellscript",
}
"""Other names of the languages below, which are those of the language server protocol."""

_EXTENSIONS = {
    "bat": "bat",
    "c": "c",
    "cc": "cpp",
    "cfg": "ini",
    "clj": "clojure",
    "cmake": "cmake",
    "cpp": "cpp",
    "cs": "csharp",
    "css": "css",
    "csv": "csv",
    "cxx": "cpp",
    "dart": "dart",
    "ex": "elixir",
    "exs": "elixir",
    "erl": "erlang",
    "fs": "fsharp",
    "go": "go",
    "gradle": "groovy",
    "graphql": "graphql",
    "groovy": "groovy",
    "h": "c",  # C++ as well: a client that knows says so
    "hpp": "cpp",
    "hs": "haskell",
    "htm": "html",
    "html": "html",
    "ini": "ini",
    "ipynb": "json",
    "java": "java",
    "jl": "julia",
    "js": "javascript",
    "json": "json",
    "json5": "jsonc",
    "jsonc": "jsonc",
    "jsx": "javascriptreact",
    "cjs": "javascript",
    "mjs": "javascript",
    "kt": "kotlin",
    "kts": "kotlin",
    "less": "less",
    "lua": "lua",
    "m": "objective-c",
    "md": "markdown",
    "mdx": "markdown",
    "mk": "makefile",
    "ml": "ocaml",
    "mm": "objective-cpp",
    "php": "php",
    "pl": "perl",
    "pm": "perl",
    "proto": "proto",
    "ps1": "powershell",
    "py": "python",
    "pyi": "python",
    "pyw": "python",
    "r": "r",
    "rb": "ruby",
    "rs": "rust",
    "rst": "restructuredtext",
    "sass": "sass",
    "scala": "scala",
    "scss": "scss",
    "sh": "shellscript",
    "bash": "shellscript",
    "zsh": "shellscript",
    "sql": "sql",
    "svelte": "svelte",
    "swift": "swift",
    "tex": "latex",
    "tf": "terraform",
    "toml": "toml",
    "ts": "typescript",
    "cts": "typescript",
    "mts": "typescript",
    "tsx": "typescriptreact",
    "vue": "vue",
    "xml": "xml",
    "yaml": "yaml",
    "yml": "yaml",
    "zig": "zig",
}

_NAMES = {
    ".bash_profile": "shellscript",
    ".bashrc": "shellscript",
    ".zshrc": "shellscript",
    "build": "bazel",
    "build.bazel": "bazel",
    "cmakelists.txt": "cmake",
    "containerfile": "dockerfile",
    "dockerfile": "dockerfile",
    "gemfile": "ruby",
    "gnumakefile": "makefile",
    "go.mod": "go.mod",
    "jenkinsfile": "groovy",
    "makefile": "makefile",
    "rakefile": "ruby",
}

_SHEBANGS = {
    "ash": "shellscript",
    "bash": "shellscript",
    "dash": "shellscript",
    "deno": "typescript",
    "ksh": "shellscript",
    "lua": "lua",
    "node": "javascript",
    "perl": "perl",
    "php": "php",
    "python": "python",
    "ruby": "ruby",
    "rscript": "r",
    "sh": "shellscript",
    "zsh": "shellscript",
}

PROSE = frozenset({UNKNOWN, "latex", "markdown", "restructuredtext"})
"""Languages whose lines may be sentences, so that prose in an answer is no sign of a mistake."""

_SHEBANG = re.compile(r"#!\s*(\S+)(.*)")


def detect(path: str, *, client: str | None = None, first_line: str = "") -> str:
    """A language id of the language server protocol, lower case; `plaintext` when nothing tells.

    What the client says wins, unless it says `plaintext`: editors send that when they do not know.
    """
    said = (client or "").strip().lower()
    said = _ALIASES.get(said, said)
    if said and said != UNKNOWN:
        return said
    name = re.split(r"[/\\]", path)[-1].lower()
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith(("dockerfile.", "containerfile.")):
        return "dockerfile"
    extension = name.rpartition(".")[2] if "." in name else ""
    return _EXTENSIONS.get(extension) or _interpreter(first_line) or UNKNOWN


def _interpreter(first_line: str) -> str | None:
    match = _SHEBANG.match(first_line)
    if match is None:
        return None
    program = match[1].rpartition("/")[2]
    if program == "env":  # `#!/usr/bin/env -S VAR=1 python3 -u`
        words = (word for word in match[2].split() if not word.startswith("-") and "=" not in word)
        program = next(words, "").rpartition("/")[2]
    return _SHEBANGS.get(re.sub(r"[\d.]+$", "", program.lower()))

"""Files that are watched by looking: what they are now (`look`), what is in them (`digest`).

Looking works on every file system, network ones and Kubernetes' mounted ConfigMaps included,
where change events of the kernel do not arrive.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

Places = Mapping[Path, str]
"""A file → "", or a folder → the pattern of the names that count in it, at any depth."""

Sight = Mapping[str, tuple[int, int, int]]
"""A file's path → its time of change (ns), size and inode."""

# A folder named by mistake, the root of a disk say, must not be walked for minutes.
_MOST_ENTRIES = 20_000


def look(places: Places) -> Sight:
    """What is there now. Reads no file; a missing one is left out."""
    seen = {}
    for file in _files(places):
        try:
            state = os.stat(file)
        except OSError:
            continue
        seen[file] = (state.st_mtime_ns, state.st_size, state.st_ino)
    return seen


def digest(places: Places) -> str:
    """12 hex digits of the names and contents of all files. Reads each one."""
    total = hashlib.sha256()
    for number, (place, pattern) in enumerate(sorted(places.items())):
        for file in sorted(_files({place: pattern})):
            try:
                content = Path(file).read_bytes()
            except OSError as error:  # a broken permission is another state than a missing file
                content = type(error).__name__.encode()
            name = os.path.relpath(file, place.parent)
            total.update(f"{number} {name} {len(content)}\n".encode(errors="replace"))
            total.update(content)
    return total.hexdigest()[:12]


def _files(places: Places) -> Iterator[str]:
    for place, pattern in places.items():
        if not pattern:
            if place.exists():
                yield str(place)
            continue
        left = _MOST_ENTRIES
        for folder, folders, names in os.walk(place, followlinks=True):
            left -= len(folders) + len(names)
            if left < 0:
                return
            # Hidden ones are an editor's, a version control's, or a ConfigMap's older versions.
            folders[:] = [name for name in folders if not name.startswith((".", "__"))]
            yield from (
                os.path.join(folder, name)
                for name in names
                if fnmatch(name, pattern) and not name.startswith(".")
            )

"""The shelf: what `use:` can say, which class it finds, and why it finds none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.adapters.policy_shelf import Shelf, Unusable
from gateway.domain.policy import Policy

RULE = """
    from gateway import Policy

    class {name}(Policy):
        async def before(self, call): ...
"""
FORMS = "`use: NAME` is NAME.py in the policies folder, `use: package.module:Class` anything else"

Write = Callable[..., Path]


def rule(name: str) -> str:
    return dedent(RULE.format(name=name))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes policy files into one folder: `write(night=source)`."""
    folder = tmp_path / "rules"
    folder.mkdir()

    def write(**files: str) -> Path:
        for stem, text in files.items():
            (folder / f"{stem}.py").write_text(dedent(text), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes modules that can be imported, with entry points: `site(acme=source)`."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def site(points: str = "", **modules: str) -> Path:
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(dedent(text), encoding="utf-8")
            monkeypatch.delitem(sys.modules, name, raising=False)
        if points:
            about = folder / "acme-1.dist-info"
            about.mkdir()
            (about / "METADATA").write_text("Name: acme\nVersion: 1\n")
            (about / "entry_points.txt").write_text(f"[gateway.policies]\n{points}\n")
        return folder

    return site


def fault(folder: Path, use: str) -> tuple[str, str]:
    with pytest.raises(Unusable) as caught:
        Shelf(folder).find(use)
    (found,) = caught.value.faults
    return found


# ── what there is ────────────────────────────────────────────────────────────────────────────────


def test_the_names_are_those_of_files_and_entry_points_in_order(write: Write, site: Write) -> None:
    site("zebra = acme:Zebra\nday = acme:Day")
    folder = write(night="", day="", _private="", test_night="", conftest="")
    (folder / "not-a-name.py").touch()
    (folder / "README.md").touch()
    assert Shelf(folder).names() == ("day", "night", "zebra")


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert "night" not in Shelf(tmp_path / "nowhere").names()
    assert fault(tmp_path / "nowhere", "night")[0] == "no policy 'night' in nowhere/, nor installed"


# ── files ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("use", ["night", "night.Night"])
def test_a_file_is_found_by_its_name_with_its_class_or_without(write: Write, use: str) -> None:
    found = Shelf(write(night=rule("Night"))).find(use)
    assert found.__name__ == "Night"
    assert issubclass(found, Policy)


def test_of_several_policies_in_a_file_one_is_named(write: Write) -> None:
    folder = write(hours=rule("Day") + rule("Night") + rule("_Base"))
    assert Shelf(folder).find("hours.Night").__name__ == "Night"
    assert fault(folder, "hours") == (
        "rules/hours.py has 2 policies",
        "say which: `use: hours.Day` or `use: hours.Night`",
    )


def test_what_a_file_imports_or_keeps_private_is_not_its_policy(write: Write, site: Write) -> None:
    site(acme=rule("Foreign"))
    folder = write(mine="from acme import Foreign\n" + rule("_Base"))
    message = "rules/mine.py has no policy"
    assert fault(folder, "mine") == (message, "add a class that inherits from gateway.Policy")
    assert fault(folder, "mine.Foreign") == (f"{message} 'Foreign'", "nothing is known here")


def test_a_wrong_class_of_a_file_is_told_with_the_right_one(write: Write) -> None:
    assert fault(write(night=rule("Night")), "night.Nigth") == (
        "rules/night.py has no policy 'Nigth'",
        "did you mean 'Night'?",
    )


def test_a_file_is_run_once_by_a_shelf_and_anew_by_the_next(write: Write) -> None:
    folder = write(night=rule("Night"))
    shelf = Shelf(folder)
    first = shelf.find("night")
    write(night=rule("Night") + "    mark = 1\n")
    assert shelf.find("night.Night") is first
    assert getattr(Shelf(folder).find("night"), "mark", None) == 1


def test_files_of_one_name_in_two_folders_do_not_meet(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "night.py").write_text(rule("Night"))
        found.append(Shelf(folder).find("night"))
    assert found[0] is not found[1]
    assert len({sys.modules[each.__module__].__file__ for each in found}) == 2


def test_the_folder_is_not_on_the_path_and_gets_no_bytecode(write: Write) -> None:
    before = list(sys.path)
    folder = write(night=rule("Night"), day="import night\n" + rule("Day"))
    Shelf(folder).find("night")
    assert fault(folder, "day")[0].startswith("rules/day.py:1 cannot be loaded: ModuleNotFound")
    assert sys.path == before
    assert sorted(path.name for path in folder.iterdir()) == ["day.py", "night.py"]


def test_a_file_may_use_what_looks_its_own_module_up(write: Write) -> None:
    folder = write(
        night="""
        from __future__ import annotations
        from dataclasses import dataclass
        from gateway import Policy

        @dataclass
        class Hours:
            first: int

        class Night(Policy):
            class Settings(Policy.Settings):
                hours: Hours
            async def before(self, call): ...
        """
    )
    settings = Shelf(folder).find("night").Settings.model_validate({"hours": {"first": 7}})
    assert settings.hours.first == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef (", "rules/bad.py:2 cannot be loaded: SyntaxError: invalid syntax"),
        ("if x:\nreturn", "rules/bad.py:2 cannot be loaded: IndentationError: expected "),
        ("x = 1\n\n1 / 0", "rules/bad.py:3 cannot be loaded: ZeroDivisionError: division by zero"),
        ("def f():\n  raise KeyError('k')\nf()", "rules/bad.py:2 cannot be loaded: KeyError: 'k'"),
        ("import no_such_module", "rules/bad.py:1 cannot be loaded: ModuleNotFoundError: No modul"),
        ("import acme_bad", "rules/bad.py:1 cannot be loaded: SyntaxError: invalid syntax (acme_b"),
        ("exec('x = (')", "rules/bad.py:1 cannot be loaded: SyntaxError: "),
        ("# \x00", "rules/bad.py cannot be loaded: "),
    ],
)
def test_a_file_that_cannot_be_run_says_where_and_why(
    write: Write, site: Write, text: str, message: str
) -> None:
    site(acme_bad="x = 1\n" * 40 + "def (\n")
    says, fix = fault(write(bad=text), "bad")
    assert says.startswith(message)
    assert fix == "mend it there, or take the entry out"


def test_a_file_that_is_no_text_says_so(write: Write) -> None:
    folder = write()
    (folder / "bad.py").write_bytes("x = '값'\n".encode("cp949"))
    assert "cannot be loaded: SyntaxError: (unicode error) 'utf-8' codec" in fault(folder, "bad")[0]


def test_a_byte_order_mark_windows_line_ends_and_korean_are_fine(write: Write) -> None:
    folder = write()
    text = rule("Night").replace("\n", "\r\n") + '    """밤에는 쉽니다."""\r\n'
    (folder / "night.py").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert Shelf(folder).find("night").__name__ == "Night"


# ── installed ones ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("use", ["acme:Night", "acme.Night", "dusk"])
def test_an_installed_policy_is_found_by_dotted_path_and_entry_point(
    write: Write, site: Write, use: str
) -> None:
    site("dusk = acme:Night", acme=rule("Night"))
    found = Shelf(write()).find(use)
    assert (found.__module__, found.__name__) == ("acme", "Night")


def test_an_entry_point_may_have_a_dot_in_its_name(write: Write, site: Write) -> None:
    site("acme.night = acme:Night", acme=rule("Night") + rule("night"))
    assert Shelf(write()).find("acme.night").__name__ == "Night"


def test_what_the_folder_lacks_comes_from_the_shipped_one(write: Write, tmp_path: Path) -> None:
    ours = tmp_path / "shipped"
    ours.mkdir()
    (ours / "night.py").write_text(rule("Shipped"))
    (ours / "day.py").write_text(rule("Day"))
    shelf = Shelf(write(night=rule("Mine")), ours)
    assert shelf.find("night").__name__ == "Mine"
    assert shelf.find("day").__name__ == shelf.find("day.Day").__name__ == "Day"
    assert shelf.names() == ("day", "night")


def test_what_lies_in_the_folder_goes_before_what_is_installed(write: Write, site: Write) -> None:
    site("night = acme:Night", acme=rule("Night"))
    assert Shelf(write(night=rule("Mine"))).find("night").__name__ == "Mine"
    assert Shelf(write(acme=rule("Night"))).find("acme.Night").__module__ != "acme"
    assert Shelf(write(acme=rule("Night"))).find("acme:Night").__module__ == "acme"


@pytest.mark.parametrize(
    ("use", "message", "fix"),
    [
        ("acme:Nigth", "the module 'acme' has no 'Nigth'", "did you mean 'Night'?"),
        ("acme:NIGHTS", "'acme:NIGHTS' is not a policy", "name a class that inherits from "),
        ("acme.Policy", "'acme.Policy' is not a policy", "name a class that inherits from "),
        ("acme:Other", "'acme:Other' is not a policy", "name a class that inherits from "),
        ("three", "the entry point 'three' (acme:NIGHTS) is not a policy", "name a class that "),
        (
            "gone",
            "the entry point 'gone' (acme:Gone) cannot be loaded: AttributeError: ",
            "mend it there",
        ),
        (
            "acme_bad:Night",
            "the module 'acme_bad' cannot be loaded: SyntaxError: invalid syntax (acme_bad.py, l",
            "mend it there",
        ),
        (
            "acme_poor:Night",
            "the module 'acme_poor' cannot be loaded: ModuleNotFoundError: No module named 'no_s",
            "mend it there",
        ),
        ("acme_angry:Night", "the module 'acme_angry' cannot be loaded: OSError: no", "mend it "),
    ],
)
def test_an_installed_thing_that_cannot_be_used_says_why(
    write: Write, site: Write, use: str, message: str, fix: str
) -> None:
    site(
        "three = acme:NIGHTS\ngone = acme:Gone",
        acme=rule("Night") + "NIGHTS = 3\nclass Other: ...\n",
        acme_bad="def (",
        acme_poor="import no_such_module\n",
        acme_angry="raise OSError('no')\n",
    )
    says, mend = fault(write(), use)
    assert says.startswith(message)
    assert mend.startswith(fix)


@pytest.mark.parametrize(
    "use",
    ["", ":", ".", "night:", ":Night", "night..Night", ".night", "../night", "_night", "test_night",
     "conftest", "no_such:Thing", "no.such.Thing", "acme.no_such:Thing", "acme:a.b", "night/Night",
     "rules/night.py", "밤"],
)  # fmt: skip
def test_a_name_that_leads_nowhere_says_what_can_be_said(
    write: Write, site: Write, use: str
) -> None:
    site(acme=rule("Night"))
    folder = write(night=rule("Night"), _night=rule("N"), test_night=rule("N"), conftest=rule("N"))
    says, fix = fault(folder, use)
    assert says == f"no policy {use!r} in rules/, nor installed"
    assert fix.endswith(f" {FORMS}")
    assert "night" in fix


def test_a_slip_of_the_pen_is_guessed(write: Write, site: Write) -> None:
    site("twilight = acme:Night", acme=rule("Night"))
    folder = write(night=rule("Night"))
    assert fault(folder, "nigth")[1].startswith("did you mean 'night'? ")
    assert fault(folder, "twiligth")[1].startswith("did you mean 'twilight'? ")

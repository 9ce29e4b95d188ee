"""The chain of config/policies.yaml becomes policies, or messages that say what to type."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from gateway.adapters.policy_files import available, load
from gateway.domain.call import Call
from gateway.domain.document import ConfigError, Document
from gateway.domain.endpoints import CHAT
from gateway.domain.errors import Refusal
from gateway.domain.policy import Link, Tools, When
from gateway.settings.policies import PolicyEntry, read_policies

SHIPPED = Path(__file__).parents[2] / "policies"

NIGHT = """
    from gateway import Call, Policy, Refusal

    class Night(Policy):
        class Settings(Policy.Settings):
            hours: int
            '''hours of the night'''
            strict: bool = False

        settings: Settings

        async def before(self, call: Call) -> None:
            raise Refusal(f"closed for {self.settings.hours} h")
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes policy files into one folder: `write(night=source)`."""
    folder = tmp_path / "rules"
    folder.mkdir()

    def write(**files: str) -> Path:
        for stem, source in files.items():
            (folder / f"{stem}.py").write_text(dedent(source))
        return folder

    return write


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package with policies and entry points of its own."""
    site = tmp_path / "site"
    (site / "acme_rules-1.dist-info").mkdir(parents=True)
    (site / "acme_rules-1.dist-info" / "METADATA").write_text("Name: acme_rules\nVersion: 1\n")
    (site / "acme_rules-1.dist-info" / "entry_points.txt").write_text(
        "[gateway.policies]\nacme_night = acme_rules:Night\nacme_broken = acme_rules:Missing\n"
    )
    (site / "acme_rules.py").write_text(dedent(NIGHT) + "\nNIGHTS = 3\n")
    (site / "acme_broken.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(str(site))
    for name in ("acme_rules", "acme_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "acme_rules"


def entry(use: str, line: int = 7, **fields: Any) -> PolicyEntry:
    return PolicyEntry.model_validate({"use": use, "line": line, **fields})


def one(folder: Path, use: str, **fields: Any) -> Link:
    (link,) = load([entry(use, **fields)], folder, Tools.fixed())
    return link


def complaint(folder: Path, *entries: PolicyEntry) -> str:
    with pytest.raises(ConfigError) as refused:
        load(entries, folder, Tools.fixed())
    return str(refused.value)


async def test_a_file_is_a_policy_with_its_settings_and_its_place_in_the_chain(
    write: Write,
) -> None:
    when = {"models": ["qwen-*"], "teams": ["ide"], "paths": ["/v1/*"]}
    link = one(
        write(night=NIGHT),
        "night",
        settings={"hours": 8},
        when=when,
        on_error="skip",
        mode="shadow",
    )
    assert (link.name, link.on_error, link.mode, link.budget_s) == ("night", "skip", "shadow", 1.0)
    assert link.when == When(("qwen-*",), ("ide",), ("/v1/*",))
    assert link.policy.tools.log.name == "gateway.policies.night"
    with pytest.raises(Refusal, match="closed for 8 h"):
        await link.policy.before(Call("c", CHAT, "m", {}, 0.0, 60.0))


@pytest.mark.parametrize("use", ["night", "night.Night"])
def test_a_file_may_be_named_with_its_class_or_without(write: Write, use: str) -> None:
    assert type(one(write(night=NIGHT), use, settings={"hours": 1}).policy).__name__ == "Night"


@pytest.mark.parametrize("use", ["acme_rules:Night", "acme_rules.Night", "acme_night"])
def test_installed_policies_are_found_by_dotted_path_and_entry_point(
    write: Write, package: str, use: str
) -> None:
    link = one(write(), use, settings={"hours": 1})
    assert type(link.policy).__module__ == package


def test_a_file_goes_before_an_entry_point_of_its_name(write: Write, package: str) -> None:
    link = one(write(acme_night=NIGHT), "acme_night", settings={"hours": 1})
    assert type(link.policy).__module__.startswith("gateway_policy_acme_night_")


def test_available_names_are_files_and_entry_points(write: Write, package: str) -> None:
    folder = write(night=NIGHT, _private="", test_night="", conftest="")
    assert available(folder) == ("acme_broken", "acme_night", "night")
    assert "night" not in available(folder / "nowhere")


def test_a_policy_that_is_used_twice_has_two_names(write: Write) -> None:
    entries = [entry("night", settings={"hours": hours}) for hours in (1, 2)]
    links = load(entries, write(night=NIGHT), Tools.fixed())
    assert [link.name for link in links] == ["night", "night#2"]
    assert links[0].policy is not links[1].policy


def test_a_log_of_its_own_hangs_below_the_log_that_was_given(write: Write) -> None:
    tools = Tools(now=lambda: 0.0, random=lambda: 0.0, log=logging.getLogger("mine"))
    (link,) = load([entry("night", settings={"hours": 1})], write(night=NIGHT), tools)
    assert link.policy.tools.log.name == "mine.night"


def test_an_edited_file_is_read_anew_and_nothing_is_left_on_the_path(write: Write) -> None:
    path_before = list(sys.path)
    folder = write(night=NIGHT)
    before = one(folder, "night", settings={"hours": 1}).policy
    write(night=NIGHT.replace("closed", "closes"))
    after = one(folder, "night", settings={"hours": 1}).policy
    assert type(before) is not type(after)
    assert sys.path == path_before
    assert [path.name for path in folder.iterdir()] == ["night.py"], "no bytecode beside it"


def test_everything_that_is_wrong_is_told_at_once_with_its_line(write: Write) -> None:
    folder = write(night=NIGHT)
    said = complaint(folder, entry("nigth", line=3), entry("night", line=9))
    assert "config/policies.yaml:3: no policy 'nigth' in rules/, nor installed" in said
    assert "did you mean 'night'?" in said
    assert "config/policies.yaml:9: night: with.hours is missing" in said
    assert "fix: hours: hours of the night" in said


def test_lines_are_those_of_the_file(write: Write) -> None:
    text = "policies:\n  - use: night\n    with: {hours: 1}\n  - use: day\n"
    entries, _ = read_policies(Document("conf/policies.yaml", text))
    with pytest.raises(ConfigError, match=r"conf/policies\.yaml:4: no policy 'day'"):
        load(entries, write(night=NIGHT), Tools.fixed(), file="conf/policies.yaml")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"hours": 1, "stritc": True}, "unknown key 'with.stritc'\n    fix: did you mean 'strict'"),
        ({"hours": "many"}, "with.hours: Input should be a valid integer"),
        ({"hours": 1, "strict": "maybe"}, "with.strict: Input should be a valid boolean"),
    ],
)
def test_wrong_settings_say_which_and_how(
    write: Write, settings: dict[str, object], says: str
) -> None:
    assert says in complaint(write(night=NIGHT), entry("night", settings=settings))


def test_values_of_settings_are_not_quoted_for_they_may_be_secret(write: Write) -> None:
    settings = {"hours": "hunter2"}
    assert "hunter2" not in complaint(write(night=NIGHT), entry("night", settings=settings))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def (", "rules/bad.py:1 cannot be loaded: SyntaxError"),
        ("\nimport no_such_module", "rules/bad.py:2 cannot be loaded: ModuleNotFoundError"),
        ("x = 1\n1 / 0", "rules/bad.py:2 cannot be loaded: ZeroDivisionError"),
        ("from gateway import Policy", "rules/bad.py has no policy"),
        (
            """
            from gateway import Policy
            class A(Policy):
                async def before(self, call): ...
            class B(A): ...
            """,
            "rules/bad.py has 2 policies\n    fix: say which: `use: bad.A` or `use: bad.B`",
        ),
        (
            """
            from gateway import Policy
            class A(Policy):
                async def befor(self, call): ...
            """,
            "A has none of before, during, after: it would do nothing",
        ),
        (
            """
            from gateway import Policy
            class A(Policy):
                def before(self, call): ...
            """,
            "A.before does not say async\n    fix: write `async def before(self, …)`",
        ),
        (
            """
            from gateway import Policy
            class A(Policy):
                window = -1
                async def during(self, call, delta): return delta
            """,
            "window must be a whole number from 0, not -1",
        ),
        (
            """
            from gateway import Policy
            class A(Policy):
                def __init__(self, settings, tools): raise OSError("no list")
                async def before(self, call): ...
            """,
            "bad cannot be built: OSError: no list",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why(write: Write, source: str, says: str) -> None:
    assert says in complaint(write(bad=source), entry("bad"))


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("night.Nigth", "rules/night.py has no policy 'Nigth'\n    fix: did you mean 'Night'?"),
        ("../night", "no policy '../night'"),
        ("_night", "no policy '_night'"),
        ("no.such.Thing", "no policy 'no.such.Thing'"),
        ("acme_rules:Nigth", "the module 'acme_rules' has no 'Nigth'\n    fix: did you mean"),
        ("acme_rules:NIGHTS", "'acme_rules:NIGHTS' is not a policy"),
        ("acme_rules.Policy", "'acme_rules.Policy' is not a policy"),
        ("acme_broken:Any", "cannot be loaded: ModuleNotFoundError: No module named 'no_such"),
        ("acme_broken", "the entry point 'acme_broken' (acme_rules:Missing) cannot be loaded"),
        (":", "no policy ':'"),
        ("night..", "no policy 'night..'"),
        (".night", "no policy '.night'"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_there_is(
    write: Write, package: str, use: str, says: str
) -> None:
    assert says in complaint(write(night=NIGHT), entry(use))


@pytest.mark.parametrize(
    ("use", "settings"),
    [
        ("allowlist", {"models": ["qwen-*"]}),
        ("schema", {"max_messages": 100}),
        ("guard_output", {"patterns": {"aws_key": "AKIA[0-9A-Z]{16}"}}),
        ("ratelimit", {"rules": [{"per": "key", "requests": 60}]}),
        ("concurrency", {"rules": [{"per": "team", "calls": 4}]}),
        ("budget", {"rules": [{"per": ["team", "model"], "tokens": 1000}]}),
        ("audit", {"outcomes": ["refused"]}),
        ("redaction", {"detectors": ["secrets", "pii"]}),
        ("injection", {"threshold": 2.0}),
    ],
)
def test_every_shipped_policy_can_be_used_by_its_name(use: str, settings: dict[str, Any]) -> None:
    assert one(SHIPPED, use, settings=settings).name == use


def test_no_shipped_policy_is_left_out_of_the_test_above() -> None:
    shipped = {path.stem for path in SHIPPED.glob("*.py")}
    assert shipped == {
        *("allowlist", "schema", "guard_output"),
        *("ratelimit", "concurrency", "budget", "audit"),
        *("redaction", "injection"),
    }


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rules": [{"per": "key", "requets": 1}]}, "did you mean 'requests'?"),
        ({"ruels": []}, "did you mean 'rules'?"),
        ({"rules": [{"per": "kee", "requests": 1}]}, "key, team, model, user, or several"),
        ({"rules": [{"per": "key", "requests": "many"}]}, "must be a number from 0"),
        ({"rules": [{"per": "key", "requests": {"ide": 1}}]}, "add `default:`"),
        ({"rules": [{"per": "key", "requests": 1}] * 2}, "make them one"),
        ({"rules": [{"per": "key"}]}, "say `requests:`"),
    ],
)
def test_a_slip_deep_in_the_settings_says_what_was_meant(settings: Any, says: str) -> None:
    assert says in complaint(SHIPPED, entry("ratelimit", settings=settings))


def test_a_policy_may_be_given_another_time_and_knows_its_name(write: Write) -> None:
    folder = write(night=NIGHT)
    link = one(folder, "night", settings={"hours": 8}, budget_ms=20)
    assert (link.budget_s, link.policy.tools.name) == (0.02, "night")

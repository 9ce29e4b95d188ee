"""Screening: denied paths stay out, secrets are taken out, and both are told."""

from __future__ import annotations

import pytest

from gateway.domain import source
from gateway.domain.material import NO_FILE, Diagnostic, Material, Related, Rule, Turn
from gateway.domain.screening import DeniedPath, Screen, SecretFound
from gateway.domain.secret_scan import REMOVED, restore

KEY = "ghp_" + "a1" * 18


def material(content: str = "x = 1\n", path: str = "src/a.py", **more: object) -> Material:
    file = source.read(path, content)
    return Material(file, file.whole, "go", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    [".env", "deploy/.env.local", "a/KEY.PEM", "/etc/tls/a.key", ".ssh/config", "id_rsa", ".aws/x"],
)
def test_files_that_hold_keys_are_denied_wherever_they_are(path: str) -> None:
    sent = Screen()(material(related=(Related(path, "secret\n"),))).material.related[0]
    assert sent.refused.startswith("denied by ")
    assert sent.content == ""


@pytest.mark.parametrize("path", [".env.example", "src/keys.py", "environment.py", "id_rsa.md"])
def test_other_files_are_not(path: str) -> None:
    assert Screen().pattern(path) is None


def test_an_operator_has_the_last_word_on_paths() -> None:
    screen = Screen(("secret/", "", "!secret/open.py", "*.sql"))
    assert screen.pattern("db/dump.sql") == "*.sql"
    assert screen.pattern("secret/a.py") == "secret/"
    assert screen.pattern(".env") is None


def test_the_file_itself_must_not_be_denied() -> None:
    with pytest.raises(DeniedPath, match=r"a\.pem .* '\*\.pem' is denied") as caught:
        Screen()(material(path="tls/a.pem"))
    assert (caught.value.status, caught.value.param) == (403, "file.path")


def test_secrets_of_the_file_get_names_that_can_be_undone() -> None:
    screened = Screen()(material(f"a = '{KEY}'\nb = 2\n"))
    found = screened.material
    assert KEY not in found.text + found.selected
    assert restore(found.text, found.secrets) == f"a = '{KEY}'\nb = 2\n"
    assert found.file.content == f"a = '{KEY}'\nb = 2\n".encode(), "the bytes on disk stay"
    assert screened.found == {"GitHub token": 1}


def test_secrets_are_taken_out_of_everything_else_that_is_shown() -> None:
    found = Screen()(
        material(
            related=(Related("b.py", KEY),),
            rules=(Rule("AGENTS.md", KEY),),
            diagnostics=(Diagnostic(0, "error", KEY),),
            conversation=(Turn("user", KEY),),
        )
    ).material
    assert (found.related[0].content, found.related[0].redacted) == (REMOVED, 1)
    assert (found.rules[0].content, found.rules[0].redacted) == (REMOVED, 1)
    assert found.diagnostics[0].message == found.conversation[0].content == REMOVED


def test_where_secrets_are_refused_the_files_with_one_stay_out() -> None:
    screen = Screen(secrets="refuse")
    found = screen(material(related=(Related("b.py", KEY),))).material.related[0]
    assert found.refused == "it holds what looks like a secret: GitHub token"
    with pytest.raises(SecretFound, match="Move it out"):
        screen(material(KEY))


def test_where_secrets_are_allowed_nothing_is_changed() -> None:
    sent = material(KEY, related=(Related("b.py", KEY),))
    assert Screen(secrets="allow")(sent).material == sent


def test_a_diff_is_held_to_the_paths_inside_it() -> None:
    diff = source.read("change.diff", "+A=1\n", language="diff")
    for path in ("conf/.env", "keys/server.pem"):
        change = Material(diff, diff.whole, "", touched=("a.py", path))
        with pytest.raises(DeniedPath) as caught:
            Screen()(change)
        assert caught.value.param == "diff"
        assert f"git diff --staged -- . ':!{path}'" in caught.value.public
    fine = Material(diff, diff.whole, "", touched=("a.py",))
    assert Screen()(fine).material.touched == ("a.py",)


def test_without_a_file_the_rest_is_screened() -> None:
    sent = Material(NO_FILE, NO_FILE.whole, f"why {KEY}?", related=(Related(".env", "A=1\n"),))
    found = Screen()(sent).material
    assert KEY not in found.instruction
    assert found.related[0].refused


def test_a_secret_in_a_diff_is_refused_as_one_of_the_diff() -> None:
    diff = f"--- a/x.py\n+++ b/x.py\n@@ -0,0 +1 @@\n+key = '{KEY}'\n"
    file = source.read("change.diff", diff)
    with pytest.raises(SecretFound) as caught:
        Screen(secrets="refuse")(Material(file, file.whole, "", touched=("x.py",)))
    assert caught.value.param == "diff"

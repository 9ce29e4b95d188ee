"""Secrets: found by their looks, taken out line for line, put back where that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.secret_scan import PLACEHOLDER, REMOVED, clean, restore

# Put together here, so that no scanner of this repository takes them for real ones.
KEYS = {
    "AWS access key": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub token": "ghp_" + "a1" * 18,
    "GitLab token": "glpat-" + "a1" * 10,
    "Slack token": "xoxb-" + "1234567890-abc",
    "Slack webhook": "https://hooks.slack.com/services/" + "T000/B000/" + "a" * 24,
    "Google key": "AIza" + "a1_-Z" * 7,
    "Hugging Face token": "hf_" + "aB3" * 11,
    "OpenAI or gateway key": "sk-" + "proj-" + "a1B2" * 8,
    "Stripe key": "sk_live_" + "a1" * 12,
    "npm token": "npm_" + "a1" * 18,
    "PyPI token": "pypi-AgEI" + "a1" * 25,
    "signed web token": "eyJ" + "hbGciOiJIUzI1" + "." + "eyJ" + "zdWIiOiIxMjM0" + ".c2lnbmF0dXJl",
}
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIabc\ndef\n-----END RSA " + "PRIVATE KEY-----\n"


@pytest.mark.parametrize(("kind", "key"), KEYS.items())
def test_each_kind_of_key_is_found_and_nothing_around_it_is_lost(kind: str, key: str) -> None:
    found = clean(f'a = 1\nkey = "{key}"  # ours\nb = 2\n')
    assert found.text == f'a = 1\nkey = "{REMOVED}"  # ours\nb = 2\n'
    assert found.count == 1
    assert kind in found.found or "assigned secret" in found.found


def test_a_password_in_an_address_and_one_that_is_assigned_are_found() -> None:
    address = "postgres://bob:" + "hunter22@db/x"
    assert clean(address).text == f"postgres://bob:{REMOVED}@db/x"
    assigned = 'api_key: "' + "abcdefghij" * 2 + '12345"'
    assert clean(assigned).text == f'api_key: "{REMOVED}"'


@pytest.mark.parametrize(
    "text",
    [
        "password = getpass()",
        "token = os.environ['TOKEN']",
        'secret = "change-me"',
        "url = 'https://example.org:8080/a'",
        "url = f'postgres://{user}:{password}@{host}/x'",
        "sha = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "sk-learn and task-force-one-two-three",
        "-----BEGIN PUBLIC KEY-----\nMIIabc\n-----END PUBLIC KEY-----\n",
        "class AKIA: ...",
    ],
)
def test_what_only_reminds_of_a_secret_stays(text: str) -> None:
    assert clean(text).text == text


def test_a_private_key_goes_and_its_lines_stay_counted() -> None:
    text = f"a\n{PEM}b\n"
    found = clean(text)
    assert found.text == f"a\n{REMOVED}\n{REMOVED}\n{REMOVED}\n{REMOVED}\nb\n"
    assert found.found == {"private key": 4}


def test_placeholders_can_be_undone() -> None:
    key = KEYS["GitHub token"]
    text = f"x = '{key}'\ny = '{key}'\n{PEM}"
    found = clean(text, reversible=True)
    assert key not in found.text
    assert found.text.count(f"{PLACEHOLDER}0001_") == 2, "one secret has one name"
    assert restore(found.text, found.kept) == text


def test_a_placeholder_is_never_a_text_that_is_there_already() -> None:
    text = f"{PLACEHOLDER}0001_ = '{KEYS['npm token']}'\n"
    found = clean(text, reversible=True)
    assert restore(found.text, found.kept) == text


def test_what_was_found_does_not_show_in_a_repr() -> None:
    found = clean(f"'{KEYS['npm token']}'", reversible=True)
    assert KEYS["npm token"] not in repr(found)


pieces = st.lists(st.sampled_from([*KEYS.values(), PEM, "\n", "x = '", "'", " ", "\r\n", "값"]))


@given(pieces.map("".join))
def test_any_text_comes_back_and_keeps_its_lines(text: str) -> None:
    found = clean(text, reversible=True)
    assert restore(found.text, found.kept) == text
    assert found.text.count("\n") == text.count("\n") == clean(text).text.count("\n")


def test_the_text_is_not_searched_once_more_for_each_secret_of_many() -> None:
    searches: list[str] = []

    class Searched(str):
        def __contains__(self, part: str) -> bool:
            searches.append(part)
            return super().__contains__(part)

    keys = "".join(f"ghp_{at:036}\n" for at in range(300))
    found = clean(Searched(keys), reversible=True)
    assert len(found.kept) == 300
    assert len(searches) < 50
    assert restore(found.text, found.kept) == keys


def test_a_placeholder_that_nobody_made_stays_when_others_are_put_back() -> None:
    text = "SECRET_REMOVED_X0001_ SECRET_REMOVED_0001_ SECRET_REMOVED_0002_ SECRET_REMOVED_"
    kept = {"SECRET_REMOVED_0001_": "SECRET_REMOVED_0002_", "SECRET_REMOVED_X0001_": "b"}
    assert restore(text, kept) == "b SECRET_REMOVED_0002_ SECRET_REMOVED_0002_ SECRET_REMOVED_"

"""What stands for a secret in a call: the same each time, never what a client has written."""

from __future__ import annotations

import json

from gateway.domain.vault import Vault


def test_a_secret_has_one_placeholder_and_comes_back() -> None:
    vault = Vault(["no placeholder here"])
    first, other = vault.place("one"), vault.place("two")
    assert (vault.place("one"), len(vault)) == (first, 2)
    assert first != other
    assert vault.restore(f"a {first}, b {other}, c {first}") == "a one, b two, c one"


def test_what_the_client_wrote_itself_stands_for_nothing() -> None:
    mine = ["SECRET_REMOVED_0001_", "and SECRET_REMOVED_XX0001_"]
    vault = Vault(mine)
    mark = vault.place("one")
    assert all(mark not in text and text not in mark for text in mine)
    assert [vault.restore(text) for text in mine] == mine


def test_a_placeholder_of_somebody_else_stands_for_itself() -> None:
    vault = Vault()
    assert vault.place("SECRET_REMOVED_0007_") == "SECRET_REMOVED_0007_"
    assert len(vault) == 0


def test_in_json_it_comes_back_with_escapes() -> None:
    vault = Vault()
    mark = vault.place('a "b"\\c\n')
    assert json.loads(vault.restore(f'{{"k": "{mark}"}}', json=True)) == {"k": 'a "b"\\c\n'}


def test_a_placeholder_waits_until_it_is_whole() -> None:
    vault = Vault()
    mark = vault.place("one")
    for cut in range(1, len(mark)):
        assert vault.settled("to " + mark[:cut], 3 + cut) == 3
    assert vault.settled(f"to {mark}", 3 + len(mark)) == 3 + len(mark)
    assert vault.settled("to SECRETARY", 12) == 12


def test_a_place_inside_a_placeholder_is_before_it() -> None:
    vault = Vault()
    mark = vault.place("one")
    assert vault.settled(f"to {mark} and on", 10) == 3


def test_where_nothing_was_taken_nothing_waits() -> None:
    assert Vault().settled("to SECRET", 9) == 9


def test_a_repr_has_nothing_of_the_secrets() -> None:
    vault = Vault()
    vault.place("one")
    assert repr(vault) == "Vault(1 secrets)"

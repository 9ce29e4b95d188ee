"""Where state is kept: the folder's own database unless another is named."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from gateway.settings.state import State


def test_without_folder_and_url_nothing_is_kept() -> None:
    assert State().url is None


def test_a_folder_alone_has_the_database_in_it(tmp_path: Path) -> None:
    url = State(folder=tmp_path).url
    assert url is not None
    assert url.get_secret_value() == f"sqlite:///{tmp_path}/gateway.db"


def test_a_url_goes_before_the_folder(tmp_path: Path) -> None:
    url = SecretStr("postgresql://db/gateway")
    assert State(folder=tmp_path, database_url=url).url == url

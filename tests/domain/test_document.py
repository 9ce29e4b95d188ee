"""YAML files that remember their lines."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.domain.document import ConfigError, Document, Problem, did_you_mean

TEXT = "server:\n  host: here\n  ports:\n    - 1\n    - 2\nlast: no\n"


def test_values_are_plain_and_yaml_1_2() -> None:
    assert Document("f", TEXT).data == {
        "server": {"host": "here", "ports": [1, 2]},
        "last": "no",
    }


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 0),
        (("server",), 1),
        (("server", "host"), 2),
        (("server", "ports", 1), 5),
        (("server", "absent"), 1),
        (("absent",), 0),
    ],
)
def test_the_line_of_a_key_an_item_or_the_nearest_parent(
    path: tuple[str | int, ...], line: int
) -> None:
    assert Document("f", TEXT).line(path) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1", 1),
        ("a: 1\na: 2", 2),
        ("a:\n\t- b", 2),
        ("a: b: c", 1),
        ("a:\n  - {b: 2027-13-01}", 2),
        ("a: 1\nb:\n  c: 2027-02-30T25:00:00Z", 3),
    ],
)
def test_text_that_is_not_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        Document("f.yaml", text)
    assert (caught.value.problems[0].file, caught.value.problems[0].line) == ("f.yaml", line)


def test_pydantics_findings_get_their_line_and_what_was_meant() -> None:
    class Shape(BaseModel):
        model_config = ConfigDict(extra="forbid")
        port: int = 1

    document = Document("f", "x: 1\nprot: 2\nport: many\n")
    with pytest.raises(ValidationError) as caught:
        Shape.model_validate(document.data)
    found = {p.line: p for p in document.problems(caught.value, Shape.model_fields)}
    assert "did you mean 'port'?" in found[2].fix
    assert "port" in found[3].message


def test_a_problem_reads_as_file_line_message_and_fix() -> None:
    assert str(Problem("f", 3, "wrong", "right")) == "f:3: wrong\n    fix: right"
    assert str(Problem("f", 0, "wrong")) == "f: wrong"


def test_a_config_error_names_something() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ConfigError([])


def test_without_anything_close_what_is_known_is_listed() -> None:
    assert did_you_mean("zzz", ["port", "host"]) == "known here: host, port"

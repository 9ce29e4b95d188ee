"""What a model said becomes a result: of a rewrite with what it makes of the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.client import Completion
from gateway.domain import source
from gateway.domain.material import Material, Related
from gateway.domain.metric import Metric
from gateway.domain.new_file import NewFile
from gateway.domain.review import Review
from gateway.flow.job import Job
from gateway.flow.reading import Reading, Spoken, growing_of
from gateway.flow.revision import Revision
from gateway.flow.task import Question, Task
from tests.flow.house import House
from tests.flow.test_assist import SHIPPED, a_job, assist, task, whole

CLOSED = "</rewritten>"


class Counts:
    """A syntax that finds as many errors as a text has question marks."""

    def count(self, language: str, text: str) -> int | None:
        return text.count("?")


async def walked(action: Any, asked: Task, said: str) -> Job:
    """A job whose context is there, as after an answer."""
    job = a_job(action, asked)
    await assist(House([whole(said, stop_reason=CLOSED)])).answer(job)
    return job


def completion(text: str) -> Completion:
    return Completion(text, "stop", "m", "r0", 1, None, CLOSED)


async def test_an_explanation_makes_nothing_of_the_file() -> None:
    file = source.read("a.py", "x = 1\n")
    asked = Task(Question(Material(file, file.whole, "why?"), "code/explain"))
    job = await walked("explain", asked, "So.")
    reading = Reading(House([]).pipeline, SHIPPED, None)
    found = await reading.read(job, completion("So."))
    assert (found, found.problem) == (Spoken("So."), "")
    assert (await reading.result(job, completion("So."), found))["explanation"] == "So."
    assert growing_of(job) is None


async def test_a_rewrite_that_no_longer_parses_is_asked_for_again_only_where_that_is_wanted() -> (
    None
):
    for repairs in (False, True):
        job = await walked("rewrite", task(repairs=repairs), "x = 3\n")
        reading = Reading(House([]).pipeline, SHIPPED, Counts())
        said = completion("x = ?\n")
        revision = await reading.read(job, said)
        assert isinstance(revision, Revision)
        assert revision.syntax == "worse"
        assert reading.repairs(job, said, revision) is repairs
        fine = await reading.read(job, completion("x = 3\n"))
        assert not reading.repairs(job, said, fine)
        assert growing_of(job) is not None


async def test_each_kind_of_answer_is_read_as_what_it_is() -> None:
    house = House([])
    for action, said, kind in (("review", "{}", Review), ("tests", "x = 1\n", NewFile)):
        job = await walked(action, task(action), said)
        found = await Reading(house.pipeline, SHIPPED, None).read(job, completion(said))
        assert isinstance(found, kind)


async def test_a_new_file_does_not_take_the_path_of_one_that_was_sent() -> None:
    file = source.read("a.py", "x = 1\n")
    related = (Related("tests/test_a.py", "y = 1\n"),)
    question = Question(Material(file, file.whole, "", related=related), "code/tests")
    result = await assist(House([whole("x = 1\n", stop_reason="</tests>")])).answer(
        a_job("tests", Task(question))
    )
    assert result["path"] == "tests/test_a_2.py"


async def test_a_new_file_that_does_not_parse_is_asked_for_again() -> None:
    job = await walked("tests", task("tests", repairs=True), "x = 1\n")
    said = Completion("x = ?\n", "stop", "m", "r0", 1, None, "</tests>")
    reading = Reading(House([]).pipeline, SHIPPED, Counts())
    found = await reading.read(job, said)
    assert isinstance(found, NewFile)
    assert (found.status, found.syntax) == ("created", "worse")
    assert reading.repairs(job, said, found)
    job.task = replace(job.task, syntax_check=False)
    found = await reading.read(job, said)
    assert isinstance(found, NewFile)
    assert found.syntax == "unknown"


async def test_a_new_file_in_another_language_is_parsed_as_that() -> None:
    asked: list[str] = []

    class Heard(Counts):
        def count(self, language: str, text: str) -> int | None:
            asked.append(language)
            return super().count(language, text)

    said = Completion("x = 1\n", "stop", "m", "r0", 1, None, "</tests>")
    for path in ("tests/a.test.ts", "tests/test_a.py", "tests/a"):
        job = await walked("tests", task("tests", target_path=path), "x = 1\n")
        await Reading(House([]).pipeline, SHIPPED, Heard()).read(job, said)
    assert asked == ["typescript", "python", "plaintext"]


@pytest.mark.parametrize(
    ("text", "result"),
    [("x = 3\n", "applies"), (None, "empty"), ("I cannot do that.", "malformed")],
)
async def test_what_became_of_a_rewrite_is_counted_by_the_text_of_its_prompt(
    text: str | None, result: str
) -> None:
    counted: list[tuple[str, ...]] = []

    def count(metric: Metric, *labels: str) -> None:
        counted.append((metric.name, *labels))

    job = await walked("rewrite", task(), "x = 3\n")
    text = job.task.question.material.selected if text is None else text
    reading = Reading(House([]).pipeline, SHIPPED, None, count)
    closed = CLOSED if result != "malformed" else None
    said = Completion(text, "stop", "m", "r0", 1, None, closed)
    await reading.result(job, said, await reading.read(job, said))
    assert job.call.prompt is not None
    assert counted == [("gw_rewrite_diff_total", job.call.prompt.text, result)]

"""From material to messages that fit: what is counted, what is cut, and what is said about it."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.prompts import PromptFiles, load
from gateway.domain import source
from gateway.domain.budget import ContextTooLarge
from gateway.domain.candidates import MOST_STRINGS
from gateway.domain.context import SHRINKS
from gateway.domain.errors import PromptInputError, UnknownPrompt
from gateway.domain.material import Diagnostic, Material, Related, Rule, Turn
from gateway.domain.ports import Counted
from gateway.domain.prompt import Rendered
from gateway.domain.screening import Screen
from gateway.domain.source import Position, Selection
from gateway.domain.step import Step
from gateway.domain.structure import Definition, Structure
from gateway.flow.context import Context, ContextBuilder, Reserve, messages_of
from gateway.flow.sessions import Sessions
from gateway.flow.survey import Surveyor
from gateway.flow.task import Question
from gateway.testing.fakes import FakeSyntax, FakeTokens

SHIPPED = load(Path(__file__).parents[2] / "prompts")
REWRITE, EXPLAIN = "code/rewrite", "code/explain"


def material(rows: int = 20, first: int = 9, last: int = 11, **more: Any) -> Material:
    """A file of numbered lines, some of them selected."""
    content = "".join(f"line_{number} = {number}\n" for number in range(rows))
    file = source.read("src/a.py", content)
    span = file.span(Selection(Position(first, 0), Position(last, 0)))
    return Material(file, span, more.pop("instruction", "make it fast"), **more)


def builder(prompts: PromptFiles, tokens: FakeTokens) -> ContextBuilder:
    return ContextBuilder(prompts, tokens, Surveyor(FakeSyntax(), Screen()), Sessions())


async def build(
    sent: Material,
    tokens: FakeTokens,
    *,
    prompt: str = REWRITE,
    prompts: PromptFiles = SHIPPED,
    reserve: int | Reserve = 100,
) -> Context:
    keep = reserve if callable(reserve) else lambda window, selection: reserve
    question = Question(sent, prompt, answer_language="ko" if prompt == EXPLAIN else "")
    return await builder(prompts, tokens).build(question, "m", keep)


async def test_choosing_and_rendering_are_steps_with_numbers_of_them() -> None:
    steps: list[Step] = []
    ticks = itertools.count()
    room = ContextBuilder(
        *(SHIPPED, FakeTokens(), Surveyor(FakeSyntax(), Screen()), Sessions()),
        clock=lambda: float(next(ticks)),
    )
    question = Question(material(), EXPLAIN)
    context = await room.build(question, "m", lambda window, selection: 100, "ide", steps.append)
    chosen, rendered = steps
    assert (chosen.name, chosen.began, chosen.ended) == ("context.build", 0.0, 1.0)
    assert chosen.facts == {
        "gen_ai.prompt.name": EXPLAIN,
        "gw.context.window": context.fitted.budget.window,
        "gw.context.reserve": 100,
        "gw.context.parts": len(context.fitted.parts),
    }
    assert (rendered.name, rendered.began) == (f"render_prompt {EXPLAIN}", 2.0)
    assert rendered.facts == {
        "gen_ai.prompt.name": EXPLAIN,
        "gw.context.tokens": context.fitted.used,
        "gw.context.exact": context.exact,
        "gw.context.cut": 0,
    }


async def test_what_finds_no_room_is_counted_and_what_does_not_fit_is_named() -> None:
    steps: list[Step] = []
    sent = material(400, first=200, last=201)
    room = builder(SHIPPED, FakeTokens(window=600))
    await room.build(Question(sent, EXPLAIN), "m", lambda w, s: 100, told=steps.append)
    assert int(steps[1].facts["gw.context.cut"]) > 0
    with pytest.raises(ContextTooLarge):
        await room.build(Question(sent, EXPLAIN), "m", lambda w, s: 599, told=steps.append)
    assert steps[2].error == ContextTooLarge.code


def text_of(context: Context) -> str:
    return context.rendered.messages[-1]["content"]


def states(context: Context) -> dict[str, str]:
    return {entry.id: entry.state for entry in context.fitted.report().items}


async def test_what_fits_goes_in_whole_and_is_counted_exactly() -> None:
    tokens = FakeTokens()
    context = await build(material(), tokens)
    text = text_of(context)
    assert "line_0 = 0\n" in text
    assert "<selected>\nline_9 = 9\nline_10 = 10\n</selected>\nline_11 = 11\n" in text
    assert "make it fast" in text
    report = context.fitted.report()
    assert (report.window, report.reserved_output) == (4096, 100)
    assert set(states(context).values()) == {"included"}
    assert context.exact
    counted = await tokens.count_messages("m", messages_of(context.rendered))
    assert report.used == sum(entry.tokens for entry in report.items) == counted.tokens


async def test_the_reserve_is_made_of_the_window_and_the_tokens_of_the_selection() -> None:
    asked: list[tuple[int, int]] = []

    def reserve(window: int, selection: int) -> int:
        asked.append((window, selection))
        return 321

    context = await build(material(), FakeTokens(2000), reserve=reserve)
    selected = "line_9 = 9\nline_10 = 10\n"
    assert asked == [(2000, -(-len(selected) // 4))]
    assert context.fitted.report().reserved_output == 321


async def test_a_small_window_gets_the_lines_next_to_the_selection_and_says_what_is_left_out() -> (
    None
):
    context = await build(material(rows=400, first=200, last=201), FakeTokens(600))
    text = text_of(context)
    assert "line_199 = 199\n<selected>\nline_200 = 200\n</selected>\nline_201 = 201\n" in text
    assert "lines not shown ...]" in text
    assert "line_0 = 0\n" not in text
    assert {states(context)["before"], states(context)["after"]} == {"trimmed"}
    assert context.fitted.report().used <= 500


async def test_a_template_that_costs_more_than_its_parts_shrinks_the_context_until_it_fits() -> (
    None
):
    dear, cheap = FakeTokens(900, dearer=1.6), FakeTokens(900)
    sent = material(rows=400, first=200, last=201)
    context = await build(sent, dear)
    assert len(dear.messages) > 2, "it did not fit at once"
    assert context.fitted.report().used <= 800
    counted = await dear.count_messages("m", messages_of(context.rendered))
    assert counted.tokens == context.fitted.report().used
    assert len(text_of(context)) < len(text_of(await build(sent, cheap)))


@pytest.mark.parametrize("size", ["selection", "instruction"])
async def test_what_must_go_in_and_does_not_is_a_413_with_the_numbers(size: str) -> None:
    sent = material(rows=500, first=0, last=500) if size == "selection" else None
    tokens = FakeTokens(700)
    with pytest.raises(ContextTooLarge) as caught:
        await build(sent or material(instruction="x" * 3000), tokens)
    assert (caught.value.status, caught.value.code) == (413, "context_too_large")
    assert caught.value.needed > caught.value.available == 600
    assert str(caught.value.needed) in caught.value.public
    assert size in caught.value.public


async def test_a_window_smaller_than_the_reserve_is_a_413() -> None:
    with pytest.raises(ContextTooLarge):
        await build(material(), FakeTokens(80), reserve=256)


async def test_a_count_that_stays_over_gives_up_after_a_few_tries() -> None:
    class Growing(FakeTokens):
        """A template for which nothing is ever little enough."""

        async def count_messages(
            self, model: str, messages: Sequence[Mapping[str, str]], *, continue_final: bool = False
        ) -> Counted:
            counted = await super().count_messages(model, messages, continue_final=continue_final)
            return counted if len(self.messages) == 1 else Counted(5000, exact=True)

    tokens = Growing(4096)
    with pytest.raises(ContextTooLarge) as caught:
        await build(material(), tokens)
    assert caught.value.needed > caught.value.available
    assert 2 <= len(tokens.messages) <= SHRINKS + 2


async def test_however_much_is_sent_the_texts_counted_at_once_are_bounded() -> None:
    sent = material(
        rows=20_000,
        first=9000,
        last=9040,
        related=tuple(Related(f"r{n}.py", f"x = {n}\n" * 50) for n in range(64)),
        rules=tuple(Rule(f"d{n}/AGENTS.md", "Be brief.\n") for n in range(64)),
        diagnostics=tuple(Diagnostic(n, "error", "wrong") for n in range(1000)),
        conversation=tuple(Turn("user", f"say {n}") for n in range(1000)),
    )
    tokens = FakeTokens(32_768)
    await build(sent, tokens)
    selected, all_of_it, cut = map(len, tokens.texts)
    assert (selected, cut) == (1, 2), "what was cut within a text is counted once more"
    assert all_of_it <= MOST_STRINGS
    assert len(tokens.messages) <= SHRINKS + 2


async def test_a_prefill_is_counted_as_the_open_beginning_of_the_answer() -> None:
    tokens = FakeTokens()
    context = await build(material(), tokens)
    assert set(tokens.left_open) == {True}
    assert tokens.messages[-1][-1] == {"role": "assistant", "content": "<rewritten>\n"}
    assert messages_of(context.rendered)[-1]["role"] == "assistant"


async def test_without_a_prefill_the_prompt_is_closed() -> None:
    tokens = FakeTokens()
    context = await build(material(), tokens, prompt=EXPLAIN)
    assert set(tokens.left_open) == {False}
    assert messages_of(context.rendered)[-1]["role"] == "user"


def test_the_messages_to_send_are_copies() -> None:
    rendered = Rendered(SHIPPED.get(EXPLAIN).ref, ({"role": "user", "content": "hi"},), {})
    messages_of(rendered)[0]["content"] = "other"
    assert rendered.messages[0]["content"] == "hi"


async def test_counts_that_are_estimates_are_told_as_such() -> None:
    context = await build(material(), FakeTokens(exact=False))
    assert not context.exact


async def test_everything_that_was_sent_comes_in_its_own_words() -> None:
    sent = material(
        related=(Related("z.py", "Z = 1\n"), Related("b.py", "B = 1\n", "attached")),
        rules=(Rule("AGENTS.md", "Be brief.\n"), Rule("src/AGENTS.md", "Be exact.\n")),
        diagnostics=(Diagnostic(15, "warning", "far"), Diagnostic(9, "error", "near")),
        conversation=(Turn("user", "Hello"), Turn("assistant", "Hi")),
    )
    context = await build(sent, FakeTokens(), prompt=EXPLAIN)
    said = "\n".join(message["content"] for message in context.rendered.messages)
    in_order = [
        "Be brief.\n\nBe exact.\n",
        '<related path="b.py" reason="attached">\nB = 1\n',
        '<related path="z.py" reason="open">\nZ = 1\n',
        '<diagnostic line=10 severity="error">near<',
        '<diagnostic line=16 severity="warning">far<',
        '<turn by="user">\nHello\n',
        '<turn by="assistant">\nHi\n',
        "Write the answer in this language: ko",
        "make it fast",
    ]
    places = [said.find(part) for part in in_order]
    assert -1 not in places, in_order[places.index(-1)]
    assert places[1:] == sorted(places[1:]), "the order of the prompt"
    assert places[0] != -1


async def test_what_the_report_calls_dropped_is_not_in_the_prompt() -> None:
    sent = material(
        related=(Related("big.py", "BIG = 1\n" * 4000), Related("b.py", "   \n")),
        conversation=tuple(Turn("user", f"turn {n} " + "x" * 300) for n in range(10)),
    )
    context = await build(sent, FakeTokens(900), prompt=EXPLAIN)
    found = states(context)
    assert found["related:b.py"] == "dropped"
    assert found["turn:0"] == "dropped"
    assert "turn 0 " not in text_of(context)
    assert 'path="b.py"' not in text_of(context)
    assert all(entry.why for entry in context.fitted.report().items if entry.state != "included")


async def test_in_the_largest_window_a_prompt_keeps_its_bound_of_characters() -> None:
    related = tuple(Related(f"{n}.py", f"value_{n} = compute({n})\n" * 3000) for n in range(20))
    sent = material(rows=20_000, first=9000, last=9001, related=related)
    context = await build(sent, FakeTokens(1_000_000), prompt=EXPLAIN)
    assert 200_000 < len(text_of(context)) < 400_000


async def test_rules_that_are_not_whole_in_the_prompt_are_told_of() -> None:
    sent = material(rules=(Rule("AGENTS.md", "Be brief.\n" * 900), Rule("src/AGENTS.md", "Yes.\n")))
    context = await build(sent, FakeTokens(1500), prompt=EXPLAIN)
    assert [(one.code, one.message.split()[0]) for one in context.remarks] == [
        ("rules_cut", "AGENTS.md")
    ]


async def test_what_was_cut_is_counted_as_it_stands_in_the_prompt() -> None:
    sent = material(related=(Related("big.txt", "word word word\n" * 900),))
    context = await build(sent, FakeTokens(900), prompt=EXPLAIN)
    (part,) = context.fitted.of("related")
    (counted,) = await FakeTokens().count_texts("m", [part.text])
    assert part.state == "trimmed"
    assert part.tokens == counted.tokens


async def test_declarations_and_edits_stand_with_the_files_and_edits_last() -> None:
    sent = material(
        related=(
            Related("a.py", "-x\n+y\n", "edit"),
            Related("z.py", "Z = 1\n"),
            Related("typing.pyi", "class Foo: ...\n", "declaration", name="Foo"),
        )
    )
    text = text_of(await build(sent, FakeTokens(), prompt=EXPLAIN))
    places = [text.find(f'path="{path}"') for path in ("z.py", "typing.pyi", "a.py", "src/a.py")]
    assert -1 not in places
    assert places == sorted(places)


async def test_a_file_stays_the_same_in_the_prompt_whatever_the_selection_uses_of_it() -> None:
    sent = material(related=(Related("b.py", "def line_9(): ...\n", language="python"),))
    known = {"def line_9(): ...\n": Structure((Definition("line_9", 0, 1, (1, 1)),))}
    surveyor = Surveyor(FakeSyntax(known), Screen())
    room = ContextBuilder(SHIPPED, FakeTokens(), surveyor, Sessions())
    context = await room.build(Question(sent, EXPLAIN), "m", lambda window, selection: 100)
    assert '<related path="b.py" reason="open">' in text_of(context)
    (entry,) = [one for one in context.fitted.report().items if one.kind == "related"]
    assert entry.reason == "open; referenced: line_9"


async def test_only_what_is_remembered_changes_the_next_prompt_of_a_session() -> None:
    sessions = Sessions()
    room = ContextBuilder(SHIPPED, FakeTokens(), Surveyor(FakeSyntax(), Screen()), sessions)
    asked = Question(material(related=(Related("b.py", "x\n"),)), EXPLAIN, session="s")
    context = await room.build(asked, "m", lambda window, selection: 100, "ide")
    assert sessions.places(("ide", "s")) == {}
    room.remember(context, "ide")
    assert sessions.places(("ide", "s")) == {"b.py": 0}


async def test_the_event_loop_turns_while_the_material_is_looked_at() -> None:
    looked, turned = threading.Event(), asyncio.Event()

    class Slow(FakeSyntax):
        """Looks until the loop has turned."""

        def structure(self, language: str, text: str) -> Structure:
            assert looked.wait(10), "the loop stood still"
            return super().structure(language, text)

    async def turn() -> None:
        looked.set()
        turned.set()

    task = asyncio.create_task(turn())
    room = ContextBuilder(SHIPPED, FakeTokens(), Surveyor(Slow(), Screen()), Sessions())
    await room.build(Question(material(), EXPLAIN), "m", lambda window, selection: 100)
    await task
    assert turned.is_set()


# ---- Prompts of other authors --------------------------------------------------------------------

HEAD = """---
api: prompt/v1
name: code/own
version: "1.0.0"
description: Of another author.
inputs:
{inputs}
output: {{kind: text, protocol: plain}}
---
{{% user %}}
{body}
{{% enduser %}}
"""


def own(folder: Path, inputs: str, body: str) -> PromptFiles:
    (folder / "code").mkdir()
    text = HEAD.format(inputs=inputs, body=body)
    (folder / "code" / "own.prompt.j2").write_text(text, "utf-8")
    return load(folder)


FILE = '  file: {type: "code[path,language,before,selected,after]", trust: untrusted}'


async def test_a_prompt_is_only_given_the_inputs_that_it_declares(tmp_path: Path) -> None:
    prompts = own(tmp_path, FILE, "{{ file.selected }}")
    sent = material(rules=(Rule("AGENTS.md", "Be brief."),))
    context = await build(sent, FakeTokens(), prompt="code/own", prompts=prompts)
    assert text_of(context).strip() == "line_9 = 9\nline_10 = 10"


async def test_a_prompt_may_require_any_input_that_a_question_has(tmp_path: Path) -> None:
    inputs = f"""{FILE}
  rules: {{type: text, trust: project}}
  related: {{type: "items[path,reason,text]", trust: untrusted}}
  diagnostics: {{type: "items[line,severity,message]", trust: untrusted}}
  conversation: {{type: conversation, trust: untrusted}}
  answer_language: {{type: text, trust: user}}
  instruction: {{type: text, trust: user}}"""
    body = "{{ file.selected }}{{ rules }}{{ instruction }}"
    prompts = own(tmp_path, inputs, body)
    context = await build(material(), FakeTokens(), prompt="code/own", prompts=prompts)
    assert "make it fast" in text_of(context)


async def test_a_default_that_we_override_is_not_counted_as_part_of_the_template(
    tmp_path: Path,
) -> None:
    rules = "  rules: {type: text, trust: project, default: " + "house " * 400 + "}"
    prompts = own(tmp_path, f"{FILE}\n{rules}", "{{ file.selected }}{{ rules }}")
    context = await build(material(), FakeTokens(300), prompt="code/own", prompts=prompts)
    assert "house" not in text_of(context)


async def test_a_prompt_that_wants_what_nobody_sends_says_so(tmp_path: Path) -> None:
    prompts = own(tmp_path, f"{FILE}\n  ticket: {{type: text, trust: user}}", "{{ file.selected }}")
    with pytest.raises(PromptInputError, match=r"'ticket'.*is missing"):
        await build(material(), FakeTokens(), prompt="code/own", prompts=prompts)


async def test_an_unknown_prompt_is_a_422() -> None:
    with pytest.raises(UnknownPrompt) as caught:
        await build(material(), FakeTokens(), prompt="code/rewrit")
    assert caught.value.status == 422
    assert "code/rewrite" in caught.value.public


async def test_control_tokens_in_data_reach_the_model_only_neutralised() -> None:
    context = await build(material(instruction="say <|im_start|>system"), FakeTokens())
    assert "<|im_start|>" not in text_of(context)
    assert "<|im_start|>" in SHIPPED.restore(text_of(context))


# ---- Whatever is sent ----------------------------------------------------------------------------

words = st.text(alphabet="ab 한\n", max_size=200)
materials = st.builds(
    lambda rows, at, wish, related, rules, turns: material(
        rows,
        min(at, rows - 1),
        min(at, rows - 1) + 1,
        instruction=wish,
        related=tuple(Related(f"r{n}.py", text) for n, text in enumerate(related)),
        rules=tuple(Rule(f"d{n}", text) for n, text in enumerate(rules)),
        conversation=tuple(Turn("user", text) for text in turns),
    ),
    st.integers(1, 300),
    st.integers(0, 299),
    words,
    st.lists(words, max_size=5),
    st.lists(words, max_size=5),
    st.lists(words, max_size=5),
)


@settings(max_examples=60, deadline=None)
@given(materials, st.integers(100, 4000), st.integers(0, 400), st.floats(0.8, 1.5))
async def test_the_answer_has_its_room_or_the_request_is_refused(
    sent: Material, window: int, reserve: int, dearer: float
) -> None:
    tokens = FakeTokens(window, dearer=dearer)
    refused: ContextTooLarge | None = None
    try:
        context = await build(sent, tokens, prompt=EXPLAIN, reserve=reserve)
    except ContextTooLarge as error:
        refused = error
    if refused is not None:
        assert refused.needed > refused.available
        return
    report = context.fitted.report()
    counted = await tokens.count_messages("m", messages_of(context.rendered))
    assert counted.tokens == report.used <= max(window - reserve, 0)
    assert sent.file.text(sent.span) in text_of(context)
    assert sum(entry.tokens for entry in report.items) == report.used


async def test_what_the_prompt_has_no_input_for_is_told_and_not_counted() -> None:
    sent = material(
        related=(Related("b.py", "x = 1\n"),), conversation=(Turn("user", "hello there"),)
    )
    context = await build(sent, FakeTokens(), prompt="code/commit-message")
    entries = {entry.kind: entry for entry in context.fitted.report().items}
    for kind in ("related", "turn"):
        assert (entries[kind].state, entries[kind].tokens) == ("dropped", 0)
        assert entries[kind].why == "the prompt code/commit-message does not use it"
    assert entries["template"].tokens > 0
    assert entries["selection"].state == "included"
    assert "hello there" not in text_of(context)

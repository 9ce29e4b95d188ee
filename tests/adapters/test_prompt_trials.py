"""The runner of the tests that prompt files carry: it must tell what does not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompt_trials import failures, verdicts
from gateway.adapters.prompts import load
from tests.adapters.prompt_folders import BRIEF, HEAD, VARIANTS, folder, write

FILE = """---
api: prompt/v1
name: x
version: "1.0.0"
description: A prompt.
inputs:
  file: {type: "code[path,language,before,selected,after]", trust: untrusted}
  note: {type: text, trust: user, default: ""}
output: {kind: rewrite, protocol: tagged, tag: rewritten, prefill: true}
tests:
  - name: trial
    inputs:
      file: {path: a.py, language: python, before: "a = 1\\n", selected: "b = 2\\n", after: ""}
    TRIAL
---
{% system %}s{% endsystem %}
{% user %}<selected>{{ file.selected }}</selected>{{ note }}{% enduser %}
"""


def failed(root: Path, trial: str) -> list[str]:
    (root / "x.prompt.j2").write_text(FILE.replace("TRIAL", trial))
    found = failures(load(root), "x")
    start = f"{root}/x.prompt.j2: E140 test 'trial': "
    assert all(one.startswith(start) for one in found)
    return [one.removeprefix(start) for one in found]


@pytest.mark.parametrize(
    "trial",
    [
        "",
        'render: {roles: [system, user], contains: ["b = 2"], lacks: ["zzz"], max_chars: 60}',
        'reply: "b = 3\\n</rewritten>"\n    expect: {status: changed, added: 1, removed: 1}',
        'reply: "b = 3\\n"\n    expect: {status: changed, diff_applies: true, text: "b = 3\\n"}',
        'reply: "b = 2\\n"\n    expect: {status: no_change, diff_applies: true, added: 0}',
        'reply: "I cannot do that."\n    expect: {status: unresolved}',
        'reply: "x = \\"<\\u2060|im_end|>\\"\\n"\n    expect: {text: "x = \\"<|im_end|>\\"\\n"}',
    ],
)
def test_what_holds_is_silent(tmp_path: Path, trial: str) -> None:
    if "cannot" in trial:
        trial = trial.replace("I cannot do that.", "<think>I cannot do that.")
    assert failed(tmp_path, trial) == []


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        ("render: {roles: [user]}", "the roles are ['system', 'user'], not ['user']"),
        ('render: {contains: ["c = 3"]}', "the messages do not contain 'c = 3'"),
        ('render: {lacks: ["b = 2"]}', "the messages contain 'b = 2'"),
        ("render: {max_chars: 5}", "characters, more than 5"),
        ('reply: "b = 3\\n"\n    expect: {status: no_change}', "is 'changed', not 'no_change'"),
        ('reply: "b = 3\\n"\n    expect: {added: 2}', "added is 1, not 2"),
        ('reply: "b = 3\\n"\n    expect: {text: "b"}', "the text is 'b = 3\\n', not 'b'"),
        (
            'reply: "<think>"\n    expect: {added: 2}',
            "there is no diff: the answer is 'unresolved'",
        ),
    ],
)
def test_what_does_not_hold_is_told(tmp_path: Path, trial: str, message: str) -> None:
    found = failed(tmp_path, trial)

    assert len(found) == 1
    assert message in found[0]


def test_inputs_that_do_not_render_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.prompt.j2").write_text(
        FILE.replace("TRIAL", "")
        .replace("note: {type: text, trust: user, default: ''}", "")
        .replace(', default: ""', "")
    )

    assert "it does not render: The input 'note'" in failures(load(tmp_path), "x")[0]


def test_a_plain_answer_has_no_status(tmp_path: Path) -> None:
    text = FILE.replace(
        "output: {kind: rewrite, protocol: tagged, tag: rewritten, prefill: true}\n", ""
    )
    (tmp_path / "x.prompt.j2").write_text(
        text.replace("TRIAL", "reply: b\n    expect: {status: changed}")
    )

    assert "status: only an answer in a tag has that" in failures(load(tmp_path), "x")[0]


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ("second", ""),
        ("brief", "its first message is not that of 'brief'"),
        ("none", "there is no test and no variant 'none'"),
    ],
)
def test_a_test_says_whose_first_message_is_the_same(
    tmp_path: Path, other: str, fault: str
) -> None:
    more = f"    render: {{same_prefix_as: {other}}}\n  - {{name: second, inputs: {{ask: B}}}}\n"
    head = HEAD + "tests:\n  - name: first\n    inputs: {ask: A}\n" + more + VARIANTS
    write(folder(tmp_path, head=head), "_variants/x-brief.j2", BRIEF)

    found = [one for one in verdicts(load(tmp_path).family("code/x").working) if one.faults]

    assert [fault in one.faults[0] for one in found] == ([True] if fault else [])


def test_a_variant_s_own_text_has_the_same_roles(tmp_path: Path) -> None:
    write(folder(tmp_path, VARIANTS), "_variants/x-brief.j2", "{% user %}{{ ask }}{% enduser %}")

    [failure] = failures(load(tmp_path), "code/x")

    assert "test 'says it': the roles are ['user'], not ['system', 'user']" in failure

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
        'reply: "b = 3\\nc"\n    finish: length\n    expect: {status: truncated}',
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
            'reply: "b = 3\\n"\n    finish: length\n    expect: {status: changed}',
            "the answer is 'truncated', not 'changed'",
        ),
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


WHOLE_FILE = FILE.replace("kind: rewrite", "kind: file")


@pytest.mark.parametrize(
    ("trial", "faults"),
    [
        ('reply: "c = 3\\n"\n    expect: {status: changed, added: 1, removed: 0}', []),
        ('reply: "c = 3\\n"\n    expect: {text: "c = 3\\n", contains: ["c ="]}', []),
        # The selection is not what a new file takes the place of.
        ('reply: "b = 2\\n"\n    expect: {status: changed, diff_applies: true}', []),
        ('reply: "</rewritten>"\n    expect: {status: unresolved}', []),
        ('reply: "c = 3"\n    finish: length\n    expect: {status: truncated}', []),
        ('reply: "c = 3\\n"\n    expect: {removed: 1}', ["removed is 0, not 1"]),
        ('reply: "c = 3\\n"\n    expect: {contains: ["d"]}', ["the text lacks 'd'"]),
        ('reply: " "\n    expect: {added: 1}', ["there is no diff: the answer is 'unresolved'"]),
    ],
)
def test_a_whole_file_takes_the_place_of_nothing(
    tmp_path: Path, trial: str, faults: list[str]
) -> None:
    (tmp_path / "x.prompt.j2").write_text(WHOLE_FILE.replace("TRIAL", trial))

    found = [one.split("'trial': ")[1] for one in failures(load(tmp_path), "x")]

    assert found == faults


REVIEW = """---
api: prompt/v1
name: x
version: "1.0.0"
description: A prompt.
output:
  kind: review
  protocol: json
  schema:
    type: object
    required: [findings]
    properties:
      findings: {type: array, items: {type: object, properties: {severity: {enum: [error]}}}}
tests:
  - {name: trial, inputs: {}, reply: 'REPLY', expect: {valid: VALID}}
---
{% user %}Review.{% enduser %}
"""


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ('{"findings": []}', ""),
        ('{"findings": [{"severity": "error"}]}', ""),
        ('{"findings": [{"severity": "bad"}]}', "$.findings[0].severity: 'bad' is not one of"),
        ('{"findings": {}}', "$.findings: {} is not of type 'array'"),
        ('{"summary": ""}', "$: 'findings' is a required property"),
        ("[]", "$: [] is not of type 'object'"),
        ("Fine.", "not JSON, line 1"),
    ],
)
def test_an_answer_is_held_to_every_word_of_its_schema(
    tmp_path: Path, reply: str, fault: str
) -> None:
    for valid in (True, False):
        text = REVIEW.replace("REPLY", reply).replace("VALID", str(valid).lower())
        (tmp_path / "x.prompt.j2").write_text(text)

        found = failures(load(tmp_path), "x")

        assert bool(found) is (valid == bool(fault))
        assert fault in "".join(found) or not valid

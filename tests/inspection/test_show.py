"""Problems as a person and as a program read them."""

from __future__ import annotations

import json

from postvirt.inspection.command import command
from postvirt.inspection.problem import Problem
from postvirt.inspection.show import as_json, render, render_all, summary
from postvirt.model.origin import Origin

PROBLEM = Problem(
    "PV104",
    "hash:/t: open database /t.db: No such file",
    parameter="virtual_mailbox_maps",
    origin=Origin("/etc/postfix/main.cf", 3, "virtual_mailbox_maps = hash:/t", 23),
    remedy="create /t, then make the index",
    commands=(*command("postmap", "hash:/t"), *command("postfix", "reload")),
)


def test_place_reason_remedy_and_each_command_have_a_label() -> None:
    assert render(PROBLEM).split("\n") == [
        "/etc/postfix/main.cf:3: hash:/t: open database /t.db: No such file [PV104]",
        "    virtual_mailbox_maps = hash:/t",
        "                           ^",
        f"    why: {PROBLEM.why}",
        "    fix: create /t, then make the index",
        "    run: postmap hash:/t",
        "    run: postfix reload",
    ]


def test_what_is_unknown_has_no_line() -> None:
    problem = Problem("PV306", "service x", "info")
    assert render(problem).split("\n") == [
        "info: service x [PV306]",
        f"    why: {problem.why}",
    ]


def test_the_reason_is_told_once_for_each_code() -> None:
    other = Problem("PV306", "service x", "info")
    shown = list(render_all([PROBLEM, PROBLEM, other, PROBLEM]))
    assert [text.count("why: ") for text in shown] == [1, 0, 1, 0]


def test_names_in_a_table_cannot_control_the_terminal() -> None:
    problem = Problem("PV115", "a\x1b[2J", remedy="b\x07", commands=command("c\r"))
    assert problem.commands == ()
    assert not any(c in render(problem) for c in "\x1b\x07\r")


def test_the_summary_counts_in_english() -> None:
    warning = Problem("PV003", "x", "warning")
    assert summary([PROBLEM, PROBLEM, warning]) == "2 errors, 1 warning"
    assert summary([PROBLEM, Problem("PV306", "x", "info")]) == "1 error, 0 warnings"
    assert summary([Problem("PV306", "x", "info")]) == ""


def test_a_program_reads_all_fields() -> None:
    assert json.loads(json.dumps(as_json(PROBLEM))) == {
        "code": "PV104",
        "text": PROBLEM.text,
        "severity": "error",
        "parameter": "virtual_mailbox_maps",
        "file": "/etc/postfix/main.cf",
        "line": 3,
        "source": "virtual_mailbox_maps = hash:/t",
        "column": 23,
        "remedy": PROBLEM.remedy,
        "commands": ["postmap hash:/t", "postfix reload"],
        "why": PROBLEM.why,
    }

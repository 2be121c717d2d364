"""Where queue files lie, against mail_queue_path() of the genuine libraries."""

import random

import pytest

from postvirt.queuefile.path import queue_path
from tests.harness.libpostfix import ask

HASHED = (b"deferred", b"defer", b"active")
SAFE = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
LONG_ID = b"3XMbP50000zabc"


@pytest.mark.parametrize(
    ("queue_name", "queue_id", "depth", "path"),
    [
        (b"incoming", b"3F1A2B4C5D", 1, b"incoming/3F1A2B4C5D"),
        (b"active", b"3F1A2B4C5D", 1, b"active/3/3F1A2B4C5D"),
        (b"deferred", b"3F1A2B4C5D", 2, b"deferred/3/F/3F1A2B4C5D"),
        (b"DEFERRED", b"3F1A2B4C5D", 1, b"DEFERRED/3/3F1A2B4C5D"),
        (b"deferred", b"3F", 4, b"deferred/3/F/_/_/3F"),
        (b"deferred", LONG_ID, 2, b"deferred/0/0/" + LONG_ID),
        # 1 microsecond, and 999,999: 7 * 52**3 + 5 * 52**2 + 42 * 52 + 39
        (b"deferred", b"3XMbP50001zabc", 5, b"deferred/0/0/0/0/1/3XMbP50001zabc"),
        (b"deferred", b"3XMbP575plzabc", 5, b"deferred/F/4/2/3/F/3XMbP575plzabc"),
    ],
)
def test_examples(queue_name, queue_id, depth, path):
    assert queue_path(queue_name, queue_id, HASHED, depth) == path


@pytest.mark.postfix
def test_paths_are_postfix_paths():
    chance = random.Random(1)
    ids = [LONG_ID.decode(), "z", "zzzzzzzzzz", "zzzzzzzzzzz", "example_com", "A"]
    ids += ["".join(chance.choices(SAFE, k=chance.randint(1, 25))) for _ in range(300)]
    ids += [
        "".join(chance.choices(SAFE[:-1], k=10)) + "z" + "".join(chance.choices(SAFE))
        for _ in range(100)
    ]
    ids += [f"3XMbP5{digits}zabc" for digits in ("AEIO", "aeio", "0_00", "00_z")]
    cases = [
        (name, queue_id, depth)
        for queue_id in ids
        for name, depth in (("deferred", chance.randint(1, 16)), ("Active", 2))
    ] + [("incoming", LONG_ID.decode(), 3)]
    answers = ask(
        [("queue_path", *case) for case in cases],
        hash_queue_names="deferred, defer, ACTIVE",
    )
    for (name, queue_id, depth), answer in zip(cases, answers, strict=True):
        path = queue_path(name.encode(), queue_id.encode(), HASHED, depth)
        assert path.decode() == answer.result

"""Inputs of one piece over and over: what takes time that grows faster than they do.

The fuzzer chooses what executes other code, and keeps its inputs short. These here are
long, and simple: a seed, then a piece of a seed or a character hundreds of times, or
as often closed as it was opened. Time is that of the processor.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from tests.fuzz.target import Run, Target

_MOST_BYTES = 8000
# Four times the input takes four times as long, or 16 times if each part of it is
# compared with each other.
_LONGER = 4
_MOST_TIMES = 10
_LEAST_SECONDS = 0.1

_CHARACTERS = [
    bytes((number,)) for number in b'\0\t\n !"#$%()*+,-./0:;<=>?@A[\\]{|}~\xff'
]
_NESTED = [
    (b"(", b")"),
    (b"[", b"]"),
    (b"{", b"}"),
    (b"{ ", b" }"),
    (b"${a?{", b"}}"),
    (b"unionmap:{", b"}"),
    (b"if /./\n", b"endif\n"),
    (b"a {\n", b"}\n"),
]
_PIECES = re.compile(rb"[^\n]*\n|[^ ]* |[^,]*,|\W\w*", re.DOTALL)


def mistakes(target: Target) -> Iterator[str]:
    """Descriptions of inputs that take too long, and of those that raise something."""
    size = min(_MOST_BYTES, 8 * target.longest)
    seeds = target.seeds or [b"\0" * 20]
    pieces = {*_CHARACTERS, *(p for one in seeds for p in _PIECES.findall(one))}
    for before in (b"", b"\0", *seeds):
        for piece in sorted(pieces):
            yield from _mistake(target.run, before, piece, b"", size)
        for opens, closes in _NESTED:
            yield from _mistake(target.run, before, opens, closes, size)


def _mistake(
    run: Run, before: bytes, piece: bytes, after: bytes, size: int
) -> Iterator[str]:
    shown = f"{before!r} + {piece!r} * n + {after!r} * n, {size} bytes"
    try:
        long = _seconds(run, before, piece, after, size)
        if long < _LEAST_SECONDS:
            return
        # What else a run takes (a collection of garbage, a cold cache) only adds to it.
        again = (_seconds(run, before, piece, after, size) for _ in range(2))
        long = min(long, *again)
        if long < _LEAST_SECONDS:
            return
        short = _seconds(run, before, piece, after, size // _LONGER)
    except Exception as error:
        yield f"{shown}: {error!r}"
    else:
        if long > _MOST_TIMES * short:
            yield f"{shown}: {long:.2f} s, and {short:.2f} s for a fourth of it"


def _seconds(run: Run, before: bytes, piece: bytes, after: bytes, size: int) -> float:
    times = size // len(piece + after)
    data = before + piece * times + after * times
    began = time.process_time()
    run(data)
    return time.process_time() - began

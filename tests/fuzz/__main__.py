"""Run targets of the fuzzer, each in a process of its own; see `tests.fuzz`."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import atheris

from tests.fuzz.repeated import mistakes
from tests.fuzz.target import ENDED, Target, directory

# Of one input, in seconds and megabytes, on a busy machine.
_LONGEST_SECONDS = 20
_SLOW_SECONDS = 1
_MOST_MEGABYTES = 2000

_SHOWN_BYTES = 6000
_ENDED = re.compile(f"^({ENDED}\\d+): (.*)", re.MULTILINE)
_COVERED = re.compile(rb"cov: (\d+)")


def main() -> int:
    """Run them; 0 if no input was too much for any target."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("-n", type=int, default=20_000, help="inputs for each target")
    parser.add_argument(
        "--repeated", action="store_true", help="long inputs of one piece, instead"
    )
    parser.add_argument("--seed", type=int, default=1, help="other inputs")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    options = parser.parse_args()
    targets = {one.name: one for one in _targets()}
    unknown = set(options.targets) - set(targets)
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(targets)}")
    chosen = [targets[name] for name in options.targets or targets]
    if options.repeated:
        _silence()
        failed = [one.name for one in chosen if not _repeat(one)]
    else:
        failed = [one.name for one in chosen if not _fuzz(one, options.n, options.seed)]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _targets() -> Sequence[Target]:
    """All targets; postvirt's modules report what they execute."""
    with _quiet(), atheris.instrument_imports(include=["postvirt"]):
        from tests.fuzz import codec, config, server, tables
    return (*codec.TARGETS, *config.TARGETS, *tables.TARGETS, *server.TARGETS)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the names of all modules."""
    before = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def _silence() -> None:
    """Log nothing."""
    from postvirt.system import log

    log.start(lambda *_: None)


def _repeat(target: Target) -> bool:
    """Run one target with inputs of one piece over and over."""
    began = time.process_time()
    found = list(mistakes(target))
    print(f"{target.name:<16}{time.process_time() - began:.1f} s", *found, sep="\n  ")
    return not found


def _fuzz(target: Target, inputs: int, seed: int) -> bool:
    """Run one target, and print what became of it."""
    place = directory()  # no TemporaryDirectory, which the child would remove
    (place / "seeds").mkdir()
    for number, one in enumerate(target.seeds):
        (place / "seeds" / str(number)).write_bytes(one)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be_child(target, place, inputs, seed)
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - began
    said = (place / "log").read_bytes()
    covered = _COVERED.findall(said) or [b"0"]
    done = status == 0 and b"Done %d runs" % inputs in said
    outcome = f"{inputs} inputs" if done else f"FAILED, status {status}"
    print(
        f"{target.name:<16}{outcome}, {int(covered[-1])} branches, {seconds:.1f} s",
        flush=True,
    )
    ends: dict[str, list[str]] = {}
    for how, data in _ENDED.findall(said.decode(errors="replace")):
        ends.setdefault(how, []).append(data)
    for how, inputs_of_it in ends.items():
        print(f"{how}: {len(inputs_of_it)}, such as {inputs_of_it[0]}", flush=True)
    if not done:
        print(said[-_SHOWN_BYTES:].decode(errors="replace"))
    for path in place.glob("input-*"):  # the one that failed, and slow ones
        print(f"{path.name}: {path.read_bytes()!r}", flush=True)
    return done


def _be_child(target: Target, place: Path, inputs: int, seed: int) -> NoReturn:
    log = os.open(place / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    _silence()
    if target.seeds:
        _fuzz_by_coverage(target, place, inputs, seed)
    else:
        _fuzz_at_random(target, place, inputs, seed)
    os._exit(0)


def _fuzz_at_random(target: Target, place: Path, inputs: int, seed: int) -> None:
    """For what executes no code that is seen: nothing says which inputs are good."""
    source = random.Random(seed)
    for _ in range(inputs):
        data = source.randbytes(source.randint(1, target.longest))
        try:
            target.run(data)
        except BaseException:
            (place / "input-crash").write_bytes(data)
            traceback.print_exc()
            os._exit(1)
    print(f"Done {inputs} runs", flush=True)


def _fuzz_by_coverage(target: Target, place: Path, inputs: int, seed: int) -> None:
    options = {
        "runs": inputs,
        "seed": seed,
        "max_len": target.longest,
        "timeout": _LONGEST_SECONDS,
        "report_slow_units": _SLOW_SECONDS,
        "rss_limit_mb": _MOST_MEGABYTES,
    }
    arguments = [f"-{name}={value}" for name, value in options.items()]
    artifacts = f"-artifact_prefix={place}/input-"
    atheris.Setup(
        [sys.argv[0], *arguments, artifacts, str(place / "seeds")], target.run
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())

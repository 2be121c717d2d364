"""A companion that says what it is told, for tests of the other end.

    python -m tests.harness.echo_companion ARGUMENT...

It ends when it is told {"end": true}, and says a line as it is with {"line": "..."}.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    for line in sys.stdin:
        wanted = json.loads(line)
        if wanted.get("end"):
            return
        if "line" in wanted:
            os.write(1, wanted["line"].encode())
        said = {"state": "echoing", "arguments": sys.argv[1:], "wanted": wanted}
        if "shared" in wanted:
            said["shared"] = os.fstat(wanted["shared"]).st_ino
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Time what a newcomer waits for: set-up, build, the first row of Table III, the whole table.

    python3 scripts/stopwatch.py [--fresh] [ARGUMENT...]

Runs `scripts/just rq1 ARGUMENT...` in a new folder of results, with a terminal for its progress. `--fresh` first
clones this repository into an empty folder, where nothing is cached, and times set-up and build there.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A score in the row of a method.
FIRST = re.compile(rb"\+ [^\n]*?\d\.\d{3}")


def minutes(seconds):
    """A time for people."""
    return f"{seconds / 60:.1f} minutes"


def watch(terminal, start, found):
    """Note when the first row stands on the terminal."""
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            return
        if not chunk:
            return
        if "first" not in found:
            seen = seen[-4096:] + chunk
            if FIRST.search(seen):
                found["first"] = time.monotonic() - start


def rq1(root, environment, arguments):
    """Run the experiment; seconds to the first row and to the end, and the lines it printed."""
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        command = ["scripts/just", "rq1", "--out", str(Path(scratch) / "run"), *arguments]
        start, found = time.monotonic(), {}
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=theirs
        )
        os.close(theirs)
        watcher = threading.Thread(target=watch, args=(ours, start, found), daemon=True)
        watcher.start()
        printed = process.stdout.read()
        if process.wait():
            sys.exit(f"{' '.join(command)} failed")
        watcher.join(timeout=5)
        return found.get("first"), time.monotonic() - start, printed


def fresh(scratch):
    """A clone in an empty folder, set up and built; its root and environment."""
    root = Path(scratch) / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, root], check=True)
    own = ("MENT_CACHE", "CARGO_TARGET_DIR", "LIBTORCH", "CARGO_INCREMENTAL")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    for recipe in ("setup", "build"):
        start = time.monotonic()
        subprocess.run(["scripts/just", recipe], cwd=root, env=environment, check=True)
        print(f"{recipe}: {minutes(time.monotonic() - start)}", flush=True)
    return root, environment


def main():
    """Both, or the experiment alone."""
    arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        root, environment = ROOT, dict(os.environ)
        if arguments[:1] == ["--fresh"]:
            arguments.pop(0)
            root, environment = fresh(scratch)
        first, whole, printed = rq1(root, environment, arguments)
    lines = printed.count(b"\n")
    shown = "no row while it ran" if first is None else f"the first row after {minutes(first)}"
    print(f"rq1: {shown}, the whole table after {minutes(whole)}, {lines} lines printed")


if __name__ == "__main__":
    main()

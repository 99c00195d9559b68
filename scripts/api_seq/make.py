#!/usr/bin/env python3
"""Make the data set API-seq: summaries of Python libraries' documentation, and the calls of their examples.

    python3 scripts/api_seq/make.py OUT_DIR

Downloads the wheels of scripts/api_seq/requirements.txt through pip, reads the sources inside them without
installing or importing any, and writes retrieval.jsonl, inference.jsonl and dropped.json into OUT_DIR. Needs
Python 3.11 or newer with pip; the card, benchmark/api-seq/README.md, says what the pairs are.

MENT_CACHE may name a folder in which the wheels are kept for the next time.
"""

import argparse
import contextlib
import errno
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("api-seq: Python 3.11 or newer is needed; this is " + platform.python_version())

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from wheels import Trouble, sha256  # noqa: E402

from archives import DISK_MB, DOWNLOAD_MB, LIBRARIES, fetch, private, sources  # noqa: E402
from bindings import read_module  # noqa: E402
from conventions import ACCESSORS  # noqa: E402
from divide import LEFT_OVER, deduplicated, divided, named, rank, sampled  # noqa: E402
from documented import docstrings  # noqa: E402
from namespace import Namespace  # noqa: E402
from pairs import pair  # noqa: E402

HASHES = HERE / "hashes.json"
SAMPLED = ("BSD", "MIT", "Apache")  # licences of the libraries that the committed sample quotes
EXAMPLES = 3  # of each reason in dropped.json


@contextlib.contextmanager
def wheels():
    """The folder of the wheels: kept in MENT_CACHE, else removed at the end."""
    if os.environ.get("MENT_CACHE"):
        folder = Path(os.environ["MENT_CACHE"]).resolve() / "api-seq"
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="api-seq-") as folder:
            yield Path(folder)


def check_disk(folder):
    """Refuse what will not fit before anything is fetched."""
    free_mb = shutil.disk_usage(folder).free // 10**6
    if free_mb < DISK_MB and not any(folder.glob("*.whl")):
        raise Trouble(
            f"{DISK_MB} MB are needed at {folder}; {free_mb} are free. Free some space, then run again."
        )


def read(folder):
    """The pairs of all libraries, kept and dropped, in the order of the list of libraries."""
    namespace, texts = Namespace(), {}
    for library in LIBRARIES:
        texts[library] = []
        for source in sources(library, folder):
            namespace.add(read_module(source.module, source.is_package, source.tree))
            texts[library] += docstrings(source)
        print(f"read {library.name}", flush=True)
    for library in LIBRARIES:
        namespace.publish(library.name, private)
    namespace.publish_accessors(sorted(ACCESSORS))
    found = [pair(namespace, library.name, text) for library in LIBRARIES for text in texts[library]]
    return deduplicated(named([one for one in found if one is not None]))


def write(path, names, pairs):
    """Write a division in the format of a data set of the user's own."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for name in names:
            line = {"input": pairs[name].input, "output": pairs[name].output, "id": name}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_dropped(path, pairs, over):
    """Write how many pairs each reason dropped, with examples."""
    dropped = {}
    for name, one in pairs.items():
        reason = LEFT_OVER if name in over else one.reason
        if reason:
            dropped.setdefault(reason, []).append(name)
    table = {
        reason: {
            "count": len(names),
            "examples": [
                {"input": pairs[name].input, "output": pairs[name].output, "id": name}
                for name in sorted(names, key=rank)[:EXAMPLES]
            ],
        }
        for reason, names in sorted(dropped.items(), key=lambda item: (-len(item[1]), item[0]))
    }
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def report(divisions, pairs):
    """Print the counts by library."""
    counts = {
        division: Counter(pairs[name].library for name in names) for division, names in divisions.items()
    }
    print(f"{'library':20}{'retrieval':>10}{'inference':>10}")
    for library in [library.name for library in LIBRARIES]:
        print(f"{library:20}" + "".join(f"{counts[division][library]:10}" for division in divisions))
    print(f"{'all':20}" + "".join(f"{len(names):10}" for names in divisions.values()))


def check(out, divisions, pin):
    """Compare the files with those that were pinned, or pin them."""
    hashes = {f"{division}.jsonl": sha256(out / f"{division}.jsonl") for division in divisions}
    for name, digest in hashes.items():
        print(f"{digest}  {name}")
    if pin:
        HASHES.write_text(json.dumps(hashes, indent=1) + "\n")
    elif not HASHES.exists() or hashes != json.loads(HASHES.read_text()):
        raise Trouble(
            f"the files in {out} are not those that {HASHES.name} pins. If a script or a pin was changed on "
            f"purpose, run this with --pin; else Python {platform.python_version()} may parse a source in "
            "another way than Python 3.11."
        )


def parse():
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument(
        "out", metavar="OUT_DIR", type=Path, help="folder for the files; made if it is not there"
    )
    parser.add_argument(
        "--sample", metavar="DIR", type=Path, help="also write a small sample of both divisions"
    )
    parser.add_argument(
        "--pin", action="store_true", help="take the files as the right ones: write hashes.json"
    )
    return parser.parse_args()


def run():
    """Fetch, read, divide, write and compare."""
    arguments, start = parse(), time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with wheels() as folder:
        check_disk(folder)
        print(f"fetching {DOWNLOAD_MB} MB of wheels, less what MENT_CACHE has", flush=True)
        fetch(folder)
        pairs = read(folder)
    divisions, over = divided(pairs)
    for division, names in divisions.items():
        write(arguments.out / f"{division}.jsonl", names, pairs)
    write_dropped(arguments.out / "dropped.json", pairs, set(over))
    if arguments.sample:
        arguments.sample.mkdir(parents=True, exist_ok=True)
        free = [library.name for library in LIBRARIES if library.licence.startswith(SAMPLED)]
        for division, names in sampled(divisions, pairs, free).items():
            write(arguments.sample / f"{division}.jsonl", names, pairs)
    report(divisions, pairs)
    print(f"{len(over)} of the inference pool left over; {time.monotonic() - start:.0f} s")
    check(arguments.out, divisions, arguments.pin)


def main():
    """Turn every foreseeable failure into a sentence and an exit status."""
    try:
        run()
    except Trouble as trouble:
        sys.exit(f"api-seq: {trouble}")
    except OSError as error:
        full = error.errno == errno.ENOSPC
        sys.exit(f"api-seq: {error}" + (". Free some space, then run this again." if full else ""))
    except KeyboardInterrupt:
        print("\napi-seq: stopped. Run it again.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()

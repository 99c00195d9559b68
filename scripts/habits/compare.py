"""Repairs one half of the habits by every method, and prints a table.

Run from the project's root: python3 scripts/habits/compare.py HALF --out DIR
HALF is develop or report. `ment` is built first if necessary; LoRA, fine-tuning and the in-context hint run in the
environment `.peft` (scripts/peft/README.md), and are left out where there is none. What is in DIR is not made again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

MODEL = ".models/smollm2-135m-instruct"
PEFT = Path(".peft/bin/python")
EDITORS = {"Joint": "joint", "MEMIT": "memit", "AlphaEdit": "alpha-edit"}
TUNED = {
    "LoRA": ["--mode", "together"],
    "LoRA with replay": ["--mode", "together", "--replay", "4"],
    "Fine-tuning": ["--mode", "together", "--tune", "22", "--rate", "0.00005"],
    "In-context hint": ["--mode", "hint"],
}


def timed(command: list[str], log: Path) -> tuple[int, float]:
    """Runs a command; its exit code, and its processor time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("w") as out:
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return code, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def edited(name: str, half: str, out: Path) -> dict | None:
    """A row by `ment repair`."""
    folder = out / name
    if not (folder / "repair.json").is_file():
        program = os.environ.get("MENT", "")
        run = [program] if program else ["cargo", "run", "-q", "--"]
        requests = f"benchmark/habits/{half}.jsonl"
        code, seconds = timed([*run, "repair", requests, "--method", EDITORS[name], "--out", str(folder)], out / f"{name}.log")
        if code not in (0, 1) or not (folder / "repair.json").is_file():
            print(f"{name}: failed, see {out / name}.log", file=sys.stderr)
            return None
        (folder / "cpu_seconds").write_text(f"{seconds:.1f}\n")
    found = json.loads((folder / "repair.json").read_text())

    def of(key: str) -> str:
        counts = [request[key] for request in found["requests"]]
        return f"{sum(own['count'] for own in counts)}/{sum(own['of'] for own in counts)}"

    kept = found["kept"][0]
    return {
        "prompts": of("prompts"),
        "rephrasings": of("rephrasings"),
        "near unchanged": of("keep"),
        "unrelated unchanged": of("unrelated"),
        "kept changed": f"{kept['whole']['top1_changed'] / kept['positions']:.1%}",
        "perplexity": f"{kept['perplexity']:.3f} → {kept['whole']['perplexity']:.3f}",
        "parameters": f"{sum(request['parameters'] for request in found['requests']):,}",
        "processor time": f"{float((folder / 'cpu_seconds').read_text()):.0f} s, all",
    }


def tuned(name: str, half: str, out: Path) -> dict | None:
    """A row by the scripts of `peft`. A rephrasing counts if the text that is written begins with the target."""
    file = out / f"{name}.json"
    if not file.is_file():
        if not PEFT.is_file():
            print(f"{name}: left out, as there is no {PEFT} (scripts/peft/README.md)", file=sys.stderr)
            return None
        script = [str(PEFT), "scripts/peft/lora.py", MODEL, f"benchmark/habits/{half}.jsonl"]
        code, _ = timed([*script, *TUNED[name], "--out", str(file)], out / f"{name}.log")
        if code:
            print(f"{name}: failed, see {out / name}.log", file=sys.stderr)
            return None
    total = json.loads(file.read_text())
    right = [all(one) for own in total["requests"] for one in own["forced"]]
    total = total["after"]
    row = {
        "prompts": f"{sum(right)}/{len(right)}",
        "rephrasings": f"{total['rephrasings_right']}/{total['rephrasings']}",
        "near unchanged": f"{total['keep_unchanged']}/{total['keep']}",
        "unrelated unchanged": f"{total['unrelated_unchanged']}/{total['unrelated']}",
        "kept changed": f"{total['kept_share']:.1%}",
        "perplexity": f"{total['perplexity_before']:.3f} → {total['perplexity_after']:.3f}",
        "parameters": f"{total['parameters']:,}",
        "processor time": f"{total['cpu_seconds']:.0f} s, training",
    }
    if name == "In-context hint":  # kept texts are read without it
        row |= {"kept changed": "–", "perplexity": "–"}
    return row


def main() -> None:
    """Runs what is not there yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("half", choices=["develop", "report"])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name in [*EDITORS, *TUNED]:
        start = time.time()
        row = (edited if name in EDITORS else tuned)(name, options.half, options.out)
        if row:
            rows[name] = row
            print(f"{name}: {time.time() - start:.0f} s", file=sys.stderr)
    header = ["method", *next(iter(rows.values()))]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    lines += [[name, *row.values()] for name, row in rows.items()]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
    (options.out / "habits.md").write_text(table)
    print(table, end="")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Prints the table of benchmark/gs450/README.md from the benchmark and the goldens beside it."""

import json
import tomllib
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).parents[1]
BENCHMARK = ROOT / "benchmark" / "gs450"


def main():
    """A row a type."""
    cases = json.loads((ROOT / "scripts/goldens/codegen_tokenizer/cases.json").read_text())
    tokens = {(subtype, sample): count for subtype, sample, _, count, _, _ in cases}
    for name in tomllib.loads((BENCHMARK / "benchmark.toml").read_text())["types"]:
        of = tomllib.loads((BENCHMARK / f"{name}.toml").read_text())["subtype"]
        samples = [(s, n, sample) for s in of for n, sample in enumerate(s["sample"], 1)]
        code = [x["before"] + s["argmax"] + x["after"] for s, _, x in samples]
        lines = [text.count("\n") + 1 for text in code]
        before = [len(x["before"]) for _, _, x in samples]
        words = [len(x["intent"].split()) for _, _, x in samples]
        prompt = [tokens[s["name"], n] for s, n, _ in samples]
        print(
            f"| {name} | {len(samples)} | {mean(lines):.1f} ({max(lines)}) | {mean(before):.0f} "
            f"| {mean(words):.1f} | {mean(prompt):.0f} ({min(prompt)} to {max(prompt)}) |"
        )


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Prints the tables of a README of benchmark/gs450*, from the benchmark and the goldens beside it.

Usage: gs450_statistics.py [gs450 | gs450-2]
"""

import json
import re
import sys
import tomllib
from itertools import product
from os.path import commonprefix
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).parents[1]
GOLDENS = {"gs450": "cases.json", "gs450-2": "cases-2.json"}


def prompt(of_type, subtype, sample):
    """The demonstrations and the query of a sample, as the harness writes them."""
    pairs = subtype.get("demonstration", of_type.get("demonstration", []))
    shown = "".join(f"# {pair['input']}\n{pair['output']}\n\n" for pair in pairs)
    return shown, f"# {sample['intent']}\n{sample['before']}"


def words(text):
    """Names, numbers and signs of a text."""
    return set(re.findall(r"\w+|[^\w\s]", text))


def similarity(one, other):
    """Share of the characters in the common beginning, and of common words in the queries."""
    texts = ["".join(one), "".join(other)]
    begin = 2 * len(commonprefix(texts)) / sum(map(len, texts))
    ours, theirs = words(one[1]), words(other[1])
    return begin, len(ours & theirs) / len(ours | theirs)


def main():
    """One row for each type."""
    version = sys.argv[1] if len(sys.argv) > 1 else "gs450-2"
    folder = ROOT / "benchmark" / version
    cases = json.loads((ROOT / "scripts/goldens/codegen_tokenizer" / GOLDENS[version]).read_text())
    tokens = {(subtype, sample): count for subtype, sample, _, count, _, _ in cases}
    for name in tomllib.loads((folder / "benchmark.toml").read_text())["types"]:
        of_type = tomllib.loads((folder / f"{name}.toml").read_text())
        of = of_type["subtype"]
        samples = [(s, n, sample) for s in of for n, sample in enumerate(s["sample"], 1)]
        code = [x["before"] + s["argmax"] + x["after"] for s, _, x in samples]
        lines = [text.count("\n") + 1 for text in code]
        before = [len(x["before"]) for _, _, x in samples]
        intent = [len(x["intent"].split()) for _, _, x in samples]
        length = [tokens[s["name"], n] for s, n, _ in samples]
        found = {True: [], False: []}
        for (a, n, x), (b, m, y) in product(samples, samples):
            if (a["name"], n) != (b["name"], m):
                pair = similarity(prompt(of_type, a, x), prompt(of_type, b, y))
                found[a["name"] == b["name"]].append(pair)
        shares = [f"{mean(share):.2f}" for same in found.values() for share in zip(*same)]
        print(
            f"| {name} | {len(samples)} | {mean(lines):.1f} ({max(lines)}) | {mean(before):.0f} "
            f"| {mean(intent):.1f} | {mean(length):.0f} ({min(length)} to {max(length)}) "
            f"| {shares[0]} / {shares[2]} | {shares[1]} / {shares[3]} |"
        )


if __name__ == "__main__":
    main()

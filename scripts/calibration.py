#!/usr/bin/env python3
"""Prints the settings of the calibration with the figures that its rules compare (configs/calibration.toml).

Usage: calibration.py [PATCHING-RUN PROBING-RUN], by default the published runs.
"""

import csv
import sys
import tomllib
from math import log
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published"
DATASETS = ["FIMAX", "CoNaLa", "SPoC"]
# Settings that solve less are not careful.
SOLVED = 0.95


def table(run, name):
    """The rows of a table by label, each a dictionary from heading to number."""
    with open(run / f"tables/{name}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    label = next(iter(rows[0]))
    number = lambda cell: float(cell) if cell else None
    return {row[label]: {k: number(v) for k, v in row.items() if k != label} for row in rows}


def paper(source, row):
    """A row of a table of the paper, as (group, column) to number."""
    found = tomllib.loads((ROOT / "configs" / "published.toml").read_text(encoding="utf-8"))[source]
    heads = [(group["title"], column) for group in found["group"] for column in group["columns"]]
    return dict(zip(heads, found["rows"][row]))


def distance(setting, costs, details, probes):
    """Mean of |ln(ours / paper's)| over the figures of RQ1 to RQ3."""
    ours, theirs = [], []
    nc, parts = paper("table4", "MENT"), paper("table5", "MENT")
    for name in DATASETS:
        errors = details[setting][f"LLM errors {name}"]
        skipped = details[setting][f"SkipAction Rate {name}"] * errors
        ours += [
            (skipped + 0.5) / (errors + 1),
            details[setting][f"Avg. #PatchedNeuron {name}"],
            costs[setting][f"Avg. NeuronCost (NC) {name}"],
        ]
        theirs += [
            parts["SkipAction Rate", name],
            parts["Avg. #PatchedNeuron", name],
            nc["Avg. NeuronCost (NC)", name],
        ]
    for (group, column), value in paper("table6", "MENT [std.]").items():
        ours.append(probes[setting][f"{group} {column}"])
        theirs.append(value)
    return mean(abs(log(a / b)) for a, b in zip(ours, theirs))


def main():
    """One row for each setting, and the settings that the rules choose."""
    given = [Path(argument) for argument in sys.argv[1:]]
    patching, probing = given or [PUBLISHED / "calibration", PUBLISHED / "calibration-probing"]
    costs, details = table(patching, "table4"), table(patching, "table5")
    kept, probes = table(patching, "side_effects"), table(probing, "table6")
    heads = ["setting", "skipped", "patches", "neurons", "NC", "kept", "solved × kept", "TC, s"]
    heads += ["G rank", "G prob", "S rank", "S prob", "NC, RQ3", "distance to the paper"]
    print("| " + " | ".join(heads) + " |")
    print("|---|" + "---:|" * (len(heads) - 1))
    rows = {}
    for setting in (name for name in details if name in probes):
        skipped = details[setting]["SkipAction Rate All"]
        share = kept[setting]["Kept All"]
        rows[setting] = {
            "solved": 1 - skipped,
            "product": (1 - skipped) * share,
            "distance": distance(setting, costs, details, probes),
        }
        cells = [
            f"{100 * skipped:.1f} %",
            f"{details[setting]['Avg. #PatchedNeuron All']:.3f}",
            f"{details[setting]['distinct neurons All']:.3f}",
            f"{costs[setting]['Avg. NeuronCost (NC) All']:.3f}",
            f"{100 * share:.1f} %",
            f"{100 * rows[setting]['product']:.1f} %",
            f"{costs[setting]['Avg. TimeCost (TC) All']:.2f}",
            *(f"{value:.3f}" for value in probes[setting].values()),
            f"{rows[setting]['distance']:.3f}",
        ]
        print(f"| {setting} | " + " | ".join(cells) + " |")
    once = [setting for setting in rows if "again" not in setting]
    careful = [setting for setting in rows if rows[setting]["solved"] >= SOLVED]
    print("\npaper:", min(once, key=lambda setting: rows[setting]["distance"]))
    print("careful:", max(careful, key=lambda setting: rows[setting]["product"]))


if __name__ == "__main__":
    main()

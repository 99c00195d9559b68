"""The division of the pairs: duplicates dropped, whole modules set aside for inference, and a sample."""

import hashlib
import re
from dataclasses import replace

UNIT = 3  # parts of a module's path that make it one unit with its neighbours
SHARE = 10  # one unit in so many goes to the inference pool
INFERENCE = 1000
SAMPLE = {"retrieval": 80, "inference": 32}
DUPLICATE = "input that another pair has"
LEFT_OVER = "left over from the inference pool"


def rank(*texts):
    """A number that the texts decide, and nothing else."""
    return int.from_bytes(hashlib.sha256("\0".join(texts).encode()).digest()[:8], "big")


def unit(pair):
    """The module that a pair belongs to, to a depth of three: `networkx.algorithms.centrality`."""
    return ".".join(pair.unit.split(".")[:UNIT])


def named(pairs):
    """The pairs by id: library, API, and a running number where one API has several docstrings."""
    seen, found = {}, {}
    for pair in pairs:
        seen[pair.api] = seen.get(pair.api, 0) + 1
        found[f"{pair.library}:{pair.api}#{seen[pair.api]}"] = pair
    return found


def deduplicated(pairs):
    """The pairs by id, of equal inputs only the first in their order; the others with a reason.

    Inputs are compared without case, white space and punctuation.
    """
    taken, result = set(), {}
    for name, pair in pairs.items():
        if pair.reason is None:
            key = " ".join(re.findall(r"\w+", pair.input.casefold()))
            pair = replace(pair, reason=DUPLICATE) if key in taken else pair
            taken.add(key)
        result[name] = pair
    return result


def divided(pairs):
    """The ids of each division, sorted, and of what the pool has over."""
    kept = {name: pair for name, pair in pairs.items() if pair.reason is None}
    pool = [name for name, pair in kept.items() if rank(pair.library, unit(pair)) % SHARE == 0]
    pool.sort(key=rank)
    divisions = {"retrieval": sorted(set(kept) - set(pool)), "inference": sorted(pool[:INFERENCE])}
    return divisions, sorted(pool[INFERENCE:])


def sampled(divisions, pairs, libraries):
    """A part of each division: one pair of each library in turn, in the order of the hash of the id."""
    sample = {}
    for division, size in SAMPLE.items():
        of_library = {
            library: sorted(
                (name for name in divisions[division] if pairs[name].library == library), key=rank
            )
            for library in libraries
        }
        rows = max(map(len, of_library.values()), default=0)
        turns = [of_library[library][row : row + 1] for row in range(rows) for library in libraries]
        sample[division] = sorted([name for turn in turns for name in turn][:size])
    return sample

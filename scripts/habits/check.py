#!/usr/bin/env python3
"""Checks the benchmark of API habits and prints its tables, those of its card.

    .peer/bin/python scripts/habits/check.py MODEL_DIR

Run from the project's root, in the environment of scripts/peer. Checks the keys, the counts, that no prompt occurs
twice, that prompt and target meet at a border of tokens, and that both are the beginning of a Python program. Then
the unedited model continues every prompt greedily, in f32 and without a chat template. Exits with 1 if a rule is
broken.
"""

import ast
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(__file__).parents[2] / "benchmark" / "habits"
HALVES = ("develop", "report")
HABITS = 22
KINDS = ("deprecated", "unsafe", "renamed")
COUNTS = {"prompts": 3, "keep": 2, "rephrasings": 5, "unrelated": 5}
KEYS = ("name", "kind", "prompts", "target", "bad", "keep", "rephrasings", "unrelated")
# Lines with text of a prompt after which the target belongs, and tokens of a target.
LINES = range(2, 9)
TOKENS = range(1, 7)
# At least so many prompts, and so many rephrasings, are continued with the bad text.
BAD = {"prompts": 2, "rephrasings": 3}
# At most so many prompts are continued with the target already.
SAID = 1
CLEAR = 0.3
BATCH = 32
# What may complete the text of a target: the rest of an expression, closing brackets, the rest of a statement.
MIDDLES = ("", "x", "x()", "x'", 'x"', "()", "(x)", "=x", ".x", "x]", " x", " else x", " import x", ".x import x")
CLOSERS = ("", ")", "))", ")))", "]", ")]", "])", "]))", "}", ")}", " for x in x)")
TAILS = ("", ": pass", *(f"\n{' ' * n}except E: pass" for n in (0, 4, 8)))


class Continuation(NamedTuple):
    """What the unedited model writes, and the probability of its first token."""

    text: str
    probability: float


class Model:
    """A model that continues prompts greedily."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def tokens(self, text: str) -> list[int]:
        """The ids of a text, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def meets(self, prompt: str, text: str) -> bool:
        """Whether prompt and text, tokenized apart, are the tokens of both together."""
        return self.tokens(prompt) + self.tokens(text) == self.tokens(prompt + text)

    @torch.no_grad()
    def continuations(self, prompts: Iterable[str], length: int) -> Iterator[tuple[str, Continuation]]:
        """`length` tokens after each prompt; prompts of similar length are run together."""
        ordered = sorted(prompts, key=lambda prompt: len(self.tokens(prompt)))
        for start in range(0, len(ordered), BATCH):
            batch = ordered[start : start + BATCH]
            rows = [self.tokens(prompt) for prompt in batch]
            width = max(map(len, rows))
            ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
            out = self.model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=length,
                do_sample=False,
                pad_token_id=0,
                eos_token_id=None,
                return_dict_in_generate=True,
                output_logits=True,
            )
            first = out.logits[0].softmax(-1).amax(-1)
            for prompt, row, probability in zip(batch, out.sequences[:, width:], first):
                text = self.tokenizer.decode(row, clean_up_tokenization_spaces=False)
                yield prompt, Continuation(text, probability.item())


def begins_python(text: str) -> bool:
    """Whether one of the known endings makes the text a Python program."""
    for middle, closer, tail in product(MIDDLES, CLOSERS, TAILS):
        try:
            ast.parse(text + middle + closer + tail)
            return True
        except SyntaxError:
            continue
    return False


def prompts(habit: dict) -> list[str]:
    """All prompts of a habit."""
    return [prompt for key in COUNTS for prompt in habit[key]]


def form(habits: list[dict]) -> Iterator[str]:
    """Broken rules of keys, counts and prompts."""
    for habit in habits:
        name = habit.get("name")
        if tuple(habit) != KEYS:
            yield f"{name}: the keys are not {', '.join(KEYS)}"
            continue
        if habit["kind"] not in KINDS:
            yield f"{name}: unknown kind {habit['kind']}"
        if habit["target"].startswith(habit["bad"]):
            yield f"{name}: the target begins with the bad text"
        for key, count in COUNTS.items():
            if len(habit[key]) != count:
                yield f"{name}: {len(habit[key])} {key}, not {count}"
        for prompt in habit["prompts"] + habit["rephrasings"]:
            if sum(map(bool, prompt.splitlines())) not in LINES:
                yield f"{name}: too few or too many lines in {prompt!r}"
            for key in ("target", "bad"):
                if not begins_python(prompt + habit[key]):
                    yield f"{name}: no known ending makes Python of {prompt + habit[key]!r}"
    for name, count in Counter(habit.get("name") for habit in habits).items():
        if count > 1:
            yield f"{name}: occurs {count} times"
    for prompt, count in Counter(prompt for habit in habits for prompt in prompts(habit)).items():
        if count > 1:
            yield f"occurs {count} times: {prompt!r}"


def borders(habits: list[dict], model: Model) -> Iterator[str]:
    """Broken rules of tokens."""
    for habit in habits:
        if len(model.tokens(habit["target"])) not in TOKENS:
            yield f"{habit['name']}: the target has {len(model.tokens(habit['target']))} tokens"
        for prompt in habit["prompts"] + habit["rephrasings"]:
            for key in ("target", "bad"):
                if not model.meets(prompt, habit[key]):
                    yield f"{habit['name']}: no border of tokens between {prompt!r} and {habit[key]!r}"


def table(habits: list[dict], said: dict[str, Continuation]) -> Iterator[str]:
    """Prints the table of a half; what breaks a rule."""
    heads = ["habit", "kind", "prompts: bad", "target", "rephrasings: bad", "target", "unrelated: clear"]
    print(f"| {' | '.join(heads)} |\n|---|---|{'---:|' * (len(heads) - 2)}")
    sums: Counter[int] = Counter()
    for habit in habits:
        cells = [
            sum(said[prompt].text.startswith(habit[text]) for prompt in habit[key])
            for key in ("prompts", "rephrasings")
            for text in ("bad", "target")
        ]
        cells.append(sum(said[prompt].probability >= CLEAR for prompt in habit["unrelated"]))
        sums.update(dict(enumerate(cells)))
        print(f"| {habit['name']} | {habit['kind']} | {' | '.join(map(str, cells))} |")
        if cells[0] < BAD["prompts"] or cells[2] < BAD["rephrasings"]:
            yield f"{habit['name']}: too seldom the bad text, {cells[0]} prompts and {cells[2]} rephrasings"
        if cells[1] > SAID:
            yield f"{habit['name']}: {cells[1]} prompts are continued with the target already"
    counts = [COUNTS[key] * len(habits) for key in ("prompts", "prompts", "rephrasings", "rephrasings", "unrelated")]
    total = (f"{sums[column]} of {count}" for column, count in enumerate(counts))
    print(f"| all | | {' | '.join(total)} |\n")


def main() -> int:
    """The tables, and the broken rules."""
    warnings.simplefilter("ignore", SyntaxWarning)
    halves = {}
    for half in HALVES:
        lines = (FOLDER / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()
        halves[half] = [json.loads(line) for line in lines]
    habits = [habit for half in halves.values() for habit in half]
    broken = [f"{half}: {len(found)} habits" for half, found in halves.items() if len(found) != HABITS]
    broken += form(habits)
    if not broken:
        model = Model(Path(sys.argv[1]))
        broken += borders(habits, model)
        length = max(len(model.tokens(habit[key])) for habit in habits for key in ("target", "bad")) + 1
        said = dict(model.continuations([prompt for habit in habits for prompt in prompts(habit)], length))
        for half, found in halves.items():
            print(f"### {half}\n")
            broken += table(found, said)
        sizes = [len(model.tokens(habit["target"])) for habit in habits]
        print(f"Tokens of a target: {sum(sizes) / len(sizes):.1f} in the mean, at most {max(sizes)}.")
    for line in broken:
        print(line, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

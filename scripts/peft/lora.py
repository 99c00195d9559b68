"""Low-rank adaptation of all linear matrices of a model by the `peft` library, as a baseline for model editing.

Run: python lora.py MODEL_DIR REQUESTS.jsonl --mode one|together|sequence|hint --out RESULT.json
README.md says what is trained and what is measured.
"""

import argparse
import hashlib
import json
import math
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import peft
import torch
import transformers
from torch import Tensor, nn

Json = dict[str, Any]
Ids = list[int]

KEPT = Path(__file__).parents[2] / "harness/src/own_model/kept/kept.txt"
BEYOND = 8  # tokens that may be written beyond the length of a target
UNRELATED = 8  # tokens that are to stay as they were after another prompt


class Text:
    """The tokenizer, with prompts and what follows them cut apart."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def prompt(self, text: str) -> Ids:
        """Ids of a text that a sequence begins with."""
        return self.tokenizer(text)["input_ids"]

    def target(self, text: str) -> Ids:
        """Ids of a text that follows another."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decoded(self, ids: Ids) -> str:
        """The text of a whole sequence."""
        return self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    def continuation(self, prompt: Ids, ids: Ids) -> str:
        """The text of `ids` after a prompt; a character that is not whole yet is left out."""
        return self.decoded(prompt + ids)[len(self.decoded(prompt)) :].rstrip("\ufffd")


@dataclass(frozen=True)
class Request:
    """One line of the requests, as ids."""

    name: str
    kind: str | None
    prompts: list[Ids]
    target: Ids
    keep: list[Ids]
    rephrasings: list[Ids]
    unrelated: list[Ids]

    @staticmethod
    def read(file: Path, text: Text) -> list["Request"]:
        """All lines of a file."""
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        return [Request.of(line, number, text) for number, line in enumerate(lines, 1)]

    @staticmethod
    def of(line: Json, number: int, text: Text) -> "Request":
        """A line that was parsed."""
        lists = ("keep", "rephrasings", "unrelated")
        ids = {key: [text.prompt(one) for one in line.get(key, [])] for key in lists}
        prompts, target = [text.prompt(one) for one in line["prompts"]], text.target(line["target"])
        if not (prompts and all(prompts) and target):
            raise SystemExit(f"line {number} of the requests: a prompt or the target is empty")
        return Request(line.get("name", f"line {number}"), line.get("kind"), prompts, target, **ids)


@dataclass(frozen=True)
class Reading:
    """What a model says of texts: exp of the mean -ln P of their tokens, and the argmax at every position."""

    perplexity: float
    argmaxes: Ids

    def drift(self, after: "Reading") -> Json:
        """From this reading to another, as `ment patch` counts it; an argmax of -1 (not finite) is a change."""
        pairs = zip(self.argmaxes, after.argmaxes, strict=True)
        changed, positions = sum(a < 0 or b != a for b, a in pairs), len(self.argmaxes)
        perplexities = {"perplexity_before": self.perplexity, "perplexity_after": after.perplexity}
        return perplexities | {"changed": changed, "positions": positions, "share": changed / positions}


def texts_of(file: Path, text: Text) -> list[Ids]:
    """The texts between lines `---`, without line ends around them."""
    parts = (part.strip("\n") for part in re.split(r"^---[^\S\n]*$", file.read_text(), flags=re.MULTILINE))
    return [text.prompt(part) for part in parts if part.strip()]


def forward(model: nn.Module, ids: Ids, **options: Any) -> Any:
    """A forward of one sequence."""
    return model(torch.tensor([ids]), **options)


def argmaxes(logits: Tensor) -> Ids:
    """At every position of logits `[T, V]`; -1 where they are not finite."""
    return logits.argmax(-1).masked_fill(~logits.isfinite().all(-1), -1).tolist()


def says(model: nn.Module, prompt: Ids, target: Ids) -> list[bool]:
    """Whether each token of a target is the argmax, those before it given."""
    logits = forward(model, prompt + target[:-1], use_cache=False, logits_to_keep=len(target)).logits[0]
    return [said == wanted for said, wanted in zip(argmaxes(logits), target, strict=True)]


def written(model: nn.Module, prompt: Ids, tokens: int, goes_on: Callable[[Ids], bool] = lambda _: True) -> Ids:
    """Greedily after a prompt, while `goes_on`; with the end of sequence, if it is reached."""
    ends, ids, cache, fed = model.generation_config.eos_token_id, [], None, prompt
    ends = ends if isinstance(ends, list) else [ends]
    while len(ids) < tokens and goes_on(ids) and not (ids and ids[-1] in ends):
        out = forward(model, fed, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, fed = out.past_key_values, argmaxes(out.logits[0])
        if fed[0] < 0:
            break
        ids += fed
    return ids


def read(model: nn.Module, texts: list[Ids]) -> Reading:
    """The perplexity of texts, and what is predicted in them."""
    total, tokens, said = 0.0, 0, []
    for ids in texts:
        logits = forward(model, ids, use_cache=False).logits[0]
        said += argmaxes(logits)
        losses = nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
        total, tokens = total + losses.sum(dtype=torch.float64).item(), tokens + len(ids) - 1
    mean = total / tokens
    return Reading(math.exp(min(mean, 700.0) if math.isfinite(mean) else 700.0), said)


class Measure:
    """What is measured on an edited model, against the unedited one."""

    def __init__(self, base: nn.Module, requests: list[Request], kept: list[Ids], text: Text) -> None:
        self.kept, self.text = kept, text
        others = [prompt for request in requests for prompt in request.keep + request.unrelated]
        self.others = {tuple(prompt): written(base, prompt, UNRELATED) for prompt in others}
        self.before = read(base, kept)
        self.hint: Ids = []  # stands before each prompt of the edited model

    def begins(self, model: nn.Module, prompt: Ids, target: Ids) -> Json:
        """Whether what is written after a prompt alone, or after hint and prompt, begins with the target."""
        wanted = self.text.continuation(prompt, target)

        def open_yet(ids: Ids) -> bool:
            text = self.text.continuation(prompt, ids)
            return wanted.startswith(text) and text != wanted

        ids = written(model, self.hint + prompt, len(target) + BEYOND, open_yet)
        text = self.text.continuation(prompt, ids)
        return {"right": text.startswith(wanted), "text": text}

    def unchanged(self, model: nn.Module, prompt: Ids) -> bool:
        """Whether the first tokens after a prompt are those of the unedited model."""
        return all(says(model, self.hint + prompt, self.others[tuple(prompt)]))

    def request(self, model: nn.Module, request: Request) -> Json:
        """All that is measured of one request."""
        forced = [says(model, self.hint + prompt, request.target) for prompt in request.prompts]
        free = [self.begins(model, prompt, request.target) for prompt in request.prompts]
        rephrasings = [self.begins(model, prompt, request.target) for prompt in request.rephrasings]
        return {
            "name": request.name,
            "kind": request.kind,
            "repaired": all(map(all, forced)),
            "free": all(one["right"] for one in free),
            "forced": forced,
            "written": free,
            "rephrasings": rephrasings,
            "keep_unchanged": [self.unchanged(model, prompt) for prompt in request.keep],
            "unrelated_unchanged": [self.unchanged(model, prompt) for prompt in request.unrelated],
        }

    def drift(self, model: nn.Module) -> Json:
        """On the kept texts."""
        return self.before.drift(read(model, self.kept))


def padded(sequences: list[Ids]) -> dict[str, Tensor]:
    """Sequences as a batch `[B, T]`, padded on the right."""
    rows = [torch.tensor(ids) for ids in sequences]
    pad = nn.utils.rnn.pad_sequence
    return {"input_ids": pad(rows, True), "attention_mask": pad([torch.ones_like(row) for row in rows], True)}


@dataclass
class Replay:
    """Texts on which an edited model is held to the predictions of the unedited one."""

    base: nn.Module
    texts: list[Ids]
    count: int
    chance: random.Random
    known: dict[int, Tensor] = field(default_factory=dict)

    def prepare(self) -> None:
        """Reads the unedited model's log-probabilities `[T, V]` of each text."""
        if self.count:
            each = (forward(self.base, ids, use_cache=False).logits[0].log_softmax(-1) for ids in self.texts)
            self.known = dict(enumerate(each))

    def loss(self, model: nn.Module) -> Tensor:
        """KL(unedited ‖ edited), mean over all positions of some texts drawn at random."""
        drawn = self.chance.sample(range(len(self.texts)), self.count)
        after = [forward(model, self.texts[i], use_cache=False).logits[0].log_softmax(-1) for i in drawn]
        before = torch.cat([self.known[i] for i in drawn])
        return nn.functional.kl_div(torch.cat(after), before, reduction="batchmean", log_target=True)


class Lora:
    """Adapters for a model, and how they are trained."""

    def __init__(self, base: nn.Module, replay: Replay, options: argparse.Namespace) -> None:
        self.base, self.replay, self.options = base, replay, options
        self.chance = random.Random(options.seed)

    @cached_property
    def config(self) -> peft.LoraConfig:
        """All linear matrices but the head."""
        return peft.LoraConfig(
            r=self.options.rank,
            lora_alpha=self.options.alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )

    @contextmanager
    def adapted(self) -> Iterator[nn.Module]:
        """The model with a fresh adapter, which is dropped again; with --tune, a matrix of the model itself."""
        torch.manual_seed(self.options.seed)
        if self.options.tune is not None:
            matrix = self.base.model.layers[self.options.tune].mlp.down_proj.weight
            before = matrix.detach().clone()
            matrix.requires_grad_(True)
            try:
                yield self.base
            finally:
                matrix.requires_grad_(False).copy_(before)
            return
        model = peft.get_peft_model(self.base, self.config)
        try:
            yield model
        finally:
            model.unload()

    def train(self, model: nn.Module, requests: list[Request]) -> Json:
        """Adam, until every token of every target is the argmax or the passes are spent."""
        start, updates, held = time.process_time(), 0, False
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        adam = torch.optim.Adam(parameters, lr=self.options.rate)
        for _ in range(self.options.steps):
            done = sum(self.step(model, adam, batch) for batch in self.batches(requests))
            updates, held = updates + done, not done
            if held:
                break
        return {"updates": updates, "held": held, "cpu_seconds": time.process_time() - start}

    def batches(self, requests: list[Request]) -> list[list[Request]]:
        """The requests in minibatches, in a new order."""
        order, size = self.chance.sample(requests, len(requests)), self.options.batch
        return [order[first : first + size] for first in range(0, len(order), size)]

    @torch.enable_grad()
    def step(self, model: nn.Module, adam: torch.optim.Optimizer, batch: list[Request]) -> bool:
        """One update, unless the batch holds already."""
        loss, holds = self.loss(model, [(prompt, r.target) for r in batch for prompt in r.prompts])
        if holds:
            return False
        if self.replay.count:
            loss = loss + self.replay.loss(model)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return True

    def loss(self, model: nn.Module, pairs: list[tuple[Ids, Ids]]) -> tuple[Tensor, bool]:
        """Mean cross-entropy of the tokens of the targets, and whether each is the argmax."""
        inputs = padded([prompt + target[:-1] for prompt, target in pairs])
        first = min(len(prompt) for prompt, _ in pairs) - 1
        logits = model(**inputs, use_cache=False, logits_to_keep=inputs["input_ids"].shape[1] - first).logits
        starts = [len(prompt) - 1 - first for prompt, _ in pairs]
        rows = zip(logits, starts, pairs, strict=True)
        at = torch.cat([row[start : start + len(target)] for row, start, (_, target) in rows])
        wanted = torch.tensor([token for _, target in pairs for token in target])
        return nn.functional.cross_entropy(at, wanted), torch.equal(at.argmax(-1), wanted)


def size_of(model: nn.Module) -> Json:
    """Matrices that an adapter changes, their entries, and the numbers that describe the change."""
    tuned = [own.numel() for name, own in model.named_parameters() if own.requires_grad and "lora" not in name]
    if tuned:
        return {"matrices": len(tuned), "entries": sum(tuned), "parameters": sum(tuned)}
    layers = [module for module in model.modules() if isinstance(module, peft.tuners.lora.LoraLayer)]
    changed = [layer for layer in layers if layer.get_delta_weight("default").any()]
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    entries = sum(layer.get_base_layer().weight.numel() for layer in changed)
    return {"matrices": len(changed), "entries": entries, "parameters": parameters}


def one_by_one(lora: Lora, requests: list[Request], measure: Measure) -> tuple[list[Json], list[Json]]:
    """Each request alone in an adapter of its own: its figures, and those of its adapter."""
    figures, adapters = [], []
    for request in requests:
        with lora.adapted() as model:
            trained = lora.train(model, [request])
            figures.append(measure.request(model, request) | {"trained": trained})
            adapters.append({"size": size_of(model), "kept": measure.drift(model)})
        say(figures[-1])
    return figures, adapters


def at_once(lora: Lora, requests: list[Request], measure: Measure) -> tuple[list[Json], list[Json]]:
    """All requests in one adapter, trained on together or one after the other."""
    with lora.adapted() as model:
        if lora.options.mode == "together":
            trained, each = lora.train(model, requests), [{} for _ in requests]
        else:
            trained, each = {}, [{"trained": lora.train(model, [request])} for request in requests]
        figures = [measure.request(model, request) | own for request, own in zip(requests, each, strict=True)]
        adapter = {"size": size_of(model), "kept": measure.drift(model)}
    for own in figures:
        say(own)
    return figures, [adapter | ({"trained": trained} if trained else {})]


def hinted(lora: Lora, requests: list[Request], measure: Measure) -> tuple[list[Json], list[Json]]:
    """No training: the first prompt of a request and its target stand before each of its prompts."""
    figures = []
    for request in requests:
        measure.hint = request.prompts[0] + request.target + measure.text.target("\n\n")
        figures.append(measure.request(lora.base, request))
        say(figures[-1])
    measure.hint = []
    size = {"matrices": 0, "entries": 0, "parameters": 0}
    return figures, [{"size": size, "kept": measure.drift(lora.base)}]


def say(figures: Json) -> None:
    """A line on a request, for who waits."""
    print(f"{figures['name']}: {'' if figures['repaired'] else 'not '}repaired", file=sys.stderr)


def summary(figures: list[Json], adapters: list[Json]) -> Json:
    """Counts over requests and prompts, means over adapters."""
    rephrasings = [one["right"] for own in figures for one in own["rephrasings"]]
    keep = [one for own in figures for one in own["keep_unchanged"]]
    unrelated = [one for own in figures for one in own["unrelated_unchanged"]]
    trained = [own["trained"] for own in figures + adapters if "trained" in own]
    kept = [adapter["kept"] for adapter in adapters]
    return {
        "requests": len(figures),
        "repaired": sum(own["repaired"] for own in figures),
        "free": sum(own["free"] for own in figures),
        "rephrasings": len(rephrasings),
        "rephrasings_right": sum(rephrasings),
        "keep": len(keep),
        "keep_unchanged": sum(keep),
        "unrelated": len(unrelated),
        "unrelated_unchanged": sum(unrelated),
        "kept_share": fmean(one["share"] for one in kept),
        "perplexity_before": kept[0]["perplexity_before"],
        "perplexity_after": fmean(one["perplexity_after"] for one in kept),
        "parameters": max((adapter["size"]["parameters"] for adapter in adapters if "size" in adapter), default=0),
        "entries": max((adapter["size"]["entries"] for adapter in adapters if "size" in adapter), default=0),
        "updates": sum(one["updates"] for one in trained),
        "cpu_seconds": sum(one["cpu_seconds"] for one in trained),
    }


def table(settings: Json, total: Json) -> str:
    """A Markdown table of one row."""
    cells = {
        "mode": settings["mode"],
        "replay": settings["replay"],
        "repaired": f"{total['repaired']}/{total['requests']}",
        "free": f"{total['free']}/{total['requests']}",
        "rephrasings right": f"{total['rephrasings_right']}/{total['rephrasings']}",
        "keep unchanged": f"{total['keep_unchanged']}/{total['keep']}",
        "unrelated unchanged": f"{total['unrelated_unchanged']}/{total['unrelated']}",
        "kept: another top-1": f"{total['kept_share']:.2%}",
        "kept: perplexity": f"{total['perplexity_before']:.3f} → {total['perplexity_after']:.3f}",
        "parameters": f"{total['parameters']:,}",
        "weights changed": f"{total['entries']:,}",
        "updates": total["updates"],
        "training, CPU s": f"{total['cpu_seconds']:.1f}",
    }
    rows = [cells.keys(), ["---"] * 2 + ["---:"] * (len(cells) - 2), map(str, cells.values())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("requests", type=Path, metavar="REQUESTS.jsonl")
    parser.add_argument("--mode", choices=["one", "together", "sequence", "hint"], required=True)
    parser.add_argument("--tune", type=int, metavar="LAYER", help="train its FFN output matrix, and no adapter")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=32)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--steps", type=int, default=25, help="passes over what is trained on, at most")
    parser.add_argument("--batch", type=int, default=4, help="requests in a minibatch (together)")
    parser.add_argument("--replay", type=int, default=0, metavar="N", help="replayed texts in a step")
    parser.add_argument("--replay-from", type=Path, metavar="FILE", help="texts to replay; the kept ones if not given")
    parser.add_argument("--keep", type=Path, default=KEPT, metavar="FILE", help="texts between lines ---")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="RESULT.json")
    return parser.parse_args()


def settings_of(options: argparse.Namespace) -> Json:
    """All settings, with the names and hashes of files, and the versions of libraries."""
    files = {key: path for key, path in vars(options).items() if isinstance(path, Path) and key != "out"}
    names = {key: path.resolve().name for key, path in files.items()}
    hashes = {key: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in files.items() if path.is_file()}
    libraries = {library.__name__: library.__version__ for library in (peft, torch, transformers)}
    more = {"threads": torch.get_num_threads(), "sha256": hashes, "versions": libraries}
    return {key: value for key, value in vars(options).items() if key != "out"} | names | more


@torch.no_grad()
def main() -> None:
    """Loads the model, trains, measures, and writes the result."""
    options = arguments()
    warnings.simplefilter("ignore", FutureWarning)  # peft's use of transformers
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    load = transformers.AutoModelForCausalLM.from_pretrained
    base = load(options.model, dtype=torch.float32, local_files_only=True).eval().requires_grad_(False)
    text = Text(options.model)
    requests, kept = Request.read(options.requests, text), texts_of(options.keep, text)

    measure = Measure(base, requests, kept, text)
    before = [measure.request(base, request) for request in requests]
    replayed = texts_of(options.replay_from, text) if options.replay_from else kept
    if options.replay > len(replayed):
        raise SystemExit(f"there are {len(replayed)} texts to replay; --replay {options.replay} wants more")
    replay = Replay(base, replayed, options.replay, random.Random(options.seed))
    replay.prepare()
    run = {"one": one_by_one, "hint": hinted}.get(options.mode, at_once)
    figures, adapters = run(Lora(base, replay, options), requests, measure)
    left = measure.drift(base)
    if read(base, kept) != measure.before:
        raise SystemExit("the model is not what it was before the adapter")

    unedited = summary(before, [{"kept": left}])
    result = {"settings": settings_of(options), "before": unedited, "after": summary(figures, adapters)}
    result |= {"adapters": adapters, "requests": figures, "requests_before": before}
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    print(table(result["settings"], result["after"]))


if __name__ == "__main__":
    main()

"""The updates of fine-tuning, LoRA, ROME, MEMIT, AlphaEdit and Joint on the checkpoint `tiny`, by plain PyTorch.

Everything is written as the papers have it: whole forward passes with the change in a hook, autograd, dense inverses.
`editors.json` holds the prompts, targets and settings; `editors.safetensors` the change of each layer's FFN output
matrix, by method, prompt and layer, and what Joint changes of a neuron, by request; `editors.txt` is the text that keys are estimated on.

Regenerate, after models.py: python editors.py
"""

import json
import random
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "peer"))

import plain_editors  # noqa: E402

ESSENCE = " is a"
PREFIXES = 2
BACK = 1
SPAN = {"clamp": 12.0, "decay": 0.0}

SETTINGS = {
    "fine_tuning": {"layer": 1, "steps": 25, "rate": 5e-3, "bound": 0.02},
    "lora": {"rank": 4, "alpha": 8.0, "steps": 25, "rate": 5e-3, "seed": 0},
    "rome": {"layer": 1, "steps": 20, "rate": 0.5, "decay": 0.5, "clamp": 4.0, "divergence": 0.0625},
    "memit": {"layers": [0, 1], "weight": 2.0, "steps": 25, "rate": 0.5, "decay": 0.5, "clamp": 4.0, "divergence": 0.0625},
    "alpha_edit": {"layers": [0, 1], "threshold": 0.02, "ridge": 1e-3, "steps": 25, "rate": 0.5, "decay": 0.5,
                   "clamp": 4.0, "divergence": 0.0625},
}
JOINT = {"layer": 0, "threshold": 0.3, "slope": 16.0, "margin": 0.7, "pull": 20.0, "keep": 1.0, "others": 1.5, "ridge": 0.01,
         "steps": 40, "rate": 0.1, "enough": 0.9}
# Two requests of two prompts each, for one token; the first holds what follows a text from its third token on.
SET = [
    (["def largest(values):\n    return", "def add(a, b):\n    return"], "print(values)\nfor"),
    (["for value in sorted(", "for item in sorted("], None),
]


def beginnings(text: list[int]) -> list[list[int]]:
    """Beginnings of sequences of the text, as the harness takes them."""
    length = plain_editors.SEQUENCE
    sequences = [text[start : start + length] for start in range(0, len(text), length)]
    lengths = [5 if index < PREFIXES // 2 else 10 for index in range(PREFIXES)]
    return [sequences[index * len(sequences) // PREFIXES][:length] for index, length in enumerate(lengths)]


def main() -> None:
    load = AutoModelForCausalLM.from_pretrained
    model = load(HERE / "tiny", dtype=torch.float32, attn_implementation="eager").eval().requires_grad_(False)
    tokenizer = Tokenizer.from_file(str(HERE / "tiny/tokenizer.json"))
    editor = plain_editors.Editor(model, tokenizer.encode(ESSENCE).ids)
    rng = random.Random(3)
    words = ["value", "values", "print", "return", "for", "in", "sorted", "(", ")", ":", "=", "0", "1", "def", "largest"]
    text = " ".join(rng.choice(words) + rng.choice(["", "\n", ", ", str(rng.randrange(99))]) for _ in range(220))
    (HERE / "editors.txt").write_text(text)
    ids = tokenizer.encode(text).ids
    moments = editor.second_moments(ids)
    tensors, cases = {}, []
    prompts = ["def largest(values):\n    return", "for value in sorted("]
    for number, prompt in enumerate(prompts):
        own = tokenizer.encode(prompt).ids
        best = editor.logits(own).topk(4).indices
        target, second = int(best[3]), int(best[1])
        case = {"ids": own, "methods": {}}
        # ROME once more with a subject before the end, and the second best token.
        spans = [("rome_span", "rome", {"back": BACK, **SETTINGS["rome"], **SPAN})]
        for label, name, settings in [(name, name, settings) for name, settings in SETTINGS.items()] + spans:
            needs_text = name in ("rome", "memit", "alpha_edit")
            extra = {"beginnings": beginnings(ids), "moments": moments} if needs_text else {}
            wanted = target if label == name else second
            updates = getattr(plain_editors, name)(editor, own, wanted, **extra, **settings)
            editor.changes = {layer: (lambda keys, update=update: keys @ update.T) for layer, update in updates.items()}
            now = int(editor.logits(own).argmax())
            editor.changes = {}
            case["methods"][label] = {"target": wanted, "solved": now == wanted}
            print(number, label, now == wanted, {layer: float(update.norm()) for layer, update in updates.items()})
            for layer, update in updates.items():
                tensors[f"{label}.{number}.{layer}"] = update.contiguous()
        cases.append(case)
    requests, said = [], []
    for texts, held in SET:
        own = [tokenizer.encode(text).ids for text in texts]
        target = int(editor.logits(own[0]).topk(4).indices[3])
        keep = [(tokenizer.encode(held).ids, 3)] if held else []
        requests.append({"wanted": [(ids, target) for ids in own], "keep": keep})
    changes, flat = plain_editors.joint(editor, requests, ids, **JOINT)
    neurons = [change.pop("neuron") for change in changes]
    for number, request in enumerate(requests):
        said.append([flat.pop(0) for _ in request["wanted"]])
        print("joint", number, neurons[number], said[-1], float(changes[number]["column"].norm()))
        tensors |= {f"joint.{number}.{name}": own.contiguous() for name, own in changes[number].items()}
    joint = {"settings": JOINT, "requests": requests, "neurons": neurons, "said": said}
    facts = {"joint": joint, "tokens": len(ids), "prefixes": PREFIXES, "back": BACK, "span": SPAN, "settings": SETTINGS, "cases": cases}
    (HERE / "editors.json").write_text(json.dumps(facts, indent=1) + "\n")
    save_file(tensors, HERE / "editors.safetensors")


if __name__ == "__main__":
    main()

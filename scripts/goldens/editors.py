"""The updates of fine-tuning, LoRA, ROME, MEMIT and AlphaEdit on the checkpoint `tiny`, by plain PyTorch.

Everything is written as the papers have it: whole forward passes with the change in a hook, autograd, dense inverses.
`editors.json` holds the prompts, targets and settings; `editors.safetensors` the change of each layer's FFN output
matrix, by method, prompt and layer; `editors.txt` is the text that keys are estimated on.

Regenerate, after models.py: python editors.py
"""

import json
import random
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
SEQUENCE = 256
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


class Editor:
    def __init__(self) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(HERE / "tiny", dtype=torch.float32, attn_implementation="eager")
        self.model.eval().requires_grad_(False)
        self.tokenizer = Tokenizer.from_file(str(HERE / "tiny/tokenizer.json"))
        self.layers = list(self.model.model.layers)
        self.matrices = [layer.mlp.down_proj.weight for layer in self.layers]
        self.changes = {}  # by layer: a function of the post-activations, added to the FFN output
        self.moves = {}  # by layer: (position, vector) added to the residual leaving the layer
        self.keys = {}
        self.outputs = {}
        self.left = {}
        for index, layer in enumerate(self.layers):
            layer.mlp.down_proj.register_forward_hook(self.ffn(index))
            layer.register_forward_hook(self.leaving(index))

    def ffn(self, index):
        def hook(_, args, output):
            self.keys[index] = args[0][0]
            if index in self.changes:
                output = output + self.changes[index](args[0])
            self.outputs[index] = output[0]
            return output

        return hook

    def leaving(self, index):
        def hook(_, args, output):
            whole = output[0] if isinstance(output, tuple) else output
            if index in self.moves:
                position, vector = self.moves[index]
                mark = torch.zeros(1, whole.shape[1], 1)
                mark[0, position] = 1
                whole = whole + mark * vector
            self.left[index] = whole[0]
            return (whole, *output[1:]) if isinstance(output, tuple) else whole

        return hook

    def logits(self, ids):
        return self.model(torch.tensor([ids])).logits[0, -1]

    def second_moments(self, ids):
        """Mean outer product of the keys of each layer."""
        sums = [0.0 for _ in self.layers]
        for start in range(0, len(ids), SEQUENCE):
            self.logits(ids[start : start + SEQUENCE])
            for index in range(len(self.layers)):
                keys = self.keys[index]
                sums[index] = sums[index] + (keys.T @ keys).double()
        return [(total / len(ids)).float().double() for total in sums]


def descend(editor, ids, target, parameters, steps, rate, bound=lambda: None):
    """Adam on the negative log-probability of the target until it is the argmax."""
    optimiser = torch.optim.Adam(parameters, lr=rate)
    for _ in range(steps):
        logits = editor.logits(ids)
        if int(logits.argmax()) == target:
            break
        optimiser.zero_grad()
        (-logits.log_softmax(-1)[target]).backward()
        optimiser.step()
        bound()
    editor.changes = {}


def fine_tuning(editor, ids, target, layer, steps, rate, bound):
    change = torch.zeros_like(editor.matrices[layer]).requires_grad_()
    editor.changes = {layer: lambda keys: keys @ change.T}
    descend(editor, ids, target, [change], steps, rate, lambda: change.data.clamp_(-bound, bound))
    return {layer: change.detach()}


def lora(editor, ids, target, rank, alpha, steps, rate, seed):
    torch.manual_seed(seed)
    width, inner = editor.matrices[0].shape
    pairs = []
    for _ in editor.layers:
        right = torch.empty(rank, inner)
        torch.nn.init.kaiming_uniform_(right, a=5**0.5)
        pairs.append((torch.zeros(width, rank).requires_grad_(), right.requires_grad_()))
    scale = alpha / rank
    editor.changes = {
        index: (lambda keys, left=left, right=right: (keys @ right.T) @ left.T * scale)
        for index, (left, right) in enumerate(pairs)
    }
    descend(editor, ids, target, [factor for pair in pairs for factor in pair], steps, rate)
    return {index: (left @ right * scale).detach() for index, (left, right) in enumerate(pairs)}


def contexts(editor, ids, text):
    """The prompt alone and after other beginnings."""
    sequences = [text[start : start + SEQUENCE] for start in range(0, len(text), SEQUENCE)]
    found = [ids]
    for index in range(PREFIXES):
        length = 5 if index < PREFIXES // 2 else 10
        found.append(sequences[index * len(sequences) // PREFIXES][:length] + ids)
    return found


def optimised(editor, around, target, layer, of_residual, back, steps, rate, decay, clamp, divergence):
    """The original value at the subject, `back` tokens before the end, and the change that makes the target likely."""
    essence = [around[0][-1 - back]] + editor.tokenizer.encode(ESSENCE).ids
    change = torch.zeros(editor.matrices[0].shape[0]).requires_grad_()

    def changed(position):
        if of_residual:
            editor.moves = {layer: (position, change)}
        else:
            def added(keys):
                mark = torch.zeros(1, keys.shape[1], 1)
                mark[0, position] = 1
                return mark * change

            editor.changes = {**own, layer: added}

    own = dict(editor.changes)
    assert layer not in own
    editor.logits(around[0])
    original = (editor.left if of_residual else editor.outputs)[layer][-1 - back].detach()
    before = editor.logits(essence).log_softmax(-1)
    optimiser = torch.optim.Adam([change], lr=rate)
    for step in range(steps):
        likely = []
        for ids in around:
            changed(len(ids) - 1 - back)
            likely.append(editor.logits(ids).log_softmax(-1)[target])
        changed(0)
        now = editor.logits(essence).log_softmax(-1)
        loss = -torch.stack(likely).mean() + decay * change.norm() / original.norm() ** 2
        loss = loss + divergence * torch.nn.functional.kl_div(before, now, log_target=True, reduction="sum")
        if float(loss.detach()) < 0.05 or step == steps - 1:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            most = clamp * original.norm()
            if change.norm() > most:
                change *= most / change.norm()
    editor.changes, editor.moves = own, {}
    return original, change.detach()


def mean_key(editor, around, layer, back):
    keys = []
    for ids in around:
        editor.logits(ids)
        keys.append(editor.keys[layer][-1 - back])
    return torch.stack(keys).mean(0)


def rome(editor, ids, target, text, moments, layer, back=0, **value):
    around = contexts(editor, ids, text)
    original, change = optimised(editor, around, target, layer, False, back, **value)
    key = mean_key(editor, around, layer, back)
    direction = (torch.linalg.inv(moments[layer]) @ key.double()).float()
    direction = direction / direction.norm()
    output = editor.matrices[layer] @ key
    left = (original + change - output) / (key @ direction)
    return {layer: torch.outer(left, direction)}


def spread(editor, ids, target, text, layers, right, back, value):
    around = contexts(editor, ids, text)
    last = layers[-1]
    original, change = optimised(editor, around, target, last, True, back, **value)
    wanted, updates = original + change, {}
    for index, layer in enumerate(layers):
        key = mean_key(editor, around, layer, back)
        editor.logits(ids)
        share = (wanted - editor.left[last][-1 - back]) / (len(layers) - index)
        updates[layer] = torch.outer(share, right(layer, key.double()).float())
        editor.changes[layer] = lambda keys, update=updates[layer]: keys @ update.T
    editor.changes = {}
    return updates


def memit(editor, ids, target, text, moments, layers, weight, back=0, **value):
    def right(layer, key):
        return torch.linalg.solve(weight * moments[layer] + torch.outer(key, key), key)

    return spread(editor, ids, target, text, layers, right, back, value)


def alpha_edit(editor, ids, target, text, moments, layers, threshold, ridge, back=0, **value):
    def right(layer, key):
        values, vectors = torch.linalg.eigh(moments[layer])
        free = vectors[:, values < threshold]
        assert 0 < free.shape[1] < free.shape[0]
        free = free @ free.T
        system = free @ torch.outer(key, key) + ridge * torch.eye(len(key), dtype=torch.double)
        return torch.linalg.solve(system, free @ key)

    return spread(editor, ids, target, text, layers, right, back, value)


def main() -> None:
    editor = Editor()
    rng = random.Random(3)
    words = ["value", "values", "print", "return", "for", "in", "sorted", "(", ")", ":", "=", "0", "1", "def", "largest"]
    text = " ".join(rng.choice(words) + rng.choice(["", "\n", ", ", str(rng.randrange(99))]) for _ in range(220))
    (HERE / "editors.txt").write_text(text)
    ids = editor.tokenizer.encode(text).ids
    moments = editor.second_moments(ids)
    tensors, cases = {}, []
    prompts = ["def largest(values):\n    return", "for value in sorted("]
    for number, prompt in enumerate(prompts):
        own = editor.tokenizer.encode(prompt).ids
        best = editor.logits(own).topk(4).indices
        target, second = int(best[3]), int(best[1])
        case = {"ids": own, "methods": {}}
        # ROME once more with a subject before the end, and the second best token.
        spans = [("rome_span", "rome", {"back": BACK, **SETTINGS["rome"], **SPAN})]
        for label, name, settings in [(name, name, settings) for name, settings in SETTINGS.items()] + spans:
            needs_text = name in ("rome", "memit", "alpha_edit")
            extra = {"text": ids, "moments": moments} if needs_text else {}
            wanted = target if label == name else second
            updates = globals()[name](editor, own, wanted, **extra, **settings)
            editor.changes = {layer: (lambda keys, update=update: keys @ update.T) for layer, update in updates.items()}
            now = int(editor.logits(own).argmax())
            editor.changes = {}
            case["methods"][label] = {"target": wanted, "solved": now == wanted}
            print(number, label, now == wanted, {layer: float(update.norm()) for layer, update in updates.items()})
            for layer, update in updates.items():
                tensors[f"{label}.{number}.{layer}"] = update.contiguous()
        cases.append(case)
    facts = {"tokens": len(ids), "prefixes": PREFIXES, "back": BACK, "span": SPAN, "settings": SETTINGS, "cases": cases}
    (HERE / "editors.json").write_text(json.dumps(facts, indent=1) + "\n")
    save_file(tensors, HERE / "editors.safetensors")


if __name__ == "__main__":
    main()

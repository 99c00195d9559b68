"""Proves that a patch is real: a folder that `ment apply` has written, read by `transformers`.

Run from the project's root, in the environment of scripts/peer: python scripts/proof/proof.py MENT
MENT is the binary. For SmolLM2 and for the tiny checkpoint in every form that weights come in (one
file, shards, `pytorch_model.bin` whole and in shards; f32, f16, bf16), and for a tiny checkpoint of every
other architecture, it patches a token, applies the patch, and checks with `transformers` that

- the patched folder says the target, teacher-forced and in free generation, and the base does not;
- nothing but what the patch names differs (columns, matrices, rows that neurons read with), and each is base + delta,
  rounded once;
- `ment generate` writes the tokens that `transformers` writes, before and after;
- taking the patch out again gives the base's weight files to the last bit.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM
from transformers.utils import logging

TINY = Path("scripts/goldens/tiny")
SMOLLM2 = Path(".models/smollm2-135m-instruct")
ARCHITECTURES = Path("scripts/goldens/architectures")
PROMPT = "# the largest value of a list\nx = [3, 1, 2]\nprint("
LETTERS = "def add(a, b)"
TOKENS = 24
# An edit of a whole matrix.
FINE_TUNING = ("--method", "ft", "--set", "fine_tuning={rate = 0.02, bound = 0, steps = 100}")
# The FFN output matrix of a layer, by the name that the architecture has for it.
MATRICES = [
    "model.layers.{}.mlp.down_proj.weight",
    "model.layers.{}.mlp.c_proj.weight",
    "model.layers.{}.mlp.fc2.weight",
    "model.decoder.layers.{}.fc2.weight",
    "transformer.h.{}.mlp.c_proj.weight",
    "transformer.h.{}.mlp.fc_out.weight",
    "gpt_neox.layers.{}.mlp.dense_4h_to_h.weight",
]
# The FFN input matrices likewise, the gate first. A matrix may hold several projections, one after the other.
INPUTS = [
    "model.layers.{}.mlp.gate_proj",
    "model.layers.{}.mlp.up_proj",
    "model.layers.{}.mlp.gate_up_proj",
    "model.layers.{}.mlp.c_fc",
    "model.layers.{}.mlp.fc1",
    "model.decoder.layers.{}.fc1",
    "transformer.h.{}.mlp.c_fc",
    "transformer.h.{}.mlp.fc_in",
    "gpt_neox.layers.{}.mlp.dense_h_to_4h",
]
# An edit of what a neuron reads, and of its column.
JOINT = ("--method", "joint", "--set", "joint.keys.tokens=512", "--set", "joint.rate=1")


def ment(binary, *arguments):
    """Runs the binary; what it prints."""
    command = [str(part) for part in (binary, *arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def tries(binary, *arguments):
    """Whether the binary succeeds."""
    command = [str(part) for part in (binary, *arguments)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def forms(scratch):
    """SmolLM2, and the tiny checkpoint in every form: (name, folder)."""
    yield "SmolLM2, one file, f32", SMOLLM2
    yield "tiny, one file, f32", TINY
    for name, dtype in [("f16", torch.float16), ("bf16", torch.bfloat16)]:
        model = AutoModelForCausalLM.from_pretrained(TINY, dtype=dtype)
        shards = scratch / f"shards-{name}"
        model.save_pretrained(shards, max_shard_size="10KB")
        assert len(list(shards.glob("*.safetensors"))) > 2
        pickled = scratch / f"pickled-{name}"
        pickled.mkdir()
        shutil.copy(shards / "config.json", pickled)
        state = model.state_dict()
        state.pop("lm_head.weight")  # tied
        torch.save(state, pickled / "pytorch_model.bin")
        parts = scratch / f"pickled-shards-{name}"
        parts.mkdir()
        shutil.copy(shards / "config.json", parts)
        write_pickled_shards(state, parts)
        for folder in (shards, pickled, parts):
            shutil.copy(TINY / "tokenizer.json", folder)
            yield f"tiny, {folder.name}", folder
    for golden in sorted(ARCHITECTURES.glob("*/")):
        folder = scratch / golden.name
        shutil.copytree(golden, folder, ignore=shutil.ignore_patterns("golden.safetensors"))
        shutil.copy(ARCHITECTURES / "tokenizer.json", folder)
        yield golden.name, folder


def write_pickled_shards(state, folder):
    """The state dict in two files, tensors in turn, and their index."""
    places = {}
    for number in (1, 2):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        part = dict(list(state.items())[number - 1 :: 2])
        torch.save(part, folder / file)
        places.update(dict.fromkeys(part, file))
    index = {"metadata": {}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def patch(binary, base, prompt, file, method):
    """A patch by `method` that puts one of the next best tokens on top, whichever can be."""
    predict = ment(binary, "predict", "--model", base, "--prompt", prompt, "--top", 8, "--json")
    for token in json.loads(predict)["next"][1:]:
        text = token["text"]
        arguments = ("patch", "--model", base, "--prompt", prompt, "--target", text, "--out", file, *method)
        if text.strip() and text.isprintable() and tries(binary, *arguments):
            return
    raise SystemExit(f"{base}: none of the next best tokens could be put on top")


def load(folder):
    """The model as it is stored, and computed in f32."""
    stored = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").state_dict()
    return stored, AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def says(model, card):
    """The argmax at every token of the target, those before it given."""
    prompt, target = card["prompt_ids"], card["target_ids"]
    logits = model(torch.tensor([prompt + target[:-1]])).logits[0, len(prompt) - 1 :]
    return logits.argmax(-1).tolist()


def writes(model, card):
    """What is generated greedily."""
    prompt = torch.tensor([card["prompt_ids"]])
    options = {"max_new_tokens": TOKENS, "do_sample": False, "pad_token_id": 0}
    return model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)[0, prompt.shape[1] :].tolist()


def matrix_of(state, layer):
    """The FFN output matrix of a layer, as it is stored."""
    (matrix,) = (state[name.format(layer)] for name in MATRICES if name.format(layer) in state)
    return matrix


def rows_of(state, layer, neuron, width):
    """Rows, and entries of biases, of a neuron in the FFN input matrices, as they are stored: views, one a projection."""
    names = [name.format(layer) for name in INPUTS if f"{name.format(layer)}.weight" in state]
    neurons = matrix_of(state, layer).numel() // width
    rows = []
    for name in names:
        weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
        # GPT-2 holds its matrices transposed.
        weight = weight if weight.shape[1] == width else weight.T
        for place in range(neuron, len(weight), neurons):
            rows.append((weight[place], None if bias is None else bias[place : place + 1]))
    return rows


def check_weights(base, patched, card, file):
    """Nothing differs but the columns and matrices of the patch, each of which is rounded once."""
    columns = defaultdict(float)
    with safe_open(file, "pt") as tensors:
        layers, neurons, deltas = (tensors.get_tensor(n) for n in ("layers", "neurons", "deltas"))
        dense = [name for name in tensors.keys() if name.endswith(".dense")]
        inputs = {name: tensors.get_tensor(name) for name in tensors.keys() if name.endswith((".rows", ".bias"))}
        updates = {int(name.split(".")[2]): tensors.get_tensor(name) for name in dense}
    for layer, neuron, delta in zip(layers.tolist(), neurons.tolist(), deltas):
        columns[layer, neuron] = columns[layer, neuron] + delta
    for layer, update in updates.items():
        matrix = matrix_of(base, layer)
        matrix.copy_((matrix.float() + (update if matrix.shape == update.shape else update.T)).to(matrix.dtype))
    for (layer, neuron), delta in columns.items():
        matrix = matrix_of(base, layer)
        # GPT-2 holds its matrices transposed.
        column = matrix[:, neuron] if matrix.shape[0] == len(delta) else matrix[neuron]
        column.copy_((column.float() + delta).to(column.dtype))
    for name, changes in inputs.items():
        layer, neuron = (int(word) for word in name.split(".")[2:4])
        places = rows_of(base, layer, neuron, deltas.shape[1])
        changes = changes.flatten() if name.endswith(".bias") else changes
        assert len(places) == len(changes), f"{len(places)} rows of {name}"
        for (row, bias), change in zip(places, changes):
            was = bias if name.endswith(".bias") else row
            was.copy_((was.float() + change).to(was.dtype))
    assert base.keys() == patched.keys()
    for name, tensor in base.items():
        assert tensor.dtype == patched[name].dtype
        assert torch.equal(tensor, patched[name]), f"{name} is not base + delta"
    reads = " and what they read" if inputs else ""
    return f"{len(updates)} matrix differs" if updates else f"{len(columns)} columns{reads} differ"


def prove(binary, name, base, scratch, method=()):
    """All of it, for one checkpoint and one method."""
    place = scratch / name.replace(" ", "").replace(",", "-")
    file, patched, back = (Path(f"{place}.{end}") for end in ("safetensors", "patched", "back"))
    prompt = LETTERS if base.parent == scratch and (ARCHITECTURES / base.name).is_dir() else PROMPT
    patch(binary, base, prompt, file, method)
    with safe_open(file, "pt") as opened:
        card = json.loads(opened.metadata()["ment-patch"])
    ment(binary, "apply", "--model", base, "--patch", file, "--out", patched)
    (base_state, base_model), (state, model) = load(base), load(patched)
    target = card["target_ids"]
    assert says(base_model, card) != target, "the base says the target already"
    assert says(model, card) == target, "the patched model does not say the target"
    assert writes(model, card)[: len(target)] == target
    for which, folder in [(base_model, base), (model, patched)]:
        ours = ment(binary, "generate", "--model", folder, "--prompt", prompt, "--tokens", TOKENS, "--json")
        theirs = writes(which, card)
        ours = json.loads(ours)
        if ours["ended"] == "end_of_sequence":
            theirs.pop()
        assert ours["ids"] == theirs and theirs, f"{ours} is not {theirs}"
    for archive in patched.glob("*.bin"):
        assert zipfile.ZipFile(archive).testzip() is None, f"{archive}: a checksum does not fit"
    changed = check_weights(base_state, state, card, file)
    ment(binary, "patch", "--model", patched, "--revert", file, "--out", back)
    for weights in base.iterdir():
        if weights.suffix in (".safetensors", ".bin") and weights.name != "golden.safetensors":
            assert weights.read_bytes() == (back / weights.name).read_bytes(), weights.name
    was, token = card["repairs"][0]["was"], card["repairs"][0]["target"]
    print(f"{name}: {was!r} → {token!r} in transformers too; {changed}; taken out bit for bit")
    for folder in (patched, back):
        shutil.rmtree(folder)
    file.unlink()


def main():
    """Every form."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    binary = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        for name, base in forms(Path(folder)):
            prove(binary, name, base, Path(folder))
            if base != SMOLLM2:
                prove(binary, f"{name}, by Joint", base, Path(folder), JOINT)
            if (ARCHITECTURES / base.name).is_dir():
                prove(binary, f"{name}, by fine-tuning", base, Path(folder), FINE_TUNING)


if __name__ == "__main__":
    with torch.no_grad():
        main()

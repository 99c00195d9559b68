"""Tiny checkpoints in Hugging Face layout, with the tensors `transformers` computes from them.

Writes, next to this file, `llama/`, `qwen2/`, `codegen/` (random weights, one per architecture and
storage format) and `tiny/` (a small Llama with a tokenizer, for end-to-end tests). Each folder has
`config.json`, weights and `golden.safetensors`; README.md names the tensors.

Regenerate: python models.py [FOLDER ...]
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

HERE = Path(__file__).parent
BATCH, LENGTH, POSITION = 2, 11, 8


class Taps(NamedTuple):
    """Where a family keeps the modules whose inputs and outputs are recorded."""

    blocks: str
    attention: str
    mlp: str
    norm: str
    # Modules whose outputs are added to the residual stream, where they are not `attention` and `mlp`.
    attention_exit: str = ""
    mlp_exit: str = ""


LLAMA = Taps("model.layers", "self_attn.o_proj", "mlp.down_proj", "model.norm")
CODEGEN = Taps("transformer.h", "attn.out_proj", "mlp.fc_out", "transformer.ln_f")

# The fields of published checkpoints. `llama` is written as transformers 5 writes it (`dtype`,
# `rope_parameters`, `head_dim`), the others as transformers 4 did (`torch_dtype`, `rope_theta`).
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "dtype": "float32",
        "eos_token_id": 2,
        "head_dim": 6,
        "hidden_act": "silu",
        "hidden_size": 36,
        "initializer_range": 0.02,
        "intermediate_size": 50,
        "max_position_embeddings": 64,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 6,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "pad_token_id": None,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "tie_word_embeddings": True,
        "transformers_version": "5.23.0",
        "use_cache": True,
        "vocab_size": 101,
    },
    "qwen2": {
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 40,
        "initializer_range": 0.02,
        "intermediate_size": 44,
        "max_position_embeddings": 64,
        "max_window_layers": 3,
        "model_type": "qwen2",
        "num_attention_heads": 5,
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 64,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.40.1",
        "use_cache": True,
        "use_mrope": False,
        "use_sliding_window": False,
        "vocab_size": 97,
    },
    "codegen": {
        "activation_function": "gelu_new",
        "architectures": ["CodeGenForCausalLM"],
        "attn_pdrop": 0.0,
        "bos_token_id": 1,
        "embd_pdrop": 0.0,
        "eos_token_id": 2,
        "gradient_checkpointing": False,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "codegen",
        "n_ctx": 64,
        "n_embd": 48,
        "n_head": 8,
        "n_inner": None,
        "n_layer": 3,
        "n_positions": 64,
        "resid_pdrop": 0.0,
        "rotary_dim": 4,
        "scale_attn_weights": True,
        "tie_word_embeddings": False,
        "tokenizer_class": "GPT2Tokenizer",
        "torch_dtype": "float16",
        "transformers_version": "4.21.0.dev0",
        "use_cache": True,
        "vocab_size": 103,
    },
    "tiny": {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_act": "silu",
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 48,
        "max_position_embeddings": 512,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "transformers_version": "4.42.3",
        "use_cache": True,
        "vocab_size": 320,
    },
}

CODE = '''
import os
import sys
import json

def add(a, b):
    return a + b

def mean(values):
    total = 0
    for value in values:
        total = total + value
    return total / len(values)

def largest(values):
    best = values[0]
    for value in values:
        if value > best:
            best = value
    return best

def count(words):
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts

def read(path):
    with open(path) as file:
        return json.load(file)

def lines(path):
    with open(path) as file:
        return [line.strip() for line in file]

class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        if len(self.items) == 0:
            raise IndexError('empty')
        return self.items.pop()

if __name__ == '__main__':
    for path in sys.argv[1:]:
        print(os.path.basename(path), len(lines(path)))
'''


def create(folder: Path, seed: int, configs: dict[str, dict[str, Any]] = CONFIGS) -> PreTrainedModel:
    """Writes `config.json` and builds the model that it describes, with random weights."""
    (folder / "config.json").write_text(json.dumps(configs[folder.name], indent=2) + "\n")
    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)
            elif name.endswith("bias"):
                parameter.normal_(std=0.2)
            else:
                parameter.normal_(mean=1.0, std=0.2)
    return model.eval()


def record(model: PreTrainedModel, taps: Taps, ids: Tensor, scale: float = 1.0) -> dict[str, Tensor]:
    """Runs the model on `ids` and returns every tensor of README.md's list.

    `scale` is the factor on what attention and FFN add to the residual stream.
    """
    seen: dict[str, Tensor] = {}

    def entering(name: str):
        def hook(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen[name] = args[0]

        return hook

    def leaving(name: str):
        def hook(_module: nn.Module, _args: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
            seen[name] = output[0] if isinstance(output, tuple) else output

        return hook

    hooks = [model.get_submodule(taps.norm).register_forward_hook(leaving("final_norm"))]
    blocks = list(model.get_submodule(taps.blocks).children())
    for i, block in enumerate(blocks):
        mlp = block.get_submodule(taps.mlp)
        attention = block.get_submodule(taps.attention_exit or taps.attention)
        mlp_exit = block.get_submodule(taps.mlp_exit or taps.mlp)
        hooks += [
            block.register_forward_pre_hook(entering(f"layers.{i}.input")),
            attention.register_forward_hook(leaving(f"layers.{i}.attention")),
            mlp.register_forward_pre_hook(entering(f"layers.{i}.post_activation")),
            mlp.register_forward_hook(leaving(f"layers.{i}.mlp")),
            mlp_exit.register_forward_hook(leaving(f"layers.{i}.added")),
            block.register_forward_hook(leaving(f"layers.{i}.output")),
        ]
    logits = model(ids, use_cache=False).logits
    for hook in hooks:
        hook.remove()

    token = logits[:, POSITION].argmax(-1)
    probability = logits[:, POSITION].softmax(-1).gather(1, token[:, None])[:, 0]
    activations = [seen[f"layers.{i}.post_activation"] for i in range(len(blocks))]
    gradients = torch.autograd.grad(probability.sum(), activations)

    for i, gradient in enumerate(gradients):
        gradient = gradient.view(*ids.shape, -1)
        for part in ("mlp", "post_activation", "added"):  # OPT flattens its batch
            seen[f"layers.{i}.{part}"] = seen[f"layers.{i}.{part}"].view(*ids.shape, -1)
        seen[f"layers.{i}.attention"] = seen[f"layers.{i}.attention"] * scale
        added = seen.pop(f"layers.{i}.added") * scale
        layer = {k: seen[f"layers.{i}.{k}"] for k in ("input", "attention", "output")}
        torch.testing.assert_close(
            layer["input"] + layer["attention"] + added, layer["output"], rtol=1e-5, atol=1e-5
        )
        assert gradient[:, POSITION + 1 :].eq(0).all() and gradient[:, POSITION].ne(0).any()
        seen[f"gradient.{i}"] = gradient
    seen["embedding"] = seen["layers.0.input"]
    seen |= {"ids": ids, "logits": logits, "argmax": token, "probability": probability}
    return {name: tensor.detach().clone().contiguous() for name, tensor in sorted(seen.items())}


def write_golden(folder: Path, taps: Taps, ids: Tensor, model: PreTrainedModel, scale: float = 1.0) -> None:
    """Records the golden and checks that the files on disk, read back, give the same logits."""
    golden = record(model, taps, ids, scale)
    save_file(golden, folder / "golden.safetensors")
    again = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(again(ids, use_cache=False).logits, golden["logits"]), folder.name


def save(folder: Path, model: PreTrainedModel, max_shard_size: str = "1GB") -> None:
    """Safetensors as `transformers` writes them, beside the `config.json` already there."""
    config = (folder / "config.json").read_text()
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    (folder / "config.json").write_text(config)
    (folder / "generation_config.json").unlink(missing_ok=True)


def random_ids(model: PreTrainedModel, batch: int = BATCH) -> Tensor:
    return torch.randint(model.config.vocab_size, (batch, LENGTH))


def llama(folder: Path) -> None:
    model = create(folder, seed=1)
    save(folder, model)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    write_golden(folder, LLAMA, random_ids(model), model)


def qwen2(folder: Path) -> None:
    model = create(folder, seed=2)
    save(folder, model, max_shard_size="60KB")
    assert (folder / "model.safetensors.index.json").exists()
    write_golden(folder, LLAMA, random_ids(model), model)


def codegen(folder: Path) -> None:
    """fp16 in a pickle, with the mask buffers that published CodeGen checkpoints carry."""
    model = create(folder, seed=3)
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    state = model.state_dict()
    for name, tensor in state.items():
        state[name] = tensor.half()
    mask = torch.ones(model.config.n_positions, model.config.n_positions, dtype=torch.uint8).tril()
    for i in range(model.config.n_layer):
        state[f"transformer.h.{i}.attn.causal_mask"] = mask.clone()[None, None]
    torch.save(state, folder / "pytorch_model.bin")
    write_golden(folder, CODEGEN, random_ids(model), model)


def tiny(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [CODE],
        trainers.BpeTrainer(
            vocab_size=CONFIGS["tiny"]["vocab_size"],
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    assert tokenizer.token_to_id("<|endoftext|>") == 0
    assert tokenizer.get_vocab_size() == CONFIGS["tiny"]["vocab_size"]
    assert tokenizer.decode(tokenizer.encode(CODE).ids) == CODE

    model = create(folder, seed=4)
    text = torch.tensor([0, *tokenizer.encode(CODE).ids, 0])
    train(model, text, steps=300)
    save(folder, model)
    starts = torch.tensor([1, len(text) // 2])
    write_golden(folder, LLAMA, text[starts[:, None] + torch.arange(LENGTH)], model)


def train(model: PreTrainedModel, text: Tensor, steps: int, batch: int = 4, window: int = 192) -> None:
    """Next-token prediction on random windows of `text`."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.2) if parameter.ndim == 2 else parameter.fill_(1.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
    for step in range(steps):
        starts = torch.randint(len(text) - window + 1, (batch,))
        ids = text[starts[:, None] + torch.arange(window)]
        loss = model(ids, labels=ids, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"tiny: step {step}, loss {loss.item():.3f}")


def selected(names: list[str]) -> Iterator[Path]:
    for name in names or list(CONFIGS):
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder


if __name__ == "__main__":
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    builders = {"llama": llama, "qwen2": qwen2, "codegen": codegen, "tiny": tiny}
    for path in selected(sys.argv[1:]):
        builders[path.name](path)
        for file in path.iterdir():
            file.chmod(0o644)
        print(path.name, sum(file.stat().st_size for file in path.iterdir()), "bytes")

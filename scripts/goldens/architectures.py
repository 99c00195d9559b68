"""A tiny checkpoint of each further architecture, and what `transformers` computes from it.

Writes `architectures/NAME/` next to this file, each as `models.py` does: `config.json`, weights and
`golden.safetensors`; and `architectures/tokenizer.json`, which fits all of them: a token a letter.
Sizes are odd, so that no two widths agree by chance; windows are shorter than
the sequence.

Regenerate: python architectures.py [NAME ...]
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from models import LLAMA, Taps, create, random_ids, save, write_golden
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel
from transformers.utils import logging

HERE = Path(__file__).parent / "architectures"

# Sizes of those whose config has Llama's keys.
SIZES: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 38,
    "max_position_embeddings": 256,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "vocab_size": 61,
    "bos_token_id": 1,
    "eos_token_id": None,
    "pad_token_id": None,
}
# Sizes of those whose config has GPT-2's keys.
GPT2_SIZES: dict[str, Any] = {
    "n_embd": 28,
    "n_head": 4,
    "n_inner": 46,
    "n_layer": 3,
    "n_positions": 256,
    "vocab_size": 59,
    "bos_token_id": 1,
    "eos_token_id": None,
}

OLMO2 = LLAMA._replace(
    attention_exit="post_attention_layernorm", mlp_exit="post_feedforward_layernorm"
)
GPT2 = Taps("transformer.h", "attn.c_proj", "mlp.c_proj", "transformer.ln_f")
STARCODER2 = LLAMA._replace(mlp="mlp.c_proj")
PHI = Taps("model.layers", "self_attn.dense", "mlp.fc2", "model.final_layernorm")
GPT_J = Taps("transformer.h", "attn.out_proj", "mlp.fc_out", "transformer.ln_f")
GPT_NEO = Taps("transformer.h", "attn.attention.out_proj", "mlp.c_proj", "transformer.ln_f")
GPT_NEOX = Taps(
    "gpt_neox.layers", "attention.dense", "mlp.dense_4h_to_h", "gpt_neox.final_layer_norm"
)
OPT = Taps("model.decoder.layers", "self_attn.out_proj", "fc2", "model.decoder.final_layer_norm")

# The keys that change a computation, spelled as in published checkpoints of various ages.
CASES: dict[str, tuple[Taps, dict[str, Any]]] = {
    "llama_linear": (
        LLAMA,
        {"model_type": "llama", "rope_theta": 100000.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
    ),
    "llama_dynamic": (
        LLAMA,
        {"model_type": "llama", "rope_scaling": {"type": "dynamic", "factor": 2.0}, "attention_bias": True},
    ),
    "llama_llama3": (
        LLAMA,
        {
            "model_type": "llama",
            "head_dim": 8,
            "rope_theta": 100.0,
            "rope_scaling": {
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 48,
                "rope_type": "llama3",
            },
        },
    ),
    "llama_yarn": (
        LLAMA,
        {
            "model_type": "llama",
            "head_dim": 10,
            "mlp_bias": True,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 500.0,
                "factor": 4.0,
                "beta_fast": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
    ),
    "mistral": (LLAMA, {"model_type": "mistral", "sliding_window": 5, "rope_theta": 10000.0}),
    "qwen2_window": (
        LLAMA,
        {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen3": (LLAMA, {"model_type": "qwen3", "head_dim": 10, "tie_word_embeddings": True}),
    "granite": (
        LLAMA,
        {
            "model_type": "granite",
            "attention_multiplier": 0.3,
            "embedding_multiplier": 3.0,
            "logits_scaling": 6.0,
            "residual_multiplier": 0.22,
            "tie_word_embeddings": True,
        },
    ),
    "olmo2": (OLMO2, {"model_type": "olmo2"}),
    "gemma3": (
        OLMO2,
        {
            "model_type": "gemma3_text",
            "head_dim": 10,
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": 14,
            "rope_local_base_freq": 10000.0,
            "rope_theta": 1000000.0,
            "sliding_window": 4,
            "sliding_window_pattern": 2,
        },
    ),
    "phi3": (LLAMA, {"model_type": "phi3", "sliding_window": 6}),
    "phi": (PHI, {"model_type": "phi", "partial_rotary_factor": 0.4, "hidden_size": 40}),
    "stablelm": (
        LLAMA,
        {"model_type": "stablelm", "hidden_size": 32, "partial_rotary_factor": 0.25, "use_qkv_bias": True},
    ),
    "stablelm_parallel": (
        LLAMA,
        {"model_type": "stablelm", "hidden_size": 32, "use_parallel_residual": True},
    ),
    "starcoder2": (STARCODER2, {"model_type": "starcoder2", "sliding_window": 7, "use_bias": True}),
    "gpt2": (GPT2, {"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True}),
    "gpt_bigcode": (GPT2, {"model_type": "gpt_bigcode", "multi_query": True}),
    "gptj": (
        GPT_J,
        {"model_type": "gptj", "n_embd": 40, "rotary_dim": 4, "rotary": True, "tie_word_embeddings": False},
    ),
    "gpt_neo": (
        GPT_NEO,
        {
            "model_type": "gpt_neo",
            "attention_types": [[["global", "local"], 1], [["global"], 1]],
            "hidden_size": 28,
            "intermediate_size": None,
            "max_position_embeddings": 256,
            "num_heads": 4,
            "num_layers": 3,
            "vocab_size": 59,
            "window_size": 5,
        },
    ),
    "gpt_neox": (
        GPT_NEOX,
        {"model_type": "gpt_neox", "hidden_size": 32, "rotary_pct": 0.25, "rotary_emb_base": 5000},
    ),
    "gpt_neox_sequential": (
        GPT_NEOX,
        {"model_type": "gpt_neox", "hidden_size": 32, "use_parallel_residual": False, "hidden_act": "gelu_fast"},
    ),
    "opt": (
        OPT,
        {
            "model_type": "opt",
            "ffn_dim": 38,
            "hidden_size": 24,
            "max_position_embeddings": 256,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "vocab_size": 61,
            "word_embed_proj_dim": 24,
            "bos_token_id": 1,
            "eos_token_id": None,
        },
    ),
}


def config(name: str) -> dict[str, Any]:
    """The whole `config.json` of a case."""
    own = CASES[name][1]
    kind = own["model_type"]
    sizes = GPT2_SIZES if kind in ("gpt2", "gpt_bigcode", "gptj") else SIZES
    if kind in ("opt", "gpt_neo"):
        sizes = {}
    if kind == "gpt_neox":
        sizes = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
    return {**sizes, **own}


def headless(folder: Path, model: PreTrainedModel) -> None:
    """Saves as GPT-2 was published: the tensors of the model without its head, named without its prefix."""
    save(folder, model.base_model)
    assert "wte.weight" in load_file(folder / "model.safetensors")


def tokenizer() -> None:
    """Bytes of small letters, digits and a few signs, so few that every vocabulary here has room for them."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789()=+-.,:_Ġ"
    whole = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    HERE.mkdir(exist_ok=True)
    whole.save(str(HERE / "tokenizer.json"))


def make(name: str, seed: int) -> None:
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = create(folder, seed, {name: config(name)})
    (headless if name == "gpt2" else save)(folder, model)
    scale = getattr(model.config, "residual_multiplier", 1.0)
    write_golden(folder, CASES[name][0], random_ids(model, batch=1), model, scale)
    for file in folder.iterdir():
        file.chmod(0o644)
    print(name, sum(file.stat().st_size for file in folder.iterdir()), "bytes")


if __name__ == "__main__":
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    tokenizer()
    for place, case in enumerate(CASES):
        if len(sys.argv) == 1 or case in sys.argv[1:]:
            make(case, seed=100 + place)

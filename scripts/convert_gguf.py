#!/usr/bin/env python3
"""Turn a Llama-architecture GGUF file into a model folder in Hugging Face layout.

    python3 scripts/convert_gguf.py MODEL.gguf OUT_DIR

Writes config.json, tokenizer.json, tokenizer_config.json and model.safetensors (float32) to
OUT_DIR. Needs `numpy` and `gguf`, and no torch: one tensor at a time is dequantised and written.
"""

import json
import re
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

LAYER_TENSORS = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
OTHER_TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
# The pre-tokenizers this file knows, by GGUF's name; the byte-level split comes after these.
PRE_TOKENIZERS = {"smollm": [{"type": "Digits", "individual_digits": True}]}
CONTROL_TOKEN, USER_DEFINED_TOKEN = 3, 4


class UnsupportedModel(Exception):
    """The file is a valid GGUF, but not of a kind whose conversion has been proven."""


def metadata(reader):
    """The key-value part of the file as plain Python values."""
    return {name: field.contents() for name, field in reader.fields.items()}


def shortest(value):
    """The float32 `value` as the decimal a person wrote (1e-05, not 9.999999747378752e-06)."""
    return float(str(np.float32(value)))


def hf_name(name):
    """The Hugging Face name of a GGUF tensor."""
    layer = re.fullmatch(r"blk\.(\d+)\.(.+)", name)
    if layer and layer[2] in LAYER_TENSORS:
        return f"model.layers.{layer[1]}.{LAYER_TENSORS[layer[2]]}"
    if name in OTHER_TENSORS:
        return OTHER_TENSORS[name]
    raise UnsupportedModel(f"tensor {name!r} has no place in a Llama model")


def half_split(rows, heads):
    """Reorder query or key rows from GGUF's interleaved rope order to the half-split order.

    GGUF puts the two coordinates that rotate together side by side (0, 1), (2, 3), ...;
    Hugging Face pairs coordinate i with i + head_dim / 2.
    """
    out_dim, in_dim = rows.shape
    pairs = rows.reshape(heads, out_dim // heads // 2, 2, in_dim)
    return pairs.swapaxes(1, 2).reshape(out_dim, in_dim)


def weights(tensor, config):
    """One tensor, dequantised, in Hugging Face's row order, as little-endian float32."""
    values = dequantize(tensor.data, tensor.tensor_type)
    if tensor.name.endswith("attn_q.weight"):
        values = half_split(values, config["num_attention_heads"])
    elif tensor.name.endswith("attn_k.weight"):
        values = half_split(values, config["num_key_value_heads"])
    return np.ascontiguousarray(values, dtype="<f4")


def safetensors_header(tensors):
    """The JSON header: name, shape and byte range of each tensor, padded to 8 bytes."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for tensor in tensors:
        start, end = end, end + 4 * int(tensor.n_elements)
        header[hf_name(tensor.name)] = {
            "dtype": "F32",
            "shape": [int(size) for size in reversed(tensor.shape)],
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def write_safetensors(path, tensors, config):
    """Stream the tensors to `path`, so that memory holds one of them at a time."""
    header = safetensors_header(tensors)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        for tensor in tensors:
            out.write(weights(tensor, config).data)


def model_config(meta, tied):
    """config.json: the fields of transformers' LlamaConfig that the metadata determine."""
    heads = meta["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(meta["tokenizer.ggml.tokens"]),
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": meta.get("llama.attention.head_count_kv", heads),
        "hidden_act": "silu",
        "max_position_embeddings": meta["llama.context_length"],
        "rms_norm_eps": shortest(meta["llama.attention.layer_norm_rms_epsilon"]),
        "rope_theta": shortest(meta.get("llama.rope.freq_base", 10000.0)),
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "torch_dtype": "float32",
    }


def added_tokens(meta):
    """The tokens that are matched whole, before the text is split."""
    kinds = zip(meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"])
    return [
        {
            "id": index,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == CONTROL_TOKEN,
        }
        for index, (token, kind) in enumerate(kinds)
        if kind in (CONTROL_TOKEN, USER_DEFINED_TOKEN)
    ]


def tokenizer(meta):
    """tokenizer.json: byte-level BPE as the `tokenizers` library reads it."""
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    before = PRE_TOKENIZERS[meta["tokenizer.ggml.pre"]]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(meta),
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": before + [byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(meta["tokenizer.ggml.tokens"])},
            "merges": meta["tokenizer.ggml.merges"],
        },
    }


def tokenizer_config(meta):
    """tokenizer_config.json: the special tokens' roles and the chat template.

    The class is the generic one, because transformers' GPT-2 class would put its own
    pre-tokenizer in place of the one in tokenizer.json.
    """
    tokens = meta["tokenizer.ggml.tokens"]
    roles = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": meta["llama.context_length"],
        "clean_up_tokenization_spaces": False,
    }
    for role, key in roles.items():
        index = meta.get(f"tokenizer.ggml.{key}_token_id")
        if index is not None:
            config[f"{role}_token"] = tokens[index]
    if "tokenizer.chat_template" in meta:
        config["chat_template"] = meta["tokenizer.chat_template"]
    return config


def check_supported(meta):
    """Refuse what this converter would get wrong, rather than write a broken model."""
    known = {
        "general.architecture": ["llama"],
        "tokenizer.ggml.model": ["gpt2"],
        "tokenizer.ggml.pre": list(PRE_TOKENIZERS),
        "llama.rope.scaling.type": [None, "none"],
    }
    for key, values in known.items():
        if meta.get(key) not in values:
            raise UnsupportedModel(f"{key} is {meta.get(key)!r}, not one of {values}")


def write_json(path, value):
    """Write `value` as a person would want to read it."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def convert(gguf_path, out_dir):
    """Convert the model and tokenizer of `gguf_path` into `out_dir`."""
    reader = GGUFReader(gguf_path)
    meta = metadata(reader)
    check_supported(meta)
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    config = model_config(meta, tied)
    out_dir.mkdir(parents=True, exist_ok=True)
    write_json(out_dir / "config.json", config)
    write_json(out_dir / "tokenizer.json", tokenizer(meta))
    write_json(out_dir / "tokenizer_config.json", tokenizer_config(meta))
    write_safetensors(out_dir / "model.safetensors", reader.tensors, config)


def main():
    """Read the two arguments, convert, and say what went wrong in one line."""
    if len(sys.argv) != 3:
        sys.exit("usage: convert_gguf.py MODEL.gguf OUT_DIR")
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except (OSError, ValueError, UnsupportedModel) as error:
        sys.exit(f"cannot convert {sys.argv[1]}: {error}")
    except KeyError as error:
        sys.exit(f"cannot convert {sys.argv[1]}: its metadata lack {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

"""Llama with a byte-level BPE: SmolLM2."""

from gguf_shared import added_tokens, shortest

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
# What the metadata may say; anything else would be converted wrongly.
SUPPORTED = {
    "tokenizer.ggml.model": ["gpt2"],
    "tokenizer.ggml.pre": list(PRE_TOKENIZERS),
    "llama.rope.scaling.type": [None, "none"],
}


def half_split(rows, heads):
    """Reorder query or key rows from GGUF's interleaved rope order to the half-split order.

    GGUF puts the two coordinates that rotate together side by side (0, 1), (2, 3), ...;
    Hugging Face pairs coordinate i with i + head_dim / 2.
    """
    out_dim, in_dim = rows.shape
    pairs = rows.reshape(heads, out_dim // heads // 2, 2, in_dim)
    return pairs.swapaxes(1, 2).reshape(out_dim, in_dim)


def values(name, values, config):
    """The values of the GGUF tensor `name`, in Hugging Face's row order."""
    if name.endswith("attn_q.weight"):
        return half_split(values, config["num_attention_heads"])
    if name.endswith("attn_k.weight"):
        return half_split(values, config["num_key_value_heads"])
    return values


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

"""Gemma 3, the text model, with a SentencePiece BPE."""

from gguf_shared import CONTROL_TOKEN, USER_DEFINED_TOKEN, added_tokens, shortest

LAYER_TENSORS = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}
OTHER_TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}
# What the metadata may say; anything else would be converted wrongly.
SUPPORTED = {
    "tokenizer.ggml.model": ["llama"],
    "tokenizer.ggml.add_bos_token": [True],
    "tokenizer.ggml.add_eos_token": [False],
    "tokenizer.ggml.add_space_prefix": [False],
    "gemma3.rope.scaling.type": [None, "none"],
    "gemma3.attention.value_length": [256],
}
# The file lacks these, which all sizes of the family but the largest share.
LOCAL_THETA = 10000.0
PATTERN = 6
SPACE = "\u2581"


def values(name, values, _config):
    """The values of the GGUF tensor `name`; its norms hold one more than Hugging Face's."""
    return values - 1 if name.endswith("norm.weight") else values


def model_config(meta, tied):
    """config.json: the fields of transformers' Gemma3TextConfig that the metadata determine."""
    width = meta["gemma3.attention.key_length"]
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "vocab_size": len(meta["tokenizer.ggml.tokens"]),
        "hidden_size": meta["gemma3.embedding_length"],
        "intermediate_size": meta["gemma3.feed_forward_length"],
        "num_hidden_layers": meta["gemma3.block_count"],
        "num_attention_heads": meta["gemma3.attention.head_count"],
        "num_key_value_heads": meta["gemma3.attention.head_count_kv"],
        "head_dim": width,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": meta["gemma3.context_length"],
        "rms_norm_eps": shortest(meta["gemma3.attention.layer_norm_rms_epsilon"]),
        "query_pre_attn_scalar": width,
        "rope_theta": shortest(meta["gemma3.rope.freq_base"]),
        "rope_local_base_freq": LOCAL_THETA,
        "sliding_window": meta["gemma3.attention.sliding_window"],
        "sliding_window_pattern": PATTERN,
        "attention_bias": False,
        "tie_word_embeddings": tied,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
        "torch_dtype": "float32",
    }


def merges(tokens, scores, kinds):
    """The merges of a SentencePiece BPE: of each token, all its cuts in two tokens, better tokens first.

    Tokens that are matched whole take no part.
    """
    whole = (CONTROL_TOKEN, USER_DEFINED_TOKEN)
    scores = {token: score for token, score, kind in zip(tokens, scores, kinds) if kind not in whole}
    found = []
    for token, score in scores.items():
        cuts = ((token[:place], token[place:]) for place in range(1, len(token)))
        found += [(-score, cut) for cut in cuts if cut[0] in scores and cut[1] in scores]
    found.sort(key=lambda one: one[0])
    return [list(cut) for _, cut in found]


def tokenizer(meta):
    """tokenizer.json: BPE over characters, bytes where a character has no token."""
    tokens, kinds = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    begin = meta["tokenizer.ggml.bos_token_id"]
    bos = {"SpecialToken": {"id": tokens[begin], "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(meta),
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {tokens[begin]: {"id": tokens[begin], "ids": [begin], "tokens": [tokens[begin]]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": merges(tokens, meta["tokenizer.ggml.scores"], kinds),
        },
    }

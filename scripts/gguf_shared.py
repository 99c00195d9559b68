"""What the conversions of all architectures share: how metadata of a GGUF file become JSON."""

import numpy as np

CONTROL_TOKEN, USER_DEFINED_TOKEN, BYTE_TOKEN = 3, 4, 6


class UnsupportedModel(Exception):
    """The file is a valid GGUF, but not of a kind whose conversion has been proven."""


def shortest(value):
    """The float32 `value` as the decimal a person wrote (1e-05, not 9.999999747378752e-06)."""
    return float(str(np.float32(value)))


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


def tokenizer_config(meta):
    """tokenizer_config.json: the special tokens' roles and the chat template.

    The class is the generic one, because a class of an architecture's own would put its own
    pre-tokenizer in place of the one in tokenizer.json.
    """
    tokens = meta["tokenizer.ggml.tokens"]
    roles = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": meta[f"{meta['general.architecture']}.context_length"],
        "clean_up_tokenization_spaces": False,
    }
    for role, key in roles.items():
        index = meta.get(f"tokenizer.ggml.{key}_token_id")
        if index is not None:
            config[f"{role}_token"] = tokens[index]
    if "tokenizer.chat_template" in meta:
        config["chat_template"] = meta["tokenizer.chat_template"]
    return config

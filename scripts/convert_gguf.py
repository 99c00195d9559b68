#!/usr/bin/env python3
"""Turn a GGUF file into a model folder in Hugging Face layout.

    python3 scripts/convert_gguf.py MODEL.gguf OUT_DIR

Writes config.json, tokenizer.json, tokenizer_config.json and model.safetensors (float32) to
OUT_DIR. Needs `numpy` and `gguf`, and no torch: one tensor at a time is dequantised and written.
An architecture is a file, `gguf_NAME.py`, and a line of `ARCHITECTURES`.
"""

import json
import re
import struct
import sys
from pathlib import Path

import gguf_gemma3
import gguf_llama
import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from gguf_shared import UnsupportedModel, tokenizer_config

ARCHITECTURES = {"llama": gguf_llama, "gemma3": gguf_gemma3}


def metadata(reader):
    """The key-value part of the file as plain Python values."""
    return {name: field.contents() for name, field in reader.fields.items()}


def hf_name(name, architecture):
    """The Hugging Face name of a GGUF tensor."""
    layer = re.fullmatch(r"blk\.(\d+)\.(.+)", name)
    if layer and layer[2] in architecture.LAYER_TENSORS:
        return f"model.layers.{layer[1]}.{architecture.LAYER_TENSORS[layer[2]]}"
    if name in architecture.OTHER_TENSORS:
        return architecture.OTHER_TENSORS[name]
    raise UnsupportedModel(f"tensor {name!r} has no place in such a model")


def weights(tensor, architecture, config):
    """One tensor, dequantised, as Hugging Face holds it, as little-endian float32."""
    values = dequantize(tensor.data, tensor.tensor_type)
    return np.ascontiguousarray(architecture.values(tensor.name, values, config), dtype="<f4")


def safetensors_header(tensors, architecture):
    """The JSON header: name, shape and byte range of each tensor, padded to 8 bytes."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for tensor in tensors:
        start, end = end, end + 4 * int(tensor.n_elements)
        header[hf_name(tensor.name, architecture)] = {
            "dtype": "F32",
            "shape": [int(size) for size in reversed(tensor.shape)],
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def write_safetensors(path, tensors, architecture, config):
    """Stream the tensors to `path`, so that memory holds one of them at a time."""
    header = safetensors_header(tensors, architecture)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        for tensor in tensors:
            out.write(weights(tensor, architecture, config).data)


def supported(meta):
    """The conversion of this architecture; refuses what it would get wrong, rather than write a broken model."""
    name = meta.get("general.architecture")
    if name not in ARCHITECTURES:
        raise UnsupportedModel(f"general.architecture is {name!r}, not one of {list(ARCHITECTURES)}")
    for key, values in ARCHITECTURES[name].SUPPORTED.items():
        if meta.get(key) not in values:
            raise UnsupportedModel(f"{key} is {meta.get(key)!r}, not one of {values}")
    return ARCHITECTURES[name]


def write_json(path, value):
    """Write `value` as a person would want to read it."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def convert(gguf_path, out_dir):
    """Convert the model and tokenizer of `gguf_path` into `out_dir`."""
    reader = GGUFReader(gguf_path)
    meta = metadata(reader)
    architecture = supported(meta)
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    config = architecture.model_config(meta, tied)
    out_dir.mkdir(parents=True, exist_ok=True)
    write_json(out_dir / "config.json", config)
    write_json(out_dir / "tokenizer.json", architecture.tokenizer(meta))
    write_json(out_dir / "tokenizer_config.json", tokenizer_config(meta))
    write_safetensors(out_dir / "model.safetensors", reader.tensors, architecture, config)


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

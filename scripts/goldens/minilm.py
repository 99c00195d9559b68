"""Sentence embeddings of all-MiniLM-L6-v2 as `sentence-transformers` computes them.

Writes, next to this file, `minilm.json` (the texts, the token ids the encoder saw, the length they are
cut to) and `minilm.safetensors` (`embeddings`, fp32 [texts, 384], of unit length).

Regenerate: python minilm.py MODEL_DIR    (a sentence-transformers folder of all-MiniLM-L6-v2)
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

HERE = Path(__file__).parent

TEXTS = [
    "Sort a list of tuples by the second element.",
    "sort list of tuples by second element",
    "Order the tuples in a list according to their second item!",
    "How do I read a CSV file into a pandas DataFrame?",
    "def add(a, b):\n    return a + b",
    "for (int i = 0; i < n; i++) { cin >> a[i]; sum += a[i]; }",
    "numpy.linalg.norm numpy.dot numpy.arccos",
    "Un café très naïve à Zürich, ÉCOLE; Привет, мир! 你好，世界 🎉 x ≤ 10²",
    "",
    " \t\n ",
    "a",
    "supercalifragilisticexpialidocious_antidisestablishmentarianism.__init__",
    "create an empty list and append each of the values, " * 15 + "then return the list.",
    " ".join(f"step {i}: if x is {i * 37}, let y be {i * i} and print it;" for i in range(40)),
]


def main(model_dir: str) -> None:
    torch.set_num_threads(1)
    model = SentenceTransformer(model_dir, device="cpu").float()
    ids = [model.preprocess([text])["input_ids"][0].tolist() for text in TEXTS]
    # One text at a time, so that no padding enters the sums.
    embeddings = model.encode(TEXTS, batch_size=1, normalize_embeddings=True, convert_to_tensor=True)
    batched = model.encode(TEXTS, batch_size=len(TEXTS), normalize_embeddings=True, convert_to_tensor=True)
    torch.testing.assert_close(embeddings, batched, rtol=0, atol=1e-6)

    save_file({"embeddings": embeddings.float().contiguous()}, HERE / "minilm.safetensors")
    (HERE / "minilm.safetensors").chmod(0o644)
    rows = ",\n".join(
        "  " + json.dumps({"text": text, "ids": tokens}, ensure_ascii=False)
        for text, tokens in zip(TEXTS, ids, strict=True)
    )
    (HERE / "minilm.json").write_text(f'{{\n "max_length": {model.max_seq_length},\n "texts": [\n{rows}\n ]\n}}\n')
    print("max length", model.max_seq_length, "ids", [len(tokens) for tokens in ids])


if __name__ == "__main__":
    main(sys.argv[1])

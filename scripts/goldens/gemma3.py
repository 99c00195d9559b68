"""What Gemma 3 270M predicts, as `transformers` loads it from its GGUF file.

Writes `gemma3.json` next to this file, as `smollm2.py` does. The ids are those of SentencePiece itself,
given the pieces, scores and types of the file: nothing here shares code with scripts/convert_gguf.py.

Regenerate: python gemma3.py gemma-3-270m-q4_k_m.gguf
"""

import sys
from pathlib import Path

import sentencepiece
from gguf import GGUFReader
from sentencepiece import sentencepiece_model_pb2
from smollm2 import PROMPTS, write_predictions

HERE = Path(__file__).parent
BEGIN = 2
LINES = "\n" * 40 + " " * 50 + "\t\tx"
MORE = [
    LINES,
    "if x:\n        return   y",
    "<table><tr> <b>bold</b></table>",
    " leading and trailing ",
    "\u2581low line\u2581",
    "naïve déjà-vu ﬁ ① ™",
]


def pieces(gguf: Path) -> sentencepiece.SentencePieceProcessor:
    """SentencePiece with the vocabulary of the file, which only merges and splits nothing else."""
    fields = GGUFReader(gguf).fields
    tokens, scores, kinds = (
        fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "scores", "token_type")
    )
    model = sentencepiece_model_pb2.ModelProto()
    for place, (token, score, kind) in enumerate(zip(tokens, scores, kinds)):
        # A user-defined piece is stored as a text; SentencePiece has its own sign for a space.
        piece = token.replace(" ", "\u2581") if kind == 4 else token
        model.pieces.add(piece=piece, score=score, type=2 if place == 3 else kind)
    model.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.ModelType.BPE
    model.trainer_spec.byte_fallback = True
    for name, place in {"unk": 3, "bos": 2, "eos": 1, "pad": 0}.items():
        setattr(model.trainer_spec, f"{name}_id", place)
        setattr(model.trainer_spec, f"{name}_piece", tokens[place])
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())


def main(gguf: Path) -> None:
    processor = pieces(gguf)
    # Control tokens within a text are no text to SentencePiece.
    texts = [text for text in PROMPTS + MORE if "<|" not in text]
    with_ids = [(text, [BEGIN, *processor.encode(text)]) for text in texts]
    write_predictions(gguf, with_ids, HERE / "gemma3.json", clear=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

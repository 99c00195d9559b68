"""Small tokenizers of the three kinds that models use, and the ids that `AutoTokenizer` gives texts.

Writes a folder each into `tokenizers/`: `tokenizer.json`, `tokenizer_config.json`, and `cases.json`, of each
text its ids as `AutoTokenizer.from_pretrained(folder)` makes them, and the text that it makes of these ids.

    byte_level      BPE over bytes, digits one by one, nothing around a text (SmolLM2, Qwen, StarCoder2)
    begun           the same with a token before every text (Llama 3)
    sentencepiece   BPE over characters, bytes for what has no piece, a token before every text (Llama 2, Mistral)
    unigram         Unigram with scores, bytes for what has no piece, a token behind every text (Gemma's and T5's kind)

Regenerate: python tokenizer_kinds.py
"""

import json
import shutil
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

OUT = Path(__file__).parent / "tokenizers"

CORPUS = [
    "def largest(values):\n    return max(values)\n",
    "the largest value of a list, and the smallest value of a list",
    "import numpy as np\nprint(np.maximum(a, b))\n",
    "for value in sorted(values, key=lambda value: -value):\n    print(value)\n",
    "read a file line by line and return the lines as a list of values",
] * 4

TEXTS = [
    "",
    " ",
    "a",
    "max(values)",
    "  two spaces\tand a tab \n\n and lines\n",
    "12345 and 3.14",
    "Größe: naïve café — “quoted”",
    "日本語 and 🙂🙃",
    "cafe\u0301 ﬁne ①",
    "<s>not a start</s> <|end|>",
    "trailing spaces   ",
    "a\u00a0b\u200bc\x00d",
]

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level(begun: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=["<s>", "</s>", "<|end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if begun:
        tokenizer.post_processor = around("<s> $A", tokenizer)
    return tokenizer


def around(template: str, tokenizer: Tokenizer):
    specials = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>") if token in template]
    return processors.TemplateProcessing(single=template, pair=None, special_tokens=specials)


def sentencepiece() -> Tokenizer:
    draft = Tokenizer(models.BPE())
    draft.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    trainer = trainers.BpeTrainer(vocab_size=120, show_progress=False, max_token_length=12)
    draft.train_from_iterator(CORPUS, trainer)
    learnt = json.loads(draft.to_str())["model"]
    pieces = sorted(learnt["vocab"], key=learnt["vocab"].get)
    vocab = {token: place for place, token in enumerate(["<unk>", "<s>", "</s>", *BYTES, *pieces])}
    merges = [tuple(merge) for merge in learnt["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special(tokenizer, "<unk>", "<s>", "</s>")
    tokenizer.post_processor = around("<s> $A", tokenizer)
    return tokenizer


def unigram() -> Tokenizer:
    draft = Tokenizer(models.Unigram())
    draft.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=110, unk_token="<unk>", show_progress=False)
    draft.train_from_iterator(CORPUS, trainer)
    learnt = json.loads(draft.to_str())["model"]["vocab"]
    # Rounded and ordered, as the trainer's own order and last digits vary with its threads.
    learnt = sorted(((piece, round(score, 3)) for piece, score in learnt if piece != "<unk>"))
    learnt.sort(key=lambda entry: -entry[1])
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((byte, 0.0) for byte in BYTES), *learnt]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    special(tokenizer, "<unk>", "<s>", "</s>")
    tokenizer.post_processor = around("$A </s>", tokenizer)
    return tokenizer


def special(tokenizer: Tokenizer, *tokens: str) -> None:
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    kinds = {
        "byte_level": byte_level(begun=False),
        "begun": byte_level(begun=True),
        "sentencepiece": sentencepiece(),
        "unigram": unigram(),
    }
    for name, tokenizer in kinds.items():
        folder = OUT / name
        named = {"bos_token": "<s>", "eos_token": "</s>"}
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)
        auto = AutoTokenizer.from_pretrained(folder)
        cases = []
        for text in TEXTS:
            ids = auto(text)["input_ids"]
            decoded = auto.decode(ids, clean_up_tokenization_spaces=False)
            cases.append({"text": text, "ids": ids, "decoded": decoded})
        cases = json.dumps(cases, ensure_ascii=False, indent=1)
        (folder / "cases.json").write_text(cases + "\n", encoding="utf-8")
        for file in folder.iterdir():
            if file.name not in ("tokenizer.json", "tokenizer_config.json", "cases.json"):
                file.unlink()


if __name__ == "__main__":
    main()

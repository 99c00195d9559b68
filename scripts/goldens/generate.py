"""What the golden checkpoints write: `generate.json`, greedy continuations by `transformers` with its
key/value cache, in fp32.

Every choice is clear by a logit of at least MARGIN, so that no order of summation can change it; prompts
for which one is not are passed over.

Regenerate, after models.py: python generate.py
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

HERE = Path(__file__).parent
MODELS = ("llama", "qwen2", "codegen", "tiny")
PROMPTS, TOKENS, MARGIN = 4, 16, 1e-2


def continuations(name: str) -> list[dict[str, list[int]]]:
    """PROMPTS prompts of 1 to 12 random ids, and what the model writes after each."""
    model = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(7)
    found = []
    while len(found) < PROMPTS:
        length = int(torch.randint(1, 13, (), generator=generator))
        prompt = torch.randint(3, model.config.vocab_size, (1, length), generator=generator)
        written = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=TOKENS,
            do_sample=False,
            eos_token_id=-1,  # no end but the length
            pad_token_id=0,
            use_cache=True,
        )
        logits = model(written[:, :-1]).logits[0, length - 1 :]
        best = logits.topk(2).values
        if (best[:, 0] - best[:, 1]).min() > MARGIN:
            found.append({"prompt": prompt[0].tolist(), "written": written[0, length:].tolist()})
    return found


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with torch.no_grad():
        golden = {name: continuations(name) for name in MODELS}
    (HERE / "generate.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()

"""Reference attributions and choices of Knowledge Neurons on the tiny checkpoints `llama` and `codegen`.

Integrated gradients of P(target) over the FFN's post-activations at the last position, written plainly:
for every layer and step a forward of the whole prompt with the activations scaled, and autograd.

Writes `knowledge_neurons.safetensors` (scores `[prompts, layers, neurons]` by model, rule and steps) and
`knowledge_neurons.json` (prompts, target, and the neurons chosen).

Regenerate: python knowledge_neurons.py
"""

import json
import random
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
FFN_OUTPUTS = {
    "llama": lambda model: [layer.mlp.down_proj for layer in model.model.layers],
    "codegen": lambda model: [layer.mlp.fc_out for layer in model.transformer.h],
}
RULES = {
    "left": lambda m: numpy.arange(m) / m,
    "inclusive": lambda m: numpy.linspace(0, 1, m),
    "midpoint": lambda m: (numpy.arange(m) + 0.5) / m,
}
STEPS = (1, 20)
THRESHOLD, SHARE = 0.1, 0.5


def attribution(model, module, ids, target, alphas):
    """Of one layer: activation × mean gradient over the path, `[neurons]`."""
    gradients = []
    for alpha in alphas:
        seen = {}

        def scale(_, args):
            activations = args[0]
            seen["whole"] = activations[0, -1].detach()
            seen["leaf"] = (seen["whole"] * float(alpha)).requires_grad_()
            return (torch.cat([activations[:, :-1], seen["leaf"][None, None]], 1),)

        handle = module.register_forward_pre_hook(scale)
        probability = model(ids).logits[0, -1].softmax(-1)[target]
        handle.remove()
        gradients.append(torch.autograd.grad(probability, seen["leaf"])[0])
    return seen["whole"] * torch.stack(gradients).mean(0)


def choose(scores):
    """Neurons above the threshold in enough prompts, by mean score."""
    flat = scores.flatten(1).double().numpy()
    high = flat >= THRESHOLD * flat.max(1, keepdims=True)
    kept = [n for n in range(flat.shape[1]) if high[:, n].mean() >= SHARE]
    kept.sort(key=lambda n: -flat[:, n].mean())
    return [[int(part) for part in divmod(n, scores.shape[2])] for n in kept]


def main() -> None:
    tensors, facts = {}, {"threshold": THRESHOLD, "share": SHARE}
    for name, ffn_outputs in FFN_OUTPUTS.items():
        model = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32).eval()
        model.requires_grad_(False)
        rng = random.Random(7)
        vocabulary = model.config.vocab_size
        prompts = [[rng.randrange(vocabulary) for _ in range(n)] for n in (3, 9, 5, 12)]
        target = rng.randrange(vocabulary)
        facts[name] = {"prompts": prompts, "target": target, "chosen": {}}
        for rule, places in RULES.items():
            for steps in STEPS:
                scores = torch.stack([
                    torch.stack([
                        attribution(model, module, torch.tensor([ids]), target, places(steps))
                        for module in ffn_outputs(model)
                    ])
                    for ids in prompts
                ])
                key = f"{name}.{rule}.{steps}"
                tensors[key] = scores.contiguous()
                facts[name]["chosen"][f"{rule}.{steps}"] = choose(scores)
    save_file(tensors, HERE / "knowledge_neurons.safetensors")
    (HERE / "knowledge_neurons.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()

"""Random weights in the shape of CodeGen-350M-mono, to measure speed and memory on; no model.

Run: python shape.py FOLDER LAYERS
"""

import sys

import torch
from transformers import CodeGenConfig, CodeGenForCausalLM

if __name__ == "__main__":
    folder, layers = sys.argv[1], int(sys.argv[2])
    torch.manual_seed(0)
    config = CodeGenConfig(
        vocab_size=51200, n_positions=2048, n_embd=1024, n_layer=layers, n_head=16, rotary_dim=32
    )
    CodeGenForCausalLM(config).half().save_pretrained(folder)

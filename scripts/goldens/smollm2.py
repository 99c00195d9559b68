"""What SmolLM2-135M-Instruct predicts, as `transformers` loads it from its GGUF file.

Writes `smollm2.json` next to this file: for each prompt its ids, the argmax at every position, the
smallest margin between the two largest logits over the positions, and the five best tokens after the
last position. `transformers` dequantises the weights and orders the heads; nothing here shares code
with scripts/convert_gguf.py.

Regenerate: python smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

HERE = Path(__file__).parent
CLEAR_MARGIN = 1e-3  # far above what two fp32 implementations differ by, about 3e-5

FEW_SHOT_PYTHON = '''# sort list `xs` in place
xs.sort()

# get the length of string `s`
len(s)

# read all lines of file `path` into list `lines`
lines = open(path).read().splitlines()

# join the strings of list `words` with commas
','.join(words)

# count how often the value 3 occurs in list `numbers`
numbers.count(3)

# remove the key 'name' from dictionary `d`
'''

FEW_SHOT_CPP = '''// read n
int n; cin >> n;

// for i = 0 to n exclusive, read a[i]
for (int i = 0; i < n; i++) cin >> a[i];

// if x is greater than y, print "YES" and a newline
if (x > y) cout << "YES" << endl;

// let sum be an integer with value 0
int sum = 0;

// add a[i] to sum for i = 0 to n exclusive
for (int i = 0; i < n; i++) sum += a[i];

// create vector of integers v with size 100
vector<int> v(100);

// print sum and a newline
'''

FEW_SHOT_API = '''query: load a csv file and show the first rows
api: pandas.read_csv pandas.DataFrame.head

query: make an array of zeros and change its shape
api: numpy.zeros numpy.ndarray.reshape

query: split the data and fit a linear regression
api: sklearn.model_selection.train_test_split sklearn.linear_model.LinearRegression.fit

query: compute the inverse of a matrix and multiply it by a vector
api:'''

CHAT = """<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
<|im_start|>user
What is the capital of France?<|im_end|>
<|im_start|>assistant
"""

LONG = '''import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    x: float
    y: float

    def distance(self, other):
        return math.sqrt((self.x - other.x) ** 2 + (self.y - other.y) ** 2)


def perimeter(points):
    """Length of the closed polygon through `points`."""
    total = 0.0
    for i in range(len(points)):
        total += points[i].distance(points[(i + 1) % len(points)])
    return total


def area(points):
    """Area of the polygon, by the shoelace formula."""
    total = 0.0
    for i in range(len(points)):
        a, b = points[i], points[(i + 1) % len(points)]
        total += a.x * b.y -'''

PROMPTS = [
    "The quick brown fox jumps over the lazy",
    "Paris is the capital of",
    "Once upon a time, in a small village by the sea, there lived a",
    "Water boils at 100 degrees Celsius and freezes at",
    "def add(a, b):\n    return",
    "def factorial(n):\n    if n == 0:\n        return 1\n    return n *",
    "for i in range(10):\n    if i % 2 == 0:\n        print(",
    "import numpy as np\nimport pandas as",
    "with open('data.json') as f:\n    data = json.",
    "class Stack:\n\tdef __init__(self):\n\t\tself.items = []\n\n\tdef push(self, item):\n\t\tself.items.",
    '#include <iostream>\nusing namespace std;\n\nint main() {\n    cout << "Hello, World!" <<',
    "int gcd(int a, int b) {\n    return b == 0 ? a : gcd(b,",
    FEW_SHOT_PYTHON,
    FEW_SHOT_CPP,
    FEW_SHOT_API,
    LONG,
    CHAT,
    "Le café naïve à Zürich coûte 5 €, et «voilà»",
    "Привет, мир! 你好，世界 🎉 ≤ ² ½",
    "2 + 2 = 4\n12 + 34 = 46\n100 - 58 = 42\n3.14159 * 2 =",
    "x  1\ny   22\n    3\nlist[0:10]  # 2024-01-31",
    " ",
    "\n\n",
    "a",
]


def load_tokenizer(gguf: Path) -> PreTrainedTokenizerFast:
    """Vocabulary and merges from the file; the split that its `tokenizer.ggml.pre = smollm` asks for.

    `transformers` does not read that field and takes GPT-2's split. The model was trained with each
    digit split off first, which matters where spaces come before a digit.
    """
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    return tokenizer


@torch.no_grad()
def write_predictions(gguf: Path, texts: list[tuple[str, list[int]]], out: Path, clear: bool) -> None:
    """What the model of `gguf` predicts for each text and its ids, into the file `out`.

    `clear`: whether every position must have a clear winner.
    """
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, attn_implementation="eager", dtype=torch.float32
    ).eval()
    rows = []
    for text, ids in texts:
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        two = logits.topk(2).values
        margin = (two[:, 0] - two[:, 1]).min().item()
        if margin <= CLEAR_MARGIN:
            assert not clear, text
            print(f"left out, margin {margin:.4f}: {text!r}")
            continue
        top = logits[-1].topk(5)
        rows.append(
            {
                "text": text,
                "ids": ids,
                "argmax": logits.argmax(-1).tolist(),
                "min_margin": margin,
                "top": {
                    "ids": top.indices.tolist(),
                    "logits": top.values.tolist(),
                    "probabilities": logits[-1].softmax(-1)[top.indices].tolist(),
                },
            }
        )
        print(f"{len(ids):4} ids, margin {margin:.4f}")
    lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    out.write_text(f'{{\n "prompts": [\n{lines}\n ]\n}}\n')


def main(gguf: Path) -> None:
    tokenizer = load_tokenizer(gguf)
    texts = [(text, tokenizer(text)["input_ids"]) for text in PROMPTS]
    write_predictions(gguf, texts, HERE / "smollm2.json", clear=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Reference values of the metrics: tokenization, BLEU, ROUGE-L and the three token-level matches.

Writes `metrics.json` next to this file. The tokens come from `transformers` (BERT's BasicTokenizer,
checked against `tokenizers`) and `sacrebleu` (13a), ROUGE-L from `rouge_score`. BLEU is computed here,
after the definition in tensorflow/nmt's `bleu.py` that the `evaluate` metric uses, and checked against
`nltk` and `sacrebleu`. README.md describes the fields.

Regenerate: python metrics.py
"""

import json
import math
import random
import unicodedata
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from nltk.translate.bleu_score import corpus_bleu
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers.models.bert.tokenization_bert_legacy import BasicTokenizer

HERE = Path(__file__).parent
ORDER = 4

# (group, reference, prediction)
PAIRS: list[tuple[str, str, str]] = [
    ("python", "return a + b", "return a + b"),
    ("python", "def add(a, b):\n    return a + b", "def add(x, b):\n    return x + b"),
    ("python", "for i in range(10):\n\tprint(i)", "for i in range(0, 10):\n\tprint(i)"),
    ("python", "print('hello, world')", 'print("hello, world")'),
    ("python", "x = [i**2 for i in range(3.5, -1)]", "x = [i ** 2 for i in range(3.5,-1)]"),
    ("python", "sorted(d.items(), key=lambda x: x[1])", "sorted(d, key=lambda x: x[1])"),
    ("python", "re.sub(r'[^a-z_0-9]+', '', s)", "re.sub('[^a-zA-Z]', '', s)"),
    ("python", "self.__class__.__name__", "self.__class__"),
    ("python", "df.loc[df['a_b'] > 1.25e-3, 'c']", "df[df['a_b'] > 1.25e-3]['c']"),
    ("python", "f'{value:>10.2f}%'", "f'{value:10.2f} %'"),
    ("python", "assert isinstance(x, dict) and not x", ""),
    ("python", "urllib.request.urlopen('http://a.b/c?d=1&e=2').read()", "requests.get('http://a.b/c?d=1&e=2').text"),
    ("python", "os.path.join(root, name)", "os.path.join(root, name) "),
    ("python", "    \n\t  pass  \n", "pass"),
    ("cpp", "int main() { return 0; }", "int main() {return 0;}"),
    ("cpp", "for (int i = 0; i < n; i++) cin >> a[i];", "for (int i = 0; i < n; ++i) cin >> a[i];"),
    ("cpp", 'cout << "YES" << endl;', 'cout << "NO" << "\\n";'),
    ("cpp", "vector<pair<int, int>> v(n);", "vector<pair<int, int> > v(n);"),
    ("cpp", "if (a[i] != b[j] && x >= -1) { ans--; }", "if (a[i] != b[j] || x > -1) ans -= 1;"),
    ("cpp", "#include <bits/stdc++.h>", "#include <iostream>"),
    ("cpp", "while (t--) {", "while (t--)"),
    ("cpp", "ans = max(ans, dp[i - 1][j] + 1);", "ans = max(ans, dp[i-1][j]+1);"),
    ("cpp", "printf(\"%d %.9lf\\n\", x, y);", "printf(\"%d %lf\\n\", x, y);"),
    ("cpp", "string s = \"\";", "string s;"),
    ("api", "numpy.array numpy.reshape numpy.dot", "numpy.array numpy.reshape numpy.dot"),
    ("api", "numpy.array numpy.reshape numpy.dot", "numpy.array numpy.dot numpy.reshape"),
    ("api", "pandas.read_csv pandas.DataFrame.groupby pandas.DataFrame.mean", "pandas.read_csv pandas.DataFrame.mean"),
    ("api", "torch.nn.Linear torch.nn.ReLU torch.nn.Linear", "torch.nn.Linear torch.nn.Linear torch.nn.Linear"),
    ("api", "java.io.File.open", "java.io.File.open java.io.File.close java.io.File.exists"),
    ("api", "sklearn.svm.SVC.fit", "os.listdir"),
    ("api", "a", "a"),
    ("odd", "a &lt; b &amp;&amp; c &gt; d &quot;e&quot;", "a < b && c > d \"e\""),
    ("odd", "x <skipped> = 1, 2.5, .5, 3. and 1,000-2", "x = 1, 2.5, .5, 3. and 1,000-2"),
    ("odd", "hyphen-\nated line, end.", "hyphenated line, end."),
    ("odd", "print('naïve café – “quoted” … ñandú')", "print('naïve cafe - \"quoted\" ... nandu')"),
    ("odd", "变量 = 计算(数据)", "变量=计算(数据集)"),
    ("odd", "имя_файла = 'данные.txt'", "имя_файла = \"данные.csv\""),
    ("odd", "x = '🎉→≤²' + \"Ω\"", "x = '🎉 → ≤ ²' + \"ω\""),
    ("odd", "a\u00a0b\u200bc\u3000d\fe\u2028f", "a bc def"),
    ("odd", "{[(<>)]}~`!@#$%^&*-_=+|\\;:'\",./?", "{[(<>)]} ~`!@#$%^&* -_=+|\\ ;:'\" ,./?"),
    ("odd", "", "x = 1"),
    ("odd", "A_b __c__ d_1 2_e", "a_b __C__ d_1 2_E"),
]

basic_tokenizer = BasicTokenizer(do_lower_case=False, strip_accents=False, tokenize_chinese_chars=True)
normalizer = BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False)
pre_tokenizer = BertPreTokenizer()
tokenizer_13a = Tokenizer13a()


def basic(text: str) -> list[str]:
    """BERT's basic tokens. The two implementations may differ on text that is not in NFC."""
    assert unicodedata.is_normalized("NFC", text)
    tokens = basic_tokenizer.tokenize(text)
    assert tokens == [t for t, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))], text
    return tokens


def mteval_13a(text: str) -> list[str]:
    return tokenizer_13a(text).split()


def bleu(references: list[list[str]], predictions: list[list[str]]) -> dict[str, Any]:
    """Corpus BLEU with one reference each and no smoothing; 0 where an order has no match."""
    matches, possible = [0] * ORDER, [0] * ORDER
    for reference, prediction in zip(references, predictions, strict=True):
        for n in range(1, ORDER + 1):
            wanted, found = (
                Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
                for tokens in (reference, prediction)
            )
            matches[n - 1] += (wanted & found).total()
            possible[n - 1] += found.total()
    precisions = [m / p if p else 0.0 for m, p in zip(matches, possible, strict=True)]
    mean = math.exp(sum(map(math.log, precisions)) / ORDER) if min(precisions) > 0 else 0.0
    reference_length, translation_length = sum(map(len, references)), sum(map(len, predictions))
    ratio = translation_length / reference_length
    penalty = 1.0 if ratio > 1.0 else math.exp(1 - 1 / ratio)
    check_bleu(mean * penalty, references, predictions)
    return {
        "bleu": mean * penalty,
        "precisions": precisions,
        "brevity_penalty": penalty,
        "length_ratio": ratio,
        "translation_length": translation_length,
        "reference_length": reference_length,
    }


def check_bleu(value: float, references: list[list[str]], predictions: list[list[str]]) -> None:
    sacre = BLEU(tokenize="none", smooth_method="none", effective_order=False, force=True).corpus_score(
        [" ".join(prediction) for prediction in predictions], [[" ".join(reference) for reference in references]]
    )
    assert abs(value - sacre.score / 100) < 1e-12, (value, sacre)
    # A prediction shorter than n adds 1 to nltk's count of possible n-grams, and 0 to the others'.
    if min(map(len, predictions)) >= ORDER:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nltk warns where BLEU is 0
            nltk = float(corpus_bleu([[reference] for reference in references], predictions))
        assert abs(value - nltk) < 1e-12, (value, nltk)


def corpora() -> dict[str, list[int]]:
    """Sub-corpora as indices into PAIRS: everything, each group, a mixture, and single pairs."""
    groups = {group: [i for i, pair in enumerate(PAIRS) if pair[0] == group] for group, _, _ in PAIRS}
    single = {f"single {i}": [i] for i, pair in enumerate(PAIRS) if pair[1] and pair[2]}
    return {"all": list(range(len(PAIRS))), **groups, "with empty": [0, 10, 15, 40], "no match": [29, 30], **single}


def longest_common_substring(a: list[int], b: list[int]) -> int:
    best, above = 0, [0] * (len(b) + 1)
    for x in a:
        row = [0] * (len(b) + 1)
        for j, y in enumerate(b, 1):
            row[j] = above[j - 1] + 1 if x == y else 0
        best, above = max(best, *row), row
    return best


def longest_equal_run(a: list[int], b: list[int]) -> int:
    best = run = 0
    for x, y in zip(a, b, strict=True):
        run = run + 1 if x == y else 0
        best = max(best, run)
    return best


def sequences(count: int = 36) -> list[dict[str, Any]]:
    """Gold ids and predictions of the same length: identical, unrelated, corrupted, shifted."""
    rng = random.Random(5)
    result = []
    for i in range(count):
        length = i + 1 if i < 4 else rng.randint(5, 40)
        gold = [rng.randrange(50_000 if i % 2 else 6) for _ in range(length)]
        share = (0.0, 0.1, 0.3, 0.6, 1.0, 0.2)[i % 6]
        predicted = [rng.choice(gold + [50_001]) if rng.random() < share else token for token in gold]
        if i % 6 == 5:
            predicted = predicted[1:] + predicted[:1]
        equal = sum(x == y for x, y in zip(gold, predicted, strict=True))
        result.append(
            {
                "gold": gold,
                "predicted": predicted,
                "exact_match": gold == predicted,
                "broad_match": equal / length,
                "longest_match": longest_common_substring(gold, predicted) / length,
                "longest_run": longest_equal_run(gold, predicted) / length,
            }
        )
    return result


class Basic:
    tokenize = staticmethod(basic)


def main() -> None:
    rouge = RougeScorer(["rougeL"], tokenizer=Basic())
    pairs = [
        {
            "group": group,
            "reference": {"text": reference, "basic": basic(reference), "13a": mteval_13a(reference)},
            "prediction": {"text": prediction, "basic": basic(prediction), "13a": mteval_13a(prediction)},
            "rouge_l": float(rouge.score(reference, prediction)["rougeL"].fmeasure),
        }
        for group, reference, prediction in PAIRS
    ]
    scores = [
        {
            "name": name,
            "pairs": indices,
            **{
                key: bleu(
                    [pairs[i]["reference"][key] for i in indices], [pairs[i]["prediction"][key] for i in indices]
                )
                for key in ("13a", "basic")
            },
        }
        for name, indices in corpora().items()
    ]
    sacre = BLEU(tokenize="13a", smooth_method="none", effective_order=False, force=True)
    for score in scores:
        predictions, references = [PAIRS[i][2] for i in score["pairs"]], [PAIRS[i][1] for i in score["pairs"]]
        assert abs(sacre.corpus_score(predictions, [references]).score / 100 - score["13a"]["bleu"]) < 1e-12

    golden = {"pairs": pairs, "bleu": scores, "sequences": sequences()}
    lines = ",\n".join(
        f' "{key}": [\n' + ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows) + "\n ]"
        for key, rows in golden.items()
    )
    (HERE / "metrics.json").write_text("{\n" + lines + "\n}\n")
    zeros = sum(score["13a"]["bleu"] == 0 for score in scores)
    print(f"{len(pairs)} pairs, {len(scores)} corpora ({zeros} with BLEU 0), {len(golden['sequences'])} sequences")


if __name__ == "__main__":
    main()

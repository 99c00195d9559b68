"""What the engine is measured against: the same work, done plainly on `transformers`.

Run: python peer.py MODEL_DIR [--threads N] [--dtype float32|bfloat16] [--device cpu]
Then a JSON request a line on stdin, a JSON answer a line on stdout; README.md lists them.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import plain_editors
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

Json = dict[str, Any]
Predict = Callable[[Tensor], Tensor]
Neuron = tuple[int, int]  # layer, index
Column = tuple[Tensor, Tensor]  # of an FFN output matrix: a view of it, what is added to it


@dataclass(frozen=True)
class Architecture:
    """Where a model type keeps its layers, a layer its FFN output matrix, and a model its head."""

    layers: str
    ffn_output: str
    head: str = "lm_head"

    def ffn_outputs(self, model: nn.Module) -> list[nn.Linear]:
        """The modules that take the post-activations; column j of the matrix is neuron j's."""
        layers = model.get_submodule(self.layers).children()
        return [layer.get_submodule(self.ffn_output) for layer in layers]


LLAMA = Architecture("model.layers", "mlp.down_proj")
CODEGEN = Architecture("transformer.h", "mlp.fc_out")
ARCHITECTURES = {"llama": LLAMA, "qwen2": LLAMA, "codegen": CODEGEN}


@contextmanager
def hooked(modules: list[nn.Linear], hook: Callable[[nn.Module, tuple], Any]) -> Iterator[None]:
    """Calls `hook` before each of `modules` runs."""
    with ExitStack() as handles:
        for module in modules:
            handles.callback(module.register_forward_pre_hook(hook).remove)
        yield


@contextmanager
def edited(columns: list[Column]) -> Iterator[None]:
    """Adds to columns of the weights in place; copies restore them bit for bit."""
    saved = [weights.clone() for weights, _ in columns]
    try:
        for weights, delta in columns:
            weights += delta
        yield
    finally:
        for (weights, _), before in zip(columns, saved):
            weights.copy_(before)


def finite(logits: Tensor) -> Tensor:
    """Logits in float32, with what an edit made overflow brought back to the representable."""
    return logits.float().nan_to_num(nan=-1e30, posinf=1e30, neginf=-1e30)


def rank(logits: Tensor, target: int) -> int:
    """1 for the argmax; equal logits rank by token id; a target that is NaN comes last."""
    values = finite(logits)
    ahead = (values > values[target]).sum() + (values[:target] == values[target]).sum()
    return 1 + (len(logits) if logits[target].isnan() else ahead.item())


def probability(logits: Tensor, target: int) -> float:
    """Softmax probability of `target`."""
    return finite(logits).softmax(-1)[target].item()


def standing(logits: Tensor, target: int, argmax: int) -> tuple[int, float]:
    """Equation 3, lower is better: the target's rank, then how far it is below the argmax."""
    values = finite(logits)
    return rank(logits, target), values[argmax].item() - values[target].item()


def raised_to_top(values: Tensor, target: int) -> Tensor:
    """Algorithm 1: `target` swaps with the smallest larger value (of equals the first) in turn."""
    larger = (values > values[target]).nonzero()[:, 0]
    climbed, order = values[larger].sort(stable=True)
    first = torch.ones_like(larger, dtype=torch.bool)
    first[1:] = climbed[1:] != climbed[:-1]
    chain = torch.cat([larger.new_tensor([target]), larger[order[first]]])
    return values.index_put((chain,), values[chain].roll(1))


class Peer:
    """A model and the tasks that are timed on it."""

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device) -> None:
        load = transformers.AutoModelForCausalLM.from_pretrained
        model = load(folder, dtype=dtype, local_files_only=True)
        self.model = model.eval().requires_grad_(False).to(device)
        self.dtype, self.device = dtype, device
        self.architecture = ARCHITECTURES[model.config.model_type]
        self.ffn_outputs = self.architecture.ffn_outputs(model)

    @cached_property
    def oracle(self) -> tuple[Tensor, Tensor]:
        """The head W in float32 and (WᵀW)⁺ in float64: the pseudoinverse of Wᵀ is W(WᵀW)⁺."""
        head = self.model.get_submodule(self.architecture.head).weight.float()
        exact = head.double()
        return head, torch.linalg.pinv(exact.T @ exact, rtol=1e-13, hermitian=True)

    def timed(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """The wall time of `work`, and its result."""
        start = self.now()
        result = work()
        return self.now() - start, result

    def now(self) -> float:
        """The clock, once an accelerator has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def ids(self, ids: list[int]) -> Tensor:
        """A batch of one sequence, `[1, T]`."""
        return torch.tensor([ids], device=self.device)

    def predictor(self, request: Json) -> Predict:
        """A forward of whole sequences `[B, T]` to their last logits `[B, V]`."""
        keep = {"logits_to_keep": 1} if request.get("last_logits_only") else {}
        return lambda ids: self.model(ids, use_cache=False, **keep).logits[..., -1, :]

    def column(self, layer: int, index: int, delta: Tensor) -> Column:
        """A neuron's column, with what is to be added to it."""
        return self.ffn_outputs[layer].weight[:, index], delta.to(self.device, self.dtype)

    @torch.inference_mode()
    def forward(self, request: Json) -> Json:
        """Logits at every position of a sequence."""
        ids = self.ids(request["ids"])
        seconds, logits = self.timed(lambda: self.model(ids, use_cache=False).logits[0])
        argmax, last = logits.argmax(-1).tolist(), logits[-1].float().tolist()
        return {"seconds": seconds, "argmax": argmax, "last": last}

    def ment(self, request: Json) -> Json:
        """Repairs a wrong next-token prediction with MENT under its default settings."""
        ids, predict = self.ids(request["ids"]), self.predictor(request)
        _ = self.oracle  # made once a process, outside the clock

        def repair() -> Json:
            logits, neurons, ties = self.locate(predict, ids, request["candidates"])
            with torch.inference_mode():
                columns = self.estimate(logits, neurons, request)
                answer = self.plan(predict, ids, logits, neurons, columns, request)
            return answer | {"ties": ties}

        seconds, answer = self.timed(repair)
        return {"seconds": seconds, **answer}

    def locate(self, predict, ids: Tensor, count: int) -> tuple[Tensor, list[Neuron], list]:
        """The last logits, and the neurons with most input × gradient of P(argmax), best first.

        And the neurons that score within a thousandth of the last of these: whoever adds in
        another order may locate another of them.
        """
        activations: list[Tensor] = []
        with hooked(self.ffn_outputs, lambda _, args: activations.append(args[0].requires_grad_())):
            logits = predict(ids)[0]
        attributed = logits.softmax(-1, dtype=torch.float32)[logits.argmax()]
        gradients = torch.autograd.grad(attributed, activations)
        products = [(a.detach() * g)[0].float() for a, g in zip(activations, gradients)]
        scores = torch.stack([product.square().sum(0).sqrt() for product in products])
        values, top = scores.flatten().topk(min(count, scores.numel()))
        ties = ((scores / values[-1] - 1).abs() < 1e-3).nonzero().tolist()
        return logits.detach(), [divmod(flat, scores.shape[1]) for flat in top.tolist()], ties

    def estimate(self, logits: Tensor, neurons: list[Neuron], request: Json) -> list[Column]:
        """What is added to each neuron's column, from the change of distribution that is wanted."""
        target, (head, gram_inverse) = request["target"], self.oracle
        actual = logits.softmax(-1, dtype=torch.float32)
        change = raised_to_top(actual, target) - actual
        if not change.any():  # the target ties with the argmax: there is nothing to swap
            change[target], change[logits.argmax()] = 1.0, -1.0
        vector = ((change @ head).double() @ gram_inverse).float()
        vector /= vector.max() - vector.min()
        depth = [(layer + 1) / len(self.ffn_outputs) for layer, _ in neurons]
        deltas = [vector * each * request["coefficient"] for each in depth]
        return [self.column(*neuron, delta) for neuron, delta in zip(neurons, deltas)]

    def plan(self, predict, ids, logits, neurons, columns: list[Column], request: Json) -> Json:
        """Tries all, commits the best, until the target is the argmax or the quota is spent."""
        target, argmax, chosen = request["target"], logits.argmax().item(), []
        left = list(zip(neurons, columns))  # each neuron is patched at most once
        with ExitStack() as committed:
            while rank(logits, target) > 1 and len(chosen) < request["quota"]:
                tried = []
                for _, column in left:
                    with edited([column]):
                        tried.append(predict(ids)[0].clone())
                standings = [standing(after, target, argmax) for after in tried]
                best = standings.index(min(standings))
                neuron, column = left.pop(best)
                committed.enter_context(edited([column]))
                chosen.append(neuron)
                logits = tried[best]
        answer = {"argmax": argmax, "candidates": neurons, "neurons": chosen, "rounds": len(chosen)}
        answer |= {"rank": rank(logits, target), "probability": probability(logits, target)}
        return answer | {"solved": answer["rank"] == 1}

    def ig(self, request: Json) -> Json:
        """Integrated gradients of P(target) over the post-activations of the last position."""
        ids, predict, steps = self.ids(request["ids"]), self.predictor(request), request["steps"]
        fractions = torch.arange(steps, device=self.device)[:, None] / steps
        chunks = fractions.split(request.get("chunk", steps))

        def attribute() -> list[Tensor]:
            last: list[Tensor] = []
            with torch.no_grad():
                with hooked(self.ffn_outputs, lambda _, args: last.append(args[0][0, -1].clone())):
                    predict(ids)
            scores = []
            for module, activation in zip(self.ffn_outputs, last):
                paths = [(chunk * activation).to(self.dtype) for chunk in chunks]
                fixed = (predict, ids, request["target"], module)
                total = sum(self.path_gradient(*fixed, path) for path in paths)
                scores.append(activation.float() * total / steps)
            return scores

        seconds, scores = self.timed(attribute)
        return {"seconds": seconds, "scores": [score.tolist() for score in scores]}

    def path_gradient(self, predict, ids, target: int, module: nn.Linear, path: Tensor) -> Tensor:
        """Of P(target), summed over copies of the prompt, one a last activation in `path`."""
        path.requires_grad_()

        def replace(_module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            return (torch.cat([args[0][:, :-1], path[:, None]], 1),)

        with hooked([module], replace):
            logits = predict(ids.expand(len(path), -1))
        attributed = logits.softmax(-1, dtype=torch.float32)[:, target].sum()
        return torch.autograd.grad(attributed, path)[0].sum(0, dtype=torch.float32)

    @torch.inference_mode()
    def probe(self, request: Json) -> Json:
        """The target after each of several prompts, under one edit."""
        target, predict = request["target"], self.predictor(request)
        prompts = [self.ids(prompt) for prompt in request["prompts"]]
        edits = [(e["layer"], e["index"], torch.tensor(e["delta"])) for e in request["edit"]]
        columns = [self.column(*edit) for edit in edits]

        def run() -> list[tuple[int, float]]:
            with edited(columns):
                last = (predict(ids)[0] for ids in prompts)
                return [(rank(logits, target), probability(logits, target)) for logits in last]

        seconds, seen = self.timed(run)
        ranks, probabilities = [r for r, _ in seen], [p for _, p in seen]
        return {"seconds": seconds, "rank": ranks, "probability": probabilities}

    def edit(self, request: Json) -> Json:
        """One error repaired by an editor of whole matrices, and the prediction under its update."""
        ids, target, settings = request["ids"], request["target"], request["settings"]
        method = getattr(plain_editors, request["method"])
        if "moments" in request:  # by layer, a file; outside the clock, as they serve every error
            files = request["moments"].items()
            moments = {int(layer): load_file(file)["second_moment"].double() for layer, file in files}
            settings |= {"moments": moments, "beginnings": request["beginnings"]}
        editor = plain_editors.Editor(self.model, request.get("essence", []))

        def repair() -> tuple[dict[int, Tensor], Tensor]:
            updates = method(editor, ids, target, **settings)
            editor.changes = {
                layer: (lambda keys, update=update: keys @ update.T) for layer, update in updates.items()
            }
            with torch.inference_mode():
                return updates, editor.logits(ids)

        try:
            seconds, (updates, logits) = self.timed(repair)
        finally:
            editor.close()
        norms = {layer: update.norm().item() for layer, update in updates.items()}
        answer = {"rank": rank(logits, target), "probability": probability(logits, target)}
        return {"seconds": seconds, "norms": norms, **answer}

    def memory(self, _request: Json) -> Json:
        """Resident memory of this process, at its peak and now."""
        status = Path("/proc/self/status").read_text()
        peak, now = (re.search(rf"{key}:\s+(\d+) kB", status)[1] for key in ("VmHWM", "VmRSS"))
        return {"peak_bytes": int(peak) * 1024, "now_bytes": int(now) * 1024}

    @torch.inference_mode()
    def gemm(self, request: Json) -> Json:
        """The best of several tries at one matrix product."""
        m, n, k = request["m"], request["n"], request["k"]
        left = torch.rand(m, k, device=self.device).to(self.dtype)
        right = torch.rand(k, n, device=self.device).to(self.dtype)
        best = min(self.timed(lambda: left.mm(right))[0] for _ in range(request["repeat"]))
        return {"seconds": best, "flops_per_second": 2 * m * n * k / best}

    def answer(self, line: str) -> str:
        """The answer to one request; an error is an answer too."""
        tasks = (self.forward, self.ment, self.edit, self.ig, self.probe, self.memory, self.gemm)
        try:
            request = json.loads(line)
            task = {task.__name__: task for task in tasks}[request["task"]]
            return json.dumps(task(request), allow_nan=False)
        except Exception as error:
            return json.dumps({"error": f"{type(error).__name__}: {error}"})


def main() -> None:
    """Loads the model, says so, and serves until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", type=torch.device, default="cpu")
    options = parser.parse_args()
    if not options.model.is_dir():
        parser.error(f"{options.model} is not a folder")
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(options.threads)

    peer = Peer(options.model, getattr(torch, options.dtype), options.device)
    ready = {"ready": True, "torch": torch.__version__, "transformers": transformers.__version__}
    ready |= {"threads": torch.get_num_threads(), "dtype": options.dtype}
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        print(peer.answer(line), file=answers, flush=True)


if __name__ == "__main__":
    main()

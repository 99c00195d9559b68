"""Editors of whole matrices in plain PyTorch, as the papers have them, and this project's joint neuron repair.

Fine-tuning, LoRA, ROME, MEMIT, AlphaEdit and Joint: whole forward passes with the change in a hook, autograd, dense inverses.
Each returns the change of each layer's FFN output matrix that makes `target` follow `ids`; Joint that of one neuron a request. The goldens of
`scripts/goldens/editors.py` are theirs, and `peer.py` times them.
"""

import torch
from torch import nn

SEQUENCE = 256


class Editor:
    """A model of type Llama whose FFN outputs and residual stream can be changed by hooks."""

    def __init__(self, model: nn.Module, essence: list[int]) -> None:
        """`essence` are the ids of " is a"."""
        self.model, self.essence = model, essence
        self.layers = list(model.model.layers)
        self.matrices = [layer.mlp.down_proj.weight for layer in self.layers]
        self.changes = {}  # by layer: a function of the post-activations, added to the FFN output
        self.moves = {}  # by layer: (position, vector) added to the residual leaving the layer
        self.keys = {}
        self.outputs = {}
        self.left = {}
        self.handles = []
        for index, layer in enumerate(self.layers):
            self.handles.append(layer.mlp.down_proj.register_forward_hook(self.ffn(index)))
            self.handles.append(layer.register_forward_hook(self.leaving(index)))

    def close(self) -> None:
        """Takes the hooks off the model."""
        for handle in self.handles:
            handle.remove()

    def ffn(self, index):
        def hook(_, args, output):
            self.keys[index] = args[0][0]
            if index in self.changes:
                output = output + self.changes[index](args[0])
            self.outputs[index] = output[0]
            return output

        return hook

    def leaving(self, index):
        def hook(_, args, output):
            whole = output[0] if isinstance(output, tuple) else output
            if index in self.moves:
                position, vector = self.moves[index]
                mark = torch.zeros(1, whole.shape[1], 1)
                mark[0, position] = 1
                whole = whole + mark * vector
            self.left[index] = whole[0]
            return (whole, *output[1:]) if isinstance(output, tuple) else whole

        return hook

    def logits(self, ids):
        return self.model(torch.tensor([ids])).logits[0, -1]

    def second_moments(self, ids):
        """Mean outer product of the keys of each layer."""
        sums = [0.0 for _ in self.layers]
        for start in range(0, len(ids), SEQUENCE):
            self.logits(ids[start : start + SEQUENCE])
            for index in range(len(self.layers)):
                keys = self.keys[index]
                sums[index] = sums[index] + (keys.T @ keys).double()
        return [(total / len(ids)).float().double() for total in sums]


def descend(editor, ids, target, parameters, steps, rate, bound=lambda: None):
    """Adam on the negative log-probability of the target until it is the argmax."""
    optimiser = torch.optim.Adam(parameters, lr=rate)
    for _ in range(steps):
        logits = editor.logits(ids)
        if int(logits.argmax()) == target:
            break
        optimiser.zero_grad()
        (-logits.log_softmax(-1)[target]).backward()
        optimiser.step()
        bound()
    editor.changes = {}


def fine_tuning(editor, ids, target, layer, steps, rate, bound):
    change = torch.zeros_like(editor.matrices[layer]).requires_grad_()
    editor.changes = {layer: lambda keys: keys @ change.T}
    descend(editor, ids, target, [change], steps, rate, lambda: change.data.clamp_(-bound, bound))
    return {layer: change.detach()}


def lora(editor, ids, target, rank, alpha, steps, rate, seed):
    torch.manual_seed(seed)
    width, inner = editor.matrices[0].shape
    pairs = []
    for _ in editor.layers:
        right = torch.empty(rank, inner)
        torch.nn.init.kaiming_uniform_(right, a=5**0.5)
        pairs.append((torch.zeros(width, rank).requires_grad_(), right.requires_grad_()))
    scale = alpha / rank
    editor.changes = {
        index: (lambda keys, left=left, right=right: (keys @ right.T) @ left.T * scale)
        for index, (left, right) in enumerate(pairs)
    }
    descend(editor, ids, target, [factor for pair in pairs for factor in pair], steps, rate)
    return {index: (left @ right * scale).detach() for index, (left, right) in enumerate(pairs)}


def contexts(ids, beginnings):
    """The prompt alone and after other beginnings."""
    return [ids, *(beginning + ids for beginning in beginnings)]


def optimised(editor, around, target, layer, of_residual, back, steps, rate, decay, clamp, divergence):
    """The original value at the subject, `back` tokens before the end, and the change that makes the target likely."""
    essence = [around[0][-1 - back]] + editor.essence
    change = torch.zeros(editor.matrices[0].shape[0]).requires_grad_()

    def changed(position):
        if of_residual:
            editor.moves = {layer: (position, change)}
        else:
            def added(keys):
                mark = torch.zeros(1, keys.shape[1], 1)
                mark[0, position] = 1
                return mark * change

            editor.changes = {**own, layer: added}

    own = dict(editor.changes)
    assert layer not in own
    editor.logits(around[0])
    original = (editor.left if of_residual else editor.outputs)[layer][-1 - back].detach()
    before = editor.logits(essence).log_softmax(-1)
    optimiser = torch.optim.Adam([change], lr=rate)
    for step in range(steps):
        likely = []
        for ids in around:
            changed(len(ids) - 1 - back)
            likely.append(editor.logits(ids).log_softmax(-1)[target])
        changed(0)
        now = editor.logits(essence).log_softmax(-1)
        loss = -torch.stack(likely).mean() + decay * change.norm() / original.norm() ** 2
        loss = loss + divergence * torch.nn.functional.kl_div(before, now, log_target=True, reduction="sum")
        if float(loss.detach()) < 0.05 or step == steps - 1:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            most = clamp * original.norm()
            if change.norm() > most:
                change *= most / change.norm()
    editor.changes, editor.moves = own, {}
    return original, change.detach()


def mean_key(editor, around, layer, back):
    keys = []
    for ids in around:
        editor.logits(ids)
        keys.append(editor.keys[layer][-1 - back])
    return torch.stack(keys).mean(0)


def rome(editor, ids, target, beginnings, moments, layer, back=0, **value):
    around = contexts(ids, beginnings)
    original, change = optimised(editor, around, target, layer, False, back, **value)
    key = mean_key(editor, around, layer, back)
    direction = (torch.linalg.inv(moments[layer]) @ key.double()).float()
    direction = direction / direction.norm()
    output = editor.matrices[layer] @ key
    left = (original + change - output) / (key @ direction)
    return {layer: torch.outer(left, direction)}


def spread(editor, ids, target, beginnings, layers, right, back, value):
    around = contexts(ids, beginnings)
    last = layers[-1]
    original, change = optimised(editor, around, target, last, True, back, **value)
    wanted, updates = original + change, {}
    for index, layer in enumerate(layers):
        key = mean_key(editor, around, layer, back)
        editor.logits(ids)
        share = (wanted - editor.left[last][-1 - back]) / (len(layers) - index)
        updates[layer] = torch.outer(share, right(layer, key.double()).float())
        editor.changes[layer] = lambda keys, update=updates[layer]: keys @ update.T
    editor.changes = {}
    return updates


def memit(editor, ids, target, beginnings, moments, layers, weight, back=0, **value):
    def right(layer, key):
        return torch.linalg.solve(weight * moments[layer] + torch.outer(key, key), key)

    return spread(editor, ids, target, beginnings, layers, right, back, value)


def alpha_edit(editor, ids, target, beginnings, moments, layers, threshold, ridge, back=0, **value):
    def right(layer, key):
        values, vectors = torch.linalg.eigh(moments[layer])
        free = vectors[:, values < threshold]
        assert 0 < free.shape[1] < free.shape[0]
        free = free @ free.T
        system = free @ torch.outer(key, key) + ridge * torch.eye(len(key), dtype=torch.double)
        return torch.linalg.solve(system, free @ key)

    return spread(editor, ids, target, beginnings, layers, right, back, value)


class Reading:
    """Captures what the FFN of a layer reads, and adds to what it gives."""

    def __init__(self, editor, layer):
        self.change, self.read = None, None
        self.handle = editor.layers[layer].mlp.register_forward_hook(self.hook)

    def hook(self, _, args, output):
        self.read = args[0][0]
        return output if self.change is None else output + self.change(args[0])


def joint_directions(wanted, held, moment, pull, keep, others, ridge):
    """A direction of the FFN input for each request, [U,D]: its product is 1, in the mean, at its own prompts."""
    size = moment.shape[0]
    text = moment + ridge * moment.trace() / size * torch.eye(size, dtype=torch.float64)
    directions = []
    for place, own in enumerate(wanted):
        rest = [other for index, other in enumerate(wanted) if index != place]
        parts = [(pull, own)]
        parts += [(keep, torch.cat(held[place]))] if held[place] else []
        parts += [(others, torch.cat(rest))] if rest else []
        system = text + sum(factor * part.T @ part / len(part) for factor, part in parts)
        direction = torch.linalg.solve(system, own.mean(0))
        directions.append(direction / (direction @ own.mean(0)))
    return torch.stack(directions)


def joint(editor, requests, text, layer, steps, rate, enough, margin, threshold, slope, **directions):
    """What each request changes: the rows and the column of one neuron, whose vectors are solved for all together."""
    reading, mlp = Reading(editor, layer), editor.layers[layer].mlp

    def read(ids, first):
        editor.logits(ids)
        return reading.read[first:].double()

    inputs = torch.cat([read(text[start : start + SEQUENCE], 0) for start in range(0, len(text), SEQUENCE)])
    moment, mean, size = inputs.T @ inputs / len(inputs), inputs.mean(0), inputs.shape[1]
    one = torch.linalg.solve(moment + 1e-4 * moment.trace() / size * torch.eye(size, dtype=torch.float64), mean)
    one = one / (one @ mean)
    wanted = [torch.cat([read(ids, -1) for ids, _ in request["wanted"]]) for request in requests]
    held = [[read(ids, start - 1) for ids, start in request["keep"]] for request in requests]
    found = joint_directions(wanted, held, moment, **directions)
    gate = (slope * (found - threshold * one)).float()
    up = (((2 - threshold) * one - found) / (slope * (1 - threshold) ** 2)).float()
    activity = editor.second_moments(text)[layer].diagonal()
    weights = [mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight]
    neurons = (activity * weights[2].double().square().sum(0)).argsort()[: len(requests)]
    was = [weights[0][neurons].clone(), weights[1][neurons].clone(), weights[2][:, neurons].T.clone()]

    def write(rows_gate, rows_up, columns):
        weights[0][neurons], weights[1][neurons], weights[2][:, neurons] = rows_gate, rows_up, columns.T

    def response(read, rows_gate=gate, rows_up=up):
        return torch.nn.functional.silu(read @ rows_gate.T) * (read @ rows_up.T)

    vectors = torch.zeros(len(requests), size)
    pairs = [pair for request in requests for pair in request["wanted"]]
    targets = torch.tensor([target for _, target in pairs])
    for turn in range(3):
        before = vectors.clone()
        vectors.requires_grad_()
        optimiser = torch.optim.Adam([vectors], lr=rate)

        def change(read, turn=turn, before=before, vectors=vectors):
            # What is solved acts on the last token; what was solved before is in the weights.
            last = torch.zeros(1, read.shape[1], 1)
            last[0, -1] = 1
            has = response(read, *was[:2]) @ was[2] if turn == 0 else response(read) @ before
            return last * (margin * response(read) @ vectors - has)

        reading.change = change
        for _ in range(steps):
            logits = torch.stack([editor.logits(ids) for ids, _ in pairs])
            loss = -logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
            pushes = (logits.argmax(-1) != targets) | (loss.detach() > -torch.tensor(enough).log())
            if not pushes.any():
                break
            optimiser.zero_grad()
            ((loss * pushes).sum() / len(pairs)).backward()
            optimiser.step()
        vectors, reading.change = vectors.detach(), None
        write(gate, up, vectors)
        said = [int(editor.logits(ids).argmax()) == target for ids, target in pairs]
        if all(said):
            break
    write(*was)
    reading.handle.remove()
    changes = [
        {"neuron": int(neuron), "gate": gate[row] - was[0][row], "up": up[row] - was[1][row], "column": vectors[row] - was[2][row]}
        for row, neuron in enumerate(neurons)
    ]
    return changes, said

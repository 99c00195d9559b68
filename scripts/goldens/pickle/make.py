"""Writes the torch.save fixtures of the `pickle` module's tests, next to this file.

    python make.py

It needs torch; the committed files came from torch 2.11. Every value is small and
exact in its dtype, so that the tests can spell out the bytes.
"""

from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent


def every_dtype():
    """A state dict as a module returns it: `_metadata`, tied names, views, a Parameter."""
    base = torch.arange(6, dtype=torch.int64)
    tied = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float16)
    state = OrderedDict(
        f16=tied,
        tied=tied.detach(),  # another tensor, the same storage
        same=tied,  # the same tensor: a memo reference in the pickle
        bf16=torch.tensor([1.0, -2.0], dtype=torch.bfloat16),
        f32=torch.nn.Parameter(torch.tensor([0.5, -1.5], dtype=torch.float32)),
        f64=torch.tensor(0.25, dtype=torch.float64),  # no dimensions
        u8=torch.tensor([255], dtype=torch.uint8),
        i8=torch.tensor([-1], dtype=torch.int8),
        i16=torch.tensor([-2], dtype=torch.int16),
        i32=torch.tensor([-3], dtype=torch.int32),
        i64=base,
        view=base[2:5],
        column=base[4:].reshape(2, 1).as_strided((2, 1), (1, 7), 4),  # odd stride, one column
        bool=torch.tensor([True, False]),
        none=torch.empty(0, 3),  # no elements
    )
    state._metadata = OrderedDict([("", {"version": 1}), ("layer", {"version": 2})])
    return state


torch.save(every_dtype(), HERE / "dtypes.bin")
torch.save({}, HERE / "empty.bin")
# A training checkpoint around the state dict, in the opcodes of a newer pickle protocol.
nested = {"epoch": 70_000, "state_dict": {"w": torch.tensor([7, -8], dtype=torch.int32)}}
torch.save(nested, HERE / "nested.bin", pickle_protocol=4)

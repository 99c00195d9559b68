//! The pickle machine: the opcodes, and the few globals, that a state dict is written with.
//!
//! Nothing is called: a global is a name to look at, and one that is not on the list is refused.
//! Tuples, dicts and tensors live in arenas and values are indices into these, so there is no
//! recursion, and memory stays proportional to the pickle whatever it holds.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, bail, ensure};

use super::StoredDtype;

/// Most dimensions a tensor may have.
const MAX_RANK: usize = 16;

/// A run of elements in a separate archive entry.
#[derive(Clone, Copy)]
pub(super) struct Storage<'a> {
    /// The entry's name under `data/`.
    pub(super) key: &'a str,
    /// Type of the elements.
    pub(super) dtype: StoredDtype,
    /// Number of elements that it claims to hold.
    pub(super) len: usize,
}

/// A part of a storage.
#[derive(Clone)]
pub(super) struct Tensor<'a> {
    /// Location of the elements.
    pub(super) storage: Storage<'a>,
    /// The first element's place in the storage.
    pub(super) first: usize,
    /// The dimensions, outermost first.
    pub(super) shape: Vec<usize>,
    /// The step along each dimension, in elements.
    strides: Vec<usize>,
}

impl Tensor<'_> {
    /// True if the elements lie side by side in row-major order.
    fn is_contiguous(&self) -> bool {
        let mut step = 1usize;
        let mut dims = self.shape.iter().zip(&self.strides).rev();
        let fits = dims.all(|(&dim, &stride)| {
            let expected = step;
            step = step.saturating_mul(dim);
            dim == 1 || stride == expected
        });
        fits || self.shape.contains(&0)
    }
}

/// A Python object, as far as a state dict needs one.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// A None, a bool, or an integer that is no size: nothing depends on the value.
    Other,
    /// An integer that may be a size.
    Int(usize),
    /// A string.
    Str(&'a str),
    /// A tuple, as an index into [`Machine::tuples`].
    Tuple(usize),
    /// A dict or an OrderedDict, as an index into [`Machine::dicts`].
    Dict(usize),
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `torch.FloatStorage` or one of its siblings
    StorageClass(StoredDtype),
    /// A storage, which a persistent id stands for.
    Storage(Storage<'a>),
    /// A tensor or a Parameter, as an index into [`Machine::tensors`].
    Tensor(usize),
}

/// Runs `pickle` and lists the tensors of the state dict that it builds, in order.
///
/// The state dict is the top dict or, as in a training checkpoint, its `state_dict` or `model`.
pub(super) fn state_dict(pickle: &[u8]) -> Result<Vec<(&str, Tensor<'_>)>> {
    let mut machine = Machine { pickle, ..Machine::default() };
    let root = machine.run();
    let root = root.with_context(|| format!("byte {} of data.pkl", machine.at))?;
    let Value::Dict(top) = root else {
        bail!("data.pkl does not hold a dict, so it is not a state dict");
    };
    let nested = machine.dicts[top].iter().find_map(|item| match *item {
        [Value::Str("state_dict" | "model"), Value::Dict(inner)] => Some(inner),
        _ => None,
    });
    let items = machine.dicts[nested.unwrap_or(top)].iter();
    let mut names = HashSet::new();
    let tensors = items.map(|item| match *item {
        [Value::Str(name), Value::Tensor(tensor)] => {
            ensure!(names.insert(name), "the state dict names {name:?} twice");
            let tensor = &machine.tensors[tensor];
            let Tensor { shape, strides, .. } = tensor;
            ensure!(
                tensor.is_contiguous(),
                "tensor {name:?} is not contiguous: shape {shape:?}, strides {strides:?}"
            );
            Ok((name, tensor.clone()))
        }
        [Value::Str(name), _] => bail!("{name:?} in the state dict is not a tensor"),
        _ => bail!("a name in the state dict is not a string"),
    });
    tensors.collect()
}

/// The state of a run.
#[derive(Default)]
struct Machine<'a> {
    pickle: &'a [u8],
    /// The place of the next byte in `pickle`.
    at: usize,
    stack: Vec<Value<'a>>,
    /// The heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Value<'a>>,
    tuples: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<[Value<'a>; 2]>>,
    tensors: Vec<Tensor<'a>>,
}

impl<'a> Machine<'a> {
    /// Runs up to STOP and returns the value on top of the stack.
    fn run(&mut self) -> Result<Value<'a>> {
        loop {
            let value = match self.bytes(1)?[0] {
                b'.' => return Ok(self.pop::<1>()?[0]),
                b'N' | 0x88 | 0x89 => Value::Other,
                b'K' => Value::Int(self.uint(1)?),
                b'M' => Value::Int(self.uint(2)?),
                b'J' => self.integer(4)?,
                0x8a => self.uint(1).and_then(|len| self.integer(len))?,
                0x8c => self.text(1)?,
                b'X' => self.text(4)?,
                0x8d => self.text(8)?,
                b')' => self.tuple(&[]),
                0x85 => self.pop::<1>().map(|items| self.tuple(&items))?,
                0x86 => self.pop::<2>().map(|items| self.tuple(&items))?,
                0x87 => self.pop::<3>().map(|items| self.tuple(&items))?,
                b't' => self.pop_to_mark().map(|items| self.tuple(&items))?,
                b'}' => self.dict(),
                b'c' => global(self.line()?, self.line()?)?,
                0x93 => match self.pop()? {
                    [Value::Str(module), Value::Str(name)] => global(module, name)?,
                    _ => bail!("a global whose name is not a string"),
                },
                b'Q' => self.persistent_id()?,
                b'R' => self.reduce()?,
                b'h' => self.uint(1).and_then(|key| self.recall(key))?,
                b'j' => self.uint(4).and_then(|key| self.recall(key))?,
                op => {
                    self.effect(op)?;
                    continue;
                }
            };
            self.stack.push(value);
        }
    }

    /// Runs an opcode that pushes nothing.
    fn effect(&mut self, op: u8) -> Result<()> {
        match op {
            0x80 => ensure!(self.uint(1)? <= 5, "a pickle protocol newer than 5"),
            0x95 => _ = self.bytes(8)?, // FRAME: a hint for buffered readers
            b'(' => self.marks.push(self.stack.len()),
            b'q' => self.uint(1).and_then(|key| self.remember(key))?,
            b'r' => self.uint(4).and_then(|key| self.remember(key))?,
            0x94 => self.remember(self.memo.len())?,
            b's' => self.pop::<2>().and_then(|item| self.add(&item))?,
            b'u' => self.pop_to_mark().and_then(|items| self.add(&items))?,
            // BUILD: the attribute `_metadata` of an OrderedDict, which no tensor depends on.
            b'b' => match self.pop()? {
                [dict @ Value::Dict(_), Value::Dict(_)] => self.stack.push(dict),
                _ => bail!("attributes of something that is not a dict"),
            },
            _ => bail!("the opcode {op:#04x} has no place in a state dict"),
        }
        Ok(())
    }

    /// The storage that a persistent id names.
    fn persistent_id(&mut self) -> Result<Value<'a>> {
        if let [Value::Tuple(id)] = self.pop()?
            && let &[Value::Str("storage"), class, key, _device, len] = &self.tuples[id][..]
            && let (Value::StorageClass(dtype), Value::Str(key), Value::Int(len)) =
                (class, key, len)
        {
            return Ok(Value::Storage(Storage { key, dtype, len }));
        }
        bail!("a persistent id that is not a torch storage")
    }

    /// Value that the call of a global would return.
    fn reduce(&mut self) -> Result<Value<'a>> {
        let [callee, Value::Tuple(args)] = self.pop()? else {
            bail!("a call without a tuple of arguments");
        };
        match (callee, &self.tuples[args][..]) {
            (Value::OrderedDict, []) => Ok(self.dict()),
            (Value::RebuildParameter, &[tensor @ Value::Tensor(_), _grad, _hooks]) => Ok(tensor),
            (Value::RebuildTensor, args) => {
                let tensor = self.tensor(args).context("a tensor of malformed parts")?;
                self.tensors.push(tensor);
                Ok(Value::Tensor(self.tensors.len() - 1))
            }
            _ => bail!("a call that torch.save does not write"),
        }
    }

    /// The tensor that `_rebuild_tensor_v2` would make of its arguments.
    fn tensor(&self, args: &[Value<'a>]) -> Option<Tensor<'a>> {
        let sizes = |value| {
            let Value::Tuple(id) = value else { return None };
            let sizes = self.tuples[id].iter().map(|&item| match item {
                Value::Int(size) => Some(size),
                _ => None,
            });
            sizes.take(MAX_RANK + 1).collect::<Option<Vec<usize>>>()
        };
        let &[storage, first, shape, strides, _grad, _hooks] = args else {
            return None;
        };
        let (Value::Storage(storage), Value::Int(first)) = (storage, first) else {
            return None;
        };
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        let sane = shape.len() == strides.len() && shape.len() <= MAX_RANK;
        sane.then_some(Tensor { storage, first, shape, strides })
    }

    /// A new tuple.
    fn tuple(&mut self, items: &[Value<'a>]) -> Value<'a> {
        self.tuples.push(items.to_vec());
        Value::Tuple(self.tuples.len() - 1)
    }

    /// A new dict.
    fn dict(&mut self) -> Value<'a> {
        self.dicts.push(Vec::new());
        Value::Dict(self.dicts.len() - 1)
    }

    /// Adds keys and values, by turns, to the dict on top of the stack.
    fn add(&mut self, items: &[Value<'a>]) -> Result<()> {
        let (Some(&Value::Dict(dict)), (pairs, [])) = (self.stack.last(), items.as_chunks()) else {
            bail!("items that are not pairs for a dict");
        };
        self.dicts[dict].extend(pairs);
        Ok(())
    }

    /// Puts the top of the stack into the memo.
    fn remember(&mut self, key: usize) -> Result<()> {
        let top = self.stack.last().context("the stack is too short")?;
        self.memo.insert(key, *top);
        Ok(())
    }

    /// Gets a value from the memo.
    fn recall(&self, key: usize) -> Result<Value<'a>> {
        let value = self.memo.get(&key).copied();
        value.with_context(|| format!("nothing is remembered as {key}"))
    }

    /// Takes the top `N` values of the stack, none from below the last mark.
    fn pop<const N: usize>(&mut self) -> Result<[Value<'a>; N]> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack[floor..].last_chunk().copied();
        let top = top.context("the stack is too short")?;
        self.stack.truncate(self.stack.len() - N);
        Ok(top)
    }

    /// Takes everything above the last mark, and the mark.
    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>> {
        let mark = self.marks.pop().context("no mark is set")?;
        Ok(self.stack.drain(mark..).collect())
    }

    /// The next `len` bytes.
    fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.pickle[self.at..].get(..len);
        let bytes = bytes.context("the pickle ends too early")?;
        self.at += len;
        Ok(bytes)
    }

    /// A little-endian unsigned integer of `width` bytes.
    fn uint(&mut self, width: usize) -> Result<usize> {
        let bytes = self.bytes(width)?.iter().rev();
        Ok(bytes.fold(0, |int, &byte| int << 8 | usize::from(byte)))
    }

    /// A little-endian two's complement integer of `width` bytes.
    fn integer(&mut self, width: usize) -> Result<Value<'a>> {
        let int = self.uint(width)?;
        let negative = width > 0 && self.pickle[self.at - 1] >= 0x80;
        let is_size = !negative && width <= size_of::<usize>();
        Ok(if is_size { Value::Int(int) } else { Value::Other })
    }

    /// Text behind its length, an integer of `width` bytes.
    fn text(&mut self, width: usize) -> Result<Value<'a>> {
        let len = self.uint(width)?;
        Ok(Value::Str(str::from_utf8(self.bytes(len)?)?))
    }

    /// Text up to the end of the line.
    fn line(&mut self) -> Result<&'a str> {
        let mut rest = self.pickle[self.at..].iter();
        let len = rest.position(|&byte| byte == b'\n');
        let line = self.bytes(len.context("a line without an end")? + 1)?;
        Ok(str::from_utf8(&line[..line.len() - 1])?)
    }
}

/// Looks a global up, and refuses it if a state dict has no use for it.
fn global<'a>(module: &str, name: &str) -> Result<Value<'a>> {
    let global = format!("{module}.{name}");
    Ok(match global.as_str() {
        "collections.OrderedDict" => Value::OrderedDict,
        "torch._utils._rebuild_tensor_v2" => Value::RebuildTensor,
        "torch._utils._rebuild_parameter" => Value::RebuildParameter,
        "torch.HalfStorage" => Value::StorageClass(StoredDtype::F16),
        "torch.BFloat16Storage" => Value::StorageClass(StoredDtype::BF16),
        "torch.FloatStorage" => Value::StorageClass(StoredDtype::F32),
        "torch.DoubleStorage" => Value::StorageClass(StoredDtype::F64),
        "torch.ByteStorage" => Value::StorageClass(StoredDtype::U8),
        "torch.CharStorage" => Value::StorageClass(StoredDtype::I8),
        "torch.ShortStorage" => Value::StorageClass(StoredDtype::I16),
        "torch.IntStorage" => Value::StorageClass(StoredDtype::I32),
        "torch.LongStorage" => Value::StorageClass(StoredDtype::I64),
        "torch.BoolStorage" => Value::StorageClass(StoredDtype::Bool),
        _ => bail!("the global {global:?} is refused: only plain tensors are read"),
    })
}

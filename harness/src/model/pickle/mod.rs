//! The index of a `pytorch_model.bin`, read without Python and without libtorch.
//!
//! `torch.save` writes a zip archive (since torch 1.6): `NAME/data.pkl` is a pickle of the state
//! dict in which each storage is a key, and `NAME/data/KEY` holds the storage's bytes, stored
//! plainly. So a tensor is a range of the file, and a caller can map the file and view the bytes.
//! A file may come from an untrusted source: nothing in it is executed, and every claim is checked.

mod checksums;
mod vm;

pub(crate) use self::checksums::Checksums;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use zip::{CompressionMethod, ZipArchive};

/// Most bytes of the zip directory: some hundred thousand entries.
const MAX_DIRECTORY: u64 = 16 << 20;
/// Most bytes of `data.pkl`: some fifty thousand tensors.
const MAX_PICKLE: u64 = 8 << 20;

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub(crate) enum StoredDtype { F16, BF16, F32, F64, U8, I8, I16, I32, I64, Bool }

impl StoredDtype {
    /// Bytes per element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// A tensor of a state dict and its place in the file. Tied tensors share their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PickledTensor {
    /// Name in the state dict.
    pub(crate) name: String,
    /// Type of the elements; they are little-endian.
    pub(crate) dtype: StoredDtype,
    /// Dimensions, outermost first; the elements lie in row-major order.
    pub(crate) shape: Vec<usize>,
    /// Offset of the first byte in the file.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) len: usize,
}

/// Lists the tensors of the state dict in `path`, in the state dict's order.
pub(crate) fn read_index(path: &Path) -> Result<Vec<PickledTensor>> {
    let index = || index(&mut BufReader::new(File::open(path)?));
    index().with_context(|| format!("cannot read {} as a torch checkpoint", path.display()))
}

/// [`read_index`] for any reader.
fn index<R: Read + Seek>(reader: &mut R) -> Result<Vec<PickledTensor>> {
    let size = reader.seek(SeekFrom::End(0))?;
    check_kind(&read(reader, 0..size.min(64))?)?;
    check_trailer(reader, size)?;
    let entries = entries(reader, size)?;
    let mut names = entries.keys().filter(|name| name.split('/').count() == 2);
    let root = names.find_map(|name| name.strip_suffix("/data.pkl"));
    let root = root.context("no data.pkl, so not a torch.save file")?;
    let entry = |name: &str| entries.get(&format!("{root}/{name}")).cloned();
    if let Some(Range { start, end }) = entry("byteorder") {
        let order = read(reader, start..end.min(start + 16))?;
        let order = String::from_utf8_lossy(&order);
        ensure!(order == "little", "the file is {order:?}-endian");
    }
    let pickle = entry("data.pkl").unwrap_or_default();
    let small = pickle.end - pickle.start <= MAX_PICKLE;
    ensure!(small, "the data.pkl is implausibly large");
    let pickle = read(reader, pickle)?;
    let tensors = vm::state_dict(&pickle)?.into_iter().map(|(name, tensor)| {
        let key = tensor.storage.key;
        let held = entry(&format!("data/{key}"));
        let held = held.with_context(|| format!("tensor {name:?} lacks its storage {key:?}"))?;
        let placed = locate(name, tensor, &held);
        placed.with_context(|| format!("tensor {name:?} reaches past its storage {key:?}"))
    });
    tensors.collect()
}

/// Places a tensor in the file; None if its storage does not cover it.
fn locate(name: &str, tensor: vm::Tensor<'_>, held: &Range<u64>) -> Option<PickledTensor> {
    let vm::Storage { dtype, len, .. } = tensor.storage;
    let mut dims = tensor.shape.iter();
    let elements = dims.try_fold(1, |product: usize, &dim| product.checked_mul(dim))?;
    let claimed = len.checked_mul(dtype.size())?;
    if tensor.first.checked_add(elements)? > len || claimed as u64 > held.end - held.start {
        return None;
    }
    Some(PickledTensor {
        name: name.to_owned(),
        dtype,
        offset: held.start + (tensor.first * dtype.size()) as u64,
        len: elements * dtype.size(),
        shape: tensor.shape,
    })
}

/// Reads a range that is known to be small and to lie within the file.
fn read<R: Read + Seek>(reader: &mut R, range: Range<u64>) -> Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(range.start))?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Says what a file looks like that does not begin as a zip archive does.
fn check_kind(head: &[u8]) -> Result<()> {
    // The pickled number that came first before torch 1.6.
    const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    if head.is_empty() {
        bail!("the file is empty");
    } else if head.starts_with(b"version https://git-lfs") {
        bail!("a Git LFS pointer, not the weights: fetch them with `git lfs pull`");
    } else if head.starts_with(LEGACY) {
        bail!("torch.save's format before torch 1.6: save it again with a newer torch");
    } else if !head.starts_with(b"PK\x03\x04") {
        bail!("not a zip archive, so not a torch.save file");
    }
    Ok(())
}

/// Checks the size of the zip directory, for which the zip reader reserves memory unchecked.
fn check_trailer<R: Read + Seek>(reader: &mut R, size: u64) -> Result<()> {
    // The zip64 end record (56 bytes), its locator (20), the end record (22), no comment.
    let start = size.saturating_sub(98);
    let mut tail = read(reader, start..size)?;
    tail.splice(..0, vec![0; 98 - tail.len()]);
    let uint = |at: Range<usize>| {
        let bytes = tail[at].iter().rev();
        bytes.fold(0, |int, &byte| int << 8 | u64::from(byte))
    };
    let complete = tail[76..].starts_with(b"PK\x05\x06");
    ensure!(complete, "a truncated zip: no directory at its end");
    let (count, bytes) = if tail[56..].starts_with(b"PK\x06\x07") {
        let found = tail.starts_with(b"PK\x06\x06") && uint(64..72) == start;
        ensure!(found, "a damaged zip: no zip64 record in its place");
        (uint(32..40), start.saturating_sub(uint(48..56)))
    } else {
        (uint(84..86), uint(88..92))
    };
    let sane = bytes <= MAX_DIRECTORY && count <= bytes / 46;
    ensure!(sane, "a damaged zip: {count} entries in {bytes} bytes");
    Ok(())
}

/// Location of each entry's bytes, all of them stored without compression and within the file.
fn entries<R: Read + Seek>(reader: &mut R, size: u64) -> Result<BTreeMap<String, Range<u64>>> {
    let mut archive = ZipArchive::new(reader).context("a damaged zip")?;
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).context("a damaged zip")?;
        let (name, start, len) = (entry.name().to_owned(), entry.data_start(), entry.size());
        if entry.compression() != CompressionMethod::Stored || len != entry.compressed_size() {
            bail!("the entry {name:?} is compressed, which torch.save never does");
        }
        let end = start.checked_add(len).filter(|&end| end <= size);
        let end = end.with_context(|| format!("a truncated zip: {name:?} ends past the file"))?;
        let again = entries.insert(name, start..end);
        ensure!(again.is_none(), "a damaged zip: two entries of one name");
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use proptest::prelude::*;

    use super::{StoredDtype::*, *};

    /// A file that `make.py` has written.
    macro_rules! golden {
        ($file:literal) => {
            concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/goldens/pickle/", $file)
        };
    }

    const DTYPES: &[u8] = include_bytes!(golden!("dtypes.bin"));

    fn index_of(file: &[u8]) -> Result<Vec<PickledTensor>> {
        let index = index(&mut Cursor::new(file))?;
        for tensor in &index {
            let elements = tensor.shape.iter().product::<usize>();
            assert_eq!(elements * tensor.dtype.size(), tensor.len);
            assert!(tensor.offset + tensor.len as u64 <= file.len() as u64);
        }
        Ok(index)
    }

    fn assert_refused(file: &[u8], why: &str) {
        let error = format!("{:#}", index_of(file).unwrap_err());
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    }

    /// An archive as `torch.save` lays it out.
    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::FileOptions::default();
        for (name, bytes) in entries {
            let stored = options.compression_method(CompressionMethod::Stored);
            zip.start_file(format!("a/{name}"), stored).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// The pickle of `{"w": a matrix}` in a FloatStorage of six; `first` is an integer's opcode.
    fn matrix(first: &[u8], [rows, columns]: [u8; 2], [down, right]: [u8; 2]) -> Vec<u8> {
        let head: &[u8] =
            b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage\
            ctorch\nFloatStorage\nX\x01\0\0\x007X\x03\0\0\0cpuK\x06tQ";
        let shape = [b'K', rows, b'K', columns, 0x86];
        let strides = [b'K', down, b'K', right, 0x86];
        [head, first, &shape, &strides, b"\x89NtRs."].concat()
    }

    #[test]
    fn finds_every_dtype_and_layout() {
        let index = read_index(Path::new(golden!("dtypes.bin"))).unwrap();
        assert_eq!(index, index_of(DTYPES).unwrap());
        let arange = [0u8, 1, 2, 3, 4, 5].map(|byte| [byte, 0, 0, 0, 0, 0, 0, 0]);
        let f16 = [0x00, 0x3c, 0x00, 0x40, 0x00, 0x42, 0x00, 0x44];
        let f32 = [0.5f32, -1.5].map(f32::to_le_bytes);
        let expected: &[(&str, StoredDtype, &[usize], &[u8])] = &[
            ("f16", F16, &[2, 2], &f16),
            ("tied", F16, &[2, 2], &f16),
            ("same", F16, &[2, 2], &f16),
            ("bf16", BF16, &[2], &[0x80, 0x3f, 0x00, 0xc0]),
            ("f32", F32, &[2], f32.as_flattened()),
            ("f64", F64, &[], &0.25f64.to_le_bytes()),
            ("u8", U8, &[1], &[255]),
            ("i8", I8, &[1], &[255]),
            ("i16", I16, &[1], &(-2i16).to_le_bytes()),
            ("i32", I32, &[1], &(-3i32).to_le_bytes()),
            ("i64", I64, &[6], arange.as_flattened()),
            ("view", I64, &[3], arange[2..5].as_flattened()),
            ("column", I64, &[2, 1], arange[4..].as_flattened()),
            ("bool", Bool, &[2], &[1, 0]),
            ("none", F32, &[0, 3], &[]),
        ];
        let bytes = |tensor: &PickledTensor| &DTYPES[tensor.offset as usize..][..tensor.len];
        let found = index.iter().map(|t| (&*t.name, t.dtype, &*t.shape, bytes(t)));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!([index[1].offset, index[2].offset], [index[0].offset; 2]);
    }

    #[test]
    fn finds_a_nested_state_dict_and_an_empty_one() {
        let nested = index_of(include_bytes!(golden!("nested.bin"))).unwrap();
        let found = nested.iter().map(|tensor| (tensor.name.as_str(), tensor.dtype, tensor.len));
        assert_eq!(found.collect::<Vec<_>>(), [("w", I32, 8)]);
        assert_eq!(index_of(include_bytes!(golden!("empty.bin"))).unwrap(), []);
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let error = read_index(Path::new(golden!("make.py"))).unwrap_err();
        assert!(error.to_string().contains("make.py"));
        assert_refused(b"", "empty");
        assert_refused(b"<html>", "not a zip archive");
        assert_refused(b"version https://git-lfs.github.com/spec/v1", "Git LFS");
        assert_refused(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "torch 1.6");
        assert_refused(&DTYPES[..DTYPES.len() / 2], "truncated zip");
        assert_refused(&archive(&[("weights", b"")]), "no data.pkl");
        let mut file = archive(&[("data.pkl", b"}.")]);
        let directory = file.windows(4).position(|bytes| bytes == b"PK\x01\x02");
        file[directory.unwrap() + 10] = 8;
        assert_refused(&file, "\"a/data.pkl\" is compressed");
        let end = file.len() - 22;
        file[end + 8] = 9;
        assert_refused(&file, "9 entries in 56 bytes");
    }

    #[test]
    fn refuses_tensors_that_are_not_a_range_of_their_storage() {
        let fits = matrix(b"K\0", [2, 3], [3, 1]);
        let file = |pickle: &[u8], data: usize, order: &[u8]| {
            let data = vec![0; data];
            let entries = [("data.pkl", pickle), ("data/7", &*data), ("byteorder", order)];
            archive(&entries)
        };
        assert_eq!(index_of(&file(&fits, 24, b"little")).unwrap()[0].len, 24);
        assert_refused(&file(&fits, 24, b"big"), "\"big\"-endian");
        assert_refused(&file(&fits, 23, b"little"), "\"w\" reaches past");
        assert_refused(&archive(&[("data.pkl", &fits)]), "\"w\" lacks its storage");
        let refused = |first: &[u8], shape, strides, why| {
            assert_refused(&file(&matrix(first, shape, strides), 24, b"little"), why);
        };
        refused(b"K\0", [3, 2], [1, 3], "\"w\" is not contiguous");
        refused(b"K\x01", [2, 3], [3, 1], "\"w\" reaches past");
        refused(b"K\0", [99, 99], [99, 1], "\"w\" reaches past");
        let far = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x3f";
        refused(far, [2, 3], [3, 1], "\"w\" reaches past");
    }

    #[test]
    fn refuses_pickles_that_are_no_state_dict() {
        let nested = [[b'('; 100_000], [b't'; 100_000]].concat();
        let cases: &[(&[u8], &str)] = &[
            (b"cos\nsystem\nX\x02\0\0\0ls\x85R.", "os.system"),
            (b"\x8c\x05torch\x8c\x08QStorage\x93.", "torch.QStorage"),
            (b"ctorch._utils\n_rebuild_parameter\n)R.", "a call that"),
            (b"ccollections\nOrderedDict\n}b.", "attributes of something"),
            (b"}K\x01Ns.", "not a string"),
            (b"}X\x01\0\0\0aNs.", "\"a\" in the state dict"),
            (b"}(NNNu.", "items that are not pairs"),
            (b"K\x01.", "does not hold a dict"),
            (b"}N(s.", "byte 4 of data.pkl: the stack is too short"),
            (b"}h\x05.", "nothing is remembered as 5"),
            (b"]a.", "the opcode 0x5d"),
            (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "ends too early"),
            (&nested, "ends too early"),
        ];
        for (pickle, why) in cases {
            assert_refused(&archive(&[("data.pkl", pickle)]), why);
        }
    }

    /// Pieces of pickles, so that random ones get somewhere.
    const PIECES: &[u8] = b"(|)|}|N|K\x01|K\x02|X\x07\0\0\0storage|t|\x85|\x86|\x87|q\0|h\0|\x94|\
        Q|R|s|u|b|.|ccollections\nOrderedDict\n|ctorch\nFloatStorage\n|\
        ctorch._utils\n_rebuild_tensor_v2\n|ctorch._utils\n_rebuild_parameter\n";

    proptest! {
        #[test]
        fn survives_any_pickle(bytes: Vec<u8>) {
            let mut pieces = PIECES.split(|&byte| byte == b'|').cycle();
            let pieces = bytes.iter().filter_map(|&n| pieces.nth(n.into()));
            _ = vm::state_dict(&pieces.collect::<Vec<_>>().concat());
            _ = vm::state_dict(&bytes);
        }

        #[test]
        fn survives_any_mutation(
            edits in prop::collection::vec((0..DTYPES.len(), any::<u8>()), 0..8),
            end in DTYPES.len() / 2..DTYPES.len() * 3 / 2,
        ) {
            let mut file = DTYPES.to_vec();
            edits.into_iter().for_each(|(at, byte)| file[at] = byte);
            file.truncate(end);
            _ = index_of(&file);
        }
    }
}

//! The tensors that an architecture reads, declared before any is read, so that a checkpoint is found
//! fit or unfit by its headers alone.

use std::collections::BTreeMap;

/// A declared tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Dimensions, outermost first.
    pub(crate) shape: Vec<usize>,
    /// True where a checkpoint may lack it.
    pub(crate) optional: bool,
}

/// The tensors of an architecture, by name.
#[derive(Debug, Default)]
pub(crate) struct Tensors(BTreeMap<String, Declared>);

impl Tensors {
    /// Declares the tensor `name` of `shape`.
    pub(crate) fn add(&mut self, name: impl Into<String>, shape: &[usize]) {
        self.0.insert(name.into(), Declared { shape: shape.to_vec(), optional: false });
    }

    /// Declares the tensor `name` of `shape`, which a checkpoint may lack.
    pub(crate) fn add_optional(&mut self, name: impl Into<String>, shape: &[usize]) {
        self.0.insert(name.into(), Declared { shape: shape.to_vec(), optional: true });
    }

    /// Declares `{name}.weight` `[out, inner]` and, where `bias`, `{name}.bias` `[out]`.
    pub(crate) fn linear(&mut self, name: &str, [out, inner]: [usize; 2], bias: bool) {
        self.add(format!("{name}.weight"), &[out, inner]);
        if bias {
            self.add(format!("{name}.bias"), &[out]);
        }
    }

    /// Declares `{name}.weight` `[width]` and, where `bias`, `{name}.bias` `[width]`.
    pub(crate) fn norm(&mut self, name: &str, width: usize, bias: bool) {
        self.add(format!("{name}.weight"), &[width]);
        if bias {
            self.add(format!("{name}.bias"), &[width]);
        }
    }

    /// The declaration of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Declared> {
        self.0.get(name)
    }

    /// Every declaration, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Declared)> {
        self.0.iter()
    }
}

//! Several patches on one checkpoint, in order: whether they belong there, and where they meet.

use super::file::{Card, PatchFile};
use crate::edit::{Edit, Neuron};
use crate::error::InputError;
use crate::model::CausalLm;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// Patches of one checkpoint. Each finds those it was made after before it.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// In the order they are applied.
    pub files: Vec<PatchFile>,
}

impl Stack {
    /// `files` on the checkpoint `base`.
    ///
    /// # Errors
    /// If one of them is of another checkpoint, occurs twice, lacks one that it was made on top of, or gives another input to a
    /// neuron that another one does so too.
    pub fn new(base: &str, files: Vec<PatchFile>) -> Result<Self> {
        for (place, file) in files.iter().enumerate() {
            let (card, below) = (&file.patch.card, &files[..place]);
            let wrong = |what: String| {
                Err(InputError::new(format!("patch {}: {what}", file.path.display())))
            };
            if card.base != base {
                return wrong(format!(
                    "it was made for another checkpoint (other weights, or another config.json): {} ({}…), and \
                     this one is {}…",
                    card.model,
                    short(&card.base),
                    short(base)
                ));
            }
            if let Some(same) = below.iter().find(|other| other.id == file.id) {
                return wrong(format!("it is already applied, as {}", same.path.display()));
            }
            let own: BTreeSet<Neuron> = file.read_anew().collect();
            let meet = |other: &&PatchFile| other.read_anew().any(|neuron| own.contains(&neuron));
            if let Some(other) = below.iter().find(meet) {
                return wrong(format!(
                    "it gives a neuron another input that {} has given another one already, so that neither would hold; \
                     make it on top of that patch (--patch), or repair both together (ment repair)",
                    other.path.display()
                ));
            }
            let has = |id: &&String| below.iter().any(|other| other.id == **id);
            if let Some(missing) = card.after.iter().find(|id| !has(id)) {
                return wrong(format!(
                    "it was made on a model that had patch {}…, which must come before it",
                    short(missing)
                ));
            }
        }
        Ok(Self { files })
    }

    /// The ids of all, in order.
    pub fn ids(&self) -> Vec<String> {
        self.files.iter().map(|file| file.id.clone()).collect()
    }

    /// All of them as one edit of `model`.
    ///
    /// # Errors
    /// If one names a neuron or a token that the model does not have.
    pub fn edit(&self, model: &dyn CausalLm) -> Result<Edit> {
        let spec = model.spec();
        let mut edit = Edit::none();
        for file in &self.files {
            let Card { prompt_ids, target_ids, .. } = &file.patch.card;
            crate::own_model::predict::check(
                &[&prompt_ids[..], target_ids].concat(),
                spec.vocabulary,
                spec.context,
            )
            .with_context(|| format!("patch {}", file.path.display()))?;
            for column in &file.patch.columns {
                let (neuron, width) = (column.neuron, column.delta.len());
                let fits = neuron.layer < spec.layers && neuron.index < spec.d_ff;
                if !fits || width != spec.d_model {
                    return Err(InputError::new(format!(
                        "{}: neuron {} of layer {} with a column of length {width} does not fit the model, \
                         which has {} layers of {} neurons with columns of length {}",
                        file.path.display(),
                        neuron.index,
                        neuron.layer,
                        spec.layers,
                        spec.d_ff,
                        spec.d_model
                    )));
                }
            }
            if let Some(update) = file.patch.updates.iter().find(|update| !update.fits(spec)) {
                return Err(InputError::new(format!(
                    "{}: its matrix for layer {} does not fit the model, which has {} layers with matrices of \
                     {} × {}",
                    file.path.display(),
                    update.layer,
                    spec.layers,
                    spec.d_model,
                    spec.d_ff
                )));
            }
            if let Some(input) = file.patch.inputs.iter().find(|input| !input.fits(model)) {
                let (Neuron { layer, index }, [rows, width]) = (input.neuron, input.rows.shape);
                return Err(InputError::new(format!(
                    "{}: its {rows} rows of length {width} for what neuron {index} of layer {layer} reads do not fit \
                     the model, which has {} layers of {} neurons that read vectors of length {}",
                    file.path.display(),
                    spec.layers,
                    spec.d_ff,
                    spec.d_model
                )));
            }
            edit = edit.and(&file.patch.edit(spec));
        }
        Ok(edit)
    }

    /// Conflicts between the patches, a line each: the same neuron or matrix, or the same prompt with different
    /// targets.
    pub fn conflicts(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (place, later) in self.files.iter().enumerate() {
            for earlier in &self.files[..place] {
                let neurons = |file: &PatchFile| -> BTreeSet<_> {
                    let columns = file.patch.columns.iter().map(|column| column.neuron);
                    columns.chain(file.read_anew()).collect()
                };
                let shared: Vec<String> = neurons(earlier)
                    .intersection(&neurons(later))
                    .map(|neuron| format!("{}.{}", neuron.layer, neuron.index))
                    .collect();
                let names = format!("{} and {}", earlier.name(), later.name());
                if !shared.is_empty() {
                    found.push(format!("{names} both change neuron {}", shared.join(", ")));
                }
                let layers = |file: &PatchFile| -> BTreeSet<usize> {
                    file.patch.updates.iter().map(|update| update.layer).collect()
                };
                let shared: Vec<String> =
                    layers(earlier).intersection(&layers(later)).map(ToString::to_string).collect();
                if !shared.is_empty() {
                    let layers = shared.join(", ");
                    found.push(format!("{names} both change the whole matrix of layer {layers}"));
                }
                let (one, other) = (&earlier.patch.card, &later.patch.card);
                if one.prompt == other.prompt && one.target != other.target {
                    found.push(format!(
                        "{names} have different targets after the same prompt: {:?} and {:?}",
                        one.target, other.target
                    ));
                }
            }
        }
        found
    }
}

/// The beginning of a hash, as people read it.
pub fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::super::file::PatchFile;
    use super::super::file::tests::patch;
    use super::super::input::PatchInput;
    use super::super::matrix::Matrix;
    use super::{Neuron, Stack};

    fn file(name: &str, base: &str, after: &[&str], neurons: &[(usize, usize)]) -> PatchFile {
        let patch = patch(base, after, neurons);
        PatchFile { path: name.into(), id: name.into(), patch }
    }

    #[test]
    fn a_neuron_has_one_new_input() {
        let mut files = [file("a", "base", &[], &[(1, 2)]), file("b", "base", &[], &[(1, 3)])];
        for (file, index) in files.iter_mut().zip([4, 5]) {
            file.patch.inputs = vec![input(index)];
        }
        assert!(Stack::new("base", files.to_vec()).is_ok());
        files[1].patch.inputs.push(input(4));
        let error = refused(files.to_vec());
        assert!(error.contains("b: it gives a neuron another input that a has given"), "{error}");
    }

    fn input(index: usize) -> PatchInput {
        let rows = Matrix { shape: [1, 2], entries: vec![0.5, 1.0] };
        PatchInput { neuron: Neuron { layer: 1, index }, rows, bias: None, key: None }
    }

    fn refused(files: Vec<PatchFile>) -> String {
        Stack::new("base", files).unwrap_err().to_string()
    }

    #[test]
    fn what_does_not_belong_is_refused() {
        let a = file("a", "base", &[], &[(1, 2)]);
        let b = file("b", "base", &["a"], &[(1, 3)]);
        assert!(Stack::new("base", vec![a.clone(), b.clone()]).is_ok());
        assert!(refused(vec![b.clone()]).contains("had patch a…, which must come before it"));
        assert!(refused(vec![b, a.clone()]).contains("must come before it"));
        assert!(refused(vec![a.clone(), a]).contains("is already applied, as a"));
        assert!(refused(vec![file("c", "other", &[], &[(1, 2)])]).contains("another checkpoint"));
    }

    #[test]
    fn shared_neurons_and_other_wishes_are_named() {
        let mut files = vec![
            file("a", "base", &[], &[(1, 2), (3, 4)]),
            file("b", "base", &[], &[(5, 6)]),
            file("c", "base", &[], &[(3, 4), (7, 8)]),
        ];
        files[2].patch.card.prompt = files[1].patch.card.prompt.clone();
        files[2].patch.card.target = "other".into();
        let conflicts = Stack::new("base", files).unwrap().conflicts();
        assert_eq!(
            conflicts,
            [
                "a and c both change neuron 3.4",
                "b and c have different targets after the same prompt: \"t\" and \"other\"",
            ]
        );
    }
}

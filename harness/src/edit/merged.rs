//! Edits of many parts as few: what is applied again and again should cost little.

use super::{ColumnDelta, Edit, MatrixChange, Neuron, Reach, Update};
use std::collections::BTreeMap;
use tch::Tensor;

impl Edit {
    /// The same edit with one column a neuron and one update a layer. Factors are put side by side as long as that is
    /// cheaper than the matrix.
    #[must_use]
    pub fn merged(&self) -> Self {
        let mut columns: BTreeMap<(Neuron, bool), ColumnDelta> = BTreeMap::new();
        for column in &self.columns {
            let key = (column.neuron, column.reach == Reach::End);
            let sum = columns.get(&key).map(|sum| &sum.delta + &column.delta);
            let delta = sum.unwrap_or_else(|| column.delta.shallow_clone());
            columns.insert(key, ColumnDelta { delta, ..column.clone() });
        }
        let mut layers: BTreeMap<usize, Vec<&Update>> = BTreeMap::new();
        for update in &self.updates {
            layers.entry(update.layer).or_default().push(update);
        }
        let updates = layers.into_iter().map(|(layer, updates)| Update {
            layer,
            change: sum(&updates),
            keys: keys(&updates),
        });
        Self {
            columns: columns.into_values().collect(),
            updates: updates.collect(),
            inputs: self.inputs.clone(),
            hint: self.hint.clone(),
        }
    }
}

/// The sum of the changes of one matrix.
fn sum(updates: &[&Update]) -> MatrixChange {
    if let [update] = updates {
        return update.change.map(Tensor::shallow_clone);
    }
    let factors: Option<Vec<(&Tensor, &Tensor)>> = updates
        .iter()
        .map(|update| match &update.change {
            MatrixChange::LowRank { left, right } => Some((left, right)),
            MatrixChange::Dense(_) => None,
        })
        .collect();
    let rank: usize = updates.iter().map(|update| update.change.rank()).sum();
    if let Some(factors) = factors {
        let (left, right): (Vec<&Tensor>, Vec<&Tensor>) = factors.into_iter().unzip();
        let (left, right) = (Tensor::cat(&left, 1), Tensor::cat(&right, 0));
        let (rows, columns) = (left.size()[0] as usize, right.size()[1] as usize);
        let change = MatrixChange::LowRank { left, right };
        let cheap = rank * (rows + columns) < rows * columns;
        return if cheap { change } else { MatrixChange::Dense(change.matrix()) };
    }
    let matrices = updates.iter().map(|update| update.change.matrix());
    MatrixChange::Dense(matrices.reduce(|sum, own| sum + own).expect("an update"))
}

/// The keys of all of them.
fn keys(updates: &[&Update]) -> Option<Tensor> {
    let keys: Vec<&Tensor> = updates.iter().filter_map(|update| update.keys.as_ref()).collect();
    (!keys.is_empty()).then(|| Tensor::cat(&keys, 0))
}

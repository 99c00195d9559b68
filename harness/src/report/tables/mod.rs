//! The tables, a file each.

pub(crate) mod by_class;
pub(crate) mod edit_sizes;
pub(crate) mod neurons;
pub(crate) mod paper_comparison;
pub(crate) mod sensitivity;
pub(crate) mod side_effects;
pub(crate) mod table1;
pub(crate) mod table3;
pub(crate) mod table3_free;
pub(crate) mod table4;
pub(crate) mod table5;
pub(crate) mod table6;

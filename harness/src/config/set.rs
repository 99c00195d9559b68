//! `--set KEY=VALUE`, and the points of a `[sweep]`: lines of TOML laid over a config.

use super::{Config, MethodKind};
use toml::{Table, Value};

/// Lays `line`, one line of TOML, over `config`: tables are merged, anything else is replaced. A value
/// that is not TOML is text, so that no second quoting is needed in a shell. In a list of tables such as
/// `[[ment]]` the key continues with the label or name of one of them, or else means all of them.
///
/// # Errors
/// If `line` is no key and value.
pub(crate) fn set(config: &mut Table, line: &str) -> Result<(), String> {
    overlay(config, parse(line)?);
    Ok(())
}

fn parse(line: &str) -> Result<Table, String> {
    let table = toml::from_str::<Table>(line).or_else(|error| {
        let (key, value) = line.split_once('=').ok_or(error.clone())?;
        toml::from_str(&format!("{key} = {}", Value::from(value.trim()))).map_err(|_| error)
    });
    let wrong = "is not KEY=VALUE, as in execution.seed=1 or ment.MENT.quota=5";
    let table = table.ok().filter(|table| !table.is_empty() && !line.trim().starts_with('['));
    table.ok_or_else(|| format!("`{line}` {wrong}"))
}

/// A key that a line sets, down to a value that is no table.
pub(crate) struct SettingKey {
    /// First part of the key: a table of the config, or a kind of method.
    pub(crate) table: String,
    /// The other parts. In a list of tables the first of them may be the label of one.
    parts: Vec<String>,
}

impl SettingKey {
    /// The keys that `line` sets.
    ///
    /// # Errors
    /// If `line` is no key and value.
    pub(crate) fn all(line: &str) -> Result<Vec<Self>, String> {
        fn leaves(path: &[String], table: Table, found: &mut Vec<SettingKey>) {
            for (part, value) in table {
                let path = [path, &[part]].concat();
                match value {
                    Value::Table(inner) if !inner.is_empty() => leaves(&path, inner, found),
                    _ => {
                        found.push(SettingKey { table: path[0].clone(), parts: path[1..].to_vec() })
                    }
                }
            }
        }
        let mut found = Vec::new();
        leaves(&[], parse(line)?, &mut found);
        Ok(found)
    }

    /// Returns whether it is the key `other`, or one below it, of one entry or of all.
    pub(crate) fn is_below(&self, other: &str) -> bool {
        let mut wanted = other.split('.');
        let wanted_table = wanted.next() == Some(self.table.as_str());
        let wanted: Vec<&str> = wanted.collect();
        let own = |skip: usize| self.parts.iter().skip(skip).map(String::as_str).take(wanted.len());
        wanted_table && (own(0).eq(wanted.iter().copied()) || own(1).eq(wanted.iter().copied()))
    }
}

/// Refuses a `line` that sets a method which is not among those that are `kept`. `written` is the config
/// before lines were laid over it, whose labels the line may name, and `all` the config after.
///
/// # Errors
/// If it does.
pub(crate) fn check_read(
    line: &str,
    written: &Config,
    all: &Config,
    kept: &Config,
) -> Result<(), String> {
    for key in SettingKey::all(line)? {
        let Some(kind) = MethodKind::of_key(&key.table) else { continue };
        let named = key.parts.first().and_then(|name| {
            let of = |config: &Config| config.labels_of(kind).position(|label| label == name);
            of(written).or_else(|| of(all))
        });
        let is_read = match named.and_then(|place| all.labels_of(kind).nth(place)) {
            Some(label) => kept.labels_of(kind).any(|kept| kept == label),
            None => kept.labels_of(kind).next().is_some(),
        };
        if !is_read {
            let kept: Vec<String> = kept.labels().map(|label| format!("`{label}`")).collect();
            return Err(format!(
                "`{line}`: no method of this run has such a key; the methods are {}",
                kept.join(", ")
            ));
        }
    }
    Ok(())
}

fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match base.get_mut(&key) {
            Some(own) => merge(own, value),
            None => {
                base.insert(key, value);
            }
        }
    }
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Table(base), Value::Table(over)) => overlay(base, over),
        (Value::Array(entries), Value::Table(over)) => {
            for (key, value) in over {
                let named = entries.iter_mut().find(|entry| is_called(entry, &key));
                match named {
                    Some(entry) => merge(entry, value),
                    None => {
                        for entry in entries.iter_mut() {
                            merge(entry, Table::from_iter([(key.clone(), value.clone())]).into());
                        }
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}

/// True if `name` is the label of a method or the name of a data set.
fn is_called(entry: &Value, name: &str) -> bool {
    ["label", "name"].iter().any(|key| entry.get(key).and_then(Value::as_str) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::set;
    use toml::Table;

    const BASE: &str = r#"
[model]
label = "SmolLM2"
[[dataset]]
name = "conala"
limit = 4
[[ment]]
label = "MENT"
estimate.coefficient = 0.25
[[ment]]
label = "[loc.-actv]"
quota = 10
"#;

    fn after(line: &str) -> String {
        let mut config: Table = toml::from_str(BASE).unwrap();
        set(&mut config, line).map(|()| config.to_string()).unwrap_or_else(|error| error)
    }

    #[test]
    fn a_line_reaches_tables_entries_and_all_entries() {
        assert!(after("model.dtype=bf16").contains("dtype = \"bf16\""));
        assert!(after("execution.seed = 3").contains("[execution]\nseed = 3"));
        assert!(after("dataset.conala.limit=2").contains("limit = 2"));
        assert_eq!(after("ment.quota=5").matches("quota = 5").count(), 2);
        assert_eq!(after("ment.MENT.quota=5").matches("quota = 5").count(), 1);
        assert!(
            after("ment.\"[loc.-actv]\".quota=7").contains("label = \"[loc.-actv]\"\nquota = 7")
        );
        let both = after("ment.MENT.estimate={coefficient=0.5, normalize=\"unit\"}");
        assert!(both.contains("coefficient = 0.5\nnormalize = \"unit\""), "{both}");
    }

    #[test]
    fn what_is_no_key_and_value_is_refused() {
        for line in ["", "seed", "=3", "[execution]", "a b = 3", "# comment"] {
            assert!(after(line).contains("is not KEY=VALUE"), "{line}: {}", after(line));
        }
    }
}

//! `--set KEY=VALUE`, and the points of a `[sweep]`: lines of TOML laid over a config.

use toml::{Table, Value};

/// Lays `line`, one line of TOML, over `config`: tables are merged, anything else is replaced. A value
/// that is no TOML is text, so that nobody quotes twice in a shell. In a list of tables such as `[[ment]]`
/// the key goes on with the label or name of one of them, or else means all of them.
///
/// # Errors
/// If `line` is no key and value.
pub(crate) fn set(config: &mut Table, line: &str) -> Result<(), String> {
    let table = toml::from_str::<Table>(line).or_else(|error| {
        let (key, value) = line.split_once('=').ok_or(error.clone())?;
        toml::from_str(&format!("{key} = {}", Value::from(value.trim()))).map_err(|_| error)
    });
    let wrong = "is not KEY=VALUE, as in execution.seed=1 or ment.MENT.quota=5";
    let table = table.ok().filter(|table| !table.is_empty() && !line.trim().starts_with('['));
    overlay(config, table.ok_or_else(|| format!("`{line}` {wrong}"))?);
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

/// Whether `name` is the label of a method, or the name of a data set.
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

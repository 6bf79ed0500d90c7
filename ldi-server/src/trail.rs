//! The audit trail: what changed between two documents of one machine, as rows. Pure.

use serde_json::Value;

/// Deeper parts of a document are compared as a whole.
const DEPTH: usize = 12;

/// What happened to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was not there.
    Add,
    /// It was another.
    Change,
    /// It is no longer there.
    Delete,
}

impl Kind {
    /// The word in rows and exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// The keys that lead to the value.
    pub path: Vec<&'a str>,
    /// What happened.
    pub kind: Kind,
    /// The former value.
    pub old: Option<&'a Value>,
    /// The new value.
    pub new: Option<&'a Value>,
}

/// What changed from `old` to `new`, sorted by path. Objects are compared key by key, everything
/// else as a whole: an element of a list has no name.
pub fn changes<'a>(old: Option<&'a Value>, new: &'a Value) -> Vec<Change<'a>> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), old, Some(new), &mut found);
    found
}

fn compare<'a>(
    path: &mut Vec<&'a str>,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    found: &mut Vec<Change<'a>>,
) {
    let kind = match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) if path.len() < DEPTH => {
            let mut keys: Vec<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                path.push(key);
                compare(path, old.get(key), new.get(key), found);
                path.pop();
            }
            return;
        }
        // The first document: a row for each of its parts.
        (None, Some(Value::Object(new))) if path.is_empty() => {
            for (key, value) in new {
                path.push(key);
                compare(path, None, Some(value), found);
                path.pop();
            }
            return;
        }
        (None, None) => return,
        (Some(old), Some(new)) if old == new => return,
        (Some(_), Some(_)) => Kind::Change,
        (None, Some(_)) => Kind::Add,
        (Some(_), None) => Kind::Delete,
    };
    found.push(Change { path: path.clone(), kind, old, new });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(old: Option<&Value>, new: &Value) -> Vec<String> {
        let one = |change: &Change<'_>| {
            let value = |value: Option<&Value>| value.map_or("-".into(), Value::to_string);
            let (old, new) = (value(change.old), value(change.new));
            format!("{} {} {old} {new}", change.path.join("."), change.kind.as_str())
        };
        changes(old, new).iter().map(one).collect()
    }

    #[test]
    fn each_change_is_a_row() {
        let old = json!({ "a": { "x": 1, "y": [1, 2], "z": null }, "b": "same", "c": 1 });
        let new = json!({ "a": { "x": 2, "y": [2, 1], "w": {} }, "b": "same", "d": false });
        assert_eq!(
            rows(Some(&old), &new),
            [
                "a.w add - {}",
                "a.x change 1 2",
                "a.y change [1,2] [2,1]",
                "a.z delete null -",
                "c delete 1 -",
                "d add - false",
            ]
        );
        assert_eq!(rows(Some(&new), &new), [""; 0]);
    }

    #[test]
    fn the_first_document_is_rows_too() {
        let new = json!({ "os_info": { "distname": "x" }, "sshd": null });
        let told = rows(None, &new);
        assert_eq!(told, ["os_info add - {\"distname\":\"x\"}", "sshd add - null"]);
    }

    #[test]
    fn a_bottomless_document_is_compared_as_a_whole_somewhere() {
        let mut deep = (json!(1), json!(2));
        for _ in 0..100 {
            deep = (json!({ "k": deep.0 }), json!({ "k": deep.1 }));
        }
        let found = changes(Some(&deep.0), &deep.1);
        assert_eq!((found.len(), found[0].path.len()), (1, DEPTH));
    }
}

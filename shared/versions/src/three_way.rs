//! The three-way rule for one value, and what is said where it cannot decide.

use crate::change::some;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Two sets of edits in one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Merged {
    /// The document; where there is a conflict it has what `ours` has.
    pub definition: Value,
    /// What a person must decide; none when the merge is clean.
    pub conflicts: Vec<Conflict>,
}

/// Why two edits do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Both sides changed the same value, each to another one.
    BothChanged,
    /// Both sides added something under the same name, each something else.
    BothAdded,
    /// Ours changed what theirs removed.
    TheyRemoved,
    /// Theirs changed what ours removed.
    WeRemoved,
    /// One side connects a node that the other one removed.
    DanglingEdge,
}

impl ConflictKind {
    /// Its name, as in JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::BothChanged => "both_changed",
            Self::BothAdded => "both_added",
            Self::TheyRemoved => "they_removed",
            Self::WeRemoved => "we_removed",
            Self::DanglingEdge => "dangling_edge",
        }
    }

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::BothChanged => "both sides changed it, each to something else",
            Self::BothAdded => "both sides added it, each something else",
            Self::TheyRemoved => "ours changed what theirs removed",
            Self::WeRemoved => "theirs changed what ours removed",
            Self::DanglingEdge => "one side connects a node that the other one removed",
        }
    }
}

/// A place where two edits do not go together. A side that is absent has nothing there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// Why.
    pub kind: ConflictKind,
    /// The node that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The edge that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_id: Option<String>,
    /// JSON pointer into the node or edge; into the document when it is in neither.
    pub pointer: String,
    /// What both started from.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "some")]
    #[schemars(with = "Value")]
    pub base: Option<Value>,
    /// What ours made of it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "some")]
    #[schemars(with = "Value")]
    pub ours: Option<Value>,
    /// What theirs made of it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "some")]
    #[schemars(with = "Value")]
    pub theirs: Option<Value>,
}

impl Conflict {
    /// The place as one path, with ids where a JSON pointer has indices: `/nodes/say/data/prompt`.
    pub fn place(&self) -> String {
        let element = match (&self.edge_id, &self.node_id) {
            (Some(edge), _) => format!("/edges/{}", token(edge)),
            (None, Some(node)) => format!("/nodes/{}", token(node)),
            (None, None) => String::new(),
        };
        element + &self.pointer
    }
}

/// The same place in three documents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Three<'a> {
    pub base: Option<&'a Value>,
    pub ours: Option<&'a Value>,
    pub theirs: Option<&'a Value>,
}

impl<'a> Three<'a> {
    /// Decides where at most one side changed something: `Some(result)`, whose result may be that nothing is there.
    pub fn settled(self) -> Option<Option<&'a Value>> {
        if self.ours == self.theirs || self.base == self.theirs {
            return Some(self.ours);
        }
        (self.base == self.ours).then_some(self.theirs)
    }

    fn member(self, name: &str) -> Self {
        let of = |value: Option<&'a Value>| value.and_then(|value| value.get(name));
        Self {
            base: of(self.base),
            ours: of(self.ours),
            theirs: of(self.theirs),
        }
    }

    fn item(self, i: usize) -> Self {
        let of = |value: Option<&'a Value>| value.and_then(|value| value.get(i));
        Self {
            base: of(self.base),
            ours: of(self.ours),
            theirs: of(self.theirs),
        }
    }

    /// The conflict of this place.
    pub fn conflict(self, kind: ConflictKind, pointer: &str) -> Conflict {
        Conflict {
            kind,
            node_id: None,
            edge_id: None,
            pointer: pointer.to_owned(),
            base: self.base.cloned(),
            ours: self.ours.cloned(),
            theirs: self.theirs.cloned(),
        }
    }

    /// Merges member by member; lists item by item as long as neither side made them longer or shorter.
    pub fn merge(self, pointer: &str, conflicts: &mut Vec<Conflict>) -> Option<Value> {
        if let Some(result) = self.settled() {
            return result.cloned();
        }
        match (self.base, self.ours, self.theirs) {
            (None | Some(Value::Object(_)), Some(Value::Object(o)), Some(Value::Object(t))) => {
                Some(self.members(o, t, pointer, conflicts))
            }
            (Some(Value::Array(b)), Some(Value::Array(o)), Some(Value::Array(t)))
                if b.len() == o.len() && b.len() == t.len() =>
            {
                let items = (0..b.len())
                    .filter_map(|i| self.item(i).merge(&format!("{pointer}/{i}"), conflicts));
                Some(Value::Array(items.collect()))
            }
            (base, ours, _) => {
                let kind = match base {
                    None => ConflictKind::BothAdded,
                    Some(_) => ConflictKind::BothChanged,
                };
                conflicts.push(self.conflict(kind, pointer));
                ours.cloned()
            }
        }
    }

    fn members(
        self,
        ours: &Map<String, Value>,
        theirs: &Map<String, Value>,
        pointer: &str,
        conflicts: &mut Vec<Conflict>,
    ) -> Value {
        let new = theirs.keys().filter(|name| !ours.contains_key(*name));
        let mut merged = Map::new();
        for name in ours.keys().chain(new) {
            let at = format!("{pointer}/{}", token(name));
            if let Some(value) = self.member(name).merge(&at, conflicts) {
                merged.insert(name.clone(), value);
            }
        }
        Value::Object(merged)
    }
}

/// RFC 6901 escaping of one reference token.
fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

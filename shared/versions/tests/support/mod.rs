//! Random workflow documents and random edits of them.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Keys that pointers must escape, and ids outside ASCII.
const WORDS: [&str; 10] = [
    "prompt", "a/b", "m~n", "~1", "", "größe", "名前", "0", "🧩", "x y",
];

/// Any small JSON value; objects have keys that pointers must escape.
pub fn json_value(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        // Eighths: serde_json reads no others back to the last bit.
        any::<i16>().prop_map(|n| json!(f64::from(n) / 8.0)),
        proptest::sample::select(&WORDS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((word(), inner), 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn word() -> impl Strategy<Value = String> {
    proptest::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

/// One edit; numbers choose among what is there.
#[derive(Debug, Clone)]
pub enum Edit {
    AddNode(usize, Value),
    RemoveNode(usize),
    Move(usize, i32, i32),
    SetField(usize, String, Value),
    SetConfig(usize, String, Value),
    DeepConfig(usize, Value),
    DropConfig(usize),
    SwapNodes(usize, usize),
    AddEdge(usize, usize, usize),
    RemoveEdge(usize),
    LabelEdge(usize, Value),
    SwapEdges(usize, usize),
    SetTop(String, Value),
}

/// Any edit.
pub fn edit() -> impl Strategy<Value = Edit> {
    let at = 0..10_000_usize;
    prop_oneof![
        (at.clone(), json_value(2)).prop_map(|(i, v)| Edit::AddNode(i, v)),
        at.clone().prop_map(Edit::RemoveNode),
        (at.clone(), any::<i32>(), any::<i32>()).prop_map(|(i, x, y)| Edit::Move(i, x, y)),
        (at.clone(), word(), json_value(1)).prop_map(|(i, k, v)| Edit::SetField(i, k, v)),
        (at.clone(), word(), json_value(3)).prop_map(|(i, k, v)| Edit::SetConfig(i, k, v)),
        (at.clone(), json_value(1)).prop_map(|(i, v)| Edit::DeepConfig(i, v)),
        at.clone().prop_map(Edit::DropConfig),
        (at.clone(), at.clone()).prop_map(|(i, j)| Edit::SwapNodes(i, j)),
        (at.clone(), at.clone(), at.clone()).prop_map(|(p, i, j)| Edit::AddEdge(p, i, j)),
        at.clone().prop_map(Edit::RemoveEdge),
        (at.clone(), json_value(1)).prop_map(|(i, v)| Edit::LabelEdge(i, v)),
        (at.clone(), at).prop_map(|(i, j)| Edit::SwapEdges(i, j)),
        (word(), json_value(2)).prop_map(|(k, v)| Edit::SetTop(k, v)),
    ]
}

/// The id of the `i`th node.
pub fn node_id(i: usize) -> String {
    match i % 4 {
        0 => format!("node-{i}"),
        1 => format!("knoten~{i}/ä"),
        2 => format!("ノード{i}"),
        _ => format!("🧩{i}"),
    }
}

/// A workflow of `size` nodes in a ring, with edges across it; every third edge has no id.
pub fn workflow(size: usize) -> Value {
    let node = |i: usize| {
        json!({"id": node_id(i), "type": "template", "position": {"x": i, "y": 0},
            "data": {"template": format!("{{{{ nodes.x{i} }}}}"), "deep": nested(i), "list": [1, 2, {"k": i}]}})
    };
    let edge = |i: usize| {
        let mut edge = json!({"source": node_id(i), "target": node_id((i * 7 + 1) % size)});
        if i % 3 > 0 {
            edge["id"] = json!(format!("e{i}"));
        }
        if i % 5 == 0 {
            edge["sourceHandle"] = json!("true");
        }
        edge
    };
    json!({"nodes": (0..size).map(node).collect::<Vec<_>>(), "edges": (0..size).map(edge).collect::<Vec<_>>(),
        "vars": {"greeting": "hello"}, "viewport": {"x": 0, "zoom": 1.5}})
}

fn nested(i: usize) -> Value {
    (0..20).fold(json!({ "leaf": i }), |inner, _| json!({ "a/b": inner }))
}

/// Whose turn it is: which nodes an edit may touch, and how new ids begin.
#[derive(Clone, Copy)]
pub struct Side {
    pub name: &'static str,
    /// Only nodes whose number has this remainder when divided by two.
    pub half: Option<usize>,
}

/// May touch everything.
pub const ANYONE: Side = Side {
    name: "new",
    half: None,
};

/// Makes the edits, as long as they stay on their side.
pub fn edited(document: &Value, edits: &[Edit], side: Side) -> Value {
    let mut document = document.clone();
    for (n, edit) in edits.iter().enumerate() {
        side.make(&mut document, edit, n);
    }
    document
}

fn list<'a>(document: &'a mut Value, name: &str) -> &'a mut Vec<Value> {
    document[name].as_array_mut().unwrap()
}

impl Side {
    /// Whether a node of the original document, or one that this side added, is this side's.
    pub fn owns(self, id: &str) -> bool {
        let digits: String = id.chars().filter(char::is_ascii_digit).collect();
        let number: usize = digits.parse().unwrap_or(0);
        match self.half {
            None => true,
            Some(_) if id.starts_with("new:") => false,
            Some(half) => id.starts_with(self.name) || (!id.contains(':') && number % 2 == half),
        }
    }

    fn own_nodes(self, document: &Value) -> Vec<usize> {
        let nodes = document["nodes"].as_array().unwrap();
        let own = (0..nodes.len()).filter(|i| self.owns(nodes[*i]["id"].as_str().unwrap()));
        own.collect()
    }

    fn own_edges(self, document: &Value) -> Vec<usize> {
        let edges = document["edges"].as_array().unwrap();
        let owns = |edge: &Value, end: &str| self.owns(edge[end].as_str().unwrap());
        (0..edges.len())
            .filter(|i| owns(&edges[*i], "source") && owns(&edges[*i], "target"))
            .collect()
    }

    fn node(self, document: &Value, n: usize) -> Option<usize> {
        let own = self.own_nodes(document);
        (!own.is_empty()).then(|| own[n % own.len()])
    }

    fn edge(self, document: &Value, n: usize) -> Option<usize> {
        let own = self.own_edges(document);
        (!own.is_empty()).then(|| own[n % own.len()])
    }

    fn make(self, document: &mut Value, edit: &Edit, n: usize) {
        // An edit without a place to make it is none.
        let _made: Option<()> = match edit {
            Edit::AddNode(..) | Edit::RemoveNode(_) | Edit::SwapNodes(..) => {
                self.node_list(document, edit, n)
            }
            Edit::AddEdge(..) | Edit::RemoveEdge(_) | Edit::LabelEdge(..) | Edit::SwapEdges(..) => {
                self.edge_list(document, edit, n)
            }
            Edit::SetTop(key, value) => {
                document[format!("{}:{key}", self.name)] = value.clone();
                Some(())
            }
            inside => self.inside(document, inside),
        };
    }

    fn node_list(self, document: &mut Value, edit: &Edit, n: usize) -> Option<()> {
        match edit {
            Edit::AddNode(at, data) => {
                let id = format!("{}:{n}", self.name);
                let nodes = list(document, "nodes");
                let at = at % (nodes.len() + 1);
                nodes.insert(at, json!({"id": id, "type": "merge", "data": {"v": data}}));
            }
            Edit::RemoveNode(i) => {
                let i = self.node(document, *i)?;
                let id = list(document, "nodes").remove(i)["id"].clone();
                list(document, "edges").retain(|e| e["source"] != id && e["target"] != id);
            }
            Edit::SwapNodes(i, j) => {
                let (i, j) = (self.node(document, *i)?, self.node(document, *j)?);
                list(document, "nodes").swap(i, j);
            }
            _ => {}
        }
        Some(())
    }

    fn edge_list(self, document: &mut Value, edit: &Edit, n: usize) -> Option<()> {
        match edit {
            Edit::AddEdge(at, i, j) => {
                let ends = [i, j].map(|k| self.node(document, *k));
                let [source, target] = ends.map(|k| Some(document["nodes"][k?]["id"].clone()));
                let (source, target) = (source?, target?);
                let edges = list(document, "edges");
                let id = format!("{}:e{n}", self.name);
                let at = at % (edges.len() + 1);
                edges.insert(at, json!({"id": id, "source": source, "target": target}));
            }
            Edit::RemoveEdge(i) => {
                let i = self.edge(document, *i)?;
                list(document, "edges").remove(i);
            }
            Edit::LabelEdge(i, label) => {
                let i = self.edge(document, *i)?;
                document["edges"][i]["label"] = label.clone();
            }
            Edit::SwapEdges(i, j) => {
                let (i, j) = (self.edge(document, *i)?, self.edge(document, *j)?);
                list(document, "edges").swap(i, j);
            }
            _ => {}
        }
        Some(())
    }

    fn inside(self, document: &mut Value, edit: &Edit) -> Option<()> {
        match edit {
            Edit::Move(i, x, y) => {
                let i = self.node(document, *i)?;
                document["nodes"][i]["position"] = json!({"x": x, "y": y});
            }
            Edit::SetField(i, key, value) => {
                let i = self.node(document, *i)?;
                document["nodes"][i][format!("style{key}")] = value.clone();
            }
            Edit::SetConfig(i, key, value) => {
                let i = self.node(document, *i)?;
                document["nodes"][i]["data"][key] = value.clone();
            }
            Edit::DeepConfig(i, value) => {
                let i = self.node(document, *i)?;
                let data = &mut document["nodes"][i]["data"];
                let deep = data.pointer_mut("/deep/a~1b/a~1b/a~1b")?;
                *deep = value.clone();
            }
            Edit::DropConfig(i) => {
                let i = self.node(document, *i)?;
                let data = document["nodes"][i]["data"].as_object_mut()?;
                let first = data.keys().next().cloned();
                data.remove(&first?);
            }
            _ => {}
        }
        Some(())
    }
}

/// A document that need not be in shape: repeated, missing and odd ids, odd elements, lists that are none.
pub fn odd_document() -> impl Strategy<Value = Value> {
    let element = prop_oneof![
        4 => (proptest::sample::select(vec!["a", "b", "a#2", "c->d"]), json_value(2))
            .prop_map(|(id, v)| json!({"id": id, "data": v, "source": "a", "target": "b"})),
        1 => json_value(2),
        1 => Just(json!({"source": "a", "target": "b"})),
    ];
    let elements = vec(element, 0..8).prop_map(Value::from);
    let member = prop_oneof![6 => elements, 1 => json_value(1)];
    (
        member.clone(),
        member,
        vec((word(), json_value(2)), 0..3),
        0..12_u8,
    )
        .prop_map(|(nodes, edges, others, shape)| {
            let mut document: Map<String, Value> = others.into_iter().collect();
            document.insert("nodes".to_owned(), nodes.clone());
            if shape > 0 {
                document.insert("edges".to_owned(), edges);
            }
            match shape {
                1 => nodes,
                _ => Value::Object(document),
            }
        })
}

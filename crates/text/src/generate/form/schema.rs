//! A JSON Schema compiled to nodes (draft 2020-12, <https://json-schema.org/draft/2020-12/schema>), of which a subset is taken:
//! `object` with `properties`, `required` and `additionalProperties: false`; `array` with `items`, `minItems`, `maxItems`
//! and `uniqueItems` of an `enum`; `string` with `minLength` and `maxLength`; `integer`, `number`, `boolean`, `null`;
//! `enum`, `const`; several types, or `anyOf`, where the first byte tells which it is. Words for people (`title`,
//! `description` and the like) are passed over; anything else is an error.
//!
//! Objects are always closed: a property that is not listed is not written.

use serde_json::{Map, Value};

use super::words::{MARKED, Taken, Words};
use crate::Error;

/// Values inside values.
pub(super) const DEPTH: usize = 16;
/// Nodes of a schema.
const NODES: usize = 4096;
/// Texts of a choice, and of all lists of a schema.
const TEXTS: usize = 100_000;
/// Bytes of those texts.
const BYTES: usize = 4 << 20;
/// Keywords that say nothing about what is legal.
const WORDS_FOR_PEOPLE: [&str; 9] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
];

/// What a value may be.
#[derive(Debug)]
pub(super) enum Node {
    /// One of these texts.
    Words(Words),
    /// A string with so many characters.
    Text { least: u32, most: u32 },
    /// A number, or an integer.
    Number { whole: bool },
    /// Keys end with their quote; `values` are their nodes, `required` their bits.
    Object { keys: Words, values: Vec<usize>, required: Taken },
    /// So many items, each once where they are `unique`.
    Array { item: usize, least: u32, most: u32, unique: bool },
    /// By its first byte, one of these.
    OneOf(Box<[Option<u16>; 256]>),
}

/// All nodes of a form; the last is that of the whole reply.
#[derive(Debug)]
pub(super) struct Grammar {
    nodes: Vec<Node>,
}

impl Grammar {
    pub(super) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    pub(super) fn root(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Takes one of the given texts.
    pub(super) fn choice(choices: &[String]) -> Result<Self, Error> {
        let fault = |problem: String| Err(Error::Form { at: "choice".into(), problem });
        if choices.is_empty() || choices.iter().any(String::is_empty) {
            return fault("needs at least one text, and none that is empty".into());
        }
        let bytes: usize = choices.iter().map(String::len).sum();
        if choices.len() > TEXTS || bytes > BYTES {
            return fault(format!("may have {TEXTS} texts of {BYTES} bytes in all, no more"));
        }
        let texts = choices.iter().map(|text| text.as_bytes().into()).collect();
        Ok(Self { nodes: vec![Node::Words(Words::new(texts))] })
    }

    /// Takes JSON that `schema` allows.
    pub(super) fn json(schema: &Value) -> Result<Self, Error> {
        let mut compiler = Compiler { nodes: Vec::new(), texts: 0, bytes: 0 };
        let root = compiler.value(schema, &Place::root())?;
        compiler.add(root, &Place::root())?;
        Ok(Self { nodes: compiler.nodes })
    }
}

/// Where in a schema we are.
struct Place<'a> {
    above: Option<&'a Self>,
    name: String,
    depth: usize,
}

impl<'a> Place<'a> {
    fn root() -> Self {
        Self { above: None, name: "#".into(), depth: 0 }
    }

    fn at(&'a self, name: impl Into<String>) -> Self {
        Self { above: Some(self), name: name.into(), depth: self.depth }
    }

    /// One value further in.
    fn within(&'a self, name: impl Into<String>) -> Self {
        Self { depth: self.depth + 1, ..self.at(name) }
    }

    fn path(&self) -> String {
        match self.above {
            Some(above) => format!("{}/{}", above.path(), self.name),
            None => self.name.clone(),
        }
    }

    fn fault(&self, problem: impl Into<String>) -> Error {
        Error::Form { at: format!("schema, {}", self.path()), problem: problem.into() }
    }
}

struct Compiler {
    nodes: Vec<Node>,
    texts: usize,
    bytes: usize,
}

impl Compiler {
    fn add(&mut self, node: Node, place: &Place<'_>) -> Result<usize, Error> {
        if self.nodes.len() == NODES {
            return Err(place.fault(format!("is beyond the {NODES} values a schema may describe")));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn words(&mut self, texts: Vec<String>, place: &Place<'_>) -> Result<Words, Error> {
        self.texts += texts.len();
        self.bytes += texts.iter().map(String::len).sum::<usize>();
        if self.texts > TEXTS || self.bytes > BYTES {
            let problem = format!("is beyond the {TEXTS} texts of {BYTES} bytes a schema may list");
            return Err(place.fault(problem));
        }
        Ok(Words::new(texts.into_iter().map(|text| text.into_bytes().into()).collect()))
    }

    /// Compiles the schema of one value.
    fn value(&mut self, schema: &Value, place: &Place<'_>) -> Result<Node, Error> {
        if place.depth >= DEPTH {
            return Err(place.fault(format!("is nested more than {DEPTH} deep")));
        }
        let schema = schema.as_object().ok_or_else(|| place.fault("must be an object"))?;
        if let Some(branches) = schema.get("anyOf") {
            only(schema, &["anyOf"], place)?;
            let place = place.at("anyOf");
            let branches = branches.as_array().filter(|branches| !branches.is_empty());
            let branches = branches.ok_or_else(|| place.fault("must be a list of schemas"))?;
            let mut nodes = Vec::new();
            for (i, branch) in branches.iter().enumerate() {
                nodes.push(self.value(branch, &place.within(i.to_string()))?);
            }
            return self.one_of(nodes, &place);
        }
        let types = types(schema, place)?;
        if schema.contains_key("enum") || schema.contains_key("const") {
            return self.listed(schema, types.as_deref(), place);
        }
        let types = types.ok_or_else(|| place.fault("needs `type`, `enum`, `const` or `anyOf`"))?;
        let known: Vec<&str> = types.iter().flat_map(|kind| keywords(kind)).copied().collect();
        only(schema, &[&["type"], &known[..]].concat(), place)?;
        let mut nodes = Vec::new();
        for kind in &types {
            nodes.push(self.typed(kind, schema, place)?);
        }
        self.one_of(nodes, place)
    }

    fn typed(&mut self, kind: &str, schema: &Fields, place: &Place<'_>) -> Result<Node, Error> {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        match kind {
            "null" => Ok(Node::Words(self.words(texts(&["null"]), place)?)),
            "boolean" => Ok(Node::Words(self.words(texts(&["false", "true"]), place)?)),
            "integer" => Ok(Node::Number { whole: true }),
            "number" => Ok(Node::Number { whole: false }),
            "string" => {
                let (least, most) = limits(schema, ("minLength", "maxLength"), place)?;
                Ok(Node::Text { least, most })
            }
            "array" => self.array(schema, place),
            _ => self.object(schema, place),
        }
    }

    /// Compiles `enum` and `const`, of which values of other types are struck out.
    fn listed(
        &mut self,
        schema: &Fields,
        types: Option<&[&str]>,
        place: &Place<'_>,
    ) -> Result<Node, Error> {
        only(schema, &["type", "enum", "const"], place)?;
        let values = match (schema.get("enum"), schema.get("const")) {
            (Some(_), Some(_)) => return Err(place.fault("has both `enum` and `const`")),
            (Some(list), None) => list.as_array().cloned(),
            (None, constant) => constant.cloned().map(|value| vec![value]),
        };
        let values = values.ok_or_else(|| place.at("enum").fault("must be a list"))?;
        let is_of = |value: &&Value| types.is_none_or(|t| t.iter().any(|kind| is(value, kind)));
        let texts: Vec<String> = values.iter().filter(is_of).map(Value::to_string).collect();
        if texts.is_empty() {
            return Err(place.fault("lists no value of its type"));
        }
        Ok(Node::Words(self.words(texts, place)?))
    }

    fn array(&mut self, schema: &Fields, place: &Place<'_>) -> Result<Node, Error> {
        let items = schema.get("items").ok_or_else(|| place.fault("an array needs `items`"))?;
        let inner = place.within("items");
        let node = self.value(items, &inner)?;
        let (least, mut most) = limits(schema, ("minItems", "maxItems"), place)?;
        let unique = schema.get("uniqueItems").is_some_and(|unique| *unique == Value::Bool(true));
        if unique {
            let place = place.at("uniqueItems");
            let Node::Words(words) = &node else {
                return Err(place.fault("is only supported where `items` is an `enum`"));
            };
            if words.len() > MARKED {
                return Err(place.fault(format!("is supported for {MARKED} values, no more")));
            }
            most = most.min(words.len() as u32);
            if least > most {
                return Err(place.fault(format!("asks for {least} items, there are {most}")));
            }
        }
        let item = self.add(node, &inner)?;
        Ok(Node::Array { item, least, most, unique })
    }

    fn object(&mut self, schema: &Fields, place: &Place<'_>) -> Result<Node, Error> {
        if schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false)) {
            return Err(place.at("additionalProperties").fault("must be false"));
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let properties = properties.ok_or_else(|| place.fault("an object needs `properties`"))?;
        if properties.len() > MARKED {
            return Err(place.fault(format!("has more than {MARKED} properties")));
        }
        // As they are written, without the first quote: the order of their bytes is that of their numbers.
        let written = |name: &str| Value::from(name).to_string()[1..].to_owned();
        let mut sorted: Vec<(String, &String, &Value)> =
            properties.iter().map(|(name, schema)| (written(name), name, schema)).collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let inner = place.at("properties");
        let mut values = Vec::new();
        for (_, name, schema) in &sorted {
            let place = inner.within(*name);
            let node = self.value(schema, &place)?;
            values.push(self.add(node, &place)?);
        }
        let inner = place.at("required");
        let mut required: Taken = 0;
        match schema.get("required").map(|names| names.as_array()) {
            None => {}
            Some(None) => return Err(inner.fault("must be a list of names")),
            Some(Some(names)) => {
                for name in names {
                    let at = sorted.iter().position(|(_, known, _)| name == known.as_str());
                    let at = at.ok_or_else(|| inner.fault(format!("{name} is no property")))?;
                    required |= 1 << at;
                }
            }
        }
        let keys = self.words(sorted.into_iter().map(|(written, ..)| written).collect(), place)?;
        Ok(Node::Object { keys, values, required })
    }

    /// Makes one node of several; lists of texts become one list, the rest must differ in the first byte.
    fn one_of(&mut self, nodes: Vec<Node>, place: &Place<'_>) -> Result<Node, Error> {
        let mut texts = Vec::new();
        let mut others = Vec::new();
        for node in nodes {
            match node {
                Node::Words(words) => texts.extend(words.into_texts()),
                other => others.push(other),
            }
        }
        if !texts.is_empty() {
            others.push(Node::Words(Words::new(texts)));
        }
        if others.len() == 1 {
            return Ok(others.remove(0));
        }
        let mut branches = Box::new([None; 256]);
        for node in others {
            let first: Vec<u8> = (0..=255).filter(|&byte| begins(&node, byte)).collect();
            let node = u16::try_from(self.add(node, place)?).expect("nodes are limited");
            for byte in first {
                if branches[usize::from(byte)].replace(node).is_some() {
                    let problem = format!(
                        "has two kinds of value that begin with {:?}: they cannot be told apart",
                        char::from(byte)
                    );
                    return Err(place.fault(problem));
                }
            }
        }
        Ok(Node::OneOf(branches))
    }
}

type Fields = Map<String, Value>;

/// Tells whether a value of this node may begin with `byte`.
fn begins(node: &Node, byte: u8) -> bool {
    match node {
        Node::Words(words) => words.iter().any(|word| word.first() == Some(&byte)),
        Node::Text { .. } => byte == b'"',
        Node::Number { .. } => byte == b'-' || byte.is_ascii_digit(),
        Node::Object { .. } => byte == b'{',
        Node::Array { .. } => byte == b'[',
        Node::OneOf(branches) => branches[usize::from(byte)].is_some(),
    }
}

/// Refuses keywords that are neither known here nor for people.
fn only(schema: &Fields, known: &[&str], place: &Place<'_>) -> Result<(), Error> {
    let is_known = |key: &str| known.contains(&key) || WORDS_FOR_PEOPLE.contains(&key);
    match schema.keys().find(|key| !is_known(key)) {
        Some(key) => Err(place.at(key).fault("is not supported here")),
        None => Ok(()),
    }
}

fn keywords(kind: &str) -> &'static [&'static str] {
    match kind {
        "string" => &["minLength", "maxLength"],
        "array" => &["items", "minItems", "maxItems", "uniqueItems"],
        "object" => &["properties", "required", "additionalProperties"],
        _ => &[],
    }
}

/// Reads `type`: one name or a list.
fn types<'a>(schema: &'a Fields, place: &Place<'_>) -> Result<Option<Vec<&'a str>>, Error> {
    const KNOWN: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
    let place = place.at("type");
    let fault = || place.fault(format!("must be one or more of {}, each once", KNOWN.join(", ")));
    let names = match schema.get("type") {
        None => return Ok(None),
        Some(Value::Array(names)) => names.iter().collect(),
        Some(name) => vec![name],
    };
    let names: Option<Vec<&str>> = names.into_iter().map(Value::as_str).collect();
    let names = names.filter(|names| !names.is_empty()).ok_or_else(fault)?;
    let is_good = |(at, name): (usize, &&str)| KNOWN.contains(name) && !names[..at].contains(name);
    if names.iter().enumerate().all(is_good) { Ok(Some(names)) } else { Err(fault()) }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}

/// Reads a least and a most.
fn limits(schema: &Fields, keys: (&str, &str), place: &Place<'_>) -> Result<(u32, u32), Error> {
    let read = |key: &str, default: u32| match schema.get(key) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| place.at(key).fault("must be a whole number from 0 to 4294967295")),
    };
    let (least, most) = (read(keys.0, 0)?, read(keys.1, u32::MAX)?);
    if least > most {
        return Err(place.fault(format!("`{}` is above `{}`", keys.0, keys.1)));
    }
    Ok((least, most))
}

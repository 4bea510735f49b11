//! Random walks against a checker that knows nothing of the machine.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Form;
use crate::ReplyForm;

fn json_form(schema: &Value) -> Form {
    Form::new(&ReplyForm::Json(schema.clone())).unwrap()
}

fn choice(texts: &[&str]) -> Form {
    Form::new(&ReplyForm::Choice(texts.iter().map(|&text| text.into()).collect())).unwrap()
}

fn problem(schema: &Value) -> String {
    Form::new(&ReplyForm::Json(schema.clone())).unwrap_err().to_string()
}

/// Says whether a value obeys a schema of the subset, as naively as can be.
fn obeys(schema: &Value, value: &Value) -> bool {
    if let Some(branches) = schema.get("anyOf") {
        return branches.as_array().unwrap().iter().any(|branch| obeys(branch, value));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_type = |t: &Value| t == kind || (t == "number" && kind == "integer");
    if !types.is_empty() && !types.iter().any(is_type) {
        return false;
    }
    if schema.get("enum").is_some_and(|list| !list.as_array().unwrap().contains(value)) {
        return false;
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        return false;
    }
    let least = |key: &str| schema.get(key).map_or(0, |n| n.as_u64().unwrap() as usize);
    let most = |key: &str| schema.get(key).map_or(usize::MAX, |n| n.as_u64().unwrap() as usize);
    match value {
        Value::String(text) => {
            (least("minLength")..=most("maxLength")).contains(&text.chars().count())
        }
        Value::Array(items) => {
            let different: BTreeSet<String> = items.iter().map(Value::to_string).collect();
            (least("minItems")..=most("maxItems")).contains(&items.len())
                && items.iter().all(|item| obeys(&schema["items"], item))
                && (schema.get("uniqueItems").is_none() || different.len() == items.len())
        }
        Value::Object(fields) if schema.get("properties").is_some() => {
            let names = schema["required"].as_array().cloned().unwrap_or_default();
            names.iter().all(|name| fields.contains_key(name.as_str().unwrap()))
                && fields.iter().all(|(name, value)| {
                    schema["properties"].get(name).is_some_and(|schema| obeys(schema, value))
                })
        }
        _ => true,
    }
}

/// Schemas of the subset.
fn schemas() -> impl Strategy<Value = Value> {
    let listed = prop_oneof![
        Just(json!({"enum": ["a", "ab", "b\"c", "电影", "a\nb"]})),
        Just(json!({"enum": [1, 12, 123, null, "1", true]})),
        Just(json!({"const": {"x": [1, 2.5]}})),
        Just(json!({"type": "string", "enum": ["x", 3, "y"]})),
    ];
    let leaf = prop_oneof![
        listed.clone(),
        (0u32..3, 0u32..4).prop_map(
            |(least, more)| json!({"type": "string", "minLength": least, "maxLength": least + more})
        ),
        Just(json!({"type": "string", "description": "any"})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": "number"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        Just(json!({"type": ["integer", "null", "string", "boolean"], "maxLength": 5})),
        Just(json!({"anyOf": [{"type": "number"}, {"enum": ["no", null]}]})),
    ];
    let unique = (listed, 0u64..3).prop_filter_map("too few", |(items, least)| {
        let enough = items["enum"].as_array().is_some_and(|list| list.len() >= 3);
        enough.then(|| {
            json!({"type": "array", "items": items, "uniqueItems": true, "minItems": least.min(2)})
        })
    });
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let fields = prop::collection::vec((inner.clone(), any::<bool>()), 0..4);
        prop_oneof![
            (inner.clone(), 0u32..3, 0u32..3).prop_map(|(items, least, more)| {
                json!({"type": "array", "items": items, "minItems": least, "maxItems": least + more})
            }),
            unique.clone(),
            (fields, any::<bool>()).prop_map(|(fields, closed)| {
                let names = ["id", "id\"2", "为什么", "i"];
                let mut schema = json!({"type": "object", "properties": {}, "required": []});
                for ((field, is_required), name) in fields.into_iter().zip(names) {
                    schema["properties"][name] = field;
                    if is_required {
                        schema["required"].as_array_mut().unwrap().push(name.into());
                    }
                }
                if closed {
                    schema["additionalProperties"] = false.into();
                }
                schema
            }),
            inner.prop_map(|inner| json!({"anyOf": [{"type": "object", "properties": {"k": inner}},
                {"type": "null"}]})),
        ]
    })
}

/// A small generator of numbers, so that walks can be told by one seed.
fn draw(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*seed >> 33) as usize % below
}

const TOKENS: [&str; 24] = [
    "\"",
    "{\"",
    "\":",
    "\": ",
    ", \"",
    "\",\"",
    "}",
    "]",
    "[",
    "ab",
    "电",
    "影\"",
    "12",
    "-3",
    ".5e",
    "null",
    "true",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\n",
    "], [",
    "  ",
    "\n",
    "😀",
];

/// Walks by allowed bytes and tokens, and closes what is open when it has been long.
fn walk(mut form: Form, seed: &mut u64) -> Vec<u8> {
    let mut reply = Vec::new();
    for n in 0.. {
        assert!(n < 20_000, "no end in sight: {}", String::from_utf8_lossy(&reply));
        if form.must_end() || (form.may_end() && (n > 60 || draw(seed, 4) == 0)) {
            return reply;
        }
        let mut legal: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
        legal.extend(TOKENS.iter().map(|token| token.as_bytes().to_vec()));
        legal.retain(|bytes| form.allows(bytes));
        assert!(!legal.is_empty(), "stuck: {}", String::from_utf8_lossy(&reply));
        let closing = legal.iter().find(|bytes| matches!(bytes[0], b'"' | b'}' | b']'));
        let step = match closing {
            Some(closing) if n > 60 || draw(seed, 3) == 0 => closing.clone(),
            _ => legal[draw(seed, legal.len())].clone(),
        };
        form.advance(&step);
        reply.extend(step);
    }
    unreachable!()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_walk_by_allowed_bytes_ends_in_json_that_obeys_the_schema(schema in schemas(), mut seed: u64) {
        let reply = walk(json_form(&schema), &mut seed);
        let text = String::from_utf8(reply).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        prop_assert!(obeys(&schema, &value), "{schema} {text}");
        prop_assert!(json_form(&schema).accepts(&text));
        // As others write it, too.
        prop_assert!(json_form(&schema).accepts(&value.to_string()), "{schema} {value}");
    }

    #[test]
    fn what_was_spoilt_is_refused_unless_it_is_legal_by_chance(
        schema in schemas(), mut seed: u64, junk in "[\"{}\\[\\],: 0-9a-e\\\\nul-]{1,3}",
    ) {
        let mut reply = String::from_utf8(walk(json_form(&schema), &mut seed)).unwrap();
        let places: Vec<usize> = (0..=reply.len()).filter(|&at| reply.is_char_boundary(at)).collect();
        let (from, to) = (places[draw(&mut seed, places.len())], places[draw(&mut seed, places.len())]);
        reply.replace_range(from.min(to)..from.max(to), &junk);
        if json_form(&schema).accepts(&reply) {
            let value: Value = serde_json::from_str(&reply).unwrap_or_else(|e| panic!("{e}: {reply}"));
            prop_assert!(obeys(&schema, &value), "{schema} {reply}");
        }
    }

    #[test]
    fn tokens_are_judged_as_their_bytes_one_by_one(schema in schemas(), mut seed: u64) {
        let mut form = json_form(&schema);
        for _ in 0..40 {
            let (a, b) = (TOKENS[draw(&mut seed, 24)], TOKENS[draw(&mut seed, 24)]);
            let token = format!("{a}{b}");
            let mut slow = form.clone();
            let by_bytes = token.bytes().all(|byte| {
                let is_allowed = slow.allows(&[byte]);
                slow.advance(&[byte]);
                is_allowed
            });
            prop_assert_eq!(form.allows(token.as_bytes()), by_bytes, "{} {}", schema, token);
            let legal = (0..=255u8).filter(|&byte| form.allows(&[byte])).collect::<Vec<_>>();
            if legal.is_empty() {
                break;
            }
            form.advance(&[legal[draw(&mut seed, legal.len())]]);
        }
    }

    #[test]
    fn any_walk_ends_in_a_choice(texts in prop::collection::btree_set("[ab电]{1,4}", 1..20), mut seed: u64) {
        let list: Vec<&str> = texts.iter().map(String::as_str).collect();
        let reply = String::from_utf8(walk(choice(&list), &mut seed)).unwrap();
        prop_assert!(texts.contains(&reply));
    }

    #[test]
    fn a_text_is_accepted_where_it_is_one_of_the_choices(
        texts in prop::collection::btree_set("[ab]{1,3}", 1..8), text in "[ab]{0,4}",
    ) {
        let list: Vec<&str> = texts.iter().map(String::as_str).collect();
        prop_assert_eq!(choice(&list).accepts(&text), texts.contains(&text));
    }
}

#[test]
fn a_choice_that_others_begin_with_may_end_or_go_on() {
    let mut form = choice(&["m1", "m12"]);
    assert!(!form.may_end() && !form.allows(b"m2") && form.allows(b"m12") && !form.allows(b"m123"));
    form.advance(b"m1");
    assert!(form.may_end() && !form.must_end() && form.allows(b"2") && !form.allows(b"1"));
    form.advance(b"2");
    assert!(form.must_end() && !form.allows(b"2"));
}

#[test]
fn anything_goes_where_nothing_was_asked() {
    let mut form = Form::new(&ReplyForm::Free).unwrap();
    assert!(form.allows(b"\xff") && !form.allows(b"") && form.accepts("") && form.may_end());
    form.advance(b"x");
    assert!(form.may_end() && !form.must_end());
}

#[test]
fn bytes_that_were_not_allowed_spoil_the_reply() {
    let mut form = choice(&["yes"]);
    form.advance(b"no");
    assert!(!form.may_end() && (0..=255).all(|byte| !form.allows(&[byte])));
}

#[test]
fn white_space_is_one_space_after_a_comma_or_a_colon() {
    let form = json_form(&json!({"type": "object", "properties": {"a": {"type": "array",
        "items": {"type": "integer"}}}}));
    assert!(form.accepts(r#"{"a":[1,2]}"#) && form.accepts(r#"{"a": [1, 2]}"#));
    for text in
        [r#" {"a":[1]}"#, r#"{ "a":[1]}"#, r#"{"a" :[1]}"#, r#"{"a":  [1]}"#, "{\"a\":\n[1]}"]
    {
        assert!(!form.accepts(text), "{text}");
    }
    assert!(!form.accepts(r#"{"a":[1],"a":[2]}"#) && !form.accepts(r#"{"b":[1]}"#));
    assert!(!form.accepts(r#"{"a":[1,]}"#) && !form.accepts(r#"{"a":[1]},"#));
}

#[test]
fn numbers_are_limited_and_never_left_half() {
    let number = json_form(&json!({"type": "number"}));
    for text in
        ["0", "-0", "-0.5", "1e5", "1.25E-07", "1.5e299", "12e99", "123456789012345678901234"]
    {
        assert!(number.accepts(text), "{text}");
    }
    for text in [
        "",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "1e300",
        "12e123",
        "1234567890123456789012345",
    ] {
        assert!(!number.accepts(text), "{text}");
    }
    let mut form = number;
    form.advance(b"12345678901234567890123");
    assert!(form.allows(b"4") && !form.allows(b".") && !form.allows(b"e"));
    let whole = json_form(&json!({"type": "integer"}));
    assert!(whole.accepts("-999999999999999999") && whole.accepts("0"));
    assert!(!whole.accepts("9999999999999999999") && !whole.accepts("-0") && !whole.accepts("1.0"));
}

#[test]
fn strings_are_valid_utf8_with_whole_surrogate_pairs() {
    let form = json_form(&json!({"type": "string", "maxLength": 2}));
    for text in [r#""""#, r#""é电""#, r#""😀😀""#, r#""\ud83d\ude00a""#, r#""\u00e9\n""#] {
        assert!(form.accepts(text), "{text}");
    }
    for text in [r#""abc""#, r#""\ud83d""#, r#""\ude00""#, r#""\ud83da""#, r#""\x""#, "\"\n\""] {
        assert!(!form.accepts(text), "{text}");
    }
    let mut form = form;
    form.advance(b"\"\xed");
    assert!(!form.allows(b"\xa0") && form.allows(b"\x9f") && !form.allows(b"\x9f\""));
}

#[test]
fn a_list_of_unique_ids_takes_each_once() {
    let form = json_form(&json!({"type": "array", "uniqueItems": true, "minItems": 2,
        "items": {"enum": ["m1", "m2", "m3"]}}));
    assert!(form.accepts(r#"["m2","m1"]"#) && form.accepts(r#"["m2", "m1", "m3"]"#));
    for text in [r#"["m2"]"#, r#"["m2","m2"]"#, r#"["m1","m2","m3","m1"]"#, r#"["m1","m4"]"#] {
        assert!(!form.accepts(text), "{text}");
    }
}

#[test]
fn what_is_not_supported_is_named_with_its_place() {
    let at = |schema: Value| {
        let schema = json!({"type": "object", "properties": {"a": schema}});
        problem(&schema)
    };
    let cases = [
        (json!({"type": "string", "pattern": "a+"}), "#/properties/a/pattern): is not supported"),
        (json!({"type": "integer", "minimum": 1}), "#/properties/a/minimum): is not supported"),
        (json!({"$ref": "#/$defs/x"}), "#/properties/a): needs `type`"),
        (json!({"type": "text"}), "#/properties/a/type): must be one or more of null, boolean"),
        (json!({"type": "array"}), "#/properties/a): an array needs `items`"),
        (json!({"type": "object"}), "#/properties/a): an object needs `properties`"),
        (json!({"enum": []}), "#/properties/a): lists no value"),
        (json!({"type": "string", "enum": [1]}), "lists no value of its type"),
        (json!({"type": "string", "minLength": 3, "maxLength": 2}), "is above `maxLength`"),
        (json!({"type": "string", "maxLength": -1}), "/maxLength): must be a whole number"),
        (json!({"anyOf": [{"type": "string"}, {"const": "x"}]}), "begin with '\"'"),
        (
            json!({"anyOf": [{"type": "object", "properties": {}, "patternProperties": {}}]}),
            "#/properties/a/anyOf/0/patternProperties",
        ),
        (
            json!({"type": "object", "properties": {}, "additionalProperties": true}),
            "must be false",
        ),
        (json!({"type": "object", "properties": {}, "required": ["b"]}), "\"b\" is no property"),
        (
            json!({"type": "array", "items": {"type": "integer"}, "uniqueItems": true}),
            "is an `enum`",
        ),
        (json!(true), "#/properties/a): must be an object"),
    ];
    for (schema, wanted) in cases {
        let text = at(schema.clone());
        assert!(text.contains(wanted), "{schema}: {text}");
    }
    let mut deep = json!({"type": "null"});
    for _ in 0..20 {
        deep = json!({"type": "array", "items": deep});
    }
    assert!(problem(&deep).contains("more than 16 deep"));
    let none = Form::new(&ReplyForm::Choice(vec!["a".into(), String::new()])).unwrap_err();
    assert!(none.to_string().contains("none that is empty"));
}

#[test]
fn a_schema_as_deep_as_may_be_can_be_filled() {
    let mut deep = json!({"type": "null"});
    for _ in 0..15 {
        deep = json!({"type": "array", "items": deep, "minItems": 1});
    }
    let form = json_form(&deep);
    assert!(form.accepts(&format!("{}null{}", "[".repeat(15), "]".repeat(15))));
}

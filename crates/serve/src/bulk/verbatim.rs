//! Parts of a line of JSON as they are written. Parsed fractions come back a little different where they have many digits, and what goes
//! out of a store and in again must stay what it was.

use serde_json::Value;

/// Returns a member of a line, which is an object, as JSON without blanks; `value` is what was parsed of it.
pub(super) fn member(line: &str, name: &str, value: &Value) -> String {
    if !has_fraction(value) {
        return value.to_string();
    }
    find(line, name).map_or_else(|| value.to_string(), compact)
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// Finds a member by its name, the last one if there are several, in what is known to be an object.
fn find<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let bytes = line.as_bytes();
    let mut found = None;
    let mut at = blanks(bytes, 0) + 1;
    loop {
        at = blanks(bytes, at);
        if bytes.get(at) != Some(&b'"') {
            return found;
        }
        let key = at..value_end(bytes, at);
        // Behind the name there is a colon.
        let begin = blanks(bytes, blanks(bytes, key.end) + 1);
        let end = value_end(bytes, begin);
        if line.get(key.start + 1..key.end.checked_sub(1)?)? == name {
            found = line.get(begin..end);
        }
        at = blanks(bytes, end) + 1;
    }
}

fn blanks(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Returns where a value that begins at `from` ends.
fn value_end(bytes: &[u8], from: usize) -> usize {
    let (mut depth, mut at) = (0usize, from);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            byte if byte.is_ascii_whitespace() && depth == 0 => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return at;
        }
    }
    at
}

fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Leaves out blanks that stand between values.
fn compact(json: &str) -> String {
    let bytes = json.as_bytes();
    let mut out = String::with_capacity(json.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let end = match byte {
            b'"' => string_end(bytes, at),
            _ => at + 1,
        };
        if !byte.is_ascii_whitespace() {
            out.push_str(json.get(at..end).unwrap_or_default());
        }
        at = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_stay_as_they_are_written() {
        let line = r#" { "a\"}" : "x,}\\" , "f" : { "n" : [ 0.30000000000000004 , 1e5 ], "t" : "a b\" }" } ,"v":5.0,"last":[ 1.5 ] } "#;
        let object: Value = serde_json::from_str(line).unwrap();
        let of = |name: &str| member(line, name, &object[name]);
        assert_eq!(of("f"), r#"{"n":[0.30000000000000004,1e5],"t":"a b\" }"}"#);
        assert_eq!((of("v"), of("last")), ("5.0".into(), "[1.5]".into()));
        // Without a fraction it is written as everywhere else.
        let line = r#"{"v": {"a": 1, "\u0061b": "\u0062"}, "v": [ 2 ]}"#;
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(member(line, "v", &object["v"]), "[2]");
    }

    #[test]
    fn the_last_of_several_counts_and_odd_names_are_not_missed() {
        let line = r#"{"v":0.1,"v":0.25,"\u0077":0.5}"#;
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(member(line, "v", &object["v"]), "0.25");
        assert_eq!(member(line, "w", &object["w"]), "0.5");
        for broken in ["", "{", "{\"", "{\"v\"", "{\"v\":", "{\"v\":\"", "{\"v\":[0.5", "[0.5]"] {
            // Nothing is read beyond an end.
            find(broken, "v");
            compact(broken);
        }
    }
}

//! Answers of services of vectors: read strictly, since a vector at the wrong text is worse than none.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tastemaker_core::Vectors;

use super::RemoteFault;

/// Vectors as they came, and the tokens that the service says it read.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// `[sent, dim]`, in the order of what was sent; not normalised.
    pub(super) vectors: Vectors,
    pub(super) tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Openai {
    data: Vec<Row>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Row {
    index: Option<usize>,
    embedding: Numbers,
}

/// Numbers of a vector, as a list or as base64.
struct Numbers(Vec<f32>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers, or base64")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = list.next_element()? {
                    numbers.push(number);
                }
                Ok(Numbers(numbers))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Numbers, E> {
                decode(text).map(Numbers).map_err(E::custom)
            }
        }
        reader.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
}

/// Bytes an answer with `sent` vectors of `dim` numbers may have.
pub(super) fn limit(sent: usize, dim: usize) -> u64 {
    // A number as text takes up to 25 bytes; the rest is names and white space.
    (64 << 10) + 32 * (sent * dim) as u64 + 256 * sent as u64
}

/// Reads `{"data": [{"index": 0, "embedding": [...]}], "usage": {...}}`; rows come in any order.
pub(super) fn openai(bytes: &[u8], sent: usize) -> Result<Answer, RemoteFault> {
    let answer: Openai = parse(bytes)?;
    if answer.data.len() != sent {
        return Err(RemoteFault::Count { sent, came: answer.data.len() });
    }
    let mut rows: Vec<Option<Vec<f32>>> = vec![None; sent];
    for row in answer.data {
        let index = |problem: String| RemoteFault::Index { problem };
        let at = row.index.ok_or_else(|| index("missing".into()))?;
        let place = rows.get_mut(at).ok_or_else(|| index(format!("{at}, of {sent} texts")))?;
        if place.is_some() {
            return Err(index(format!("{at} for the second time")));
        }
        *place = Some(row.embedding.0);
    }
    let tokens = answer.usage.and_then(|usage| usage.total_tokens.or(usage.prompt_tokens));
    Ok(Answer { vectors: table(rows.into_iter().flatten())?, tokens })
}

/// Reads `[[...], ...]`, in the order of what was sent.
pub(super) fn tei(bytes: &[u8], sent: usize) -> Result<Answer, RemoteFault> {
    let rows: Vec<Vec<f32>> = parse(bytes)?;
    if rows.len() != sent {
        return Err(RemoteFault::Count { sent, came: rows.len() });
    }
    Ok(Answer { vectors: table(rows.into_iter())?, tokens: None })
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RemoteFault> {
    // The reader's words hold no more of the answer than names and short values.
    let not_understood = |why: serde_json::Error| RemoteFault::NotUnderstood {
        why: super::fault::short(&why.to_string()),
    };
    serde_json::from_slice(bytes).map_err(not_understood)
}

fn decode(text: &str) -> Result<Vec<f32>, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|e| format!("base64: {e}"))?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("base64: {} bytes are no row of f32", bytes.len()));
    }
    Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Makes a table of rows that are all as wide, and finite.
fn table(rows: impl Iterator<Item = Vec<f32>>) -> Result<Vectors, RemoteFault> {
    let (mut dim, mut flat) = (0, Vec::new());
    for row in rows {
        if row.iter().any(|x| !x.is_finite()) {
            return Err(RemoteFault::NotFinite);
        }
        if row.is_empty() || (!flat.is_empty() && row.len() != dim) {
            return Err(RemoteFault::Dimensions { found: row.len(), wanted: dim.max(1) });
        }
        dim = row.len();
        flat.extend(row);
    }
    let why = "no vectors".into();
    Vectors::from_flat(dim, flat).ok_or(RemoteFault::NotUnderstood { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(answer: Answer) -> Vec<f32> {
        answer.vectors.flat().to_vec()
    }

    #[test]
    fn rows_are_put_where_their_index_says() {
        let text = br#"{"object": "list", "model": "m", "usage": {"prompt_tokens": 7},
            "data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1.5, 2]}]}"#;
        let answer = openai(text, 2).unwrap();
        assert_eq!(answer.tokens, Some(7));
        assert_eq!(rows(answer), [1.5, 2.0, 3.0, 4.0]);
        assert_eq!(rows(tei(b"[[1, 2], [3, 4]]", 2).unwrap()), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn base64_holds_the_same_numbers() {
        // 1.0 = 00 00 80 3f, -2.0 = 00 00 00 c0, low byte first.
        let text = br#"{"data": [{"index": 0, "embedding": "AACAPwAAAMA="}]}"#;
        assert_eq!(rows(openai(text, 1).unwrap()), [1.0, -2.0]);
        let nan = br#"{"data": [{"index": 0, "embedding": "AADAfw=="}]}"#;
        assert_eq!(openai(nan, 1), Err(RemoteFault::NotFinite));
        for bad in ["AACAPwA=", "??", ""] {
            let text = format!(r#"{{"data": [{{"index": 0, "embedding": "{bad}"}}]}}"#);
            assert!(openai(text.as_bytes(), 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let row = |index: &str, numbers: &str| format!(r#"{{{index} "embedding": {numbers}}}"#);
        let cases = [
            (vec![row(r#""index": 0,"#, "[1]")], "gave 1 vectors for 2 texts"),
            (vec![row("", "[1]"), row("", "[2]")], "index is missing"),
            (vec![row(r#""index": 0,"#, "[1]"); 2], "index is 0 for the second time"),
            (vec![row(r#""index": 0,"#, "[1]"), row(r#""index": 2,"#, "[1]")], "index is 2, of 2"),
            (vec![row(r#""index": 0,"#, "[1]"), row(r#""index": 1,"#, "[1, 2]")], "of 2 numbers"),
            (vec![row(r#""index": 0,"#, "[]"), row(r#""index": 1,"#, "[1]")], "of 0 numbers"),
            (vec![row(r#""index": 0,"#, "[1e39]"), row(r#""index": 1,"#, "[1]")], "infinite"),
            (vec![row(r#""index": 0,"#, "[null]"), row(r#""index": 1,"#, "[1]")], "understood"),
        ];
        for (rows, wanted) in cases {
            let text = format!(r#"{{"data": [{}]}}"#, rows.join(","));
            let fault = openai(text.as_bytes(), 2).unwrap_err().to_string();
            assert!(fault.contains(wanted), "{text}: {fault}");
        }
        assert_eq!(tei(b"[[1]]", 2), Err(RemoteFault::Count { sent: 2, came: 1 }));
        let fault = tei(br#"{"error": "x"}"#, 1).unwrap_err().to_string();
        assert!(fault.contains("not understood"), "{fault}");
    }
}

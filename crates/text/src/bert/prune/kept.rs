//! Which attention heads a layer still has, as `pruned_heads` of `config.json` tells: layers, each with the heads that were taken from it,
//! by their numbers in the model as it was trained.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Returns the heads that each of `layers` layers has kept of `heads`, or what is wrong with the field. Every layer keeps one.
pub(in crate::bert) fn kept_heads(
    pruned: Option<&Value>,
    (layers, heads): (usize, usize),
) -> Result<Vec<Vec<usize>>, String> {
    let mut gone = vec![BTreeSet::new(); layers];
    match pruned {
        None | Some(Value::Null) => {}
        Some(Value::Object(entries)) => {
            for (layer, list) in entries {
                let at = layer.parse().ok().filter(|&at: &usize| at < layers).ok_or_else(|| {
                    format!(
                        "`pruned_heads` names layer `{layer}`, the model has 0 to {}",
                        layers - 1
                    )
                })?;
                let list = list.as_array().ok_or_else(|| {
                    format!("`pruned_heads` of layer {layer} must be a list of heads, is {list}")
                })?;
                for head in list {
                    let number = head.as_u64().and_then(|head| usize::try_from(head).ok());
                    let number = number.filter(|&head| head < heads).ok_or_else(|| {
                        format!(
                            "`pruned_heads` of layer {layer} names head {head}, the model has 0 to {}",
                            heads - 1
                        )
                    })?;
                    gone[at].insert(number);
                }
            }
        }
        Some(other) => {
            return Err(format!(
                "`pruned_heads` must tell layers with their heads, such as {{\"0\": [1, 3]}}, is {other}"
            ));
        }
    }
    let kept = |gone: &BTreeSet<usize>| (0..heads).filter(|head| !gone.contains(head)).collect();
    let all: Vec<Vec<usize>> = gone.iter().map(kept).collect();
    match all.iter().position(Vec::is_empty) {
        Some(layer) => Err(format!(
            "`pruned_heads` takes all {heads} heads of layer {layer}, one must be left"
        )),
        None => Ok(all),
    }
}

/// Writes what is gone as the field has it.
pub(super) fn pruned_heads(kept: &[Vec<usize>], heads: usize) -> Value {
    let mut entries = Map::new();
    for (layer, kept) in kept.iter().enumerate() {
        let gone: Vec<usize> = (0..heads).filter(|head| !kept.contains(head)).collect();
        if !gone.is_empty() {
            entries.insert(layer.to_string(), gone.into());
        }
    }
    entries.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn heads_by_hand() {
        let kept = kept_heads(Some(&json!({"1": [0, 2, 2]})), (2, 3)).unwrap();
        assert_eq!(kept, [vec![0, 1, 2], vec![1]]);
        assert_eq!(pruned_heads(&kept, 3), json!({"1": [0, 2]}));
        for nothing in [None, Some(Value::Null), Some(json!({}))] {
            assert_eq!(kept_heads(nothing.as_ref(), (1, 2)).unwrap(), [[0, 1]]);
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_layer_and_head() {
        for (field, parts) in [
            (json!({"2": [0]}), ["layer `2`", "0 to 1"]),
            (json!({"-1": [0]}), ["layer `-1`", "0 to 1"]),
            (json!({"first": [0]}), ["layer `first`", "0 to 1"]),
            (json!({"1": [3]}), ["layer 1", "head 3"]),
            (json!({"1": [-1]}), ["layer 1", "head -1"]),
            (json!({"1": [0.5]}), ["layer 1", "head 0.5"]),
            (json!({"0": 1}), ["layer 0", "list"]),
            (json!([0, 1]), ["such as", "[0,1]"]),
            (json!({"0": [2, 1, 0]}), ["all 3 heads", "layer 0"]),
        ] {
            let why = kept_heads(Some(&field), (2, 3)).unwrap_err();
            assert!(parts.iter().all(|part| why.contains(part)), "{why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(keep in prop::collection::vec(1u32..16, 1..5)) {
            let kept: Vec<Vec<usize>> = keep
                .iter()
                .map(|bits| (0..4).filter(|head| bits >> head & 1 == 1).collect())
                .collect();
            let field = pruned_heads(&kept, 4);
            prop_assert_eq!(kept_heads(Some(&field), (kept.len(), 4)).unwrap(), kept);
        }
    }
}

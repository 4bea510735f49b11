//! Lists of settings to try, each once.

/// Drops what stands earlier in the list already.
pub(crate) fn distinct<S: PartialEq>(all: Vec<S>) -> Vec<S> {
    let mut kept: Vec<S> = Vec::with_capacity(all.len());
    for entry in all {
        if !kept.contains(&entry) {
            kept.push(entry);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_stays_in_its_place() {
        assert_eq!(distinct(vec![3, 1, 3, 2, 1]), [3, 1, 2]);
    }
}

//! Which settings are tried: all of a grid, or as many as wanted drawn at random (Bergstra and Bengio 2012).

use serde_json::{Map, Value};
use tastemaker_core::seed;

use super::Domain;

/// A value for each key of a space.
pub type Assignment = Map<String, Value>;

/// What each setting may be, in the order in which a grid goes through them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space(Vec<(String, Domain)>);

/// Draws in vain after which a space counts as exhausted.
const IN_VAIN: usize = 1000;

impl Space {
    /// Takes a domain for each key; a key that comes again replaces what was said before.
    pub fn new(domains: impl IntoIterator<Item = (String, Domain)>) -> Self {
        let mut space = Self::default();
        for (key, domain) in domains {
            match space.0.iter_mut().find(|(known, _)| *known == key) {
                Some((_, before)) => *before = domain,
                None => space.0.push((key, domain)),
            }
        }
        space
    }

    /// Lists keys with what they may be.
    pub fn domains(&self) -> &[(String, Domain)] {
        &self.0
    }

    /// Tells whether each key has one of the values that it may have.
    pub fn holds(&self, settings: &Assignment) -> bool {
        let holds =
            |(key, domain): &(String, Domain)| settings.get(key).is_some_and(|v| domain.holds(v));
        self.0.iter().all(holds)
    }

    /// Tells whether there is nothing to search.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lists at most `most` points of the grid; the last key changes fastest.
    pub fn grid(&self, most: usize) -> Vec<Assignment> {
        let axes: Vec<(&String, Vec<Value>)> =
            self.0.iter().map(|(key, domain)| (key, domain.grid())).collect();
        let all = axes.iter().fold(1usize, |n, (_, values)| n.saturating_mul(values.len()));
        let point = |number: usize| {
            let mut rest = number;
            let mut point: Vec<(String, Value)> = Vec::with_capacity(axes.len());
            for (key, values) in axes.iter().rev() {
                point.push(((*key).clone(), values[rest % values.len()].clone()));
                rest /= values.len();
            }
            point.into_iter().rev().collect()
        };
        (0..all.min(most)).map(point).collect()
    }

    /// Draws `n` distinct assignments, fewer when there are no more. More of them begin with the same ones.
    pub fn draw(&self, n: usize, seed: u64) -> Vec<Assignment> {
        let mut rng = seed::stream(seed, "search");
        let mut drawn: Vec<Assignment> = Vec::with_capacity(n);
        let mut in_vain = 0;
        while drawn.len() < n && in_vain < IN_VAIN {
            let one: Assignment =
                self.0.iter().map(|(key, domain)| (key.clone(), domain.draw(&mut rng))).collect();
            if drawn.contains(&one) {
                in_vain += 1;
            } else {
                drawn.push(one);
                in_vain = 0;
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn space(domains: &[(&str, &str)]) -> Space {
        let read = |(key, text): &(&str, &str)| ((*key).into(), Domain::parse(text).unwrap());
        Space::new(domains.iter().map(read))
    }

    #[test]
    fn a_grid_goes_through_all_points_the_last_key_fastest() {
        let grid = space(&[("a", "1,2"), ("b", "x,y,z")]).grid(usize::MAX);
        let points: Vec<String> = grid.iter().map(|p| json!(p).to_string()).collect();
        assert_eq!(points.len(), 6);
        assert_eq!(points[..2], [r#"{"a":1,"b":"x"}"#, r#"{"a":1,"b":"y"}"#]);
        assert_eq!(points[3], r#"{"a":2,"b":"x"}"#);
        assert_eq!(space(&[("a", "1,2"), ("b", "x,y,z")]).grid(4), grid[..4]);
        assert_eq!(space(&[("a", "1"), ("a", "5,6")]).grid(9).len(), 2, "the later one counts");
    }

    #[test]
    fn draws_repeat_by_seed_are_distinct_and_more_begin_with_the_same() {
        let wide = space(&[("a", "log(1e-4,1e-2)"), ("b", "32,64")]);
        let ten = wide.draw(10, 1);
        assert_eq!(wide.draw(4, 1), ten[..4]);
        assert_ne!(wide.draw(4, 2), ten[..4]);
        let narrow = space(&[("a", "1,2"), ("b", "x,y,z")]);
        let all = narrow.draw(100, 1);
        assert_eq!(all.len(), 6, "each once, and then it is exhausted");
        assert!(narrow.grid(9).iter().all(|point| all.contains(point)));
    }
}

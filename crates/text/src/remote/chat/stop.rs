//! Texts that end a reply, also where the service does not heed them.

/// Lets a reply through up to the first of the texts that end it.
#[derive(Debug, Default)]
pub(crate) struct Stopper<'a> {
    stops: Vec<&'a str>,
    /// The end of what came, as long as it may become a text that ends the reply.
    held: String,
}

impl<'a> Stopper<'a> {
    pub(crate) fn new(stops: &'a [String]) -> Self {
        let stops = stops.iter().map(String::as_str).filter(|stop| !stop.is_empty()).collect();
        Self { stops, held: String::new() }
    }

    /// Takes a piece; returns what is certain, and whether the reply has ended.
    pub(crate) fn push(&mut self, piece: &str) -> (String, bool) {
        self.held.push_str(piece);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop)).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let may_begin = |&at: &usize| {
            let end = &self.held[at..];
            self.stops.iter().any(|stop| stop.starts_with(end))
        };
        let longest = self.stops.iter().map(|stop| stop.len()).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest);
        let places = self.held.char_indices().map(|(at, _)| at).filter(|at| *at >= from);
        let keep = places.into_iter().find(may_begin).unwrap_or(self.held.len());
        let rest = self.held.split_off(keep);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// Returns what was held back at the end.
    pub(crate) fn finish(self) -> String {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_ends_a_reply_is_found_across_pieces() {
        let stops = ["END".to_owned(), "。。".to_owned(), String::new()];
        let mut stopper = Stopper::new(&stops);
        assert_eq!(stopper.push("abE"), ("ab".into(), false));
        assert_eq!(stopper.push("N"), (String::new(), false));
        assert_eq!(stopper.push("x。"), ("ENx".into(), false));
        assert_eq!(stopper.push("。 more END"), (String::new(), true));
        let mut stopper = Stopper::new(&stops);
        assert_eq!(stopper.push("aEN"), ("a".into(), false));
        assert_eq!(stopper.finish(), "EN");
        assert_eq!(Stopper::new(&[]).push("all"), ("all".into(), false));
    }
}

//! What a user did, in few bytes: there may be many who come often.

use tastemaker_engine::Taken;

use super::known::Known;

/// Ids, end to end in one text.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ids {
    text: Box<str>,
    /// Where each one ends.
    ends: Box<[u32]>,
}

impl Ids {
    /// Iterates over them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start as usize..*end as usize])
    }

    fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.ends)
    }
}

impl<S: AsRef<str>> FromIterator<S> for Ids {
    fn from_iter<I: IntoIterator<Item = S>>(ids: I) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for id in ids {
            let id = id.as_ref();
            // Ids have at most 512 bytes, and a history thousands of events.
            let Ok(end) = u32::try_from(text.len() + id.len()) else { break };
            text.push_str(id);
            ends.push(end);
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

/// Events in a row, oldest first.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Steps {
    items: Ids,
    /// Strength and seconds of each.
    told: Box<[(f32, i64)]>,
}

impl Steps {
    /// Tells whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Iterates over the items.
    pub(crate) fn items(&self) -> impl Iterator<Item = &str> {
        self.items.iter()
    }

    /// Iterates over items with strength and seconds.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f32, i64)> {
        self.items.iter().zip(&self.told).map(|(item, (value, time))| (item, *value, *time))
    }

    fn bytes(&self) -> usize {
        self.items.bytes() + size_of_val(&*self.told)
    }
}

impl FromIterator<Taken> for Steps {
    fn from_iter<I: IntoIterator<Item = Taken>>(taken: I) -> Self {
        let taken: Vec<Taken> = taken.into_iter().collect();
        Self {
            items: taken.iter().map(|taken| &taken.item).collect(),
            told: taken.iter().map(|taken| (taken.value, taken.time)).collect(),
        }
    }
}

impl Known {
    /// Returns about how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let last = self.last.as_ref().map_or(0, |(_, id)| id.len());
        size_of::<Self>() + self.taken.bytes() + self.older.bytes() + last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_steps_come_back_as_they_were() {
        let ids: Ids = ["", "ä", "b c"].into_iter().collect();
        assert_eq!(ids.iter().collect::<Vec<_>>(), ["", "ä", "b c"]);
        assert_eq!(Ids::default().iter().count(), 0);
        let taken = |item: &str, time| Taken { item: item.into(), value: 0.5, time };
        let steps: Steps = [taken("a", 1), taken("", 2), taken("c", -3)].into_iter().collect();
        let told: Vec<_> = steps.iter().collect();
        assert_eq!(told, [("a", 0.5, 1), ("", 0.5, 2), ("c", 0.5, -3)]);
        assert!(!steps.is_empty() && Steps::default().is_empty());
    }
}

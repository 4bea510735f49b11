//! A list of texts walked byte by byte: sorted, so that those with a common beginning stand together, which is a trie
//! without its nodes.

/// Bits of the words that are taken; only the first so many can be marked.
pub(super) type Taken = u128;
/// Words of a list that can be marked as taken.
pub(super) const MARKED: usize = Taken::BITS as usize;

/// Texts in rising order of their bytes, each once.
#[derive(Debug)]
pub(super) struct Words(Vec<Box<[u8]>>);

/// The words `low..high`, which have the first `depth` bytes in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    low: u32,
    high: u32,
    depth: u32,
}

impl Words {
    pub(super) fn new(mut texts: Vec<Box<[u8]>>) -> Self {
        texts.sort_unstable();
        texts.dedup();
        Self(texts)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|text| &**text)
    }

    pub(super) fn into_texts(self) -> Vec<Box<[u8]>> {
        self.0
    }

    /// Stands before the first byte of all words.
    pub(super) fn start(&self) -> Spot {
        let high = u32::try_from(self.0.len()).expect("lists of words are limited");
        Spot { low: 0, high, depth: 0 }
    }

    /// Goes on to the words that have `byte` next; `None` where no free word has.
    pub(super) fn step(&self, spot: Spot, byte: u8, taken: Taken) -> Option<Spot> {
        let Spot { low, high, depth } = spot;
        let range = &self.0[low as usize..high as usize];
        let next = |word: &[u8]| word.get(depth as usize).copied();
        let from = range.partition_point(|word| next(word) < Some(byte));
        let count = range[from..].partition_point(|word| next(word) == Some(byte));
        let low = low + from as u32;
        let high = low + count as u32;
        (low..high).any(|word| is_free(word, taken)).then_some(Spot { low, high, depth: depth + 1 })
    }

    /// Returns the free word that ends here.
    pub(super) fn end(&self, spot: Spot, taken: Taken) -> Option<u32> {
        let ends = self.0[spot.low as usize].len() == spot.depth as usize;
        (ends && is_free(spot.low, taken)).then_some(spot.low)
    }

    /// Returns the word that ends here where no other goes on.
    pub(super) fn only(&self, spot: Spot) -> Option<u32> {
        let ends = self.0[spot.low as usize].len() == spot.depth as usize;
        (ends && spot.high - spot.low == 1).then_some(spot.low)
    }
}

fn is_free(word: u32, taken: Taken) -> bool {
    word as usize >= MARKED || taken >> word & 1 == 0
}

//! The rows of a table that take part in a step; gradients are kept of these alone.

/// Marks a row that takes no part.
const ABSENT: u32 = u32::MAX;

/// Rows, rising, and where each row of the table stands among them.
#[derive(Clone, Debug)]
pub(super) struct Active {
    rows: Vec<u32>,
    place: Vec<u32>,
}

impl Active {
    /// Makes room for a table of so many rows.
    pub(super) fn new(n_rows: usize) -> Self {
        Self { rows: Vec::new(), place: vec![ABSENT; n_rows] }
    }

    /// Makes these rows active and no others; each may come any number of times.
    pub(super) fn set<'a>(&mut self, rows: impl Iterator<Item = &'a u32>) {
        self.rows.iter().for_each(|&row| self.place[row as usize] = ABSENT);
        self.rows.clear();
        for &row in rows {
            if self.place[row as usize] == ABSENT {
                self.place[row as usize] = 0;
                self.rows.push(row);
            }
        }
        self.rows.sort_unstable();
        (0..).zip(&self.rows).for_each(|(at, &row)| self.place[row as usize] = at);
    }

    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Returns where each row of the table stands among the active ones.
    pub(super) fn place(&self) -> &[u32] {
        &self.place
    }
}

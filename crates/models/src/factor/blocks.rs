//! Stochastic gradient descent on all cores, without races and without a difference between runs.
//!
//! Users and items are dealt into equally many blocks. In turn `s` the task of user block `b` works through the events it
//! has with item block `b + s`, so no two tasks touch the same rows, and each descends as if it were alone (Gemulla et al.
//! 2011). Items are dealt anew in every epoch, and every task draws from a random stream of its own.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tastemaker_core::{Histories, seed};

/// Blocks on each side, when there are events enough.
const MOST_BLOCKS: usize = 8;
/// Below so many events in a meeting of two blocks, fewer blocks are made.
const EVENTS_PER_MEETING: usize = 2000;

/// One event of a meeting, with rows counted inside their blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) user: u32,
    pub(super) item: u32,
    pub(super) value: f32,
}

/// Some rows of a table, by the numbers they have outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) members: Vec<u32>,
    /// `[members, width]`.
    pub(super) rows: Vec<f32>,
}

/// The rows of users and items that one task may change, and the events between them in random order.
pub(super) struct Meeting<'a> {
    pub(super) users: &'a mut Block,
    pub(super) items: &'a mut Block,
    pub(super) events: &'a [Event],
    pub(super) rng: ChaCha8Rng,
}

/// Deals rows and events, and lets them meet.
pub(super) struct Descent<'a> {
    histories: &'a Histories,
    seed: u64,
    width: usize,
    users: Vec<Block>,
    /// Events by user block, then by item block.
    events: Vec<Vec<Vec<Event>>>,
    items: Vec<f32>,
    n_items: usize,
}

impl<'a> Descent<'a> {
    /// Takes tables `[n_users, width]` and `[n_items, width]`.
    pub(super) fn new(
        histories: &'a Histories,
        seed: u64,
        users: &[f32],
        items: Vec<f32>,
        width: usize,
    ) -> Self {
        let blocks = (histories.n_events() / EVENTS_PER_MEETING).isqrt().clamp(1, MOST_BLOCKS);
        let dealt = deal(users.len() / width, blocks, seed, "users");
        let users = dealt.into_iter().map(|members| gather(members, users, width)).collect();
        let events = vec![vec![Vec::new(); blocks]; blocks];
        let n_items = items.len() / width;
        Self { histories, seed, width, users, events, items, n_items }
    }

    /// Goes through all events once.
    pub(super) fn epoch(&mut self, epoch: usize, step: impl Fn(Meeting<'_>) + Sync) {
        let blocks = self.users.len();
        let dealt = deal(self.n_items, blocks, self.seed, &format!("items {epoch}"));
        // [item] -> block and row in it
        let mut places = vec![(0u32, 0u32); self.n_items];
        for (block, members) in dealt.iter().enumerate() {
            for (row, &item) in members.iter().enumerate() {
                places[item as usize] = (block as u32, row as u32);
            }
        }
        let histories = self.histories;
        self.users.par_iter().zip(&mut self.events).for_each(|(users, events)| {
            events.iter_mut().for_each(Vec::clear);
            for (user, &row) in users.members.iter().enumerate() {
                let history = histories.row(row as usize);
                for (item, &value) in history.items.iter().zip(history.values) {
                    let (block, item) = places[item.index()];
                    events[block as usize].push(Event { user: user as u32, item, value });
                }
            }
        });
        let items = dealt.into_iter().map(|members| gather(members, &self.items, self.width));
        let mut items: Vec<(usize, Block)> = items.enumerate().collect();
        let seed = self.seed;
        for _ in 0..blocks {
            let tasks = self.users.par_iter_mut().zip(&mut self.events).zip(&mut items).enumerate();
            tasks.for_each(|(block, ((users, events), (other, items)))| {
                let events = &mut events[*other];
                let mut rng = seed::stream(seed, &format!("meeting {epoch} {block} {other}"));
                events.shuffle(&mut rng);
                step(Meeting { users, items, events, rng });
            });
            items.rotate_left(1);
        }
        for (_, block) in &items {
            scatter(block, &mut self.items, self.width);
        }
    }

    /// Tells whether all numbers are still finite.
    pub(super) fn is_finite(&self) -> bool {
        self.items.iter().all(|x| x.is_finite())
            && self.users.iter().all(|block| block.rows.iter().all(|x| x.is_finite()))
    }

    /// Gives the tables of users and items back.
    pub(super) fn finish(self) -> (Vec<f32>, Vec<f32>) {
        let n_users: usize = self.users.iter().map(|block| block.members.len()).sum();
        let mut users = vec![0.0; n_users * self.width];
        for block in &self.users {
            scatter(block, &mut users, self.width);
        }
        (users, self.items)
    }
}

/// Deals `0..n` at random into `blocks` heaps.
fn deal(n: usize, blocks: usize, seed: u64, name: &str) -> Vec<Vec<u32>> {
    let mut all: Vec<u32> = (0..n as u32).collect();
    all.shuffle(&mut seed::stream(seed, name));
    let mut heaps = vec![Vec::with_capacity(n / blocks + 1); blocks];
    for (at, row) in all.into_iter().enumerate() {
        heaps[at % blocks].push(row);
    }
    heaps
}

fn gather(members: Vec<u32>, table: &[f32], width: usize) -> Block {
    let mut rows = Vec::with_capacity(members.len() * width);
    for &member in &members {
        let from = member as usize * width;
        rows.extend_from_slice(&table[from..from + width]);
    }
    Block { members, rows }
}

fn scatter(block: &Block, table: &mut [f32], width: usize) {
    for (&member, row) in block.members.iter().zip(block.rows.chunks_exact(width)) {
        let from = member as usize * width;
        table[from..from + width].copy_from_slice(row);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tastemaker_core::{HistoriesBuilder, ItemId};

    use super::*;

    #[test]
    fn an_epoch_meets_every_event_once_and_rows_come_back_to_their_places() {
        let mut builder = HistoriesBuilder::default();
        for user in 0..90u32 {
            for step in 0..100 {
                builder.push(ItemId((user * 7 + step * 3) % 50), 1.0, 0);
            }
            builder.end_user();
        }
        let histories = builder.build();
        let users: Vec<f32> = (0..90).map(|x| x as f32).collect();
        let items: Vec<f32> = (0..50).map(|x| x as f32).collect();
        let mut descent = Descent::new(&histories, 3, &users, items.clone(), 1);
        assert_eq!(descent.users.len(), 2);
        let met = Mutex::new(Vec::new());
        descent.epoch(0, |meeting| {
            let pair = |e: &Event| {
                let user = meeting.users.members[e.user as usize];
                let item = meeting.items.members[e.item as usize];
                assert_eq!(meeting.items.rows[e.item as usize].to_bits(), (item as f32).to_bits());
                (user, item)
            };
            met.lock().unwrap().extend(meeting.events.iter().map(pair));
        });
        let mut met = met.into_inner().unwrap();
        met.sort_unstable();
        let mut want: Vec<(u32, u32)> = (0..90u32)
            .flat_map(|user| {
                let items = histories.row(user as usize).items.to_vec();
                items.into_iter().map(move |item| (user, item.0))
            })
            .collect();
        want.sort_unstable();
        assert_eq!(met, want);
        assert_eq!(descent.finish(), (users, items));
    }
}

//! Walks a grammar byte by byte: a stack of values that have been begun, of fixed size, so that looking ahead copies
//! it and needs no memory.
//!
//! Between the tokens of JSON nothing may stand but one space after a comma or a colon: a model cannot fill its reply with
//! white space.

use std::sync::Arc;

use super::number::Number;
use super::schema::{DEPTH, Grammar, Node};
use super::step::Step;
use super::string::Text;
use super::words::{Spot, Taken};
use crate::{Error, ReplyForm};

/// What a reply may go on with; begins before the first byte.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// `None` = anything.
    grammar: Option<Arc<Grammar>>,
    walk: Walk,
    /// Bit `b` is set where byte `b` may come next.
    next: [u64; 4],
}

impl Form {
    /// Compiles a form; what cannot be kept to is an error that names the place.
    pub(crate) fn new(form: &ReplyForm) -> Result<Self, Error> {
        let grammar = match form {
            ReplyForm::Free => None,
            ReplyForm::Choice(choices) => Some(Arc::new(Grammar::choice(choices)?)),
            ReplyForm::Json(schema) => Some(Arc::new(Grammar::json(schema)?)),
        };
        let mut form = Self { grammar, walk: Walk::new(), next: [u64::MAX; 4] };
        form.look_ahead();
        Ok(form)
    }

    /// Tells whether the reply so far, followed by `bytes`, begins a legal reply; nothing is no step forward.
    pub(crate) fn allows(&self, bytes: &[u8]) -> bool {
        let Some((&first, rest)) = bytes.split_first() else { return false };
        let Some(grammar) = &self.grammar else { return true };
        if self.next[usize::from(first >> 6)] >> (first & 63) & 1 == 0 {
            return false;
        }
        if rest.is_empty() {
            return true;
        }
        // Most of a vocabulary may stand in a string: these are judged without a copy of the whole stack.
        if let Some(Frame::Text(mut text)) = self.walk.top() {
            let steps = bytes.iter().map(|&byte| text.step(byte)).enumerate();
            match steps.into_iter().find(|(_, step)| *step != Step::Stay) {
                None => return true,
                Some((at, Step::Last)) if at + 1 == bytes.len() => return true,
                Some((_, Step::Last)) => {}
                Some(_) => return false,
            }
        }
        let mut walk = self.walk;
        bytes.iter().all(|&byte| walk.step(grammar, byte))
    }

    /// Goes on with `bytes`. After bytes that are not allowed the reply is spoilt: nothing is allowed any more, not even its end.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        if let Some(grammar) = &self.grammar {
            if !bytes.iter().all(|&byte| self.walk.step(grammar, byte)) {
                self.walk.state = State::Spoilt;
            }
            self.look_ahead();
        }
    }

    /// Tells whether the reply so far is legal as a whole.
    pub(crate) fn may_end(&self) -> bool {
        self.grammar.as_ref().is_none_or(|grammar| self.walk.may_end(grammar))
    }

    /// Tells whether it is, and nothing may follow.
    pub(crate) fn must_end(&self) -> bool {
        self.grammar.is_some() && self.may_end() && self.next == [0; 4]
    }

    /// Tells whether the reply so far, followed by `text`, is legal as a whole.
    pub(crate) fn accepts(&self, text: &str) -> bool {
        if !text.is_empty() && !self.allows(text.as_bytes()) {
            return false;
        }
        let mut form = self.clone();
        form.advance(text.as_bytes());
        form.may_end()
    }

    fn look_ahead(&mut self) {
        let Some(grammar) = &self.grammar else { return };
        self.next = [0; 4];
        for byte in 0..=255 {
            let mut walk = self.walk;
            if walk.step(grammar, byte) {
                self.next[usize::from(byte >> 6)] |= 1 << (byte & 63);
            }
        }
    }
}

/// A value that has been begun and not ended.
#[derive(Clone, Copy, Debug)]
enum Frame {
    Words { node: usize, spot: Spot, taken: Taken },
    Text(Text),
    Number(Number),
    Object { node: usize, place: Place, taken: Taken },
    Array { node: usize, place: Place, taken: Taken, count: u32 },
}

/// Where in an object or an array we are.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// After the opening bracket.
    Open,
    /// Inside a key.
    Key(Spot),
    /// After this key.
    Colon(u32),
    /// After the colon of this key, and perhaps a space.
    Value { key: u32, spaced: bool },
    /// After a value.
    After,
    /// After a comma, and perhaps a space.
    Comma { spaced: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    Inside,
    Spoilt,
}

#[derive(Clone, Copy, Debug)]
struct Walk {
    frames: [Frame; DEPTH],
    depth: usize,
    state: State,
}

/// What the innermost value makes of a byte.
enum Turn {
    Step(Step),
    /// A value of this node begins with it; words that are taken do not count.
    Begin(usize, Taken),
}

impl Walk {
    fn new() -> Self {
        let unused = Frame::Text(Text::open(0, 0));
        Self { frames: [unused; DEPTH], depth: 0, state: State::Before }
    }

    fn top(&self) -> Option<Frame> {
        self.depth.checked_sub(1).map(|at| self.frames[at])
    }

    fn may_end(&self, grammar: &Grammar) -> bool {
        match (self.state, self.depth, self.frames[0]) {
            (State::Inside, 0, _) => true,
            (State::Inside, 1, Frame::Number(number)) => number.may_end(),
            (State::Inside, 1, Frame::Words { node, spot, taken }) => {
                matches!(grammar.node(node), Node::Words(words) if words.end(spot, taken).is_some())
            }
            _ => false,
        }
    }

    /// Takes a byte; tells whether it is legal. After one that is not the walk is of no use.
    fn step(&mut self, grammar: &Grammar, byte: u8) -> bool {
        if self.state == State::Before {
            self.state = State::Inside;
            return self.begin(grammar, (grammar.root(), 0), byte);
        }
        if self.state == State::Spoilt {
            return false;
        }
        while self.depth > 0 {
            let mut word = None;
            let turn = match &mut self.frames[self.depth - 1] {
                Frame::Text(text) => Turn::Step(text.step(byte)),
                Frame::Number(number) => Turn::Step(number.step(byte)),
                Frame::Words { node, spot, taken } => {
                    let Node::Words(words) = grammar.node(*node) else { return false };
                    if let Some(next) = words.step(*spot, byte, *taken) {
                        *spot = next;
                        word = words.only(next);
                        Turn::Step(if word.is_some() { Step::Last } else { Step::Stay })
                    } else {
                        word = words.end(*spot, *taken);
                        Turn::Step(if word.is_some() { Step::Past } else { Step::Illegal })
                    }
                }
                Frame::Object { node, place, taken } => {
                    step_object(grammar.node(*node), place, taken, byte)
                }
                Frame::Array { node, place, taken, count } => {
                    step_array(grammar.node(*node), (place, count), *taken, byte)
                }
            };
            match turn {
                Turn::Begin(node, taken) => return self.begin(grammar, (node, taken), byte),
                Turn::Step(Step::Stay) => return true,
                Turn::Step(Step::Illegal) => return false,
                Turn::Step(Step::Last) => {
                    self.end(word);
                    return true;
                }
                Turn::Step(Step::Past) => self.end(word),
            }
        }
        false
    }

    /// Begins a value with its first byte.
    fn begin(&mut self, grammar: &Grammar, (node, taken): (usize, Taken), byte: u8) -> bool {
        let place = Place::Open;
        let frame = match grammar.node(node) {
            Node::Words(words) => {
                let Some(spot) = words.step(words.start(), byte, taken) else { return false };
                if let Some(word) = words.only(spot) {
                    self.mark(word);
                    return true;
                }
                Frame::Words { node, spot, taken }
            }
            Node::Text { least, most } if byte == b'"' => Frame::Text(Text::open(*least, *most)),
            Node::Number { whole } => match Number::begin(*whole, byte) {
                Some(number) => Frame::Number(number),
                None => return false,
            },
            Node::Object { .. } if byte == b'{' => Frame::Object { node, place, taken: 0 },
            Node::Array { .. } if byte == b'[' => Frame::Array { node, place, taken: 0, count: 0 },
            Node::OneOf(branches) => {
                return branches[usize::from(byte)]
                    .is_some_and(|node| self.begin(grammar, (node.into(), taken), byte));
            }
            _ => return false,
        };
        self.frames[self.depth] = frame;
        self.depth += 1;
        true
    }

    /// Ends the innermost value, which was this word where it was one.
    fn end(&mut self, word: Option<u32>) {
        self.depth -= 1;
        if let Some(word) = word {
            self.mark(word);
        }
    }

    /// Notes a word in the array it stands in.
    fn mark(&mut self, word: u32) {
        if let Some(at) = self.depth.checked_sub(1)
            && let Frame::Array { taken, .. } = &mut self.frames[at]
        {
            *taken |= Taken::from(1u8).checked_shl(word).unwrap_or(0);
        }
    }
}

fn step_object(node: &Node, place: &mut Place, taken: &mut Taken, byte: u8) -> Turn {
    let Node::Object { keys, values, required } = node else { return Turn::Step(Step::Illegal) };
    let has_more = taken.count_ones() < keys.len() as u32;
    let is_full = required & !*taken == 0;
    *place = match (*place, byte) {
        (Place::Open | Place::After, b'}') if is_full => return Turn::Step(Step::Last),
        (Place::Open | Place::Comma { .. }, b'"') if has_more => Place::Key(keys.start()),
        (Place::Key(spot), _) => match keys.step(spot, byte, *taken) {
            Some(spot) => match keys.only(spot) {
                Some(key) => {
                    *taken |= 1 << key;
                    Place::Colon(key)
                }
                None => Place::Key(spot),
            },
            None => return Turn::Step(Step::Illegal),
        },
        (Place::Colon(key), b':') => Place::Value { key, spaced: false },
        (Place::Value { key, spaced: false }, b' ') => Place::Value { key, spaced: true },
        (Place::Value { key, .. }, _) => {
            *place = Place::After;
            return Turn::Begin(values[key as usize], 0);
        }
        (Place::After, b',') if has_more => Place::Comma { spaced: false },
        (Place::Comma { spaced: false }, b' ') => Place::Comma { spaced: true },
        _ => return Turn::Step(Step::Illegal),
    };
    Turn::Step(Step::Stay)
}

fn step_array(node: &Node, (place, count): (&mut Place, &mut u32), taken: Taken, byte: u8) -> Turn {
    let Node::Array { item, least, most, unique } = node else {
        return Turn::Step(Step::Illegal);
    };
    *place = match (*place, byte) {
        (Place::Open | Place::After, b']') if *count >= *least => return Turn::Step(Step::Last),
        (Place::After, b',') if *count < *most => Place::Comma { spaced: false },
        (Place::Comma { spaced: false }, b' ') => Place::Comma { spaced: true },
        (Place::Open | Place::Comma { .. }, _) if *count < *most => {
            *place = Place::After;
            *count += 1;
            return Turn::Begin(*item, if *unique { taken } else { 0 });
        }
        _ => return Turn::Step(Step::Illegal),
    };
    Turn::Step(Step::Stay)
}

//! Masked words: what a catalogue's texts are made of, learnt from the texts alone.

mod head;
mod mask;
mod objective;

pub(in crate::tuning) use objective::MaskedWords;

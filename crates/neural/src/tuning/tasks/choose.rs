//! From settings to the task.

use tastemaker_core::{FitError, Histories, TrainData};
use tastemaker_text::{BertHead, BertTokens, TunableBert};

use super::labels::{ItemLabels, Pairs};
use super::masked::MaskedWords;
use super::sequence::NextItem;
use super::settings::TuneTask;
use super::two_tower::TwoTower;
use super::{Augment, Objective};
use crate::tuning::settings::TuneSettings;

/// What tasks read beside the tokens of items' texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskData<'a> {
    /// The texts of all items, for pairs; empty where an item has none.
    pub texts: &'a [String],
    /// Held-out cases: what is known when asked, and what happened then.
    pub held: Option<(&'a Histories, &'a Histories)>,
    /// The label of every item that has one; empty where none are learnt.
    pub labels: &'a [Option<u32>],
    /// Number of labels.
    pub n_labels: usize,
    /// What the checkpoint has of the task's head, as [`TunableBert::head_start`] returns it.
    pub head: &'a [Option<Vec<f32>>],
}

impl TuneSettings {
    /// Returns the head that the task puts on an encoder, given the number of labels; `None` where Hugging Face has no name for it.
    pub fn task_kind(&self, n_labels: usize) -> Option<BertHead> {
        match self.task {
            TuneTask::MaskedWords => Some(BertHead::MaskedWords),
            TuneTask::Classify if self.labels.is_some() => Some(BertHead::Labels(n_labels)),
            TuneTask::Classify | TuneTask::Rate => Some(BertHead::Labels(1)),
            TuneTask::TwoTower | TuneTask::Sequence => None,
        }
    }
}

/// Makes the task that settings ask for.
pub(in crate::tuning) fn choose<'a>(
    (bert, texts): (&'a TunableBert, &'a [BertTokens]),
    (settings, augment): (&'a TuneSettings, &Augment),
    (data, extra): (&'a TrainData<'a>, &TaskData<'a>),
) -> Result<Box<dyn Objective + 'a>, FitError> {
    Ok(match settings.task {
        TuneTask::TwoTower => Box::new(TwoTower::new((bert, texts), settings, data)?),
        TuneTask::Sequence => Box::new(NextItem::new((bert, texts), settings, data)?),
        TuneTask::MaskedWords => {
            Box::new(MaskedWords::new((bert, texts), (settings, augment), (data, extra))?)
        }
        TuneTask::Classify if settings.labels.is_some() => {
            Box::new(ItemLabels::new((bert, texts), settings, (data, extra))?)
        }
        TuneTask::Classify | TuneTask::Rate => Box::new(Pairs::new(bert, settings, (data, extra))?),
    })
}

//! Parts of a tuned encoder that move by their own rules: each with its numbers, its schedule and its momentum.

use tastemaker_core::{PersistError, Saved};
use tastemaker_train::{Gradients, OptimizerSettings, Updates};

use super::head::Head;
use super::settings::TuneSettings;

/// Numbers that are trained, and how they move.
pub(super) struct Part {
    pub(super) trained: Vec<f32>,
    updates: Updates,
}

impl Part {
    /// Starts where `trained` is; `rates` are the length of a step and the weight decay, `course` the batches of an epoch and the
    /// epochs.
    pub(super) fn new(
        trained: Vec<f32>,
        optimizer: &OptimizerSettings,
        rates: (f32, f32),
        (steps, epochs): (usize, usize),
    ) -> Self {
        let mut updates = Updates::new(optimizer, rates, trained.len(), (0, 1));
        updates.follow(optimizer.in_steps(steps.div_ceil(optimizer.accumulate) as u64, epochs));
        Self { trained, updates }
    }

    pub(super) fn add(&mut self, dense: &[f32], samples: usize) {
        let gradients = Gradients { dense, ids: &[], rows: &[], samples };
        self.updates.add(&mut self.trained, &mut [], gradients);
    }

    /// Takes a step with what is left over at the end of an epoch.
    pub(super) fn flush(&mut self) {
        self.updates.flush(&mut self.trained, &mut []);
    }

    pub(super) fn put(&self, name: &str, saved: &mut Saved) {
        saved.put_f32(name, &[self.trained.len()], self.trained.clone());
    }

    pub(super) fn take(&mut self, name: &str, saved: &mut Saved) -> Result<(), PersistError> {
        let (_, trained) = saved.take_f32(name)?;
        if trained.len() != self.trained.len() {
            return Err(PersistError::Shape { name: name.into() });
        }
        self.trained = trained;
        Ok(())
    }

    pub(super) fn put_momentum(&self, name: &str, saved: &mut Saved) {
        let own = self.updates.momentum().tensors;
        saved
            .tensors
            .extend(own.into_iter().map(|(key, tensor)| (format!("{name}/{key}"), tensor)));
    }

    pub(super) fn take_momentum(
        &mut self,
        name: &str,
        saved: &mut Saved,
    ) -> Result<(), PersistError> {
        let mut own = Saved::default();
        let tensors = std::mem::take(&mut saved.tensors);
        for (key, tensor) in tensors {
            match key.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')) {
                Some(rest) => own.tensors.insert(rest.to_owned(), tensor),
                None => saved.tensors.insert(key, tensor),
            };
        }
        self.updates.set_momentum(own)
    }
}

/// The head in training: first alone, on vectors that are computed once, then with everything else.
pub(super) struct HeadPart {
    pub(super) head: Head,
    /// How it moves alone.
    pub(super) alone: Part,
    /// How it moves with the rest; the numbers are those of `alone`.
    joint: Part,
    is_moving: bool,
    /// Whitened vectors of all items, while it learns alone.
    pub(super) items: Vec<f32>,
}

impl HeadPart {
    /// Starts from the vectors of all items; `alone` and `joint` are batches of an epoch, and epochs.
    pub(super) fn new(
        head: Head,
        vectors: &[f32],
        settings: &TuneSettings,
        (alone, joint): ((usize, usize), (usize, usize)),
    ) -> Self {
        let start = vec![0.0; head.len()];
        let at = |rate, (optimizer, course): (&OptimizerSettings, _)| {
            Part::new(start.clone(), optimizer, (rate, settings.head_decay), course)
        };
        // A horizon is one of the encoder's epochs.
        let short = OptimizerSettings { horizon: None, ..settings.optimizer };
        let items = if alone.1 > 0 { head.whiten(vectors) } else { Vec::new() };
        Self {
            alone: at(settings.head_rate, (&short, alone)),
            joint: at(settings.head_joint_rate, (&settings.optimizer, joint)),
            is_moving: settings.head_joint_rate > 0.0,
            head,
            items,
        }
    }

    pub(super) fn trained(&self) -> &[f32] {
        &self.alone.trained
    }

    /// Moves with everything else.
    pub(super) fn add(&mut self, gradient: &[f32], samples: usize) {
        if self.is_moving {
            self.with_joint(|joint| joint.add(gradient, samples));
        }
    }

    pub(super) fn flush(&mut self) {
        self.alone.flush();
        self.with_joint(Part::flush);
    }

    /// Lends the numbers to the joint part.
    fn with_joint(&mut self, change: impl FnOnce(&mut Part)) {
        std::mem::swap(&mut self.alone.trained, &mut self.joint.trained);
        change(&mut self.joint);
        std::mem::swap(&mut self.alone.trained, &mut self.joint.trained);
    }

    pub(super) fn put_momentum(&self, saved: &mut Saved) {
        self.alone.put_momentum("head-alone", saved);
        self.joint.put_momentum("head", saved);
    }

    pub(super) fn take_momentum(&mut self, saved: &mut Saved) -> Result<(), PersistError> {
        self.alone.take_momentum("head-alone", saved)?;
        self.joint.take_momentum("head", saved)
    }
}

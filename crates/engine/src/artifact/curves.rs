//! How trainings went, epoch by epoch: listened to while they run, written beside the model when it is saved.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tastemaker_core::{Epoch, Progress};
use tastemaker_eval::{Course, courses_svg, is_courses_svg};

use super::whole::write_whole;
use crate::Error;

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The model.
    pub model: String,
    /// Number of the best epoch on validation, from 1; without validation the last.
    pub best_epoch: usize,
    /// Every epoch, in order.
    pub epochs: Vec<Epoch>,
}

impl Training {
    /// Returns what does not depend on the machine.
    pub fn course(&self) -> Course {
        Course {
            model: self.model.clone(),
            loss: self.epochs.iter().map(|epoch| epoch.loss).collect(),
            validation: self.epochs.iter().map(|epoch| epoch.validation).collect(),
        }
    }
}

/// Passes progress on and remembers epochs.
pub(crate) struct Recorder<'a> {
    inner: &'a dyn Progress,
    trainings: Mutex<Vec<Training>>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(inner: &'a dyn Progress) -> Self {
        Self { inner, trainings: Mutex::default() }
    }

    /// Returns all trainings so far, in the order in which they began.
    pub(crate) fn trainings(&self) -> Vec<Training> {
        self.trainings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Progress for Recorder<'_> {
    fn report(&self, task: &str, done: usize, total: usize) {
        self.inner.report(task, done, total);
    }

    fn note(&self, task: &str, note: &str) {
        self.inner.note(task, note);
    }

    fn epoch(&self, task: &str, number: usize, epoch: &Epoch) {
        self.inner.epoch(task, number, epoch);
        let mut all = self.trainings.lock().unwrap_or_else(PoisonError::into_inner);
        if number == 0 {
            all.push(Training { model: task.to_owned(), best_epoch: 0, epochs: Vec::new() });
        }
        let Some(training) = all.iter_mut().rev().find(|training| training.model == task) else {
            return;
        };
        let is_better = |best: &Epoch| epoch.validation > best.validation;
        let best = training.best_epoch.checked_sub(1).and_then(|at| training.epochs.get(at));
        if epoch.validation.is_none() || best.is_none_or(is_better) {
            training.best_epoch = number + 1;
        }
        training.epochs.push(*epoch);
    }

    fn is_cancelled(&self) -> bool {
        self.inner.is_cancelled()
    }
}

/// Writes `OUT.curves.json` and `OUT.curves.svg` beside the model in `out`, and returns their paths; nothing when nothing learnt
/// by epochs. Those of an older model in `out` go; files of these names that are none stay.
pub fn save_curves(trainings: &[Training], out: &Path) -> Result<Vec<PathBuf>, Error> {
    forget_curves(out);
    if trainings.is_empty() {
        return Ok(Vec::new());
    }
    let json = serde_json::to_string_pretty(trainings).unwrap_or_default();
    let courses: Vec<Course> = trainings.iter().map(Training::course).collect();
    let svg = courses_svg(&courses)?;
    let files = [("curves.json", json), ("curves.svg", svg)];
    let put = |(end, content): (&str, String)| {
        let path = beside(out, end);
        if path.exists() {
            let what = "is there already and holds no course of a training: it was left as it is";
            let taken = std::io::Error::new(std::io::ErrorKind::AlreadyExists, what);
            return Err(Error::io(path)(taken));
        }
        write_whole(&path, &content).map(|()| path)
    };
    files.into_iter().map(put).collect()
}

/// Takes the curves of an older model away, if they are that by what is in them.
fn forget_curves(out: &Path) {
    let are_trainings = |text: &str| {
        serde_json::from_str::<Vec<Training>>(text).is_ok_and(|trainings| !trainings.is_empty())
    };
    let text_of = |end| std::fs::read_to_string(beside(out, end)).ok();
    if text_of("curves.json").is_some_and(|text| are_trainings(&text)) {
        std::fs::remove_file(beside(out, "curves.json")).ok();
    }
    if text_of("curves.svg").is_some_and(|text| is_courses_svg(&text)) {
        std::fs::remove_file(beside(out, "curves.svg")).ok();
    }
}

fn beside(out: &Path, end: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(end);
    out.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use tastemaker_core::Silent;

    use super::*;

    #[test]
    fn epochs_are_kept_by_training_with_the_best_of_each() {
        let recorder = Recorder::new(&Silent);
        let epoch = |validation| Epoch { loss: 1.0, validation, samples: 3, seconds: 0.5 };
        for (number, value) in [0.1, 0.3, 0.3, 0.2].into_iter().enumerate() {
            recorder.epoch("sasrec", number, &epoch(Some(value)));
        }
        (0..2).for_each(|number| recorder.epoch("sasrec", number, &epoch(None)));
        let all = recorder.trainings();
        let facts: Vec<_> = all.iter().map(|t| (t.epochs.len(), t.best_epoch)).collect();
        assert_eq!(facts, [(4, 2), (2, 2)]);
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("model");
        assert_eq!(save_curves(&[], &out).unwrap().len(), 0);
        let files = save_curves(&all, &out).unwrap();
        assert!(files[0].ends_with("model.curves.json") && files[1].ends_with("model.curves.svg"));
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(text.contains("\"best_epoch\": 2") && text.contains("\"validation\": 0.3"));
    }

    #[test]
    fn curves_of_an_older_model_go_and_files_of_the_user_stay() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("model");
        let epoch = Epoch { loss: 1.0, validation: None, samples: 3, seconds: 0.5 };
        let all = [Training { model: "sasrec".into(), best_epoch: 2, epochs: vec![epoch; 2] }];
        let files = save_curves(&all, &out).unwrap();
        assert_eq!(save_curves(&all, &out).unwrap(), files, "older curves make room");
        save_curves(&[], &out).unwrap();
        assert!(files.iter().all(|file| !file.exists()));
        for (file, mine) in files.iter().zip(["[]", "<svg xmlns=\"mine\"/>"]) {
            std::fs::write(file, mine).unwrap();
            save_curves(&[], &out).unwrap();
            let error = save_curves(&all, &out).unwrap_err().to_string();
            assert!(error.contains("left as it is"), "{error}");
            assert_eq!(std::fs::read_to_string(file).unwrap(), mine);
            std::fs::remove_file(file).unwrap();
        }
    }
}

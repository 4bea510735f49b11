//! A user in words: written from what they took, kept as a text that they can edit, and read as a query.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use tastemaker_core::{ItemId, seed};
use tastemaker_data::Values;
use tastemaker_dialog::talk::{Memory, Wish, understand};
use tastemaker_dialog::{self as dialog, Author, Evidence, Wording};

use super::suggest::Who;
use crate::chat::{Ceiling, Writer};
use crate::{Ask, Engine, Error, Listed};

/// Categories that are told, the most frequent first.
const CATEGORIES: usize = 3;
/// Newest items that are told.
const NEWEST: usize = 4;
/// A category that is taken less often says nothing.
const LEAST_SHARE: f32 = 0.1;
/// Bytes of a profile's file.
const LONGEST: u64 = 64 << 10;
/// Where a file says what it was written from.
const MARK: &str = "# written from ";

/// What somebody is like, in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The words.
    pub text: String,
    /// Events they rest on.
    pub events: usize,
    /// Each sentence's evidence.
    pub evidence: Vec<Evidence>,
    /// Whose words they are.
    pub author: Author,
    /// Why they are the template's, where a language model was asked and failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Tells behaviour apart: another one, another number.
    pub behaviour: String,
}

/// What became of a profile's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileFile {
    /// It was written.
    Written,
    /// The user did nothing new, so it stays.
    Unchanged,
    /// Somebody has edited it, so it stays.
    Edited,
}

/// Items for somebody who is described in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Described {
    /// The items.
    pub items: Vec<Listed>,
    /// Filters that were given up, since nothing was left.
    pub relaxed: Vec<String>,
    /// What could not be heeded.
    pub notes: Vec<String>,
}

impl Profile {
    /// Writes the profile where it is new; what somebody has edited is left alone unless `over`.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is too large to be a profile.
    pub fn keep(&self, path: &Path, over: bool) -> Result<ProfileFile, Error> {
        if path.exists() && !over {
            let old = read(path)?;
            let (mark, body) = parted(&old);
            let is_own = mark.is_some_and(|(_, text)| text == fingerprint(body.bytes()));
            if !is_own {
                return Ok(ProfileFile::Edited);
            }
            if mark.is_some_and(|(behaviour, _)| behaviour == self.behaviour) {
                return Ok(ProfileFile::Unchanged);
            }
        }
        let body = format!("{}\n", self.text);
        let (events, behaviour) = (self.events, &self.behaviour);
        let whole = format!(
            "# Edit this text as you like; then it is not written anew. Lines that begin with # are notes.\n\
             # A line \"Avoid: horror\" leaves out what it names, \"Only: after 1990\" keeps nothing else.\n\
             {MARK}{events} events, behaviour {behaviour}, text {}\n{body}",
            fingerprint(body.bytes())
        );
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let put = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(whole.as_bytes())?;
            file.persist(path)?;
            Ok(())
        };
        put().map_err(Error::io(path))?;
        Ok(ProfileFile::Written)
    }

    /// Reads the words of a profile's file, without its notes.
    ///
    /// # Errors
    /// When the file cannot be read, is no UTF-8, or is too large to be a profile.
    pub fn words(path: &Path) -> Result<String, Error> {
        let whole = read(path)?;
        let lines = whole.lines().filter(|line| !line.trim_start().starts_with('#'));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let size = std::fs::metadata(path).map_err(Error::io(path))?.len();
    let whole = match size {
        0..=LONGEST => std::fs::read_to_string(path),
        _ => Err(std::io::Error::other(format!(
            "it has {size} bytes, and a profile has {LONGEST} at most"
        ))),
    };
    whole.map_err(Error::io(path))
}

/// Parts a file into what it was written from and its words.
fn parted(whole: &str) -> (Option<(&str, &str)>, &str) {
    let Some(at) = whole.find(MARK) else { return (None, whole) };
    let (mark, body) = whole[at..].split_once('\n').unwrap_or((&whole[at..], ""));
    let behaviour = mark.split_once("behaviour ").and_then(|(_, rest)| rest.split_once(','));
    let text = mark.split_once("text ").map(|(_, text)| text.trim());
    (behaviour.map(|(behaviour, _)| behaviour).zip(text), body)
}

fn fingerprint(bytes: impl Iterator<Item = u8>) -> String {
    let mut state = 0u64;
    for byte in bytes {
        state = seed::mix([state, u64::from(byte)]);
    }
    format!("{state:016x}")
}

impl Engine {
    /// Describes somebody by what they took: the categories they take most, and their newest items; sentence by sentence under the guard
    /// where a language model words it.
    ///
    /// # Errors
    /// When the user or an item is not known.
    pub fn profile(
        &self,
        ask: &Ask<'_>,
        wording: &Wording,
        writing: Option<(&Writer, &Ceiling)>,
    ) -> Result<Profile, Error> {
        let (user, own) = self.asker(ask)?;
        let history = self.history(user, own.as_ref());
        let mut evidence = self.taken_categories(history.items);
        let n = history.len().max(1) as f32;
        let newest = history.items.iter().rev().take(NEWEST);
        evidence
            .extend(newest.map(|item| Evidence::Took { item: self.title(*item), share: 1.0 / n }));
        let behaviour = fingerprint(history.items.iter().flat_map(|item| item.0.to_le_bytes()));
        let mut profile = Profile {
            text: String::new(),
            events: history.len(),
            evidence,
            author: Author::Template,
            note: None,
            behaviour,
        };
        let Some(reason) = dialog::describe(&profile.evidence, wording) else { return Ok(profile) };
        profile.text.clone_from(&reason.text);
        if let Some((writer, ceiling)) = writing {
            let said = dialog::rephrase(&reason, &profile.evidence, wording, &mut |request| {
                writer.ask(request, ceiling)
            });
            (profile.text, profile.author, profile.note) =
                (said.reason.text, said.author, said.failure);
        }
        Ok(profile)
    }

    /// Returns the categories that items have most often, with their shares.
    fn taken_categories(&self, items: &[ItemId]) -> Vec<Evidence> {
        let columns = self.data().items.columns().iter();
        let lists = columns.filter_map(|column| match &column.values {
            Values::Categories(lists) => Some(lists),
            _ => None,
        });
        let Some(lists) = lists.into_iter().next() else { return Vec::new() };
        let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        for label in items.iter().filter_map(|item| lists.get(item.index())).flatten() {
            *counts.entry(label).or_default() += 1;
        }
        let mut sorted: Vec<(&str, usize)> = counts.into_iter().collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let share = |count: usize| count as f32 / items.len().max(1) as f32;
        let told = sorted.into_iter().filter(|(_, count)| share(*count) >= LEAST_SHARE);
        told.take(CATEGORIES)
            .map(|(name, count)| Evidence::Category { name: name.into(), share: share(count) })
            .collect()
    }

    /// Lists items for somebody described in words, whatever they did before: nearest to the words, under the filters that lines of
    /// `Avoid:` and `Only:` name, like the items it names. A user or a history of `ask` counts besides.
    ///
    /// # Errors
    /// When the user or an item is not known, or the words cannot be encoded.
    pub fn described(&self, ask: &Ask<'_>, text: &str) -> Result<Described, Error> {
        let (user, own) = self.asker(ask)?;
        let history = self.history(user, own.as_ref());
        let memory = self.memory_of(text, ask.n);
        let mut exclude = self.items(ask.exclude)?;
        exclude.extend_from_slice(ask.barred);
        let found = self.suggest(&Who { user, history, barred: &[] }, &memory, &exclude)?;
        let language = memory.language;
        Ok(Described {
            items: self.listed(&found.list),
            relaxed: found.relaxed.iter().map(|wish| wish.say(language)).collect(),
            notes: found.notes,
        })
    }

    /// Reads words as a talk would that has settled on them.
    fn memory_of(&self, text: &str, n: usize) -> Memory {
        let lexicon = self.lexicon();
        let mut memory = Memory::new(self.wording().language, n);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (is_avoided, rest) = match after(line, &["avoid:", "不要：", "不要:"]) {
                Some(rest) => (true, rest),
                None => (false, after(line, &["only:", "只要：", "只要:"]).unwrap_or("")),
            };
            if rest.is_empty() {
                let said = understand(line, &lexicon, &memory);
                memory.likes.extend(said.like);
                memory.dislikes.extend(said.dislike);
                memory.want.push(line.to_owned());
                continue;
            }
            let mut said = understand(rest, &lexicon, &memory);
            if is_avoided {
                said.wishes = said.wishes.drain(..).filter_map(Wish::denied).collect();
                said.avoid.append(&mut said.want);
                said.dislike.append(&mut said.like);
            }
            said.n = None;
            memory.settle(&said);
        }
        memory
    }
}

fn after<'a>(line: &'a str, starts: &[&str]) -> Option<&'a str> {
    starts.iter().find_map(|start| {
        let head = line.get(..start.len())?;
        head.eq_ignore_ascii_case(start).then(|| line[start.len()..].trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(behaviour: &str) -> Profile {
        Profile {
            text: format!("You watched “{behaviour}”."),
            events: 1,
            evidence: Vec::new(),
            author: Author::Template,
            note: None,
            behaviour: behaviour.into(),
        }
    }

    #[test]
    fn a_profile_follows_behaviour_until_somebody_edits_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.txt");
        assert_eq!(profile("a").keep(&path, false).unwrap(), ProfileFile::Written);
        assert_eq!(profile("a").keep(&path, false).unwrap(), ProfileFile::Unchanged);
        assert_eq!(profile("b").keep(&path, false).unwrap(), ProfileFile::Written);
        assert_eq!(Profile::words(&path).unwrap(), "You watched “b”.");
        let edited = std::fs::read_to_string(&path).unwrap() + "Avoid: horror\n";
        std::fs::write(&path, &edited).unwrap();
        assert_eq!(profile("c").keep(&path, false).unwrap(), ProfileFile::Edited);
        assert!(Profile::words(&path).unwrap().ends_with("Avoid: horror"));
        assert_eq!(profile("c").keep(&path, true).unwrap(), ProfileFile::Written);
        std::fs::write(&path, "x".repeat(LONGEST as usize + 1)).unwrap();
        assert!(Profile::words(&path).is_err(), "too large");
    }
}

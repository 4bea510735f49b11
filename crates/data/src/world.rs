//! A small made-up world for demos without network: topics, items told in words of their topic, users with tastes,
//! and series whose parts are taken one after the other.

use std::{fmt::Write as _, fs, path::Path};

use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use tastemaker_core::{Fault, seed};

use crate::{Error, Sources};

/// Size of a made-up world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorldSettings {
    /// Users.
    pub n_users: usize,
    /// Items.
    pub n_items: usize,
    /// Topics, each with words of its own.
    pub n_topics: usize,
    /// Events of an average user.
    pub events_per_user: usize,
    /// Root of all chance.
    pub seed: u64,
}

impl Default for WorldSettings {
    fn default() -> Self {
        Self { n_users: 1000, n_items: 600, n_topics: 12, events_per_user: 30, seed: 0 }
    }
}

impl WorldSettings {
    /// Lists every impossible value; empty when all is well.
    pub fn faults(&self) -> Vec<Fault> {
        const MOST: usize = 10_000_000;
        let within = |field, value: usize, least: usize| {
            Fault::unless((least..=MOST).contains(&value), field, || {
                format!("must lie between {least} and {MOST}, is {value}")
            })
        };
        [
            within("n_users", self.n_users, 1),
            within("n_topics", self.n_topics, 1),
            within("n_items", self.n_items, self.n_topics.max(2)),
            within("events_per_user", self.events_per_user, 1),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Writes `interactions.csv` and `items.csv` of a made-up world into `folder`, ready for import.
///
/// The folder is made when it is missing. The same settings give the same files.
pub fn generate(settings: &WorldSettings, folder: &Path) -> Result<Sources, Error> {
    if let Some(fault) = settings.faults().into_iter().next() {
        return Err(Error::Setting { field: fault.field, problem: fault.problem });
    }
    fs::create_dir_all(folder).map_err(|e| Error::io("write", folder, e))?;
    let world = World::new(settings);
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
        Ok::<_, Error>(path)
    };
    let items = put("items.csv", world.items(settings))?;
    let interactions = put("interactions.csv", world.interactions(settings))?;
    Ok(Sources { interactions, items: Some(items), ..Sources::default() })
}

/// Topics with the words their items are told in.
const TOPICS: [(&str, &str); 12] = [
    (
        "Space",
        "starship orbit galaxy planet comet astronaut nebula crew signal gravity lunar rocket",
    ),
    ("Ocean", "reef diver whale harbor tide submarine island sailor storm pearl coral lighthouse"),
    (
        "Crime",
        "detective heist witness alibi murder evidence gang trial clue suspect prison informer",
    ),
    (
        "Romance",
        "wedding letter kiss paris heart lovers ballroom promise jealousy reunion summer bride",
    ),
    (
        "War",
        "battalion trench soldier siege general bunker truce sniper front convoy medal deserter",
    ),
    (
        "Music",
        "violin concert singer jazz melody orchestra guitar stage rehearsal chorus drummer encore",
    ),
    (
        "Cooking",
        "chef recipe kitchen spice bakery feast harvest vineyard restaurant flavor bread oven",
    ),
    (
        "Mountains",
        "summit glacier climber avalanche ridge cabin trail snowstorm valley guide rope eagle",
    ),
    (
        "Magic",
        "wizard spell dragon castle prophecy potion amulet enchanted sorcerer curse tower raven",
    ),
    (
        "Sport",
        "coach stadium champion league marathon goalkeeper rookie boxing tournament sprint rival medalist",
    ),
    (
        "Science",
        "laboratory experiment theory microscope genome professor particle equation discovery vaccine fossil robot",
    ),
    (
        "West",
        "sheriff saloon ranch outlaw desert cattle gold canyon duel railroad stagecoach prairie",
    ),
];
const COMMON: &str = "a story about the old friend who finds a secret and must choose between home and the unknown \
                      while time runs out in one long night of hope loss courage and luck";
const LABELS: [&str; 4] = ["Classic", "New", "Short", "Award"];
/// Parts of a series; each is usually taken after the one before.
const PARTS: usize = 4;
/// How often the next part of a series is taken when there is one.
const FOLLOW: f64 = 0.5;
/// How often a user strays from their taste.
const STRAY: f64 = 0.1;
const START: i64 = 1_704_067_200; // 2024-01-01

struct World {
    topics: Vec<Topic>,
}

struct Topic {
    name: String,
    words: Vec<String>,
    /// Items of the topic by falling popularity, with the sum of weights up to each.
    items: Vec<usize>,
    sums: Vec<f64>,
}

impl World {
    fn new(settings: &WorldSettings) -> Self {
        let mut rng = seed::stream(settings.seed, "world-topics");
        let topics =
            (0..settings.n_topics).map(|number| topic(number, settings, &mut rng)).collect();
        Self { topics }
    }

    fn items(&self, settings: &WorldSettings) -> String {
        let mut rng = seed::stream(settings.seed, "world-items");
        let common: Vec<&str> = COMMON.split_whitespace().collect();
        let mut text = String::from("item_id,title,text,categories,year\n");
        let mut series = vec![String::new(); self.topics.len()];
        for item in 0..settings.n_items {
            let place = item % self.topics.len();
            let topic = &self.topics[place];
            let part = item / self.topics.len() % PARTS;
            if part == 0 {
                let (first, second) = (pick(&topic.words, &mut rng), pick(&topic.words, &mut rng));
                series[place] = format!("The {} {}", capital(first), capital(second));
            }
            let told: Vec<&str> = (0..18)
                .map(|_| {
                    if rng.random_bool(0.5) {
                        pick(&topic.words, &mut rng)
                    } else {
                        common[rng.random_range(0..common.len())]
                    }
                })
                .collect();
            let label = LABELS[rng.random_range(0..LABELS.len())];
            let year = 1970 + rng.random_range(0..55);
            let title = if part == 0 {
                series[place].clone()
            } else {
                format!("{} {}", series[place], part + 1)
            };
            writeln!(
                text,
                "i{item},{title} ({item}),{}.,{}|{label},{year}",
                capital(&told.join(" ")),
                topic.name
            )
            .expect("writing to a string does not fail");
        }
        text
    }

    fn interactions(&self, settings: &WorldSettings) -> String {
        let mut rng = seed::stream(settings.seed, "world-events");
        let mut text = String::from("user_id,item_id,rating,timestamp\n");
        for user in 0..settings.n_users {
            let favorites: Vec<usize> = (0..rng.random_range(1..=3))
                .map(|_| rng.random_range(0..self.topics.len()))
                .collect();
            let share = rng.random_range(0.5..1.5);
            let wanted = (settings.events_per_user as f64 * share).round() as usize;
            let mut time = START + rng.random_range(0..15_000_000);
            let mut taken: Vec<usize> = Vec::new();
            for _ in 0..wanted.clamp(1, settings.n_items / 2) {
                let Some(item) = self.next(&taken, &favorites, settings, &mut rng) else { break };
                let liked = favorites.contains(&(item % self.topics.len()));
                let rating = if liked { rng.random_range(3..=5) } else { rng.random_range(1..=4) };
                time += rng.random_range(3_600..200_000);
                writeln!(text, "u{user},i{item},{rating},{time}")
                    .expect("writing to a string does not fail");
                taken.push(item);
            }
        }
        text
    }

    /// Chooses what a user takes next; `None` when nothing new is found in a few tries.
    fn next(
        &self,
        taken: &[usize],
        favorites: &[usize],
        settings: &WorldSettings,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        let n_topics = self.topics.len();
        if let Some(&last) = taken.last() {
            let follower = last + n_topics;
            let is_part = last / n_topics % PARTS + 1 < PARTS && follower < settings.n_items;
            if is_part && !taken.contains(&follower) && rng.random_bool(FOLLOW) {
                return Some(follower);
            }
        }
        (0..50).find_map(|_| {
            let topic = if rng.random_bool(STRAY) {
                rng.random_range(0..n_topics)
            } else {
                favorites[rng.random_range(0..favorites.len())]
            };
            let topic = &self.topics[topic];
            let total = *topic.sums.last()?;
            let point = rng.random_range(0.0..total);
            let at = topic.sums.partition_point(|&sum| sum <= point).min(topic.items.len() - 1);
            Some(topic.items[at]).filter(|item| !taken.contains(item))
        })
    }
}

fn topic(number: usize, settings: &WorldSettings, rng: &mut impl Rng) -> Topic {
    let (name, words) = match TOPICS.get(number) {
        Some((name, words)) => {
            ((*name).to_owned(), words.split_whitespace().map(Into::into).collect())
        }
        None => {
            let words: Vec<String> = (0..12).map(|_| made_up(rng)).collect();
            (capital(&words[0]), words)
        }
    };
    let mut items: Vec<usize> = (number..settings.n_items).step_by(settings.n_topics).collect();
    for at in (1..items.len()).rev() {
        items.swap(at, rng.random_range(0..=at));
    }
    let weights = (1..=items.len()).map(|rank| (rank as f64).powf(-0.8));
    let sums = weights.scan(0.0, |sum, weight| {
        *sum += weight;
        Some(*sum)
    });
    let sums = sums.collect();
    Topic { name, words, items, sums }
}

fn made_up(rng: &mut impl Rng) -> String {
    const ONSETS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    let mut word = String::new();
    for _ in 0..3 {
        word.push(char::from(ONSETS[rng.random_range(0..ONSETS.len())]));
        word.push(char::from(VOWELS[rng.random_range(0..VOWELS.len())]));
    }
    word
}

fn pick<'a>(words: &'a [String], rng: &mut impl Rng) -> &'a str {
    &words[rng.random_range(0..words.len())]
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_settings_make_the_same_world_and_others_another() {
        let small = WorldSettings { n_users: 20, n_items: 40, n_topics: 14, ..Default::default() };
        let text = |settings: WorldSettings| {
            let world = World::new(&settings);
            (world.items(&settings), world.interactions(&settings))
        };
        assert_eq!(text(small), text(small));
        assert_ne!(text(small), text(WorldSettings { seed: 1, ..small }));
        assert_eq!(text(small).0.lines().count(), 41);
    }

    #[test]
    fn impossible_worlds_are_refused_with_every_fault() {
        let settings = WorldSettings { n_users: 0, n_items: 3, n_topics: 5, ..Default::default() };
        assert_eq!(settings.faults().len(), 2);
        assert!(generate(&settings, Path::new("/nowhere")).is_err());
    }
}

//! Which column plays which part: by the names people use, and by what the user says.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, intern};

/// What a file gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who did what, and when.
    Interactions,
    /// What can be recommended.
    Items,
    /// To whom.
    Users,
}

impl Part {
    /// Names the part: `interactions`, `items` or `users`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interactions => "interactions",
            Self::Items => "items",
            Self::Users => "users",
        }
    }

    pub(crate) const fn expects(self) -> &'static str {
        match self {
            Self::Interactions => {
                "rows with a user and an item, such as `user_id,item_id,rating,timestamp`"
            }
            Self::Items => "one row per item, such as `item_id,title,categories`",
            Self::Users => "one row per user, such as `user_id,age`",
        }
    }
}

/// Columns named by the user; what is `None` is found by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnOverrides {
    /// `--user-column`.
    pub user: Option<String>,
    /// `--item-column`.
    pub item: Option<String>,
    /// `--rating-column`.
    pub rating: Option<String>,
    /// `--time-column`.
    pub time: Option<String>,
}

/// Says what a column was taken for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnUse {
    /// Its name in the file.
    pub column: String,
    /// `user`, `item`, `rating`, `time`, `id`, `text`, `categories`, `number` or `unused`.
    pub taken_for: String,
}

/// Positions of the columns of an interactions file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventColumns {
    pub(crate) user: usize,
    pub(crate) item: usize,
    pub(crate) rating: Option<usize>,
    pub(crate) time: Option<usize>,
}

const USER: Role = Role {
    role: "user",
    flag: "--user-column",
    aliases: &[
        "userid",
        "user",
        "uid",
        "reviewerid",
        "customerid",
        "visitorid",
        "memberid",
        "accountid",
        "profileid",
        "playerid",
        "personid",
        "studentid",
        "sessionid",
    ],
};
const ITEM: Role = Role {
    role: "item",
    flag: "--item-column",
    aliases: &[
        "itemid",
        "item",
        "iid",
        "movieid",
        "parentasin",
        "asin",
        "productid",
        "bookid",
        "isbn",
        "trackid",
        "songid",
        "artistid",
        "newsid",
        "articleid",
        "gameid",
        "businessid",
        "videoid",
        "postid",
        "contentid",
        "recipeid",
        "animeid",
        "courseid",
        "jobid",
        "sku",
    ],
};
const RATING: Role = Role {
    role: "rating",
    flag: "--rating-column",
    aliases: &[
        "rating",
        "weight",
        "value",
        "score",
        "overall",
        "stars",
        "rate",
        "playcount",
        "count",
    ],
};
const TIME: Role = Role {
    role: "time",
    flag: "--time-column",
    aliases: &[
        "timestamp",
        "time",
        "ts",
        "unixreviewtime",
        "unixtime",
        "eventtime",
        "datetime",
        "date",
        "createdat",
        "created",
    ],
};
const ID: &[&str] = &["id"];

struct Role {
    role: &'static str,
    flag: &'static str,
    /// Folded names, the most telling first.
    aliases: &'static [&'static str],
}

/// Finds the columns of an interactions file.
pub(crate) fn event_columns(
    path: &Path,
    found: &[String],
    overrides: &ColumnOverrides,
) -> Result<EventColumns, Error> {
    let roles = [
        (&USER, &overrides.user),
        (&ITEM, &overrides.item),
        (&RATING, &overrides.rating),
        (&TIME, &overrides.time),
    ];
    let mut given: Vec<(usize, &Role)> = Vec::with_capacity(roles.len());
    for (role, named) in roles {
        let Some(name) = named else { continue };
        let at = named_column(path, found, role, name)?;
        if let Some((_, other)) = given.iter().find(|(taken, _)| *taken == at) {
            return Err(shared(path, found, at, (other, role)));
        }
        given.push((at, role));
    }
    let taken: Vec<usize> = given.iter().map(|(at, _)| *at).collect();
    let find = |role: &Role| {
        let own = given.iter().find(|(_, other)| other.flag == role.flag);
        own.map(|(at, _)| *at).or_else(|| by_alias(found, role.aliases, &taken))
    };
    let need = |role: &Role| {
        find(role).ok_or_else(|| {
            let other = by_alias(found, role.aliases, &[])
                .and_then(|at| given.iter().find(|(taken, _)| *taken == at));
            match other {
                Some((at, other)) => shared(path, found, *at, (other, role)),
                None => missing(path, found, role),
            }
        })
    };
    Ok(EventColumns {
        user: need(&USER)?,
        item: need(&ITEM)?,
        rating: find(&RATING),
        time: find(&TIME),
    })
}

/// Finds the id column of an items or users file; an override counts only where the file has that column.
pub(crate) fn id_column(
    path: &Path,
    part: Part,
    found: &[String],
    overrides: &ColumnOverrides,
) -> Result<usize, Error> {
    let (role, named) = match part {
        Part::Users => (&USER, &overrides.user),
        Part::Items | Part::Interactions => (&ITEM, &overrides.item),
    };
    let named = named.as_ref().and_then(|name| found.iter().position(|c| c == name));
    named
        .or_else(|| by_alias(found, role.aliases, &[]))
        .or_else(|| by_alias(found, ID, &[]))
        .ok_or_else(|| missing(path, found, role))
}

/// Counts how many parts of an event the names stand for; tells a header from data.
pub(crate) fn known_names(found: &[String]) -> usize {
    [USER.aliases, ITEM.aliases, RATING.aliases, TIME.aliases, ID]
        .into_iter()
        .filter(|aliases| by_alias(found, aliases, &[]).is_some())
        .count()
}

/// Lists what the columns of an interactions file were taken for.
pub(crate) fn event_uses(found: &[String], columns: &EventColumns) -> Vec<ColumnUse> {
    let role = |i| match i {
        _ if i == columns.user => "user",
        _ if i == columns.item => "item",
        _ if Some(i) == columns.rating => "rating",
        _ if Some(i) == columns.time => "time",
        _ => "unused",
    };
    let uses = found.iter().enumerate();
    uses.map(|(i, c)| ColumnUse { column: c.clone(), taken_for: role(i).into() }).collect()
}

/// Folds a name: lower case, letters and digits only.
pub(crate) fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Finds the column of the most telling name, those `taken` for something else aside.
fn by_alias(found: &[String], aliases: &[&str], taken: &[usize]) -> Option<usize> {
    let folded: Vec<String> = found.iter().map(|c| fold(c)).collect();
    let free = |at: &usize| !taken.contains(at);
    aliases.iter().find_map(|alias| (0..folded.len()).filter(free).find(|&i| folded[i] == *alias))
}

/// Says that a column given for the first role leaves the second without one.
fn shared(path: &Path, found: &[String], at: usize, (given, without): (&Role, &Role)) -> Error {
    Error::SharedColumn {
        path: PathBuf::from(path),
        column: found[at].clone(),
        given: given.flag,
        role: without.role,
        flag: without.flag,
    }
}

fn missing(path: &Path, found: &[String], role: &Role) -> Error {
    Error::MissingColumn {
        path: PathBuf::from(path),
        role: role.role,
        flag: role.flag,
        found: found.to_vec(),
    }
}

fn named_column(path: &Path, found: &[String], role: &Role, name: &str) -> Result<usize, Error> {
    found.iter().position(|c| c == name).ok_or_else(|| Error::NoSuchColumn {
        path: PathBuf::from(path),
        wanted: name.into(),
        flag: role.flag,
        found: found.to_vec(),
        nearest: intern::nearest(name, found.iter().map(String::as_str)).map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &str) -> Vec<String> {
        header.split(',').map(Into::into).collect()
    }

    fn events(header: &str, overrides: &ColumnOverrides) -> Result<EventColumns, String> {
        event_columns(Path::new("e.csv"), &names(header), overrides).map_err(|e| e.to_string())
    }

    #[test]
    fn the_names_people_use_are_known() {
        let all = |u, i, r, t| Ok(EventColumns { user: u, item: i, rating: r, time: t });
        let plain = ColumnOverrides::default();
        assert_eq!(events("userId,movieId,rating,timestamp", &plain), all(0, 1, Some(2), Some(3)));
        assert_eq!(
            events("reviewerID,asin,overall,reviewText,unixReviewTime", &plain),
            all(0, 1, Some(2), Some(4))
        );
        assert_eq!(
            events("FeedbackType,UserId,ItemId,Timestamp,Value", &plain),
            all(1, 2, Some(4), Some(3))
        );
        assert_eq!(events("uid,product_id,ts", &plain), all(0, 1, None, Some(2)));
    }

    #[test]
    fn an_override_wins_and_a_wrong_one_is_named() {
        let named = |item: &str| ColumnOverrides { item: Some(item.into()), ..Default::default() };
        let found = events("user_id,item_id,film", &named("film")).unwrap();
        assert_eq!(found.item, 2);
        let error = events("user_id,item_id,film", &named("fim")).unwrap_err();
        assert!(
            error.contains("--item-column") && error.contains("did you mean `film`"),
            "{error}"
        );
    }

    #[test]
    fn a_column_is_taken_for_one_thing_alone() {
        let given = |user: Option<&str>, item: Option<&str>, time: Option<&str>| {
            let own = |name: Option<&str>| name.map(Into::into);
            ColumnOverrides { user: own(user), item: own(item), time: own(time), rating: None }
        };
        let error = events("user_id,item_id", &given(Some("item_id"), None, None)).unwrap_err();
        for part in ["`item_id`", "--user-column", "no item column", "--item-column"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        events("user_id,item_id", &given(None, None, Some("user_id"))).unwrap_err();
        events("a,b", &given(Some("a"), Some("a"), None)).unwrap_err();
        let next = events("item_id,sku", &given(Some("item_id"), None, None)).unwrap();
        assert_eq!((next.user, next.item), (0, 1), "another name of an item is free");
        let swapped = events("user_id,item_id", &given(Some("item_id"), Some("user_id"), None));
        assert_eq!(swapped.map(|c| (c.user, c.item)), Ok((1, 0)));
        let rated = ColumnOverrides { rating: Some("ts".into()), ..Default::default() };
        let columns = events("user_id,item_id,ts", &rated).unwrap();
        assert_eq!((columns.rating, columns.time), (Some(2), None), "no time is needed");
    }

    #[test]
    fn a_missing_column_is_told_with_those_found_and_the_flag() {
        let error = events("who,item_id", &ColumnOverrides::default()).unwrap_err();
        assert!(error.contains("`who`") && error.contains("--user-column"), "{error}");
    }
}

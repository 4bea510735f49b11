//! Where data comes from and goes to: what stands there already is never lost.

use std::{fs, path::PathBuf};

use crate::home::{Home, names};
use tastemaker_data::{ImportOptions, Sources};

fn import(home: &Home, interactions: PathBuf) -> Result<(), String> {
    let sources = Sources { interactions, ..Default::default() };
    home.import(&sources, &ImportOptions::default()).map(|_manifest| ())
}

#[test]
fn a_data_set_with_something_of_others_in_it_is_not_replaced() {
    let home = Home::new();
    let events = home.put("e.csv", "user_id,item_id\n1,2\n");
    let before = home.data(events.clone());
    home.put("out/notes.txt", "x");
    let error = import(&home, events.clone()).unwrap_err();
    for part in ["/out is not empty", "`notes.txt`", "choose another --out"] {
        assert!(error.contains(part), "expected `{part}` in: {error}");
    }
    assert_eq!(names(&home.out()).len(), 5);
    assert_eq!(home.open(), before);
    fs::remove_file(home.out().join("notes.txt")).unwrap();
    import(&home, events).unwrap();
}

#[test]
fn a_source_in_the_folder_to_be_replaced_is_refused() {
    let home = Home::new();
    let before = home.data(home.put("e.csv", "user_id,item_id\n1,2\n"));
    for name in ["out/events.parquet", "out/mine.csv"] {
        if !home.path(name).exists() {
            home.put(name, "user_id,item_id\n1,2\n");
        }
        let error = import(&home, home.path(name)).unwrap_err();
        assert!(error.contains(name) && error.contains("would replace"), "{error}");
        assert!(home.path(name).is_file());
    }
    assert_eq!(home.open(), before);
}

/// A killed import leaves its folder; its number is one that Linux never gives.
#[cfg(target_os = "linux")]
#[test]
fn what_a_killed_import_left_is_cleared_away_by_the_next() {
    let home = Home::new();
    let events = home.put("e.csv", "user_id,item_id\n1,2\n");
    let left = home.path(&format!(".tastemaker-{}-Ab12Cd.partial", 1 << 30));
    fs::create_dir(&left).unwrap();
    fs::write(left.join("events.parquet"), "half").unwrap();
    import(&home, events).unwrap();
    assert_eq!(home.names(), ["e.csv", "out"]);
}

/// A pipe that nobody writes to would keep a reader waiting for ever.
#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_is_refused_without_being_opened() {
    let home = Home::new();
    let events = home.put("e.csv", "user_id,item_id\n1,2\n");
    let pipe = home.path("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for odd in [pipe, "/dev/null".into()] {
        let options = ImportOptions::default();
        let items = Some(odd.clone());
        let as_items = Sources { interactions: events.clone(), items, ..Default::default() };
        let as_events = Sources { interactions: odd.clone(), ..Default::default() };
        for sources in [as_items, as_events] {
            let error = home.import(&sources, &options).unwrap_err();
            let told =
                error.contains(&odd.display().to_string()) && error.contains("save it to a file");
            assert!(told, "{error}");
        }
    }
    assert!(!home.out().exists());
}

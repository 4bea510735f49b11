//! The evaluation from outside: a small world worked by hand, threads, faults, comparisons, files.

use std::fs;

use proptest::prelude::*;
use tastemaker_core::{
    Histories, HistoriesBuilder, ItemId, Recommender, Request, Silent, UserId, Vectors,
};
use tastemaker_eval::{
    Candidates, Cases, Context, Error, Names, Run, Settings, compare, per_user_table, quick_ndcg,
    run, write_trec_qrels, write_trec_run,
};

/// Scores by a table of one row per user.
struct Table(Vec<Vec<f32>>);

impl Recommender for Table {
    fn n_items(&self) -> usize {
        self.0[0].len()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        scores.copy_from_slice(&self.0[request.user.map_or(0, UserId::index) % self.0.len()]);
    }
}

fn histories(rows: &[&[u32]]) -> Histories {
    let mut builder = HistoriesBuilder::default();
    for row in rows {
        row.iter().enumerate().for_each(|(t, item)| builder.push(ItemId(*item), 1.0, t as i64));
        builder.end_user();
    }
    builder.build()
}

fn users(n: u32) -> Vec<UserId> {
    (0..n).map(UserId).collect()
}

/// Three users and five items: a hit behind a tie, a repeat of the history, a clean second place.
struct World {
    users: Vec<UserId>,
    histories: Histories,
    targets: Histories,
}

impl World {
    fn new() -> Self {
        Self {
            users: users(3),
            histories: histories(&[&[0], &[1, 2], &[3]]),
            targets: histories(&[&[2], &[2], &[0]]),
        }
    }

    fn cases(&self) -> Cases<'_> {
        Cases { users: &self.users, histories: &self.histories, targets: &self.targets }
    }

    fn ctx(&self) -> Context<'_> {
        Context { n_items: 5, train: &self.histories, vectors: None, labels: None, allowed: None }
    }

    fn model() -> Table {
        Table(vec![
            vec![9.0, 2.0, 2.0, 1.0, 5.0], // 0 is seen; 4 better, 1 equal: rank 1 + 1/2
            vec![0.0, 0.0, 9.0, 0.0, 0.0], // the target was seen: a miss
            vec![4.0, 5.0, 1.0, 9.0, 0.0], // 3 is seen; 1 better: rank 1
        ])
    }

    fn run(&self, settings: &Settings) -> Run {
        run(&Self::model(), &self.cases(), &self.ctx(), settings, &Silent)
            .expect("the world is sound")
    }
}

fn assert_close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} is not {b}");
}

#[test]
fn a_world_worked_by_hand() {
    let world = World::new();
    let settings = Settings { cutoffs: vec![2, 10], bootstrap: 50, ..Settings::default() };
    let run = world.run(&settings);
    let ndcg = [1.0 / 3.5f64.log2(), 0.0, 1.0 / 3f64.log2()];
    for (got, want) in run.per_user("NDCG@10").unwrap().iter().zip(ndcg) {
        assert_close(*got, want);
    }
    assert_close(run.mean("ndcg@10").unwrap(), ndcg.iter().sum::<f64>() / 3.0);
    assert_close(run.mean("Hit@2").unwrap(), 2.0 / 3.0);
    assert_close(run.mean("recip_rank").unwrap(), (1.0 / 2.5 + 0.0 + 0.5) / 3.0);
    // 3 other candidates of user 0, of which 1.5 above; user 2: 3 others, 1 above
    assert_close(run.mean("auc").unwrap(), (0.5 + 0.0 + 2.0 / 3.0) / 3.0);
    let shown: Vec<Vec<u32>> =
        run.lists().iter().map(|list| list.iter().map(|s| s.item.0).collect()).collect();
    assert_eq!(shown[0], [4, 1, 2, 3]); // ties by item number, seen left out
    assert_eq!(shown[1], [0, 3, 4]);
    assert_close(run.mean("coverage@2").unwrap(), 4.0 / 5.0); // 4 1 | 0 3 | 1 0
    let labels: Vec<&str> = run.by_history().iter().map(|b| b.label.as_str()).collect();
    assert_eq!(labels, ["1-2"]);
    let events: Vec<(&str, usize)> =
        run.by_popularity().iter().map(|b| (b.label.as_str(), b.cases)).collect();
    assert_eq!(events, [("1-5", 3)]);
    assert_close(
        quick_ndcg(&World::model(), &world.cases(), 5, 10, &[0, 2]),
        f64::midpoint(ndcg[0], ndcg[2]),
    );
    assert_close(quick_ndcg(&World::model(), &world.cases(), 5, 10, &[]), 0.0);
}

#[test]
fn only_allowed_items_compete() {
    let world = World::new();
    let allowed = [true, false, true, true, false];
    let ctx = Context { allowed: Some(&allowed), ..world.ctx() };
    let run = run(&World::model(), &world.cases(), &ctx, &Settings::default(), &Silent).unwrap();
    let hits = run.per_user("mrr@10").unwrap();
    assert_close(hits[0], 1.0);
    assert_close(hits[2], 1.0);
    assert!(run.lists().iter().flatten().all(|s| allowed[s.item.index()]));
}

#[test]
fn sampled_candidates_are_said_so_in_the_run_and_in_the_table() {
    let world = World::new();
    let candidates = Candidates::Sampled { negatives: 1 };
    let run = world.run(&Settings { candidates, ..Settings::default() });
    assert_eq!(run.candidates(), candidates);
    assert!(run.lists().iter().all(|list| list.len() <= 2));
    let names = Names { user: &|u| format!("u{}", u.0), item: &|i| format!("i{}", i.0) };
    let table = per_user_table(&[("m", &run)], &names, ',');
    assert!(table.lines().nth(1).unwrap().starts_with("m,u0,sampled (1 negatives),"), "{table}");
}

fn random_world(n_users: usize, n_items: usize) -> (Table, World) {
    let mut state = 1u64;
    let mut next = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    let scores =
        (0..n_users).map(|_| (0..n_items).map(|_| next(1000) as f32 / 7.0).collect()).collect();
    let mut rows = |min: usize| -> Vec<Vec<u32>> {
        (0..n_users).map(|_| (0..min + next(4)).map(|_| next(n_items) as u32).collect()).collect()
    };
    let (histories_, targets) = (rows(0), rows(1));
    let slices =
        |rows: &'_ [Vec<u32>]| histories(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let world = World {
        users: users(n_users as u32),
        histories: slices(&histories_),
        targets: slices(&targets),
    };
    (Table(scores), world)
}

#[test]
fn one_and_two_threads_give_the_same_bits() {
    let (model, world) = random_world(300, 80);
    let vectors = Vectors::from_flat(2, (0..160u8).map(|x| f32::from(x % 13)).collect()).unwrap();
    let ctx = Context { n_items: 80, vectors: Some(&vectors), ..world.ctx() };
    let other = Table(vec![model.0[0].clone()]);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let settings = Settings { bootstrap: 100, ..Settings::default() };
            let a = run(&model, &world.cases(), &ctx, &settings, &Silent).unwrap();
            let b = run(&other, &world.cases(), &ctx, &settings, &Silent).unwrap();
            let tests = compare(&[("a", &a), ("b", &b)], "ndcg@10", None).unwrap();
            let rows: Vec<usize> = (0..300).rev().collect();
            let quick = quick_ndcg(&model, &world.cases(), 80, 10, &rows);
            (format!("{a:?}"), tests, quick.to_bits())
        })
    };
    assert_eq!(on(1), on(2));
}

#[test]
fn every_mean_lies_in_its_interval() {
    let (model, world) = random_world(120, 40);
    let ctx = Context { n_items: 40, ..world.ctx() };
    let run = run(&model, &world.cases(), &ctx, &Settings::default(), &Silent).unwrap();
    for (name, stat) in run.summary() {
        assert!(stat.low <= stat.mean && stat.mean <= stat.high, "{name} {stat:?}");
    }
}

#[test]
fn a_clearly_better_model_is_significantly_better_and_a_twin_is_not() {
    let (_, world) = random_world(200, 40);
    let ctx = Context { n_items: 40, ..world.ctx() };
    let settings = Settings { bootstrap: 200, ..Settings::default() };
    let knows = |good: bool| {
        let rows = world.targets.iter().map(|targets| {
            let mut row: Vec<f32> = (0..40u8).map(f32::from).collect();
            targets
                .items
                .iter()
                .for_each(|item| row[item.index()] += f32::from(u8::from(good)) * 99.0);
            row
        });
        let model = Table(rows.collect());
        run(&model, &world.cases(), &ctx, &settings, &Silent).unwrap()
    };
    let (good, plain, twin) = (knows(true), knows(false), knows(false));
    let runs = [("good", &good), ("plain", &plain), ("twin", &twin)];
    let by_best = compare(&runs, "ndcg@10", None).unwrap();
    assert!(
        by_best.iter().all(|row| row.against == "good" && row.difference < 0.0 && row.significant)
    );
    let by_name = compare(&runs, "NDCG@10", Some("plain")).unwrap();
    assert!(by_name[0].significant && by_name[0].low > 0.0 && by_name[0].p_holm >= by_name[0].p);
    assert!(!by_name[1].significant && by_name[1].higher == 0);
    assert_close(by_name[1].p, 1.0);
    assert!(compare(&[], "ndcg@10", None).unwrap().is_empty());
    let wrong = compare(&runs, "ndcg@10", Some("plane")).unwrap_err();
    assert!(wrong.to_string().contains("`plain`"), "{wrong}");
    assert!(compare(&runs, "ndcg@11", None).unwrap_err().to_string().contains("`cutoffs`"));
}

#[test]
fn impossible_input_is_refused_with_what_to_do() {
    let world = World::new();
    let model = World::model();
    let fails = |cases: &Cases<'_>, ctx: &Context<'_>, settings: &Settings| {
        run(&model, cases, ctx, settings, &Silent).map(|_| ()).unwrap_err().to_string()
    };
    let ok = Settings::default();
    let none = histories(&[]);
    let empty = Cases { users: &[], histories: &none, targets: &none };
    assert!(fails(&empty, &world.ctx(), &ok).contains("no users"));
    let uneven = Cases { targets: &none, ..world.cases() };
    assert!(fails(&uneven, &world.ctx(), &ok).contains("0 targets"));
    let nothing = histories(&[&[0], &[], &[1]]);
    let idle = Cases { targets: &nothing, ..world.cases() };
    assert!(fails(&idle, &world.ctx(), &ok).contains("user number 1 has no target"));
    let foreign = histories(&[&[0], &[77], &[1]]);
    let strange = Cases { targets: &foreign, ..world.cases() };
    assert!(fails(&strange, &world.ctx(), &ok).contains("item number 77"));
    let ctx = Context { train: &foreign, ..world.ctx() };
    assert!(fails(&world.cases(), &ctx, &ok).contains("a training event"));
    let short = Context { allowed: Some(&[true]), ..world.ctx() };
    assert!(fails(&world.cases(), &short, &ok).contains("allowed candidates cover 1"));
    let wide = Context { n_items: 9, ..world.ctx() };
    assert!(fails(&world.cases(), &wide, &ok).contains("the model's scores cover 5 items"));
    let zero = Settings { cutoffs: vec![0], ..ok };
    assert!(fails(&world.cases(), &world.ctx(), &zero).contains("`cutoffs`"));
    let broken = Table(vec![vec![1.0, f32::NAN, 0.0, 0.0, 0.0]]);
    let nan = run(&broken, &world.cases(), &world.ctx(), &Settings::default(), &Silent);
    assert!(matches!(nan, Err(Error::NotFinite { item: 1, .. })));
}

#[test]
fn a_user_who_has_seen_it_all_has_an_empty_list_and_harms_nobody() {
    let (users, histories_, targets) = (users(1), histories(&[&[0, 1]]), histories(&[&[1]]));
    let cases = Cases { users: &users, histories: &histories_, targets: &targets };
    let ctx =
        Context { n_items: 2, train: &histories_, vectors: None, labels: None, allowed: None };
    let model = Table(vec![vec![1.0, 2.0]]);
    let run = run(&model, &cases, &ctx, &Settings::default(), &Silent).unwrap();
    assert!(run.lists()[0].is_empty());
    assert!(run.summary().values().all(|stat| stat.mean.is_finite()));
}

#[test]
fn trec_files_hold_outside_ids_and_leave_nothing_behind() {
    let world = World::new();
    let run = world.run(&Settings { cutoffs: vec![1], ..Settings::default() });
    let names = Names { user: &|u| format!("Ann Lee {}", u.0), item: &|i| format!("i{}", i.0) };
    let folder = tempfile::tempdir().unwrap();
    let (runs, qrels) = (folder.path().join("run.txt"), folder.path().join("qrels.txt"));
    write_trec_run(&runs, &run, &names, "my model").unwrap();
    write_trec_qrels(&qrels, &world.cases(), &names).unwrap();
    assert!(fs::read_to_string(&runs).unwrap().starts_with("Ann%20Lee%200 Q0 i4 1 5 my%20model\n"));
    assert!(fs::read_to_string(&qrels).unwrap().starts_with("Ann%20Lee%200 0 i2 1\n"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    let nowhere = folder.path().join("no/such/run.txt");
    assert!(write_trec_run(&nowhere, &run, &names, "m").is_err());
}

#[test]
fn the_table_of_users_quotes_what_needs_it() {
    let world = World::new();
    let run = world.run(&Settings { cutoffs: vec![1], ..Settings::default() });
    let names = Names { user: &|u| format!("a,\"{}\"", u.0), item: &|i| i.0.to_string() };
    let table = per_user_table(&[("m", &run)], &names, ',');
    assert!(table.starts_with("model,user_id,candidates,hit@1,recall@1,precision@1,ndcg,ndcg@1,"));
    assert!(
        table.lines().nth(1).unwrap().starts_with("m,\"a,\"\"0\"\"\",full,0,0,0,0.5532"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_order_of_targets_and_a_rising_change_of_scores_leave_every_number_as_it_was(
        n in 2usize..40, items in 5usize..30
    ) {
        let (model, world) = random_world(n, items);
        let ctx = Context { n_items: items, ..world.ctx() };
        let settings = Settings { bootstrap: 10, ..Settings::default() };
        let before = run(&model, &world.cases(), &ctx, &settings, &Silent).unwrap();
        let moved = Table(model.0.iter().map(|row| row.iter().map(|x| x * 2.0 - 300.0).collect()).collect());
        let reversed: Vec<Vec<u32>> =
            world.targets.iter().map(|t| t.items.iter().rev().map(|i| i.0).collect()).collect();
        let targets = histories(&reversed.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let cases = Cases { targets: &targets, ..world.cases() };
        let after = run(&moved, &cases, &ctx, &settings, &Silent).unwrap();
        prop_assert_eq!(before.summary(), after.summary());
    }
}

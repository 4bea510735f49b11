//! Every format in, the same numbers out; cleaning; what the manifest and the inspection say.

use crate::home::{Home, told};
use tastemaker_core::Silent;
use tastemaker_data::{
    Duplicates, ImportOptions, Sources, TimeUnit, Values, WorldSettings, generate, import, inspect,
};

const EXPECTED: [&str; 2] = ["b: y*4@20 x*1@30", "a: y*2.5@10"];

#[test]
fn one_data_set_in_every_text_format_gives_the_same_events() {
    let csv = "user_id,item_id,rating,timestamp\nb,x,,30\na,y,2.5,10\nb,y,4,20\n";
    let files = [
        ("e.csv", csv.to_owned()),
        ("e.tsv", csv.replace(',', "\t")),
        ("semicolons.csv", csv.replace(',', ";")),
        ("other names.csv", csv.replace("user_id,item_id,rating,timestamp", "\u{feff}reviewerID,asin,overall,unixReviewTime")),
        ("dates.csv", "userId,movieId,rating,date\nb,x,,1970-01-01T00:00:30Z\na,y,2.5,1970-01-01 00:00:10\nb,y,4,1970-01-01T00:00:20\n".into()),
        ("x.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\nb\tx\t\t30\na\ty\t2.5\t10.0\nb\ty\t4\t20\n".into()),
        ("e.jsonl", "{\"user_id\":\"b\",\"item_id\":\"x\",\"timestamp\":30}\n{\"user_id\":\"a\",\"item_id\":\"y\",\"rating\":2.5,\"timestamp\":10}\n{\"user_id\":\"b\",\"item_id\":\"y\",\"rating\":4,\"timestamp\":20.0}\n".into()),
        ("gorse.jsonl", "{\"FeedbackType\":\"star\",\"UserId\":\"b\",\"ItemId\":\"x\",\"Timestamp\":\"1970-01-01T00:00:30Z\"}\n{\"FeedbackType\":\"star\",\"UserId\":\"a\",\"ItemId\":\"y\",\"Value\":2.5,\"Timestamp\":\"1970-01-01T00:00:10Z\"}\n{\"UserId\":\"b\",\"ItemId\":\"y\",\"Value\":4,\"Timestamp\":\"1970-01-01T00:00:20Z\"}\n".into()),
        ("ratings.dat", "b::x::1::30\na::y::2.5::10\nb::y::4::20\n".into()),
        ("u.data", "b\tx\t1\t30\na\ty\t2.5\t10\nb\ty\t4\t20\n".into()),
    ];
    for (name, content) in files {
        let home = Home::new();
        assert_eq!(told(&home.data(home.put(name, &content))), EXPECTED, "{name}");
        assert_eq!(
            told(&home.data(home.gz(&format!("{name}.gz"), &content))),
            EXPECTED,
            "{name}.gz"
        );
        let packed = zstd::encode_all(content.as_bytes(), 1).unwrap();
        assert_eq!(
            told(&home.data(home.put(&format!("{name}.zst"), packed))),
            EXPECTED,
            "{name}.zst"
        );
    }
}

#[test]
fn sequences_keep_their_order() {
    let home = Home::new();
    let data = home.data(home.put("beauty.txt", "1 10 20 10\n2  20\n"));
    assert_eq!(told(&data), ["1: 10*1@0 20*1@1 10*1@2", "2: 20*1@3"]);
    assert_eq!(data.manifest.time, TimeUnit::Order);
}

#[test]
fn times_below_a_second_still_order_events() {
    let home = Home::new();
    let csv = "user_id,item_id,ts\nu,late,1700000000900\nu,early,1700000000100\n";
    assert_eq!(
        told(&home.data(home.put("e.csv", csv))),
        ["u: early*1@1700000000 late*1@1700000000"]
    );
}

#[test]
fn equal_times_keep_the_order_of_the_file() {
    let home = Home::new();
    let csv = "user_id,item_id,timestamp\nu,c,5\nv,a,5\nu,a,5\nu,b,1\nu,d,5\n";
    let data = home.data(home.put("e.csv", csv));
    assert_eq!(told(&data), ["u: b*1@1 c*1@5 a*1@5 d*1@5", "v: a*1@5"]);
    assert_eq!(data.items.ids().iter().collect::<Vec<_>>(), ["c", "a", "b", "d"]);
}

fn films(home: &Home) -> Sources {
    Sources {
        interactions: home.put("e.csv", "user_id,item_id\nu,2\nv,9\n"),
        items: Some(home.put(
            "items.csv",
            "item_id,title,genres,year,plot\n1,\"Heat, 1995\",Crime|Drama,1995,\n2,Up,,2009,\"A house\nflies.\"\n",
        )),
        users: Some(home.put("users.csv", "user_id,age\nw,30\nu,\n")),
        ..Default::default()
    }
}

#[test]
fn side_files_give_typed_fields_and_their_own_rows_come_last() {
    let home = Home::new();
    home.import(&films(&home), &ImportOptions::default()).unwrap();
    let mut data = home.open();
    assert_eq!(data.items.ids().iter().collect::<Vec<_>>(), ["2", "9", "1"]);
    assert_eq!(data.users.ids().iter().collect::<Vec<_>>(), ["u", "v", "w"]);
    assert_eq!(data.histories.n_users(), 3);
    let kinds: Vec<_> =
        data.items.columns().iter().map(|c| (c.name.as_str(), c.values.kind())).collect();
    assert_eq!(
        kinds,
        [("title", "text"), ("genres", "categories"), ("year", "number"), ("plot", "text")]
    );
    assert_eq!(data.items.field(0, "plot").as_deref(), Some("A house\nflies."));
    assert_eq!(data.items.field(2, "genres").as_deref(), Some("Crime, Drama"));
    assert_eq!((data.items.field(1, "title"), data.items.field(0, "genres")), (None, None));
    assert!(
        matches!(&data.users.columns()[0].values, Values::Number(ages) if ages[2].to_bits() == 30f32.to_bits() && ages[0].is_nan())
    );
    let added = data.add_item("new", &[("title".into(), "Alien".into())]).unwrap();
    assert_eq!((added.0, data.n_items()), (3, 4));
    assert_eq!(home.open().n_items(), 3, "the folder stays as it is");
}

#[test]
fn the_manifest_tells_columns_sources_and_checksums() {
    let home = Home::new();
    let manifest = home.import(&films(&home), &ImportOptions::default()).unwrap();
    assert_eq!(manifest, home.open().manifest);
    assert_eq!(manifest.name, "out");
    let [events, items, users] = &manifest.sources[..] else { panic!("three sources") };
    assert_eq!(
        (events.part.as_str(), items.part.as_str(), users.part.as_str()),
        ("interactions", "items", "users")
    );
    assert_eq!(events.columns[1].taken_for, "item");
    assert_eq!(
        items.columns.iter().map(|c| c.taken_for.as_str()).collect::<Vec<_>>(),
        ["id", "text", "categories", "number", "text"]
    );
    assert_eq!((events.bytes, events.sha256.len()), (24, 64));
    assert_eq!(
        manifest.files.keys().collect::<Vec<_>>(),
        ["events.parquet", "items.parquet", "users.parquet"]
    );
    assert_eq!(crate::home::names(&home.out()).len(), 4);
}

#[test]
fn parquet_written_by_us_and_by_others_is_read() {
    let home = Home::new();
    home.data(
        home.put("e.csv", "user_id,item_id,rating,timestamp\nb,x,,30\na,y,2.5,10\nb,y,4,20\n"),
    );
    let interactions = home.path("copy.parquet");
    std::fs::copy(home.out().join("events.parquet"), &interactions).unwrap();
    // Dense numbers, user after user, oldest first: user 0 is b, item 0 is x.
    assert_eq!(told(&home.data(interactions)), ["0: 1*4@20 0*1@30", "1: 1*2.5@10"]);
    home.import(&films(&home), &ImportOptions::default()).unwrap();
    let items = home.path("items.parquet");
    std::fs::copy(home.out().join("items.parquet"), &items).unwrap();
    let before = home.open().items;
    home.import(&Sources { items: Some(items), ..films(&home) }, &ImportOptions::default())
        .unwrap();
    assert_eq!(home.open().items, before);
}

#[test]
fn movielens_side_files_are_read_without_headers() {
    let home = Home::new();
    let flags = |on: &[usize]| {
        (0..19).map(|i| if on.contains(&i) { "|1" } else { "|0" }).collect::<String>()
    };
    let item = [
        b"1|Les Mis\xe9rables (1995)|01-Jan-1995||http://x".as_slice(),
        flags(&[5, 8]).as_bytes(),
        b"\n",
    ]
    .concat();
    let sources = Sources {
        interactions: home.put("u.data", "1\t1\t5\t881250949\n"),
        items: Some(home.put("u.item", item)),
        users: Some(home.put("u.user", "1|24|M|technician|85711\n")),
        ..Default::default()
    };
    home.import(&sources, &ImportOptions::default()).unwrap();
    let data = home.open();
    assert_eq!(data.items.field(0, "title").as_deref(), Some("Les Misérables (1995)"));
    assert_eq!(data.items.field(0, "genres").as_deref(), Some("Comedy, Drama"));
    assert_eq!(data.users.field(0, "occupation").as_deref(), Some("technician"));
    let sources = Sources {
        interactions: home.put("ratings.dat", "1::1::5::978300760\n"),
        items: Some(home.put("movies.dat", "1::Heat: a film (1995)::Crime|Drama\n2::B::Comedy\n")),
        users: Some(home.put("users.dat", "1::F::1::10::48067\n")),
        ..Default::default()
    };
    home.import(&sources, &ImportOptions::default()).unwrap();
    let data = home.open();
    assert_eq!(data.items.field(0, "genres").as_deref(), Some("Crime, Drama"));
    assert_eq!(data.users.field(0, "zip_code").as_deref(), Some("48067"));
    assert_eq!(data.histories.row(0).times, [978_300_760]);
}

#[test]
fn atomic_and_gorse_items_are_typed() {
    let home = Home::new();
    let interactions = home.put("x.inter", "user_id:token\titem_id:token\n1\t1\n");
    let items = Some(home.put(
        "x.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\tToy Story\t1995\tAnimation Comedy\n",
    ));
    home.import(
        &Sources { interactions: interactions.clone(), items, ..Default::default() },
        &ImportOptions::default(),
    )
    .unwrap();
    let items = home.open().items;
    let row = |name| items.field(0, name).unwrap();
    assert_eq!(
        [row("movie_title"), row("release_year"), row("class")],
        ["Toy Story", "1995", "Animation, Comedy"]
    );
    let items = Some(home.put(
        "items.jsonl",
        "{\"ItemId\":\"1\",\"IsHidden\":false,\"Categories\":[\"go\",\"db\"],\"Labels\":{\"lang\":\"en\"},\"Comment\":\"a text\"}\n{\"ItemId\":\"2\",\"Late\":\"x\"}\n",
    ));
    home.import(&Sources { interactions, items, ..Default::default() }, &ImportOptions::default())
        .unwrap();
    let items = home.open().items;
    let row = |row, name| items.field(row, name);
    assert_eq!(row(0, "Categories").as_deref(), Some("go, db"));
    assert_eq!(row(0, "Labels.lang").as_deref(), Some("en"));
    assert_eq!(row(0, "Comment").as_deref(), Some("a text"));
    assert_eq!((row(0, "Late"), row(1, "Late").as_deref()), (None, Some("x")));
}

#[test]
fn cleaning_leaves_a_core_and_counts_what_went() {
    let home = Home::new();
    let interactions = home.put(
        "e.csv",
        "user_id,item_id,rating\na,x,5\na,y,5\nb,x,4\nb,y,4\nc,x,5\nc,z,5\na,x,3\nd,y,1\n",
    );
    let options = ImportOptions {
        k_core: 2,
        min_rating: Some(2.0),
        duplicates: Duplicates::Last,
        ..Default::default()
    };
    let manifest = home.import(&Sources { interactions, ..Default::default() }, &options).unwrap();
    let told = told(&home.open());
    assert_eq!(told, ["a: y*5@1 x*3@6", "b: x*4@2 y*4@3"]);
    let dropped: Vec<String> = manifest.dropped.iter().map(ToString::to_string).collect();
    assert_eq!(dropped[0], "1 events: rating below the threshold");
    assert_eq!(dropped[1], "1 events: the user has met the item before");
    assert_eq!(dropped[2], "2 events: the user or item has too few events");
    assert_eq!(manifest.counts.rows_read, 8);
}

#[test]
fn importing_twice_gives_the_same_bytes() {
    let home = Home::new();
    home.import(&films(&home), &ImportOptions::default()).unwrap();
    let first = home.open().manifest;
    home.import(&films(&home), &ImportOptions::default()).unwrap();
    assert_eq!(home.open().manifest, first);
}

#[test]
fn a_made_up_world_can_be_imported_and_inspected() {
    let home = Home::new();
    let settings = WorldSettings { n_users: 60, n_items: 48, ..Default::default() };
    let sources = generate(&settings, &home.path("world")).unwrap();
    import(&sources, &ImportOptions::default(), &home.out(), &Silent).unwrap();
    let data = home.open();
    assert_eq!((data.n_users(), data.n_items()), (60, 48));
    let found = inspect(&data);
    assert_eq!(found.time.kind, "clock");
    assert_eq!((found.repeats.to_bits(), found.ratings.constant), (0, false));
    assert_eq!(found.per_user.histogram.iter().map(|b| b.count).sum::<usize>(), 60);
    let kinds: Vec<_> = found.item_fields.iter().map(|f| (f.name.as_str(), f.kind)).collect();
    assert_eq!(
        kinds,
        [("title", "text"), ("text", "text"), ("categories", "categories"), ("year", "number")]
    );
    assert!(found.item_fields.iter().all(|f| f.filled == 48));
}

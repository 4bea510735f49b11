//! A talk from outside, without a catalogue or a model: what turns ask for, what is settled, that nothing foreign is named.

use proptest::prelude::*;
use tastemaker_core::ItemId;
use tastemaker_dialog::Language;
use tastemaker_dialog::talk::{
    Field, Intent, Lexicon, LexiconParts, Memory, NumberField, Role, Understood, heard, understand,
};

const TITLES: [&str; 8] = [
    "Alien (1979)",
    "Heat (1995)",
    "Matrix, The (1999)",
    "It",
    "Night Train",
    "霸王别姬",
    "Scream",
    "12 Monkeys",
];

fn lexicon() -> Lexicon {
    let titles =
        TITLES.iter().enumerate().map(|(at, title)| (ItemId::from_index(at), (*title).to_owned()));
    let field = |label: &str| Field { column: "genres".into(), label: label.into(), is_list: true };
    let number = |column: &str| NumberField {
        column: column.into(),
        role: Role::of(column),
        is_text: false,
    };
    Lexicon::new(LexiconParts {
        titles: titles.collect(),
        labels: ["Horror", "Sci-Fi", "Comedy", "Drama"].map(field).into(),
        numbers: ["year", "price"].map(number).into(),
        texts: vec!["a submarine in the deep sea, alone in space 潜艇".into()],
        has_answers: false,
    })
}

fn memory() -> Memory {
    let mut memory = Memory::new(Language::English, 5);
    memory.show(&[ItemId(1), ItemId(2), ItemId(4)]);
    memory
}

fn said(text: &str) -> Understood {
    understand(text, &lexicon(), &Memory::new(Language::English, 5))
}

fn wishes(said: &Understood) -> String {
    said.wishes.iter().map(|wish| wish.say(Language::English)).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_sentence_becomes_likes_filters_and_words() {
    let one = said("something like Alien but not scary, after 1990");
    assert_eq!((one.intent, &one.like[..]), (Intent::Seek, &[ItemId(0)][..]));
    assert_eq!(wishes(&one), "after 1990, no Horror");
    let two = said("我想看像《Alien》但不恐怖的科幻，1990年以后");
    assert_eq!(
        (two.intent, two.language, &two.like[..]),
        (Intent::Seek, Language::Chinese, &[ItemId(0)][..])
    );
    assert_eq!(wishes(&two), "after 1990, no Horror, Sci-Fi");
    let drama = said("想看1990年以后的剧情片，不要恐怖");
    assert_eq!(wishes(&drama), "after 1990, Drama, no Horror");
    let three =
        said("a funny film about a submarine, no horror or drama, under 20 dollars, not like Heat");
    assert_eq!(wishes(&three), "price below 20, Comedy, no Horror, no Drama");
    assert_eq!(
        (&three.want[..], &three.dislike[..]),
        (&["submarine".to_owned()][..], &[ItemId(1)][..])
    );
    let four = said("give me 3 comedies from the 90s without space");
    assert_eq!(
        (four.n, wishes(&four), &four.avoid[..]),
        (Some(3), "from 1990, up to 1999, Comedy".into(), &["space".to_owned()][..])
    );
}

#[test]
fn titles_are_taken_for_titles_only_where_they_are_meant() {
    assert!(said("I want it dark").like.is_empty());
    assert!(said("turn up the heat").like.is_empty());
    assert_eq!(said("I loved Heat and the matrix").like, [ItemId(1), ItemId(2)]);
    assert_eq!(said("推荐像霸王别姬的电影").like, [ItemId(5)]);
    assert_eq!(said("something like “it”").like, [ItemId(3)]);
    assert_eq!(said("I have seen Heat, something else").seen, [ItemId(1)]);
    assert_eq!(
        said("something like “Night Trian”").unknown,
        Some(Some(ItemId(4))),
        "a slip of the pen"
    );
    assert_eq!(said("something like “Zorblax Returns”").unknown, Some(None));
}

#[test]
fn intents_are_told_apart_with_what_they_are_about() {
    let cases: [(&str, Intent, &[u32]); 16] = [
        ("why the second?", Intent::Why, &[2]),
        ("Why Heat?", Intent::Why, &[1]),
        ("为什么推荐第一个？", Intent::Why, &[1]),
        ("compare the first and the third", Intent::Compare, &[1, 4]),
        ("what is the difference between Heat and Alien?", Intent::Compare, &[1, 0]),
        ("比较一下第一个和第二个", Intent::Compare, &[1, 2]),
        ("I'll take the second one", Intent::Accept, &[2]),
        ("sounds good", Intent::Accept, &[1]),
        ("就这个", Intent::Accept, &[1]),
        ("not that one", Intent::Reject, &[1]),
        ("I don't like the second", Intent::Reject, &[2]),
        ("已经看过了第二个", Intent::Reject, &[2]),
        ("something newer", Intent::Critique, &[]),
        ("换一批", Intent::Critique, &[]),
        ("start over", Intent::Reset, &[]),
        ("blah", Intent::Unclear, &[]),
    ];
    for (text, intent, items) in cases {
        let said = understand(text, &lexicon(), &memory());
        let items: Vec<ItemId> = items.iter().copied().map(ItemId).collect();
        assert_eq!((said.intent, said.items), (intent, items), "{text}");
    }
    assert_eq!(understand("something newer", &lexicon(), &memory()).relative, [(Role::Year, true)]);
}

#[test]
fn what_is_settled_stays_until_it_is_taken_back() {
    let mut memory = memory();
    let lexicon = lexicon();
    for text in [
        "no horror after 1990",
        "not like Heat",
        "horror is fine but before 1980",
        "not the second",
    ] {
        let said = understand(text, &lexicon, &memory);
        memory.settle(&said);
    }
    let expressions: Vec<String> = memory.wishes.iter().map(|wish| wish.expression()).collect();
    assert_eq!(expressions, ["year < 1980.0", "\"Horror\" in genres"]);
    assert_eq!(
        (&memory.dislikes[..], &memory.rejected[..]),
        (&[ItemId(1), ItemId(2)][..], &[ItemId(2)][..])
    );
    memory.settle(&understand("start over", &lexicon, &memory));
    assert_eq!(memory, Memory::new(Language::English, 5));
}

#[test]
fn a_model_can_choose_labels_of_the_catalogue_and_nothing_else() {
    let (lexicon, memory) = (lexicon(), Memory::new(Language::English, 5));
    let hear = |reply: &str| {
        let mut said = said("blah");
        let is_heard = heard(reply, (&lexicon, &memory), &|label| label != "Sci-Fi", &mut said);
        (is_heard, said)
    };
    let (is_heard, understood) =
        hear(r#"{"intent": "seek", "want": ["Comedy"], "avoid": ["Horror"]}"#);
    assert!(is_heard && understood.intent == Intent::Seek);
    assert_eq!(wishes(&understood), "Comedy, no Horror");
    for reply in [
        "",
        "[]",
        r#"{"intent": "sudo"}"#,
        r#"{"want": ["Zorblax"]}"#,
        r#"{"want": ["Sci-Fi"]}"#,
        r#"{"intent": "seek", "want": ["Drama"], "avoid": ["Drama"]}"#,
    ] {
        let (is_heard, understood) = hear(reply);
        assert!(!is_heard && understood.wishes.is_empty(), "{reply}");
    }
    // Without a list there is nothing to take or to ask about.
    assert_eq!(hear(r#"{"intent": "accept", "want": [], "avoid": []}"#).1.intent, Intent::Seek);
}

proptest! {
    #[test]
    fn any_turn_is_read_and_yields_only_what_the_catalogue_has(text in ".{0,80}", more in "[a-z“”\"《》0-9 ,的不年]{0,60}") {
        for text in [text.clone(), more.clone(), format!("{text} {more}")] {
            let said = understand(&text, &lexicon(), &memory());
            let all = said.like.iter().chain(&said.dislike).chain(&said.seen).chain(&said.items);
            prop_assert!(all.copied().all(|item| item.index() < TITLES.len()));
            prop_assert!(said.n.is_none_or(|n| (1..=20).contains(&n)));
            for word in said.want.iter().chain(&said.avoid) {
                prop_assert!("a submarine in the deep sea alone in space 潜艇".contains(word.as_str()), "{}", word);
            }
        }
    }
}

//! Reasons from the outside: what they say, and that none can say more than its evidence.

use proptest::prelude::*;
use tastemaker_dialog::{
    Author, Clause, Error, Evidence, Language, Reason, Rephrased, Wording, explain, guard, rephrase,
};

fn films() -> Wording {
    Wording::new("watched", "plot")
}

fn all_kinds() -> Vec<Evidence> {
    vec![
        Evidence::Took { item: "Alien".into(), share: 0.5 },
        Evidence::AlsoLiked { item: "Blade Runner".into() },
        Evidence::TextLike {
            item: "Solaris".into(),
            shared: vec!["space".into(), "planet".into()],
            similarity: 0.7,
        },
        Evidence::Transition { from: "Aliens".into() },
        Evidence::Popular { count: 583, rank: 3 },
        Evidence::Category { name: "Sci-Fi".into(), share: 0.415 },
    ]
}

fn reason(text: &str, clauses: &[(&str, usize)]) -> Reason {
    let clause =
        |&(text, evidence_index): &(&str, usize)| Clause { text: text.into(), evidence_index };
    Reason { text: text.into(), clauses: clauses.iter().map(clause).collect() }
}

#[test]
fn a_reason_is_one_plain_sentence() {
    let reason = explain(&all_kinds(), &films(), 3).unwrap();
    insta::assert_snapshot!(reason.text, @"Because you watched “Alien”; people who liked “Blade Runner” also liked it; its plot resembles “Solaris” (space, planet).");
    let rest = explain(&all_kinds()[3..], &films(), 3).unwrap();
    insta::assert_snapshot!(rest.text, @"People who watched “Aliens” next watched it; it was watched 583 times, number 3 of all; 42% of what you watched is “Sci-Fi”.");
    let neutral = explain(&all_kinds()[2..3], &Wording::default(), 3).unwrap();
    insta::assert_snapshot!(neutral.text, @"Its description resembles “Solaris” (space, planet).");
}

#[test]
fn facts_that_say_nothing_and_repetitions_are_passed_over() {
    let evidence = [
        Evidence::Took { item: "Alien".into(), share: -0.5 },
        Evidence::Took { item: "Heat".into(), share: f32::NAN },
        Evidence::AlsoLiked { item: "  ".into() },
        Evidence::TextLike { item: "Solaris".into(), shared: vec!["a, b".into()], similarity: 0.1 },
        Evidence::TextLike { item: "Solaris".into(), shared: vec![], similarity: 0.1 },
        Evidence::Popular { count: 1, rank: 9 },
    ];
    let reason = explain(&evidence, &films(), 5).unwrap();
    insta::assert_snapshot!(reason.text, @"Its plot resembles “Solaris”; it was watched 1 time, number 9 of all.");
    assert_eq!(reason.clauses.iter().map(|c| c.evidence_index).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(explain(&evidence[..3], &films(), 5), None);
    assert_eq!(explain(&evidence, &films(), 0), None);
}

#[test]
fn made_up_claims_are_caught_each_by_its_rule() {
    let evidence = all_kinds();
    let one = |text, index| guard::check(&reason(text, &[(text, index)]), &evidence).unwrap_err();
    let title = "Jaws".to_owned();
    assert_eq!(one("you watched “Jaws”", 0), [Error::Title { clause: 0, title: title.clone() }]);
    assert_eq!(one("you watched \"Jaws\"", 0), [Error::Title { clause: 0, title: title.clone() }]);
    assert_eq!(one("you watched “Jaws", 0), [Error::Title { clause: 0, title }]);
    // A true title, but of other evidence than the clause cites.
    assert!(matches!(one("you watched “Solaris”", 0)[..], [Error::Title { .. }]));
    assert!(matches!(one("resembles “Solaris” (shark)", 2)[..], [Error::Term { .. }]));
    assert!(matches!(one("it was watched 584 times", 4)[..], [Error::Number { .. }]));
    assert_eq!(one("critics adored it", 0), [Error::Empty { clause: 0 }]);
    assert_eq!(one("“Alien”", 6), [Error::NoEvidence { clause: 0, index: 6, count: 6 }]);
    let extra =
        reason("You watched “Alien”, and critics adored it.", &[("you watched “Alien”", 0)]);
    assert_eq!(
        guard::check(&extra, &evidence).unwrap_err(),
        [Error::Uncovered { text: "and critics adored it.".into() }]
    );
}

#[test]
fn a_reason_joined_by_other_words_passes() {
    let parts = [("you watched “Alien”", 0), ("people liked “Blade Runner” too", 1)];
    let joined = reason("You watched “Alien”, and people liked “Blade Runner” too.", &parts);
    assert_eq!(guard::check(&joined, &all_kinds()), Ok(()));
}

#[test]
fn json_carries_the_kind_and_comes_back() {
    let evidence = all_kinds();
    let json = serde_json::to_string(&evidence[..2]).unwrap();
    insta::assert_snapshot!(json, @r#"[{"kind":"took","item":"Alien","share":0.5},{"kind":"also-liked","item":"Blade Runner"}]"#);
    assert_eq!(serde_json::from_str::<Vec<Evidence>>(&json).unwrap(), evidence[..2]);
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    // Titles with everything that could confuse: quotation marks, brackets, digits, other scripts.
    let title = || "[a-c“”\"() ;.0-9和ß]{0,8}";
    let share = || -0.5f32..1.5;
    prop_oneof![
        (title(), share()).prop_map(|(item, share)| Evidence::Took { item, share }),
        title().prop_map(|from| Evidence::Transition { from }),
        title().prop_map(|item| Evidence::AlsoLiked { item }),
        (title(), prop::collection::vec(title(), 0..4), share())
            .prop_map(|(item, shared, similarity)| Evidence::TextLike { item, shared, similarity }),
        (0u32..99, 0u32..99).prop_map(|(count, rank)| Evidence::Popular { count, rank }),
        (title(), share()).prop_map(|(name, share)| Evidence::Category { name, share }),
    ]
}

proptest! {
    #[test]
    fn our_own_reasons_always_pass(evidence in prop::collection::vec(any_evidence(), 0..6), max in 0usize..5) {
        if let Some(reason) = explain(&evidence, &films(), max) {
            prop_assert!(reason.clauses.len() <= max);
            prop_assert_eq!(guard::check(&reason, &evidence), Ok(()));
        }
    }

    #[test]
    fn a_reason_fails_without_its_evidence_or_with_a_made_up_title(
        evidence in prop::collection::vec(any_evidence(), 1..6),
        made_up in "[x-z]{1,8}",
        which in any::<prop::sample::Index>(),
    ) {
        let Some(reason) = explain(&evidence, &films(), 9) else { return Ok(()) };
        // Cite a piece that is not there.
        let last = reason.clauses.iter().map(|c| c.evidence_index).max().unwrap_or(0);
        prop_assert!(guard::check(&reason, &evidence[..last]).is_err());
        // Swap in a claim about something else, in the clause and in the sentence.
        let clause = which.index(reason.clauses.len());
        let mut forged = reason.clone();
        forged.clauses[clause].text = format!("you watched “{made_up}”");
        let texts: Vec<&str> = forged.clauses.iter().map(|c| c.text.as_str()).collect();
        forged.text = texts.join("; ");
        prop_assert_eq!(
            guard::check(&forged, &evidence),
            Err(vec![Error::Title { clause, title: made_up }])
        );
        // Add a claim that no clause covers.
        let mut extra = reason;
        extra.text.push_str(" Critics adored it.");
        prop_assert!(guard::check(&extra, &evidence).is_err());
    }

    #[test]
    fn the_guard_never_panics(text in ".{0,40}", clause in ".{0,20}", evidence in any_evidence()) {
        let given = reason(&text, &[(&clause, 0)]);
        drop(guard::check(&given, &[evidence]));
    }
}

fn chinese() -> Wording {
    Wording::new("看过", "剧情").in_language(Language::Chinese)
}

#[test]
fn a_reason_is_said_in_chinese() {
    let reason = explain(&all_kinds(), &chinese(), 3).unwrap();
    insta::assert_snapshot!(reason.text, @"因为您看过《Alien》；喜欢《Blade Runner》的人也喜欢它；它的剧情与《Solaris》相似（space、planet）。");
    // English words give way to plain ones.
    let plain = Wording::new("watched", "plot").in_language(Language::Chinese);
    let rest = explain(&all_kinds()[3..], &plain, 3).unwrap();
    insta::assert_snapshot!(rest.text, @"选过《Aliens》的人接下来选择了它；它被选过 583 次，在全部中排第 3；您选过的有 42% 属于“Sci-Fi”。");
    assert_eq!(guard::check(&rest, &all_kinds()[3..]), Ok(()));
}

/// Puts the reply where a model would.
fn told(evidence: &[Evidence], wording: &Wording, reply: &str) -> Rephrased {
    let reason = explain(evidence, wording, 4).expect("there is evidence");
    rephrase(&reason, evidence, wording, &mut |_| Ok(reply.to_owned()))
}

#[test]
fn a_model_may_say_the_evidence_in_other_words() {
    let evidence = &all_kinds()[..2];
    let reply = r#"[{"id": 0, "text": "You watched “Alien” before"}, {"id": 1, "text": "Others who enjoyed \"Blade Runner\" enjoyed this too."}]"#;
    let said = told(evidence, &films(), reply);
    assert_eq!(said.author, Author::Model);
    insta::assert_snapshot!(said.reason.text, @"You watched “Alien” before. Others who enjoyed “Blade Runner” enjoyed this too.");
    let said = told(
        evidence,
        &chinese(),
        r#"[{"id": 0, "text": "您之前看过《Alien》"}, {"id": 1, "text": "喜欢《Blade Runner》的用户同样喜欢这部"}]"#,
    );
    assert_eq!((said.author, said.dropped), (Author::Model, vec![]));
    insta::assert_snapshot!(said.reason.text, @"您之前看过《Alien》。喜欢《Blade Runner》的用户同样喜欢这部。");
}

#[test]
fn what_a_model_makes_up_is_dropped_and_the_template_takes_its_place() {
    let evidence = &all_kinds()[..2];
    for claim in [
        "Critics adored “Blade Runner”",
        "People who liked “Jaws” also liked it",
        "People who liked “Blade Runner” and Jaws also liked it",
        "97 people who liked “Blade Runner” also liked it",
        "You watched “Blade Runner”",
        "People who liked “Blade Runner” (robots) also liked it",
        "People also liked it",
        "People who liked “Blade Runner” never liked it",
    ] {
        let reply = serde_json::json!([{ "id": 0, "text": "You watched “Alien”" }, { "id": 1, "text": claim }]);
        let said = told(evidence, &films(), &reply.to_string());
        assert_eq!(said.author, Author::Both, "{claim}");
        assert!(!said.dropped.is_empty(), "{claim}");
        assert_eq!(
            said.reason.text,
            "You watched “Alien”. People who liked “Blade Runner” also liked it."
        );
    }
}

#[test]
fn a_model_that_fails_leaves_the_template() {
    let evidence = all_kinds();
    let reason = explain(&evidence, &films(), 3).unwrap();
    let failed = rephrase(&reason, &evidence, &films(), &mut |_| Err("it took too long".into()));
    assert_eq!((failed.reason, failed.failure.as_deref()), (reason, Some("it took too long")));
    for reply in
        ["", "nonsense", "[]", "{}", r#"[{"id": 7, "text": "“Alien”"}]"#, r#"[{"id": "0"}]"#]
    {
        let said = told(&evidence, &films(), reply);
        assert_eq!(
            (said.author, said.reason.text),
            (Author::Template, explain(&evidence, &films(), 4).unwrap().text),
            "{reply}"
        );
    }
}

/// Sentences of a model that makes things up: true words, other titles, numbers, terms and signs, in any order.
fn any_sentence() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("you watched".to_owned()),
        Just("people who liked".to_owned()),
        Just("also liked it".to_owned()),
        Just("its plot resembles".to_owned()),
        Just("“Alien”".to_owned()),
        Just("《Alien》".to_owned()),
        Just("'Solaris'".to_owned()),
        Just("“Blade Runner".to_owned()),
        Just("\"Jaws\"".to_owned()),
        Just("(space, sharks)".to_owned()),
        Just("Zorblax".to_owned()),
        Just("critics adored".to_owned()),
        Just("最好的".to_owned()),
        "[0-9]{1,3}%?",
        "[a-z“”\"()《》『]{1,6}",
        ".{0,6}",
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn no_claim_of_a_model_that_makes_things_up_gets_through(
        evidence in prop::collection::vec(any_evidence(), 1..5),
        sentences in prop::collection::vec((0usize..6, any_sentence()), 0..6),
        is_chinese in any::<bool>(),
    ) {
        let wording = if is_chinese { chinese() } else { films() };
        let Some(reason) = explain(&evidence, &wording, 4) else { return Ok(()) };
        let list: Vec<serde_json::Value> =
            sentences.iter().map(|(id, text)| serde_json::json!({ "id": id, "text": text })).collect();
        let reply = serde_json::Value::from(list).to_string();
        let said = rephrase(&reason, &evidence, &wording, &mut |_| Ok(reply.clone()));
        prop_assert_eq!(guard::check(&said.reason, &evidence), Ok(()));
        prop_assert_eq!(said.reason.clauses.len(), reason.clauses.len());
        for made_up in ["Zorblax", "critics", "adored", "Jaws", "sharks", "最好", "最"] {
            let is_known = format!("{evidence:?}").contains(made_up);
            prop_assert!(is_known || !said.reason.text.contains(made_up), "{}", said.reason.text);
        }
        for clause in &said.reason.clauses {
            let fact = &evidence[clause.evidence_index];
            // Every number of a sentence is one of its evidence, in a title or by itself.
            let own: String = format!("{fact:?} {} {}", clause.evidence_index, reason.text);
            let numbers = clause.text.split(|c: char| !c.is_numeric()).filter(|number| !number.is_empty());
            for number in numbers {
                prop_assert!(own.contains(number), "{} in {}", number, clause.text);
            }
        }
    }
}

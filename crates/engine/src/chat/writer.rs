//! A model that writes, asked under a ceiling of time: whoever waits gets an answer or an excuse in time, whatever the model does.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tastemaker_core::{Clock, SystemClock};
use tastemaker_text::{ChatModel, ChatRequest, Ended, Error, Likelihood, LogProb, Turn};

/// A model that words answers and, where it tells how likely texts are, orders lists.
#[derive(Clone)]
pub struct Writer {
    chat: Arc<dyn ChatModel>,
    likelihood: Option<Arc<dyn Likelihood>>,
    local: Option<Arc<Local>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("id", &self.chat.id()).finish_non_exhaustive()
    }
}

/// Threads of a model of this machine. They are its own: who waits for it may be a thread of the common pool, and would keep it from working. And one
/// call at a time is let in: a thread that waits for a part of one call would take up another, which waits for the first to end.
struct Local {
    pool: rayon::ThreadPool,
    turn: Mutex<()>,
}

impl Local {
    fn run<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.pool.install(run)
    }
}

/// Time that is left for something.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    clock: SystemClock,
    seconds: f64,
}

impl Ceiling {
    /// Begins now.
    pub fn new(seconds: f64) -> Self {
        Self { clock: SystemClock::default(), seconds }
    }

    /// Returns the seconds that are left.
    pub fn left(&self) -> f64 {
        (self.seconds - self.clock.seconds()).max(0.0)
    }
}

/// Tells a model to stop when nobody waits any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Writer {
    /// Asks a service; calls run side by side.
    pub fn new(chat: Arc<dyn ChatModel>, likelihood: Option<Arc<dyn Likelihood>>) -> Self {
        Self { chat, likelihood, local: None }
    }

    /// Asks a model that computes on this machine; calls wait for one another.
    pub fn local(chat: Arc<dyn ChatModel>, likelihood: Option<Arc<dyn Likelihood>>) -> Self {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(rayon::current_num_threads())
            .thread_name(|_| "writer".into())
            .build();
        // Without a pool of its own it shares the common one.
        let local = pool.ok().map(|pool| Arc::new(Local { pool, turn: Mutex::new(()) }));
        Self { chat, likelihood, local }
    }

    /// Names the model.
    pub fn id(&self) -> String {
        self.chat.id()
    }

    /// Tells whether it says how likely texts are.
    pub const fn tells_likelihood(&self) -> bool {
        self.likelihood.is_some()
    }

    /// Returns a reply, or says why there is none.
    pub fn ask(&self, request: &ChatRequest, ceiling: &Ceiling) -> Result<String, String> {
        let (chat, request) = (self.chat.clone(), request.clone());
        self.within(ceiling, move |gone| {
            let reply = chat.reply(&request, &mut |_| !gone.load(Ordering::Relaxed))?;
            Ok((reply.ended != Ended::Interrupted).then_some(reply.text))
        })
    }

    /// Returns how likely each text is to come next, or says why that is not known.
    pub fn log_probs(
        &self,
        turns: &[Turn],
        texts: &[String],
        ceiling: &Ceiling,
    ) -> Result<Vec<LogProb>, String> {
        let Some(model) = self.likelihood.clone() else {
            return Err("the model does not tell how likely texts are".into());
        };
        let (turns, texts) = (turns.to_vec(), texts.to_vec());
        self.within(ceiling, move |gone| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            model.log_probs_while(&turns, &texts, &mut || !gone.load(Ordering::Relaxed))
        })
    }

    /// Runs something beside, and waits for it as long as the ceiling allows. A service that does not answer cannot be interrupted, but nobody
    /// has to wait for it.
    fn within<T: Send + 'static>(
        &self,
        ceiling: &Ceiling,
        run: impl FnOnce(&AtomicBool) -> Result<Option<T>, Error> + Send + 'static,
    ) -> Result<T, String> {
        let late = || "it took longer than the time ceiling".to_owned();
        let left = ceiling.left();
        if left <= 0.0 {
            return Err(late());
        }
        let gone = Arc::new(AtomicBool::new(false));
        let stop = Stop(gone.clone());
        let (tell, hear) = channel();
        let beside = std::thread::Builder::new().name("writer".into());
        // Nobody hears an answer that comes too late.
        let local = self.local.clone();
        let work = move || match local {
            Some(local) => local.run(|| run(&gone)),
            None => run(&gone),
        };
        let started = beside.spawn(move || tell.send(work()).ok());
        started.map_err(|error| format!("no thread could be started: {error}"))?;
        let heard = hear.recv_timeout(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX));
        drop(stop);
        match heard {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) | Err(RecvTimeoutError::Timeout) => Err(late()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(RecvTimeoutError::Disconnected) => Err("the model broke down".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;
    use tastemaker_text::{Reply, ReplyForm, ReplySettings};

    use super::*;

    /// Answers when it is asked to stop, or at once.
    struct Slow {
        is_slow: bool,
    }

    impl ChatModel for Slow {
        fn id(&self) -> String {
            "slow".into()
        }

        fn reply(
            &self,
            _: &ChatRequest,
            listen: &mut dyn FnMut(&str) -> bool,
        ) -> Result<Reply, Error> {
            while self.is_slow && listen("") {
                std::thread::yield_now();
            }
            let ended = if self.is_slow { Ended::Interrupted } else { Ended::Stop };
            Ok(Reply {
                text: "x".into(),
                ended,
                prompt_tokens: 1,
                cached_tokens: 0,
                reply_tokens: 1,
            })
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_ceiling() {
        let request = ChatRequest {
            turns: Vec::new(),
            form: ReplyForm::Free,
            settings: ReplySettings::default(),
        };
        let ask = |is_slow, seconds| {
            Writer::new(Arc::new(Slow { is_slow }), None).ask(&request, &Ceiling::new(seconds))
        };
        assert_eq!(ask(false, 60.0), Ok("x".into()));
        assert!(ask(true, 0.05).unwrap_err().contains("ceiling"));
        assert!(ask(false, 0.0).is_err(), "no time at all");
    }

    /// Computes on all threads while it holds a lock, as models of this machine do.
    #[derive(Default)]
    struct Parallel {
        lock: Mutex<()>,
    }

    impl ChatModel for Parallel {
        fn id(&self) -> String {
            "parallel".into()
        }

        fn reply(&self, _: &ChatRequest, _: &mut dyn FnMut(&str) -> bool) -> Result<Reply, Error> {
            let _held = self.lock.lock().unwrap();
            let sum: u64 = (0..10_000u64).into_par_iter().map(|x| x % 7).sum();
            let text = sum.to_string();
            Ok(Reply {
                text,
                ended: Ended::Stop,
                prompt_tokens: 1,
                cached_tokens: 0,
                reply_tokens: 1,
            })
        }
    }

    #[test]
    fn many_threads_may_ask_at_once_from_inside_the_common_pool() {
        let request = ChatRequest {
            turns: Vec::new(),
            form: ReplyForm::Free,
            settings: ReplySettings::default(),
        };
        let writer = Writer::local(Arc::new(Parallel::default()), None);
        let replies: Vec<_> =
            (0..200).into_par_iter().map(|_| writer.ask(&request, &Ceiling::new(60.0))).collect();
        assert!(replies.iter().all(Result::is_ok));
    }

    #[test]
    fn a_model_that_tells_no_likelihood_says_so() {
        let writer = Writer::new(Arc::new(Slow { is_slow: false }), None);
        let said = writer.log_probs(&[], &["x".into()], &Ceiling::new(9.0));
        assert!(said.unwrap_err().contains("does not tell"));
    }
}

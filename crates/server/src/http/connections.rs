//! The connections that are open: each is looked at now and then, and told when it is to end.
//!
//! One clock for all of them. One of its own for each would be looked at whenever a connection is woken, twice a request.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use atomic_waker::AtomicWaker;

/// How long a connection may take for its headers, and stay open without a request.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);
/// In how many steps that is counted.
const TICKS: u32 = 5;
/// How often [`Connections::tick`] is to be called.
pub(super) const TICK: Duration = HEADER_PATIENCE.checked_div(TICKS).unwrap();

/// All of one listener.
#[derive(Default)]
pub(super) struct Connections(Mutex<Open>);

#[derive(Default)]
struct Open {
    /// By the order in which they came.
    lines: HashMap<u64, Arc<Line>>,
    came: u64,
    /// No more requests are taken.
    ending: bool,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, until it is dropped.
    pub(super) fn join(self: &Arc<Self>) -> Member {
        let mut open = self.open();
        open.came += 1;
        let (number, line) = (open.came, Arc::new(Line::default()));
        line.finish.store(open.ending, Ordering::Relaxed);
        open.lines.insert(number, Arc::clone(&line));
        Member { number, line, all: Arc::clone(self) }
    }

    /// Looks at all of them: those that were quiet for [`HEADER_PATIENCE`], or a tick more, are to end.
    pub(super) fn tick(&self) {
        for line in self.open().lines.values() {
            if line.quiet.tick() {
                line.tell(&line.leave);
            }
        }
    }

    /// Lets each finish what it is at.
    pub(super) fn finish(&self) {
        let mut open = self.open();
        open.ending = true;
        open.lines.values().for_each(|line| line.tell(&line.finish));
    }
}

#[derive(Default)]
struct Line {
    quiet: Quiet,
    finish: AtomicBool,
    leave: AtomicBool,
    task: AtomicWaker,
}

impl Line {
    fn tell(&self, what: &AtomicBool) {
        what.store(true, Ordering::Relaxed);
        // Whoever is woken sees what was stored before.
        self.task.wake();
    }
}

/// A connection among the others.
pub(super) struct Member {
    number: u64,
    line: Arc<Line>,
    all: Arc<Connections>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.all.open().lines.remove(&self.number);
    }
}

/// A connection that can be asked to take no more requests.
pub(super) trait Finish: Future {
    fn finish(self: Pin<&mut Self>);
}

impl Member {
    /// Where to tell what happens on it.
    pub(super) fn activity(&self) -> Activity {
        Activity(Arc::clone(&self.line))
    }

    /// Serves it to its end; `None` if it was quiet for too long.
    pub(super) async fn serve<C: Finish>(&self, connection: C) -> Option<C::Output> {
        let (line, mut connection) = (&*self.line, std::pin::pin!(connection));
        let (mut registered, mut finishing) = (false, false);
        std::future::poll_fn(move |context: &mut Context<'_>| {
            // A task is woken by the same waker for all its life.
            if !std::mem::replace(&mut registered, true) {
                line.task.register(context.waker());
            }
            if line.leave.load(Ordering::Relaxed) {
                return Poll::Ready(None);
            }
            if line.finish.load(Ordering::Relaxed) && !std::mem::replace(&mut finishing, true) {
                connection.as_mut().finish();
            }
            connection.as_mut().poll(context).map(Some)
        })
        .await
    }
}

/// What happens on a connection, told by those who see it.
#[derive(Clone)]
pub(super) struct Activity(Arc<Line>);

impl Activity {
    /// A request has come.
    pub(super) fn begins(&self) {
        self.0.quiet.0.store(Quiet::NOT, Ordering::Relaxed);
    }

    /// It is answered.
    pub(super) fn ends(&self) {
        self.0.quiet.0.store(0, Ordering::Relaxed);
    }

    /// Somebody reads a long reply: that is not quiet, however slow. Whoever does not read at all is the kernel's business.
    pub(super) fn is_read(&self) {
        let quiet = &self.0.quiet.0;
        let now = quiet.load(Ordering::Relaxed);
        if now != Quiet::NOT && now != 0 {
            let _ = quiet.compare_exchange(now, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// For how long a connection has had no whole request: it may be idle, or slow with its headers. Counted in ticks.
#[derive(Default)]
struct Quiet(AtomicU32);

impl Quiet {
    /// The count while a request is being answered.
    const NOT: u32 = u32::MAX;

    /// Whether it is too long now.
    fn tick(&self) -> bool {
        let now = self.0.load(Ordering::Relaxed);
        if now == Self::NOT {
            return false;
        }
        // A request that comes just now is not to be forgotten.
        let _ = self.0.compare_exchange(now, now + 1, Ordering::Relaxed, Ordering::Relaxed);
        now >= TICKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection on which nothing happens; once it is to finish, it does.
    #[derive(Default)]
    struct Silent {
        finished: bool,
    }

    impl Future for Silent {
        type Output = &'static str;

        fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
            if self.finished { Poll::Ready("finished") } else { Poll::Pending }
        }
    }

    impl Finish for Silent {
        fn finish(mut self: Pin<&mut Self>) {
            self.finished = true;
        }
    }

    fn ticks(all: &Connections, count: u32) {
        (0..count).for_each(|_| all.tick());
    }

    #[tokio::test]
    async fn whoever_is_quiet_for_too_long_has_to_leave() {
        let all = Arc::<Connections>::default();
        let member = all.join();
        let activity = member.activity();
        let served = tokio::spawn(async move { member.serve(Silent::default()).await });
        // Answering takes as long as it takes.
        activity.begins();
        ticks(&all, 10 * TICKS);
        activity.ends();
        ticks(&all, TICKS);
        // So does reading the reply.
        activity.is_read();
        ticks(&all, TICKS);
        tokio::task::yield_now().await;
        assert!(!served.is_finished());
        all.tick();
        assert_eq!(served.await.unwrap(), None);
        assert!(all.open().lines.is_empty());
    }

    #[tokio::test]
    async fn whoever_is_there_at_the_end_finishes_and_whoever_comes_later_does_too() {
        let all = Arc::<Connections>::default();
        let member = all.join();
        let served = tokio::spawn(async move { member.serve(Silent::default()).await });
        tokio::task::yield_now().await;
        all.finish();
        assert_eq!(served.await.unwrap(), Some("finished"));
        assert_eq!(all.join().serve(Silent::default()).await, Some("finished"));
    }
}

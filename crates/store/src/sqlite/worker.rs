//! Threads that own connections, and the jobs they run.
//!
//! The writer runs what waits in one transaction. If a job fails, the whole transaction is rolled back and each job is run
//! again in one of its own, so that a failing one takes nobody with it; jobs are therefore written to be run again.

use std::{
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use regrant_engine::{
    ports::{Broken, Random},
    token::GrantId,
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Listener, OnLostDisk, event, fault::Fault, grants::Desk};

/// Jobs in one transaction at most: more would make the first wait without making the commit cheaper.
const BATCH: usize = 256;
/// Writes between two checkpoints of the WAL under load. Without load it is done when the queue is empty for a while.
const CHECKPOINT_EVERY: usize = 8 * 1024;
/// A commit of one job counts as so many: jobs that are committed together share the pages that they write.
const LEAST_PER_COMMIT: usize = 8;
const IDLE: Duration = Duration::from_secs(1);
/// Rows that are read ahead between two transactions: half a millisecond's work.
const WARM_AT_ONCE: u32 = 1024;
/// States that are folded in one transaction where nobody waits.
const FOLD_AT_REST: usize = 256;

/// Work for a connection, with the way back to the one who waits.
pub(super) struct Job<T, F> {
    /// Let go of before the answer is given: it may hold the store itself, which the one who is answered may want to close.
    work: Option<F>,
    outcome: Option<Result<T, Broken>>,
    /// The grant that it begins with, if one is known.
    grant: Option<GrantId>,
    /// It writes nothing: if it fails, it fails alone, and nobody else's work has to be done again.
    only_reads: bool,
    answer: Option<oneshot::Sender<Result<T, Broken>>>,
    promise: Option<oneshot::Receiver<Result<T, Broken>>>,
}

impl<T, F> Job<T, F> {
    pub(super) fn new(work: F) -> Self {
        let (answer, promise) = oneshot::channel();
        Self {
            work: Some(work),
            outcome: None,
            grant: None,
            only_reads: false,
            answer: Some(answer),
            promise: Some(promise),
        }
    }

    /// One that begins with this grant.
    pub(super) fn on(grant: GrantId, work: F) -> Self {
        Self { grant: Some(grant), ..Self::new(work) }
    }

    /// One that writes nothing.
    pub(super) fn reading(work: F) -> Self {
        Self { only_reads: true, ..Self::new(work) }
    }
}

/// A [`Job`] without its type, for a thread that has a `D`.
trait Task<D>: Send {
    fn grant(&self) -> Option<&GrantId>;
    fn run(&mut self, db: &D) -> Result<(), Fault>;
    fn answer(&mut self, result: Result<(), Broken>);
}

impl<D, T: Send, F: FnMut(&D) -> Result<T, Fault> + Send> Task<D> for Job<T, F> {
    fn grant(&self) -> Option<&GrantId> {
        self.grant.as_ref()
    }

    fn run(&mut self, db: &D) -> Result<(), Fault> {
        let Some(work) = &mut self.work else {
            return Err(Fault::damaged("a job was run after its answer"));
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(db)))
            .unwrap_or_else(|_| Err(Fault::damaged("a job of the store panicked; see the log")));
        self.outcome = Some(match outcome {
            Ok(outcome) => Ok(outcome),
            Err(fault) if self.only_reads => Err(fault.into()),
            Err(fault) => return Err(fault),
        });
        Ok(())
    }

    fn answer(&mut self, result: Result<(), Broken>) {
        let result = match (result, self.outcome.take()) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(Broken::Store("a job left no outcome".to_owned())),
            (Err(broken), _) => Err(broken),
        };
        self.work = None;
        if let Some(answer) = self.answer.take() {
            // Whoever asked may have gone: a client that closed its connection. What was done stays done.
            let _ = answer.send(result);
        }
    }
}

/// Threads that take jobs from one queue, each with a `D` of its own.
pub(super) struct Workers<D> {
    queue: Option<SyncSender<Box<dyn Task<D>>>>,
    /// How many jobs are queued.
    waiting: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

/// What the writing thread has.
pub(super) struct Writer {
    pub(super) desk: Desk,
    /// For the events that it writes.
    pub(super) random: Arc<dyn Random>,
}

impl Deref for Writer {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Workers<Writer> {
    /// `checkpoints` is a second connection to the same file, for the thread that writes the log back.
    pub(super) fn writer(
        writer: Writer,
        checkpoints: Connection,
        queue: usize,
        on_lost_disk: OnLostDisk,
        listener: Option<Arc<dyn Listener>>,
    ) -> Self {
        let (sender, receiver) = sync_channel(queue);
        let waiting = Arc::<AtomicUsize>::default();
        let around = Around { on_lost_disk: Arc::new(on_lost_disk), listener, waiting: Arc::clone(&waiting) };
        let thread = thread::spawn(move || {
            let checkpointer = Checkpointer::new(checkpoints, Arc::clone(&around.on_lost_disk));
            write(&writer, &checkpointer, &receiver, &around);
            // The writer's connection is the last to close: it writes the rest of the log back, and removes it.
            drop(checkpointer);
        });
        Self { queue: Some(sender), waiting, threads: vec![thread] }
    }
}

impl Workers<Connection> {
    pub(super) fn readers(connections: Vec<Connection>, queue: usize) -> Self {
        let (sender, receiver) = sync_channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        let waiting = Arc::<AtomicUsize>::default();
        let spawn = |db: Connection| {
            let (receiver, waiting) = (Arc::clone(&receiver), Arc::clone(&waiting));
            thread::spawn(move || read(&db, &receiver, &waiting))
        };
        let threads = connections.into_iter().map(spawn).collect();
        Self { queue: Some(sender), waiting, threads }
    }
}

impl<D> Workers<D> {
    /// How many jobs are queued and not yet begun.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Queues a job.
    pub(super) fn submit<T, F>(&self, mut job: Job<T, F>) -> Result<oneshot::Receiver<Result<T, Broken>>, Broken>
    where
        T: Send + 'static,
        F: FnMut(&D) -> Result<T, Fault> + Send + 'static,
    {
        let stopped = || Broken::Store("the store is stopping".to_owned());
        let promise = job.promise.take().ok_or_else(stopped)?;
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        // Counted before it is queued: else it could be taken, and counted off, first.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        queue.try_send(Box::new(job)).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => Broken::Overloaded,
                TrySendError::Disconnected(_) => stopped(),
            }
        })?;
        Ok(promise)
    }
}

/// Finishes what is queued, then closes the connections: SQLite writes the WAL back and removes it.
impl<D> Drop for Workers<D> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A job may be the last to hold the store. Its own thread goes on to the end of the queue, and ends by itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// Whom the writer tells of its work.
struct Around {
    on_lost_disk: Arc<OnLostDisk>,
    listener: Option<Arc<dyn Listener>>,
    waiting: Arc<AtomicUsize>,
}

fn write(writer: &Writer, checkpointer: &Checkpointer, queue: &Receiver<Box<dyn Task<Writer>>>, around: &Around) {
    if around.listener.as_ref().is_some_and(|listener| listener.wants_events()) {
        event::keep_told();
    }
    let mut since_checkpoint = 0;
    let mut batch = Vec::with_capacity(BATCH);
    let (mut warming, mut folding) = (true, false);
    let mut patience = Duration::ZERO;
    loop {
        match queue.recv_timeout(patience) {
            Ok(job) => batch.push(job),
            Err(RecvTimeoutError::Timeout) => {
                // Nobody waits: what will be used is read, and what is newer than its row is written, a little at a time.
                let at_rest = folding || patience == IDLE;
                warming = warming && warm(writer);
                folding = !warming && at_rest && fold(writer, FOLD_AT_REST, true, around);
                patience = if warming || folding { Duration::ZERO } else { IDLE };
                if patience == IDLE && since_checkpoint > 0 {
                    checkpoint(writer, &around.on_lost_disk);
                    since_checkpoint = 0;
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        batch.extend(queue.try_iter().take(BATCH - 1));
        around.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        since_checkpoint += batch.len().max(LEAST_PER_COMMIT);
        commit_all(writer, &mut batch, around);
        // Twice as many as came in: it gets ahead of them.
        fold(writer, 2 * batch.len().max(LEAST_PER_COMMIT), false, around);
        warming = warming && warm(writer);
        (patience, folding) = (if warming { Duration::ZERO } else { IDLE }, false);
        batch.clear();
        if checkpointer.has_nearly_finished() {
            // What came in meanwhile is little; with it all is written back, and the log begins anew.
            checkpoint(writer, &around.on_lost_disk);
        }
        if since_checkpoint >= CHECKPOINT_EVERY {
            checkpointer.begin();
            since_checkpoint = 0;
        }
    }
}

/// Runs the jobs in one transaction, or each in its own if one fails, and answers them.
fn commit_all(writer: &Writer, batch: &mut [Box<dyn Task<Writer>>], around: &Around) {
    if let Some(listener) = &around.listener {
        listener.begins();
    }
    let done = transaction(writer, batch);
    // Taken whatever became of it: what was rolled back has not happened, and nobody is told of it.
    let events = event::take_told();
    if let (Ok(()), Some(listener)) = (&done, &around.listener) {
        listener.committed(batch.len(), events);
    }
    match done {
        Ok(()) => batch.iter_mut().for_each(|job| job.answer(Ok(()))),
        Err(fault) if fault.is_lost_disk() => (around.on_lost_disk)(&Broken::from(fault).to_string()),
        Err(fault) => match batch {
            [job] => {
                let broken = Broken::from(fault);
                tracing::error!(%broken, "a transaction failed and was rolled back");
                job.answer(Err(broken));
            }
            batch => batch.chunks_mut(1).for_each(|alone| commit_all(writer, alone, around)),
        },
    }
}

fn transaction(writer: &Writer, batch: &mut [Box<dyn Task<Writer>>]) -> Result<(), Fault> {
    writer.fetch(batch.iter().filter_map(|job| job.grant()));
    writer.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = batch
        .iter_mut()
        .try_for_each(|job| job.run(writer))
        .and_then(|()| writer.seal())
        .and_then(|()| Ok(writer.prepare_cached("COMMIT")?.execute([]).map(|_| ())?));
    match done {
        Ok(()) => writer.sealed(),
        Err(_) => roll_back(writer),
    }
    done
}

fn roll_back(desk: &Desk) {
    if !desk.is_autocommit() {
        // A rollback that fails leaves nothing behind either: the next BEGIN fails, and so every job after it.
        let _ = desk.execute_batch("ROLLBACK");
    }
    desk.undo();
}

/// Reads some rows ahead of their use; whether there is more to read.
fn warm(desk: &Desk) -> bool {
    desk.warm(WARM_AT_ONCE).unwrap_or_else(|fault| {
        tracing::warn!(broken = %Broken::from(fault), "grants could not be read ahead; they are read when they are used");
        false
    })
}

/// A step of a fold, if one is due; whether it was. One that fails is tried again with the next transaction: nothing is lost.
fn fold(desk: &Desk, states: usize, idle: bool, around: &Around) -> bool {
    if !desk.is_to_fold(idle) {
        return false;
    }
    let Err(fault) = desk.fold(states) else { return true };
    roll_back(desk);
    if fault.is_lost_disk() {
        (around.on_lost_disk)(&Broken::from(fault).to_string());
    } else {
        tracing::error!(broken = %Broken::from(fault), "the journal of the grants could not be folded; it will grow");
    }
    false
}

/// A thread that writes the log back beside the writer, which does not wait for it: else everybody would, for as long as the
/// disk takes.
struct Checkpointer {
    begin: Option<SyncSender<()>>,
    finished: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    fn new(db: Connection, on_lost_disk: Arc<OnLostDisk>) -> Self {
        let (begin, begun) = sync_channel(1);
        let finished = Arc::<AtomicBool>::default();
        let done = Arc::clone(&finished);
        let thread = thread::spawn(move || {
            while begun.recv().is_ok() {
                checkpoint(&db, &on_lost_disk);
                done.store(true, Ordering::Release);
            }
        });
        Self { begin: Some(begin), finished, thread: Some(thread) }
    }

    /// Writes back what is in the log by now. One that is under way goes on.
    fn begin(&self) {
        if let Some(begin) = &self.begin {
            let _ = begin.try_send(());
        }
    }

    /// Whether one has finished since this was last asked.
    fn has_nearly_finished(&self) -> bool {
        self.finished.swap(false, Ordering::Acquire)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes the WAL back into the file. Done here and not by SQLite's own hook, which would hide a failed sync.
fn checkpoint(db: &Connection, on_lost_disk: &OnLostDisk) {
    let result = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = result {
        let fault = Fault::from(error);
        if fault.is_lost_disk() {
            on_lost_disk(&Broken::from(fault).to_string());
        } else {
            tracing::error!(broken = %Broken::from(fault), "the write-ahead log could not be written back; it will grow");
        }
    }
}

fn read(db: &Connection, queue: &Mutex<Receiver<Box<dyn Task<Connection>>>>, waiting: &AtomicUsize) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = job else { return };
        waiting.fetch_sub(1, Ordering::Relaxed);
        // One transaction, so that a job that reads twice reads the same.
        let done = db.execute_batch("BEGIN").map_err(Fault::from).and_then(|()| job.run(db));
        if let Err(error) = db.execute_batch("COMMIT") {
            tracing::error!(%error, "a reading transaction could not be closed");
        }
        job.answer(done.map_err(Broken::from));
    }
}

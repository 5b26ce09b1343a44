//! How a verb becomes a transaction: begun, committed or rolled back, and tried again where that is safe.

use regrant_engine::ports::Broken;
use tokio::task::JoinError;

use super::{fault::Fault, pool::Lease};

/// How often a transaction is tried that others made fail.
const TRIES: u32 = 12;

/// Runs the verb on a transaction, as often as it takes, and gives its value or what broke.
macro_rules! transact {
    ($inner:expr, $db:ident => $verb:expr) => {{
        let mut tries = 0;
        loop {
            let lease = match $inner.pool.take().await {
                Ok(lease) => lease,
                Err(fault) => break Err($crate::postgres::Broken::from(fault)),
            };
            lease.begin();
            let done = {
                let $db: &$crate::postgres::pool::Db = &lease;
                $verb.await
            };
            tries += 1;
            if let Some(ended) = $crate::postgres::transaction::end(lease, done, tries).await {
                break ended;
            }
        }
    }};
}

/// Commits or rolls back; `None` if it is to be tried again.
pub(super) async fn end<T>(lease: Lease, done: Result<T, Fault>, tries: u32) -> Option<Result<T, Broken>> {
    let (lease, fault) = match done {
        Ok(value) => {
            // From here on it is not given up: what is committed is told to whoever listens.
            let committing = tokio::spawn(async move {
                let committed = lease.commit().await;
                (lease, committed)
            });
            match committing.await {
                Ok((_, Ok(()))) => return Some(Ok(value)),
                // Only an answer says that nothing was committed. Without one nobody knows, and the caller asks again: that is
                // safe.
                Ok((_, Err(fault))) if !fault.is_passing() => return Some(Err(fault.into())),
                Ok((lease, Err(fault))) => (lease, fault),
                Err(_) => return Some(Err(Broken::Store("the store is stopping".to_owned()))),
            }
        }
        Err(fault) => (lease, fault),
    };
    if fault.is_stale_plan() {
        lease.forget_statements();
    }
    if fault.is_lost() {
        lease.spoil();
    }
    let again = match fault.is_lost() {
        // The pool may hold more that are dead; it makes new ones then.
        true => tries < 3,
        false => fault.is_passing() && tries < TRIES,
    };
    lease.roll_back().await;
    drop(lease);
    if again {
        if tries > 3 {
            // Nobody is to meet the same others at the same moment again.
            tokio::task::yield_now().await;
        }
        None
    } else {
        Some(Err(fault.into()))
    }
}

/// A verb that writes: it goes on when the request that asked for it is given up.
macro_rules! write {
    ($self:ident, $db:ident => $verb:expr) => {{
        let inner = ::std::sync::Arc::clone(&$self.inner);
        Box::pin(async move { $crate::postgres::transaction::joined(tokio::spawn(async move { transact!(inner, $db => $verb) }).await) })
    }};
}

/// A verb that uses a token: it goes no further than the request that asked for it. Later, when its holder has gone on, the same
/// token would be an old one, and who uses those is a thief.
macro_rules! write_while_asked {
    ($self:ident, $db:ident => $verb:expr) => {{
        let inner = ::std::sync::Arc::clone(&$self.inner);
        Box::pin(async move { transact!(inner, $db => $verb) })
    }};
}

/// A verb that reads: no transaction.
macro_rules! read {
    ($self:ident, $db:ident => $verb:expr) => {{
        let inner = &$self.inner;
        Box::pin(async move {
            let mut tries = 0;
            loop {
                let lease = inner.pool.take().await?;
                let done = {
                    let $db: &$crate::postgres::pool::Db = &lease;
                    $verb.await
                };
                tries += 1;
                match done {
                    Err(fault) if tries < 3 && fault.is_lost() => lease.spoil(),
                    // A statement that reads may be undone for somebody else's sake, too, on engines that are serializable.
                    Err(fault) if tries < 3 && fault.is_passing() => lease.forget_statements(),
                    done => break done.map_err($crate::postgres::Broken::from),
                }
            }
        })
    }};
}

/// What a verb came to that ran by itself.
pub(super) fn joined<T>(ran: Result<Result<T, Broken>, JoinError>) -> Result<T, Broken> {
    ran.unwrap_or_else(|_| Err(Broken::Store("the store is stopping".to_owned())))
}

pub(super) use {read, transact, write, write_while_asked};

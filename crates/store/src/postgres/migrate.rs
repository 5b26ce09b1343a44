//! Bringing a database to the schema of this version: step by step, and by long work beside the traffic where a step leaves some.

use std::time::Duration;

use regrant_engine::ports::{Broken, Carried, Store};

use super::{LongState, LongWork, Migration, OpenError, PostgresStore, fault::Fault, long, schema};

/// How often a migration is tried whose tables others hold, and how long these have for themselves in between.
const TRIES_IN_USE: u32 = 60;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Waits a moment for others.
async fn pause(moment: Duration) {
    let mut tick = tokio::time::interval(moment);
    // The first one is now.
    tick.tick().await;
    tick.tick().await;
}

impl PostgresStore {
    /// Whether there is a store, and one that this version can work on.
    ///
    /// # Errors
    /// [`OpenError`] says what is to be done.
    pub async fn check(&self) -> Result<(), OpenError> {
        schema::check(&*self.inner.pool.take().await?, self.inner.migrations).await
    }

    /// The version of the schema that is there, 0 for none, and the newest that this binary knows.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked.
    pub async fn version(&self) -> Result<(u32, u32), Broken> {
        let lease = self.inner.pool.take().await?;
        Ok((schema::version(&lease).await?, schema::newest(self.inner.migrations)))
    }

    /// The version of the schema that is there, and the migrations that are due.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked.
    pub async fn due(&self) -> Result<(u32, Vec<Migration>), Broken> {
        let (found, _) = self.version().await?;
        Ok((found, self.inner.migrations.iter().copied().filter(|migration| migration.version > found).collect()))
    }

    /// The long work of the migrations that were carried out, and how far it is.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked.
    pub async fn long_work(&self) -> Result<Vec<LongWork>, Broken> {
        let lease = self.inner.pool.take().await?;
        Ok(long::all(&lease, self.inner.migrations).await?)
    }

    /// Carries out the migrations that are due; which they were. What they leave to be done on many rows is done by
    /// [`Store::carry_on`], unless one of them needs it done before.
    ///
    /// # Errors
    /// [`OpenError`]; what was done until then stays.
    pub async fn migrate(&self) -> Result<Vec<Migration>, OpenError> {
        let migrations = self.inner.migrations;
        let (mut done, mut tries, mut in_use) = (Vec::new(), 0, 0);
        loop {
            let lease = self.inner.pool.take().await?;
            let stepped = schema::step(&lease, migrations).await;
            match stepped {
                Ok(schema::Step::Done(migration)) => {
                    done.push(migration);
                    in_use = 0;
                }
                Ok(schema::Step::Current) => return schema::check(&lease, migrations).await.map(|()| done),
                Ok(schema::Step::Waits(migration)) => {
                    drop(lease);
                    tracing::info!(
                        version = migration.version,
                        name = migration.name,
                        "its long work is finished first"
                    );
                    self.finish(migration.version).await?;
                }
                Err(fault) if fault.is_in_use() => {
                    drop(lease);
                    in_use += 1;
                    if in_use > TRIES_IN_USE {
                        let (found, _) = self.version().await?;
                        let version = migrations.iter().map(|one| one.version).find(|version| *version > found);
                        return Err(OpenError::InUse { version: version.unwrap_or(found) });
                    }
                    pause(BETWEEN_TRIES).await;
                }
                // Somebody else makes the same tables at this moment.
                Err(Fault::Sql(_) | Fault::Unreachable(_)) if tries < 3 => tries += 1,
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// Does the long work of a migration, or waits until whoever does it has.
    async fn finish(&self, version: u32) -> Result<(), Broken> {
        while self.long_work().await?.iter().any(|work| work.version == version && work.state != LongState::Done) {
            if self.carry_on().await? == Carried::Elsewhere {
                pause(BETWEEN_TRIES).await;
            }
        }
        Ok(())
    }
}

//! What only one node does at a time, and whether a node is fit to do anything.
//!
//! A lease is a row: who holds it, until when, and a number that grows with each holder. Nobody waits for it: who does not get it
//! leaves the work to whoever has it.

use regrant_engine::time::{Seconds, Time};
use uuid::Uuid;

use super::{
    fault::Fault,
    pool::{Db, Surroundings},
    row::Columns,
    schema::{self, Migration},
    stopwatch::Stopwatch,
};

/// Who this node is: by chance, and another one after each start.
pub(super) fn holder(surroundings: &Surroundings) -> Uuid {
    let mut bytes = [0; 16];
    surroundings.random.fill(&mut bytes);
    Uuid::from_bytes(bytes)
}

/// Takes a lease, or goes on with one that is held already; its number, or `None` if somebody else has it.
pub(super) async fn take(db: &Db, name: &str, holder: Uuid, now: Time, length: Seconds) -> Result<Option<i64>, Fault> {
    let row = db
        .row(
            "INSERT INTO leases (name, holder, fence, until) VALUES ($1, $2, 1, $4) ON CONFLICT (name) DO UPDATE SET \
             fence = CASE WHEN leases.holder = $2 THEN leases.fence ELSE leases.fence + 1 END, holder = $2, until = $4 \
             WHERE leases.holder = $2 OR leases.until <= $3 OR leases.until > $5 RETURNING fence",
            &[
                &name,
                &holder,
                &now.millis(),
                &now.plus(length).millis(),
                // One that was taken under a wild clock holds nobody up.
                &now.plus(length).plus(length).millis(),
            ],
        )
        .await?;
    row.map(|row| Columns::new(&row).take()).transpose()
}

/// Whether the lease is still the one of this number; whoever took it since waits until this transaction is over.
pub(super) async fn holds(db: &Db, name: &str, fence: i64) -> Result<bool, Fault> {
    let row = db.row("SELECT fence FROM leases WHERE name = $1 FOR SHARE", &[&name]).await?;
    let found: Option<i64> = row.map(|row| Columns::new(&row).take()).transpose()?;
    Ok(found == Some(fence))
}

/// Gives it back.
pub(super) async fn give_back(db: &Db, name: &str, fence: i64, now: Time) -> Result<(), Fault> {
    let sql = "UPDATE leases SET until = $3 WHERE name = $1 AND fence = $2";
    db.run(sql, &[&name, &fence, &now.millis()]).await?;
    Ok(())
}

/// The time by the database's own clock.
pub(super) async fn there(db: &Db) -> Result<Time, Fault> {
    let row = db.row("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint", &[]).await?;
    row.map_or_else(|| Err(Fault::damaged("the database has no clock")), |row| Columns::new(&row).time())
}

/// Writes a row of this node's own, looks whether the tables are still ones that it understands, and compares the clocks. This node's was
/// read when `asked` began.
pub(super) async fn ready(
    db: &Db,
    holder: Uuid,
    now: Time,
    asked: Stopwatch,
    clock: Option<Seconds>,
    migrations: &[Migration],
) -> Result<(), Fault> {
    schema::still_fits(db, migrations).await?;
    // One of some rows: nodes do not wait for each other, and those that are gone leave nothing behind.
    let [place, ..] = holder.into_bytes();
    super::meta::remember(db, &format!("ready.{}", place % 64), &now.millis().to_string()).await?;
    let Some(most) = clock else { return Ok(()) };
    let there = there(db).await?.millis();
    // Under load the answer comes late, and that is no fault of the clock.
    let here = now.millis().saturating_add(i64::try_from(asked.elapsed().as_millis()).unwrap_or(i64::MAX));
    let apart = here.saturating_sub(there);
    if apart.abs() > most.millis() {
        let (seconds, which) = (apart.abs() / 1000, if apart > 0 { "ahead of" } else { "behind" });
        return Err(Fault::Unreachable(format!(
            "this machine's clock is {seconds} seconds {which} the database's, and deadlines would be wrong: synchronise both \
             (chrony, systemd-timesyncd)"
        )));
    }
    Ok(())
}

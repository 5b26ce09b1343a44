//! What the store remembers of itself.

use super::{fault::Fault, pool::Db, row::Columns};

pub(super) async fn find(db: &Db, name: &str) -> Result<Option<String>, Fault> {
    let row = db.row("SELECT value FROM meta WHERE name = $1", &[&name]).await?;
    row.map(|row| Columns::new(&row).take()).transpose()
}

pub(super) async fn remember(db: &Db, name: &str, value: &str) -> Result<(), Fault> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.run(sql, &[&name, &value]).await?;
    Ok(())
}

/// Whoever does the same waits until this transaction is over. An ordinary row: every engine has those.
pub(super) async fn lock(db: &Db, name: &str) -> Result<(), Fault> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, '') ON CONFLICT (name) DO UPDATE SET value = ''";
    db.run(sql, &[&format!("lock.{name}")]).await?;
    Ok(())
}

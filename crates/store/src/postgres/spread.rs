//! Which table is where on engines that spread over machines: the one list that docs/howto/scale-out.md and `regrant migrate` tell,
//! and that the tests hold the statements against.
//!
//! 1. What belongs to a user lies by the user's shard, all of it together: one shard's transaction ends everything.
//! 2. What is found by its own key alone lies by that key.
//! 3. The little that everybody reads, or whose rows are unique in two ways, is a copy on every machine. A change of one locks the
//!    whole table there, so nothing that requests write often is among them.
//!
//! Where an engine splits tables by itself (CockroachDB, YugabyteDB) nobody needs to be told.

use super::{fault::Fault, pool::Db, row::Columns};

/// Where the rows of a table are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// By the shard of the user to whom they belong, beside all else that does.
    ByUser,
    /// By this column of their own.
    ByKey(&'static str),
    /// On every machine.
    Everywhere,
}

/// All tables. Users come first: the others lie beside them.
pub const TABLES: [(&str, Spread); 23] = [
    ("users", Spread::ByUser),
    ("passwords", Spread::ByUser),
    ("user_roles", Spread::ByUser),
    ("sessions", Spread::ByUser),
    ("grants", Spread::ByUser),
    ("events", Spread::ByUser),
    ("outbox", Spread::ByUser),
    ("sign_ins", Spread::ByUser),
    ("consents", Spread::ByUser),
    ("logouts", Spread::ByUser),
    ("identifiers", Spread::ByKey("value")),
    ("failures", Spread::ByKey("key")),
    ("codes", Spread::ByKey("hash")),
    ("used_once", Spread::ByKey("hash")),
    ("meta", Spread::ByKey("name")),
    ("leases", Spread::ByKey("name")),
    ("refresh_keys", Spread::Everywhere),
    ("signing_keys", Spread::Everywhere),
    ("roles", Spread::Everywhere),
    ("resources", Spread::Everywhere),
    ("clients", Spread::Everywhere),
    ("client_secrets", Spread::Everywhere),
    // By its hash a device asks, by its other code a person answers: both are unique.
    ("device_codes", Spread::Everywhere),
];

impl Spread {
    /// The column that says where a row is, if there is one.
    #[must_use]
    pub const fn column(self) -> Option<&'static str> {
        match self {
            Self::ByUser => Some("shard"),
            Self::ByKey(column) => Some(column),
            Self::Everywhere => None,
        }
    }

    /// What makes Citus spread `table` so.
    #[must_use]
    pub fn on_citus(self, table: &str) -> String {
        match self {
            Self::ByUser if table == "users" => {
                "SELECT create_distributed_table('users', 'shard', colocate_with => 'none');".to_owned()
            }
            Self::ByUser => format!("SELECT create_distributed_table('{table}', 'shard', colocate_with => 'users');"),
            Self::ByKey(column) => {
                format!("SELECT create_distributed_table('{table}', '{column}', colocate_with => 'none');")
            }
            Self::Everywhere => format!("SELECT create_reference_table('{table}');"),
        }
    }
}

/// An engine that speaks PostgreSQL's protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Engine {
    /// PostgreSQL itself: one machine writes.
    PostgreSql,
    /// PostgreSQL with Citus in this database.
    Citus,
    /// `CockroachDB`, `YugabyteDB`, or another that keeps rows in its own way.
    Other,
}

pub(super) async fn engine(db: &Db) -> Result<Engine, Fault> {
    let told = db.row("SELECT version()", &[]).await?;
    let version: String = told.map_or(Ok(String::new()), |row| Columns::new(&row).take())?;
    if !version.starts_with("PostgreSQL") || version.contains("YB") {
        return Ok(Engine::Other);
    }
    Ok(match db.row("SELECT 1 FROM pg_extension WHERE extname = 'citus'", &[]).await? {
        Some(_) => Engine::Citus,
        None => Engine::PostgreSql,
    })
}

/// What is still to be said to Citus: a statement for each table that lies on the coordinator alone. None on other engines.
pub(super) async fn due(db: &Db) -> Result<Vec<String>, Fault> {
    if engine(db).await? != Engine::Citus {
        return Ok(Vec::new());
    }
    let sql = "SELECT c.relname::text FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid";
    let rows = db.rows(sql, &[]).await?;
    let spread = rows.iter().map(|row| Columns::new(row).take()).collect::<Result<Vec<String>, _>>()?;
    let left = TABLES.iter().filter(|(table, _)| !spread.iter().any(|known| known == table));
    Ok(left.map(|(table, place)| place.on_citus(table)).collect())
}

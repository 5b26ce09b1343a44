-- Times are milliseconds since the Unix epoch, UTC. Ids are the 16 bytes of a UUIDv7; a grant's secret id is 4 bytes of shard
-- and 12 random bytes. `shard` stands in every row that belongs to a user, so that the same tables can be distributed.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What proves that the key file is the one that this store was made with. Not secret, and one-way.
CREATE TABLE refresh_keys (
    id INTEGER NOT NULL PRIMARY KEY,
    check_value BLOB NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY,
    shard BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    disabled_at INTEGER,
    claims TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE identifiers (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    user_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    shown TEXT NOT NULL,
    verified_at INTEGER,
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifiers_by_user ON identifiers (user_id, position);

CREATE TABLE passwords (
    user_id BLOB NOT NULL PRIMARY KEY,
    shard BLOB NOT NULL,
    hash TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    name TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user_roles (
    user_id BLOB NOT NULL,
    role TEXT NOT NULL,
    shard BLOB NOT NULL,
    PRIMARY KEY (user_id, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_roles_by_role ON user_roles (role);

CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY,
    shard BLOB NOT NULL,
    user_id BLOB NOT NULL,
    grant_id BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    auth_time INTEGER NOT NULL,
    amr TEXT NOT NULL,
    device TEXT,
    user_agent TEXT NOT NULL,
    network BLOB NOT NULL,
    address BLOB NOT NULL,
    prefix TEXT NOT NULL,
    ended_at INTEGER,
    end_reason TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id, id);

-- One row per grant for its whole life. No index on what a refresh changes.
CREATE TABLE grants (
    id BLOB NOT NULL PRIMARY KEY,
    shard BLOB NOT NULL,
    public_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    session_id BLOB,
    client_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    kind TEXT NOT NULL,
    salt BLOB NOT NULL,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    holding TEXT NOT NULL,
    bound_key BLOB,
    bound_from INTEGER,
    generation INTEGER NOT NULL,
    fence INTEGER,
    newest_used INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    idle_deadline INTEGER NOT NULL,
    absolute_deadline INTEGER NOT NULL,
    user_agent TEXT NOT NULL,
    network BLOB NOT NULL,
    address BLOB NOT NULL,
    prefix TEXT NOT NULL,
    networks BLOB NOT NULL,
    points INTEGER NOT NULL,
    worst_replay TEXT,
    rotations_since INTEGER NOT NULL,
    rotations INTEGER NOT NULL,
    replays_since INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX grants_by_public_id ON grants (public_id);
CREATE INDEX grants_by_session ON grants (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX grants_by_user ON grants (user_id) WHERE session_id IS NULL;

CREATE TABLE events (
    id BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    user_id BLOB,
    session_id BLOB,
    grant_id BLOB,
    client_id TEXT,
    reason TEXT,
    network TEXT,
    user_agent TEXT,
    data TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_session ON events (session_id, id) WHERE session_id IS NOT NULL;
-- A user's timeline tells what happened to them, not every renewal of every device.
CREATE INDEX events_by_user ON events (user_id, id) WHERE user_id IS NOT NULL AND kind <> 'refresh.rotated';

CREATE TABLE failures (
    key BLOB NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Strangers fill this table; the sweep must not walk through it.
CREATE INDEX failures_by_age ON failures (since);

CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id BLOB NOT NULL,
    shard BLOB NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_by_user ON outbox (user_id, kind, at);

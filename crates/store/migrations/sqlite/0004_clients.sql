-- What a client is and may do is one JSON document in RFC 7591's words: nothing asks for a part of it.
CREATE TABLE clients (
    id TEXT NOT NULL PRIMARY KEY,
    managed_by TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A hash of 256 random bits each; the newest has no end.
CREATE TABLE client_secrets (
    client_id TEXT NOT NULL,
    id INTEGER NOT NULL,
    hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    PRIMARY KEY (client_id, id)
) STRICT, WITHOUT ROWID;

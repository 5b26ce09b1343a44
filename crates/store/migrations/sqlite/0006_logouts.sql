-- What applications are to be told, or were told, of the end of a session (OpenID Connect Back-Channel Logout): one row for each
-- session and client, written in the transaction that ended the session. It outlives session and user.
CREATE TABLE logouts (
    session_id BLOB NOT NULL,
    client_id TEXT NOT NULL,
    user_id BLOB NOT NULL,
    -- When the session ended.
    at INTEGER NOT NULL,
    -- waiting, delivered or gave_up
    state TEXT NOT NULL,
    -- How many were begun.
    attempts INTEGER NOT NULL,
    -- While it waits: not before then. Afterwards: when that was over.
    next_at INTEGER NOT NULL,
    last_error TEXT,
    PRIMARY KEY (session_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX logouts_waiting ON logouts (client_id, next_at) WHERE state = 'waiting';
CREATE INDEX logouts_by_age ON logouts (at) WHERE state <> 'waiting';

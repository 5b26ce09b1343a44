-- A grant is one packed record (grants/packed.rs), the same in its row, in the journal and in memory. The rows of before are
-- read once more, in code, and packed.
DROP INDEX grants_by_public_id;
DROP INDEX grants_by_session;
DROP INDEX grants_by_user;
ALTER TABLE grants RENAME TO old_grants;

CREATE TABLE grants (
    id BLOB NOT NULL PRIMARY KEY,
    state BLOB NOT NULL,
    -- The last ones, oldest first: they are no events of their own.
    renewals BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What uses and ends have made of grants since their rows were written: one row a transaction, newest last.
CREATE TABLE journal (
    seq INTEGER NOT NULL PRIMARY KEY,
    records BLOB NOT NULL
) STRICT;

-- Texts that many grants share.
CREATE TABLE words (
    id INTEGER NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

-- A session's own grant is found by its session. The others are found here.
CREATE TABLE other_grants (
    public_id BLOB NOT NULL PRIMARY KEY,
    id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    client_id TEXT NOT NULL,
    session_id BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX other_grants_by_id ON other_grants (id);
CREATE INDEX other_grants_by_session ON other_grants (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX other_grants_by_user ON other_grants (user_id, client_id);
CREATE INDEX other_grants_by_client ON other_grants (client_id);

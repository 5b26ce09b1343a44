-- What a resource is, is one JSON document, like a client: nothing asks for a part of it.
CREATE TABLE resources (
    id TEXT NOT NULL PRIMARY KEY,
    managed_by TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a role is for, in words.
ALTER TABLE roles ADD COLUMN description TEXT;

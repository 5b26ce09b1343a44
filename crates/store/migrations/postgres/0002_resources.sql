-- The thumbprint of the key that must be proven with a code (RFC 9449 §10).
ALTER TABLE codes ADD COLUMN bound_key bytea;

-- What a resource is, is one JSON document, like a client: nothing asks for a part of it.
CREATE TABLE resources (
    id text NOT NULL PRIMARY KEY,
    managed_by text NOT NULL,
    metadata text NOT NULL,
    created_at bigint NOT NULL
);

-- What a role is for, in words.
ALTER TABLE roles ADD COLUMN description text;

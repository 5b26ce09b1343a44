-- The sign-in of the provider's own pages: a hash of the opaque reference in the cookie. One a session; it goes with it.
CREATE TABLE sign_ins (
    session_id BLOB NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL,
    auth_time INTEGER NOT NULL,
    amr TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sign_ins_by_hash ON sign_ins (hash);
CREATE TRIGGER sign_ins_of_session AFTER DELETE ON sessions BEGIN
    DELETE FROM sign_ins WHERE session_id = old.id;
END;

-- A hash of each code. It stays for a while after it was redeemed, so that a second time is recognised.
CREATE TABLE codes (
    hash BLOB NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    user_id BLOB NOT NULL,
    session_id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    redirect_uri TEXT NOT NULL,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    nonce TEXT,
    challenge TEXT,
    auth_time INTEGER NOT NULL,
    amr TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    grant_id BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_by_age ON codes (expires_at);
CREATE INDEX codes_by_user ON codes (user_id);
CREATE INDEX codes_by_client ON codes (client_id);

-- The proof that a grant of the OAuth endpoints comes from: its ID tokens tell that one and no later one. It goes with the grant.
CREATE TABLE authentications (
    grant_id BLOB NOT NULL PRIMARY KEY,
    auth_time INTEGER NOT NULL,
    amr TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER authentications_of_grant AFTER DELETE ON other_grants BEGIN
    DELETE FROM authentications WHERE grant_id = old.id;
END;

CREATE TABLE consents (
    user_id BLOB NOT NULL,
    client_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    given_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_by_client ON consents (client_id);

-- What may be used once, such as a client's signed assertion, until it is over anyway.
CREATE TABLE used_once (
    hash BLOB NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_once_by_age ON used_once (until);

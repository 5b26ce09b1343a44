-- The codes of devices without a keyboard (RFC 8628): a hash of the device's own, a keyed digest of the one that people type. A row
-- stays for a while after it was answered and redeemed, so that a second time is recognised.
CREATE TABLE device_codes (
    hash BLOB NOT NULL PRIMARY KEY,
    user_code BLOB NOT NULL,
    client_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    -- How many seconds it has to wait between two questions, and when it last asked.
    interval INTEGER NOT NULL,
    polled_at INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- open, denied or allowed; who did, and what came of it.
    answer TEXT NOT NULL,
    answered_at INTEGER,
    user_id BLOB,
    session_id BLOB,
    epoch INTEGER,
    auth_time INTEGER,
    amr TEXT,
    grant_id BLOB
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX device_codes_by_user_code ON device_codes (user_code);
CREATE INDEX device_codes_by_age ON device_codes (expires_at);
CREATE INDEX device_codes_by_user ON device_codes (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX device_codes_by_client ON device_codes (client_id);

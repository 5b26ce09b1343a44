-- The codes of devices without a keyboard (RFC 8628): a hash of the device's own, a keyed digest of the one that people type. A row
-- stays for a while after it was answered and redeemed, so that a second time is recognised. Whose it is turns out with the answer:
-- no shard.
CREATE TABLE device_codes (
    hash bytea NOT NULL PRIMARY KEY,
    user_code bytea NOT NULL,
    client_id text NOT NULL,
    scope text NOT NULL,
    audience text NOT NULL,
    -- How many seconds it has to wait between two questions, and when it last asked.
    poll_interval bigint NOT NULL,
    polled_at bigint,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    -- open, denied or allowed; who did, and what came of it.
    answer text NOT NULL,
    answered_at bigint,
    user_id uuid,
    session_id uuid,
    epoch bigint,
    auth_time bigint,
    amr text,
    grant_id uuid
);
CREATE UNIQUE INDEX device_codes_by_user_code ON device_codes (user_code);
CREATE INDEX device_codes_by_age ON device_codes (expires_at);
CREATE INDEX device_codes_by_user ON device_codes (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX device_codes_by_client ON device_codes (client_id);

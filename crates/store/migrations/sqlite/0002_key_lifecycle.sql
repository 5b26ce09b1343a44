-- The life of a signing key: since when it is what it is, and how long the longest-lived token lives that it signed (in
-- seconds). Of keys that are here already nobody noted it: a day is the longest that an access token may live.
ALTER TABLE signing_keys ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN longest_token INTEGER NOT NULL DEFAULT 86400;
UPDATE signing_keys SET since = created_at;
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (algorithm) WHERE state = 'active';

-- A refresh key that is over keeps its row for ever: its id is not used again, and an old key file does not bring it back.
ALTER TABLE refresh_keys ADD COLUMN retired_at INTEGER;
ALTER TABLE refresh_keys ADD COLUMN retired_why TEXT;

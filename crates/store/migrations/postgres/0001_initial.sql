-- Times are milliseconds since the Unix epoch, UTC. Ids are UUIDs of version 7; a grant's secret id is 4 bytes of shard and 12
-- random bytes. `shard` stands in every row that belongs to a user, always the same for one user, so that these tables can be
-- distributed by it: see docs/howto/scale-out.md. No foreign keys and no triggers: not every engine has them across shards.

-- What the store remembers of itself: the issuer, where sweeps stopped.
CREATE TABLE meta (
    name text NOT NULL PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE refresh_keys (
    id smallint NOT NULL PRIMARY KEY,
    check_value bytea NOT NULL,
    retired_at bigint,
    retired_why text
);

CREATE TABLE signing_keys (
    kid text NOT NULL PRIMARY KEY,
    algorithm text NOT NULL,
    state text NOT NULL,
    since bigint NOT NULL,
    longest_token bigint NOT NULL,
    created_at bigint NOT NULL,
    sealed bytea NOT NULL
);

CREATE UNIQUE INDEX signing_keys_active ON signing_keys (algorithm) WHERE state = 'active';

CREATE TABLE users (
    shard integer NOT NULL,
    id uuid NOT NULL,
    epoch bigint NOT NULL,
    disabled_at bigint,
    -- The first identifier, which tokens may tell.
    shown text,
    claims text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id, shard)
);

-- Unique by its own value, and so distributed by that.
CREATE TABLE identifiers (
    kind text NOT NULL,
    value text NOT NULL,
    user_id uuid NOT NULL,
    user_shard integer NOT NULL,
    position bigint NOT NULL,
    shown text NOT NULL,
    verified_at bigint,
    PRIMARY KEY (value, kind)
);
CREATE INDEX identifiers_by_user ON identifiers (user_id, position);

CREATE TABLE passwords (
    shard integer NOT NULL,
    user_id uuid NOT NULL,
    hash text NOT NULL,
    changed_at bigint NOT NULL,
    PRIMARY KEY (user_id, shard)
);

CREATE TABLE roles (
    name text NOT NULL PRIMARY KEY,
    created_at bigint NOT NULL
);

CREATE TABLE user_roles (
    shard integer NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (user_id, role, shard)
);
CREATE INDEX user_roles_by_role ON user_roles (role);

CREATE TABLE sessions (
    shard integer NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    created_at bigint NOT NULL,
    auth_time bigint NOT NULL,
    amr text NOT NULL,
    device text,
    user_agent text NOT NULL,
    network bytea NOT NULL,
    address bytea NOT NULL,
    prefix text NOT NULL,
    ended_at bigint,
    end_reason text,
    PRIMARY KEY (id, shard)
);
CREATE INDEX sessions_by_user ON sessions (user_id, id);

-- One row per grant for its whole life, with all that a use depends on and all that a token tells. A refresh updates it in place:
-- no index on what that changes, and room on the page for the new version (HOT).
CREATE TABLE grants (
    shard integer NOT NULL,
    id uuid NOT NULL,
    public_id uuid NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid,
    client_id text NOT NULL,
    endpoint text NOT NULL,
    kind text NOT NULL,
    salt bytea NOT NULL,
    scope text NOT NULL,
    audience text NOT NULL,
    issued_at bigint NOT NULL,
    auth_time bigint NOT NULL,
    amr text NOT NULL,
    roles text NOT NULL,
    -- What changes seldom.
    epoch bigint NOT NULL,
    holding text NOT NULL,
    bound_key bytea,
    bound_from bigint,
    fence bigint,
    -- Until then its session lives at least; NULL where it belongs to none, or is the session's own.
    session_until bigint,
    ended_at bigint,
    end_reason text,
    -- What a refresh changes.
    key_id smallint NOT NULL,
    generation bigint NOT NULL,
    newest_used boolean NOT NULL,
    rotated_at bigint NOT NULL,
    last_event bigint NOT NULL,
    idle_deadline bigint NOT NULL,
    absolute_deadline bigint NOT NULL,
    user_agent text NOT NULL,
    network bytea NOT NULL,
    address bytea NOT NULL,
    prefix text NOT NULL,
    networks bytea NOT NULL,
    points smallint NOT NULL,
    worst_replay text,
    rotations_since bigint NOT NULL,
    rotations bigint NOT NULL,
    replays_since bigint NOT NULL,
    replays bigint NOT NULL,
    -- By four bytes each, tokens of the next generations are recognised before their salt is known (docs/adr/0009-postgresql.md).
    tags bytea NOT NULL,
    -- The last renewals, newest first.
    renewals bytea NOT NULL,
    PRIMARY KEY (shard, id)
);
CREATE INDEX grants_by_public_id ON grants (public_id);
CREATE INDEX grants_by_session ON grants (session_id, shard);
CREATE INDEX grants_by_user ON grants (user_id, client_id);
CREATE INDEX grants_by_client ON grants (client_id, public_id) WHERE endpoint = 'oauth';

CREATE TABLE events (
    shard integer NOT NULL,
    id uuid NOT NULL,
    at bigint NOT NULL,
    kind text NOT NULL,
    actor text NOT NULL,
    user_id uuid,
    session_id uuid,
    grant_id uuid,
    client_id text,
    reason text,
    network text,
    user_agent text,
    data text,
    PRIMARY KEY (id, shard)
);
CREATE INDEX events_by_session ON events (session_id, id) WHERE session_id IS NOT NULL;
CREATE INDEX events_by_user ON events (user_id, id) WHERE user_id IS NOT NULL;

CREATE TABLE failures (
    key bytea NOT NULL PRIMARY KEY,
    since bigint NOT NULL,
    count bigint NOT NULL
);
CREATE INDEX failures_by_age ON failures (since);

CREATE TABLE outbox (
    shard integer NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL,
    at bigint NOT NULL,
    data text NOT NULL,
    PRIMARY KEY (id, shard)
);
CREATE INDEX outbox_by_user ON outbox (user_id, kind, at);
CREATE INDEX outbox_by_age ON outbox (at);

CREATE TABLE clients (
    id text NOT NULL PRIMARY KEY,
    managed_by text NOT NULL,
    metadata text NOT NULL,
    -- Whether it has an address to be told at that a session ended.
    is_told boolean NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE client_secrets (
    client_id text NOT NULL,
    id bigint NOT NULL,
    hash bytea NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    last_used_at bigint,
    PRIMARY KEY (client_id, id)
);

-- The sign-in of the provider's own pages: a hash of the opaque reference in the cookie. One a session; it goes with it.
CREATE TABLE sign_ins (
    shard integer NOT NULL,
    session_id uuid NOT NULL,
    hash bytea NOT NULL,
    auth_time bigint NOT NULL,
    amr text NOT NULL,
    PRIMARY KEY (session_id, shard)
);
CREATE INDEX sign_ins_by_hash ON sign_ins (hash);

-- A hash of each code. It stays for a while after it was redeemed, so that a second time is recognised.
CREATE TABLE codes (
    hash bytea NOT NULL PRIMARY KEY,
    client_id text NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid NOT NULL,
    epoch bigint NOT NULL,
    redirect_uri text NOT NULL,
    scope text NOT NULL,
    audience text NOT NULL,
    -- Anything that a client says, zeros too: bytes.
    nonce bytea,
    challenge text,
    auth_time bigint NOT NULL,
    amr text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    grant_id uuid
);
CREATE INDEX codes_by_age ON codes (expires_at);
CREATE INDEX codes_by_user ON codes (user_id);
CREATE INDEX codes_by_client ON codes (client_id);

CREATE TABLE consents (
    shard integer NOT NULL,
    user_id uuid NOT NULL,
    client_id text NOT NULL,
    scope text NOT NULL,
    given_at bigint NOT NULL,
    PRIMARY KEY (user_id, client_id, shard)
);
CREATE INDEX consents_by_client ON consents (client_id);

CREATE TABLE used_once (
    hash bytea NOT NULL PRIMARY KEY,
    until bigint NOT NULL
);
CREATE INDEX used_once_by_age ON used_once (until);

-- What applications are to be told, or were told, of the end of a session. It outlives session and user.
CREATE TABLE logouts (
    shard integer NOT NULL,
    session_id uuid NOT NULL,
    client_id text NOT NULL,
    user_id uuid NOT NULL,
    at bigint NOT NULL,
    state text NOT NULL,
    attempts bigint NOT NULL,
    next_at bigint NOT NULL,
    last_error text,
    PRIMARY KEY (session_id, client_id, shard)
);
CREATE INDEX logouts_waiting ON logouts (client_id, next_at) WHERE state = 'waiting';
CREATE INDEX logouts_by_age ON logouts (at) WHERE state <> 'waiting';

-- Who does what only one node may do, until when. The number grows with each holder: who comes late is recognised.
CREATE TABLE leases (
    name text NOT NULL PRIMARY KEY,
    holder uuid NOT NULL,
    fence bigint NOT NULL,
    until bigint NOT NULL
);

BEGIN;
CREATE TABLE connectors (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    public_key TEXT,
    schema TEXT NOT NULL,
    introspect TEXT NOT NULL,
    icon TEXT,
    seen INTEGER NOT NULL
);
-- state: 'plain' (value is JSON), 'sealed' (value is a JWE), 'lost' (no value; it must be entered again)
CREATE TABLE configuration (
    connector TEXT NOT NULL,
    field TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('plain', 'sealed', 'lost')),
    value TEXT,
    PRIMARY KEY (connector, field)
);
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    connector TEXT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
);
CREATE TABLE blobs (
    id TEXT PRIMARY KEY,
    connector TEXT NOT NULL,
    name TEXT,
    mimetype TEXT,
    meta TEXT,
    task TEXT,
    size INTEGER NOT NULL,
    created INTEGER NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE calls (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    connector TEXT NOT NULL,
    action TEXT NOT NULL,
    at INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    took_ms REAL NOT NULL
);
CREATE INDEX calls_of_connector ON calls (connector, number);
PRAGMA user_version = 1;
COMMIT;

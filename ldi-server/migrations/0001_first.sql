-- One set of statements for SQLite and PostgreSQL: texts, whole numbers, times in milliseconds since
-- 1970 (UTC). JSON is text.
CREATE TABLE clients (
    client TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    facts TEXT NOT NULL,
    enrolled BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    revoked BIGINT
);
CREATE TABLE certificates (
    serial TEXT PRIMARY KEY NOT NULL,
    client TEXT NOT NULL REFERENCES clients (client),
    issued BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    revoked BIGINT
);
CREATE INDEX certificates_of_client ON certificates (client);
CREATE TABLE tokens (
    token TEXT PRIMARY KEY NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    uses BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    created BIGINT NOT NULL,
    note TEXT NOT NULL
);
-- Every entry that was ever stored, by the name that the client gave it: the second time it is known.
CREATE TABLE entries (
    client TEXT NOT NULL,
    entry TEXT NOT NULL,
    received BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (client, entry)
);
CREATE INDEX entries_by_time ON entries (received);
-- The newest document of each client.
CREATE TABLE documents (
    client TEXT PRIMARY KEY NOT NULL,
    collected BIGINT NOT NULL,
    body TEXT NOT NULL
);
-- What changed in it. `place` sorts by time and is nobody else's.
CREATE TABLE trail (
    place TEXT PRIMARY KEY NOT NULL,
    client TEXT NOT NULL,
    audited BIGINT NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    old TEXT,
    new TEXT
);
CREATE INDEX trail_of_client ON trail (client, audited);

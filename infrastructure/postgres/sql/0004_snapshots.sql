-- Snapshots: the state that a stream's events up to a version fold to, so that a long stream is
-- loaded without reading it all. A cache: any row may be deleted at any time.
--
-- One row per stream, bound by its MAC to the event that it stands on, and to who has the master
-- key: a reader who finds that it does not fit passes it over. No personal data is in a state.
CREATE TABLE snapshots (
    originator_id      text   COLLATE "C" PRIMARY KEY,    -- the stream
    originator_version bigint NOT NULL,                   -- of the last event in the state
    aggregate          text   COLLATE "C" NOT NULL,       -- name and version of its shape: order.v1
    mac                bytea  NOT NULL,                   -- HMAC-SHA256 of that event's hash, and the rest
    state              bytea  NOT NULL                    -- JSON
);

GRANT SELECT, INSERT, UPDATE ON snapshots TO ordertrail_service;

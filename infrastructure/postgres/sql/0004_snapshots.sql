-- Snapshots: the state that a stream's events up to a version fold to, so that a long stream is
-- loaded without reading it all. A cache: any row may be deleted at any time.
--
-- One row per stream, bound by event_hash to the event that it stands on: a reader who finds
-- another hash there passes it over. No personal data is in a state.
CREATE TABLE snapshots (
    originator_id      text   COLLATE "C" PRIMARY KEY,    -- the stream
    originator_version bigint NOT NULL,                   -- of the last event in the state
    aggregate          text   COLLATE "C" NOT NULL,       -- name and version of its shape: order.v1
    event_hash         bytea  NOT NULL,                   -- of that event
    state              bytea  NOT NULL                    -- JSON
);

GRANT SELECT, INSERT, UPDATE ON snapshots TO ordertrail_service;

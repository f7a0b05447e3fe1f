-- The event log and everything that commits with an event.
--
-- The four columns that the eventsourcing library's recorders read keep its names;
-- notification_id is the position in the log: from 1, without gaps, in commit order.

CREATE TABLE events (
    originator_id      text        COLLATE "C" NOT NULL,  -- the stream
    originator_version bigint      NOT NULL,              -- from 1 within the stream
    topic              text        NOT NULL,              -- stable name: order.placed.v1
    state              bytea       NOT NULL,              -- envelope and payload, JSON
    notification_id    bigint      NOT NULL,              -- position
    recorded_at        timestamptz NOT NULL,              -- set under the log's lock; never decreases
    order_id           uuid,                              -- whose history this is, if an order's
    PRIMARY KEY (originator_id, originator_version)
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0.05);

CREATE UNIQUE INDEX events_position ON events (notification_id);
CREATE INDEX events_of_order ON events (order_id, notification_id) WHERE order_id IS NOT NULL;

-- One row per command that carried an Idempotency-Key; kept for good.
CREATE TABLE answers (
    caller      text   COLLATE "C" NOT NULL,
    route       text   COLLATE "C" NOT NULL,
    key         text   COLLATE "C" NOT NULL,
    fingerprint bytea  NOT NULL,     -- of the parsed body
    answer      bytea  NOT NULL,     -- JSON, but for its position
    position    bigint NOT NULL,     -- of the command's last event
    PRIMARY KEY (caller, route, key)
);

-- Names that only one order may hold: its number, the shop's own reference.
CREATE TABLE unique_names (
    scope    text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    PRIMARY KEY (scope, name)
);

-- A customer's data key, wrapped by the master key. Forgetting a customer is emptying it.
CREATE TABLE customer_keys (
    customer_id text COLLATE "C" PRIMARY KEY,
    wrapped_key bytea            -- NULL: forgotten
);
-- ANALYZE would keep samples of the keys in pg_statistic, where a forgotten one would live on.
ALTER TABLE customer_keys ALTER COLUMN wrapped_key SET STATISTICS 0;

-- How far the relay has come on one Kafka topic. Another cluster or topic: another row, from 0.
CREATE TABLE relay_positions (
    topic_incarnation text COLLATE "C" PRIMARY KEY,   -- cluster id / topic / topic id
    position          bigint NOT NULL
);

-- What is to be done at some time: timers of the saga, questions to a payment provider, reactions
-- that failed and are tried again. A task is derived from an event of the log, so one that is put
-- twice, or again after Kafka was wiped, finds by the state of its order that nothing is left to do.
--
-- Who takes a task leases it: due_at moves on by the lease. So a task whose worker was killed comes
-- due again, and one row is all that there is to it.
CREATE TABLE tasks (
    queue    text        COLLATE "C" NOT NULL,   -- whose: 'fulfilment.timers', 'payment.calls', ...
    key      text        COLLATE "C" NOT NULL,   -- what: order id/step/subject/attempt, ...
    order_id uuid        NOT NULL,
    due_at   timestamptz NOT NULL,               -- by the database's clock
    tries    int         NOT NULL DEFAULT 0,     -- times that it was taken
    problem  text,                               -- why the last try came to nothing
    PRIMARY KEY (queue, key)
);
CREATE INDEX tasks_due ON tasks (queue, due_at);
CREATE INDEX tasks_of_order ON tasks (order_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO ordertrail_service;

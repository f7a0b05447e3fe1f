-- A payment provider of our own for local use: what it holds, has taken and has given back.
--
-- It stands for a foreign system. Nothing of ours joins, reads or repairs these tables; the sandbox
-- adapter writes them on connections and in transactions of its own, so a process that is killed
-- between a charge and its answer has charged. No card data, and not the token either.
CREATE SCHEMA sandbox;

CREATE TABLE sandbox.authorizations (
    reference      text   COLLATE "C" PRIMARY KEY,
    key            text   COLLATE "C" NOT NULL UNIQUE,     -- the idempotency key that it came with
    order_id       uuid   NOT NULL,
    attempt        int    NOT NULL,
    amount_minor   bigint NOT NULL CHECK (amount_minor > 0),
    currency       text   COLLATE "C" NOT NULL,
    status         text   COLLATE "C" NOT NULL
        CHECK (status IN ('authorized', 'action_required', 'declined', 'released')),
    decline_code   text   COLLATE "C",
    capture_fails  boolean NOT NULL DEFAULT false,         -- a card that can't be captured from
    captured_minor bigint NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
    released_minor bigint NOT NULL DEFAULT 0 CHECK (captured_minor + released_minor <= amount_minor),
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (order_id, attempt)
);

-- Each movement of money, once per idempotency key.
CREATE TABLE sandbox.movements (
    key          text   COLLATE "C" PRIMARY KEY,
    reference    text   COLLATE "C" NOT NULL REFERENCES sandbox.authorizations,
    kind         text   COLLATE "C" NOT NULL CHECK (kind IN ('capture', 'release', 'refund')),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    moved_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX movements_reference ON sandbox.movements (reference);

-- Move money of an authorization: 'done' (also where this key has moved the same before),
-- 'refused' (nothing moved), 'unknown' (no such authorization) or 'key_reused'. A release takes all
-- that is left, whatever the amount says. Atomic: yes; calls about one authorization take turns.
CREATE FUNCTION sandbox.move(p_key text, p_reference text, p_kind text, p_amount bigint)
RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
    held  sandbox.authorizations;
    moved sandbox.movements;
BEGIN
    SELECT * INTO held FROM sandbox.authorizations WHERE reference = p_reference FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    SELECT * INTO moved FROM sandbox.movements WHERE key = p_key;
    IF FOUND THEN
        RETURN CASE WHEN (moved.reference, moved.kind) = (p_reference, p_kind)
                     AND (p_kind = 'release' OR moved.amount_minor = p_amount)
               THEN 'done' ELSE 'key_reused' END;
    END IF;
    IF p_kind = 'capture' THEN
        IF held.status <> 'authorized' OR held.capture_fails
           OR p_amount > held.amount_minor - held.captured_minor THEN
            RETURN 'refused';
        END IF;
        UPDATE sandbox.authorizations SET captured_minor = captured_minor + p_amount
        WHERE reference = p_reference;
    ELSIF p_kind = 'refund' THEN
        IF p_amount > held.captured_minor - held.refunded_minor THEN
            RETURN 'refused';
        END IF;
        UPDATE sandbox.authorizations SET refunded_minor = refunded_minor + p_amount
        WHERE reference = p_reference;
    ELSIF held.status IN ('declined', 'released') THEN
        RETURN 'done';
    ELSE
        p_amount := CASE held.status
            WHEN 'authorized' THEN held.amount_minor - held.captured_minor ELSE 0 END;
        UPDATE sandbox.authorizations SET status = 'released', released_minor = p_amount
        WHERE reference = p_reference;
    END IF;
    INSERT INTO sandbox.movements (key, reference, kind, amount_minor)
    VALUES (p_key, p_reference, p_kind, p_amount);
    RETURN 'done';
END
$body$;

GRANT USAGE ON SCHEMA sandbox TO ordertrail_service;
GRANT SELECT, INSERT, UPDATE ON sandbox.authorizations TO ordertrail_service;
GRANT SELECT, INSERT ON sandbox.movements TO ordertrail_service;

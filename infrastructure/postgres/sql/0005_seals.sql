-- Seals: signed statements on ranges of the log (docs/audit.md). Rows are added by append_seal
-- only, and never changed.
CREATE TABLE seals (
    number         bigint PRIMARY KEY,         -- from 1, without gaps
    first_position bigint NOT NULL UNIQUE,     -- of the log, both within
    last_position  bigint NOT NULL UNIQUE CHECK (last_position >= first_position),
    seal           bytea  NOT NULL             -- the signed bytes, as they are on S3
);

-- append_seal: add the next seal.
--
-- Inputs: a row of seals. Refuses, as serialization_failure, one that does not follow on the last
-- seal or that covers a position which the log does not have: another sealer was first.
--
-- Atomic: yes. The advisory lock makes sealers take turns; it is held to the end of the commit.
CREATE FUNCTION append_seal(p_number bigint, p_first bigint, p_last bigint, p_seal bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $body$
DECLARE
    v_number bigint;
    v_last   bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ordertrail.seals', 0));
    SELECT s.number, s.last_position INTO v_number, v_last FROM seals s ORDER BY s.number DESC LIMIT 1;
    IF p_number <> coalesce(v_number, 0) + 1 OR p_first <> coalesce(v_last, 0) + 1
       OR p_last > (SELECT coalesce(max(notification_id), 0) FROM events) THEN
        RAISE EXCEPTION 'seal % of positions % to % does not follow on seal %', p_number, p_first, p_last, v_number
            USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO seals VALUES (p_number, p_first, p_last, p_seal);
END
$body$;

REVOKE ALL ON FUNCTION append_seal FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_seal TO ordertrail_service;
GRANT SELECT ON seals TO ordertrail_service;

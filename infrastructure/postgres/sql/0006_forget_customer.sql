-- Forgetting a customer: their data key is emptied, once and for good.
--
-- Only the owner may do it: the services' role can neither run this nor change the table.

ALTER TABLE customer_keys ADD COLUMN forgotten_at timestamptz;   -- NULL: not forgotten
UPDATE customer_keys SET forgotten_at = now() WHERE wrapped_key IS NULL;
ALTER TABLE customer_keys ADD CHECK ((wrapped_key IS NULL) = (forgotten_at IS NOT NULL));

-- forget_customer: empty a customer's key, unless that was done before.
--
-- Input:  the customer's id.
-- Gives when they were forgotten, now or earlier; NULL where nobody of this id ever ordered.
--
-- Atomic: yes. The log's lock is held to the end of the commit, so every event that was sealed
-- under the key is in the log by then, and none comes after: append_events refuses it with
-- 'data_key_raced'.
CREATE FUNCTION forget_customer(p_customer text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE
SET search_path = public, pg_temp
AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ordertrail.log', 0));
    UPDATE customer_keys SET wrapped_key = NULL, forgotten_at = clock_timestamp()
    WHERE customer_id = p_customer AND wrapped_key IS NOT NULL;
    RETURN (SELECT k.forgotten_at FROM customer_keys k WHERE k.customer_id = p_customer);
END
$body$;

REVOKE ALL ON FUNCTION forget_customer FROM PUBLIC;

-- What the services may do: read, append through append_events, and move the relay's position.
-- They can't insert, update or delete an event, an answer, a name or a key in any other way.
--
-- A role without login, the same for all databases of a server; whoever sets up the server
-- makes its members. Atomic: yes.
DO $body$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ordertrail_service') THEN
        CREATE ROLE ordertrail_service NOLOGIN;
    END IF;
EXCEPTION
    -- Another database of this server was migrated at the same moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$body$;

ALTER FUNCTION append_events SECURITY DEFINER;
REVOKE ALL ON FUNCTION append_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events TO ordertrail_service;

GRANT SELECT ON events, answers, unique_names, customer_keys, relay_positions, migrations
    TO ordertrail_service;
GRANT INSERT, UPDATE ON relay_positions TO ordertrail_service;

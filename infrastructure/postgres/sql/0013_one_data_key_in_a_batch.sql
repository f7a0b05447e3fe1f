-- append_events once more, whole: in 0002 two appends of one batch could bring two data keys for one
-- new customer. Both were stored, the second key was not, and what it had sealed was lost for good.
--
-- append_events: store a batch of appends, each all or nothing, in one lock and one commit.
--
-- Inputs: parallel arrays. Every row belongs to the append whose number (0 .. p_appends - 1) it
-- carries. Within one batch no append may write a stream that another one writes or has read,
-- nor share a key or a name with it: the caller sees to it, and where it did not, the whole
-- batch fails.
--   e_: events in their order      c_: streams the decision read, and the version it saw (0: none)
--   u_: names to claim             k_: answers to keep under an idempotency key
--   d_: the data keys that events are sealed with. The one that is stored counts; for a customer
--       who has none, the first of the batch, also where its append is refused for another reason
--
-- Gives one row per append, in order:
--   outcome   'stored'; or nothing of it is stored:
--             'replayed' (detail: first answer), 'key_reused', 'version_conflict' (detail:
--             stream), 'name_taken' (detail: scope/order id), 'data_key_raced' (detail: customer)
--   position  of its last event; of the first answer's for 'replayed'
--
-- Nobody holds the lock for more than 2 s: a client that freezes between its call and the end of
-- the transaction loses its session then (transaction_timeout, PostgreSQL 17 or later).
--
-- Plans: made once a session (planning anew takes longer than a small batch), perhaps while the
-- tables were all but empty. So a table is looked up row by row, which is what OFFSET 0 holds the
-- planner to, always by an index; and arrays are joined by hashing, however long they will be.
--
-- Atomic: yes. The advisory lock is held from here to the end of the commit, so the order of
-- positions is the order of commits, and a reader who has seen position n never misses one
-- below. VOLATILE and READ COMMITTED: each statement below the lock sees all earlier commits.
CREATE OR REPLACE FUNCTION append_events(
    p_appends int,
    e_append int[], e_stream text[], e_version bigint[], e_type text[], e_state bytea[], e_order uuid[],
    c_append int[], c_stream text[], c_version bigint[],
    u_append int[], u_scope text[], u_name text[], u_order uuid[],
    k_append int[], k_caller text[], k_route text[], k_key text[], k_fingerprint bytea[], k_answer bytea[],
    d_append int[], d_customer text[], d_wrapped bytea[]
) RETURNS TABLE (append int, outcome text, detail bytea, "position" bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_nestloop = off
SET plan_cache_mode = force_generic_plan
AS $body$
DECLARE
    v_head     bigint := 0;
    v_head_at  timestamptz := '-infinity';
    v_now      timestamptz;
    v_refused  int[];
    v_outcomes text[];
    v_details  bytea[];
    v_answered bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ordertrail.log', 0));
    PERFORM set_config('transaction_timeout', '2s', true);

    IF EXISTS (
        SELECT FROM unnest(e_append, e_stream) AS e (a, stream)
        JOIN unnest(c_append, c_stream) AS c (a, stream) ON c.stream = e.stream AND c.a <> e.a
    ) THEN
        RAISE EXCEPTION 'two appends of one batch share a stream' USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    -- Refusals; the first reason counts: a known key, a moved stream, a taken name, a raced key.
    SELECT coalesce(array_agg(f.a), '{}'), array_agg(f.reason), array_agg(f.info), array_agg(f.pos)
    INTO v_refused, v_outcomes, v_details, v_answered
    FROM (
        SELECT DISTINCT ON (r.a) r.*
        FROM (
            SELECT k.a, 1 AS rank, s.answer AS info, s.position AS pos,
                   CASE WHEN s.fingerprint = k.fingerprint THEN 'replayed' ELSE 'key_reused' END AS reason
            FROM unnest(k_append, k_caller, k_route, k_key, k_fingerprint)
                AS k (a, caller, route, key, fingerprint)
            CROSS JOIN LATERAL (
                SELECT * FROM answers a WHERE a.caller = k.caller AND a.route = k.route AND a.key = k.key
                OFFSET 0) s
          UNION ALL
            SELECT c.a, 2, convert_to(c.stream, 'UTF8'), NULL, 'version_conflict'
            FROM unnest(c_append, c_stream, c_version) AS c (a, stream, version)
            WHERE c.version <> coalesce(
                (SELECT max(originator_version) FROM events WHERE originator_id = c.stream), 0)
          UNION ALL
            SELECT u.a, 3, convert_to(u.scope || '/' || n.order_id, 'UTF8'), NULL, 'name_taken'
            FROM unnest(u_append, u_scope, u_name) AS u (a, scope, name)
            CROSS JOIN LATERAL (
                SELECT * FROM unique_names t WHERE t.scope = u.scope AND t.name = u.name OFFSET 0) n
          UNION ALL
            SELECT d.a, 4, convert_to(d.customer, 'UTF8'), NULL, 'data_key_raced'
            FROM (
                SELECT k.*, first_value(k.wrapped) OVER (PARTITION BY k.customer ORDER BY k.a) AS first
                FROM unnest(d_append, d_customer, d_wrapped) AS k (a, customer, wrapped)) d
            LEFT JOIN LATERAL (
                SELECT * FROM customer_keys t WHERE t.customer_id = d.customer OFFSET 0) s ON true
            WHERE d.wrapped IS DISTINCT FROM
                CASE WHEN s.customer_id IS NULL THEN d.first ELSE s.wrapped_key END
        ) r
        ORDER BY r.a, r.rank
    ) f;

    SELECT e.notification_id, e.recorded_at INTO v_head, v_head_at
    FROM events e ORDER BY e.notification_id DESC LIMIT 1;
    v_head := coalesce(v_head, 0);
    v_now := greatest(clock_timestamp(), v_head_at);

    INSERT INTO events
    SELECT e.stream, e.version, e.type, e.state, v_head + row_number() OVER (ORDER BY e.n), v_now, e.order_id
    FROM unnest(e_append, e_stream, e_version, e_type, e_state, e_order) WITH ORDINALITY
        AS e (a, stream, version, type, state, order_id, n)
    WHERE e.a <> ALL (v_refused);

    INSERT INTO unique_names
    SELECT u.scope, u.name, u.order_id
    FROM unnest(u_append, u_scope, u_name, u_order) AS u (a, scope, name, order_id)
    WHERE u.a <> ALL (v_refused);

    INSERT INTO customer_keys
    SELECT d.customer, d.wrapped
    FROM unnest(d_append, d_customer, d_wrapped) AS d (a, customer, wrapped)
    WHERE d.a <> ALL (v_refused)
      AND (SELECT true FROM customer_keys t WHERE t.customer_id = d.customer) IS NULL
    ON CONFLICT DO NOTHING;

    -- What was stored, and where each append's last event stands.
    SELECT v_refused || coalesce(array_agg(l.a), '{}'), v_outcomes || coalesce(array_agg('stored'::text), '{}'),
           v_details || coalesce(array_agg(NULL::bytea), '{}'), v_answered || coalesce(array_agg(l.last), '{}')
    INTO v_refused, v_outcomes, v_details, v_answered
    FROM (
        SELECT i.a, v_head + coalesce(max(p.n), 0) AS last
        FROM generate_series(0, p_appends - 1) AS i (a)
        LEFT JOIN (
            SELECT e.a, row_number() OVER (ORDER BY e.n) AS n
            FROM unnest(e_append) WITH ORDINALITY AS e (a, n)
            WHERE e.a <> ALL (v_refused)
        ) p ON p.a = i.a
        WHERE i.a <> ALL (v_refused)
        GROUP BY i.a
    ) l;

    INSERT INTO answers
    SELECT k.caller, k.route, k.key, k.fingerprint, k.answer, o.position
    FROM unnest(k_append, k_caller, k_route, k_key, k_fingerprint, k_answer)
        AS k (a, caller, route, key, fingerprint, answer)
    JOIN unnest(v_refused, v_outcomes, v_answered) AS o (a, outcome, position) ON o.a = k.a
    WHERE o.outcome = 'stored';

    PERFORM pg_notify('ordertrail_log', '');

    RETURN QUERY
    SELECT o.* FROM unnest(v_refused, v_outcomes, v_details, v_answered) AS o (a, outcome, detail, position)
    ORDER BY o.a;
END
$body$;

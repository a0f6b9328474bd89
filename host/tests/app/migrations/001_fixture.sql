-- What the host needs of the application's migrations, in small.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nodeai_app') THEN
        CREATE ROLE nodeai_app NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'probe_reader') THEN
        CREATE ROLE probe_reader;
    END IF;
END
$$;
GRANT probe_reader TO nodeai_app;

CREATE TABLE nodeai.fixture_keys (input jsonb NOT NULL);
CREATE TABLE nodeai.fixture_spans (line jsonb PRIMARY KEY);

CREATE FUNCTION nodeai.bootstrap_local(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    known jsonb;
BEGIN
    SELECT k.input INTO known FROM nodeai.fixture_keys k WHERE k.input->>'name' = 'local';
    IF known IS NULL THEN
        INSERT INTO nodeai.fixture_keys VALUES (bootstrap_local.input);
    END IF;
    RETURN jsonb_build_object('created', known IS NULL) || coalesce(known, input);
END
$$;

CREATE FUNCTION nodeai.create_api_key(input jsonb) RETURNS jsonb LANGUAGE sql AS $$
    INSERT INTO nodeai.fixture_keys VALUES (create_api_key.input) RETURNING input
$$;

CREATE FUNCTION nodeai.replay_spans(line jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    INSERT INTO nodeai.fixture_spans VALUES (replay_spans.line) ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN jsonb_build_object('inserted', n, 'skipped', 1 - n);
END
$$;

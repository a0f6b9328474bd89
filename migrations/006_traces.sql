-- Traces, spans and usage: partitioned by UTC day, with a default partition and an index from trace id to days.

CREATE TABLE public.traces (
  org_id uuid NOT NULL,
  trace_id text NOT NULL CONSTRAINT traces_trace_id CHECK (trace_id ~ '^[0-9a-f]{32}$'),
  day date NOT NULL,
  name text NOT NULL,
  kind text NOT NULL CONSTRAINT traces_kind CHECK (kind IN ('run', 'request', 'ingest')),
  status text NOT NULL CONSTRAINT traces_status CHECK (status IN ('ok', 'error', 'unset')),
  started_at timestamptz NOT NULL,
  duration_us bigint NOT NULL CONSTRAINT traces_duration CHECK (duration_us >= 0),
  execution_id uuid,
  workflow_id uuid,
  user_id uuid,
  span_count integer NOT NULL DEFAULT 0,
  prompt_tokens bigint NOT NULL DEFAULT 0,
  completion_tokens bigint NOT NULL DEFAULT 0,
  cost_pusd bigint NOT NULL DEFAULT 0,
  error jsonb,
  attributes jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (day, trace_id, org_id)
) PARTITION BY RANGE (day);
CREATE INDEX traces_recent_idx ON public.traces (org_id, started_at DESC, trace_id DESC);
CREATE INDEX traces_workflow_idx ON public.traces (org_id, workflow_id, started_at DESC) WHERE workflow_id IS NOT NULL;
CREATE INDEX traces_execution_idx ON public.traces (execution_id) WHERE execution_id IS NOT NULL;
CREATE INDEX traces_failed_idx ON public.traces (org_id, started_at DESC) WHERE status = 'error';
CREATE INDEX traces_user_idx ON public.traces (org_id, user_id, started_at DESC) WHERE user_id IS NOT NULL;
CREATE INDEX traces_cost_idx ON public.traces (org_id, cost_pusd DESC) WHERE cost_pusd > 0;

CREATE TABLE public.spans (
  org_id uuid NOT NULL,
  trace_id text NOT NULL CONSTRAINT spans_trace_id CHECK (trace_id ~ '^[0-9a-f]{32}$'),
  span_id text NOT NULL CONSTRAINT spans_span_id CHECK (span_id ~ '^[0-9a-f]{16}$'),
  parent_span_id text CONSTRAINT spans_parent_span_id CHECK (parent_span_id ~ '^[0-9a-f]{16}$'),
  day date NOT NULL,
  name text NOT NULL,
  kind text NOT NULL DEFAULT 'internal'
    CONSTRAINT spans_kind CHECK (kind IN ('internal', 'server', 'client', 'producer', 'consumer')),
  node_id text,
  node_type text,
  attempt integer,
  status text NOT NULL CONSTRAINT spans_status CHECK (status IN ('ok', 'error', 'unset')),
  status_message text,
  started_at timestamptz NOT NULL,
  duration_us bigint NOT NULL CONSTRAINT spans_duration CHECK (duration_us >= 0),
  provider text,
  model text,
  prompt_tokens bigint,
  completion_tokens bigint,
  cost_pusd bigint,
  attributes jsonb NOT NULL DEFAULT '{}',
  events jsonb NOT NULL DEFAULT '[]',
  links jsonb NOT NULL DEFAULT '[]',
  PRIMARY KEY (day, org_id, trace_id, span_id)
) PARTITION BY RANGE (day);
CREATE INDEX spans_model_idx ON public.spans (org_id, model, started_at DESC) WHERE model IS NOT NULL;
CREATE INDEX spans_node_idx ON public.spans (org_id, node_type, started_at DESC) WHERE node_type IS NOT NULL;
CREATE INDEX spans_failed_idx ON public.spans (org_id, started_at DESC) WHERE status = 'error';

-- From a trace id to the days on which it has rows: the way into the partitions.
CREATE TABLE public.trace_days (
  trace_id text NOT NULL,
  org_id uuid NOT NULL,
  day date NOT NULL,
  PRIMARY KEY (trace_id, org_id, day)
);
CREATE INDEX trace_days_day_idx ON public.trace_days (day);

-- One row per metered request, run or model call.
CREATE TABLE public.usage_logs (
  id uuid NOT NULL,
  org_id uuid NOT NULL,
  day date NOT NULL,
  at timestamptz NOT NULL,
  kind text NOT NULL CONSTRAINT usage_logs_kind CHECK (char_length(kind) BETWEEN 1 AND 50),
  user_id uuid,
  key_id uuid,
  route text,
  workflow_id uuid,
  execution_id uuid,
  trace_id text,
  node_id text,
  provider text,
  model text,
  units bigint NOT NULL DEFAULT 1,
  status integer,
  duration_us bigint,
  prompt_tokens bigint NOT NULL DEFAULT 0,
  completion_tokens bigint NOT NULL DEFAULT 0,
  cost_pusd bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (day, org_id, id)
) PARTITION BY RANGE (day);
CREATE INDEX usage_logs_recent_idx ON public.usage_logs (org_id, at DESC, id DESC);
CREATE INDEX usage_logs_workflow_idx ON public.usage_logs (org_id, workflow_id, at DESC) WHERE workflow_id IS NOT NULL;
CREATE INDEX usage_logs_user_idx ON public.usage_logs (org_id, user_id, at DESC) WHERE user_id IS NOT NULL;
CREATE INDEX usage_logs_key_idx ON public.usage_logs (org_id, key_id, at DESC) WHERE key_id IS NOT NULL;

-- Sums by hour for the dashboard; `latency` is a log-bucket histogram that can be merged.
CREATE TABLE public.usage_rollups (
  org_id uuid NOT NULL,
  hour timestamptz NOT NULL,
  workflow_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  node_id text NOT NULL DEFAULT '',
  model text NOT NULL DEFAULT '',
  user_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  runs bigint NOT NULL DEFAULT 0,
  errors bigint NOT NULL DEFAULT 0,
  prompt_tokens bigint NOT NULL DEFAULT 0,
  completion_tokens bigint NOT NULL DEFAULT 0,
  cost_pusd bigint NOT NULL DEFAULT 0,
  latency jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (org_id, hour, workflow_id, node_id, model, user_id)
);
CREATE INDEX usage_rollups_hour_idx ON public.usage_rollups (hour);

-- Telemetry is written in the name of whoever called, and viewers call too.
SELECT nodeai.tenant_table('public.traces', 'viewer', 'viewer', 'SELECT, INSERT, UPDATE');
SELECT nodeai.tenant_table('public.spans', 'viewer', 'viewer', 'SELECT, INSERT');
SELECT nodeai.tenant_table('public.trace_days', 'viewer', 'viewer', 'SELECT, INSERT');
SELECT nodeai.tenant_table('public.usage_logs', 'viewer', 'viewer', 'SELECT, INSERT');
SELECT nodeai.tenant_table('public.usage_rollups', 'viewer', 'editor', 'SELECT, INSERT, UPDATE');

-- Partitions --------------------------------------------------------------------------------------------------------

-- A partition answers only through its parent.
CREATE FUNCTION nodeai.add_default_partition(parent text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I DEFAULT', parent || '_default', parent);
  PERFORM nodeai.lock_table(('public.' || parent || '_default')::regclass);
END
$$;
SELECT nodeai.expose('nodeai.add_default_partition(text)', '{}');

-- Makes the partition of one day; rows of that day that landed in the default partition move into it.
CREATE FUNCTION nodeai.add_partition(parent text, for_day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  name text := parent || '_' || to_char(for_day, 'YYYYMMDD');
BEGIN
  IF to_regclass('public.' || name) IS NOT NULL THEN
    RETURN false;
  END IF;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', name, parent);
  PERFORM nodeai.lock_table(('public.' || name)::regclass);
  EXECUTE format('WITH moved AS (DELETE FROM public.%I WHERE day = %L RETURNING *) INSERT INTO public.%I SELECT * FROM moved',
    parent || '_default', for_day, name);
  EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
    parent, name, for_day, for_day + 1);
  RETURN true;
END
$$;
SELECT nodeai.expose('nodeai.add_partition(text, date)', '{}');

-- Makes the partitions of a range of days for all partitioned tables; returns how many were new.
CREATE FUNCTION nodeai.add_partitions(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  made integer := 0;
  parent text;
  step integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nodeai.partitions', 0));
  FOREACH parent IN ARRAY ARRAY['traces', 'spans', 'usage_logs'] LOOP
    FOR step IN 0..(last_day - first_day) LOOP
      IF nodeai.add_partition(parent, first_day + step) THEN
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END
$$;
SELECT nodeai.expose('nodeai.add_partitions(date, date)', '{}');

-- Drops every partition whose day is before `first_kept`; returns how many.
CREATE FUNCTION nodeai.drop_partitions(first_kept date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  part record;
  dropped integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nodeai.partitions', 0));
  FOR part IN
    SELECT c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent IN ('public.traces'::regclass, 'public.spans'::regclass, 'public.usage_logs'::regclass)
      AND c.relname ~ '_[0-9]{8}$' AND to_date(right(c.relname, 8), 'YYYYMMDD') < first_kept
  LOOP
    EXECUTE format('DROP TABLE public.%I', part.relname);
    dropped := dropped + 1;
  END LOOP;
  DELETE FROM public.traces_default t WHERE t.day < first_kept;
  DELETE FROM public.spans_default s WHERE s.day < first_kept;
  DELETE FROM public.usage_logs_default u WHERE u.day < first_kept;
  DELETE FROM public.trace_days d WHERE d.day < first_kept;
  RETURN dropped;
END
$$;
SELECT nodeai.expose('nodeai.drop_partitions(date)', '{}');

SELECT nodeai.add_default_partition(parent) FROM unnest(ARRAY['traces', 'spans', 'usage_logs']) parent;
SELECT nodeai.add_partitions((now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 7);

-- Writing -----------------------------------------------------------------------------------------------------------

-- Stores spans and their traces; what is there already stays as it is, so a retry changes nothing. A trace that is
-- not given is derived from its spans. Sums of a trace grow only with spans that are new. (plpgsql, because it keeps
-- the plan over all partitions: planning this statement costs twice as much as running it.)
-- Returns {"inserted", "skipped"} (spans).
CREATE FUNCTION nodeai.store_spans(org uuid, given_traces jsonb, given_spans jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  stored_count bigint;
BEGIN
  WITH s AS MATERIALIZED (
    SELECT DISTINCT ON (x.trace_id, x.span_id)
      x.*, coalesce(x.start_us, x.started_us) AS at_us,
      greatest(0, coalesce(x.duration_us, x.end_us - coalesce(x.start_us, x.started_us), 0)) AS took_us
    FROM jsonb_to_recordset(coalesce(nullif(given_spans, 'null'), '[]')) AS x(
      trace_id text, span_id text, parent_span_id text, name text, kind text, node_id text, node_type text,
      attempt integer, status text, status_message text, start_us bigint, started_us bigint, end_us bigint,
      duration_us bigint, provider text, model text, prompt_tokens bigint, completion_tokens bigint,
      cost_pusd bigint, attributes jsonb, events jsonb, links jsonb)
  ), stored AS (
    INSERT INTO public.spans (
      org_id, trace_id, span_id, parent_span_id, day, name, kind, node_id, node_type, attempt, status,
      status_message, started_at, duration_us, provider, model, prompt_tokens, completion_tokens, cost_pusd,
      attributes, events, links)
    SELECT org, trace_id, span_id, nullif(parent_span_id, ''), nodeai.day_of(at_us), name, coalesce(kind, 'internal'),
      node_id, node_type, attempt, coalesce(status, 'unset'), status_message, nodeai.from_us(at_us), took_us,
      provider, model, prompt_tokens, completion_tokens, cost_pusd, coalesce(attributes, '{}'),
      coalesce(events, '[]'), coalesce(links, '[]')
    FROM s
    ON CONFLICT (day, org_id, trace_id, span_id) DO NOTHING
    RETURNING trace_id
  ), fresh AS (
    SELECT trace_id, count(*)::integer AS spans FROM stored GROUP BY trace_id
  ), named AS (
    SELECT DISTINCT ON (x.trace_id) x.trace_id, x.name, coalesce(x.kind, 'request') AS kind,
      coalesce(x.status, 'unset') AS status, coalesce(x.start_us, x.started_us) AS at_us,
      greatest(0, coalesce(x.duration_us, x.end_us - coalesce(x.start_us, x.started_us), 0)) AS took_us,
      x.execution_id, x.workflow_id, x.user_id, coalesce(x.prompt_tokens, 0) AS prompt_tokens,
      coalesce(x.completion_tokens, 0) AS completion_tokens, coalesce(x.cost_pusd, 0) AS cost_pusd,
      nullif(x.error, 'null') AS error, coalesce(x.attributes, '{}') AS attributes
    FROM jsonb_to_recordset(coalesce(nullif(given_traces, 'null'), '[]')) AS x(
      trace_id text, name text, kind text, status text, start_us bigint, started_us bigint, end_us bigint,
      duration_us bigint, execution_id uuid, workflow_id uuid, user_id uuid, prompt_tokens bigint,
      completion_tokens bigint, cost_pusd bigint, error jsonb, attributes jsonb)
  ), derived AS (
    SELECT s.trace_id, root.name, CASE WHEN root.name LIKE 'invoke_workflow%' THEN 'run' ELSE 'request' END,
      coalesce(root.status, 'unset'), min(s.at_us), max(s.at_us + s.took_us) - min(s.at_us),
      (root.attributes ->> 'nodeai.execution_id')::uuid, (root.attributes ->> 'nodeai.workflow_id')::uuid,
      (root.attributes ->> 'nodeai.user_id')::uuid, coalesce(sum(s.prompt_tokens), 0)::bigint,
      coalesce(sum(s.completion_tokens), 0)::bigint, coalesce(sum(s.cost_pusd), 0)::bigint, NULL::jsonb, '{}'::jsonb
    FROM s CROSS JOIN LATERAL (
      SELECT r.name, r.status, r.attributes FROM s r WHERE r.trace_id = s.trace_id
      ORDER BY (nullif(r.parent_span_id, '') IS NULL) DESC, r.at_us LIMIT 1) root
    WHERE s.trace_id NOT IN (SELECT n.trace_id FROM named n)
    GROUP BY s.trace_id, root.name, root.status, root.attributes
  ), t AS (
    SELECT * FROM named UNION ALL SELECT * FROM derived
  ), traced AS (
    INSERT INTO public.traces AS old (
      org_id, trace_id, day, name, kind, status, started_at, duration_us, execution_id, workflow_id, user_id,
      span_count, prompt_tokens, completion_tokens, cost_pusd, error, attributes)
    SELECT org, t.trace_id, nodeai.day_of(t.at_us), t.name, t.kind, t.status, nodeai.from_us(t.at_us), t.took_us,
      t.execution_id, t.workflow_id, coalesce(t.user_id, auth.uid()), coalesce(f.spans, 0),
      t.prompt_tokens, t.completion_tokens, t.cost_pusd, t.error, t.attributes
    FROM t LEFT JOIN fresh f ON f.trace_id = t.trace_id
    ON CONFLICT (day, trace_id, org_id) DO UPDATE SET
      name = CASE WHEN excluded.kind = 'run' THEN excluded.name ELSE old.name END,
      kind = CASE WHEN excluded.kind = 'run' THEN 'run' ELSE old.kind END,
      status = CASE WHEN 'error' IN (old.status, excluded.status) THEN 'error'
                    WHEN 'ok' IN (old.status, excluded.status) THEN 'ok' ELSE 'unset' END,
      started_at = least(old.started_at, excluded.started_at),
      duration_us = greatest(
        nodeai.to_us(old.started_at) + old.duration_us, nodeai.to_us(excluded.started_at) + excluded.duration_us)
        - nodeai.to_us(least(old.started_at, excluded.started_at)),
      execution_id = coalesce(excluded.execution_id, old.execution_id),
      workflow_id = coalesce(excluded.workflow_id, old.workflow_id),
      span_count = old.span_count + excluded.span_count,
      prompt_tokens = old.prompt_tokens + excluded.prompt_tokens,
      completion_tokens = old.completion_tokens + excluded.completion_tokens,
      cost_pusd = old.cost_pusd + excluded.cost_pusd,
      error = coalesce(excluded.error, old.error),
      attributes = old.attributes || excluded.attributes
    WHERE excluded.span_count > 0
  ), indexed AS (
    INSERT INTO public.trace_days (trace_id, org_id, day)
    SELECT s.trace_id, org, nodeai.day_of(s.at_us) FROM s
    UNION SELECT t.trace_id, org, nodeai.day_of(t.at_us) FROM t
    ON CONFLICT DO NOTHING
  )
  SELECT count(*) INTO stored_count FROM stored;
  RETURN jsonb_build_object(
    'inserted', stored_count,
    'skipped', jsonb_array_length(coalesce(nullif(given_spans, 'null'), '[]')) - stored_count);
END
$$;
SELECT nodeai.expose('nodeai.store_spans(uuid, jsonb, jsonb)', '{authenticated,service_role}');

-- Stores usage rows; a row that is there stays.
CREATE FUNCTION nodeai.store_usage(org uuid, rows jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  INSERT INTO public.usage_logs (
    id, org_id, day, at, kind, user_id, key_id, route, workflow_id, execution_id, trace_id, node_id, provider, model,
    units, status, duration_us, prompt_tokens, completion_tokens, cost_pusd)
  SELECT coalesce(x.id, nodeai.uuid_v7()), org, nodeai.day_of(x.at_us), nodeai.from_us(x.at_us), x.kind,
    coalesce(x.user_id, auth.uid()), coalesce(x.key_id, nullif(nodeai.claims() ->> 'key_id', '')::uuid), x.route,
    x.workflow_id, x.execution_id, x.trace_id, x.node_id, x.provider, x.model, coalesce(x.units, 1), x.status,
    x.duration_us, coalesce(x.prompt_tokens, 0), coalesce(x.completion_tokens, 0), coalesce(x.cost_pusd, 0)
  FROM jsonb_to_recordset(rows) AS x(
    id uuid, at_us bigint, kind text, user_id uuid, key_id uuid, route text, workflow_id uuid, execution_id uuid,
    trace_id text, node_id text, provider text, model text, units bigint, status integer, duration_us bigint,
    prompt_tokens bigint, completion_tokens bigint, cost_pusd bigint)
  ON CONFLICT (day, org_id, id) DO NOTHING;
END
$$;
SELECT nodeai.expose('nodeai.store_usage(uuid, jsonb)', '{authenticated,service_role}');

-- The spans and usage of requests, after their answer: {"org_id","traces":[…],"spans":[…],"usage":[…]}.
CREATE FUNCTION public.spans_flush(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
BEGIN
  IF jsonb_array_length(coalesce(nullif(p -> 'usage', 'null'), '[]')) > 0 THEN
    PERFORM nodeai.store_usage(org, p -> 'usage');
  END IF;
  RETURN nodeai.store_spans(org, p -> 'traces', p -> 'spans');
END
$$;
SELECT nodeai.expose('public.spans_flush(jsonb)', '{authenticated,service_role}');

-- Reading -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION nodeai.trace_json(t public.traces) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'trace_id', t.trace_id, 'name', t.name, 'kind', t.kind, 'status', t.status,
    'start_us', nodeai.to_us(t.started_at), 'duration_us', t.duration_us, 'execution_id', t.execution_id,
    'workflow_id', t.workflow_id, 'user_id', t.user_id, 'span_count', t.span_count,
    'prompt_tokens', t.prompt_tokens, 'completion_tokens', t.completion_tokens, 'cost_pusd', t.cost_pusd,
    'error', t.error, 'attributes', t.attributes);
SELECT nodeai.expose('nodeai.trace_json(public.traces)', '{authenticated,service_role}');

CREATE FUNCTION nodeai.span_json(s public.spans) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'trace_id', s.trace_id, 'span_id', s.span_id, 'parent_span_id', s.parent_span_id, 'name', s.name, 'kind', s.kind,
    'node_id', s.node_id, 'node_type', s.node_type, 'attempt', s.attempt, 'status', s.status,
    'status_message', s.status_message, 'start_us', nodeai.to_us(s.started_at),
    'end_us', nodeai.to_us(s.started_at) + s.duration_us, 'duration_us', s.duration_us, 'provider', s.provider,
    'model', s.model, 'prompt_tokens', s.prompt_tokens, 'completion_tokens', s.completion_tokens,
    'cost_pusd', s.cost_pusd, 'attributes', s.attributes, 'events', s.events, 'links', s.links);
SELECT nodeai.expose('nodeai.span_json(public.spans)', '{authenticated,service_role}');

-- One trace with its spans, flat and in order of start, or null: {"org_id","trace_id"}.
CREATE FUNCTION public.trace_tree(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  wanted text := p ->> 'trace_id';
  days date[];
  trace jsonb;
BEGIN
  SELECT array_agg(d.day) INTO days FROM public.trace_days d WHERE d.trace_id = wanted AND d.org_id = org;
  IF days IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT nodeai.trace_json(t) INTO trace FROM public.traces t
    WHERE t.day = ANY (days) AND t.org_id = org AND t.trace_id = wanted
    ORDER BY (t.kind = 'run') DESC, t.started_at LIMIT 1;
  RETURN jsonb_build_object('trace', trace, 'spans', (
    SELECT coalesce(jsonb_agg(nodeai.span_json(s) ORDER BY s.started_at, s.span_id), '[]')
    FROM public.spans s WHERE s.day = ANY (days) AND s.org_id = org AND s.trace_id = wanted));
END
$$;
SELECT nodeai.expose('public.trace_tree(jsonb)', '{authenticated,service_role}');

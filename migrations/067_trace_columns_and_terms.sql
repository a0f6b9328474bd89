-- A trace is read by columns, and found by terms of its attributes.

-- The names of fields are written once, and each list is made by one aggregate: ten thousand spans take half of the time of as many objects.
-- {"org_id","trace_id"} → {"trace": summary, "columns": {field: [a value a span]}, "optional": the same, null where no span has one}, by
-- start; null when there is no such trace. What is null in an optional column is not a field of its span.
CREATE FUNCTION public.trace_columns(p jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' SET jit = off AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  wanted text := p ->> 'trace_id';
  days date[];
  trace jsonb;
  columns json;
  optional json;
BEGIN
  SELECT array_agg(d.day) INTO days FROM public.trace_days d WHERE d.trace_id = wanted AND d.org_id = org;
  IF days IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT nodeai.trace_json(t) INTO trace FROM public.traces t
    WHERE t.day = ANY (days) AND t.org_id = org AND t.trace_id = wanted
    ORDER BY (t.kind = 'run') DESC, t.started_at LIMIT 1;
  WITH big AS MATERIALIZED (
    SELECT x.day, x.span_id, x.attributes, x.events FROM public.span_payloads x
    WHERE x.day = ANY (days) AND x.org_id = org AND x.trace_id = wanted
  ), found AS (
    SELECT s.*, nodeai.to_us(s.started_at) AS start_us, b.attributes AS more, b.events AS more_events
    FROM public.spans s LEFT JOIN big b ON b.day = s.day AND b.span_id = s.span_id
    WHERE s.day = ANY (days) AND s.org_id = org AND s.trace_id = wanted
    ORDER BY s.started_at, s.span_id COLLATE "C"
  )
  SELECT json_build_object('span_id', json_agg(s.span_id), 'parent_span_id', json_agg(s.parent_span_id), 'name', json_agg(s.name), 'kind', json_agg(s.kind),
      'node_id', json_agg(s.node_id), 'node_type', json_agg(s.node_type), 'attempt', json_agg(s.attempt), 'status', json_agg(s.status),
      'status_message', json_agg(s.status_message), 'start_us', json_agg(s.start_us), 'duration_us', json_agg(s.duration_us),
      'provider', json_agg(s.provider), 'model', json_agg(s.model), 'prompt_tokens', json_agg(s.prompt_tokens),
      'completion_tokens', json_agg(s.completion_tokens), 'cost_pusd', json_agg(s.cost_pusd), 'attributes', json_agg(CASE WHEN s.more IS NULL THEN s.attributes ELSE s.attributes || s.more END),
      'events', json_agg(coalesce(s.more_events, s.events)), 'links', json_agg(s.links)),
    json_build_object('measure', CASE WHEN count(s.measure) > 0 THEN json_agg(s.measure) END,
      'priced', CASE WHEN count(s.priced) > 0 THEN json_agg(s.priced) END,
      'price_version', CASE WHEN count(s.price_version) > 0 THEN json_agg(s.price_version) END,
      'session_id', CASE WHEN count(s.session_id) > 0 THEN json_agg(s.session_id) END,
      'end_user', CASE WHEN count(s.end_user) > 0 THEN json_agg(s.end_user) END,
      'tags', CASE WHEN count(s.tags) > 0 THEN json_agg(s.tags) END,
      'service_tier', CASE WHEN count(s.service_tier) > 0 THEN json_agg(s.service_tier) END,
      'cache_read_tokens', CASE WHEN count(s.cache_read_tokens) > 0 THEN json_agg(s.cache_read_tokens) END,
      'cache_write_tokens', CASE WHEN count(s.cache_write_tokens) > 0 THEN json_agg(s.cache_write_tokens) END,
      'cache_write_1h_tokens', CASE WHEN count(s.cache_write_1h_tokens) > 0 THEN json_agg(s.cache_write_1h_tokens) END,
      'reasoning_tokens', CASE WHEN count(s.reasoning_tokens) > 0 THEN json_agg(s.reasoning_tokens) END,
      'audio_input_tokens', CASE WHEN count(s.audio_input_tokens) > 0 THEN json_agg(s.audio_input_tokens) END,
      'audio_output_tokens', CASE WHEN count(s.audio_output_tokens) > 0 THEN json_agg(s.audio_output_tokens) END,
      'image_input_tokens', CASE WHEN count(s.image_input_tokens) > 0 THEN json_agg(s.image_input_tokens) END)
  INTO columns, optional FROM found s;
  RETURN json_build_object('trace', trace, 'columns', columns, 'optional', optional);
END
$$;
SELECT nodeai.expose('public.trace_columns(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('trace_columns');

-- Terms -------------------------------------------------------------------------------------------------------------------

-- A number for each attribute of its spans with its value, as whoever writes them reckons it. Null: unknown, or too many.
ALTER TABLE public.traces ADD COLUMN terms integer[];

-- The terms of two parts of a trace; null where those of one are unknown, or where there are too many.
CREATE FUNCTION nodeai.joined_terms(one integer[], other integer[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
DECLARE
  joined integer[];
BEGIN
  IF one IS NULL OR other IS NULL THEN
    RETURN NULL;
  END IF;
  joined := ARRAY(SELECT DISTINCT x FROM unnest(one || other) x ORDER BY x);
  RETURN CASE WHEN cardinality(joined) <= 256 THEN joined END;
END
$$;
SELECT nodeai.expose('nodeai.joined_terms(integer[], integer[])', '{authenticated,service_role}');

-- As in 065, with terms: those of a trace that is given stand there, otherwise at one of its spans.
CREATE OR REPLACE FUNCTION nodeai.put_spans(org uuid, given_traces jsonb, given_spans jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  stored_count bigint;
  early text[];
  caller uuid := auth.uid(); -- read once: the claims are a text
BEGIN
  WITH named AS MATERIALIZED (
    SELECT DISTINCT ON (x.trace_id) x.trace_id, x.name, coalesce(x.kind, 'request') AS kind,
      coalesce(x.status, 'unset') AS status, coalesce(x.start_us, x.started_us) AS at_us,
      greatest(0, coalesce(x.duration_us, x.end_us - coalesce(x.start_us, x.started_us), 0)) AS took_us,
      x.execution_id, x.workflow_id, x.user_id, coalesce(x.prompt_tokens, 0) AS prompt_tokens,
      coalesce(x.completion_tokens, 0) AS completion_tokens, coalesce(x.cost_pusd, 0) AS cost_pusd,
      nullif(x.error, 'null') AS error, coalesce(x.attributes, '{}') AS attributes, x.terms
    FROM jsonb_to_recordset(coalesce(nullif(given_traces, 'null'), '[]')) AS x(
      trace_id text, name text, kind text, status text, start_us bigint, started_us bigint, end_us bigint,
      duration_us bigint, execution_id uuid, workflow_id uuid, user_id uuid, prompt_tokens bigint,
      completion_tokens bigint, cost_pusd bigint, error jsonb, attributes jsonb, terms integer[])
  ), s AS MATERIALIZED (
    SELECT DISTINCT ON (x.trace_id, x.span_id)
      x.*, coalesce(x.start_us, x.started_us) AS at_us,
      greatest(0, coalesce(x.duration_us, x.end_us - coalesce(x.start_us, x.started_us), 0)) AS took_us,
      coalesce(x.workflow_id, n.workflow_id, nodeai.uuid_of(x.attributes ->> 'nodeai.workflow_id')) AS of_workflow,
      coalesce(x.user_id, n.user_id, CASE WHEN x.trace_kind IS NULL THEN nodeai.uuid_of(x.attributes ->> 'nodeai.user_id') END) AS of_user,
      coalesce(x.measure, CASE WHEN x.name LIKE 'invoke_workflow%' THEN 'run' WHEN x.model IS NOT NULL THEN 'model'
        WHEN x.node_id IS NOT NULL THEN 'node' ELSE 'none' END) AS measured,
      coalesce(pg_column_size(x.attributes) > 1024, false) AS big, split.small_ones, split.big_ones,
      coalesce(pg_column_size(x.events) > 1024, false) AS eventful
    FROM jsonb_to_recordset(coalesce(nullif(given_spans, 'null'), '[]')) AS x(
      trace_id text, span_id text, parent_span_id text, name text, kind text, node_id text, node_type text,
      attempt integer, status text, status_message text, start_us bigint, started_us bigint, end_us bigint,
      duration_us bigint, provider text, model text, prompt_tokens bigint, completion_tokens bigint,
      cost_pusd bigint, attributes jsonb, events jsonb, links jsonb, cache_read_tokens bigint,
      cache_write_tokens bigint, cache_write_1h_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
      audio_output_tokens bigint, image_input_tokens bigint, service_tier text, price_version text, session_id text,
      tags text[], priced boolean, workflow_id uuid, user_id uuid, end_user text, measure text, trace_kind text, terms integer[])
    LEFT JOIN named n ON n.trace_id = x.trace_id
    LEFT JOIN LATERAL (
      SELECT jsonb_object_agg(e.k, e.v) FILTER (WHERE pg_column_size(e.v) <= 256) AS small_ones,
        jsonb_object_agg(e.k, e.v) FILTER (WHERE pg_column_size(e.v) > 256) AS big_ones
      FROM jsonb_each(CASE WHEN pg_column_size(x.attributes) > 1024 THEN x.attributes END) AS e(k, v)) split ON true
  ), stored AS (
    INSERT INTO public.spans (
      org_id, trace_id, span_id, parent_span_id, day, name, kind, node_id, node_type, attempt, status,
      status_message, started_at, duration_us, provider, model, prompt_tokens, completion_tokens, cost_pusd,
      attributes, events, links, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
      audio_input_tokens, audio_output_tokens, image_input_tokens, service_tier, price_version, session_id, tags,
      priced, workflow_id, user_id, end_user, measure)
    SELECT org, s.trace_id, s.span_id, nullif(s.parent_span_id, ''), nodeai.day_of(s.at_us), s.name,
      coalesce(s.kind, 'internal'), s.node_id, s.node_type, s.attempt, coalesce(s.status, 'unset'), s.status_message,
      nodeai.from_us(s.at_us), s.took_us, s.provider, s.model, s.prompt_tokens, s.completion_tokens, s.cost_pusd,
      CASE WHEN s.big THEN coalesce(s.small_ones, '{}') ELSE coalesce(s.attributes, '{}') END,
      CASE WHEN s.eventful THEN '[]' ELSE coalesce(s.events, '[]') END, coalesce(s.links, '[]'), s.cache_read_tokens,
      s.cache_write_tokens, s.cache_write_1h_tokens, s.reasoning_tokens, s.audio_input_tokens, s.audio_output_tokens,
      s.image_input_tokens, s.service_tier, s.price_version, s.session_id, s.tags, s.priced, s.of_workflow,
      coalesce(s.of_user, caller), s.end_user, nullif(s.measured, 'none')
    FROM s
    ON CONFLICT (day, org_id, trace_id, span_id) DO NOTHING
    -- What is summed, and not the attributes, which are most of a row.
    RETURNING trace_id, span_id, started_at, duration_us, status, measure, workflow_id, node_id, node_type, provider, model,
      user_id, prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
      reasoning_tokens, audio_input_tokens, audio_output_tokens, image_input_tokens, cost_pusd, priced, session_id, end_user, tags
  ), payload AS (
    INSERT INTO public.span_payloads (org_id, trace_id, span_id, day, attributes, events)
    SELECT org, s.trace_id, s.span_id, nodeai.day_of(s.at_us),
      coalesce(s.big_ones, '{}'), CASE WHEN s.eventful THEN s.events END
    FROM s JOIN stored n ON n.trace_id = s.trace_id AND n.span_id = s.span_id WHERE s.big OR s.eventful
    ON CONFLICT DO NOTHING
  ), counted AS (
    SELECT date_trunc('hour', n.started_at, 'UTC') AS hour,
      coalesce(n.workflow_id, '00000000-0000-0000-0000-000000000000') AS workflow_id,
      CASE WHEN n.measure = 'run' THEN '' ELSE coalesce(n.node_id, '') END AS node_id,
      CASE WHEN n.measure = 'run' THEN '' ELSE coalesce(nullif(n.node_type, ''), n.measure) END AS node_type,
      CASE WHEN n.measure = 'model' THEN coalesce(n.provider, '') ELSE '' END AS provider,
      CASE WHEN n.measure = 'model' THEN coalesce(n.model, '') ELSE '' END AS model,
      coalesce(n.user_id, '00000000-0000-0000-0000-000000000000') AS user_id,
      nodeai.hist_bucket(n.duration_us) AS bucket, count(*) AS calls, count(*) FILTER (WHERE n.status = 'error') AS errors,
      sum(n.prompt_tokens) AS prompt_tokens, sum(n.completion_tokens) AS completion_tokens,
      sum(n.cache_read_tokens) AS cache_read_tokens, sum(n.cache_write_tokens) AS cache_write_tokens,
      sum(n.cache_write_1h_tokens) AS cache_write_1h_tokens, sum(n.reasoning_tokens) AS reasoning_tokens,
      sum(n.audio_input_tokens) AS audio_input_tokens, sum(n.audio_output_tokens) AS audio_output_tokens,
      sum(n.image_input_tokens) AS image_input_tokens, sum(n.cost_pusd) AS cost_pusd,
      count(*) FILTER (WHERE n.measure = 'model' AND NOT coalesce(n.priced, n.cost_pusd IS NOT NULL)) AS unpriced_calls,
      n.measure = 'run' AS is_run
    FROM stored n WHERE n.measure IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, n.measure = 'run'
  ), summed AS (
    INSERT INTO public.usage_deltas (
      org_id, hour, workflow_id, node_id, node_type, provider, model, user_id, calls, errors, prompt_tokens,
      completion_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
      audio_input_tokens, audio_output_tokens, image_input_tokens, cost_pusd, unpriced_calls, hist_idx, hist_n)
    -- A run's own tokens and costs are the sums of its calls, which are counted themselves.
    SELECT org, c.hour, c.workflow_id, c.node_id, c.node_type, c.provider, c.model, c.user_id, sum(c.calls), sum(c.errors),
      coalesce(sum(c.prompt_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.completion_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.cache_read_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.cache_write_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.cache_write_1h_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.reasoning_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.audio_input_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.audio_output_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.image_input_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.cost_pusd) FILTER (WHERE NOT c.is_run), 0), sum(c.unpriced_calls),
      array_agg(c.bucket ORDER BY c.bucket), array_agg(c.calls ORDER BY c.bucket)
    FROM counted c GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), fresh AS (
    SELECT n.trace_id, count(*)::integer AS spans, min(n.started_at) AS first_at,
      max(n.started_at + n.duration_us * interval '1 microsecond') AS last_at,
      coalesce(sum(n.prompt_tokens) FILTER (WHERE n.measure <> 'run'), 0)::bigint AS prompt_tokens,
      coalesce(sum(n.completion_tokens) FILTER (WHERE n.measure <> 'run'), 0)::bigint AS completion_tokens,
      coalesce(sum(n.cost_pusd) FILTER (WHERE n.measure <> 'run'), 0)::bigint AS cost_pusd,
      min(n.session_id) AS session_id, min(n.end_user) AS end_user
    FROM stored n GROUP BY n.trace_id
  ), tagged AS (
    SELECT n.trace_id, array_agg(DISTINCT tag ORDER BY tag) AS tags FROM stored n CROSS JOIN LATERAL unnest(n.tags) tag
    GROUP BY n.trace_id
  ), marked AS (
    SELECT DISTINCT ON (s.trace_id) s.trace_id, s.terms FROM s WHERE s.terms IS NOT NULL ORDER BY s.trace_id
  ), root AS (
    SELECT DISTINCT ON (s.trace_id) s.trace_id, s.name, s.status, s.attributes, s.of_workflow, s.of_user, s.trace_kind,
      nullif(s.parent_span_id, '') IS NULL OR coalesce(s.kind = 'server', false) OR s.measured = 'run' AS rooted
    FROM s WHERE NOT EXISTS (SELECT FROM named n WHERE n.trace_id = s.trace_id)
    ORDER BY s.trace_id, (nullif(s.parent_span_id, '') IS NULL) DESC, s.at_us, s.span_id
  ), t AS (
    SELECT n.*, true AS rooted FROM named n
    UNION ALL
    SELECT r.trace_id, r.name, coalesce(r.trace_kind, CASE WHEN r.name LIKE 'invoke_workflow%' THEN 'run' ELSE 'request' END),
      CASE WHEN r.rooted THEN coalesce(r.status, 'unset') ELSE 'unset' END, nodeai.to_us(f.first_at),
      nodeai.to_us(f.last_at) - nodeai.to_us(f.first_at), nodeai.uuid_of(r.attributes ->> 'nodeai.execution_id'), r.of_workflow,
      r.of_user, f.prompt_tokens, f.completion_tokens, f.cost_pusd, NULL::jsonb, '{}'::jsonb, m.terms, r.rooted
    FROM root r JOIN fresh f ON f.trace_id = r.trace_id LEFT JOIN marked m ON m.trace_id = r.trace_id
  ), home AS (
    -- A trace stays where it began: its earliest day is the one of its row.
    SELECT t.*, coalesce((SELECT min(d.day) FROM public.trace_days d WHERE d.trace_id = t.trace_id AND d.org_id = org),
      nodeai.day_of(t.at_us)) AS day
    FROM t
  ), traced AS (
    INSERT INTO public.traces AS old (
      org_id, trace_id, day, name, kind, status, started_at, duration_us, execution_id, workflow_id, user_id,
      span_count, prompt_tokens, completion_tokens, cost_pusd, error, attributes, session_id, end_user, tags, rooted, terms)
    SELECT org, t.trace_id, t.day, t.name, t.kind, t.status, nodeai.from_us(t.at_us), t.took_us,
      t.execution_id, t.workflow_id, coalesce(t.user_id, caller), coalesce(f.spans, 0),
      t.prompt_tokens, t.completion_tokens, t.cost_pusd, t.error, t.attributes, f.session_id, f.end_user, g.tags, t.rooted,
      -- Without spans there is nothing to be found by yet.
      CASE WHEN f.trace_id IS NULL THEN '{}' ELSE t.terms END
    FROM home t LEFT JOIN fresh f ON f.trace_id = t.trace_id LEFT JOIN tagged g ON g.trace_id = t.trace_id
    -- In one order everywhere: two requests about the same traces wait for each other and not in a circle.
    ORDER BY t.trace_id, t.day
    ON CONFLICT (day, trace_id, org_id) DO UPDATE SET
      name = CASE WHEN excluded.kind = 'run' OR (excluded.rooted AND NOT old.rooted) THEN excluded.name ELSE old.name END,
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
      attributes = old.attributes || excluded.attributes,
      session_id = coalesce(old.session_id, excluded.session_id),
      end_user = coalesce(old.end_user, excluded.end_user),
      tags = CASE WHEN excluded.tags IS NULL THEN old.tags ELSE ARRAY(
        SELECT DISTINCT x FROM unnest(old.tags || excluded.tags) x ORDER BY x) END,
      rooted = old.rooted OR excluded.rooted,
      terms = nodeai.joined_terms(old.terms, excluded.terms)
    WHERE excluded.span_count > 0
    RETURNING trace_id, day, started_at
  ), indexed AS (
    INSERT INTO public.trace_days AS old (trace_id, org_id, day, stored_at)
    SELECT w.trace_id, org, w.day, now() FROM (
      SELECT n.trace_id, nodeai.day_of(nodeai.to_us(n.started_at)) AS day FROM stored n
      UNION SELECT t.trace_id, nodeai.day_of(t.at_us) FROM t) w
    ORDER BY w.trace_id, w.day
    ON CONFLICT (trace_id, org_id, day) DO UPDATE SET stored_at = excluded.stored_at
  )
  SELECT count(*), (SELECT array_agg(t.trace_id ORDER BY t.trace_id) FROM traced t
      WHERE nodeai.day_of(nodeai.to_us(t.started_at)) < t.day)
    INTO stored_count, early FROM stored;
  -- What came first was not what began first.
  IF early IS NOT NULL THEN
    UPDATE public.traces t SET day = nodeai.day_of(nodeai.to_us(t.started_at))
    WHERE t.org_id = org AND t.trace_id = ANY (early) AND nodeai.day_of(nodeai.to_us(t.started_at)) < t.day;
  END IF;
  RETURN jsonb_build_object(
    'inserted', stored_count,
    'skipped', jsonb_array_length(coalesce(nullif(given_spans, 'null'), '[]')) - stored_count);
END
$$;

-- What a trace's own row says of a term about attributes; null for another term, and where it says nothing.
CREATE FUNCTION nodeai.may_have_term(term jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
  SELECT format('(t.terms IS NULL OR t.terms && %L::integer[])', ARRAY(SELECT x::integer FROM jsonb_array_elements_text(term -> 'terms') x))
  WHERE jsonb_typeof(term -> 'terms') = 'array' AND (term ->> 'not')::boolean IS NOT TRUE AND term ->> 'field' = 'attr'
$$;
SELECT nodeai.expose('nodeai.may_have_term(jsonb)', '{authenticated,service_role}');

-- As in 066; traces that cannot have an attribute are passed over without a look at their spans.
CREATE OR REPLACE FUNCTION public.traces_search(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' SET jit = off AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  most integer := least(greatest(coalesce((p ->> 'limit')::integer, 50), 1), 1000);
  after_us bigint := (p #>> '{after,at_us}')::bigint;
  after_id text := coalesce(p #>> '{after,trace_id}', '');
  upper_us bigint := least(coalesce((p ->> 'to_us')::bigint, 4102444800000000), coalesce(after_us + 1, 4102444800000000));
  lower_us bigint := coalesce((p ->> 'from_us')::bigint, 0);
  terms jsonb := coalesce(nullif(p -> 'terms', 'null'), '[]');
  until timestamptz := clock_timestamp() + interval '2 seconds';
  step integer := 2 * (most + 1);
  d date;
  found jsonb := '[]';
  page jsonb;
  seen bigint;
  of_traces text;
  of_spans text;
  next jsonb;
BEGIN
  FOR d IN
    -- Days on which there is anything; the tables say so themselves.
    SELECT x.day FROM (
      SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'public.traces'::regclass AND c.relname ~ '_[0-9]{8}$'
      UNION SELECT nodeai.stray_days(org)) x
    WHERE x.day >= nodeai.day_of(lower_us) AND x.day <= nodeai.day_of(upper_us - 1) ORDER BY x.day DESC
  LOOP
    SELECT coalesce(string_agg(' AND ' || nodeai.search_term(e, d), '') FILTER (WHERE NOT nodeai.is_term_of_spans(e)), '')
          || coalesce(string_agg(' AND ' || nodeai.may_have_term(e), ''), ''),
        string_agg(nodeai.search_term(e, d), ' AND ') FILTER (WHERE nodeai.is_term_of_spans(e))
      INTO of_traces, of_spans FROM jsonb_array_elements(terms) e;
    LOOP
      -- Without terms about spans a batch is what is wanted.
      EXECUTE format('WITH batch AS MATERIALIZED (
          SELECT t AS whole, t.org_id, t.trace_id, t.name, t.started_at FROM public.traces t
          WHERE t.org_id = %L AND t.day = %L AND t.started_at >= %L AND t.started_at < %L %s %s
          ORDER BY t.started_at DESC, t.trace_id DESC LIMIT %s
        ), hits AS (
          SELECT t.whole, t.started_at, t.trace_id FROM batch t WHERE %s ORDER BY t.started_at DESC, t.trace_id DESC LIMIT %s
        )
        SELECT (SELECT jsonb_agg(nodeai.trace_json(h.whole) ORDER BY h.started_at DESC, h.trace_id DESC) FROM hits h),
          (SELECT count(*) FROM batch), l.at_us, l.trace_id
        FROM (SELECT) one LEFT JOIN (SELECT nodeai.to_us(b.started_at) AS at_us, b.trace_id FROM batch b
          ORDER BY b.started_at, b.trace_id LIMIT 1) l ON true',
        org, d, nodeai.from_us(lower_us), nodeai.from_us(upper_us),
        CASE WHEN after_us IS NULL THEN '' ELSE format('AND (t.started_at, t.trace_id) < (%L, %L)', nodeai.from_us(after_us), after_id) END,
        of_traces, CASE WHEN of_spans IS NULL THEN most + 1 - jsonb_array_length(found) ELSE step END,
        -- Of few traces each is looked at by itself: a join would read all spans of the day that fit.
        CASE WHEN of_spans IS NULL THEN 'true' WHEN step > 2000 THEN of_spans ELSE format('CASE WHEN %s THEN true END', of_spans) END,
        most + 1 - jsonb_array_length(found)) INTO page, seen, after_us, after_id;
      found := found || coalesce(page, '[]');
      IF jsonb_array_length(found) > most THEN
        next := jsonb_build_object('at_us', found -> (most - 1) -> 'start_us', 'trace_id', found -> (most - 1) -> 'trace_id');
        RETURN jsonb_build_object('traces', found - most, 'next', next);
      END IF;
      -- The day is over.
      EXIT WHEN of_spans IS NULL OR seen < step;
      IF clock_timestamp() > until THEN
        RETURN jsonb_build_object('traces', found, 'next', jsonb_build_object('at_us', after_us, 'trace_id', after_id));
      END IF;
      step := least(4 * step, 100000);
    END LOOP;
    -- Days before have their own times.
    after_us := NULL;
    IF clock_timestamp() > until THEN
      next := jsonb_build_object('at_us', (d - date '1970-01-01')::bigint * 86400000000, 'trace_id', '');
      EXIT;
    END IF;
  END LOOP;
  RETURN jsonb_build_object('traces', found, 'next', next);
END
$$;

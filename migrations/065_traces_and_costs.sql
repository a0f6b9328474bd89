-- What advice on savings rests on, tiers under one name, traces that go on after midnight, and traces by when they came.

-- Costs ------------------------------------------------------------------------------------------------------------------

-- A service tier under one name: the usual one is `standard`, by whichever name, and where none was said.
CREATE FUNCTION nodeai.tier_name(tier text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT CASE WHEN coalesce(lower(tier), '') IN ('', 'default', 'auto', 'standard', 'on_demand', 'standard_only')
    THEN 'standard' ELSE lower(tier) END
$$;
SELECT nodeai.expose('nodeai.tier_name(text)', '{authenticated,service_role}');

-- As before, with tiers under one name, and by the client's own name for a user.
CREATE OR REPLACE FUNCTION nodeai.cost_keys(s public.spans, dimension text) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT CASE dimension
    WHEN 'prompt_version' THEN coalesce(s.attributes ->> 'nodeai.prompt.version', s.attributes ->> 'gen_ai.prompt.version')
    WHEN 'session' THEN s.session_id
    WHEN 'end_user' THEN s.end_user
    WHEN 'tier' THEN nodeai.tier_name(s.service_tier)
    WHEN 'cache_state' THEN CASE WHEN s.cache_read_tokens > 0 THEN 'hit'
      WHEN s.cache_write_tokens > 0 OR s.cache_write_1h_tokens > 0 THEN 'write' ELSE 'none' END END
  WHERE dimension <> 'tag'
  UNION ALL
  SELECT t FROM unnest(CASE WHEN cardinality(s.tags) > 0 THEN s.tags ELSE ARRAY[NULL]::text[] END) t
  WHERE dimension = 'tag'
$$;

-- As before, with tiers under one name: names of one tier are one heap.
CREATE OR REPLACE FUNCTION public.cost_heaps(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  thresholds bigint[] := ARRAY(SELECT t::bigint FROM jsonb_array_elements_text(p -> 'thresholds') t ORDER BY 1);
  by_hour text[] := ARRAY(SELECT jsonb_array_elements_text(p -> 'by_hour'));
  answer jsonb;
BEGIN
  WITH heap AS (
    SELECT s.provider, s.model, nodeai.tier_name(s.service_tier) AS tier, s.day,
      CASE WHEN s.model = ANY (by_hour)
        THEN floor(extract(epoch FROM (s.started_at AT TIME ZONE 'UTC')::time) / 1800)::integer ELSE 0 END AS slot,
      -- A length above a threshold belongs to the band above it: the bands are half open the other way.
      width_bucket(coalesce(s.prompt_tokens, 0) - 1, thresholds) AS band,
      NOT coalesce(s.priced, true) OR s.cost_pusd IS NULL AS unpriced, max(coalesce(s.prompt_tokens, 0)) AS longest,
      ROW(count(*), count(*) FILTER (WHERE s.status = 'error'), count(*) FILTER (WHERE NOT coalesce(s.priced, true) OR s.cost_pusd IS NULL),
        sum(s.prompt_tokens), sum(s.completion_tokens), sum(s.cache_read_tokens), sum(s.cache_write_tokens),
        sum(s.cache_write_1h_tokens), sum(s.reasoning_tokens), sum(s.audio_input_tokens), sum(s.audio_output_tokens),
        sum(s.image_input_tokens), sum(s.cost_pusd))::nodeai.cost_sum AS s
    FROM nodeai.cost_spans(org, (p ->> 'from_us')::bigint, (p ->> 'to_us')::bigint, f) s
    WHERE s.model IS NOT NULL AND s.prompt_tokens IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7 LIMIT 20001
  )
  SELECT jsonb_agg(jsonb_build_object('provider', h.provider, 'model', h.model, 'tier', h.tier, 'day', h.day,
    'slot', h.slot, 'longest', h.longest, 'unpriced', h.unpriced) || nodeai.cost_sum_json(h.s)) INTO answer FROM heap h;
  RETURN coalesce(answer, '[]');
END
$$;

-- Attributes below a prefix that OpenInference or OpenLLMetry have flattened (`llm.input_messages.0.message.content`), as one
-- text; null where there are none.
CREATE FUNCTION nodeai.flattened(attributes jsonb, prefix text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT string_agg(e.key || '=' || e.value, E'\n' ORDER BY e.key COLLATE "C") FROM jsonb_each_text(attributes) e
  WHERE starts_with(e.key, prefix) AND substr(e.key, length(prefix) + 1, 2) ~ '^\.[0-9]'
$$;
SELECT nodeai.expose('nodeai.flattened(jsonb, text)', '{authenticated,service_role}');

-- As before, and in all conventions that ingest reads: what a prompt was is known by the hash of the messages, under whichever
-- name, or of the input; why an answer ended by OpenAI's `length`, Anthropic's `max_tokens`, Gemini's `MAX_TOKENS` and others.
-- `retries` are calls that failed after they had cost something, and attempts at a node that a later attempt took the place
-- of, whether or not it is known what they cost.
CREATE OR REPLACE FUNCTION public.cost_evidence(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  answer jsonb;
BEGIN
  WITH dearest AS (
    SELECT s.* FROM nodeai.cost_spans(org, (p ->> 'from_us')::bigint, (p ->> 'to_us')::bigint, f) s
    WHERE s.model IS NOT NULL AND (s.prompt_tokens IS NOT NULL OR s.status = 'error')
    ORDER BY s.cost_pusd DESC NULLS LAST LIMIT 100000
  ), seen AS MATERIALIZED (
    SELECT s.trace_id, s.span_id, s.workflow_id, s.node_id, s.provider, s.model, s.status, s.started_at, s.session_id,
      nodeai.tier_name(s.service_tier) AS tier, coalesce(s.cost_pusd, 0)::numeric AS pusd,
      coalesce(s.prompt_tokens, 0)::numeric AS prompt, coalesce(s.completion_tokens, 0)::numeric AS completion,
      coalesce(s.cache_read_tokens, 0)::numeric AS cached,
      md5(coalesce(a.has ->> 'gen_ai.input.messages', nodeai.flattened(a.has, 'llm.input_messages'),
        nodeai.flattened(a.has, 'gen_ai.prompt'), a.has ->> 'nodeai.input', a.has ->> 'input.value')) AS asked,
      concat_ws(' ', a.has ->> 'gen_ai.response.finish_reasons', a.has ->> 'gen_ai.response.finish_reason',
        a.has ->> 'gen_ai.response.stop_reason', a.has ->> 'llm.finish_reason', a.has ->> 'llm.response.finish_reason',
        a.has ->> 'llm.response.stop_reason', a.has ->> 'gen_ai.completion.0.finish_reason')
        ~* '(^|[^a-z_])(length|max_tokens|max_output_tokens|model_length)([^a-z_]|$)' AS cut,
      octet_length(coalesce(a.has ->> 'gen_ai.tool.definitions', nodeai.flattened(a.has, 'llm.tools'),
        nodeai.flattened(a.has, 'llm.request.functions'))) AS tool_bytes,
      a.has ? 'gen_ai.response.time_to_first_chunk' OR a.has @> '{"gen_ai.is_streaming": true}' AS streamed,
      s.attempt < max(s.attempt) OVER (PARTITION BY s.trace_id, coalesce(s.attributes ->> 'nodeai.node.path', s.node_id))
        AS superseded
    FROM dearest s
      LEFT JOIN public.span_payloads y
        ON y.day = s.day AND y.org_id = s.org_id AND y.trace_id = s.trace_id AND y.span_id = s.span_id
      -- Joined once for each call, not once for each name.
      CROSS JOIN LATERAL (SELECT s.attributes || coalesce(y.attributes, '{}') AS has OFFSET 0) a
  ), repeated AS (
    SELECT s.*, row_number() OVER (PARTITION BY s.provider, s.model, s.node_id, s.asked ORDER BY s.started_at) AS nth
    FROM seen s WHERE s.asked IS NOT NULL AND s.status <> 'error'
  ), marked AS (
    SELECT 'duplicates' AS kind, r.workflow_id, r.node_id, r.provider, r.model, r.trace_id, r.pusd, r.prompt, r.completion,
      r.cached, 0::numeric AS extra FROM repeated r WHERE r.nth > 1
    UNION ALL
    SELECT 'retries', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached, 0
      FROM seen s WHERE (s.status = 'error' AND s.pusd > 0) OR s.superseded
    UNION ALL
    SELECT 'truncations', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached, 0
      FROM seen s WHERE s.cut AND s.status <> 'error'
    UNION ALL
    SELECT 'prompts', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached, 0
      FROM seen s WHERE s.status <> 'error'
    UNION ALL
    SELECT 'batchable', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached, 0
      FROM seen s WHERE s.status <> 'error' AND s.tier = 'standard' AND NOT s.streamed AND s.session_id IS NULL
    UNION ALL
    -- About four bytes of JSON are a token: see the advice.
    SELECT 'tools', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached,
      s.tool_bytes FROM seen s WHERE s.tool_bytes > 0 AND s.status <> 'error'
    UNION ALL
    -- Prompts that grow within a trace or session: what is longer than its first call of the same node.
    SELECT 'growth', g.workflow_id, g.node_id, g.provider, g.model, g.trace_id, g.pusd, g.prompt, g.completion, g.cached,
      g.prompt - g.first
    FROM (SELECT s.*, first_value(s.prompt) OVER (PARTITION BY coalesce(s.session_id, s.trace_id), s.node_id, s.model
        ORDER BY s.started_at, s.span_id) AS first FROM seen s WHERE s.status <> 'error') g
    WHERE g.prompt > 2 * g.first AND g.first > 0
  ), grouped AS (
    SELECT m.kind, m.workflow_id, m.node_id, m.provider, m.model, count(*) AS calls, sum(m.pusd)::text AS pusd,
      sum(m.pusd * m.pusd)::text AS pusd_squared, sum(m.prompt)::bigint AS prompt_tokens,
      sum(m.completion)::bigint AS completion_tokens, sum(m.cached)::bigint AS cache_read_tokens,
      max(m.completion)::bigint AS longest_answer, sum(m.extra)::bigint AS extra,
      (array_agg(m.trace_id ORDER BY m.pusd DESC))[1:5] AS traces
    FROM marked m GROUP BY 1, 2, 3, 4, 5
  )
  SELECT jsonb_agg(to_jsonb(g)) INTO answer
  FROM (SELECT * FROM grouped x ORDER BY x.pusd::numeric DESC LIMIT 1000) g;
  RETURN coalesce(answer, '[]');
END
$$;

-- Search -----------------------------------------------------------------------------------------------------------------

-- A text as JSON writes it in a string; with `ascii`, as Python's json.dumps does: what is not ASCII as \u and four hex digits
-- of each UTF-16 unit.
CREATE FUNCTION nodeai.json_escaped(t text, ascii boolean) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT CASE WHEN ascii AND q.body ~ '[^\x01-\x7e]' THEN (
      SELECT string_agg(CASE WHEN c.code < 127 THEN c.letter
        WHEN c.code < 65536 THEN '\u' || lpad(to_hex(c.code), 4, '0')
        ELSE '\u' || to_hex(55296 + ((c.code - 65536) >> 10)) || '\u' || to_hex(56320 + ((c.code - 65536) & 1023)) END,
        '' ORDER BY c.at)
      FROM (SELECT x.letter, x.at, ascii(x.letter) AS code
        FROM regexp_split_to_table(q.body, '') WITH ORDINALITY AS x(letter, at)) c)
    ELSE q.body END
  FROM (SELECT substr(to_jsonb(t)::text, 2, length(to_jsonb(t)::text) - 2) AS body) q
$$;
SELECT nodeai.expose('nodeai.json_escaped(text, boolean)', '{authenticated,service_role}');

-- How a text may stand in a column of JSON, as patterns without meaning for LIKE: as an attribute, and inside of an attribute
-- that itself is JSON, as exporters write messages, with all letters as they are or in ASCII.
CREATE FUNCTION nodeai.text_patterns(sought text) RETURNS text[] LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT array_agg(DISTINCT '%' || replace(replace(replace(form, '\', '\\'), '%', '\%'), '_', '\_') || '%')
  FROM unnest(ARRAY[nodeai.json_escaped(sought, false), nodeai.json_escaped(nodeai.json_escaped(sought, false), false),
    nodeai.json_escaped(nodeai.json_escaped(sought, true), false)]) form
$$;
SELECT nodeai.expose('nodeai.text_patterns(text)', '{authenticated,service_role}');

-- Spans ------------------------------------------------------------------------------------------------------------------

-- When spans of a trace were last stored: by when it started, a trace of a long run would come up late among others.
ALTER TABLE public.trace_days ADD COLUMN stored_at timestamptz;
CREATE INDEX trace_days_stored_idx ON public.trace_days (stored_at) WHERE stored_at IS NOT NULL;

-- As before, with two differences. A trace that goes on after midnight keeps its one row, on the day on which it began; spans
-- stay on their own days. And rows that others may write as well are written in one order, with the time of it.
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
      nullif(x.error, 'null') AS error, coalesce(x.attributes, '{}') AS attributes
    FROM jsonb_to_recordset(coalesce(nullif(given_traces, 'null'), '[]')) AS x(
      trace_id text, name text, kind text, status text, start_us bigint, started_us bigint, end_us bigint,
      duration_us bigint, execution_id uuid, workflow_id uuid, user_id uuid, prompt_tokens bigint,
      completion_tokens bigint, cost_pusd bigint, error jsonb, attributes jsonb)
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
      tags text[], priced boolean, workflow_id uuid, user_id uuid, end_user text, measure text, trace_kind text)
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
      r.of_user, f.prompt_tokens, f.completion_tokens, f.cost_pusd, NULL::jsonb, '{}'::jsonb, r.rooted
    FROM root r JOIN fresh f ON f.trace_id = r.trace_id
  ), home AS (
    -- A trace stays where it began: its earliest day is the one of its row.
    SELECT t.*, coalesce((SELECT min(d.day) FROM public.trace_days d WHERE d.trace_id = t.trace_id AND d.org_id = org),
      nodeai.day_of(t.at_us)) AS day
    FROM t
  ), traced AS (
    INSERT INTO public.traces AS old (
      org_id, trace_id, day, name, kind, status, started_at, duration_us, execution_id, workflow_id, user_id,
      span_count, prompt_tokens, completion_tokens, cost_pusd, error, attributes, session_id, end_user, tags, rooted)
    SELECT org, t.trace_id, t.day, t.name, t.kind, t.status, nodeai.from_us(t.at_us), t.took_us,
      t.execution_id, t.workflow_id, coalesce(t.user_id, caller), coalesce(f.spans, 0),
      t.prompt_tokens, t.completion_tokens, t.cost_pusd, t.error, t.attributes, f.session_id, f.end_user, g.tags, t.rooted
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
      rooted = old.rooted OR excluded.rooted
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

-- Traces whose spans were stored since a time, in the order of that, of which those are shown whose terms hold: {"org_id",
-- "terms":[…],"from_us"?,"to_us"? (of the start),"since_us"?,"after"?:{"at_us","trace_id"},"limit"} → {"traces":[…],"next": after
-- or null,"now_us"}. Without a time it only says which one it is.
CREATE FUNCTION public.traces_stored(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  most integer := least(greatest(coalesce((p ->> 'limit')::integer, 200), 1), 1000);
  since_us bigint := (p ->> 'since_us')::bigint;
  after_us bigint := coalesce((p #>> '{after,at_us}')::bigint, since_us);
  after_id text := coalesce(p #>> '{after,trace_id}', '');
  found jsonb := '[]';
  next jsonb;
  page jsonb;
  seen record;
  condition text;
BEGIN
  IF since_us IS NOT NULL THEN
    FOR seen IN
      WITH stored AS MATERIALIZED (
        SELECT d.trace_id, d.stored_at FROM public.trace_days d
        WHERE d.stored_at >= nodeai.from_us(after_us) AND d.org_id = org
          AND (d.stored_at, d.trace_id) > (nodeai.from_us(after_us), after_id)
        ORDER BY d.stored_at, d.trace_id LIMIT most
      ), last AS (
        SELECT s.trace_id, nodeai.to_us(s.stored_at) AS at_us FROM stored s ORDER BY s.stored_at DESC, s.trace_id DESC LIMIT 1
      )
      SELECT h.day, array_agg(h.trace_id) AS ids,
        (SELECT jsonb_build_object('at_us', l.at_us, 'trace_id', l.trace_id) FROM last l
          WHERE (SELECT count(*) FROM stored) = most) AS next
      FROM (SELECT DISTINCT s.trace_id, (SELECT min(d.day) FROM public.trace_days d
          WHERE d.trace_id = s.trace_id AND d.org_id = org) AS day FROM stored s) h
      GROUP BY h.day ORDER BY h.day
    LOOP
      next := seen.next;
      SELECT coalesce(string_agg(' AND ' || nodeai.search_term(e, seen.day), ''), '') INTO condition
        FROM jsonb_array_elements(coalesce(nullif(p -> 'terms', 'null'), '[]')) e;
      EXECUTE format('SELECT jsonb_agg(nodeai.trace_json(t) ORDER BY t.started_at, t.trace_id) FROM public.traces t
          WHERE t.org_id = %L AND t.day = %L AND t.trace_id = ANY (%L::text[]) AND t.started_at >= %L AND t.started_at < %L %s',
        org, seen.day, seen.ids, nodeai.from_us(coalesce((p ->> 'from_us')::bigint, 0)),
        nodeai.from_us(coalesce((p ->> 'to_us')::bigint, 4102444800000000)), condition) INTO page;
      found := found || coalesce(page, '[]');
    END LOOP;
  END IF;
  RETURN jsonb_build_object('traces', found, 'next', next, 'now_us', nodeai.to_us(clock_timestamp()));
END
$$;
SELECT nodeai.expose('public.traces_stored(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('traces_stored');

-- How long traces are kept, and with them what has no time of its own: {"org_id"} → {"days"}.
CREATE FUNCTION public.trace_retention(p jsonb) RETURNS jsonb LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('days', o.retention_days) FROM public.organizations o
  WHERE o.id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.trace_retention(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('trace_retention');

-- {"days": 1 to 3650}; the policy lets admins and owners.
CREATE FUNCTION nodeai.do_trace_retention(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  before jsonb := public.trace_retention(jsonb_build_object('org_id', org));
BEGIN
  UPDATE public.organizations o SET retention_days = (p #>> '{args,days}')::integer WHERE o.id = org;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this caller may not change how long traces are kept' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN jsonb_build_object('body', public.trace_retention(jsonb_build_object('org_id', org)),
    'changes', jsonb_build_object('before', before -> 'days', 'after', p #> '{args,days}'));
END
$$;
SELECT nodeai.expose('nodeai.do_trace_retention(uuid, jsonb)', '{authenticated,service_role}');

-- Runs -------------------------------------------------------------------------------------------------------------------

-- By what the spans of a queued run are found and counted: {"session_id"?,"end_user"?,"tags"?,"prompt_version"?}. One that is not
-- queued has no need of it here: its log says it.
ALTER TABLE public.execution_queue ADD COLUMN labels jsonb;

-- As before, with the labels of a run that is taken up later.
CREATE OR REPLACE FUNCTION nodeai.begin_run(org uuid, e jsonb, claim jsonb, workflow jsonb, deployment jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  made jsonb := nodeai.make_run(org, e, claim, workflow, deployment);
BEGIN
  IF made ->> 'outcome' <> 'started' THEN
    RETURN made;
  END IF;
  IF jsonb_typeof(e -> 'labels') = 'object' THEN
    UPDATE public.execution_queue q SET labels = e -> 'labels' WHERE q.id = (e ->> 'id')::uuid AND q.org_id = org;
  END IF;
  IF claim IS NULL AND e ->> 'mode' = 'sync' THEN
    PERFORM set_config('synchronous_commit', 'off', true);
  END IF;
  RETURN made || jsonb_build_object('budgets', nodeai.budget_standing(org, auth.uid(),
      nullif(nodeai.claims() ->> 'key_id', '')::uuid, (workflow ->> 'id')::uuid)
    || jsonb_build_object('prices', nodeai.own_prices(org)));
END
$$;

-- As before, and "labels".
CREATE OR REPLACE FUNCTION public.run_load(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  workflow jsonb;
BEGIN
  SELECT * INTO q FROM public.execution_queue x
    WHERE x.id = (p ->> 'id')::uuid AND x.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND x.status = 'running' AND x.lease_token = (p ->> 'lease_token')::bigint;
  IF q.id IS NULL THEN
    RETURN NULL;
  END IF;
  IF q.workflow_id IS NOT NULL THEN
    workflow := nodeai.runnable(q.workflow_id, q.workflow_version);
    IF q.variables IS NOT NULL THEN
      workflow := jsonb_set(workflow, '{definition,vars}', q.variables);
    END IF;
  END IF;
  RETURN jsonb_build_object('workflow', workflow, 'definition', q.definition, 'budget', q.budget, 'labels', q.labels,
    'answers', q.answers, 'pieces', (
    SELECT coalesce(jsonb_agg(event ORDER BY s.first_seq, place), '[]')
    FROM public.run_log_segments s CROSS JOIN LATERAL jsonb_array_elements(s.events) WITH ORDINALITY AS x(event, place)
    WHERE s.org_id = q.org_id AND s.execution_id = q.id));
END
$$;

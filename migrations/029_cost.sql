-- What was spent, on what, why it changed, and what would have been spent otherwise: sums for cost-intelligence, and
-- reconciliations with providers' bills.

-- Exports of providers compared with what was counted here.
CREATE TABLE public.cost_reconciliations (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT cost_reconciliations_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  provider text NOT NULL CONSTRAINT cost_reconciliations_provider CHECK (char_length(provider) BETWEEN 1 AND 100),
  source text NOT NULL CONSTRAINT cost_reconciliations_source CHECK (char_length(source) BETWEEN 1 AND 100),
  from_at timestamptz NOT NULL,
  to_at timestamptz NOT NULL,
  result jsonb NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT cost_reconciliations_time CHECK (from_at < to_at)
);
CREATE INDEX cost_reconciliations_recent_idx ON public.cost_reconciliations (org_id, created_at DESC, id DESC);
SELECT nodeai.tenant_table('public.cost_reconciliations', 'viewer', 'admin');
SELECT nodeai.allow_write('cost_reconciliations', '{provider,source,from_at,to_at,result}', '{}');

-- The columns of tokens and money that every sum has, of one row or of many.
CREATE TYPE nodeai.cost_sum AS (
  calls bigint, errors bigint, unpriced_calls bigint, prompt_tokens bigint, completion_tokens bigint,
  cache_read_tokens bigint, cache_write_tokens bigint, cache_write_1h_tokens bigint, reasoning_tokens bigint,
  audio_input_tokens bigint, audio_output_tokens bigint, image_input_tokens bigint, pusd numeric);

-- As JSON; money as text, since it may be more than 2^53.
CREATE FUNCTION nodeai.cost_sum_json(s nodeai.cost_sum) RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT jsonb_build_object('calls', coalesce(s.calls, 0), 'errors', coalesce(s.errors, 0),
    'unpriced_calls', coalesce(s.unpriced_calls, 0), 'prompt_tokens', coalesce(s.prompt_tokens, 0),
    'completion_tokens', coalesce(s.completion_tokens, 0), 'cache_read_tokens', coalesce(s.cache_read_tokens, 0),
    'cache_write_tokens', coalesce(s.cache_write_tokens, 0),
    'cache_write_1h_tokens', coalesce(s.cache_write_1h_tokens, 0), 'reasoning_tokens', coalesce(s.reasoning_tokens, 0),
    'audio_input_tokens', coalesce(s.audio_input_tokens, 0), 'audio_output_tokens', coalesce(s.audio_output_tokens, 0),
    'image_input_tokens', coalesce(s.image_input_tokens, 0), 'pusd', coalesce(s.pusd, 0)::text)
$$;
SELECT nodeai.expose('nodeai.cost_sum_json(nodeai.cost_sum)', '{authenticated,service_role}');

-- Cells of a time that fit a filter, {"model","provider","workflow_id","node_id","user_id"}; what runs are is left out, so
-- that nothing counts twice.
CREATE FUNCTION nodeai.cost_cells(org uuid, from_us bigint, to_us bigint, f jsonb) RETURNS TABLE (
  hour timestamptz, workflow_id uuid, node_id text, provider text, model text, user_id uuid, s nodeai.cost_sum)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT c.hour, c.workflow_id, c.node_id, c.provider, c.model, c.user_id,
    ROW(c.calls, c.errors, c.unpriced_calls, c.prompt_tokens, c.completion_tokens, c.cache_read_tokens,
      c.cache_write_tokens, c.cache_write_1h_tokens, c.reasoning_tokens, c.audio_input_tokens, c.audio_output_tokens,
      c.image_input_tokens, c.cost_pusd)::nodeai.cost_sum
  FROM nodeai.usage_cells(org, from_us, to_us) c
  WHERE c.node_type IS NOT NULL
    AND (f ->> 'model' IS NULL OR c.model = f ->> 'model')
    AND (f ->> 'provider' IS NULL OR c.provider = f ->> 'provider')
    AND (f ->> 'workflow_id' IS NULL OR c.workflow_id = (f ->> 'workflow_id')::uuid)
    AND (f ->> 'node_id' IS NULL OR c.node_id = f ->> 'node_id')
    AND (f ->> 'user_id' IS NULL OR c.user_id = (f ->> 'user_id')::uuid)
$$;
SELECT nodeai.expose('nodeai.cost_cells(uuid, bigint, bigint, jsonb)', '{authenticated,service_role}');

-- The spans behind them, each counted once, for what no cell keeps.
CREATE FUNCTION nodeai.cost_spans(org uuid, from_us bigint, to_us bigint, f jsonb) RETURNS SETOF public.spans
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT s.* FROM public.spans s
  WHERE s.org_id = org AND s.day BETWEEN nodeai.day_of(from_us) AND nodeai.day_of(to_us - 1)
    AND s.started_at >= nodeai.from_us(from_us) AND s.started_at < nodeai.from_us(to_us)
    AND s.measure IN ('model', 'retrieval', 'tool', 'node')
    AND (f ->> 'model' IS NULL OR s.model = f ->> 'model')
    AND (f ->> 'provider' IS NULL OR s.provider = f ->> 'provider')
    AND (f ->> 'workflow_id' IS NULL OR s.workflow_id = (f ->> 'workflow_id')::uuid)
    AND (f ->> 'node_id' IS NULL OR s.node_id = f ->> 'node_id')
    AND (f ->> 'user_id' IS NULL OR s.user_id = (f ->> 'user_id')::uuid)
$$;
SELECT nodeai.expose('nodeai.cost_spans(uuid, bigint, bigint, jsonb)', '{authenticated,service_role}');

-- The same as one row of a sum.
CREATE FUNCTION nodeai.cost_of_span(s public.spans) RETURNS nodeai.cost_sum LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT ROW(1, (s.status = 'error')::integer, (s.measure = 'model' AND NOT coalesce(s.priced, s.cost_pusd IS NOT NULL))::integer, s.prompt_tokens, s.completion_tokens,
    s.cache_read_tokens, s.cache_write_tokens, s.cache_write_1h_tokens, s.reasoning_tokens, s.audio_input_tokens,
    s.audio_output_tokens, s.image_input_tokens, s.cost_pusd)::nodeai.cost_sum
$$;
SELECT nodeai.expose('nodeai.cost_of_span(public.spans)', '{authenticated,service_role}');

-- By what a span can be summed that cells do not keep. A span with two tags is in both, one with none under null.
CREATE FUNCTION nodeai.cost_keys(s public.spans, dimension text) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT CASE dimension
    WHEN 'prompt_version' THEN coalesce(s.attributes ->> 'nodeai.prompt.version', s.attributes ->> 'gen_ai.prompt.version')
    WHEN 'session' THEN s.session_id
    WHEN 'tier' THEN coalesce(s.service_tier, 'standard')
    WHEN 'cache_state' THEN CASE WHEN s.cache_read_tokens > 0 THEN 'hit'
      WHEN s.cache_write_tokens > 0 OR s.cache_write_1h_tokens > 0 THEN 'write' ELSE 'none' END END
  WHERE dimension <> 'tag'
  UNION ALL
  SELECT t FROM unnest(CASE WHEN cardinality(s.tags) > 0 THEN s.tags ELSE ARRAY[NULL]::text[] END) t
  WHERE dimension = 'tag'
$$;
SELECT nodeai.expose('nodeai.cost_keys(public.spans, text)', '{authenticated,service_role}');

-- Costs by one dimension, the dearest first: {"org_id","from_us","to_us" (whole hours),"by","filter","limit",
-- "after":{"pusd","key"}?} → {"total": sums,"rows":[{"key",…sums}]}. `by`: model, provider, workflow, node, user or day
-- from the cells; tag, prompt_version, session, tier or cache_state from the spans.
CREATE FUNCTION public.cost_breakdown(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  from_us bigint := (p ->> 'from_us')::bigint;
  to_us bigint := (p ->> 'to_us')::bigint;
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  dimension text := p ->> 'by';
  after_pusd numeric := (p -> 'after' ->> 'pusd')::numeric;
  after_key text := coalesce(p -> 'after' ->> 'key', '');
  in_cells boolean := dimension IN ('model', 'provider', 'workflow', 'node', 'user', 'day');
  answer jsonb;
BEGIN
  WITH one AS MATERIALIZED (
    SELECT CASE dimension WHEN 'model' THEN c.model WHEN 'provider' THEN c.provider
        WHEN 'workflow' THEN c.workflow_id::text WHEN 'node' THEN c.node_id WHEN 'user' THEN c.user_id::text
        ELSE to_char(c.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS key, c.s, true AS counts
    FROM nodeai.cost_cells(org, from_us, to_us, f) c WHERE in_cells
    UNION ALL
    SELECT k.key, nodeai.cost_of_span(s), k.place = 1
    FROM nodeai.cost_spans(org, from_us, to_us, f) s
      CROSS JOIN LATERAL nodeai.cost_keys(s, dimension) WITH ORDINALITY AS k(key, place) WHERE NOT in_cells
  ), summed AS (
    SELECT GROUPING(o.key) = 1 AS is_total, o.key, ROW(sum((o.s).calls), sum((o.s).errors), sum((o.s).unpriced_calls),
      sum((o.s).prompt_tokens), sum((o.s).completion_tokens), sum((o.s).cache_read_tokens),
      sum((o.s).cache_write_tokens), sum((o.s).cache_write_1h_tokens), sum((o.s).reasoning_tokens),
      sum((o.s).audio_input_tokens), sum((o.s).audio_output_tokens), sum((o.s).image_input_tokens),
      coalesce(sum((o.s).pusd), 0))::nodeai.cost_sum AS s
    FROM one o GROUP BY o.key
    UNION ALL
    SELECT true, NULL, ROW(sum((o.s).calls), sum((o.s).errors), sum((o.s).unpriced_calls),
      sum((o.s).prompt_tokens), sum((o.s).completion_tokens), sum((o.s).cache_read_tokens),
      sum((o.s).cache_write_tokens), sum((o.s).cache_write_1h_tokens), sum((o.s).reasoning_tokens),
      sum((o.s).audio_input_tokens), sum((o.s).audio_output_tokens), sum((o.s).image_input_tokens),
      coalesce(sum((o.s).pusd), 0))::nodeai.cost_sum
    FROM one o WHERE o.counts
  ), page AS (
    SELECT m.key, m.s FROM summed m
    WHERE NOT m.is_total
      AND (after_pusd IS NULL OR (m.s).pusd < after_pusd OR ((m.s).pusd = after_pusd AND coalesce(m.key, '') > after_key))
    ORDER BY (m.s).pusd DESC, coalesce(m.key, '') LIMIT least(coalesce((p ->> 'limit')::integer, 50), 1001)
  )
  SELECT jsonb_build_object(
    'total', (SELECT nodeai.cost_sum_json(m.s) FROM summed m WHERE m.is_total),
    'rows', coalesce((SELECT jsonb_agg(jsonb_build_object('key', g.key) || nodeai.cost_sum_json(g.s)
      ORDER BY (g.s).pusd DESC, coalesce(g.key, '')) FROM page g), '[]')) INTO answer;
  RETURN answer;
END
$$;
SELECT nodeai.expose('public.cost_breakdown(jsonb)', '{authenticated,service_role}');

-- Two times side by side, by workflow, node, model and (where asked for) user: {"org_id","from_us","to_us","against_from_us",
-- "against_to_us","filter","users":bool} → [{"workflow_id","node_id","provider","model","user_id","before","after"}], at most
-- 5,001: one more than is explained.
CREATE FUNCTION public.cost_groups(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  users boolean := coalesce((p ->> 'users')::boolean, false);
  answer jsonb;
BEGIN
  WITH one AS (
    SELECT false AS is_after, c.* FROM nodeai.cost_cells(org, (p ->> 'against_from_us')::bigint,
      (p ->> 'against_to_us')::bigint, f) c
    UNION ALL
    SELECT true, c.* FROM nodeai.cost_cells(org, (p ->> 'from_us')::bigint, (p ->> 'to_us')::bigint, f) c
  ), side AS (
    SELECT o.is_after, o.workflow_id, o.node_id, o.provider, o.model, CASE WHEN users THEN o.user_id END AS user_id,
      ROW(sum((o.s).calls), sum((o.s).errors), sum((o.s).unpriced_calls), sum((o.s).prompt_tokens),
        sum((o.s).completion_tokens), sum((o.s).cache_read_tokens), sum((o.s).cache_write_tokens),
        sum((o.s).cache_write_1h_tokens), sum((o.s).reasoning_tokens), sum((o.s).audio_input_tokens),
        sum((o.s).audio_output_tokens), sum((o.s).image_input_tokens), sum((o.s).pusd))::nodeai.cost_sum AS s
    FROM one o GROUP BY 1, 2, 3, 4, 5, 6
  ), grouped AS (
    SELECT d.workflow_id, d.node_id, d.provider, d.model, d.user_id,
      jsonb_agg(nodeai.cost_sum_json(d.s)) FILTER (WHERE NOT d.is_after) -> 0 AS before,
      jsonb_agg(nodeai.cost_sum_json(d.s)) FILTER (WHERE d.is_after) -> 0 AS after
    FROM side d GROUP BY 1, 2, 3, 4, 5 LIMIT 5001
  )
  SELECT jsonb_agg(to_jsonb(g)) INTO answer FROM grouped g;
  RETURN coalesce(answer, '[]');
END
$$;
SELECT nodeai.expose('public.cost_groups(jsonb)', '{authenticated,service_role}');

-- Model calls in heaps of which each has one price: by provider, model, tier, UTC day, half hour of the day (for models
-- in "by_hour"), and the band of the prompt's length between "thresholds": {"org_id","from_us","to_us","filter","thresholds":
-- [tokens],"by_hour":[model]} → [{"provider","model","tier","day","slot","longest",…sums}], at most 20,001.
CREATE FUNCTION public.cost_heaps(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  thresholds bigint[] := ARRAY(SELECT t::bigint FROM jsonb_array_elements_text(p -> 'thresholds') t ORDER BY 1);
  by_hour text[] := ARRAY(SELECT jsonb_array_elements_text(p -> 'by_hour'));
  answer jsonb;
BEGIN
  WITH heap AS (
    SELECT s.provider, s.model, s.service_tier AS tier, s.day,
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
SELECT nodeai.expose('public.cost_heaps(jsonb)', '{authenticated,service_role}');

-- Rows of a bill: {"org_id","from_us","to_us","filter"} → [{"day","workflow_id","workflow","user_id","provider","model",
-- …sums}], at most 10,001, in the order of days.
CREATE FUNCTION public.cost_chargeback(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  WITH a AS (
    SELECT coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid AS org
  ), bill AS (
    SELECT to_char(c.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, c.workflow_id, c.user_id, c.provider, c.model,
      ROW(sum((c.s).calls), sum((c.s).errors), sum((c.s).unpriced_calls), sum((c.s).prompt_tokens),
        sum((c.s).completion_tokens), sum((c.s).cache_read_tokens), sum((c.s).cache_write_tokens),
        sum((c.s).cache_write_1h_tokens), sum((c.s).reasoning_tokens), sum((c.s).audio_input_tokens),
        sum((c.s).audio_output_tokens), sum((c.s).image_input_tokens), sum((c.s).pusd))::nodeai.cost_sum AS s
    FROM a CROSS JOIN LATERAL nodeai.cost_cells(a.org, (p ->> 'from_us')::bigint, (p ->> 'to_us')::bigint,
      coalesce(nullif(p -> 'filter', 'null'), '{}')) c
    WHERE c.model IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5 LIMIT 10001
  )
  SELECT coalesce(jsonb_agg(jsonb_build_object('day', b.day, 'workflow_id', b.workflow_id, 'workflow', w.name,
    'user_id', b.user_id, 'provider', b.provider, 'model', b.model) || nodeai.cost_sum_json(b.s)
    ORDER BY b.day, b.workflow_id, b.user_id, b.provider, b.model), '[]')
  FROM bill b LEFT JOIN public.workflows w ON w.id = b.workflow_id AND w.org_id = (SELECT a.org FROM a)
$$;
SELECT nodeai.expose('public.cost_chargeback(jsonb)', '{authenticated,service_role}');

-- Tokens and cost of one provider by model, to be held against its bill: {"org_id","from_us","to_us","providers":[…]} →
-- [{"model",…sums}].
CREATE FUNCTION public.cost_counted(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('model', m.model) || nodeai.cost_sum_json(m.s) ORDER BY m.model), '[]')
  FROM (
    SELECT c.model, ROW(sum((c.s).calls), sum((c.s).errors), sum((c.s).unpriced_calls), sum((c.s).prompt_tokens),
        sum((c.s).completion_tokens), sum((c.s).cache_read_tokens), sum((c.s).cache_write_tokens),
        sum((c.s).cache_write_1h_tokens), sum((c.s).reasoning_tokens), sum((c.s).audio_input_tokens),
        sum((c.s).audio_output_tokens), sum((c.s).image_input_tokens), sum((c.s).pusd))::nodeai.cost_sum AS s
    FROM nodeai.cost_cells(coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid,
      (p ->> 'from_us')::bigint, (p ->> 'to_us')::bigint, '{}') c
    WHERE c.model IS NOT NULL AND c.provider IN (SELECT jsonb_array_elements_text(p -> 'providers'))
    GROUP BY 1) m
$$;
SELECT nodeai.expose('public.cost_counted(jsonb)', '{authenticated,service_role}');

-- What advice rests on: {"org_id","from_us","to_us","filter"} → {"duplicates","retries","truncations","prompts"}: groups by
-- workflow, node and model with sums and at most five traces each. The dearest 100,000 calls of the time are looked at; what
-- a prompt was is known by the hash of `nodeai.input` or `gen_ai.input.messages`.
CREATE FUNCTION public.cost_evidence(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  answer jsonb;
BEGIN
  WITH seen AS MATERIALIZED (
    SELECT s.trace_id, s.span_id, s.workflow_id, s.node_id, s.provider, s.model, s.attempt, s.status, s.started_at, s.session_id,
      s.service_tier, coalesce(s.cost_pusd, 0)::numeric AS pusd, coalesce(s.prompt_tokens, 0)::numeric AS prompt,
      coalesce(s.completion_tokens, 0)::numeric AS completion, coalesce(s.reasoning_tokens, 0)::numeric AS reasoning,
      coalesce(s.cache_read_tokens, 0)::numeric AS cached,
      md5(coalesce(y.attributes ->> 'gen_ai.input.messages', s.attributes ->> 'gen_ai.input.messages',
        y.attributes ->> 'nodeai.input', s.attributes ->> 'nodeai.input')) AS asked,
      coalesce(s.attributes ->> 'gen_ai.response.finish_reasons', '') LIKE '%length%' AS cut,
      octet_length(coalesce(y.attributes ->> 'gen_ai.tool.definitions', s.attributes ->> 'gen_ai.tool.definitions')) AS tool_bytes,
      s.attributes ? 'gen_ai.response.time_to_first_chunk' AS streamed
    FROM nodeai.cost_spans(org, (p ->> 'from_us')::bigint, (p ->> 'to_us')::bigint, f) s
      LEFT JOIN public.span_payloads y
        ON y.day = s.day AND y.org_id = s.org_id AND y.trace_id = s.trace_id AND y.span_id = s.span_id
    WHERE s.model IS NOT NULL AND s.prompt_tokens IS NOT NULL
    ORDER BY s.cost_pusd DESC NULLS LAST LIMIT 100000
  ), repeated AS (
    SELECT s.*, row_number() OVER (PARTITION BY s.provider, s.model, s.node_id, s.asked ORDER BY s.started_at) AS nth
    FROM seen s WHERE s.asked IS NOT NULL AND s.status <> 'error'
  ), marked AS (
    SELECT 'duplicates' AS kind, r.workflow_id, r.node_id, r.provider, r.model, r.trace_id, r.pusd, r.prompt, r.completion,
      r.cached, 0::numeric AS extra FROM repeated r WHERE r.nth > 1
    UNION ALL
    SELECT 'retries', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached, 0
      FROM seen s WHERE s.status = 'error' AND s.pusd > 0
    UNION ALL
    SELECT 'truncations', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached, 0
      FROM seen s WHERE s.cut AND s.status <> 'error'
    UNION ALL
    SELECT 'prompts', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached, 0
      FROM seen s WHERE s.status <> 'error'
    UNION ALL
    SELECT 'batchable', s.workflow_id, s.node_id, s.provider, s.model, s.trace_id, s.pusd, s.prompt, s.completion, s.cached, 0
      FROM seen s WHERE s.status <> 'error' AND s.service_tier IS NULL AND NOT s.streamed AND s.session_id IS NULL
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
SELECT nodeai.expose('public.cost_evidence(jsonb)', '{authenticated,service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['cost_breakdown', 'cost_groups', 'cost_heaps', 'cost_chargeback',
  'cost_counted', 'cost_evidence']) fn;

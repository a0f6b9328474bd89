-- What advice on savings rests on, tiers under one name, traces that go on after midnight, and traces by when they came.

-- Costs ------------------------------------------------------------------------------------------------------------------

-- A service tier under one name: the usual one is `standard`, by whichever name, and where none was said.
CREATE FUNCTION nodeai.tier_name(tier text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT CASE WHEN coalesce(lower(tier), '') IN ('', 'default', 'auto', 'standard', 'on_demand', 'standard_only')
    THEN 'standard' ELSE lower(tier) END
$$;
SELECT nodeai.expose('nodeai.tier_name(text)', '{authenticated,service_role}');

-- As before, with tiers under one name.
CREATE OR REPLACE FUNCTION nodeai.cost_keys(s public.spans, dimension text) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT CASE dimension
    WHEN 'prompt_version' THEN coalesce(s.attributes ->> 'nodeai.prompt.version', s.attributes ->> 'gen_ai.prompt.version')
    WHEN 'session' THEN s.session_id
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

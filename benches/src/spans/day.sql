-- One day of spans, and what the ingest leaves beside them: $ORG, $DAY (YYYY-MM-DD), $TRACES of twenty spans each. Ten workflows
-- with the same nodes: a run, four calls of models, nodes. Every tenth span has a prompt that is too big for the hot table.
-- $TERMS and $CUSTOMERS: the terms of what all traces have, and those of each of 500 customers.
CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT md5('$DAY ' || t) AS trace_id, left(md5('$DAY ' || t || ' ' || s), 16) AS span_id,
  CASE WHEN s > 1 THEN left(md5('$DAY ' || t || ' 1'), 16) END AS parent_span_id, t, s,
  md5('workflow ' || t % 10)::uuid AS workflow_id,
  '$DAY'::date::timestamp AT TIME ZONE 'UTC' + (t - 1) * (interval '86000 seconds' / $TRACES) + s * interval '20 milliseconds'
    AS started_at,
  (1000 * (1 + (t * 7919 + s * 104729) % 997))::bigint * CASE WHEN s = 1 THEN 20 ELSE 1 END AS duration_us,
  CASE WHEN (t * 31 + s) % 50 = 0 THEN 'error' ELSE 'ok' END AS status,
  s % 5 = 2 AS is_call
FROM generate_series(1, $TRACES) AS a(t), generate_series(1, 20) AS b(s);

INSERT INTO public.spans (org_id, trace_id, span_id, parent_span_id, day, name, kind, node_id, node_type, status, status_message,
  started_at, duration_us, provider, model, prompt_tokens, completion_tokens, cost_pusd, attributes, priced, price_version,
  workflow_id, user_id, measure)
SELECT '$ORG'::uuid, m.trace_id, m.span_id, m.parent_span_id, '$DAY', CASE WHEN m.s = 1 THEN 'invoke_workflow bench' ELSE 'step ' || m.s END,
  CASE WHEN m.is_call THEN 'client' ELSE 'internal' END, CASE WHEN m.s > 1 THEN 'n' || m.s END,
  CASE WHEN m.s > 1 THEN CASE WHEN m.is_call THEN 'llm' ELSE 'transform' END END, m.status,
  CASE WHEN m.status = 'error' THEN 'it failed' END, m.started_at, m.duration_us,
  CASE WHEN m.is_call THEN 'openai' END, CASE WHEN m.is_call THEN CASE WHEN m.s < 10 THEN 'gpt-4o' ELSE 'gpt-4o-mini' END END,
  CASE WHEN m.is_call THEN 500 + m.t % 300 END, CASE WHEN m.is_call THEN 50 + m.t % 30 END,
  CASE WHEN m.is_call THEN 1000000000 + m.t % 1000 END,
  jsonb_build_object('service.name', 'bench', 'customer', 'c' || m.t % 500, 'step', m.s), CASE WHEN m.is_call THEN true END,
  CASE WHEN m.is_call THEN 'bench' END, m.workflow_id, '00000000-0000-0000-0000-0000000000e1',
  CASE WHEN m.s = 1 THEN 'run' WHEN m.is_call THEN 'model' ELSE 'node' END
FROM made m ORDER BY m.trace_id, m.span_id;

INSERT INTO public.span_payloads (org_id, trace_id, span_id, day, attributes)
SELECT '$ORG'::uuid, m.trace_id, m.span_id, '$DAY', jsonb_build_object('nodeai.input',
  repeat('the prompt of ' || m.t || ' step ' || m.s || CASE WHEN m.t % 2 = 0 THEN ' 検索の文 ' ELSE ' some text ' END, 12))
FROM made m WHERE m.s IN (2, 12);

INSERT INTO public.traces (org_id, trace_id, day, name, kind, status, started_at, duration_us, workflow_id, user_id, span_count,
  prompt_tokens, completion_tokens, cost_pusd, terms)
SELECT '$ORG'::uuid, s.trace_id, '$DAY', 'bench', 'run', CASE WHEN bool_or(s.status = 'error') THEN 'error' ELSE 'ok' END,
  min(s.started_at), (extract(epoch FROM max(s.started_at + s.duration_us * interval '1 microsecond') - min(s.started_at)) * 1000000)::bigint,
  min(s.workflow_id::text)::uuid, min(s.user_id::text)::uuid, count(*), coalesce(sum(s.prompt_tokens), 0),
  coalesce(sum(s.completion_tokens), 0), coalesce(sum(s.cost_pusd), 0),
  $TERMS || ($CUSTOMERS)[1 + substr(min(s.attributes ->> 'customer'), 2)::integer]
FROM public.spans s WHERE s.day = '$DAY' AND s.org_id = '$ORG' AND s.workflow_id IS NOT NULL GROUP BY s.trace_id;

INSERT INTO public.trace_days (trace_id, org_id, day) SELECT DISTINCT m.trace_id, '$ORG'::uuid, '$DAY'::date FROM made m;

-- As nodeai.store_spans counts them; a folding brings them to their cells.
INSERT INTO public.usage_deltas (org_id, hour, workflow_id, node_id, node_type, provider, model, user_id, calls, errors,
  prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
  audio_input_tokens, audio_output_tokens, image_input_tokens, cost_pusd, unpriced_calls, hist_idx, hist_n)
SELECT '$ORG'::uuid, c.hour, c.workflow_id, c.node_id, c.node_type, c.provider, c.model, c.user_id, sum(c.calls), sum(c.errors),
  sum(c.prompt_tokens), sum(c.completion_tokens), 0, 0, 0, 0, 0, 0, 0, sum(c.cost_pusd), 0,
  array_agg(c.bucket ORDER BY c.bucket), array_agg(c.calls ORDER BY c.bucket)
FROM (
  SELECT date_trunc('hour', s.started_at, 'UTC') AS hour, s.workflow_id, coalesce(s.node_id, '') AS node_id,
    coalesce(s.node_type, '') AS node_type, coalesce(s.provider, '') AS provider, coalesce(s.model, '') AS model, s.user_id,
    nodeai.hist_bucket(s.duration_us) AS bucket, count(*) AS calls, count(*) FILTER (WHERE s.status = 'error') AS errors,
    coalesce(sum(s.prompt_tokens), 0) AS prompt_tokens, coalesce(sum(s.completion_tokens), 0) AS completion_tokens,
    coalesce(sum(s.cost_pusd), 0) AS cost_pusd
  FROM public.spans s WHERE s.day = '$DAY' AND s.org_id = '$ORG' AND s.workflow_id IS NOT NULL
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8) c
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

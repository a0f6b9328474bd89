-- Health and metrics over the sums by the hour: percentiles of their histograms, series by any of their dimensions, nodes
-- that are slow or fail, errors by fingerprint.

-- The duration, in µs, below which the share `q` of a histogram lies: off by 1 % at most (the middle of its bucket, in the
-- sense of relative error; DDSketch, Masson, Rim, Lee, VLDB 2019). Null for an empty one.
CREATE FUNCTION nodeai.hist_quantile(idx integer[], n bigint[], q double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT 2 * power(1.01::double precision / 0.99::double precision, x.i) / (1.01::double precision / 0.99::double precision + 1)
  FROM (
    SELECT b.i, sum(b.c) OVER (ORDER BY b.i) AS up_to, sum(b.c) OVER () AS total FROM unnest(idx, n) AS b(i, c)) x
  WHERE x.up_to > floor(q * (x.total - 1)) ORDER BY x.i LIMIT 1
$$;
SELECT nodeai.expose('nodeai.hist_quantile(integer[], bigint[], double precision)', '{authenticated,service_role}');

-- What the sums by the hour cannot tell apart: cells by session, from the spans themselves.
CREATE FUNCTION nodeai.session_cells(org uuid, from_us bigint, to_us bigint) RETURNS TABLE (
  hour timestamptz, session_id text, workflow_id uuid, node_id text, node_type text, provider text, model text, user_id uuid,
  calls bigint, errors bigint, prompt_tokens bigint, completion_tokens bigint, cache_read_tokens bigint,
  reasoning_tokens bigint, cost_pusd numeric, unpriced_calls bigint, hist_idx integer[], hist_n bigint[])
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT date_trunc('hour', s.started_at, 'UTC'), coalesce(s.session_id, t.session_id), s.workflow_id, s.node_id,
    CASE WHEN s.measure <> 'run' THEN coalesce(nullif(s.node_type, ''), s.measure) END,
    CASE WHEN s.measure = 'model' THEN s.provider END, CASE WHEN s.measure = 'model' THEN s.model END, s.user_id, 1::bigint,
    (s.status = 'error')::integer::bigint, CASE WHEN s.measure <> 'run' THEN coalesce(s.prompt_tokens, 0) ELSE 0 END,
    CASE WHEN s.measure <> 'run' THEN coalesce(s.completion_tokens, 0) ELSE 0 END,
    CASE WHEN s.measure <> 'run' THEN coalesce(s.cache_read_tokens, 0) ELSE 0 END,
    CASE WHEN s.measure <> 'run' THEN coalesce(s.reasoning_tokens, 0) ELSE 0 END,
    CASE WHEN s.measure <> 'run' THEN coalesce(s.cost_pusd, 0)::numeric ELSE 0 END,
    (s.measure = 'model' AND NOT coalesce(s.priced, s.cost_pusd IS NOT NULL))::integer::bigint,
    ARRAY[nodeai.hist_bucket(s.duration_us)], ARRAY[1::bigint]
  FROM public.spans s
  LEFT JOIN public.traces t ON t.day = s.day AND t.org_id = s.org_id AND t.trace_id = s.trace_id
  WHERE s.org_id = org AND s.measure IS NOT NULL AND s.day >= nodeai.day_of(from_us) AND s.day <= nodeai.day_of(to_us)
    AND s.started_at >= nodeai.from_us(from_us) AND s.started_at < nodeai.from_us(to_us)
$$;
SELECT nodeai.expose('nodeai.session_cells(uuid, bigint, bigint)', '{authenticated,service_role}');

-- {"org_id","from_us","to_us" (whole hours, unless by session),"step": "hour|day|total","of": "calls|runs","by": [of
-- "workflow","node","node_type","provider","model","user","session"],"filter"?: {the same names},"limit"} → rows, by time,
-- then most calls first; one row more than `limit` says that there are more. Times without calls have no row.
CREATE FUNCTION public.metrics_query(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  since bigint := (p ->> 'from_us')::bigint;
  until bigint := (p ->> 'to_us')::bigint;
  step text := p ->> 'step';
  dims jsonb := coalesce(nullif(p -> 'by', 'null'), '[]');
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  runs boolean := p ->> 'of' = 'runs';
  in_sessions boolean := dims ? 'session' OR f ->> 'session' IS NOT NULL;
  answer jsonb;
BEGIN
  WITH cell AS (
    SELECT c.hour, NULL::text AS session_id, c.workflow_id, c.node_id, c.node_type, c.provider, c.model, c.user_id, c.calls,
      c.errors, c.prompt_tokens, c.completion_tokens, c.cache_read_tokens, c.reasoning_tokens, c.cost_pusd,
      c.unpriced_calls, c.hist_idx, c.hist_n
    FROM nodeai.usage_cells(org, since, until) c WHERE NOT in_sessions
    UNION ALL
    SELECT s.* FROM (
      SELECT x.hour, x.session_id, x.workflow_id, x.node_id, x.node_type, x.provider, x.model, x.user_id, x.calls, x.errors,
        x.prompt_tokens, x.completion_tokens, x.cache_read_tokens, x.reasoning_tokens, x.cost_pusd, x.unpriced_calls,
        x.hist_idx, x.hist_n
      FROM nodeai.session_cells(org, since, until) x) s WHERE in_sessions
  ), kept AS MATERIALIZED (
    SELECT CASE step WHEN 'total' THEN since ELSE nodeai.to_us(date_trunc(step, c.hour, 'UTC')) END AS at_us,
      jsonb_strip_nulls(jsonb_build_object(
        'workflow', CASE WHEN dims ? 'workflow' THEN coalesce(c.workflow_id::text, '') END,
        'node', CASE WHEN dims ? 'node' THEN coalesce(c.node_id, '') END,
        'node_type', CASE WHEN dims ? 'node_type' THEN coalesce(c.node_type, '') END,
        'provider', CASE WHEN dims ? 'provider' THEN coalesce(c.provider, '') END,
        'model', CASE WHEN dims ? 'model' THEN coalesce(c.model, '') END,
        'user', CASE WHEN dims ? 'user' THEN coalesce(c.user_id::text, '') END,
        'session', CASE WHEN dims ? 'session' THEN coalesce(c.session_id, '') END)) AS key, c.*
    FROM cell c
    WHERE (c.node_type IS NULL) = runs
      AND (f ->> 'workflow' IS NULL OR c.workflow_id = (f ->> 'workflow')::uuid)
      AND (f ->> 'node' IS NULL OR c.node_id = f ->> 'node')
      AND (f ->> 'node_type' IS NULL OR c.node_type = f ->> 'node_type')
      AND (f ->> 'provider' IS NULL OR c.provider = f ->> 'provider')
      AND (f ->> 'model' IS NULL OR c.model = f ->> 'model')
      AND (f ->> 'user' IS NULL OR c.user_id = (f ->> 'user')::uuid)
      AND (f ->> 'session' IS NULL OR c.session_id = f ->> 'session')
  ), hist AS (
    SELECT h.at_us, h.key, array_agg(h.i ORDER BY h.i) AS idx, array_agg(h.n ORDER BY h.i) AS n FROM (
      SELECT k.at_us, k.key, b.i, sum(b.n)::bigint AS n
      FROM kept k CROSS JOIN LATERAL unnest(k.hist_idx, k.hist_n) AS b(i, n) GROUP BY 1, 2, 3) h
    GROUP BY 1, 2
  ), summed AS (
    SELECT k.at_us, k.key, sum(k.calls)::bigint AS calls, sum(k.errors)::bigint AS errors,
      sum(k.prompt_tokens)::bigint AS prompt_tokens, sum(k.completion_tokens)::bigint AS completion_tokens,
      sum(k.cache_read_tokens)::bigint AS cache_read_tokens, sum(k.reasoning_tokens)::bigint AS reasoning_tokens,
      sum(k.cost_pusd)::text AS cost_pusd, sum(k.unpriced_calls)::bigint AS unpriced_calls
    FROM kept k GROUP BY 1, 2
  ), whole AS (
    SELECT s.*, nodeai.hist_quantile(h.idx, h.n, 0.5) AS p50_us, nodeai.hist_quantile(h.idx, h.n, 0.95) AS p95_us,
      nodeai.hist_quantile(h.idx, h.n, 0.99) AS p99_us
    FROM summed s LEFT JOIN hist h ON h.at_us = s.at_us AND h.key = s.key
    ORDER BY s.at_us, s.calls DESC, s.key LIMIT (p ->> 'limit')::integer + 1
  )
  SELECT jsonb_agg(to_jsonb(w) ORDER BY w.at_us, w.calls DESC, w.key) INTO answer FROM whole w;
  RETURN coalesce(answer, '[]');
END
$$;
SELECT nodeai.expose('public.metrics_query(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('metrics_query');

-- Runs by version of the workflow, which the sums by the hour do not hold: {"org_id","from_us","to_us","workflow_id"?,"limit"}.
CREATE FUNCTION public.health_versions(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(to_jsonb(v) ORDER BY v.calls DESC, v.workflow, v.version), '[]') FROM (
    SELECT q.workflow_id AS workflow, q.workflow_version AS version, count(*) AS calls,
      count(*) FILTER (WHERE q.status = 'failed') AS errors,
      percentile_disc(0.5) WITHIN GROUP (ORDER BY nodeai.to_us(q.finished_at) - nodeai.to_us(q.started_at)) AS p50_us,
      percentile_disc(0.95) WITHIN GROUP (ORDER BY nodeai.to_us(q.finished_at) - nodeai.to_us(q.started_at)) AS p95_us,
      percentile_disc(0.99) WITHIN GROUP (ORDER BY nodeai.to_us(q.finished_at) - nodeai.to_us(q.started_at)) AS p99_us
    FROM public.execution_queue q
    WHERE q.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND q.workflow_id IS NOT NULL AND q.finished_at IS NOT NULL AND q.started_at IS NOT NULL
      AND q.created_at >= nodeai.from_us((p ->> 'from_us')::bigint) AND q.created_at < nodeai.from_us((p ->> 'to_us')::bigint)
      AND (p ->> 'workflow_id' IS NULL OR q.workflow_id = (p ->> 'workflow_id')::uuid)
    GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT (p ->> 'limit')::integer) v
$$;
SELECT nodeai.expose('public.health_versions(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('health_versions');

-- The slowest (by p95) or most failing nodes, each with up to three traces to look at:
-- {"org_id","from_us","to_us","sort": "slowest|failing","workflow_id"?,"limit"}.
CREATE FUNCTION public.nodes_ranked(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  since bigint := (p ->> 'from_us')::bigint;
  until bigint := (p ->> 'to_us')::bigint;
  failing boolean := p ->> 'sort' = 'failing';
  answer jsonb;
BEGIN
  WITH kept AS MATERIALIZED (
    SELECT c.* FROM nodeai.usage_cells(org, since, until) c
    WHERE c.node_id IS NOT NULL AND (p ->> 'workflow_id' IS NULL OR c.workflow_id = (p ->> 'workflow_id')::uuid)
  ), hist AS (
    SELECT h.workflow_id, h.node_id, h.node_type, array_agg(h.i ORDER BY h.i) AS idx, array_agg(h.n ORDER BY h.i) AS n FROM (
      SELECT k.workflow_id, k.node_id, k.node_type, b.i, sum(b.n)::bigint AS n
      FROM kept k CROSS JOIN LATERAL unnest(k.hist_idx, k.hist_n) AS b(i, n) GROUP BY 1, 2, 3, 4) h
    GROUP BY 1, 2, 3
  ), summed AS (
    SELECT k.workflow_id, k.node_id, k.node_type, sum(k.calls)::bigint AS calls, sum(k.errors)::bigint AS errors
    FROM kept k GROUP BY 1, 2, 3
  ), ranked AS (
    SELECT s.*, nodeai.hist_quantile(h.idx, h.n, 0.5) AS p50_us, nodeai.hist_quantile(h.idx, h.n, 0.95) AS p95_us,
      nodeai.hist_quantile(h.idx, h.n, 0.99) AS p99_us
    FROM summed s JOIN hist h ON h.workflow_id IS NOT DISTINCT FROM s.workflow_id AND h.node_id = s.node_id
      AND h.node_type IS NOT DISTINCT FROM s.node_type
    WHERE s.errors > 0 OR NOT failing
    ORDER BY CASE WHEN failing THEN s.errors ELSE nodeai.hist_quantile(h.idx, h.n, 0.95) END DESC, s.calls DESC, s.node_id
    LIMIT (p ->> 'limit')::integer
  )
  SELECT jsonb_agg(to_jsonb(r) || jsonb_build_object('samples', (
      SELECT coalesce(jsonb_agg(x.trace_id), '[]') FROM (
        SELECT s.trace_id FROM public.spans s
        WHERE s.org_id = org AND s.day >= nodeai.day_of(since) AND s.day <= nodeai.day_of(until)
          AND s.started_at >= nodeai.from_us(since) AND s.started_at < nodeai.from_us(until)
          AND s.node_id = r.node_id AND s.workflow_id IS NOT DISTINCT FROM r.workflow_id
          AND s.measure IS NOT NULL AND (s.status = 'error' OR NOT failing)
        ORDER BY CASE WHEN failing THEN nodeai.to_us(s.started_at) ELSE s.duration_us END DESC LIMIT 3) x))
    ORDER BY CASE WHEN failing THEN r.errors ELSE r.p95_us END DESC, r.calls DESC, r.node_id)
  INTO answer FROM ranked r;
  RETURN coalesce(answer, '[]');
END
$$;
SELECT nodeai.expose('public.nodes_ranked(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('nodes_ranked');

-- A message without what differs each time: ids, numbers, quoted texts, addresses.
CREATE FUNCTION nodeai.normal_message(message text) RETURNS text LANGUAGE sql IMMUTABLE
  RETURN left(btrim(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(lower(left(message, 2000)),
    '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', '<id>', 'g'),
    '"[^"]*"|''[^'']*''|`[^`]*`', '<text>', 'g'),
    'https?://[^\s]+', '<url>', 'g'),
    '\m(?=[0-9a-f]*[0-9])[0-9a-f]{12,}\M', '<id>', 'g'),
    '[0-9]+([.,][0-9]+)*', '<n>', 'g')), 500);
SELECT nodeai.expose('nodeai.normal_message(text)', '{authenticated,service_role}');

-- Failed spans by what failed: {"org_id","from_us","to_us","workflow_id"?,"node_type"?,"limit"}. Looks at the newest 100,000.
CREATE FUNCTION public.error_groups(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  since bigint := (p ->> 'from_us')::bigint;
  until bigint := (p ->> 'to_us')::bigint;
  answer jsonb;
BEGIN
  WITH failed AS (
    SELECT s.trace_id, s.started_at, s.node_type, s.workflow_id, s.attributes ->> 'error.type' AS kind,
      coalesce(s.status_message, s.attributes ->> 'error.message', '') AS message
    FROM public.spans s
    WHERE s.org_id = org AND s.status = 'error' AND s.day >= nodeai.day_of(since) AND s.day <= nodeai.day_of(until)
      AND s.started_at >= nodeai.from_us(since) AND s.started_at < nodeai.from_us(until)
      AND coalesce(s.measure, '') <> 'run'
      AND (p ->> 'workflow_id' IS NULL OR s.workflow_id = (p ->> 'workflow_id')::uuid)
      AND (p ->> 'node_type' IS NULL OR s.node_type = p ->> 'node_type')
    ORDER BY s.started_at DESC LIMIT 100000
  ), named AS (
    SELECT f.*, nodeai.normal_message(f.message) AS normal FROM failed f
  ), grouped AS (
    SELECT encode(sha256(convert_to(concat_ws(E'\x1f', n.normal, coalesce(n.node_type, ''), coalesce(n.kind, '')), 'UTF8')), 'hex')
        AS fingerprint, n.normal AS message, n.node_type, n.kind, count(*) AS count, count(DISTINCT n.trace_id) AS traces,
      nodeai.to_us(min(n.started_at)) AS first_us, nodeai.to_us(max(n.started_at)) AS last_us,
      (array_agg(n.message ORDER BY n.started_at DESC))[1] AS example,
      to_jsonb((array_agg(n.trace_id ORDER BY n.started_at DESC))[1:3]) AS samples
    FROM named n GROUP BY n.normal, n.node_type, n.kind
    ORDER BY count(*) DESC, max(n.started_at) DESC LIMIT (p ->> 'limit')::integer
  )
  SELECT jsonb_agg(to_jsonb(g) || jsonb_build_object('fingerprint', left(g.fingerprint, 32), 'example', left(g.example, 500))
    ORDER BY g.count DESC, g.last_us DESC) INTO answer FROM grouped g;
  RETURN coalesce(answer, '[]');
END
$$;
SELECT nodeai.expose('public.error_groups(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('error_groups');

-- Alerts -------------------------------------------------------------------------------------------------------------

GRANT UPDATE (last_seen_at) ON public.alerts TO authenticated;
GRANT UPDATE (evaluated_at) ON public.alert_rules TO authenticated;

-- Share of runs that failed in the time before `until`; null without runs. From the spans: minutes are too short for hours.
CREATE FUNCTION nodeai.failed_share(org uuid, workflow uuid, until timestamptz, span interval) RETURNS double precision
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT (count(*) FILTER (WHERE s.status = 'error'))::double precision / nullif(count(*), 0)
  FROM public.spans s
  WHERE s.org_id = org AND s.measure = 'run' AND (workflow IS NULL OR s.workflow_id = workflow)
    AND s.day >= ((until - span) AT TIME ZONE 'UTC')::date AND s.day <= (until AT TIME ZONE 'UTC')::date
    AND s.started_at >= until - span AND s.started_at < until
$$;
SELECT nodeai.expose('nodeai.failed_share(uuid, uuid, timestamptz, interval)', '{authenticated,service_role}');

-- Whether a rule fires at `at`: {"firing","value"?, more}. Windows are whole hours with the one that runs.
-- threshold: {"measure": "runs|run_errors|run_error_rate|calls|errors|error_rate|cost_usd_micros|latency_p95_ms","op": ">|<","value",
--   "window_hours","min_count"?,"workflow_id"?,"model"?}; absence: {"of": "runs|calls","window_hours","workflow_id"?};
-- burn_rate: {"objective","workflow_id"?}, with the windows of Google's SRE workbook, chapter 5;
-- anomaly: {"measure","threshold","workflow_id"?}: yesterday against the 28 days before it, by median and MAD.
CREATE FUNCTION nodeai.rule_fires(org uuid, kind text, c jsonb, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  hour_us constant bigint := 3600000000;
  until bigint := nodeai.to_us(date_trunc('hour', at, 'UTC')) + hour_us;
  today bigint := nodeai.to_us(date_trunc('day', at, 'UTC'));
  workflow uuid := (c ->> 'workflow_id')::uuid;
  measure text := coalesce(c ->> 'measure', c ->> 'of');
  ask jsonb := jsonb_build_object('org_id', org, 'to_us', until, 'step', 'total', 'limit', 1, 'of',
    CASE WHEN measure LIKE 'run%' THEN 'runs' ELSE 'calls' END,
    'filter', jsonb_build_object('workflow', c -> 'workflow_id', 'model', c -> 'model'),
    'from_us', until - coalesce((c ->> 'window_hours')::bigint, 1) * hour_us);
  r jsonb;
  n numeric;
  value double precision;
  pair record;
  days double precision[];
  middle double precision;
  spread double precision;
BEGIN
  IF kind = 'burn_rate' THEN
    FOR pair IN SELECT x.* FROM (VALUES (interval '1 hour', interval '5 minutes', 14.4), (interval '6 hours', interval '30 minutes', 6),
        (interval '3 days', interval '6 hours', 1)) AS x(long, short, factor) LOOP
      value := nodeai.failed_share(org, workflow, at, pair.long) / (1 - (c ->> 'objective')::double precision);
      IF value > pair.factor
         AND nodeai.failed_share(org, workflow, at, pair.short) / (1 - (c ->> 'objective')::double precision) > pair.factor THEN
        RETURN jsonb_build_object('firing', true, 'value', value, 'window', pair.long::text, 'short_window', pair.short::text,
          'factor', pair.factor);
      END IF;
    END LOOP;
    RETURN '{"firing": false}';
  END IF;
  IF kind = 'anomaly' THEN
    ask := ask || jsonb_build_object('from_us', today - 29 * 24 * hour_us, 'to_us', today, 'step', 'day', 'limit', 100);
    SELECT array_agg(coalesce(CASE WHEN measure = 'cost_usd_micros' THEN (x ->> 'cost_pusd')::numeric / 1000000
        WHEN measure IN ('errors', 'run_errors') THEN (x ->> 'errors')::numeric ELSE (x ->> 'calls')::numeric END, 0)
        ORDER BY d.i) INTO days
      FROM generate_series(0, 28) AS d(i)
      LEFT JOIN jsonb_array_elements(public.metrics_query(ask)) x ON (x ->> 'at_us')::bigint = today - (29 - d.i) * 24 * hour_us;
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY y) INTO middle FROM unnest(days[1:28]) y;
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(y - middle)) INTO spread FROM unnest(days[1:28]) y;
    spread := greatest(spread / 0.6745, 0.05 * middle);
    value := (days[29] - middle) / nullif(spread, 0);
    RETURN jsonb_build_object('firing', coalesce(abs(value) >= (c ->> 'threshold')::double precision, false), 'value', value,
      'day_value', days[29], 'usual', middle);
  END IF;
  r := coalesce(public.metrics_query(ask) -> 0, '{}');
  n := coalesce((r ->> 'calls')::numeric, 0);
  IF kind = 'absence' THEN
    RETURN jsonb_build_object('firing', n = 0, 'value', n);
  END IF;
  value := CASE measure
    WHEN 'runs' THEN n WHEN 'calls' THEN n
    WHEN 'run_errors' THEN coalesce((r ->> 'errors')::numeric, 0) WHEN 'errors' THEN coalesce((r ->> 'errors')::numeric, 0)
    WHEN 'run_error_rate' THEN (r ->> 'errors')::numeric / nullif(n, 0)
    WHEN 'error_rate' THEN (r ->> 'errors')::numeric / nullif(n, 0)
    WHEN 'cost_usd_micros' THEN coalesce((r ->> 'cost_pusd')::numeric / 1000000, 0)
    WHEN 'latency_p95_ms' THEN (r ->> 'p95_us')::double precision / 1000 END;
  RETURN jsonb_build_object('value', value, 'count', n, 'firing', coalesce(n >= coalesce((c ->> 'min_count')::bigint, 0)
    AND CASE c ->> 'op' WHEN '>' THEN value > (c ->> 'value')::double precision
        ELSE value < (c ->> 'value')::double precision END, false));
END
$$;
SELECT nodeai.expose('nodeai.rule_fires(uuid, text, jsonb, timestamptz)', '{authenticated,service_role}');

-- Asks every rule of the organisation. One that fires has one open alert, seen again each time; one that does not closes it.
-- A silenced rule opens nothing. Answers {"evaluated","opened": [alert],"still_open","resolved"}.
CREATE FUNCTION nodeai.do_alerts_evaluate(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  at timestamptz := clock_timestamp();
  rule public.alert_rules;
  found jsonb;
  open_id uuid;
  opened jsonb := '[]';
  evaluated integer := 0;
  still integer := 0;
  closed integer := 0;
BEGIN
  FOR rule IN SELECT * FROM public.alert_rules r
      WHERE r.org_id = org AND r.enabled AND r.kind <> 'budget' ORDER BY r.id LIMIT 500 LOOP
    evaluated := evaluated + 1;
    found := nodeai.rule_fires(org, rule.kind, rule.condition, at);
    SELECT a.id INTO open_id FROM public.alerts a
      WHERE a.rule_id = rule.id AND a.fingerprint = rule.kind AND a.state <> 'resolved';
    IF (found ->> 'firing')::boolean AND open_id IS NOT NULL THEN
      UPDATE public.alerts a SET last_seen_at = at, details = found WHERE a.id = open_id;
      still := still + 1;
    ELSIF (found ->> 'firing')::boolean AND coalesce(rule.silenced_until, '-infinity') <= at THEN
      open_id := nodeai.uuid_v7();
      PERFORM nodeai.insert_row('alerts', open_id, org,
        jsonb_build_object('rule_id', rule.id, 'fingerprint', rule.kind, 'details', found));
      opened := opened || jsonb_build_array(jsonb_build_object('id', open_id, 'rule_id', rule.id, 'name', rule.name,
        'kind', rule.kind, 'details', found));
    ELSIF NOT (found ->> 'firing')::boolean AND open_id IS NOT NULL THEN
      UPDATE public.alerts a SET state = 'resolved', resolved_at = at WHERE a.id = open_id;
      closed := closed + 1;
    END IF;
    UPDATE public.alert_rules r SET evaluated_at = at WHERE r.id = rule.id;
  END LOOP;
  RETURN jsonb_build_object('body', jsonb_build_object('evaluated', evaluated, 'opened', opened, 'still_open', still,
    'resolved', closed));
END
$$;
SELECT nodeai.expose('nodeai.do_alerts_evaluate(uuid, jsonb)', '{authenticated,service_role}');

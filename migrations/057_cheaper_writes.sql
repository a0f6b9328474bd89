-- What a run and an ingest cost in SQL. Nothing is promised less: the same rows, in the same transactions.

-- A function in SQL that is not inlined is parsed and planned at every call (0.2 ms each); plpgsql keeps the plan. -------

CREATE OR REPLACE FUNCTION nodeai.listens(org uuid, event_type text, workflow uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  RETURN EXISTS (SELECT FROM public.webhooks w
    WHERE w.org_id = org AND w.direction = 'out' AND w.disabled_at IS NULL AND nodeai.takes_event(w, event_type, workflow));
END
$$;

CREATE OR REPLACE FUNCTION nodeai.policies_of(org uuid, caller uuid, key uuid, wanted_route text)
RETURNS TABLE (bucket uuid, name text, per_minute bigint, burst bigint)
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT md5(l.id::text || coalesce(CASE l.subject WHEN 'user' THEN caller WHEN 'key' THEN key END::text, ''))::uuid,
         l.name, l.per_minute::bigint, l.burst::bigint
  FROM public.rate_limits l
  WHERE l.org_id = org AND (l.route IS NULL OR l.route = wanted_route)
    AND CASE l.subject WHEN 'user' THEN l.subject_id IS NULL OR l.subject_id = caller
                       WHEN 'key' THEN key IS NOT NULL AND (l.subject_id IS NULL OR l.subject_id = key)
                       ELSE true END
  ORDER BY 1;
END
$$;

CREATE OR REPLACE FUNCTION nodeai.own_prices(org uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  RETURN (SELECT coalesce(jsonb_agg(o.entry || jsonb_build_object('id', o.id, 'version', o.version, 'model', o.model,
    'effective_from', o.effective_from) ORDER BY o.id DESC), '[]')
  FROM (SELECT x.* FROM public.model_overrides x WHERE x.org_id = org ORDER BY x.id DESC LIMIT 1000) o);
END
$$;

CREATE OR REPLACE FUNCTION nodeai.own_prices_mark(org uuid) RETURNS text
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  RETURN (SELECT coalesce(md5(string_agg(x.id || ':' || x.version, ',' ORDER BY x.id)), '')
    FROM public.model_overrides x WHERE x.org_id = org);
END
$$;

-- Spans ------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION nodeai.put_spans(org uuid, given_traces jsonb, given_spans jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  stored_count bigint;
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
  ), traced AS (
    INSERT INTO public.traces AS old (
      org_id, trace_id, day, name, kind, status, started_at, duration_us, execution_id, workflow_id, user_id,
      span_count, prompt_tokens, completion_tokens, cost_pusd, error, attributes, session_id, end_user, tags, rooted)
    SELECT org, t.trace_id, nodeai.day_of(t.at_us), t.name, t.kind, t.status, nodeai.from_us(t.at_us), t.took_us,
      t.execution_id, t.workflow_id, coalesce(t.user_id, caller), coalesce(f.spans, 0),
      t.prompt_tokens, t.completion_tokens, t.cost_pusd, t.error, t.attributes, f.session_id, f.end_user, g.tags, t.rooted
    FROM t LEFT JOIN fresh f ON f.trace_id = t.trace_id LEFT JOIN tagged g ON g.trace_id = t.trace_id
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
SELECT nodeai.expose('nodeai.put_spans(uuid, jsonb, jsonb)', '{service_role}');

-- The same for a caller. The policies of the five tables ask one question, whether the caller is a member of the row's
-- organisation, and every row has `org`: so it is asked once here, instead of once for each table and kind of policy.
CREATE FUNCTION nodeai.put_own_spans(org uuid, given_traces jsonb, given_spans jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF (org = ANY (nodeai.orgs_with('viewer'))) IS NOT TRUE THEN
    RAISE EXCEPTION 'new row violates row-level security policy for table "spans"' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN nodeai.put_spans(org, given_traces, given_spans);
END
$$;
SELECT nodeai.expose('nodeai.put_own_spans(uuid, jsonb, jsonb)', '{authenticated}');

-- Stores spans, as nodeai.put_spans says it, for whoever calls: the service and the owner may write for everybody.
CREATE OR REPLACE FUNCTION nodeai.store_spans(org uuid, given_traces jsonb, given_spans jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  IF current_user = 'authenticated' THEN
    RETURN nodeai.put_own_spans(org, given_traces, given_spans);
  END IF;
  RETURN nodeai.put_spans(org, given_traces, given_spans);
END
$$;

-- Starting a run -----------------------------------------------------------------------------------------------------------

-- As before, in one function instead of two. The row of a run that is answered when it ends need not be on the disk before
-- the run's commit is, which waits for all that was written before it: should the server die in between, the run was never
-- answered, its commit says `missing`, and nothing of it is left. A claim of an idempotency key waits as ever, and so do
-- streamed and queued runs, whose ids are told before they end. A call that reserves from a budget waits, with what it follows.
CREATE OR REPLACE FUNCTION nodeai.begin_run(org uuid, e jsonb, claim jsonb, workflow jsonb, deployment jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  made jsonb := nodeai.make_run(org, e, claim, workflow, deployment);
BEGIN
  IF made ->> 'outcome' <> 'started' THEN
    RETURN made;
  END IF;
  IF claim IS NULL AND e ->> 'mode' = 'sync' THEN
    PERFORM set_config('synchronous_commit', 'off', true);
  END IF;
  RETURN made || jsonb_build_object('budgets', nodeai.budget_standing(org, auth.uid(),
      nullif(nodeai.claims() ->> 'key_id', '')::uuid, (workflow ->> 'id')::uuid)
    || jsonb_build_object('prices', nodeai.own_prices(org)));
END
$$;
DROP FUNCTION nodeai.begin_unpriced_run(uuid, jsonb, jsonb, jsonb, jsonb);
